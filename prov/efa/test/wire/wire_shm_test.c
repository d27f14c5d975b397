/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_test.c - the door of the shared-memory wire, one process
 */
#include "wire_shm_fixture.h"

#include "test/sanitized.h"
#include "util/u_base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEG_B "efa-%u-00000000000000000000ffff7f000001-2"

static void path_of_b(const struct fixture *f, char *path)
{
	sprintf(path, "%s/" SEG_B, f->dir, (unsigned)geteuid());
}

static void wire_shm_open__makes_a_private_file(void **state)
{
	struct fixture *f = *state;
	char path[256];
	struct stat st;

	path_of_b(f, path);
	f->b = open_of(f, 2);
	assert_non_null(f->b);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	/* Lanes take no memory before somebody claims them. */
	assert_true(st.st_blocks * 512 <= 16384);
}

static void wire_shm_open__refuses_an_address_in_use(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(2);
	struct wire_shm *w = NULL;

	id.connid++;
	assert_int_equal(wire_shm_open(&f->config, &id, &w), -EADDRINUSE);
	assert_null(w);
	/* The owner is not harmed. */
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 1);
}

static void die_open(struct child *c, struct fixture *f)
{
	CHECK(open_of(f, 2) != NULL);
	child_say(c);
}

static void wire_shm_open__removes_what_the_dead_left(void **state)
{
	struct fixture *f = *state;
	struct child c;

	child_start(&c, die_open, f);
	assert_int_equal(child_end(&c), 0);
	f->b = open_of(f, 2);
	assert_non_null(f->b);
	assert_int_equal(wire_shm_stats(f->b)->stale_removed, 1);
	f->a = open_of(f, 1);
	assert_int_equal(wire_shm_stats(f->a)->stale_removed, 0);
}

static void wire_shm_open__says_that_there_is_no_directory(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_config c = f->config;
	struct wire_shm_id id = id_of(1);
	struct wire_shm *w;

	c.dir = "/dev/shm/efa-is-not-there";
	assert_int_equal(wire_shm_open(&c, &id, &w), -ENOENT);
	assert_true(logged("/dev/shm/efa-is-not-there"));
}

static void wire_shm_open__refuses_bad_config(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_config c = f->config;
	struct wire_shm_id id = id_of(1);
	struct wire_shm *w;

	c.lanes = 1025;
	assert_int_equal(wire_shm_open(&c, &id, &w), -EINVAL);
	c = f->config;
	c.lane_bytes = 16 << 10;
	assert_int_equal(wire_shm_open(&c, &id, &w), -EINVAL);
	c.lane_bytes = 100000;
	assert_int_equal(wire_shm_open(&c, &id, &w), -EINVAL);
	c = f->config;
	id.qpn = 1 << 24;
	assert_int_equal(wire_shm_open(&c, &id, &w), -EINVAL);
}

static void wire_shm_close__removes_the_file(void **state)
{
	struct fixture *f = *state;
	char path[256];

	path_of_b(f, path);
	f->b = open_of(f, 2);
	assert_int_equal(access(path, F_OK), 0);
	wire_shm_close(f->b);
	f->b = NULL;
	assert_int_equal(access(path, F_OK), -1);
}

static void wire_shm_close__ends_the_senders(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	wire_shm_close(f->b);
	f->b = NULL;
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), -EPIPE);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), -EPIPE);
	assert_true(wire_shm_can_send(f->ab, 1));
	assert_int_equal(wire_shm_link_check(f->ab), -EPIPE);
}

static void wire_shm_close__ends_a_sender_with_a_full_ring(void **state)
{
	struct fixture *f = *state;
	char big[1000] = { 0 };

	while (send_bytes(f->ab, 1, big, sizeof(big)) == 0)
		;
	wire_shm_close(f->b);
	f->b = NULL;
	assert_int_equal(send_bytes(f->ab, 1, big, sizeof(big)), -EPIPE);
}

static void wire_shm_poll__is_empty_at_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(poll_drop(f->b), 0);
	assert_int_equal(poll_drop(f->a), 0);
	assert_int_equal(wire_shm_stats(f->b)->lanes_opened, 1);
}

