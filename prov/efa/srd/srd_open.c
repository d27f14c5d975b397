/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_open.c - packets that have a number and are not acknowledged
 *
 * They lie in a ring by number, and each is in one of three lists (I2):
 * flight, in the order of their last transmission; lost, to be sent again;
 * waiting, refused by a receiver that was not ready.
 */
#include "srd/srd.h"

#include "srd/srd_priv.h"

static struct srd_list *list_of(struct srd_active *a, uint8_t state)
{
	struct srd_list *const lists[] = {
		[SRD_OPEN_FLIGHT] = &a->flight,
		[SRD_OPEN_LOST] = &a->lost,
		[SRD_OPEN_WAITING] = &a->waiting,
	};

	return lists[state];
}

static void unlink_it(struct srd_active *a, struct srd_open *o)
{
	struct srd_list *l = list_of(a, o->state);

	if (o->prev == SRD_NONE16)
		l->head = o->next;
	else
		a->open[o->prev].next = o->next;
	if (o->next == SRD_NONE16)
		l->tail = o->prev;
	else
		a->open[o->next].prev = o->prev;
	l->n--;
	if (o->state == SRD_OPEN_FLIGHT)
		a->in_flight -= o->size;
}

static void link_tail(struct srd_active *a, struct srd_open *o)
{
	struct srd_list *l = list_of(a, o->state);
	uint16_t place = (uint16_t)(o - a->open);

	o->next = SRD_NONE16;
	o->prev = l->tail;
	if (l->tail == SRD_NONE16)
		l->head = place;
	else
		a->open[l->tail].next = place;
	l->tail = place;
	l->n++;
	if (o->state == SRD_OPEN_FLIGHT)
		a->in_flight += o->size;
}

static void link_head(struct srd_active *a, struct srd_open *o)
{
	struct srd_list *l = list_of(a, o->state);
	uint16_t place = (uint16_t)(o - a->open);

	assert(o->state != SRD_OPEN_FLIGHT);
	o->prev = SRD_NONE16;
	o->next = l->head;
	if (l->head == SRD_NONE16)
		l->tail = place;
	else
		a->open[l->head].prev = place;
	l->head = place;
	l->n++;
}

uint32_t srd_open_psn(const struct srd *s, const struct srd_peer *p,
		      uint16_t place)
{
	uint32_t mask = s->cfg.window_pkts - 1;

	return p->tx_una + ((place - p->tx_una) & mask);
}

struct srd_open *srd_open_new(struct srd *s, struct srd_peer *p)
{
	struct srd_open *o = srd_open_at(s, p, p->tx_next);

	assert(p->tx_next - p->tx_una < s->cfg.window_pkts);
	p->tx_next++;
	s->nopen++;
	*o = (struct srd_open){ .state = SRD_OPEN_LOST };
	link_tail(p->active, o);
	return o;
}

void srd_open_move(struct srd *s, struct srd_peer *p, uint32_t psn,
		   enum srd_open_state to)
{
	struct srd_open *o = srd_open_at(s, p, psn);

	unlink_it(p->active, o);
	o->state = (uint8_t)to;
	link_tail(p->active, o);
}

void srd_open_undo(struct srd *s, struct srd_peer *p, uint32_t psn)
{
	struct srd_open *o = srd_open_at(s, p, psn);

	unlink_it(p->active, o);
	o->state = SRD_OPEN_LOST;
	link_head(p->active, o);
}

void srd_open_close(struct srd *s, struct srd_peer *p, uint32_t psn)
{
	struct srd_active *a = p->active;
	struct srd_open *o = srd_open_at(s, p, psn);
	struct srd_operation *op = o->op;

	unlink_it(a, o);
	o->op = NULL;
	srd_bits_set(&a->tx_bits, psn);
	s->nopen--;
	if (!op)
		return;
	assert(op->open > 0);
	if (--op->open == 0)
		srd_op_acked(s, op);
}

static void make_void(struct srd *s, struct srd_peer *p, uint32_t psn)
{
	struct srd_open *o = srd_open_at(s, p, psn);

	o->op = NULL;
	o->op_type = SRD_OP_VOID;
	o->offset = 0;
	o->len = 0;
	if (o->state == SRD_OPEN_WAITING) {
		srd_open_undo(s, p, psn);
		srd_ready(s, p);
	}
}

void srd_open_void(struct srd *s, struct srd_operation *op)
{
	struct srd_peer *p = op->peer;

	for (uint32_t psn = op->psn; op->open; psn--) {
		assert(!u_seq_before(psn, p->tx_una));
		if (srd_bits_test(&p->active->tx_bits, psn) ||
		    srd_open_at(s, p, psn)->op != op)
			continue;
		make_void(s, p, psn);
		op->open--;
	}
}

void srd_open_reset(struct srd_active *a)
{
	const struct srd_list empty = { SRD_NONE16, SRD_NONE16, 0 };

	a->flight = empty;
	a->lost = empty;
	a->waiting = empty;
	a->wait_until = SRD_NEVER;
	a->in_flight = 0;
	a->cc_limited = false;
	a->paced = false;
	a->tried_again = false;
	a->unasked = 0;
	a->force = 0;
	a->tries = 0;
	a->silent_at = 0;
	a->reo_at = SRD_NEVER;
	a->delivered_at = 0;
	srd_bits_zero(&a->tx_bits);
}
