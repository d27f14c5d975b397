/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_flood.c - what becomes of a receiver that is flooded
 *
 * The server posts no receive, and progresses. The client sends until nothing
 * is taken any more, for a while; the memory of the server's process must not
 * have grown by more than --max. Then the server receives all of it, in order
 * and byte by byte; and all that a second time, as who was held back has to be
 * let go on. A provider that takes everything, and is not ours, is told of and
 * not blamed.
 */
#include "footprint.h"
#include "ft.h"
#include "pattern.h"

#include <stdlib.h>
#include <string.h>

#define TAG 0xf100du
#define ROUNDS 2
#define PATIENCE_NS 150000000u /* of refusals in a row */
#define BYTES_MAX (256u << 20) /* of a flood; no provider is to keep more */
#define WINDOW 64u /* receives at a time */

static const struct ft_program program = {
	.name = "efa_flood",
	.summary = "a receiver without receives: its memory, and every byte",
	.options = "nSM",
	.sizes = "8,1000,8000,20000",
	.count = 200000,
	.max = 192u << 20, /* of the 64 MiB by default, with what they cost */
};

struct flood {
	struct ft ft;
	struct fi_context2
		*context; /* [opt.count] of sends, WINDOW of receives */
	struct ft_buf buf; /* of what is sent, or received */
	bool strict; /* ours: has to refuse */
};

static uint64_t seed_of(size_t size, size_t i)
{
	return (uint64_t)size << 32 | i;
}

/* ---- the client ------------------------------------------------------------------ */

static size_t most(const struct flood *f, size_t size)
{
	size_t n = size ? BYTES_MAX / size : f->ft.opt.count;

	/* What is not injected stays the provider's for long. */
	if (size > f->ft.inject_size)
		n = f->buf.size / size;
	return n < f->ft.opt.count ? n : f->ft.opt.count;
}

static ssize_t send_one(struct flood *f, size_t size, size_t i)
{
	bool inject = size <= f->ft.inject_size;
	char *p = f->buf.p + (inject ? 0 : i * size);
	ssize_t ret;

	pattern_fill(p, size, seed_of(size, i));
	if (inject)
		return fi_tinject(f->ft.ep, p, size, f->ft.peer, TAG);
	ret = fi_tsend(f->ft.ep, p, size, f->buf.desc, f->ft.peer, TAG,
		       &f->context[i]);
	f->ft.tx_posted += !ret;
	return ret;
}

/* How many went before it was refused, or all. */
static size_t send_flood(struct flood *f, size_t size, size_t n)
{
	uint64_t since = ft_now();
	size_t i = 0;

	while (i < n) {
		ssize_t ret = send_one(f, size, i);

		if (!ret) {
			i++;
			since = ft_now();
		} else if (ret != -FI_EAGAIN) {
			ft_die("send", (int)ret);
		} else if (ft_now() - since > PATIENCE_NS) {
			break;
		}
		ft_poll_tx(&f->ft);
	}
	return i;
}

static void client_round(struct flood *f, size_t size)
{
	size_t n = most(f, size), sent = send_flood(f, size, n);
	long grown;

	if (sent == n && f->strict)
		ft_fail("%zu messages of %zu bytes, and none is refused", n,
			size);
	ft_oob_send(&f->ft, &sent, sizeof(sent));
	ft_oob_recv(&f->ft, &grown, sizeof(grown));
	ft_sync(&f->ft);
	ft_wait_tx(&f->ft);
	printf("%10zu %10zu %12.1f  %s\n", size, sent, (double)grown / 1024,
	       sent == n ? "none was refused" : "");
}

/* ---- the server ------------------------------------------------------------------ */

static void post(struct flood *f, size_t size, size_t i)
{
	ft_recv(&f->ft,
		&(struct ft_buf){ .p = f->buf.p + i % WINDOW * size,
				  .size = size,
				  .desc = f->buf.desc },
		size, TAG, &f->context[i % WINDOW]);
}

