/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_match_test.c - matching against a list that is searched from the front,
 * and the steps it takes with many entries
 */
#include "rdm/rdm_match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Peers are identities only. */
struct rdm_peer {
	uint64_t line[8];
};

#define PEERS 5
static struct rdm_peer peers[PEERS];

static struct rdm_match m;

static int setup(void **state)
{
	(void)state;
	return rdm_match_init(&m);
}

static int teardown(void **state)
{
	(void)state;
	rdm_match_fini(&m);
	return 0;
}

static struct rdm_match_recv recv_of(struct rdm_peer *peer, uint64_t tag,
				     uint64_t ignore)
{
	return (struct rdm_match_recv){ .peer = peer,
					.tag = tag,
					.ignore = ignore };
}

/* ---- receives ------------------------------------------------------------- */

static void rdm_match_find_recv__nothing_posted(void **state)
{
	(void)state;
	assert_null(rdm_match_find_recv(&m, &peers[0], 1));
}

static void rdm_match_find_recv__in_order_of_posting(void **state)
{
	struct rdm_match_recv r[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		r[i] = recv_of(&peers[0], 7, 0);
		rdm_match_post(&m, &r[i]);
	}
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(rdm_match_find_recv(&m, &peers[0], 7), &r[i]);
		rdm_match_unpost(&m, &r[i]);
	}
	assert_null(rdm_match_find_recv(&m, &peers[0], 7));
}

static void rdm_match_find_recv__peer_and_tag_must_fit(void **state)
{
	struct rdm_match_recv r = recv_of(&peers[0], 7, 0);

	(void)state;
	rdm_match_post(&m, &r);
	assert_null(rdm_match_find_recv(&m, &peers[0], 8));
	assert_null(rdm_match_find_recv(&m, &peers[1], 7));
	assert_ptr_equal(rdm_match_find_recv(&m, &peers[0], 7), &r);
}

/* One of each sort fits: whichever was posted first wins. */
static void rdm_match_find_recv__oldest_of_exact_any_and_wild(void **state)
{
	static const int orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 }
	};

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct rdm_match_recv r[3] = {
			recv_of(&peers[0], 7, 0),
			recv_of(NULL, 7, 0),
			recv_of(NULL, 0xff, 0xff),
		};

		for (int k = 0; k < 3; k++)
			rdm_match_post(&m, &r[orders[i][k]]);
		for (int k = 0; k < 3; k++) {
			struct rdm_match_recv *found;

			found = rdm_match_find_recv(&m, &peers[0], 7);
			assert_ptr_equal(found, &r[orders[i][k]]);
			rdm_match_unpost(&m, found);
		}
	}
}

static void rdm_match_find_recv__wild_ones_in_order_and_by_peer(void **state)
{
	struct rdm_match_recv other = recv_of(&peers[1], 0x10, 0x0f);
	struct rdm_match_recv first = recv_of(NULL, 0x1f, 0x0f);
	struct rdm_match_recv second = recv_of(&peers[0], 0, UINT64_MAX);

	(void)state;
	rdm_match_post(&m, &other);
	rdm_match_post(&m, &first);
	rdm_match_post(&m, &second);
	assert_true(first.tag == 0x10);
	assert_ptr_equal(rdm_match_find_recv(&m, &peers[0], 0x13), &first);
	assert_ptr_equal(rdm_match_find_recv(&m, &peers[0], 0x23), &second);
	assert_ptr_equal(rdm_match_find_recv(&m, &peers[1], 0x13), &other);
	assert_null(rdm_match_find_recv(&m, &peers[2], 0x23));
}

