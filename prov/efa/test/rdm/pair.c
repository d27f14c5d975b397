/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pair.c - two endpoints joined by recording devices, for tests
 */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#include "pair_watch.h"
#include "rdm/rdm_ep.h"

static void end_open(struct pair_end *e, const struct pair_options *o,
		     uint64_t features_off)
{
	struct rdm_ep_config config;

	assert_int_equal(
		dev_record_open(PAIR_MTU,
				o->caps | (o->unwatched ? 0 : DEV_CAP_WATCHES),
				&e->dev),
		0);
	dev_record_set_inline(e->dev, !o->by_completion);
	e->av = rdm_av_new(16);
	e->cq = rdm_cq_new(16, false);
	config = (struct rdm_ep_config){
		.dev = e->dev,
		.av = e->av,
		.tx_cq = e->cq,
		.rx_cq = e->cq,
		.cntr = { [RDM_CNTR_SEND] = &e->sends,
			  [RDM_CNTR_RECV] = &e->recvs,
			  [RDM_CNTR_REMOTE_READ] = &e->remote_reads,
			  [RDM_CNTR_REMOTE_WRITE] = &e->remote_writes },
		.tx_size = 1024,
		.medium_max = PAIR_MEDIUM,
		.read_min = PAIR_READ,
		.write_read_min = PAIR_READ_WRITE,
		.runt_size = o->runt_size,
		.low_latency = o->low_latency,
		.features_off = features_off,
		.unexpected_max = o->unexpected_max ? o->unexpected_max :
						      1 << 20,
		.min_multi_recv = 64,
	};
	assert_int_equal(rdm_ep_open(&config, &e->ep), 0);
	e->qp = e->ep->qp;
	rdm_ep_addr(e->ep, &e->addr);
}

static void end_close(struct pair_end *e)
{
	rdm_ep_close(e->ep);
	rdm_cq_free(e->cq);
	rdm_av_free(e->av);
	dev_close(e->dev);
}

void pair_open(struct pair *p, const struct pair_options *o)
{
	memset(p, 0, sizeof(*p));
	pair_watch_start();
	end_open(&p->a, o, o->a_off);
	end_open(&p->b, o, o->b_off);
	assert_int_equal(rdm_av_insert(p->a.av, &p->b.addr, &p->a.peer), 0);
	assert_int_equal(rdm_av_insert(p->b.av, &p->a.addr, &p->b.peer), 0);
}

void pair_close(struct pair *p)
{
	end_close(&p->a);
	end_close(&p->b);
	pair_watch_stop();
}

/* Rounds without a packet after which nothing will come: one progress takes
   a batch of completions only. */
#define IDLE_ROUNDS 16

void pair_run(struct pair *p)
{
	int idle = 0;

	while (idle < IDLE_ROUNDS) {
		rdm_progress(p->a.ep);
		rdm_progress(p->b.ep);
		idle = dev_record_run() > 0 ? 0 : idle + 1;
	}
}

static int collect(struct dev_qp *qp, struct dev_record_wr **all, int n)
{
	struct dev_record_wr *wr;

	while (n < 4096 && (wr = dev_record_take(qp)))
		all[n++] = wr;
	return n;
}

/*
 * A CTS has no number in version 4 of the protocol: only the device's promise
 * of at most once keeps it from being granted twice.
 */
static bool may_repeat(const struct dev_record_wr *wr)
{
	return wr->op == DEV_SEND && wr->data[0] != RDM_PKT_CTS;
}

void pair_shuffle(struct pair *p, unsigned int *seed, bool twice)
{
	static struct dev_record_wr *all[4096];
	int idle = 0;

	while (idle < IDLE_ROUNDS) {
		int n = collect(p->a.qp, all, 0);

		n = collect(p->b.qp, all, n);
		idle = n ? 0 : idle + 1;
		for (int i = n - 1; i > 0; i--) {
			int j = rand_r(seed) % (i + 1);
			struct dev_record_wr *swap = all[i];

			all[i] = all[j];
			all[j] = swap;
		}
		for (int i = 0; i < n; i++) {
			dev_record_deliver(all[i], true);
			if (twice && may_repeat(all[i]) &&
			    rand_r(seed) % 4 == 0)
				dev_record_deliver(all[i], false);
			dev_record_free(all[i]);
			rdm_progress(p->a.ep);
			rdm_progress(p->b.ep);
		}
		rdm_progress(p->a.ep);
		rdm_progress(p->b.ep);
	}
}

