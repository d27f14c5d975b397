/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_world_test.c - hosts with engines and with TCP, and what the oracle sees
 */
#include "../sim_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../sim_mem.h"
#include "../sim_stage.h"

#define BYTES (1 << 20)
#define GBPS 100

static struct sim_opts opts;
static struct sim_stage stage;

/* n hosts that send to host 0. */
static void incast(enum sim_engine engine, uint32_t n, uint64_t seed,
		   uint64_t queue)
{
	struct sim_topo t;
	uint32_t i;

	opts = (struct sim_opts){ .seed = seed };
	t = sim_stage_topo(&opts, SIM_STAR, n + 1, GBPS, 12, queue);
	sim_stage_init(&stage, &opts, &t, engine, BYTES);
	for (i = 0; i < n; i++)
		sim_stage_lane(&stage, i + 1, 0);
	sim_stage_open(&stage, &opts);
}

static int teardown(void **state)
{
	(void)state;
	sim_stage_fini(&stage);
	return 0;
}

static void all_send(uint64_t bytes)
{
	uint32_t i;

	for (i = 0; i < stage.nlanes; i++)
		sim_stage_start(&stage, i, bytes);
	sim_oracle_end(&stage.w);
}

static double time_of(uint32_t id)
{
	const struct sim_flow *f = sim_flow_at(&stage.w, id);

	return sim_us(f->done - f->posted);
}

/* --- TCP --- */

static void sim_conn__one_flow_fills_the_link(void **state)
{
	double ideal;

	(void)state;
	incast(SIM_ENGINE_TCP, 1, 1, 512 << 10);
	all_send(64 * BYTES);
	ideal = sim_ideal_done(&stage.w.topo, 1, 64 * BYTES, GBPS);
	assert_true(time_of(0) < ideal * 1.1);
	assert_int_equal(sim_stage_timeouts(&stage), 0);
}

/* Fast retransmit mends single losses without a timeout. */
static void sim_conn__mends_losses(void **state)
{
	(void)state;
	incast(SIM_ENGINE_TCP, 1, 1, 512 << 10);
	sim_net_fault(&stage.w.net, stage.w.net.sw[0].down, 0.0005, 0, 0);
	all_send(16 * BYTES);
	assert_true(sim_stage_resent(&stage) > 0);
	assert_int_equal(sim_stage_timeouts(&stage), 0);
}

static void sim_conn__incast_meets_timeouts(void **state)
{
	uint32_t i;
	double worst = 0;

	(void)state;
	incast(SIM_ENGINE_TCP, 40, 1, 256 << 10);
	all_send(BYTES);
	all_send(BYTES);
	for (i = 0; i < stage.w.nflows; i++)
		if (time_of(i) > worst)
			worst = time_of(i);
	assert_true(sim_stage_timeouts(&stage) > 0);
	assert_true(worst > 50000);
}

static void sim_conn__two_flows_share(void **state)
{
	double ideal;

	(void)state;
	incast(SIM_ENGINE_TCP, 2, 1, 512 << 10);
	all_send(256 * BYTES);
	ideal = sim_ideal_done(&stage.w.topo, 2, 256 * BYTES, GBPS);
	assert_true(time_of(0) < ideal * 1.2 && time_of(0) > ideal * 0.6);
	assert_true(time_of(1) < ideal * 1.2 && time_of(1) > ideal * 0.6);
}

/* --- engines --- */

static void sim_end__delivers_sends_and_writes(void **state)
{
	(void)state;
	incast(SIM_ENGINE_SRD, 3, 1, 512 << 10);
	all_send(100);
	all_send(SIM_SEND_MAX);
	all_send(BYTES);
	assert_int_equal(stage.w.nflows_done, 9);
	assert_int_equal(stage.w.checked,
			 3 * (100 + SIM_SEND_MAX + (uint64_t)BYTES));
}

static void sim_end__survives_bad_links(void **state)
{
	(void)state;
	incast(SIM_ENGINE_SRD, 3, 1, 512 << 10);
	sim_net_fault(&stage.w.net, 1, 0.05, 0.05, 0.05);
	sim_net_fault(&stage.w.net, stage.w.net.sw[0].down, 0.01, 0.01, 0.01);
	all_send(BYTES);
	assert_int_equal(stage.w.checked, 3 * (uint64_t)BYTES);
	assert_true(sim_stage_resent(&stage) > 0);
}