/* Two keys made to have the same hash. */
static void rdm_match_find_recv__keys_with_one_hash(void **state)
{
	struct rdm_match_recv a = recv_of((struct rdm_peer *)0x1000, 5, 0);
	struct rdm_match_recv b = recv_of((struct rdm_peer *)0x2000, 0, 0);
	uint64_t odd = UINT64_C(0x9e3779b97f4a7c15), inverse = odd;

	(void)state;
	for (int i = 0; i < 6; i++) /* Newton: odd * inverse == 1 */
		inverse *= 2 - odd * inverse;
	b.tag = ((5 * odd) ^ 0x100 ^ 0x200) * inverse;
	rdm_match_post(&m, &a);
	rdm_match_post(&m, &b);
	assert_true(a.node.hash == b.node.hash);
	assert_int_equal(m.recvs.nqueues, 1);
	assert_ptr_equal(rdm_match_find_recv(&m, b.peer, b.tag), &b);
	assert_ptr_equal(rdm_match_find_recv(&m, a.peer, 5), &a);
	assert_null(rdm_match_find_recv(&m, a.peer, b.tag));
	rdm_match_unpost(&m, &a);
	assert_ptr_equal(rdm_match_find_recv(&m, b.peer, b.tag), &b);
}

/* ---- messages -------------------------------------------------------------- */

static void rdm_match_find_msg__oldest_in_each_order(void **state)
{
	struct rdm_match_msg msg[4] = {
		{ .peer = &peers[0], .tag = 1 },
		{ .peer = &peers[1], .tag = 2 },
		{ .peer = &peers[0], .tag = 2 },
		{ .peer = &peers[1], .tag = 2 },
	};

	(void)state;
	for (int i = 0; i < 4; i++)
		rdm_match_keep(&m, &msg[i]);
	assert_int_equal(m.nmsgs, 4);
	assert_ptr_equal(rdm_match_find_msg(&m, &peers[0], 2, 0), &msg[2]);
	assert_ptr_equal(rdm_match_find_msg(&m, NULL, 2, 0), &msg[1]);
	assert_ptr_equal(rdm_match_find_msg(&m, NULL, 9, UINT64_MAX), &msg[0]);
	assert_ptr_equal(rdm_match_find_msg(&m, &peers[1], 3, 1), &msg[1]);
	assert_null(rdm_match_find_msg(&m, &peers[2], 2, 0));
	assert_null(rdm_match_find_msg(&m, NULL, 3, 0));
	rdm_match_drop(&m, &msg[1]);
	assert_ptr_equal(rdm_match_find_msg(&m, NULL, 2, 0), &msg[2]);
	assert_ptr_equal(rdm_match_find_msg(&m, &peers[1], 2, 0), &msg[3]);
}

/* ---- against a model -------------------------------------------------------- */

#define MODEL_MAX 300

/* Everything in order of arrival; the first that fits is the answer. */
struct model {
	void *entry[MODEL_MAX];
	int n;
};

static void model_add(struct model *l, void *entry)
{
	assert_true(l->n < MODEL_MAX);
	l->entry[l->n++] = entry;
}

static void model_remove(struct model *l, const void *entry)
{
	for (int i = 0; i < l->n; i++) {
		if (l->entry[i] != entry)
			continue;
		memmove(&l->entry[i], &l->entry[i + 1],
			(size_t)(l->n - i - 1) * sizeof(l->entry[0]));
		l->n--;
		return;
	}
	fail_msg("not in the model");
}

static struct rdm_match_recv *model_recv(const struct model *l,
					 struct rdm_peer *peer, uint64_t tag)
{
	for (int i = 0; i < l->n; i++) {
		struct rdm_match_recv *r = l->entry[i];

		if ((!r->peer || r->peer == peer) &&
		    (r->tag | r->ignore) == (tag | r->ignore))
			return r;
	}
	return NULL;
}

static struct rdm_match_msg *model_msg(const struct model *l,
				       struct rdm_peer *peer, uint64_t tag,
				       uint64_t ignore)
{
	for (int i = 0; i < l->n; i++) {
		struct rdm_match_msg *msg = l->entry[i];

		if ((!peer || msg->peer == peer) &&
		    (msg->tag | ignore) == (tag | ignore))
			return msg;
	}
	return NULL;
}

