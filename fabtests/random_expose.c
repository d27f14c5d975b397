/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_expose.c - memory for peers to access: slots, their regions, shadows
 *
 *   FREE --- rnd_slot_take ---> an initiator has it --- unchanged ---> FREE
 *                                    | changed, he was told so
 *                                    v
 *                SETTLING: memory has to become what its shadow is --> FREE
 *
 * The shadow says what has to be there and is changed by the initiator. A write
 * may be on its way to the target when its initiator has an entry, so the owner
 * looks until it is there; with FI_DELIVERY_COMPLETE it is there at once.
 */
#include "random.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN 64u
#define SETTLE_NS 30000000000u
#define NUMBERS_MAX 11

static size_t size_of_slot(int slot, size_t max)
{
	static const struct {
		int upto;
		size_t size;
	} sizes[] = {
		{ 6, 16384 },
		{ 11, 262144 },
		{ 14, 1u << 20 },
		{ RND_RMA_SLOTS, SIZE_MAX },
		{ RND_RMA_SLOTS + 10, 1024 },
		{ RND_SLOTS, 9216 },
	};
	int i = 0;

	while (slot >= sizes[i].upto)
		i++;
	return sizes[i].size < max || slot >= RND_RMA_SLOTS ? sizes[i].size :
							      max;
}

static size_t room_of_slot(int slot, size_t max)
{
	return (size_of_slot(slot, max) + RND_GUARD + ALIGN - 1) / ALIGN *
	       ALIGN;
}

static size_t offset_of_slot(int slot, size_t max)
{
	size_t at = ALIGN;

	for (int i = 0; i < slot; i++)
		at += room_of_slot(i, max);
	return at;
}

size_t rnd_arena_size(size_t max)
{
	return offset_of_slot(RND_SLOTS, max) + RND_CELLS * sizeof(uint64_t) +
	       RND_GUARD;
}

static struct fid_mr *expose(struct rnd_ep *e, char *p, size_t size,
			     uint64_t access)
{
	static uint64_t key = 0xefa;
	struct fid_mr *mr;

	ft_check("fi_mr_reg", fi_mr_reg(e->w->ft.domain, p, size, access, 0,
					key++, 0, &mr, NULL));
	return mr;
}

/* ---- a slot -------------------------------------------------------------------- */

static struct rnd_slot *slot_of(const struct rnd_ep *e, int slot)
{
	return &e->w->world->ep[e->id].slot[slot];
}

static uint64_t address_in(const struct rnd_ep *e, const char *p)
{
	uint64_t mode = (uint64_t)e->w->ft.info->domain_attr->mr_mode;

	return mode & (FI_MR_VIRT_ADDR | FI_MR_BASIC) ? (uintptr_t)p : 0;
}

static void register_slot(struct rnd_ep *e, int i, uint64_t access)
{
	struct rnd_slot *slot = slot_of(e, i);
	char *p = e->arena + slot->offset;

	e->mr[i] = expose(e, p, slot->size, access);
	slot->access = access;
	slot->addr = address_in(e, p);
	slot->key = fi_mr_key(e->mr[i]);
	rnd_slot_cntr_bind(e, i);
}

static void fill_numbers(struct rnd *w, struct rnd_slot *slot, char *p)
{
	size_t n;

	slot->type = (enum fi_datatype)rnd_below(w, NUMBER_TYPES);
	n = slot->size / number_size(slot->type);
	for (size_t k = 0; k < n; k++)
		number_put(slot->type, p, k,
			   (struct number){ (int)rnd_below(w, NUMBERS_MAX),
					    0 });
}

static void open_slot(struct rnd_ep *e, int i)
{
	struct rnd_slot *slot = slot_of(e, i);
	struct rnd *w = e->w;

	slot->offset = offset_of_slot(i, w->opt.max);
	slot->size = size_of_slot(i, w->opt.max);
	slot->old_key = 0;
	if (i < RND_RMA_SLOTS)
		pattern_fill(e->arena + slot->offset, slot->size, rnd_draw(w));
	else
		fill_numbers(w, slot, e->arena + slot->offset);
	register_slot(e, i, FI_REMOTE_READ | FI_REMOTE_WRITE);
	atomic_store(&slot->holder, RND_FREE);
}

