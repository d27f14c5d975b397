/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_cntr.c - a counter counts, and wakes who sleeps until it does
 *
 * Whoever drives an endpoint counts, which need not be the thread that waits.
 * The sleeper sets `sleeping` and then looks at the counts; who counts looks at
 * `sleeping` afterwards: with sequential consistency one of them sees the
 * other.
 */
#include "rdm/rdm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/u_base.h"
#include "util/u_log.h"

static U_COLD void wake(struct rdm_cntr *cntr)
{
	uint64_t one = 1;

	if (!atomic_exchange(&cntr->sleeping, false) || cntr->fd < 0)
		return;
	if (write(cntr->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		u_warn("counter: cannot signal: %s", strerror(errno));
}

void rdm_cntr_add(struct rdm_cntr *cntr, bool ok)
{
	atomic_fetch_add(ok ? &cntr->ok : &cntr->failed, 1);
	if (u_unlikely(atomic_load(&cntr->sleeping)))
		wake(cntr);
}