static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	return (uint32_t)(u_mix64(seed++) % below);
}

static struct model recvs, msgs;

/* As an endpoint does it: take a kept message, else post. */
static void receive(uint32_t tags)
{
	static const uint64_t ignores[] = { 0, 0, 0, 1, 6, UINT64_MAX };
	struct rdm_peer *peer = rnd(2) ? &peers[rnd(PEERS)] : NULL;
	uint64_t tag = rnd(tags), ignore = ignores[rnd(6)];
	struct rdm_match_recv *r;
	struct rdm_match_msg *msg;

	msg = rdm_match_find_msg(&m, peer, tag, ignore);
	assert_ptr_equal(msg, model_msg(&msgs, peer, tag, ignore));
	if (msg) {
		rdm_match_drop(&m, msg);
		model_remove(&msgs, msg);
		free(msg);
	} else if (recvs.n < MODEL_MAX) {
		r = malloc(sizeof(*r));
		assert_non_null(r);
		*r = recv_of(peer, tag, ignore);
		rdm_match_post(&m, r);
		model_add(&recvs, r);
	}
}

static void arrive(uint32_t tags)
{
	struct rdm_peer *peer = &peers[rnd(PEERS)];
	uint64_t tag = rnd(tags);
	struct rdm_match_recv *r = rdm_match_find_recv(&m, peer, tag);
	struct rdm_match_msg *msg;

	assert_ptr_equal(r, model_recv(&recvs, peer, tag));
	if (r) {
		rdm_match_unpost(&m, r);
		model_remove(&recvs, r);
		free(r);
	} else if (msgs.n < MODEL_MAX) {
		msg = malloc(sizeof(*msg));
		assert_non_null(msg);
		*msg = (struct rdm_match_msg){ .peer = peer, .tag = tag };
		rdm_match_keep(&m, msg);
		model_add(&msgs, msg);
	}
}

/* As cancel does it: one from anywhere. */
static void give_up_one(void)
{
	void *entry;

	if (rnd(2) && recvs.n) {
		entry = recvs.entry[rnd((uint32_t)recvs.n)];
		rdm_match_unpost(&m, entry);
		model_remove(&recvs, entry);
		free(entry);
	} else if (msgs.n) {
		entry = msgs.entry[rnd((uint32_t)msgs.n)];
		rdm_match_drop(&m, entry);
		model_remove(&msgs, entry);
		free(entry);
	}
}

static void run_model(uint64_t from, uint32_t tags, uint32_t receives)
{
	seed = from;
	for (int i = 0; i < 40000; i++) {
		if (rnd(16) == 0)
			give_up_one();
		else if (rnd(100) < receives)
			receive(tags);
		else
			arrive(tags);
		assert_int_equal(m.nmsgs, msgs.n);
	}
	while (recvs.n || msgs.n)
		give_up_one();
	assert_int_equal(m.npeer + m.nany + m.recvs.nqueues, 0);
	assert_int_equal(m.peer_tag_msgs.nqueues + m.tag_msgs.nqueues, 0);
}

static void rdm_match__same_as_a_list(void **state)
{
	(void)state;
	for (uint64_t run = 0; run < 3; run++) {
		run_model(run << 32, 3, 50);
		run_model(run << 32, 200, 50);
		run_model(run << 32, 1000, 60); /* mostly posted */
		run_model(run << 32, 1000, 40); /* mostly unexpected */
	}
}

/* ---- steps with many entries ------------------------------------------------ */

#define MANY 100000

/* Heads looked at to find or miss a key whose hash is this. */
static uint32_t steps_to(const struct rdm_keyq *q, uint64_t hash)
{
	struct rdm_keyq_node *n = *rdm_keyq_bucket(q, hash);
	uint32_t steps = 1;

	for (; n && n->hash != hash; n = n->chain)
		steps++;
	return steps;
}

