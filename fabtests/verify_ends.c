/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verify_ends.c - other endpoints than the usual one: one that counts what
 * peers do to it, and several that share a queue and an address vector
 *
 * They have a domain of their own, as the capability to count changes how RMA
 * travels; while they are open they stand where the usual one does in struct
 * verify. In a round of counting one side acts (the client first, then the
 * server), the other waits for its counters.
 */
#include "verify.h"

#include <rdma/fi_atomic.h>
#include <rdma/fi_rma.h>
#include <string.h>

#define KEY 0xc0u /* and the next, where the provider lets us choose */
#define REGION (512u << 10)
#define WAIT_MS 20000
#define LONG 200000u /* bytes: of a write that the target may read */
#define ENDS 4u
#define SHARED 3u /* receives of an endpoint with one tag */
#define ROOM 512u /* of a receive, with its guard */
#define SIZE 300u
#define TAG 0x6000u

/* Puts the parts that belong to a domain aside. */
static struct verify put_aside(struct verify *v)
{
	struct verify usual = *v;

	v->ft.info = NULL;
	v->ft.fabric = NULL;
	v->ft.domain = NULL;
	v->ft.txcq = v->ft.rxcq = NULL;
	v->ft.av = NULL;
	v->ft.ep = NULL;
	return usual;
}

static void put_back(struct verify *v, const struct verify *usual)
{
	struct ft ft = usual->ft;

	ft.child_gone = v->ft.child_gone;
	ft.child_status = v->ft.child_status;
	v->ft = ft;
	v->tx = usual->tx;
	v->rx = usual->rx;
}

/* ---- what peers do is counted -------------------------------------------------- */

enum { WITH, WITHOUT, REGIONS }; /* a counter */

struct counted {
	struct fid_mr *mr[REGIONS]; /* either half of the arena */
	struct fid_cntr *changes; /* of region WITH, or NULL */
	uint64_t addr[REGIONS], key[REGIONS]; /* the peer's */
	uint64_t reads, writes, changed; /* that have to be counted so far */
};

/* What the other side does; both know it. */
static const struct act {
	enum { WRITE, READ, INJECT, DELIVERY, FETCH, ADD } how;
	int region;
	size_t len;
} acts[] = {
	{ WRITE, WITH, 1 },	   { READ, WITH, 8 },
	{ DELIVERY, WITH, 5000 },  { WRITE, WITHOUT, 5000 },
	{ INJECT, WITH, 32 },	   { INJECT, WITHOUT, 0 },
	{ WRITE, WITH, LONG },	   { READ, WITHOUT, LONG },
	{ DELIVERY, WITH, 30000 }, { READ, WITH, 30000 },
	{ FETCH, WITH, 8 },	   { ADD, WITH, 8 },
	{ ADD, WITHOUT, 8 },	   { WRITE, WITH, 0 },
};

static void regions_open(struct verify *v, struct counted *c)
{
	int mode = v->ft.info->domain_attr->mr_mode;
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP,
				     .wait_obj = FI_WAIT_UNSPEC };
	uint64_t mine[2 * REGIONS], theirs[2 * REGIONS];

	*c = (struct counted){ 0 };
	for (size_t i = 0; i < REGIONS; i++) {
		char *p = v->rx.p + i * REGION;

		ft_check("fi_mr_reg",
			 fi_mr_reg(v->ft.domain, p, REGION,
				   FI_REMOTE_READ | FI_REMOTE_WRITE, 0, KEY + i,
				   0, &c->mr[i], NULL));
		mine[i] = mode & FI_MR_VIRT_ADDR ? (uintptr_t)p : 0;
		mine[REGIONS + i] = fi_mr_key(c->mr[i]);
	}
	/* With others regions may have to be enabled, or cannot count. */
	if (v->strict) {
		ft_check("fi_cntr_open",
			 fi_cntr_open(v->ft.domain, &attr, &c->changes, NULL));
		ft_check("fi_mr_bind", fi_mr_bind(c->mr[WITH], &c->changes->fid,
						  FI_REMOTE_WRITE));
	}
	ft_oob_send(&v->ft, mine, sizeof(mine));
	ft_oob_recv(&v->ft, theirs, sizeof(theirs));
	memcpy(c->addr, theirs, sizeof(c->addr));
	memcpy(c->key, theirs + REGIONS, sizeof(c->key));
}

