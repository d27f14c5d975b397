/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_net_test.c - links keep their rate, queues their size, switches a path
 */
#include "../sim_topo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MTU 1000
#define DELAY (SIM_PS_US)

static struct sim_queue queue;
static struct sim_rand rand_net;
static struct sim_net net;

static void build(struct sim_topo t)
{
	const char *why;

	t.mtu = MTU;
	t.delay = DELAY;
	if (t.gbps <= 0)
		t.gbps = 100;
	if (t.up_gbps <= 0)
		t.up_gbps = t.gbps;
	if (!t.queue)
		t.queue = 100 * MTU;
	rand_net = (struct sim_rand){ .state = 1 };
	sim_queue_init(&queue);
	assert_int_equal(sim_topo_check(&t, &why), 0);
	sim_topo_build(&net, &t, &queue, &rand_net);
}

static int teardown(void **state)
{
	(void)state;
	sim_topo_free(&net);
	sim_queue_fini(&queue);
	return 0;
}

static struct sim_packet *packet(uint32_t src, uint32_t dst, uint32_t entropy)
{
	struct sim_packet *p = sim_net_packet(&net);

	p->kind = SIM_TCP_DATA;
	p->src = src;
	p->dst = dst;
	p->key = sim_net_key(src, dst, entropy);
	p->wire = MTU;
	return p;
}

static void send(uint32_t src, uint32_t dst, uint32_t entropy)
{
	sim_net_send(&net, src, packet(src, dst, entropy), 0);
}

/* Runs the net empty; returns how many packets got to a host, in last the time
 * of the last and the host. */
static uint32_t run(uint64_t *last, uint32_t *host)
{
	struct sim_packet *p;
	uint32_t n = 0;

	while (queue.n) {
		p = sim_net_arrive(&net, sim_queue_top(&queue)->what);
		if (!p)
			continue;
		n++;
		if (last)
			*last = p->at;
		if (host)
			*host = p->dst;
		sim_net_put(&net, p);
	}
	assert_int_equal(net.alive, 0);
	return n;
}

static void sim_net_send__delivers_at_the_rate(void **state)
{
	uint64_t last = 0, one = 80 * MTU; /* ps: 100 Gb/s are 80 a byte */
	uint32_t i;

	(void)state;
	build((struct sim_topo){ .kind = SIM_STAR, .hosts = 2 });
	for (i = 0; i < 50; i++)
		send(0, 1, 0);
	assert_int_equal(run(&last, NULL), 50);
	assert_int_equal(last, 50 * one + DELAY + one + DELAY);
}

static void sim_net_send__drops_when_the_queue_is_full(void **state)
{
	uint32_t i;

	(void)state;
	build((struct sim_topo){
		.kind = SIM_STAR, .hosts = 3, .queue = 10 * MTU });
	/* Two hosts at full speed into one: half of it has to wait. */
	for (i = 0; i < 100; i++) {
		send(0, 2, 0);
		send(1, 2, 0);
	}
	i = run(NULL, NULL);
	assert_int_equal(i + sim_net_dropped(&net), 200);
	assert_in_range(i, 100, 112);
	assert_true(net.link[net.sw[0].down + 2].longest <= 10 * MTU * 80);
	assert_true(net.link[net.sw[0].down + 2].longest > 8 * MTU * 80);
}

static void sim_net_send__slow_link_takes_longer(void **state)
{
	uint64_t last = 0;

	(void)state;
	build((struct sim_topo){ .kind = SIM_STAR, .hosts = 2 });
	sim_link_set_rate(&net.link[net.sw[0].down + 1], 25);
	send(0, 1, 0);
	assert_int_equal(run(&last, NULL), 1);
	assert_int_equal(last, 80 * MTU + DELAY + 320 * MTU + DELAY);
}

static void sim_net_kill__loses_what_is_under_way(void **state)
{
	(void)state;
	build((struct sim_topo){ .kind = SIM_STAR, .hosts = 2 });
	send(0, 1, 0);
	sim_net_kill(&net, 0, true);
	send(0, 1, 0);
	assert_int_equal(run(NULL, NULL), 0);
	assert_int_equal(sim_net_lost(&net), 2);
	sim_net_kill(&net, 0, false);
	send(0, 1, 0);
	assert_int_equal(run(NULL, NULL), 1);
}