static void rdm_match__many_keys_take_few_steps(void **state)
{
	struct rdm_match_recv *r = calloc(MANY, sizeof(*r));
	uint64_t sum = 0;
	uint32_t worst = 0;

	(void)state;
	assert_non_null(r);
	for (uint64_t i = 0; i < MANY; i++) {
		r[i] = recv_of(&peers[i % PEERS], i << 40 | i % 7, 0);
		rdm_match_post(&m, &r[i]);
	}
	for (uint64_t i = 0; i < MANY; i++) {
		uint32_t steps = steps_to(&m.recvs, r[i].node.hash);

		assert_ptr_equal(rdm_match_find_recv(&m, r[i].peer, r[i].tag),
				 &r[i]);
		sum += steps;
		worst = steps > worst ? steps : worst;
	}
	assert_true(sum < 2 * MANY);
	assert_true(worst < 20);
	free(r);
}

static void rdm_match__many_of_one_key_are_one_queue(void **state)
{
	struct rdm_match_recv *r = calloc(MANY, sizeof(*r));
	struct rdm_match_recv other = recv_of(NULL, 9, 0);

	(void)state;
	assert_non_null(r);
	for (uint64_t i = 0; i < MANY; i++) {
		r[i] = recv_of(NULL, 0, 0);
		rdm_match_post(&m, &r[i]);
	}
	rdm_match_post(&m, &other);
	assert_int_equal(m.recvs.nqueues, 2);
	assert_int_equal(rdm_keyq_buckets(&m.recvs), 64);
	assert_true(steps_to(&m.recvs, other.node.hash) <= 2);
	rdm_match_unpost(&m, &r[MANY / 2]);
	rdm_match_unpost(&m, &r[MANY - 1]);
	for (uint64_t i = 0; i < MANY - 1; i++) {
		if (i == MANY / 2)
			continue;
		assert_ptr_equal(rdm_match_find_recv(&m, &peers[0], 0), &r[i]);
		rdm_match_unpost(&m, &r[i]);
	}
	assert_null(rdm_match_find_recv(&m, &peers[0], 0));
	assert_int_equal(m.nany, 1);
	free(r);
}

static void rdm_match__many_messages_take_few_steps(void **state)
{
	struct rdm_match_msg *msg = calloc(MANY, sizeof(*msg));

	(void)state;
	assert_non_null(msg);
	for (uint64_t i = 0; i < MANY; i++) {
		msg[i].peer = &peers[0];
		msg[i].tag = i % 1000;
		rdm_match_keep(&m, &msg[i]);
	}
	assert_int_equal(m.peer_tag_msgs.nqueues, 1000);
	assert_int_equal(m.tag_msgs.nqueues, 1000);
	for (uint64_t i = 0; i < MANY; i++) {
		struct rdm_peer *from = i & 1 ? &peers[0] : NULL;

		assert_true(steps_to(&m.tag_msgs, msg[i].by_tag.hash) < 10);
		assert_ptr_equal(rdm_match_find_msg(&m, from, i % 1000, 0),
				 &msg[i]);
		rdm_match_drop(&m, &msg[i]);
	}
	free(msg);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rdm_match_find_recv__nothing_posted),
		test(rdm_match_find_recv__in_order_of_posting),
		test(rdm_match_find_recv__peer_and_tag_must_fit),
		test(rdm_match_find_recv__oldest_of_exact_any_and_wild),
		test(rdm_match_find_recv__wild_ones_in_order_and_by_peer),
		test(rdm_match_find_recv__keys_with_one_hash),
		test(rdm_match_find_msg__oldest_in_each_order),
		test(rdm_match__same_as_a_list),
		test(rdm_match__many_keys_take_few_steps),
		test(rdm_match__many_of_one_key_are_one_queue),
		test(rdm_match__many_messages_take_few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