static void wire_shm_source__names_the_sender(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id, a = id_of(1);
	struct wire_shm_pkt pkt;

	assert_int_equal(wire_shm_source(f->b, 0, &id), -ENOENT);
	assert_int_equal(wire_shm_source(f->b, 99, &id), -ENOENT);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	pkt = poll_one(f->b, NULL);
	assert_int_equal(wire_shm_source(f->b, pkt.lane, &id), 0);
	assert_memory_equal(&id, &a, sizeof(id));
	assert_int_equal(wire_shm_source(f->b, pkt.lane + 1, &id), -ENOENT);
}

/* One record of every length, its bytes split into header and vector. */
static void wire_shm_send__every_length(void **state)
{
	struct fixture *f = *state;
	static char out[WIRE_SHM_MAX], in[WIRE_SHM_MAX];
	struct wire_shm_pkt pkt;
	struct iovec iov[3];
	size_t len, hdr, cut;

	for (len = 0; len <= WIRE_SHM_MAX; len++) {
		hdr = u_min(len, len * 7 % 97);
		cut = (len - hdr) * 5 % 11 * (len - hdr) / 11;
		fill(out, len, len);
		iov[0] = (struct iovec){ out + hdr, cut };
		iov[1] = (struct iovec){ NULL, 0 };
		iov[2] = (struct iovec){ out + hdr + cut, len - hdr - cut };
		assert_int_equal(wire_shm_send(f->ab, (uint32_t)len * 3, 0, out,
					       hdr, iov, 3, len - hdr),
				 0);
		pkt = poll_one(f->b, in);
		assert_int_equal(pkt.len, len);
		assert_int_equal(pkt.word, (uint32_t)len * 3);
		assert_int_equal((uintptr_t)pkt.data % 8, 0);
		assert_memory_equal(in, out, len);
		assert_int_equal(poll_drop(f->b), 0);
	}
	assert_int_equal(wire_shm_stats(f->b)->records, WIRE_SHM_MAX + 1);
}

/* The vector may be longer than what is to be sent. */
static void wire_shm_send__stops_at_len(void **state)
{
	struct fixture *f = *state;
	char in[WIRE_SHM_MAX], text[] = "abcdefghij";
	struct iovec iov = { text, 10 };

	assert_int_equal(wire_shm_send(f->ab, 0, 0, "12", 2, &iov, 1, 3), 0);
	assert_int_equal(poll_one(f->b, in).len, 5);
	assert_memory_equal(in, "12abc", 5);
}

static void wire_shm_send__short_record_is_one_line(void **state)
{
	struct fixture *f = *state;
	char bytes[WIRE_SHM_LINE_PAYLOAD] = { 0 };
	int n = 0;

	while (send_bytes(f->ab, 1, bytes, sizeof(bytes)) == 0)
		n++;
	assert_int_equal(n, (32 << 10) / 64 - 1);
	for (; n > 0; n -= poll_drop(f->b))
		;
	assert_int_equal(n, 0);
}

static void wire_shm_send__full_ring_has_room_after_give_back(void **state)
{
	struct fixture *f = *state;
	static char big[WIRE_SHM_MAX];
	int sent = 0, got = 0, n;

	while (send_bytes(f->ab, 1, big, sizeof(big)) == 0)
		sent++;
	assert_int_equal(send_bytes(f->ab, 1, big, sizeof(big)), -EAGAIN);
	assert_false(wire_shm_can_send(f->ab, sizeof(big)));
	assert_int_equal(sent, 3);
	while ((n = poll_drop(f->b)))
		got += n;
	assert_int_equal(got, sent);
	assert_true(wire_shm_can_send(f->ab, sizeof(big)));
	assert_int_equal(send_bytes(f->ab, 1, big, sizeof(big)), 0);
}

/* What is lent is not overwritten before it is given back. */
static void wire_shm_send__spares_what_is_on_loan(void **state)
{
	struct fixture *f = *state;
	char bytes[200];
	struct wire_shm_pkt pkt[4];
	int i, n = 0;

	for (i = 0; i < 4; i++) {
		fill(bytes, sizeof(bytes), (uint64_t)i);
		assert_int_equal(send_bytes(f->ab, 1, bytes, 200), 0);
	}
	assert_int_equal(wire_shm_poll(f->b, pkt, 4), 4);
	fill(bytes, sizeof(bytes), 99);
	while (send_bytes(f->ab, 1, bytes, 200) == 0)
		n++;
	assert_true(n > 50);
	for (i = 0; i < 4; i++)
		assert_true(is_filled(pkt[i].data, 200, (uint64_t)i));
	wire_shm_give_back(f->b);
}

