/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * direct_rma.c - writes and reads of efa_direct
 *
 * The target verifies what was written, the client what it has read; the bytes
 * around must stay as they were.
 */
#include "direct.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64u /* bytes on either side */
#define SPEED_BYTES (1u << 20)
#define SPEED_WINDOW 8u /* writes at once */
#define SPEED_NS 500000000u

/* ---- one operation ------------------------------------------------------- */

/* Waits for the end of the operation with d->context; its error, or 0. */
static int wait_rma(struct direct *d, struct fi_cq_err_entry *err)
{
	struct fi_cq_data_entry e;
	ssize_t n;

	while ((n = fi_cq_read(d->ft.txcq, &e, 1)) == -FI_EAGAIN)
		ft_idle(&d->ft);
	ft_busy(&d->ft);
	if (n == 1 && e.op_context == &d->context)
		return 0;
	if (n != -FI_EAVAIL || fi_cq_readerr(d->ft.txcq, err, 0) != 1)
		ft_fail("an entry that is none of ours (%zd)", n);
	if (err->op_context != &d->context)
		ft_fail("an error of another operation");
	return err->err;
}

static ssize_t rma_once(struct direct *d, bool read, size_t len, size_t at,
			uint64_t key)
{
	struct ft *ft = &d->ft;

	if (read)
		return fi_read(ft->ep, d->local.p, len, d->local.desc, ft->peer,
			       d->peer.addr + at, key, &d->context);
	return fi_write(ft->ep, d->local.p, len, d->local.desc, ft->peer,
			d->peer.addr + at, key, &d->context);
}

static int do_rma(struct direct *d, bool read, size_t len, size_t at,
		  uint64_t key, struct fi_cq_err_entry *err)
{
	ssize_t ret;

	while ((ret = rma_once(d, read, len, at, key)) == -FI_EAGAIN)
		direct_poll_tx(d);
	ft_check(read ? "fi_read" : "fi_write", (int)ret);
	return wait_rma(d, err);
}

static void must(struct direct *d, bool read, size_t len, size_t at)
{
	struct fi_cq_err_entry err = { 0 };

	if (do_rma(d, read, len, at, d->peer.key, &err))
		ft_fail("%zu bytes: %s", len,
			fi_cq_strerror(d->ft.txcq, err.prov_errno, err.err_data,
				       NULL, 0));
}

/* ---- many sizes ---------------------------------------------------------- */

static void check_bytes(const char *p, size_t len, uint64_t seed,
			const char *what)
{
	size_t at = pattern_check(p, len, seed);

	if (at != len)
		ft_fail("%s of %zu bytes: byte %zu is wrong", what, len, at);
}

static void check_guard(const char *p, const char *what)
{
	for (unsigned int i = 0; i < GUARD; i++)
		if (p[i] != 0x33)
			ft_fail("%s: a byte beside it has changed", what);
}

/* A write, what the target sees of it, and a read of the same. */
static void one_size(struct direct *d, size_t len)
{
	struct ft *ft = &d->ft;

	memset(d->target, 0x33, len + 2 * GUARD);
	ft_sync(ft);
	if (ft->client) {
		pattern_fill(d->local.p, len, len);
		must(d, false, len, GUARD);
	}
	ft_sync(ft);
	if (!ft->client) {
		check_bytes(d->target + GUARD, len, len, "a write");
		check_guard(d->target, "a write");
		check_guard(d->target + GUARD + len, "a write");
		pattern_fill(d->target + GUARD, len, ~len);
	}
	ft_sync(ft);
	if (ft->client) {
		memset(d->local.p + len, 0x33, GUARD);
		must(d, true, len, GUARD);
		check_bytes(d->local.p, len, ~len, "a read");
		check_guard(d->local.p + len, "a read");
	}
	ft_sync(ft);
}

void direct_rma(struct direct *d)
{
	size_t max = d->ft.opt.max - 2 * GUARD;

	one_size(d, 0);
	for (size_t len = 1; len < max; len *= 2) {
		one_size(d, len);
		if (len + 1 <= max)
			one_size(d, len + 1);
	}
	one_size(d, max);
	direct_tell(d, "writes and reads, to %zu bytes", max);
}

/* ---- with data ----------------------------------------------------------- */

static void write_data(struct direct *d, uint64_t i)
{
	size_t room = d->ft.opt.max / SLOTS;
	size_t len = 1 + pattern_mix(i) % (room < 20000 ? room : 20000);
	struct fi_cq_err_entry err = { 0 };
	ssize_t ret;

	pattern_fill(d->local.p, len, i);
	while ((ret = fi_writedata(d->ft.ep, d->local.p, len, d->local.desc,
				   (uint32_t)i, d->ft.peer,
				   d->peer.addr + i % SLOTS * room, d->peer.key,
				   &d->context)) == -FI_EAGAIN)
		direct_poll_tx(d);
	ft_check("fi_writedata", (int)ret);
	if (wait_rma(d, &err))
		ft_fail("a write with data: %s", fi_strerror(err.err));
}