static void regions_close(struct verify *v, struct counted *c)
{
	ft_sync(&v->ft);
	for (size_t i = 0; i < REGIONS; i++)
		ft_check("close mr", fi_close(&c->mr[i]->fid));
	if (c->changes)
		ft_check("close cntr", fi_close(&c->changes->fid));
}

static ssize_t write_to(struct verify *v, const struct act *a, uint64_t addr,
			uint64_t key, struct vf_op *op)
{
	return vf_writemsg(v, op, 0, a->len, addr, key,
			   a->how == DELIVERY ? vf_delivery(v) : 0);
}

static ssize_t act_once(struct verify *v, const struct counted *c,
			const struct act *a, struct vf_op *op)
{
	struct fid_ep *ep = v->ft.ep;
	uint64_t addr = c->addr[a->region], key = c->key[a->region];
	fi_addr_t to = v->ft.peer;

	switch (a->how) {
	case WRITE:
	case DELIVERY:
		return write_to(v, a, addr, key, op);
	case READ:
		return fi_read(ep, v->tx.p, a->len, v->tx.desc, to, addr, key,
			       op);
	case INJECT:
		return fi_inject_write(ep, v->tx.p, a->len, to, addr, key);
	case FETCH:
		return fi_fetch_atomic(ep, v->tx.p, 1, v->tx.desc,
				       v->tx.p + REGION, v->tx.desc, to, addr,
				       key, FI_UINT64, FI_SUM, op);
	case ADD:
		break;
	}
	return fi_atomic(ep, v->tx.p, 1, v->tx.desc, to, addr, key, FI_UINT64,
			 FI_SUM, op);
}

static void act(struct verify *v, const struct counted *c, const struct act *a)
{
	struct vf_op op = { .done = a->how == INJECT };
	ssize_t ret;

	while ((ret = act_once(v, c, a, &op)))
		vf_again(v, "a counted access", ret);
	vf_wait(v, &op);
	vf_expect(v, !op.err, "kind %d of %zu bytes: %s", a->how, a->len,
		  fi_strerror(op.err));
}

/* One that is refused, of which we hear nothing, is nothing to be counted. */
static void act_wrongly(struct verify *v, const struct counted *c)
{
	const struct act a = { WRITE, WITH, 64 };
	struct vf_op op = { 0 };
	ssize_t ret;

	if (!v->strict)
		return;
	while ((ret = write_to(v, &a, c->addr[WITH] + REGION - 1, c->key[WITH],
			       &op)))
		vf_again(v, "a wrong access", ret);
	vf_wait(v, &op);
}

static void count_acts(const struct verify *v, struct counted *c)
{
	bool atomics = v->ft.info->caps & FI_ATOMIC;

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		bool reads = acts[i].how == READ || acts[i].how == FETCH;

		if (acts[i].how >= FETCH && !atomics)
			continue;
		c->reads += reads;
		c->writes += !reads;
		c->changed += acts[i].how != READ && acts[i].region == WITH;
	}
}

static void expect_count(struct verify *v, const char *what,
			 struct fid_cntr *cntr, uint64_t want)
{
	uint64_t is = fi_cntr_read(cntr);

	vf_expect(v, is == want && !fi_cntr_readerr(cntr),
		  "%s: %llu counted and %llu failed, of %llu", what,
		  (unsigned long long)is,
		  (unsigned long long)fi_cntr_readerr(cntr),
		  (unsigned long long)want);
}

