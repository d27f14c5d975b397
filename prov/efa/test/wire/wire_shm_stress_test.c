/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_stress_test.c - senders and receiver at the same time
 *
 * Every record carries its sender, its number and bytes that both stand for,
 * so that loss, order, mixing and early reads show. The receiver sleeps when
 * it finds nothing, on a descriptor that the senders write to when they are
 * told to: a wake-up that gets lost ends the test.
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SENDERS_MAX 12
#define FIRST_QPN 100

struct plan {
	const char *name;
	int senders;
	uint32_t records; /* of each sender */
	uint32_t len_max; /* bytes */
	uint32_t reopen; /* records between two lanes of a sender; 0: never */
	bool sleep; /* the receiver sleeps when idle */
	bool fence; /* as if there were no membarrier */
};

static struct {
	struct fixture *f;
	const struct plan *plan;
	int bell; /* eventfd: wakes the receiver */
} now;

/* Who sent it, the how manieth, and the length it must have. */
struct stamp {
	uint32_t sender;
	uint32_t number;
};

static uint32_t length_of(const struct plan *p, uint32_t sender, uint32_t n)
{
	uint32_t x = (n * 2654435761u) ^ (sender * 40503u);

	/* Most are short. */
	return (uint32_t)sizeof(struct stamp) +
	       (x >> 8) % (x & 3 ? 60 : p->len_max);
}

static void ring_bell(void)
{
	uint64_t one = 1;

	if (write(now.bell, &one, sizeof(one)) != sizeof(one))
		_exit(1);
}

static void send_one(struct wire_shm_link *l, uint32_t sender, uint32_t n)
{
	struct stamp stamp = { .sender = sender, .number = n };
	static _Thread_local char bytes[WIRE_SHM_MAX];
	size_t len = length_of(now.plan, sender, n) - sizeof(stamp);
	struct iovec iov = { bytes, len };
	int rc;

	fill(bytes, len, (uint64_t)sender << 32 | n);
	while ((rc = wire_shm_send(l, n, 0, &stamp, sizeof(stamp), &iov, 1,
				   len)) == -EAGAIN)
		sched_yield();
	if (rc == 1)
		ring_bell();
	else if (rc)
		_exit(2);
}

static struct wire_shm_link *reopen(struct wire_shm *w, struct wire_shm_link *l)
{
	struct wire_shm_id b = id_of(2);

	if (l)
		wire_shm_link_close(l);
	/* A lane that was closed is free when the receiver has looked. */
	while (wire_shm_link_open(w, &b, &l))
		sched_yield();
	return l;
}

static void sender_run(uint32_t sender)
{
	struct wire_shm *w = open_of(now.f, FIRST_QPN + sender);
	struct wire_shm_link *l;
	uint32_t n;

	if (!w)
		_exit(3);
	l = reopen(w, NULL);
	for (n = 0; n < now.plan->records; n++) {
		if (now.plan->reopen && n % now.plan->reopen == 1)
			l = reopen(w, l);
		send_one(l, sender, n);
	}
	wire_shm_link_close(l);
	wire_shm_close(w);
}

/* A lane's records are in order; a sender with several lanes takes turns. */
struct progress {
	uint32_t count[SENDERS_MAX];
	uint32_t next[SENDERS_MAX];
	uint64_t sum[SENDERS_MAX]; /* of the numbers */
};

static void judge(struct progress *p, const struct wire_shm_pkt *pkt)
{
	struct stamp stamp;
	struct wire_shm_id id;

	assert_true(pkt->len >= sizeof(stamp));
	memcpy(&stamp, pkt->data, sizeof(stamp));
	assert_true(stamp.sender < (uint32_t)now.plan->senders);
	assert_int_equal(pkt->word, stamp.number);
	assert_int_equal(pkt->len,
			 length_of(now.plan, stamp.sender, stamp.number));
	assert_true(is_filled((const char *)pkt->data + sizeof(stamp),
			      pkt->len - sizeof(stamp),
			      (uint64_t)stamp.sender << 32 | stamp.number));
	assert_int_equal(wire_shm_source(now.f->b, pkt->lane, &id), 0);
	assert_int_equal(id.qpn, FIRST_QPN + stamp.sender);
	if (!now.plan->reopen)
		assert_int_equal(stamp.number, p->next[stamp.sender]);
	p->next[stamp.sender] = stamp.number + 1;
	p->count[stamp.sender]++;
	p->sum[stamp.sender] += stamp.number;
}

static void sleep_until_rung(struct wire_shm *w)
{
	struct pollfd pfd = { .fd = now.bell, .events = POLLIN };
	uint64_t count;

	if (wire_shm_arm(w))
		return;
	/* Senders that wait for a processor do not ring for a while. */
	assert_int_equal(poll(&pfd, 1, 60000), 1);
	assert_int_equal(read(now.bell, &count, sizeof(count)), 8);
	wire_shm_disarm(w);
}