static char *cells_of(const struct rnd_ep *e)
{
	return e->arena + offset_of_slot(RND_SLOTS, e->w->opt.max);
}

void rnd_arena_open(struct rnd_ep *e)
{
	struct rnd_public *p = &e->w->world->ep[e->id];
	size_t size = e->w->world->arena;

	e->arena = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
	if (!e->arena)
		ft_fail("out of memory: %zu bytes", size);
	memset(e->arena, 0, size);
	for (int i = 0; i < RND_SLOTS; i++)
		open_slot(e, i);
	memcpy(rnd_shadow(e->w, e->id, 0) - p->slot[0].offset, e->arena, size);
	e->cells = expose(e, cells_of(e), RND_CELLS * sizeof(uint64_t),
			  FI_REMOTE_READ | FI_REMOTE_WRITE);
	p->cell_addr = address_in(e, cells_of(e));
	p->cell_key = fi_mr_key(e->cells);
	for (int i = 0; i < RND_CELLS; i++)
		atomic_store(&p->cell[i], 0);
}

void rnd_arena_close(struct rnd_ep *e)
{
	for (int i = 0; i < RND_SLOTS; i++)
		ft_check("close mr", fi_close(&e->mr[i]->fid));
	rnd_slot_cntrs_close(e);
	ft_check("close mr", fi_close(&e->cells->fid));
	free(e->arena);
	e->arena = NULL;
}

/* ---- who has it ------------------------------------------------------------------ */

bool rnd_slot_take(struct rnd_ep *e, int peer, int slot)
{
	struct rnd_slot *s = &e->w->world->ep[peer].slot[slot];
	int free = RND_FREE;

	if (!atomic_compare_exchange_strong(&s->holder, &free, e->id))
		return false;
	atomic_store(&s->silent, RND_FREE);
	return true;
}

static void spoil(struct rnd_slot *slot, int holder)
{
	atomic_compare_exchange_strong(&slot->holder, &holder, RND_SPOILT);
}

void rnd_slots_spoil(struct rnd_ep *e)
{
	for (int peer = 0; peer < RND_EPS; peer++)
		for (int i = 0; i < RND_SLOTS; i++) {
			struct rnd_slot *slot = &e->w->world->ep[peer].slot[i];

			spoil(slot, e->id);
			if (atomic_load(&slot->silent) == e->id)
				spoil(slot, RND_SETTLING);
		}
}

void rnd_slot_give(struct rnd *w, int peer, int i, bool changed, size_t at,
		   size_t len, bool at_once)
{
	struct rnd_slot *slot = &w->world->ep[peer].slot[i];

	if (rnd_is_dead(w, peer))
		return;
	slot->at = at;
	slot->len = len;
	slot->at_once = at_once;
	slot->since = ft_now();
	atomic_store(&slot->holder, changed ? RND_SETTLING : RND_FREE);
}

/* A region goes, and another one comes, in a place that nobody accesses. */
void rnd_register_step(struct rnd_ep *e)
{
	static const uint64_t accesses[] = {
		FI_REMOTE_READ | FI_REMOTE_WRITE,
		FI_REMOTE_READ | FI_REMOTE_WRITE,
		FI_REMOTE_READ,
		FI_REMOTE_WRITE,
		FI_REMOTE_READ | FI_REMOTE_WRITE | FI_SEND | FI_RECV,
	};
	struct rnd *w = e->w;
	int i = (int)rnd_below(w, RND_SLOTS);
	struct rnd_slot *slot = slot_of(e, i);
	uint64_t old_key = slot->key, kind;

	w->doing = "register";
	if (!rnd_slot_take(e, e->id, i))
		return;
	/* A region that is closed counts no more what it has not yet. */
	if (!rnd_slot_counted(e, i)) {
		atomic_store(&slot->holder, RND_FREE);
		return;
	}
	ft_check("close mr", fi_close(&e->mr[i]->fid));
	kind = i < RND_RMA_SLOTS && w->opt.wrong ? rnd_below(w, 5) : 0;
	register_slot(e, i, accesses[kind]);
	slot->old_key = old_key;
	atomic_store(&slot->holder, RND_FREE);
	w->count[RND_N_REGISTER]++;
}

/* Of keys with 64 bits either half may be the one that counts. */
uint64_t rnd_wrong_key(uint64_t key)
{
	return key ^ (key >> 32 ? UINT64_C(0x0bad0b0d0bad0b0d) : 0x0bad0b0d);
}

