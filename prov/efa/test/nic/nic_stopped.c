/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_stopped.c - a peer that was stopped in the middle of a copy
 */
#include "nic_stopped.h"

#include <stdlib.h>

#include "nic/nic_pin.h"
#include "nic/nic_priv.h"

void nic_stopped_open(struct nic_stopped *s, struct nic *nic,
		      const char *shm_dir, uint32_t rkey)
{
	nic->keys.pins.wait = U_MSEC;
	if (nic_mirror_open(shm_dir, nic->keys.tag, &s->mirror) ||
	    nic_mirror_pin(s->mirror, &s->pin))
		abort();
	nic_pin_set(s->pin, rkey);
}

void nic_stopped_close(struct nic_stopped *s)
{
	nic_pin_clear(s->pin);
	nic_mirror_unpin(s->mirror, s->pin);
	nic_mirror_close(s->mirror);
}
