/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_fixture.c - what the tests of the fault injector share
 */
#include "wire_fault_fixture.h"

#include <stdio.h>
#include <string.h>

#include "util/u_log.h"
#include "util/u_time.h"

static struct fixture fixture;
const uint8_t their_gid[16] = { [10] = 0xff, 0xff, 10, 0, 0, 7 };

static void log_keep(enum u_log_level level, const char *line)
{
	snprintf(fixture.log, sizeof(fixture.log), "%d %s", (int)level, line);
}

int fixture_open(void **state)
{
	memset(&fixture, 0, sizeof(fixture));
	fixture.now = 5 * U_SEC;
	u_log_set_sink(log_keep);
	*state = &fixture;
	return 0;
}

int fixture_close(void **state)
{
	struct fixture *f = *state;

	wire_fault_close(f->f);
	f->f = NULL;
	u_log_set_sink(NULL);
	return 0;
}

void open_with(struct fixture *f, struct wire_fault_config config)
{
	if (!config.seed)
		config.seed = 1;
	assert_int_equal(wire_fault_open(&config, f->now, &f->f), 0);
}

void packet_fill(struct packet *p, uint32_t number)
{
	size_t i;

	for (i = 0; i < sizeof(p->hdr); i++)
		p->hdr[i] = (uint8_t)(number + i);
	for (i = 0; i < sizeof(p->data); i++)
		p->data[i] = (uint8_t)(number * 7 + i);
	memcpy(p->hdr, &number, sizeof(number));
}

void packets_fill(struct fixture *f, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		packet_fill(&f->packet[i], f->next++);
		f->in[i] = (struct wire_out){
			.gid = their_gid,
			.qpn = (uint16_t)(1000 + i),
			.path = f->path,
			.fragment = i & 1,
			.hdr = f->packet[i].hdr,
			.hdr_len = HDR,
			.data = f->packet[i].data,
			.data_len = DATA,
		};
	}
}

bool is_whole(const struct wire_out *out)
{
	struct packet p;
	uint32_t number;

	memcpy(&number, out->hdr, sizeof(number));
	packet_fill(&p, number);
	return !memcmp(out->hdr, p.hdr, HDR) &&
	       !memcmp(out->data, p.data, DATA);
}

static void keep(struct fixture *f, const struct wire_out *out)
{
	uint32_t number;

	assert_true(is_whole(out));
	assert_memory_equal(out->gid, their_gid, sizeof(their_gid));
	memcpy(&number, out->hdr, sizeof(number));
	assert_true(number < MANY);
	f->times[number]++;
	f->at[f->seen++] = number;
}

int burst(struct fixture *f, int n, int max)
{
	int i, left;

	packets_fill(f, n);
	left = wire_fault_filter(f->f, f->in, n, f->out, max, f->now);
	assert_true(left >= 0 && left <= max);
	for (i = 0; i < left; i++)
		keep(f, &f->out[i]);
	return left;
}

void drain(struct fixture *f)
{
	while (wire_fault_due(f->f) != UINT64_MAX) {
		if (wire_fault_due(f->f) > f->now)
			f->now = wire_fault_due(f->f);
		assert_true(burst(f, 0, ROOM) > 0);
	}
}

void run(struct fixture *f)
{
	uint32_t i;

	for (i = 0; i < MANY / BURST; i++) {
		burst(f, BURST, ROOM);
		f->now += U_USEC;
	}
	drain(f);
}

const struct wire_fault_stats *stats(struct fixture *f)
{
	return wire_fault_stats(f->f);
}

void assert_balanced(struct fixture *f)
{
	const struct wire_fault_stats *s = stats(f);

	assert_int_equal(s->packets, f->next);
	assert_int_equal(s->packets + s->duplicated,
			 f->seen + s->lost + s->black + s->overflow);
}

bool in_order(const struct fixture *f)
{
	uint32_t i;

	for (i = 1; i < f->seen; i++)
		if (f->at[i] < f->at[i - 1])
			return false;
	return true;
}

void assert_rate(uint64_t n, uint64_t tries, double percent)
{
	double want = (double)tries * percent / 100;
	double off = (double)n - want;

	assert_true(off * off <= 25 * want * (1 - percent / 100));
}
