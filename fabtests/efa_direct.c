/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_direct.c - messages and RMA without a protocol between, verified
 *
 * The client sends, writes and reads, the server looks what came. Messages say
 * by a number which they are, since they come in any order. At the end both
 * close with operations under way and begin anew.
 */
#include "direct.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rdma/fi_ext_efa.h>

static const struct ft_program program = {
	.name = "efa_direct",
	.summary = "messages and RMA of the fabric efa-direct, verified",
	.options = "nMRO",
	.sizes = "8",
	.count = 500,
	.msg = true,
};

/* ---- sends --------------------------------------------------------------- */

static size_t size_of(const struct direct *d, uint64_t i)
{
	size_t max = i % 4 == 2 ? d->ft.inject_size : d->mtu;

	return 8 + pattern_mix(d->ft.opt.seed + i) % (max - 7);
}

static ssize_t send_one(struct direct *d, struct slot *slot, uint64_t i)
{
	size_t len = size_of(d, i);
	struct ft *ft = &d->ft;
	char *p = slot->buf.p;
	void *desc = slot->buf.desc;

	memcpy(p, &i, 8);
	pattern_fill(p + 8, len - 8, i);
	switch (i % 4) {
	case 0:
		return fi_send(ft->ep, p, len, desc, ft->peer, &slot->context);
	case 1:
		return fi_senddata(ft->ep, p, len, desc, (uint32_t)i, ft->peer,
				   &slot->context);
	case 2:
		return fi_inject(ft->ep, p, len, ft->peer);
	default:
		return fi_sendv(
			ft->ep,
			(struct iovec[]){ { p, 8 }, { p + 8, len - 8 } },
			(void *[]){ desc, desc }, 2, ft->peer, &slot->context);
	}
}

static void send_all(struct direct *d, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct slot *slot = direct_slot(d);
		ssize_t ret;

		while ((ret = send_one(d, slot, i)) == -FI_EAGAIN)
			direct_poll_tx(d);
		ft_check("fi_send", (int)ret);
		if (i % 4 == 2)
			direct_slot_done(slot);
	}
	direct_wait_tx(d);
}

static void check_message(struct direct *d, const struct fi_cq_data_entry *e,
			  char *seen, uint64_t n)
{
	struct slot *slot = e->op_context;
	const char *p = slot->buf.p;
	uint64_t i;

	memcpy(&i, p, 8);
	if (!(e->flags & FI_RECV) || e->len < 8 || i >= n || seen[i])
		ft_fail("an entry of %zu bytes that nobody sent", e->len);
	if (e->len != size_of(d, i) ||
	    pattern_check(p + 8, e->len - 8, i) != e->len - 8)
		ft_fail("message %llu is not what was sent",
			(unsigned long long)i);
	if (i % 4 == 1 ? !(e->flags & FI_REMOTE_CQ_DATA) || e->data != i :
			 (e->flags & FI_REMOTE_CQ_DATA) != 0)
		ft_fail("message %llu: flags 0x%llx, data %llu",
			(unsigned long long)i, (unsigned long long)e->flags,
			(unsigned long long)e->data);
	seen[i] = 1;
}

static void receive_all(struct direct *d, uint64_t n)
{
	char *seen = ft_alloc(n + 1);

	memset(seen, 0, n + 1);
	for (uint64_t got = 0; got < n; got++) {
		struct fi_cq_data_entry e = direct_next(d);

		check_message(d, &e, seen, n);
		direct_recv(d, e.op_context);
	}
	free(seen);
}

static void sends(struct direct *d)
{
	if (d->ft.client)
		send_all(d, d->ft.opt.count);
	else
		receive_all(d, d->ft.opt.count);
	direct_tell(d, "messages of all calls, to %zu bytes", d->mtu);
}

/* Nothing of it is lost, and nothing of it is an error, however long. */
static void late_receives(struct direct *d)
{
	uint64_t n = 2 * SLOTS;

	direct_take_receives(d);
	ft_sync(&d->ft);
	if (d->ft.client) {
		send_all(d, n);
	} else {
		direct_pause(d, 100000000);
		direct_post_receives(d);
		receive_all(d, n);
	}
	direct_tell(d, "messages to a peer without receives");
}

/* ---- regions ------------------------------------------------------------- */

static void region_ids(struct direct *d)
{
	struct fi_efa_mr_attr attr = { .ic_id_validity = 0xffff };
	struct fi_efa_ops_domain *ops;

	if (fi_open_ops(&d->ft.domain->fid, FI_EFA_DOMAIN_OPS, 0, (void **)&ops,
			NULL)) {
		direct_tell(d, "numbers of regions: not with this provider");
		return;
	}
	ft_check("query_mr", ops->query_mr(d->mr, &attr));
	if (attr.ic_id_validity & ~7)
		ft_fail("query_mr: validity 0x%x", attr.ic_id_validity);
	direct_tell(d, "numbers of regions: 0x%x are valid",
		    attr.ic_id_validity);
}