/* All of it comes, and then no more. */
static void await_counts(struct verify *v, const struct counted *c)
{
	struct fid_cntr *writes = v->ft.remote[1], *reads = v->ft.remote[0];

	if (c->changes)
		vf_expect(v, !fi_cntr_wait(c->changes, c->changed, WAIT_MS),
			  "changes of a region: no %llu come",
			  (unsigned long long)c->changed);
	vf_expect(v, !fi_cntr_wait(writes, c->writes, WAIT_MS),
		  "writes of the peer: no %llu come",
		  (unsigned long long)c->writes);
	vf_expect(v, !fi_cntr_wait(reads, c->reads, WAIT_MS),
		  "reads of the peer: no %llu come",
		  (unsigned long long)c->reads);
	ft_sync(&v->ft);
	vf_linger(v, 5);
	if (c->changes)
		expect_count(v, "changes of a region", c->changes, c->changed);
	expect_count(v, "writes of the peer", writes, c->writes);
	expect_count(v, "reads of the peer", reads, c->reads);
	ft_sync(&v->ft);
}

static void count_round(struct verify *v, struct counted *c, bool active)
{
	bool atomics = v->ft.info->caps & FI_ATOMIC;

	ft_sync(&v->ft);
	if (!active) {
		count_acts(v, c);
		await_counts(v, c);
		return;
	}
	act_wrongly(v, c);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (acts[i].how < FETCH || atomics)
			act(v, c, &acts[i]);
	ft_sync(&v->ft);
	ft_sync(&v->ft);
}

static int open_counting(struct verify *v, uint64_t caps)
{
	return ft_open(&v->ft, &(struct ft_request){
				       .caps = FI_MSG | FI_TAGGED | FI_RMA |
					       FI_RMA_EVENT | caps,
				       .format = FI_CQ_FORMAT_TAGGED,
				       .remote = true,
				       .optional = true });
}

static void counted(struct verify *v)
{
	struct verify usual = put_aside(v);
	struct counted c;

	if (open_counting(v, FI_ATOMIC) && open_counting(v, 0)) {
		put_back(v, &usual);
		vf_skip(v, "the provider lacks a capability");
		return;
	}
	v->tx = ft_buf_new(&v->ft, REGIONS * REGION);
	v->rx = ft_buf_new(&v->ft, REGIONS * REGION);
	regions_open(v, &c);
	for (int i = 0; i < 4; i++)
		count_round(v, &c, v->ft.client == (i % 2 == 0));
	regions_close(v, &c);
	ft_buf_free(&v->tx);
	ft_buf_free(&v->rx);
	ft_sync(&v->ft);
	ft_close(&v->ft);
	put_back(v, &usual);
}

/* ---- several on one queue and one address vector ------------------------------- */

struct ends {
	struct fid_ep *ep[ENDS];
	fi_addr_t peer[ENDS];
};

static void ends_open(struct verify *v, struct ends *e)
{
	struct ft *ft = &v->ft;
	struct fi_cq_attr cq = { .format = FI_CQ_FORMAT_TAGGED };
	struct fi_av_attr av = { .type = ft->info->domain_attr->av_type };

	ft_check("fi_cq_open", fi_cq_open(ft->domain, &cq, &ft->txcq, NULL));
	ft->rxcq = ft->txcq;
	ft_check("fi_av_open", fi_av_open(ft->domain, &av, &ft->av, NULL));
	for (size_t i = 0; i < ENDS; i++) {
		ft_check("fi_endpoint",
			 fi_endpoint(ft->domain, ft->info, &e->ep[i], NULL));
		ft_check("fi_ep_bind av",
			 fi_ep_bind(e->ep[i], &ft->av->fid, 0));
		ft_check("fi_ep_bind cq", fi_ep_bind(e->ep[i], &ft->txcq->fid,
						     FI_TRANSMIT | FI_RECV));
		ft_check("fi_enable", fi_enable(e->ep[i]));
	}
	for (size_t i = 0; i < ENDS; i++) {
		ft->ep = e->ep[i];
		ft_meet(ft);
		e->peer[i] = ft->peer;
	}
}

static void ends_close(struct verify *v, struct ends *e)
{
	ft_sync(&v->ft);
	for (size_t i = 0; i < ENDS; i++)
		ft_check("close ep", fi_close(&e->ep[i]->fid));
	ft_check("close cq", fi_close(&v->ft.txcq->fid));
	ft_check("close av", fi_close(&v->ft.av->fid));
	v->ft.ep = NULL;
	ft_close(&v->ft);
}

