/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_atomic_apply.c - elements in memory are changed, each one atomically
 *
 * What the processor can exchange it does: a loop of compare-and-exchange that
 * starts anew when somebody else was quicker. All other elements are changed
 * with a lock of the process held. Which of the two it is depends on address
 * and size alone, so that all who change an element do it in the same way.
 *
 * An element that stays as it is is not written: it may be readable only.
 */
#include "rdm/rdm_atomic_op.h"

#include <pthread.h>
#include <string.h>

#include "util/u_base.h"

/* One element, aligned for every datatype. */
struct element {
	_Alignas(RDM_ATOMIC_ELEMENT_MAX) uint8_t bytes[RDM_ATOMIC_ELEMENT_MAX];
};

/* Rank 9 of efa_arch(7), the innermost one. */
static pthread_mutex_t unwieldy = PTHREAD_MUTEX_INITIALIZER;

#define EXCHANGE(bits)                                                         \
	static void exchange_##bits(rdm_atomic_fn *fn, void *at,               \
				    const struct element *operand,             \
				    const struct element *compare,             \
				    struct element *before)                    \
	{                                                                      \
		typedef uint##bits##_t word __attribute__((may_alias));        \
		word *target = at;                                             \
		word seen = __atomic_load_n(target, __ATOMIC_SEQ_CST), want;   \
		struct element after;                                          \
                                                                               \
		do {                                                           \
			memcpy(before->bytes, &seen, sizeof(seen));            \
			memcpy(after.bytes, &seen, sizeof(seen));              \
			fn(&after, before, operand, compare);                  \
			memcpy(&want, after.bytes, sizeof(want));              \
		} while (want != seen &&                                       \
			 !__atomic_compare_exchange_n(target, &seen, want,     \
						      false, __ATOMIC_SEQ_CST, \
						      __ATOMIC_SEQ_CST));      \
	}

EXCHANGE(8)
EXCHANGE(16)
EXCHANGE(32)
EXCHANGE(64)

static void change_locked(const struct rdm_atomic_work *work, void *at,
			  const struct element *operand,
			  const struct element *compare, struct element *before)
{
	struct element after;

	pthread_mutex_lock(&unwieldy);
	memcpy(before->bytes, at, work->size);
	after = *before;
	work->fn(&after, before, operand, compare);
	if (memcmp(after.bytes, before->bytes, work->size) != 0)
		memcpy(at, after.bytes, work->size);
	pthread_mutex_unlock(&unwieldy);
}

static void change(const struct rdm_atomic_work *work, void *at,
		   const struct element *operand, const struct element *compare,
		   struct element *before)
{
	bool aligned = ((uintptr_t)at & (work->size - 1)) == 0;

	switch (aligned ? work->size : 0) {
	case 1:
		exchange_8(work->fn, at, operand, compare, before);
		break;
	case 2:
		exchange_16(work->fn, at, operand, compare, before);
		break;
	case 4:
		exchange_32(work->fn, at, operand, compare, before);
		break;
	case 8:
		exchange_64(work->fn, at, operand, compare, before);
		break;
	default:
		change_locked(work, at, operand, compare, before);
		break;
	}
}

/* Element i of a list that a peer may be writing, or zero. */
static void copy_out(struct element *element, const void *list, size_t offset,
		     uint32_t size)
{
	if (list)
		memcpy(element->bytes, (const uint8_t *)list + offset, size);
}

void rdm_atomic_apply(const struct rdm_atomic_work *work)
{
	struct element operand = { { 0 } }, compare = { { 0 } };
	struct element before = { { 0 } };

	for (size_t i = 0; i < work->n; i++) {
		size_t offset = i * work->size;

		copy_out(&operand, work->operand, offset, work->size);
		copy_out(&compare, work->compare, offset, work->size);
		u_copied_out();
		change(work, (uint8_t *)work->target + offset, &operand,
		       &compare, &before);
		if (work->before)
			memcpy((uint8_t *)work->before + offset, before.bytes,
			       work->size);
	}
}
