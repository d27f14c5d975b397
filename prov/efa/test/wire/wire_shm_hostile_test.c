/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_hostile_test.c - peers that write anything anywhere
 *
 * A third mapping of a segment is scribbled over with seeded random bytes,
 * most of them near what a sender would write, while its owner and its
 * senders go about their work. Nothing may be touched out of bounds, no loop
 * may be endless, and a lane that shows nonsense is cut.
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <errno.h>
#include <string.h>

#define LANES 16
#define LINKS 12

/* A word as a sender might write it, or nearly. */
static uint64_t likely_word(uint64_t *s)
{
	uint64_t r = next_random(s), lap = 0x8000 | r % 8, len;

	switch (r >> 8 & 3) {
	case 0:
		len = r >> 16 & 63;
		break;
	case 1:
		len = (r >> 16) % (WIRE_SHM_MAX + 3);
		break;
	case 2:
		len = WIRE_SHM_SKIP;
		break;
	default:
		len = r >> 16 & 0xffff;
		break;
	}
	return (r & UINT64_C(0xffffffff00000000)) | len << 16 | lap;
}

static void put_word(void *at, uint64_t word)
{
	atomic_store_explicit(wire_shm_word(at), word, memory_order_relaxed);
}

static void scribble_ring(struct wire_shm *w, uint64_t *s)
{
	char *ring = (char *)(wire_shm_lane_ctl(w, next_random(s) % LANES) + 1);
	int i;

	for (i = 0; i < 8; i++)
		put_word(ring + next_random(s) % w->lines * 64, likely_word(s));
}

/* At the very line that the owner looks at next. */
static void scribble_next(struct wire_shm *w, uint64_t *s)
{
	const struct wire_shm_lane *lane = &w->lane[next_random(s) % LANES];

	if (!lane->next)
		return;
	put_word((char *)(uintptr_t)lane->next,
		 (likely_word(s) & ~UINT64_C(0xffff)) | lane->lap);
}

static void scribble_entry(struct wire_shm *w, uint64_t *s)
{
	uint64_t r = next_random(s);
	_Atomic uint32_t *entry = &w->seg->entry[r % WIRE_SHM_LANES_MAX];

	if (r & 1 << 20)
		entry = &w->seg->entry[r % LANES];
	atomic_store(entry, r & 1 << 21 ? (uint32_t)(r >> 32) :
					  atomic_load(entry) ^ (r >> 32 & 3));
}

static void scribble_bell(struct wire_shm *w, uint64_t *s)
{
	atomic_store(&w->seg->bits[next_random(s) % 16], next_random(s));
	atomic_fetch_add(&w->seg->bell, 1);
}

static void scribble_ctl(struct wire_shm *w, uint64_t *s)
{
	struct wire_shm_ctl *ctl = wire_shm_lane_ctl(w, next_random(s) % LANES);

	if (next_random(s) % 2)
		atomic_store(&ctl->head, next_random(s) >> next_random(s) % 64);
	else
		atomic_store(&ctl->flags, (uint32_t)next_random(s) & 3);
}

static void scribble_state(struct wire_shm *w, uint64_t *s)
{
	/* not CLOSED: that ends all links at once */
	atomic_store(&w->seg->state.word,
		     (uint32_t)next_random(s) & ~WIRE_SHM_CLOSED);
	atomic_store(&w->seg->state.pressure, (uint32_t)next_random(s) & 1);
}

static void scribble_id(struct wire_shm *w, uint64_t *s)
{
	fill(&wire_shm_lane_ctl(w, next_random(s) % LANES)->id,
	     sizeof(struct wire_shm_id), next_random(s));
}

typedef void (*scribble_fn)(struct wire_shm *w, uint64_t *s);

static const scribble_fn scribbles[] = {
	scribble_ring,	scribble_ring,	scribble_next,
	scribble_entry, scribble_bell,	scribble_bell,
	scribble_ctl,	scribble_state, scribble_id,
};

/* All that was lent lies in the segment; reads it all. */
static void poll_judged(struct wire_shm *w, uint64_t *sum)
{
	struct wire_shm_pkt pkt[8];
	const char *base = w->file.base, *data;
	struct wire_shm_id id;
	int i, n = wire_shm_poll(w, pkt, 8);
	uint32_t k;

	for (i = 0; i < n; i++) {
		data = pkt[i].data;
		assert_true(pkt[i].len <= WIRE_SHM_MAX);
		assert_true(pkt[i].lane < LANES);
		assert_true(data >= base + WIRE_SHM_LANES);
		assert_true(data + pkt[i].len <= base + w->file.size);
		assert_int_equal((uintptr_t)data % 8, 0);
		assert_int_equal(wire_shm_source(w, pkt[i].lane, &id), 0);
		for (k = 0; k < pkt[i].len; k += 64)
			*sum += (uint8_t)data[k];
	}
	wire_shm_give_back(w);
}

