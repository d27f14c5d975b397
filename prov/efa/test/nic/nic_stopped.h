/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_stopped.h - a peer that was stopped in the middle of a copy
 */
#ifndef NIC_STOPPED_H
#define NIC_STOPPED_H

#include "nic/nic.h"

struct nic_stopped {
	struct nic_mirror *mirror;
	struct nic_pin *pin;
};

/* It copies by this key; the nic waits for a millisecond. shm_dir: its. */
void nic_stopped_open(struct nic_stopped *s, struct nic *nic,
		      const char *shm_dir, uint32_t rkey);
/* It has ended. */
void nic_stopped_close(struct nic_stopped *s);

#endif