static void wire_shm_poll__stops_at_max(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_pkt pkt[3];
	int i;

	for (i = 0; i < 5; i++)
		assert_int_equal(send_bytes(f->ab, (uint32_t)i, "x", 1), 0);
	assert_int_equal(wire_shm_poll(f->b, pkt, 3), 3);
	assert_int_equal(pkt[2].word, 2);
	wire_shm_give_back(f->b);
	assert_int_equal(wire_shm_poll(f->b, pkt, 3), 2);
	assert_int_equal(pkt[1].word, 4);
	wire_shm_give_back(f->b);
}

/* Random lengths over many laps; can_send says what send does. */
static void wire_shm_can_send__agrees_with_send(void **state)
{
	struct fixture *f = *state;
	static char bytes[WIRE_SHM_MAX];
	uint64_t seed = test_seed(), out = 0, in = 0;
	struct wire_shm_pkt pkt[8];
	size_t len;
	int i, n, rc;
	bool can;

	while (in < 200000) {
		len = next_random(&seed) % 4 ?
			      next_random(&seed) % 300 :
			      next_random(&seed) % (WIRE_SHM_MAX + 1);
		can = wire_shm_can_send(f->ab, len);
		memcpy(bytes, &out, u_min(len, 8));
		rc = send_bytes(f->ab, (uint32_t)out, bytes, len);
		assert_int_equal(rc, can ? 0 : -EAGAIN);
		out += rc == 0;
		if (can && next_random(&seed) % 8)
			continue;
		n = wire_shm_poll(f->b, pkt, (int)(next_random(&seed) % 8));
		for (i = 0; i < n; i++, in++) {
			assert_int_equal(pkt[i].word, (uint32_t)in);
			assert_memory_equal(pkt[i].data, &in,
					    u_min(pkt[i].len, 8));
		}
		wire_shm_give_back(f->b);
	}
}

/*
 * User data that looks like control words of the laps to come, at the very
 * places where they would stand, must not be taken for records.
 */
static void wire_shm_poll__takes_no_payload_for_a_record(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = test_seed(), out = 0, in = 0, v;
	static uint64_t words[WIRE_SHM_MAX / 8];
	struct wire_shm_pkt pkt[8];
	int i, n;

	while (in < 50000) {
		size_t len = next_random(&seed) % 3 ? next_random(&seed) % 57 :
						      next_random(&seed) % 3000;
		/* lap of the ring that far behind, and the next ones */
		v = UINT64_C(0xbad) << 32 | 8 << 16 | 0x8000;
		v |= (out * 9 / 512 + next_random(&seed) % 8) & 0x7fff;
		for (i = 0; i < (int)u_array_size(words); i++)
			words[i] = v;
		for (i = 0; i < 20; i++)
			out += send_bytes(f->ab, (uint32_t)out, words, len) ==
			       0;
		while ((n = wire_shm_poll(f->b, pkt, 8))) {
			for (i = 0; i < n; i++)
				assert_int_equal(pkt[i].word, (uint32_t)in++);
			wire_shm_give_back(f->b);
		}
		assert_int_equal(in, out);
	}
}

/* The lap has 15 bits: more laps than that. */
static void wire_shm_poll__laps_wrap(void **state)
{
	struct fixture *f = *state;
	static char bytes[4096];
	uint32_t i, n = 40000 * 8;

	for (i = 0; i < n; i++) {
		assert_int_equal(send_bytes(f->ab, i, bytes, i % 4096), 0);
		assert_int_equal(poll_one(f->b, NULL).word, i);
	}
	assert_int_equal(wire_shm_stats(f->b)->bad_records, 0);
}

/* The kernel kills whoever calls it, but for read, write and exit. */
static void to_and_fro(struct child *c, struct fixture *f)
{
	struct wire_shm_pkt pkt[4];
	char bytes[2000] = { 0 };
	uint32_t i;
	int n;

	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
	for (i = 0; i < 100000; i++) {
		if (send_bytes(f->ab, i, bytes, i % 50 ? i % 50 : 2000))
			break;
		if (i % 3)
			continue;
		while ((n = wire_shm_poll(f->b, pkt, 4)))
			wire_shm_give_back(f->b);
	}
	syscall(SYS_exit, i == 100000 ? 0 : 1);
}

