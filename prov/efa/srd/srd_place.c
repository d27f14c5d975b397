/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_place.c - RDMA as it arrives: bytes go where they belong, in any order
 *
 * The key of a WRITE is asked for with each packet, that of a READ here and
 * then with each packet of the answer.
 */
#include "srd/srd.h"

#include <string.h>

#include "srd/srd_priv.h"

static struct srd_verdict taken(void)
{
	return (struct srd_verdict){ .fate = SRD_TAKEN };
}

static struct srd_verdict refuse(uint8_t status)
{
	return (struct srd_verdict){ SRD_REFUSED, status };
}

static bool may(const struct srd *s, const struct srd_pkt_data *d,
		uint32_t access)
{
	const struct srd_config *c = &s->cfg;

	return c->may && c->may(c->ctx, d->rkey, access, d->remote, d->total);
}

static struct srd_verdict written(struct srd_peer *p,
				  const struct srd_pkt_data *d,
				  struct srd_event *event)
{
	event->kind = SRD_EV_WRITTEN;
	event->peer = p;
	event->data = NULL;
	event->len = d->total;
	event->imm = d->imm;
	event->has_imm = true;
	event->slot = SRD_SLOT_NONE;
	return (struct srd_verdict){ .fate = SRD_EVENT };
}

struct srd_verdict srd_place_write(struct srd *s, struct srd_peer *p,
				   const struct srd_pkt *pkt,
				   struct srd_event *event)
{
	const struct srd_pkt_data *d = &pkt->data;

	if (d->total) {
		if (!may(s, d, SRD_REMOTE_WRITE))
			return refuse(SRD_BAD_RKEY);
		memcpy((void *)(uintptr_t)(d->remote + d->offset), pkt->payload,
		       pkt->payload_len);
	}
	return d->has_imm ? written(p, d, event) : taken();
}

struct srd_verdict srd_place_written(struct srd *s, struct srd_peer *p,
				     const struct srd_pkt *pkt,
				     struct srd_event *event)
{
	(void)s;
	return written(p, &pkt->data, event);
}

/* A READ that was refused is asked again with another number: a copy of the
 * first may have been accepted since. */
static bool is_answered(const struct srd_peer *p, uint32_t msg)
{
	const struct srd_operation *op;

	TAILQ_FOREACH(op, &p->ops, all)
		if (op->kind == SRD_KIND_REPLY && op->msg == msg)
			return true;
	return false;
}

struct srd_verdict srd_place_read(struct srd *s, struct srd_peer *p,
				  const struct srd_pkt *pkt, uint64_t now)
{
	const struct srd_pkt_data *d = &pkt->data;
	struct srd_operation *op;

	if (!d->total)
		return taken();
	if (!may(s, d, SRD_REMOTE_READ))
		return refuse(SRD_BAD_RKEY);
	if (!srd_active_need(s, p)) {
		s->stats.no_room++;
		return refuse(SRD_RNR);
	}
	if (pkt->base.flags & SRD_F_RESENT && is_answered(p, d->msg))
		return taken();
	srd_peer_wait(p, now);
	op = srd_op_reply(s, p);
	if (!op) {
		s->stats.no_room++;
		return refuse(SRD_RNR);
	}
	op->data = (uint8_t *)(uintptr_t)d->remote;
	op->remote = d->remote;
	op->len = d->total;
	op->rkey = d->rkey;
	op->msg = d->msg;
	srd_op_queue(s, op);
	return taken();
}

/* The READ of ours that p answers, or NULL. */
static struct srd_operation *read_of(const struct srd *s,
				     const struct srd_peer *p, uint32_t msg)
{
	struct srd_operation *op = u_pool_at(&s->ops, msg);

	if (!op || op->peer != p || op->kind != SRD_KIND_READ)
		return NULL;
	if (op->stage != SRD_STAGE_READING && !op->refused)
		return NULL;
	return op;
}

struct srd_verdict srd_place_data(struct srd *s, struct srd_peer *p,
				  const struct srd_pkt *pkt)
{
	const struct srd_pkt_data *d = &pkt->data;
	struct srd_operation *op = read_of(s, p, d->msg);
	uint32_t len = pkt->payload_len;

	if (!op)
		return refuse(SRD_PEER_RESET);
	if (len > op->len - op->got || len > op->len ||
	    d->offset > op->len - len) {
		s->stats.bad_field++;
		return refuse(SRD_BAD_LEN);
	}
	memcpy(op->data + d->offset, pkt->payload, len);
	op->got += len;
	if (op->got == op->len)
		srd_op_end(s, op, SRD_OK, false);
	return taken();
}

struct srd_verdict srd_place_result(struct srd *s, struct srd_peer *p,
				    const struct srd_pkt *pkt)
{
	struct srd_operation *op = read_of(s, p, pkt->data.msg);

	if (op)
		srd_op_end(s, op, pkt->data.status, false);
	return taken();
}
