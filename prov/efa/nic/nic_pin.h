/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_pin.h - who is copying directly at this moment, by which key
 *
 * Behind the keys of a mirror lie pins, a word in lines of its own for each
 * peer that copies with the kernel's help. An owner who takes a key away waits
 * for those that have it pinned, so a copy that began while the key was good is
 * over when the memory goes.
 *
 *   peer:  pin = key                      owner:  key word of the slot = 0
 *          -------- [PIN] --------                -------- [PIN] --------
 *          key word of the slot; copy             pins: wait for its key
 *          pin = 0, released                      acquired
 *
 * Edge PIN: both sides store, then load what the other has stored, and all four
 * are sequentially consistent, so one of them sees the other: the peer that
 * there is no key, or the owner that there is a copy. A peer pays one fence
 * beside a system call; the scheme of wire_shm_barrier.c would spare it, and
 * cost every owner a system call for each region.
 *
 * A pin belongs to who holds its lock in the file, which the kernel drops with
 * the process: a copy of somebody dead is over.
 */
#ifndef NIC_PIN_H
#define NIC_PIN_H

#include "nic_mirror.h"

/* ---- the peer --------------------------------------------------------------- */

/*
 * The lowest pin that nobody has. taken: the bits of those that this process
 * has, [NIC_PINS_MAX / 64], which one thread at a time may use. -ENOSPC: none
 * is left, or no memory for it; others of fcntl(2).
 */
int nic_pin_take(struct wire_shm_file *f, uint64_t *taken,
		 struct nic_pin **pin);
void nic_pin_give_back(struct wire_shm_file *f, uint64_t *taken,
		       struct nic_pin *pin);

/* Then look at the key. */
static inline void nic_pin_set(struct nic_pin *pin, uint32_t key)
{
	atomic_store(&pin->key, key); /* PIN */
}

/* Release: whoever sees it may free what was copied. */
static inline void nic_pin_clear(struct nic_pin *pin)
{
	atomic_store_explicit(&pin->key, 0, memory_order_release);
}

/* ---- the owner -------------------------------------------------------------- */

/* Pins are looked at by any thread. */
struct nic_pins {
	struct wire_shm_file *file; /* base NULL: nobody copies directly */
	uint64_t wait; /* ns for one that is set, NIC_PIN_WAIT */
	_Atomic uint32_t backed; /* pins that are known to have memory */
};

/*
 * Waits for peers that copy by a key whose word is cleared. -EBUSY: somebody
 * living has not ended in pins->wait, as he was stopped.
 */
int nic_pins_wait(struct nic_pins *pins, uint32_t key);

#endif
