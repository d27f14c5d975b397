/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_ideal.c - what an ideal network would need, and quantiles of what was
 */
#include "sim_stage.h"

#include <stdlib.h>

#define WRITE_HDR 56 /* bytes: base header and that of an RDMA write */
#define ACK_WIRE (24 + 16 + 8 + SIM_FRAME) /* with one echo */

uint64_t sim_ideal_wire(const struct sim_topo *t, uint64_t bytes)
{
	uint64_t payload = t->mtu - SIM_FRAME - WRITE_HDR;

	return bytes +
	       (bytes + payload - 1) / payload * (WRITE_HDR + SIM_FRAME);
}

double sim_ideal_placed(const struct sim_topo *t, uint64_t n, uint64_t bytes,
			double gbps)
{
	uint64_t wire = sim_ideal_wire(t, bytes);
	uint64_t last = wire < t->mtu ? wire : t->mtu;

	return (double)n * (double)wire * 8 / gbps / 1e3 +
	       sim_us(sim_topo_one_way(t, last)) -
	       (double)last * 8 / gbps / 1e3;
}

double sim_ideal_done(const struct sim_topo *t, uint64_t n, uint64_t bytes,
		      double gbps)
{
	return sim_ideal_placed(t, n, bytes, gbps) +
	       sim_us(sim_topo_one_way(t, ACK_WIRE));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double at(const double *v, uint32_t n, double q)
{
	uint32_t i = (uint32_t)(q * n);

	return v[i < n ? i : n - 1];
}

struct sim_quantiles sim_quantiles(double *v, uint32_t n)
{
	struct sim_quantiles q = { .mean = 0 };
	uint32_t i;

	if (!n)
		return q;
	qsort(v, n, sizeof(*v), by_value);
	for (i = 0; i < n; i++)
		q.mean += v[i] / n;
	q.min = v[0];
	q.p50 = at(v, n, 0.5);
	q.p99 = at(v, n, 0.99);
	q.p999 = at(v, n, 0.999);
	q.max = v[n - 1];
	return q;
}