static void sim_net_fault__loses_and_doubles_its_part(void **state)
{
	uint32_t i, n;

	(void)state;
	build((struct sim_topo){
		.kind = SIM_STAR, .hosts = 2, .queue = 20000 * MTU });
	sim_net_fault(&net, 0, 0.25, 0, 0);
	for (i = 0; i < 10000; i++)
		send(0, 1, 0);
	assert_in_range(run(NULL, NULL), 7200, 7800);
	sim_net_fault(&net, 0, 0, 0, 0.25);
	for (i = 0; i < 10000; i++)
		send(0, 1, 0);
	n = run(NULL, NULL);
	assert_in_range(n, 12200, 12800);
}

/* With 4 spines each gets about a quarter of 4000 entropies, and one entropy
 * always the same. */
static void sim_net_route__spreads_and_is_stable(void **state)
{
	struct sim_packet *p;
	uint32_t hits[4] = { 0 }, i, first;

	(void)state;
	build((struct sim_topo){ .kind = SIM_LEAF_SPINE,
				 .hosts = 8,
				 .per_leaf = 4,
				 .spines = 4 });
	for (i = 0; i < 4000; i++) {
		p = packet(0, 7, i);
		first = sim_net_route(&net, 0, p);
		assert_int_equal(sim_net_route(&net, 0, p), first);
		hits[first - net.sw[0].up]++;
		sim_net_put(&net, p);
	}
	for (i = 0; i < 4; i++)
		assert_in_range(hits[i], 850, 1150);
}

static void sim_net_withdraw__routes_around(void **state)
{
	struct sim_topo t = {
		.kind = SIM_LEAF_SPINE, .hosts = 8, .per_leaf = 4, .spines = 4
	};
	struct sim_packet *p;
	uint32_t i, down;

	(void)state;
	build(t);
	/* Spine 2 has lost its link to the other leaf. */
	down = sim_topo_spine_down(&net, &t, 2, 1);
	sim_net_withdraw(&net, down, true);
	for (i = 0; i < 1000; i++) {
		p = packet(0, 7, i);
		assert_int_not_equal(sim_net_route(&net, 0, p),
				     sim_topo_leaf_up(&net, 0, 2));
		sim_net_put(&net, p);
	}
	sim_net_withdraw(&net, down, false);
	assert_int_equal(net.nwithdrawn, 0);
}

static void all_reach_all(struct sim_topo t)
{
	uint32_t src, dst, host = 0;

	t.queue = 100000 * MTU; /* every packet starts at time 0 */
	build(t);
	for (src = 0; src < t.hosts; src++) {
		for (dst = 0; dst < t.hosts; dst++) {
			if (src == dst)
				continue;
			send(src, dst, src + dst);
			assert_int_equal(run(NULL, &host), 1);
			assert_int_equal(host, dst);
		}
	}
}

static void sim_topo_build__leaf_spine_reaches_all(void **state)
{
	(void)state;
	all_reach_all((struct sim_topo){ .kind = SIM_LEAF_SPINE,
					 .hosts = 12,
					 .per_leaf = 3,
					 .spines = 5 });
}

static void sim_topo_build__fat_tree_reaches_all(void **state)
{
	(void)state;
	all_reach_all((struct sim_topo){ .kind = SIM_FAT_TREE, .hosts = 54 });
}

static void sim_topo_check__says_what_is_wrong(void **state)
{
	struct sim_topo t = {
		.kind = SIM_FAT_TREE, .hosts = 20, .queue = 10000, .mtu = MTU
	};
	const char *why;

	(void)state;
	assert_int_not_equal(sim_topo_check(&t, &why), 0);
	assert_non_null(strstr(why, "k^3/4"));
}

static void sim_topo_one_way__is_what_a_packet_takes(void **state)
{
	struct sim_topo t = { .kind = SIM_FAT_TREE,
			      .hosts = 16,
			      .gbps = 100,
			      .up_gbps = 50,
			      .delay = DELAY };
	uint64_t last = 0;

	(void)state;
	build(t);
	send(0, 15, 0);
	assert_int_equal(run(&last, NULL), 1);
	assert_int_equal(last, sim_topo_one_way(&t, MTU));
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sim_net_send__delivers_at_the_rate),
		TEST(sim_net_send__drops_when_the_queue_is_full),
		TEST(sim_net_send__slow_link_takes_longer),
		TEST(sim_net_kill__loses_what_is_under_way),
		TEST(sim_net_fault__loses_and_doubles_its_part),
		TEST(sim_net_route__spreads_and_is_stable),
		TEST(sim_net_withdraw__routes_around),
		TEST(sim_topo_build__leaf_spine_reaches_all),
		TEST(sim_topo_build__fat_tree_reaches_all),
		cmocka_unit_test(sim_topo_check__says_what_is_wrong),
		TEST(sim_topo_one_way__is_what_a_packet_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