/* ---- what is in it ---------------------------------------------------------------- */

/* Bytes of a long double mean nothing, and there are two zeroes. */
bool rnd_same_bytes(const struct rnd_slot *slot, bool numbers, const char *a,
		    const char *b, size_t len)
{
	size_t size;

	if (!memcmp(a, b, len))
		return true;
	if (!numbers)
		return false;
	size = number_size(slot->type);
	for (size_t i = 0; i < len / size; i++)
		if (!number_same(number_get(slot->type, a, i),
				 number_get(slot->type, b, i)))
			return false;
	return len % size == 0;
}

static bool in_order(const struct rnd_ep *e, int i, size_t at, size_t len)
{
	const struct rnd_slot *slot = slot_of(e, i);

	return rnd_same_bytes(slot, i >= RND_RMA_SLOTS,
			      e->arena + slot->offset + at,
			      rnd_shadow(e->w, e->id, i) + at, len);
}

static _Noreturn void fail_slot(struct rnd_ep *e, int i, const char *what)
{
	const struct rnd_slot *slot = slot_of(e, i);
	const char *is = e->arena + slot->offset;
	const char *must = rnd_shadow(e->w, e->id, i);
	size_t first = 0, last = slot->size - 1, wrong = 0;

	while (first < last && is[first] == must[first])
		first++;
	while (last > first && is[last] == must[last])
		last--;
	for (size_t at = first; at <= last; at++)
		wrong += is[at] != must[at];
	rnd_fail(e->w,
		 "%s: slot %d of endpoint %d, %zu bytes, changed %zu+%zu: byte "
		 "%zu is %02x, not %02x, and %zu more up to byte %zu are wrong",
		 what, i, e->id, slot->size, slot->at, slot->len, first,
		 (unsigned char)is[first], (unsigned char)must[first],
		 wrong - 1, last);
}

void rnd_settle(struct rnd_ep *e)
{
	struct rnd_slot *slot;
	int i = e->settle++ % RND_SLOTS;

	slot = slot_of(e, i);
	if (atomic_load(&slot->holder) != RND_SETTLING)
		return;
	if (in_order(e, i, slot->at, slot->len)) {
		atomic_store(&slot->holder, RND_FREE);
		return;
	}
	if (slot->at_once)
		fail_slot(e, i, "what was delivered is not there");
	if (ft_now() - slot->since > SETTLE_NS)
		fail_slot(e, i, "what was written has not come");
}

bool rnd_settled(const struct rnd_ep *e)
{
	for (int i = 0; i < RND_SLOTS; i++) {
		int holder = atomic_load(&slot_of(e, i)->holder);

		if (holder != RND_FREE && holder != RND_SPOILT)
			return false;
	}
	return true;
}

static void check_guards(struct rnd_ep *e)
{
	size_t max = e->w->opt.max;

	if (!rnd_is_zero(e->arena, ALIGN))
		rnd_fail(e->w, "bytes before the first slot were written");
	for (int i = 0; i < RND_SLOTS; i++) {
		const struct rnd_slot *slot = slot_of(e, i);
		size_t end = slot->offset + slot->size;

		if (!rnd_is_zero(e->arena + end,
				 offset_of_slot(i + 1, max) - end))
			rnd_fail(e->w, "bytes behind slot %d were written", i);
	}
}

void rnd_arena_check(struct rnd_ep *e)
{
	struct rnd_public *p = &e->w->world->ep[e->id];
	const uint64_t *cell = (const uint64_t *)(const void *)cells_of(e);

	for (int i = 0; i < RND_SLOTS; i++)
		if (atomic_load(&p->slot[i].holder) != RND_SPOILT &&
		    !in_order(e, i, 0, p->slot[i].size))
			fail_slot(e, i, "at the end of an epoch");
	check_guards(e);
	for (int i = 0; i < RND_CELLS && !rnd_any_dead(e->w); i++)
		if (cell[i] != atomic_load(&p->cell[i]))
			rnd_fail(e->w,
				 "cell %d of endpoint %d is %llu, not %llu", i,
				 e->id, (unsigned long long)cell[i],
				 (unsigned long long)atomic_load(&p->cell[i]));
}