static void wire_shm_send__and_poll_make_no_system_call(void **state)
{
	struct fixture *f = *state;
	struct child c;

	if (SANITIZED_THREAD)
		skip(); /* makes some itself */
	/* The lane is known from here on. */
	poll_drop(f->b);
	child_start(&c, to_and_fro, f);
	assert_int_equal(child_end(&c), 0);
}

static void wire_shm_set_pressure__holds_requests_only(void **state)
{
	struct fixture *f = *state;

	wire_shm_set_pressure(f->b, true);
	assert_int_equal(wire_shm_send(f->ab, 1, WIRE_SHM_REQUEST, "x", 1, NULL,
				       0, 0),
			 -EAGAIN);
	assert_int_equal(wire_shm_send(f->ab, 2, 0, "x", 1, NULL, 0, 0), 0);
	wire_shm_set_pressure(f->b, false);
	assert_int_equal(wire_shm_send(f->ab, 3, WIRE_SHM_REQUEST, "x", 1, NULL,
				       0, 0),
			 0);
	assert_int_equal(poll_one(f->b, NULL).word, 2);
	assert_int_equal(poll_one(f->b, NULL).word, 3);
}

static void wire_shm_arm__tells_the_sender_once(void **state)
{
	struct fixture *f = *state;
	int round;

	poll_drop(f->b);
	for (round = 0; round < 3; round++) {
		assert_int_equal(wire_shm_arm(f->b), 0);
		assert_int_equal(send_bytes(f->ab, 1, "x", 1), 1);
		assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
		wire_shm_disarm(f->b);
		assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
		assert_int_equal(poll_drop(f->b), 3);
	}
}

static void wire_shm_arm__refuses_while_there_is_work(void **state)
{
	struct fixture *f = *state;

	/* The lane that just opened. */
	assert_int_equal(wire_shm_arm(f->b), 1);
	poll_drop(f->b);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(wire_shm_arm(f->b), 1);
	/* It is not armed then. */
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 2);
	assert_int_equal(wire_shm_arm(f->b), 0);
	wire_shm_disarm(f->b);
}

static void wire_shm_arm__tells_every_sender(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id b = id_of(2);
	struct wire_shm_link *l;

	assert_int_equal(wire_shm_link_open(f->a, &b, &l), 0);
	poll_drop(f->b);
	assert_int_equal(wire_shm_arm(f->b), 0);
	assert_int_equal(send_bytes(l, 1, "x", 1), 1);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 1);
	wire_shm_disarm(f->b);
	wire_shm_link_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(wire_shm_open__makes_a_private_file),
		IN_PAIR(wire_shm_open__refuses_an_address_in_use),
		IN_DIR(wire_shm_open__removes_what_the_dead_left),
		IN_DIR(wire_shm_open__says_that_there_is_no_directory),
		IN_DIR(wire_shm_open__refuses_bad_config),
		IN_DIR(wire_shm_close__removes_the_file),
		IN_PAIR(wire_shm_close__ends_the_senders),
		IN_PAIR(wire_shm_close__ends_a_sender_with_a_full_ring),
		IN_PAIR(wire_shm_poll__is_empty_at_first),
		IN_PAIR(wire_shm_source__names_the_sender),
		IN_PAIR(wire_shm_send__every_length),
		IN_PAIR(wire_shm_send__stops_at_len),
		IN_PAIR(wire_shm_send__short_record_is_one_line),
		IN_PAIR(wire_shm_send__full_ring_has_room_after_give_back),
		IN_PAIR(wire_shm_send__spares_what_is_on_loan),
		IN_PAIR(wire_shm_poll__stops_at_max),
		IN_PAIR(wire_shm_can_send__agrees_with_send),
		IN_PAIR(wire_shm_poll__takes_no_payload_for_a_record),
		IN_PAIR(wire_shm_poll__laps_wrap),
		IN_PAIR(wire_shm_send__and_poll_make_no_system_call),
		IN_PAIR(wire_shm_set_pressure__holds_requests_only),
		IN_PAIR(wire_shm_arm__tells_the_sender_once),
		IN_PAIR(wire_shm_arm__refuses_while_there_is_work),
		IN_PAIR(wire_shm_arm__tells_every_sender),
	};

	return cmocka_run_group_tests_name("wire_shm", tests, NULL, NULL);
}