/* The bytes are there before the data is told. */
static void see_data(struct direct *d, char *seen, uint64_t n)
{
	struct fi_cq_data_entry e = direct_next(d);
	uint64_t i = e.data;

	if (!(e.flags & FI_REMOTE_WRITE) || !(e.flags & FI_REMOTE_CQ_DATA) ||
	    i >= n || seen[i])
		ft_fail("flags 0x%llx, data %llu", (unsigned long long)e.flags,
			(unsigned long long)i);
	check_bytes(d->target + i % SLOTS * (d->ft.opt.max / SLOTS), e.len, i,
		    "a write with data");
	seen[i] = 1;
	if (!d->solicited != !e.op_context)
		ft_fail("a write with data %s a receive",
			e.op_context ? "names" : "does not name");
	if (d->solicited)
		direct_recv(d, e.op_context);
}

void direct_data(struct direct *d)
{
	uint64_t n = d->ft.opt.count;
	char *seen = ft_alloc(n + 1);
	char c = 0;

	memset(seen, 0, n + 1);
	for (uint64_t i = 0; i < n; i++) {
		if (d->ft.client)
			write_data(d, i);
		else
			see_data(d, seen, n);
		/* Before its place is written again. */
		if (i % SLOTS < SLOTS - 1)
			continue;
		if (d->ft.client)
			ft_oob_recv(&d->ft, &c, 1);
		else
			ft_oob_send(&d->ft, &c, 1);
	}
	free(seen);
	direct_tell(d, "writes with data, %s",
		    d->solicited ? "each into a receive" : "without receives");
}

/* ---- errors, load, speed ------------------------------------------------- */

static void must_fail(struct direct *d, bool read, size_t at, uint64_t key)
{
	struct fi_cq_err_entry err = { 0 };
	int rc = do_rma(d, read, 64, at, key, &err);

	if (rc != FI_EINVAL || err.prov_errno != 7)
		ft_fail("error %d (%s), provider's %d for a wrong key or range",
			rc, fi_strerror(rc), err.prov_errno);
	if (!err.err_data_size || !strstr(err.err_data, "peer fi_addr_efa://"))
		ft_fail("an error that does not name the peer");
	if (!(err.flags & (read ? FI_READ : FI_WRITE)))
		ft_fail("error flags 0x%llx", (unsigned long long)err.flags);
}

void direct_wrong_key(struct direct *d)
{
	must_fail(d, false, 0, d->peer.key ^ 0x40);
	must_fail(d, true, 0, d->peer.key ^ 0x40);
	must_fail(d, false, d->peer.len - 63, d->peer.key);
	must_fail(d, true, d->peer.len - 63, d->peer.key);
	must(d, false, 64, d->peer.len - 64);
}

void direct_write_some(struct direct *d, struct slot *slot)
{
	size_t len = d->ft.opt.max < 100000 ? d->ft.opt.max : 100000;

	fi_write(d->ft.ep, d->local.p, len, d->local.desc, d->ft.peer,
		 d->peer.addr, d->peer.key, &slot->context);
}

static void write_one(struct direct *d, struct slot *slot, size_t len)
{
	ssize_t ret;

	while (slot->busy)
		direct_poll_tx(d);
	slot->busy = true;
	while ((ret = fi_write(d->ft.ep, d->local.p, len, d->local.desc,
			       d->ft.peer, d->peer.addr, d->peer.key,
			       &slot->context)) == -FI_EAGAIN)
		direct_poll_tx(d);
	ft_check("fi_write", (int)ret);
}

/* Writes for a while, SPEED_WINDOW at once; returns GB/s. */
static double write_for(struct direct *d, size_t len, uint64_t ns)
{
	uint64_t start = ft_now();
	uint64_t n = 0;

	while (ft_now() - start < ns)
		write_one(d, &d->slot[n++ % SPEED_WINDOW], len);
	direct_wait_tx(d);
	return (double)(n * len) / (double)(ft_now() - start);
}

/* What the device cannot do alone needs us: all the time, or speed suffers. */
static void serve(struct direct *d)
{
	struct pollfd done = { .fd = d->ft.oob, .events = POLLIN };

	while (!poll(&done, 1, 0))
		for (int i = 0; i < 100; i++)
			ft_progress(&d->ft);
}

void direct_speed(struct direct *d)
{
	size_t len = d->ft.opt.max < SPEED_BYTES ? d->ft.opt.max : SPEED_BYTES;

	ft_sync(&d->ft);
	if (d->ft.client) {
		write_for(d, len, SPEED_NS / 10);
		printf("writes of %zu bytes: %.2f GB/s\n", len,
		       write_for(d, len, SPEED_NS));
	} else {
		serve(d);
	}
	ft_sync(&d->ft);
}
