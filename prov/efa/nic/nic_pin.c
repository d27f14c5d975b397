/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_pin.c - who is copying directly at this moment, by which key
 *
 * The lowest pins are taken first, so that an owner looks at few. Taking one is
 * locking its byte; the lock is one of the open file, so what other threads of
 * this process hold is known by bits of ours.
 */
#include "nic_pin.h"

#include <errno.h>
#include <time.h>

#include "util/u_base.h"
#include "util/u_time.h"

#define LOOKS 1000 /* in a row, before the owner sleeps between them */
#define NAP (20 * U_USEC)
#define ALIVE_EVERY U_MSEC /* the peer's lock is looked at */

static struct nic_pin *pin_at(const struct wire_shm_file *f, uint32_t index)
{
	char *base = f->base;

	return (struct nic_pin *)(base + nic_mirror_pin_offset(index));
}

static uint32_t index_of(const struct wire_shm_file *f,
			 const struct nic_pin *pin)
{
	return (uint32_t)(pin - pin_at(f, 0));
}

/* ---- the peer --------------------------------------------------------------- */

/* The owner looks at pins below n. */
static void npins_raise(const struct wire_shm_file *f, uint32_t n)
{
	struct nic_mirror_header *h = f->base;
	uint32_t old = atomic_load(&h->npins);

	/* PIN: before any of them is set. */
	while (old < n && !atomic_compare_exchange_weak(&h->npins, &old, n))
		;
}

static int pin_open(struct wire_shm_file *f, uint32_t index,
		    struct nic_pin **out)
{
	int rc = wire_shm_file_reserve(f, nic_mirror_pin_offset(index),
				       sizeof(struct nic_pin));

	if (rc)
		return rc;
	*out = pin_at(f, index);
	/* Who died in the middle of a copy has left his. */
	nic_pin_clear(*out);
	npins_raise(f, index + 1);
	return 0;
}

int nic_pin_take(struct wire_shm_file *f, uint64_t *taken, struct nic_pin **out)
{
	for (uint32_t i = 0; i < NIC_PINS_MAX; i++) {
		uint64_t bit = UINT64_C(1) << i % 64;
		int rc;

		if (taken[i / 64] & bit)
			continue;
		rc = wire_shm_file_lock(f, i);
		if (rc == -EAGAIN)
			continue;
		if (!rc)
			rc = pin_open(f, i, out);
		if (!rc)
			taken[i / 64] |= bit;
		else
			wire_shm_file_unlock(f, i);
		return rc;
	}
	return -ENOSPC;
}

void nic_pin_give_back(struct wire_shm_file *f, uint64_t *taken,
		       struct nic_pin *pin)
{
	uint32_t i = index_of(f, pin);

	taken[i / 64] &= ~(UINT64_C(1) << i % 64);
	wire_shm_file_unlock(f, i);
}

/* ---- the owner -------------------------------------------------------------- */

/*
 * How many pins there are. A peer gives them memory before it says so; this
 * makes sure, as a touch of what has none may end the process.
 */
static uint32_t pins_known(struct nic_pins *pins)
{
	struct wire_shm_file *f = pins->file;
	const struct nic_mirror_header *h = f->base;
	uint32_t n = u_min(atomic_load(&h->npins), NIC_PINS_MAX); /* PIN */
	uint32_t old =
		atomic_load_explicit(&pins->backed, memory_order_relaxed);
	size_t first = nic_mirror_pin_offset(0);

	if (u_likely(n <= old))
		return n;
	if (wire_shm_file_reserve(f, first, nic_mirror_pin_offset(n) - first))
		return old;
	while (old < n && !atomic_compare_exchange_weak(&pins->backed, &old, n))
		;
	return n;
}

/* Whoever copies is done within one slice, unless it does not run. */
static U_COLD int pin_wait(const struct nic_pins *pins, uint32_t index,
			   uint32_t key)
{
	const struct nic_pin *pin = pin_at(pins->file, index);
	uint64_t begun = u_now(), now, look_at = begun + ALIVE_EVERY;

	for (uint32_t looks = 0; atomic_load(&pin->key) == key; looks++) {
		if (looks < LOOKS) {
			u_relax();
			continue;
		}
		nanosleep(&(struct timespec){ .tv_nsec = NAP }, NULL);
		now = u_now();
		if (now < look_at)
			continue;
		look_at = now + ALIVE_EVERY;
		if (!wire_shm_file_locked(pins->file, index))
			return 0;
		if (now - begun > pins->wait)
			return -EBUSY;
	}
	return 0;
}

int nic_pins_wait(struct nic_pins *pins, uint32_t key)
{
	uint32_t n = pins->file->base ? pins_known(pins) : 0;
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++)
		if (u_unlikely(atomic_load(&pin_at(pins->file, i)->key) == key))
			rc = pin_wait(pins, i, key); /* PIN */
	return rc;
}
