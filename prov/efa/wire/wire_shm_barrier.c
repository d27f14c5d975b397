/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_barrier.c - one side of a Dekker pair pays for both
 *
 * A sender stores a record and then loads "does the receiver sleep?"; the
 * receiver stores "I sleep" and then looks for records. Without a full fence
 * at both ends each can miss the other. A sender does this for every record,
 * a receiver before a sleep of microseconds: so the receiver asks the kernel
 * to fence all running threads of all processes that joined (membarrier,
 * global expedited), and a sender only keeps the order of its program.
 *
 * Who fences when: the owner says WIRE_SHM_FENCE in its header when it could
 * not join; a sender fences when that is said, or when it could not join
 * itself. The receiver's own fence is part of wire_shm_barrier either way.
 */
#include "wire/wire_shm_priv.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static long membarrier(int cmd)
{
#ifdef SYS_membarrier
	return syscall(SYS_membarrier, cmd, 0, 0);
#else
	(void)cmd;
	return -1;
#endif
}

bool wire_shm_barrier_join(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

bool wire_shm_barrier(bool expedited)
{
	if (expedited)
		return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
	wire_shm_order(true);
	return true;
}