static void post_on(struct verify *v, const struct ends *e, size_t i,
		    struct vf_op *op)
{
	v->ft.ep = e->ep[i];
	for (size_t k = 0; k < SHARED; k++)
		vf_recv(v, &op[k], e->peer[i], (i * SHARED + k) * ROOM, SIZE,
			TAG, 0);
}

/* The last that was posted goes first. */
static void cancel_on(struct verify *v, const struct ends *e, size_t i,
		      struct vf_op *op)
{
	for (size_t k = SHARED; k-- > 0;) {
		ft_check("fi_cancel", (int)fi_cancel(&e->ep[i]->fid, &op[k]));
		vf_wait(v, &op[k]);
		vf_expect(v, op[k].err == FI_ECANCELED && op[k].entries == 1,
			  "receive %zu of endpoint %zu: %s", k, i,
			  fi_strerror(op[k].err));
	}
}

static void send_from(struct verify *v, const struct ends *e, size_t i,
		      uint64_t seed)
{
	struct vf_op op;

	v->ft.ep = e->ep[i];
	for (size_t k = 0; k < SHARED; k++) {
		vf_fill(v, 0, SIZE, seed + i * SHARED + k);
		vf_send(v, &op, e->peer[i], 0, SIZE, TAG);
		vf_wait(v, &op);
		vf_expect(v, !op.err, "send: %s", fi_strerror(op.err));
	}
}

static void expect_on(struct verify *v, const struct ends *e, size_t i,
		      struct vf_op *op, uint64_t seed)
{
	v->ft.peer = e->peer[i];
	for (size_t k = 0; k < SHARED; k++) {
		vf_wait(v, &op[k]);
		vf_expect_recv(v, &op[k], SIZE, TAG);
		vf_expect_bytes(v, (i * SHARED + k) * ROOM, SIZE,
				seed + i * SHARED + k);
	}
}

/*
 * All endpoints wait for the same tag; the receives of every other one are
 * taken back. Messages to the others find theirs, and those taken back are
 * posted anew only then.
 */
static void shared_round(struct verify *v, const struct ends *e, bool sends)
{
	struct vf_op op[ENDS][SHARED];
	uint64_t seed = v->serial;

	v->serial += ENDS * SHARED;
	for (size_t i = 0; i < ENDS && !sends; i++)
		post_on(v, e, i, op[i]);
	for (size_t i = 0; i < ENDS && !sends; i += 2)
		cancel_on(v, e, i, op[i]);
	ft_sync(&v->ft);
	for (size_t i = 0; i < ENDS && sends; i++)
		send_from(v, e, i, seed);
	for (size_t i = 1; i < ENDS && !sends; i += 2)
		expect_on(v, e, i, op[i], seed);
	for (size_t i = 0; i < ENDS && !sends; i += 2) {
		post_on(v, e, i, op[i]);
		expect_on(v, e, i, op[i], seed);
	}
	ft_sync(&v->ft);
}

static void shared(struct verify *v)
{
	struct verify usual = put_aside(v);
	struct ends e;

	ft_open_domain(&v->ft, &(struct ft_request){
				       .caps = FI_MSG | FI_TAGGED | FI_SOURCE |
					       FI_DIRECTED_RECV,
				       .order = FI_ORDER_SAS });
	v->tx = ft_buf_new(&v->ft, ENDS * SHARED * ROOM);
	v->rx = ft_buf_new(&v->ft, ENDS * SHARED * ROOM);
	ends_open(v, &e);
	for (int i = 0; i < 8; i++)
		shared_round(v, &e, v->ft.client == (i % 2 == 0));
	ft_buf_free(&v->tx);
	ft_buf_free(&v->rx);
	ends_close(v, &e);
	put_back(v, &usual);
}

const struct vf_case vf_end_cases[] = {
	{ "counted", counted, FI_RMA },
	{ "shared", shared, FI_DIRECTED_RECV | FI_SOURCE },
	{ NULL, NULL, 0 },
};
