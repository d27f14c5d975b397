/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_rail_fixture.c - three ends: `a` and `b` have two rails, `far` is on
 * another host
 */
#include "dev_rail_fixture.h"

#include <stdlib.h>
#include <string.h>

#define CAPS (DEV_CAP_READ | DEV_CAP_WRITE)

void dr_open(struct dr_end *e, struct dev *dev, uint32_t qkey)
{
	e->dev = dev;
	assert_int_equal(dev_cq_open(dev, &e->cq), 0);
	assert_int_equal(
		dev_qp_open(dev, DEV_QP_RDM, e->cq,
			    &(struct dev_qp_attr){ .qkey = qkey,
						   .rnr_retries = DEV_RNR_TRIES,
						   .low_latency = true },
			    &e->qp),
		0);
}

void dr_close(struct dr_end *e)
{
	if (!e->dev)
		return;
	dev_qp_close(e->qp);
	dev_cq_close(e->cq);
	dev_close(e->dev);
	e->dev = NULL;
}

struct dev *dr_record(void)
{
	struct dev *dev;

	assert_int_equal(dev_record_open(DR_MTU, CAPS, &dev), 0);
	return dev;
}

int dr_setup(void **state)
{
	struct dr *r = calloc(1, sizeof(*r));
	struct dev *dev;

	if (df_dir_make(r->dir))
		return -1;
	r->config.shm_dir = r->dir;
	dev = dr_record();
	dev_rail_add(&r->config, &dev);
	dr_open(&r->a, dev, 11);
	dev = dr_record();
	dev_rail_add(&r->config, &dev);
	dr_open(&r->b, dev, 12);
	dr_open(&r->far, dr_record(), 13);
	assert_int_equal(dev_ah_open(r->a.qp, &r->b.qp->addr, 'b', &r->ab), 0);
	assert_int_equal(dev_ah_open(r->a.qp, &r->far.qp->addr, 'f', &r->afar),
			 0);
	*state = r;
	return 0;
}

int dr_teardown(void **state)
{
	struct dr *r = *state;

	dev_ah_close(r->ab);
	dev_ah_close(r->afar);
	dr_close(&r->a);
	dr_close(&r->b);
	dr_close(&r->far);
	assert_int_equal(df_warnings, 0);
	df_dir_remove(r->dir);
	free(r);
	return 0;
}

struct dev_qp *dr_main(struct dr_end *e)
{
	return u_container_of(e->qp, struct rail_qp, qp)->rail[RAIL_MAIN];
}

void dr_send(struct dr_end *e, struct dev_ah *ah, const char *text)
{
	struct dev_wr wr = {
		.id = 5,
		.ah = ah,
		.hdr = text,
		.hdr_len = (uint32_t)strlen(text),
	};

	assert_int_equal(dev_post(e->qp, &wr, 1), 1);
}

uint32_t dr_expect(struct dr_end *e, const char *text,
		   const struct dev_addr *from)
{
	struct dev_wc wc = df_wait(e->cq);
	struct dev_addr addr;

	assert_int_equal(wc.op, DEV_WC_RECV);
	assert_int_equal(wc.len, strlen(text));
	assert_memory_equal(wc.data, text, wc.len);
	assert_int_equal(dev_source(e->qp, wc.source, &addr), 0);
	assert_memory_equal(addr.gid, from->gid, sizeof(addr.gid));
	assert_int_equal(addr.qpn, from->qpn);
	dev_give_back(e->cq);
	return wc.source;
}

bool dr_deliver(struct dr_end *e, bool complete)
{
	struct dev_record_wr *wr = dev_record_take(dr_main(e));

	if (!wr)
		return false;
	assert_int_equal(dev_record_deliver(wr, complete), 0);
	dev_record_free(wr);
	return true;
}