/* A receive whose memory is gone when its region has been closed. */
static void post_into_nothing(struct direct *d, struct fi_context2 *context)
{
	void *p = mmap(NULL, d->mtu, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fid_mr *mr;

	if (p == MAP_FAILED)
		ft_fail("out of memory");
	ft_check("fi_mr_reg", fi_mr_reg(d->ft.domain, p, d->mtu, FI_RECV, 0,
					0xc105ed, 0, &mr, NULL));
	ft_check("fi_recv", (int)fi_recv(d->ft.ep, p, d->mtu, fi_mr_desc(mr),
					 FI_ADDR_UNSPEC, context));
	ft_check("fi_close(mr)", fi_close(&mr->fid));
	munmap(p, d->mtu);
}

static void expect_error(struct direct *d, const struct fi_context2 *context)
{
	struct fi_cq_err_entry err = { 0 };
	struct fi_cq_data_entry e;
	ssize_t ret;

	while ((ret = fi_cq_read(d->ft.rxcq, &e, 1)) == -FI_EAGAIN)
		ft_idle(&d->ft);
	if (ret != -FI_EAVAIL || fi_cq_readerr(d->ft.rxcq, &err, 0) != 1 ||
	    err.op_context != context)
		ft_fail("a receive without memory did not end with an error");
}

/* Its sender may be told or not. */
static void send_into_nothing(struct direct *d)
{
	struct slot *slot = direct_slot(d);
	struct fi_cq_err_entry err = { 0 };
	struct fi_cq_data_entry e;
	ssize_t ret;

	while ((ret = fi_send(d->ft.ep, slot->buf.p, 8, slot->buf.desc,
			      d->ft.peer, &slot->context)) == -FI_EAGAIN)
		ft_progress(&d->ft);
	ft_check("fi_send", (int)ret);
	while ((ret = fi_cq_read(d->ft.txcq, &e, 1)) == -FI_EAGAIN)
		ft_idle(&d->ft);
	if (ret != 1 && fi_cq_readerr(d->ft.txcq, &err, 0) != 1)
		ft_die("fi_cq_readerr", (int)ret);
	direct_slot_done(slot);
}

static void closed_region(struct direct *d)
{
	struct fi_context2 context;

	direct_take_receives(d);
	if (!d->ft.client)
		post_into_nothing(d, &context);
	ft_sync(&d->ft);
	if (d->ft.client) {
		send_into_nothing(d);
	} else {
		expect_error(d, &context);
		direct_post_receives(d);
	}
	ft_sync(&d->ft);
	sends(d);
	direct_tell(d, "a region closed under its receive");
}

/* ---- errors -------------------------------------------------------------- */

static void wrong_calls(struct direct *d)
{
	struct slot *slot = direct_slot(d);
	struct ft *ft = &d->ft;

	if (fi_send(ft->ep, slot->buf.p, d->mtu + 1, slot->buf.desc, ft->peer,
		    &slot->context) != -FI_EMSGSIZE)
		ft_fail("a send of %zu bytes is not too long", d->mtu + 1);
	if (fi_inject(ft->ep, slot->buf.p, ft->inject_size + 1, ft->peer) !=
	    -FI_EMSGSIZE)
		ft_fail("an inject of %zu bytes is not too long",
			ft->inject_size + 1);
	if (fi_tsend(ft->ep, slot->buf.p, 8, slot->buf.desc, ft->peer, 1,
		     &slot->context) != -FI_ENOSYS)
		ft_fail("there are tagged messages");
	direct_slot_done(slot);
}

static void errors(struct direct *d)
{
	if (d->ft.client) {
		wrong_calls(d);
		direct_wrong_key(d);
	}
	direct_tell(d, "wrong sizes, calls, keys and ranges");
}

/* ---- closing ------------------------------------------------------------- */

/* As much as fits leaves, and nobody waits for its end. */
static void load(struct direct *d)
{
	for (int i = 0; i < 200; i++) {
		struct slot *slot = &d->slot[i % SLOTS];

		fi_send(d->ft.ep, slot->buf.p, d->mtu, slot->buf.desc,
			d->ft.peer, &slot->context);
		direct_write_some(d, slot);
	}
}

static void close_under_load(struct direct *d)
{
	ft_sync(&d->ft);
	load(d);
	direct_close(d);
	direct_open(d);
	sends(d);
	direct_tell(d, "closed under load, and opened again");
}

/* Where the device tells of a write with data by itself. */
static void unsolicited(struct direct *d)
{
	direct_close(d);
	d->no_receives = true;
	if (direct_open(d)) {
		if (d->ft.client)
			printf("writes with data, without receives: not with "
			       "this device\n");
	} else {
		direct_data(d);
		sends(d);
		direct_close(d);
	}
	d->no_receives = false;
	direct_open(d);
}

static const struct {
	const char *name;
	void (*run)(struct direct *d);
} cases[] = {
	{ "sends", sends },
	{ "late receives", late_receives },
	{ "rma", direct_rma },
	{ "data", direct_data },
	{ "unsolicited", unsolicited },
	{ "regions", region_ids },
	{ "closed region", closed_region },
	{ "errors", errors },
	{ "close under load", close_under_load },
	{ "speed", direct_speed },
};

int main(int argc, char **argv)
{
	struct direct d = { .mtu = 0 };
	const char *only;

	ft_start(&d.ft, argc, argv, &program);
	only = d.ft.opt.only;
	if (!d.ft.opt.fabric)
		d.ft.opt.fabric = "efa-direct";
	if (d.ft.opt.max < 4096 || d.ft.opt.max > 256u << 20)
		d.ft.opt.max = 16u << 20;
	direct_open(&d);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!only || strstr(cases[i].name, only))
			cases[i].run(&d);
	direct_close(&d);
	return ft_finish(&d.ft, 0);
}
