/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_mem.c - the pinned memory of a UD wire: one region for all packets
 *
 * What may be pinned is limited, by default to 8 MiB of a process, so fewer
 * receive buffers are taken when not all can be had. The region consists of
 * whole pages: with fork protection they are not the child's.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/u_log.h"

static size_t bytes_of(const struct wire_ud *w, uint32_t rx_n)
{
	size_t bytes = (size_t)rx_n * w->rx.stride +
		       (size_t)w->wire.paths * WIRE_UD_DEPTH * w->tx.stride;

	return u_align(bytes, (size_t)sysconf(_SC_PAGESIZE));
}

/* Kilobytes; UINT64_MAX: none. */
static uint64_t limit_kib(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_MEMLOCK, &r) || r.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return r.rlim_cur >> 10;
}

static void tell_refused(const struct wire_ud *w, size_t bytes, int error)
{
	uint64_t limit = limit_kib();

	if (error != ENOMEM || limit == UINT64_MAX)
		u_warn("%s: %zu KiB cannot be registered for packets: %s",
		       w->info.device, bytes >> 10, strerror(error));
	else
		u_warn("%s: %zu KiB of memory cannot be pinned for the packets "
		       "of an endpoint: this process may lock %llu KiB in all "
		       "(RLIMIT_MEMLOCK). Each endpoint wants %zu KiB: raise "
		       "it (ulimit -l, LimitMEMLOCK of systemd, memlock in "
		       "/etc/security/limits.conf)",
		       w->info.device, bytes >> 10, (unsigned long long)limit,
		       bytes >> 10);
}

static void tell_fewer(const struct wire_ud *w, uint32_t wanted, uint32_t got)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&told))
		return;
	u_warn("%s: an endpoint has %u receive buffers instead of %u, so "
	       "packets get lost under load: %zu KiB may be pinned and %zu KiB "
	       "are wanted: raise ulimit -l, which is %llu KiB",
	       w->info.device, got, wanted, bytes_of(w, got) >> 10,
	       bytes_of(w, wanted) >> 10, (unsigned long long)limit_kib());
}

/* 0 or errno; what was mapped is unmapped. */
static int try_pin(struct wire_ud *w, uint32_t rx_n)
{
	size_t len = bytes_of(w, rx_n);
	int error;

	w->mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->mem == MAP_FAILED)
		return ENOMEM;
	w->mr = ibv_reg_mr(w->pd, w->mem, len, IBV_ACCESS_LOCAL_WRITE);
	if (w->mr) {
		w->mem_len = len;
		return 0;
	}
	error = errno ? errno : ENOMEM;
	munmap(w->mem, len);
	return error;
}

static void share_out(struct wire_ud *w)
{
	uint8_t *at = w->mem;

	w->rx.mem = at;
	at += (size_t)w->rx.n * w->rx.stride;
	for (uint32_t i = 0; i < w->wire.paths; i++) {
		w->path[i].mem = at;
		at += (size_t)WIRE_UD_DEPTH * w->tx.stride;
	}
}

int wire_ud_mem_init(struct wire_ud *w, uint32_t wanted)
{
	uint32_t n = wanted;
	int error = try_pin(w, n);

	while (error && n > WIRE_UD_RX_MIN) {
		n = (uint32_t)u_max(n / 2, WIRE_UD_RX_MIN);
		error = try_pin(w, n);
	}
	if (error) {
		tell_refused(w, bytes_of(w, n), error);
		return -error;
	}
	if (n < wanted)
		tell_fewer(w, wanted, n);
	w->rx.n = n;
	share_out(w);
	return 0;
}

void wire_ud_mem_fini(struct wire_ud *w)
{
	ibv_dereg_mr(w->mr);
	munmap(w->mem, w->mem_len);
}