int pair_refuse(struct pair_end *from, uint8_t status)
{
	struct dev_record_wr *wr;
	int n = 0;

	while ((wr = dev_record_take(from->qp))) {
		dev_record_complete(wr, status);
		dev_record_free(wr);
		n++;
	}
	return n;
}

void pair_deliver(struct pair_end *from, struct pair_end *to, int n)
{
	struct dev_record_wr *wr;

	while (n-- && (wr = dev_record_take(from->qp))) {
		dev_record_deliver(wr, true);
		dev_record_free(wr);
	}
	for (int i = 0; i < 8; i++) {
		rdm_progress(from->ep);
		rdm_progress(to->ep);
	}
}

uint8_t pair_byte(uint32_t n, uint64_t offset)
{
	return (uint8_t)(n * 131 + offset * 7 + (offset >> 8) * 13);
}

/* All of pair_byte() for n: it comes again after so many bytes. */
#define PERIOD 65536u

static const uint8_t *pattern_of(uint32_t n)
{
	static uint8_t *patterns[256];
	uint8_t **p = &patterns[n % 256];

	if (*p)
		return *p;
	*p = malloc(PERIOD);
	assert_non_null(*p);
	for (uint32_t i = 0; i < PERIOD; i++)
		(*p)[i] = pair_byte(n, i);
	return *p;
}

/* From at on to where the pattern begins again, or the end. */
static size_t run_of(uint64_t at, uint64_t len)
{
	return u_min(len - at, PERIOD - at % PERIOD);
}

void pair_fill(void *buf, uint32_t n, uint64_t len)
{
	uint8_t *bytes = buf;

	for (uint64_t at = 0; at < len; at += run_of(at, len))
		memcpy(bytes + at, pattern_of(n), run_of(at, len));
}

void pair_check(const void *buf, uint32_t n, uint64_t len)
{
	pair_check_rest(buf, n, 0, len);
}

void pair_check_rest(const void *buf, uint32_t n, uint64_t from, uint64_t len)
{
	const uint8_t *bytes = buf;

	for (uint64_t at = from; at < len; at += run_of(at, len)) {
		if (!memcmp(bytes + at, pattern_of(n) + at % PERIOD,
			    run_of(at, len)))
			continue;
		while (bytes[at] == pair_byte(n, at))
			at++;
		fail_msg("message %u differs at byte %lu", n,
			 (unsigned long)at);
	}
}

int pair_send(struct pair_end *from, const void *buf, size_t len, uint64_t tag,
	      uint32_t flags, void *context)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return rdm_send(from->ep, &(struct rdm_send){
					  .iov = &iov,
					  .iovcnt = 1,
					  .flags = flags | RDM_COMPLETION,
					  .to = from->peer,
					  .tag = tag,
					  .data = tag + 1,
					  .context = context,
				  });
}

int pair_recv(struct pair_end *at, void *buf, size_t len, uint64_t tag,
	      uint32_t flags, void *context)
{
	struct iovec iov = { buf, len };

	return rdm_recv(at->ep, &(struct rdm_recv){
					.iov = &iov,
					.iovcnt = 1,
					.flags = flags | RDM_COMPLETION,
					.from = at->peer,
					.tag = tag,
					.context = context,
				});
}

struct rdm_comp pair_comp(struct pair_end *at)
{
	struct rdm_comp comp;

	assert_int_equal(rdm_cq_read(at->cq, &comp, 1), 1);
	assert_int_equal(comp.err, 0);
	return comp;
}

struct rdm_comp pair_error(struct pair_end *at, uint32_t err)
{
	struct rdm_comp comp;

	assert_int_equal(rdm_cq_read(at->cq, &comp, 1), -1);
	assert_int_equal(rdm_cq_read_error(at->cq, &comp), 1);
	assert_int_equal(comp.err, err);
	assert_non_null(comp.error);
	free(comp.error);
	comp.error = NULL;
	return comp;
}

void pair_no_comp(struct pair_end *at)
{
	assert_true(rdm_cq_empty(at->cq));
}

void pair_shake(struct pair *p)
{
	char byte = 0;

	assert_int_equal(pair_send(&p->a, &byte, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p->b, &byte, 1, 0, 0, NULL), 0);
	pair_run(p);
	assert_int_equal(pair_send(&p->b, &byte, 1, 0, 0, NULL), 0);
	assert_int_equal(pair_recv(&p->a, &byte, 1, 0, 0, NULL), 0);
	pair_run(p);
	for (int i = 0; i < 2; i++) {
		pair_comp(&p->a);
		pair_comp(&p->b);
	}
	pair_no_comp(&p->a);
	pair_no_comp(&p->b);
}
