/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_seg.c - operations as packets: cut, and cut again the same for a resend
 *
 * A packet keeps its bounds for life, also when the MTU shrinks under it: its
 * bytes may have arrived. A SEND keeps the bounds of its first packet for all,
 * since it was begun by their number (I5).
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

static const uint8_t op_types[] = {
	[SRD_KIND_SEND] = SRD_OP_SEND,
	[SRD_KIND_WRITE] = SRD_OP_WRITE,
	[SRD_KIND_READ] = SRD_OP_READ,
	[SRD_KIND_REPLY] = SRD_OP_DATA,
};

/* What the next packet of op is, and how many bytes it takes. */
struct piece {
	uint8_t op_type;
	uint32_t len;
	uint32_t hdr_len;
};

/* An immediate is in each packet of a SEND, and in a WRITE of one packet. */
static bool bears_imm(const struct srd_operation *op, uint8_t op_type,
		      uint32_t len)
{
	return op->has_imm && (op_type == SRD_OP_SEND ||
			       op_type == SRD_OP_WRITTEN || len == op->len);
}

static struct piece piece_of(const struct srd_operation *op)
{
	struct piece piece = { .op_type = op_types[op->kind] };
	uint32_t left = op->len - op->cut, room;

	if (op->stage == SRD_STAGE_WRITTEN)
		piece.op_type = SRD_OP_WRITTEN;
	if (op->stage == SRD_STAGE_RESULT)
		piece.op_type = SRD_OP_RESULT;
	piece.hdr_len = (uint32_t)srd_pkt_data_len(piece.op_type, op->has_imm);
	if (op->stage != SRD_STAGE_CUT || op->kind == SRD_KIND_READ)
		return piece;
	room = op->kind == SRD_KIND_SEND && op->cut ?
		       op->piece :
		       op->peer->mtu - piece.hdr_len;
	piece.len = left < room ? left : room;
	return piece;
}

uint32_t srd_seg_count(const struct srd_operation *op)
{
	uint32_t hdr_len =
		(uint32_t)srd_pkt_data_len(op_types[op->kind], op->has_imm);
	uint32_t room = op->peer->mtu - hdr_len;

	return op->len > room ? (op->len + room - 1) / room : 1;
}

uint32_t srd_seg_size(const struct srd_operation *op)
{
	struct piece piece = piece_of(op);

	return piece.hdr_len + piece.len;
}

/* The stage of an operation whose last packet was cut. */
static enum srd_stage next_stage(struct srd_operation *op)
{
	if (op->kind != SRD_KIND_READ || op->len == 0)
		return SRD_STAGE_SENT;
	op->peer->nreads++;
	return SRD_STAGE_READING;
}

uint32_t srd_seg_cut(struct srd *s, struct srd_operation *op)
{
	struct srd_peer *p = op->peer;
	struct piece piece = piece_of(op);
	struct srd_open *o = srd_open_new(s, p);

	o->op = op;
	o->op_type = piece.op_type;
	o->offset = piece.len ? op->cut : 0;
	o->msg = op->kind == SRD_KIND_REPLY ? SRD_NO_MSG : op->msg;
	o->len = (uint16_t)piece.len;
	o->size = (uint16_t)(piece.hdr_len + piece.len);
	op->open++;
	op->psn = p->tx_next - 1;
	op->cut += piece.len;
	op->piece = piece.len;
	if (op->stage == SRD_STAGE_CUT)
		op->whole = piece.len == op->len;
	if (op->stage != SRD_STAGE_CUT || op->kind == SRD_KIND_READ ||
	    op->cut == op->len) {
		srd_op_unqueue(op);
		op->stage = (uint8_t)next_stage(op);
	}
	return op->psn;
}

void srd_seg_fill(const struct srd_open *o, uint32_t psn, struct srd_pkt *pkt)
{
	const struct srd_operation *op = o->op;
	struct srd_pkt_data *d = &pkt->data;

	d->psn = psn;
	d->op = o->op_type;
	d->offset = o->offset;
	pkt->payload_len = o->len;
	if (o->op_type == SRD_OP_VOID) {
		d->status = 0;
		d->msg = o->msg;
		d->has_imm = false;
		pkt->payload = NULL;
		return;
	}
	d->status = op->status;
	d->msg = op->msg;
	d->total = op->len;
	d->remote = op->remote;
	d->rkey = op->rkey;
	d->has_imm = bears_imm(op, o->op_type, o->len);
	d->imm = op->imm;
	pkt->payload = o->len ? op->data + o->offset : NULL;
}
