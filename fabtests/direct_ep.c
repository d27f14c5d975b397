/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * direct_ep.c - the endpoint of efa_direct, its buffers and completions
 */
#include "direct.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ACCESS                                                     \
	(FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | \
	 FI_REMOTE_WRITE)

/* ---- open and close ------------------------------------------------------ */

static struct fid_mr *reg(struct direct *d, void *p, size_t len)
{
	static uint64_t key = 0xd19ec7;
	struct fid_mr *mr;

	ft_check("fi_mr_reg", fi_mr_reg(d->ft.domain, p, len, ACCESS, 0, key++,
					0, &mr, NULL));
	return mr;
}

static void exchange_regions(struct direct *d)
{
	struct region own = {
		.addr = (uintptr_t)d->target,
		.len = d->ft.opt.max,
		.key = fi_mr_key(d->mr),
	};

	ft_oob_send(&d->ft, &own, sizeof(own));
	ft_oob_recv(&d->ft, &d->peer, sizeof(d->peer));
}

static void open_memory(struct direct *d)
{
	struct ft *ft = &d->ft;

	d->local.p = ft_alloc(ft->opt.max);
	d->target = ft_alloc(ft->opt.max);
	memset(d->local.p, 0, ft->opt.max);
	memset(d->target, 0, ft->opt.max);
	d->local_mr = reg(d, d->local.p, ft->opt.max);
	d->local.desc = fi_mr_desc(d->local_mr);
	d->mr = reg(d, d->target, ft->opt.max);
	for (unsigned int i = 0; i < SLOTS; i++) {
		d->slot[i] = (struct slot){ .buf = ft_buf_new(ft, d->mtu) };
		d->recv[i] = (struct slot){ .buf = ft_buf_new(ft, d->mtu) };
	}
}

static size_t longest_message(struct ft *ft)
{
	size_t size, len = sizeof(size);

	if (fi_getopt(&ft->ep->fid, FI_OPT_ENDPOINT, 12 /* MAX_MSG_SIZE */,
		      &size, &len))
		size = ft->info->ep_attr->max_msg_size;
	return size < 8928 ? size : 8928;
}

int direct_open(struct direct *d)
{
	const struct ft_request request = {
		.caps = FI_MSG | FI_RMA,
		.mode = d->no_receives ? 0 : FI_RX_CQ_DATA,
		.format = FI_CQ_FORMAT_DATA,
		.rx_size = SLOTS,
		.optional = d->no_receives,
	};
	struct ft *ft = &d->ft;
	int ret = ft_open(ft, &request);

	if (ret)
		return ret;
	d->solicited = ft->info->mode & FI_RX_CQ_DATA;
	d->mtu = longest_message(ft);
	d->nposted = 0;
	open_memory(d);
	exchange_regions(d);
	direct_post_receives(d);
	ft_sync(ft);
	return 0;
}

/* With receives posted, and whatever else is under way. */
void direct_close(struct direct *d)
{
	struct ft *ft = &d->ft;

	ft_close_ep(ft);
	for (unsigned int i = 0; i < SLOTS; i++) {
		ft_buf_free(&d->slot[i].buf);
		ft_buf_free(&d->recv[i].buf);
	}
	ft_check("close mr", fi_close(&d->local_mr->fid));
	ft_check("close mr", fi_close(&d->mr->fid));
	free(d->local.p);
	free(d->target);
	ft_close(ft);
}

/* ---- sending ------------------------------------------------------------- */

void direct_slot_done(struct slot *slot)
{
	slot->busy = false;
}

void direct_poll_tx(struct direct *d)
{
	struct fi_cq_data_entry e[16];
	ssize_t n = fi_cq_read(d->ft.txcq, e, 16);

	if (n == -FI_EAVAIL)
		ft_cq_die(&d->ft, d->ft.txcq, "send");
	if (n == -FI_EAGAIN)
		ft_idle(&d->ft);
	else if (n < 0)
		ft_die("fi_cq_read", (int)n);
	for (ssize_t i = 0; i < n; i++)
		direct_slot_done(e[i].op_context);
	if (n > 0)
		ft_busy(&d->ft);
}

struct slot *direct_slot(struct direct *d)
{
	for (unsigned int i = 0;; i = (i + 1) % SLOTS) {
		if (!d->slot[i].busy) {
			d->slot[i].busy = true;
			return &d->slot[i];
		}
		if (i == SLOTS - 1)
			direct_poll_tx(d);
	}
}

void direct_wait_tx(struct direct *d)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		while (d->slot[i].busy)
			direct_poll_tx(d);
}

/* ---- receiving ----------------------------------------------------------- */

void direct_recv(struct direct *d, struct slot *slot)
{
	ft_check("fi_recv",
		 (int)fi_recv(d->ft.ep, slot->buf.p, d->mtu, slot->buf.desc,
			      FI_ADDR_UNSPEC, &slot->context));
}

void direct_post_receives(struct direct *d)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		direct_recv(d, &d->recv[i]);
}

struct fi_cq_data_entry direct_next(struct direct *d)
{
	struct fi_cq_data_entry e;

	while (!ft_poll_rx(&d->ft, &e, 1))
		ft_idle(&d->ft);
	return e;
}

void direct_take_receives(struct direct *d)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *slot;
		ssize_t ret;

		if (!d->ft.client) {
			direct_next(d);
			continue;
		}
		slot = direct_slot(d);
		while ((ret = fi_send(d->ft.ep, slot->buf.p, 8, slot->buf.desc,
				      d->ft.peer, &slot->context)) ==
		       -FI_EAGAIN)
			direct_poll_tx(d);
		ft_check("fi_send", (int)ret);
	}
	direct_wait_tx(d);
}

void direct_pause(struct direct *d, uint64_t ns)
{
	uint64_t end = ft_now() + ns;

	while (ft_now() < end)
		ft_progress(&d->ft);
}

void direct_tell(struct direct *d, const char *format, ...)
{
	va_list args;

	ft_sync(&d->ft);
	if (!d->ft.client)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": ok\n");
}