static void link_again(struct fixture *f, struct wire_shm_link **l)
{
	struct wire_shm_id b = id_of(2);

	if (*l)
		wire_shm_link_close(*l);
	*l = NULL;
	if (wire_shm_link_open(f->a, &b, l) && *l)
		fail();
}

static void links_use(struct fixture *f, struct wire_shm_link **l, uint64_t *s)
{
	static char bytes[WIRE_SHM_MAX];
	size_t len;
	int i, rc;

	for (i = 0; i < LINKS; i++) {
		if (!l[i] || next_random(s) % 64 == 0) {
			link_again(f, &l[i]);
			continue;
		}
		len = next_random(s) % (next_random(s) % 4 ? 100 : 9217);
		wire_shm_can_send(l[i], len);
		rc = wire_shm_send(l[i], 1, (int)(next_random(s) & 1), NULL, 0,
				   &(struct iovec){ bytes, len }, 1, len);
		assert_true(rc == 0 || rc == 1 || rc == -EAGAIN ||
			    rc == -EPIPE);
		if (rc == -EPIPE)
			assert_int_equal(wire_shm_link_check(l[i]), -EPIPE);
	}
}

static void owner_round(struct wire_shm *w, uint64_t *s, uint64_t *sum)
{
	poll_judged(w, sum);
	switch (next_random(s) % 8) {
	case 0:
		wire_shm_tick(w);
		break;
	case 1:
		if (wire_shm_arm(w) == 0)
			wire_shm_disarm(w);
		break;
	case 2:
		wire_shm_set_pressure(w, next_random(s) & 1);
		break;
	default:
		break;
	}
}

static void wire_shm_poll__survives_scribbles(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l[LINKS] = { NULL };
	uint64_t s = test_seed(), sum = 0;
	int i, k;

	for (i = 0; i < 20000; i++) {
		links_use(f, l, &s);
		for (k = 0; k < (int)(next_random(&s) % 4); k++)
			scribbles[next_random(&s) % u_array_size(scribbles)](
				f->b, &s);
		owner_round(f->b, &s, &sum);
	}
	for (i = 0; i < LINKS; i++)
		if (l[i])
			wire_shm_link_close(l[i]);
	assert_true(wire_shm_stats(f->b)->bad_records > 100);
	assert_true(wire_shm_stats(f->b)->records > 1000);
	assert_true(sum != 1);
}

/* After all that an honest sender is served as if nothing had been. */
static void wire_shm_poll__serves_the_honest_beside_the_cut(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id b = id_of(2);
	struct wire_shm_link *bad;
	int i;

	assert_int_equal(wire_shm_link_open(f->a, &b, &bad), 0);
	poll_drop(f->b);
	for (i = 0; i < 1000; i++) {
		if (i == 500)
			put_word(bad->ring + bad->tail % bad->lines * 64,
				 UINT64_C(0xfffe) << 16 | 0x8000);
		assert_int_equal(send_bytes(f->ab, (uint32_t)i, "x", 1), 0);
		assert_int_equal(poll_one(f->b, NULL).word, i);
	}
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 1);
	wire_shm_link_close(bad);
}

/* The other way round: the owner lies about what it has read. */
static void wire_shm_send__breaks_on_a_lying_owner(void **state)
{
	struct fixture *f = *state;
	uint64_t lie[] = { UINT64_MAX, 1 << 20, 600, 0 };
	struct wire_shm_id b = id_of(2);
	size_t i;
	int rc;

	for (i = 0; i < u_array_size(lie); i++) {
		struct wire_shm_link *l;

		assert_int_equal(wire_shm_link_open(f->a, &b, &l), 0);
		atomic_store(&l->ctl->head, lie[i]);
		while ((rc = send_bytes(l, 0, "x", 1)) == 0)
			;
		/* 0 is a lane's start or long ago: no lie for lane 0 only */
		assert_true(rc == -EPIPE || (lie[i] == 0 && rc == -EAGAIN));
		wire_shm_link_close(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PAIR(wire_shm_poll__survives_scribbles),
		IN_PAIR(wire_shm_poll__serves_the_honest_beside_the_cut),
		IN_PAIR(wire_shm_send__breaks_on_a_lying_owner),
	};

	return cmocka_run_group_tests_name("wire_shm_hostile", tests, NULL,
					   NULL);
}
