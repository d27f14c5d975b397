/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_mem.c - the pinned memory of a UD wire: buffers that come with need
 *
 * What may be pinned is limited, by default to 8 MiB of a process, so an
 * endpoint starts with little. Receive buffers become twice as many when many
 * packets come in a row, up to what was wanted; send buffers become more when
 * all are under way. All lie in one mapping, and are registered in pieces of
 * whole pages: with fork protection those are not the child's.
 */
#include "wire/wire_ud_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "util/u_log.h"

#define RX_FIRST (1u << 20) /* bytes of receive buffers */

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
		       "(RLIMIT_MEMLOCK). An endpoint wants %zu KiB: raise it "
		       "(ulimit -l, LimitMEMLOCK of systemd, memlock in "
		       "/etc/security/limits.conf)",
		       w->info.device, bytes >> 10, (unsigned long long)limit,
		       w->mem_len >> 10);
}

static void tell_fewer(const struct wire_ud *w)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&told))
		return;
	u_warn("%s: an endpoint has %u receive buffers instead of %u, so "
	       "packets get lost under load: %zu KiB are pinned and %zu KiB "
	       "are wanted: raise ulimit -l, which is %llu KiB",
	       w->info.device, w->rx.n, w->rx.max,
	       ((size_t)w->rx.n * w->rx.stride) >> 10,
	       ((size_t)w->rx.max * w->rx.stride) >> 10,
	       (unsigned long long)limit_kib());
}

/* Chunks are whole pages, as a buffer is whole lines. */
static uint32_t align_down(uint32_t n)
{
	return n / WIRE_UD_CHUNK * WIRE_UD_CHUNK;
}

/* Registers n buffers behind those that are; 0 or errno. */
static int rx_register(struct wire_ud *w, uint32_t n)
{
	struct wire_ud_rx *rx = &w->rx;
	uint8_t *at = wire_ud_rx_buffer(rx, rx->n);
	struct ibv_mr *mr = ibv_reg_mr(w->pd, at, (size_t)n * rx->stride,
				       IBV_ACCESS_LOCAL_WRITE);

	if (!mr)
		return errno ? errno : ENOMEM;
	rx->mr[rx->nmrs++] = mr;
	for (; n; n--, rx->n++, at += rx->stride) {
		rx->sge[rx->n] = (struct ibv_sge){ .addr = (uintptr_t)at,
						   .length = rx->stride,
						   .lkey = mr->lkey };
		rx->wr[rx->n] = (struct ibv_recv_wr){
			.wr_id = rx->n,
			.sg_list = &rx->sge[rx->n],
			.num_sge = 1,
		};
	}
	return 0;
}

/* Registers the next chunk of send buffers; 0 or errno. */
static int tx_register(struct wire_ud *w)
{
	struct wire_ud_tx *tx = &w->tx;
	struct ibv_mr *mr = ibv_reg_mr(
		w->pd, wire_ud_tx_buffer(tx, tx->nmrs * WIRE_UD_CHUNK),
		(size_t)WIRE_UD_CHUNK * tx->stride, IBV_ACCESS_LOCAL_WRITE);

	if (!mr)
		return errno ? errno : ENOMEM;
	for (uint32_t i = 0; i < WIRE_UD_CHUNK; i++)
		tx->free[tx->nfree++] =
			(uint16_t)(tx->nmrs * WIRE_UD_CHUNK + i);
	tx->mr[tx->nmrs++] = mr;
	return 0;
}

bool wire_ud_mem_more_rx(struct wire_ud *w)
{
	struct wire_ud_rx *rx = &w->rx;
	uint32_t more = (uint32_t)u_min(rx->n, rx->max - rx->n);

	if (!rx_register(w, more))
		return true;
	tell_fewer(w);
	rx->max = rx->n;
	return false;
}

bool wire_ud_mem_more_tx(struct wire_ud *w)
{
	if (w->tx.nmrs == w->tx.max_mrs)
		return false;
	if (!tx_register(w))
		return true;
	w->tx.max_mrs = w->tx.nmrs;
	return false;
}

/* As many as can be had of the first receive buffers; 0 or errno. */
static int rx_first(struct wire_ud *w)
{
	uint32_t n = align_down(RX_FIRST / w->rx.stride);
	int error;

	n = (uint32_t)u_min(u_max(n, WIRE_UD_CHUNK), w->rx.max);
	error = rx_register(w, n);
	if (!error)
		return 0;
	while (error && n > WIRE_UD_CHUNK) {
		n = align_down((uint32_t)u_max(n / 2, WIRE_UD_CHUNK));
		error = rx_register(w, n);
	}
	if (!error && w->rx.n < w->rx.max) {
		tell_fewer(w);
		w->rx.max = w->rx.n;
	}
	return error;
}

int wire_ud_mem_init(struct wire_ud *w, uint32_t rx_wanted)
{
	struct wire_ud_tx *tx = &w->tx;
	struct wire_ud_rx *rx = &w->rx;
	size_t rx_len;
	int error;

	rx->max = align_down(rx_wanted);
	tx->max_mrs = w->wire.paths * WIRE_UD_DEPTH / WIRE_UD_CHUNK;
	rx_len = (size_t)rx->max * rx->stride;
	w->mem_len = rx_len + (size_t)tx->max_mrs * WIRE_UD_CHUNK * tx->stride;
	w->mem = mmap(NULL, w->mem_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->mem == MAP_FAILED)
		return -ENOMEM;
	/* A huge page would be there as a whole. */
	madvise(w->mem, w->mem_len, MADV_NOHUGEPAGE);
	rx->mem = w->mem;
	tx->mem = w->mem + rx_len;
	error = tx_register(w);
	if (!error)
		error = rx_first(w);
	if (!error)
		return 0;
	tell_refused(w, (size_t)WIRE_UD_CHUNK * (rx->stride + tx->stride),
		     error);
	wire_ud_mem_fini(w);
	return -error;
}

void wire_ud_mem_fini(struct wire_ud *w)
{
	for (uint32_t i = 0; i < w->rx.nmrs; i++)
		ibv_dereg_mr(w->rx.mr[i]);
	for (uint32_t i = 0; i < w->tx.nmrs; i++)
		ibv_dereg_mr(w->tx.mr[i]);
	munmap(w->mem, w->mem_len);
}