static uint64_t events_of(uint64_t seed, double *time)
{
	uint64_t events;

	incast(SIM_ENGINE_SRD, 8, seed, 64 << 10);
	sim_net_fault(&stage.w.net, 1, 0.02, 0, 0);
	all_send(BYTES);
	events = stage.w.events;
	*time = time_of(0);
	sim_stage_fini(&stage);
	return events;
}

static void sim_world_run__a_seed_decides(void **state)
{
	double first, again, other;
	uint64_t events;

	(void)state;
	events = events_of(5, &first);
	assert_int_equal(events_of(5, &again), events);
	assert_true(first == again);
	events_of(6, &other);
	assert_true(first != other);
}

/* --- the oracle --- */

/* Runs what has to end the program with SIM_EXIT_BROKEN, in a child. */
static void expect_broken(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(9);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SIM_EXIT_BROKEN);
}

static struct sim_flow *flow_open(void)
{
	struct sim_flow *f;

	incast(SIM_ENGINE_SRD, 1, 1, 512 << 10);
	f = sim_flow_new(&stage.w, 8192, 0);
	f->kind = SIM_FLOW_WRITE;
	f->from = stage.lane[0].from;
	f->to = stage.lane[0].to;
	return f;
}

/* An arriving piece as the engine would place it, `skew` bytes off. */
static void place(struct sim_flow *f, uint32_t offset, uint32_t len,
		  int64_t skew)
{
	uint8_t packet[128 + 8192] = { 0 };
	uint8_t *to = (uint8_t *)(uintptr_t)sim_oracle_remote(&stage.w, f);
	struct sim_piece piece;

	packet[1] = 1; /* DATA */
	packet[3] = 14; /* words of headers */
	packet[28] = 2; /* WRITE */
	packet[36] = (uint8_t)offset;
	packet[37] = (uint8_t)(offset >> 8);
	packet[48] = (uint8_t)f->id;
	sim_oracle_before(&stage.w, &stage.w.end[f->to], packet, 56 + len,
			  &piece);
	assert_ptr_equal(piece.flow, f);
	for (uint32_t i = 0; i < len; i++)
		to[offset + skew + i] =
			sim_oracle_source(&stage.w, f)[offset + i];
	sim_oracle_after(&stage.w, &piece);
}

static void placed_beside(void)
{
	place(flow_open(), 4096, 1024, 4);
}

static void placed_twice(void)
{
	struct sim_flow *f = flow_open();

	place(f, 0, 4096, 0);
	place(f, 0, 4096, 0);
}

static void done_before_placed(void)
{
	struct sim_flow *f = flow_open();

	place(f, 0, 4096, 0);
	sim_flow_finish(&stage.w, f, SRD_OK);
}

static void done_twice(void)
{
	struct sim_flow *f = flow_open();

	place(f, 0, 8192, 0);
	sim_flow_finish(&stage.w, f, SRD_OK);
	sim_flow_finish(&stage.w, f, SRD_OK);
}

static void placed_after_done(void)
{
	struct sim_flow *f = flow_open();

	place(f, 0, 8192, 0);
	sim_flow_finish(&stage.w, f, SRD_OK);
	place(f, 0, 16, 0);
}

static void failed(void)
{
	sim_flow_finish(&stage.w, flow_open(), SRD_UNRESPONSIVE);
}

static void never_done(void)
{
	flow_open();
	sim_oracle_end(&stage.w);
}

static void sim_oracle__sees_each_violation(void **state)
{
	(void)state;
	expect_broken(placed_beside);
	expect_broken(placed_twice);
	expect_broken(done_before_placed);
	expect_broken(done_twice);
	expect_broken(placed_after_done);
	expect_broken(failed);
	expect_broken(never_done);
}

static void sim_oracle__accepts_pieces_in_any_order(void **state)
{
	struct sim_flow *f = flow_open();

	(void)state;
	place(f, 5000, 3192, 0);
	place(f, 0, 3, 0);
	place(f, 3, 4997, 0);
	sim_flow_finish(&stage.w, f, SRD_OK);
	assert_int_equal(f->placed_bytes, 8192);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sim_conn__one_flow_fills_the_link),
		TEST(sim_conn__mends_losses),
		TEST(sim_conn__incast_meets_timeouts),
		TEST(sim_conn__two_flows_share),
		TEST(sim_end__delivers_sends_and_writes),
		TEST(sim_end__survives_bad_links),
		cmocka_unit_test(sim_world_run__a_seed_decides),
		cmocka_unit_test(sim_oracle__sees_each_violation),
		TEST(sim_oracle__accepts_pieces_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