static void receiver_run(void)
{
	struct wire_shm_pkt pkt[16];
	struct wire_shm *w = now.f->b;
	struct progress p = { .count = { 0 } };
	uint64_t left = (uint64_t)now.plan->records * now.plan->senders;
	int i, n;

	while (left) {
		n = wire_shm_poll(w, pkt, 16);
		for (i = 0; i < n; i++)
			judge(&p, &pkt[i]);
		wire_shm_give_back(w);
		left -= (uint64_t)n;
		if (n)
			continue;
		/* A sender may wait for its lane with the bell unheard. */
		if (now.plan->sleep && !now.plan->reopen)
			sleep_until_rung(w);
		else
			sched_yield();
	}
	for (i = 0; i < now.plan->senders; i++) {
		assert_int_equal(p.count[i], now.plan->records);
		assert_int_equal(p.sum[i], (uint64_t)now.plan->records *
						   (now.plan->records - 1) / 2);
	}
	assert_int_equal(poll_drop(w), 0);
	assert_int_equal(wire_shm_stats(w)->bad_records, 0);
}

static void *thread_main(void *arg)
{
	sender_run((uint32_t)(uintptr_t)arg);
	return NULL;
}

static void begin(struct fixture *f, const struct plan *plan)
{
	now.f = f;
	now.plan = plan;
	now.bell = eventfd(0, EFD_CLOEXEC);
	assert_true(now.bell >= 0);
	f->b = open_of(f, 2);
	assert_non_null(f->b);
	if (plan->fence) {
		f->b->expedited = false;
		f->b->seg->about.flags = WIRE_SHM_FENCE;
	}
}

static void with_threads(struct fixture *f, const struct plan *plan)
{
	pthread_t t[SENDERS_MAX];
	uintptr_t i;

	begin(f, plan);
	for (i = 0; i < (uintptr_t)plan->senders; i++)
		assert_int_equal(
			pthread_create(&t[i], NULL, thread_main, (void *)i), 0);
	receiver_run();
	for (i = 0; i < (uintptr_t)plan->senders; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	close(now.bell);
}

static uint32_t sender_number; /* of the child to be forked */

static void process_main(struct child *c, struct fixture *f)
{
	(void)c, (void)f;
	sender_run(sender_number);
}

static void with_processes(struct fixture *f, const struct plan *plan)
{
	struct child c[SENDERS_MAX];
	int i;

	begin(f, plan);
	for (i = 0; i < plan->senders; i++) {
		sender_number = (uint32_t)i;
		child_start(&c[i], process_main, f);
	}
	receiver_run();
	for (i = 0; i < plan->senders; i++)
		assert_int_equal(child_end(&c[i]), 0);
	close(now.bell);
}

static const struct plan one = { .senders = 1,
				 .records = 60000,
				 .len_max = 9000 },
			 one_sleepy = { .senders = 1,
					.records = 20000,
					.len_max = 200,
					.sleep = true },
			 one_fence = { .senders = 1,
				       .records = 20000,
				       .len_max = 200,
				       .sleep = true,
				       .fence = true },
			 many_fence = { .senders = 12,
					.records = 2000,
					.len_max = 500,
					.sleep = true,
					.fence = true },
			 many = { .senders = 12,
				  .records = 5000,
				  .len_max = 3000 },
			 many_sleepy = { .senders = 12,
					 .records = 2000,
					 .len_max = 500,
					 .sleep = true },
			 churn = { .senders = 6,
				   .records = 3000,
				   .len_max = 3000,
				   .reopen = 50 };

static void wire_shm_send__to_a_thread(void **state)
{
	with_threads(*state, &one);
}

static void wire_shm_send__to_a_process(void **state)
{
	with_processes(*state, &one);
}

static void wire_shm_arm__loses_no_wake_up_of_a_thread(void **state)
{
	with_threads(*state, &one_sleepy);
}

static void wire_shm_arm__loses_no_wake_up_of_a_process(void **state)
{
	with_processes(*state, &one_sleepy);
}

static void wire_shm_arm__does_without_membarrier(void **state)
{
	with_processes(*state, &one_fence);
}

static void wire_shm_arm__many_do_without_membarrier(void **state)
{
	with_processes(*state, &many_fence);
}

static void wire_shm_poll__many_threads_send(void **state)
{
	with_threads(*state, &many);
}

static void wire_shm_poll__many_processes_send(void **state)
{
	with_processes(*state, &many);
}

static void wire_shm_arm__many_wake_one(void **state)
{
	with_processes(*state, &many_sleepy);
}

static void wire_shm_link_close__threads_come_and_go(void **state)
{
	with_threads(*state, &churn);
}

static void wire_shm_link_close__processes_come_and_go(void **state)
{
	with_processes(*state, &churn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(wire_shm_send__to_a_thread),
		IN_DIR(wire_shm_send__to_a_process),
		IN_DIR(wire_shm_arm__loses_no_wake_up_of_a_thread),
		IN_DIR(wire_shm_arm__loses_no_wake_up_of_a_process),
		IN_DIR(wire_shm_arm__many_wake_one),
		IN_DIR(wire_shm_arm__does_without_membarrier),
		IN_DIR(wire_shm_arm__many_do_without_membarrier),
		IN_DIR(wire_shm_poll__many_threads_send),
		IN_DIR(wire_shm_poll__many_processes_send),
		IN_DIR(wire_shm_link_close__threads_come_and_go),
		IN_DIR(wire_shm_link_close__processes_come_and_go),
	};

	return cmocka_run_group_tests_name("wire_shm_stress", tests, NULL,
					   NULL);
}