/* The next message is in its receive, which is the oldest. */
static void expect(struct flood *f, size_t size, size_t i, size_t len)
{
	char *p = f->buf.p + i % WINDOW * size;

	if (len != size || pattern_check(p, size, seed_of(size, i)) != size)
		ft_fail("message %zu of %zu bytes: %zu bytes came, the first "
			"wrong one is %zu",
			i, size, len, pattern_check(p, size, seed_of(size, i)));
	memset(p, 0, size);
}

static void receive_all(struct flood *f, size_t size, size_t n)
{
	size_t length[WINDOW];
	bool done[WINDOW] = { false };
	size_t posted = 0, i = 0;
	struct fi_cq_tagged_entry e;

	while (i < n) {
		for (; posted < n && posted < i + WINDOW; posted++)
			post(f, size, posted);
		if (ft_poll_rx(&f->ft, &e, 1)) {
			size_t at =
				(size_t)((struct fi_context2 *)e.op_context -
					 f->context);

			done[at] = true;
			length[at] = e.len;
		} else {
			ft_idle(&f->ft);
		}
		for (; i < posted && done[i % WINDOW]; i++) {
			expect(f, size, i, length[i % WINDOW]);
			done[i % WINDOW] = false;
		}
	}
}

static void server_round(struct flood *f, size_t size,
			 const struct footprint *before)
{
	long grown;
	size_t n;

	/* Progresses until the client has given up. */
	ft_oob_recv(&f->ft, &n, sizeof(n));
	grown = footprint_since(before).resident;
	ft_oob_send(&f->ft, &grown, sizeof(grown));
	if (f->strict && grown > (long)f->ft.opt.max)
		ft_fail("%zu messages of %zu bytes: %ld KiB are kept, more "
			"than %zu",
			n, size, grown / 1024, f->ft.opt.max / 1024);
	receive_all(f, size, n);
	ft_sync(&f->ft);
}

/* ---- both ------------------------------------------------------------------------ */

/* They know each other, and have the rings and pools that they need anyway. */
static void warm_up(struct flood *f)
{
	for (size_t i = 0; i < WINDOW; i++) {
		if (f->ft.client)
			ft_send(&f->ft, &f->buf, 8, TAG, &f->context[0]);
		else
			ft_recv(&f->ft, &f->buf, 8, TAG, &f->context[0]);
		ft_wait_tx(&f->ft);
		ft_wait_rx(&f->ft, f->ft.client ? 0 : i + 1);
		ft_sync(&f->ft);
	}
}

int main(int argc, char **argv)
{
	struct flood f = { .strict = false };
	const struct ft_options *opt = &f.ft.opt;
	struct footprint before;

	ft_start(&f.ft, argc, argv, &program);
	ft_open(&f.ft, &(struct ft_request){ .caps = FI_MSG | FI_TAGGED,
					     .order = FI_ORDER_SAS,
					     .format = FI_CQ_FORMAT_TAGGED });
	f.strict = !strcmp(f.ft.info->fabric_attr->prov_name, "efa");
	f.context = ft_alloc((f.ft.client ? opt->count : WINDOW) *
			     sizeof(*f.context));
	f.buf = ft_buf_new(&f.ft,
			   ft_largest(opt) * (f.ft.client ? 6000 : WINDOW));
	if (f.ft.client)
		printf("%10s %10s %12s\n", "bytes", "messages", "KiB kept");
	warm_up(&f);
	before = footprint_read();
	for (size_t i = 0; i < ROUNDS * opt->nsizes; i++) {
		size_t size = opt->size[i / ROUNDS];

		if (f.ft.client)
			client_round(&f, size);
		else
			server_round(&f, size, &before);
		ft_sync(&f.ft);
	}
	ft_buf_free(&f.buf);
	free(f.context);
	return ft_finish(&f.ft, 0);
}
