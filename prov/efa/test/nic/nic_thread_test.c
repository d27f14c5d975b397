/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_thread_test.c - one thread a queue pair, others that register and open
 *
 * Run it under the thread sanitizer. The kernel cannot be seen by it, so RDMA
 * goes through the ring here, where both ends touch what is copied.
 */
#include "nic_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/nic_gid.h"
#include "nic/nic_priv.h"

#define RW (NIC_REMOTE_READ | NIC_REMOTE_WRITE)
#define ROUNDS 300
#define LEN 30000

struct runner {
	pthread_t thread;
	struct nt *t;
	struct nt_end *e;
	struct nic_ah *ah;
	uint64_t remote; /* LEN bytes of the peer */
	uint32_t key;
	_Atomic int *running; /* runners that still have work */
	bool ok;
};

/* Reads what the peer offers, while it serves the peer's reads. */
static void *run_reads(void *arg)
{
	struct runner *r = arg;
	char *local = malloc(LEN);
	struct nic_rdma op = {
		.type = NIC_READ,
		.local = local,
		.remote = r->remote,
		.len = LEN,
		.rkey = r->key,
	};
	int done = 0;

	r->ok = true;
	while (done < ROUNDS) {
		int n;

		memset(local, 0, LEN);
		r->ok &= nic_rdma(r->ah, &op) == 1;
		while (!(n = nic_poll(r->e->qp, r->e->wc, 1)))
			;
		r->ok &= r->e->wc[0].status == NIC_OK &&
			 nt_is_filled(local, LEN, 7);
		done += n;
	}
	(*r->running)--;
	while (*r->running)
		nic_poll(r->e->qp, r->e->wc, 1);
	free(local);
	return NULL;
}

static void *run_registrations(void *arg)
{
	struct runner *r = arg;
	char buf[64];
	uint32_t key;

	r->ok = true;
	while (*r->running) {
		r->ok &= nic_mr_reg(r->t->a.nic, buf, 64, RW, &key) == 0;
		r->ok &= nic_mr_dereg(r->t->a.nic, key) == 0;
	}
	return NULL;
}

static void *run_openings(void *arg)
{
	struct runner *r = arg;
	struct nic_qp *qp;

	r->ok = true;
	while (*r->running) {
		r->ok &= nic_qp_open(r->t->a.nic, NIC_QP_RDM, 77, &qp) == 0;
		nic_qp_close(qp);
	}
	return NULL;
}

/* Two queue pairs of one nic, each with its thread, and two busy others. */
static void nic__threads(void **state)
{
	static void *(*const run[])(void *) = { run_reads, run_reads,
						run_registrations,
						run_openings };
	struct nt *t = *state;
	struct runner r[4];
	struct nt_end b2 = { .nic = t->a.nic };
	struct nic_ah *to_b2, *to_a;
	_Atomic int running = 2;
	char *mem = malloc(LEN);
	uint32_t key;

	nt_fill(mem, LEN, 7);
	assert_int_equal(nic_qp_open(t->a.nic, NIC_QP_RDM, 5, &b2.qp), 0);
	nic_qp_addr(b2.qp, &b2.addr);
	assert_int_equal(nic_ah_open(t->a.qp, &b2.addr, 0, &to_b2), 0);
	assert_int_equal(nic_ah_open(b2.qp, &t->a.addr, 0, &to_a), 0);
	assert_int_equal(nic_mr_reg(t->a.nic, mem, LEN, RW, &key), 0);
	for (int i = 0; i < 4; i++) {
		r[i] = (struct runner){
			.t = t,
			.e = i ? &b2 : &t->a,
			.ah = i ? to_a : to_b2,
			.remote = (uintptr_t)mem,
			.key = key,
			.running = &running,
		};
		assert_int_equal(
			pthread_create(&r[i].thread, NULL, run[i], &r[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(r[i].thread, NULL);
		assert_true(r[i].ok);
	}
	nic_ah_close(to_a);
	nic_ah_close(to_b2);
	nic_qp_close(b2.qp);
	assert_int_equal(nic_mr_dereg(t->a.nic, key), 0);
	free(mem);
}

/* Many senders to one receiver, which come and go. */
#define SENDERS 40

static void nic_poll__many_senders(void **state)
{
	struct nt *t = *state;
	struct nic_qp *qp[SENDERS];
	struct nic_ah *ah[SENDERS];
	uint32_t count[SENDERS] = { 0 };
	uint32_t got = 0;

	for (uint32_t i = 0; i < SENDERS; i++) {
		assert_int_equal(
			nic_qp_open(t->a.nic, NIC_QP_RDM, i + 1, &qp[i]), 0);
		assert_int_equal(nic_ah_open(qp[i], &t->b.addr, i, &ah[i]), 0);
	}
	for (uint32_t turn = 0; turn < 50; turn++)
		for (uint32_t i = 0; i < SENDERS; i++)
			nt_send(ah[i], &turn, sizeof(turn));
	while (got < 50 * SENDERS) {
		int n = nic_poll(t->b.qp, t->b.wc, 64);

		for (int i = 0; i < n; i++) {
			struct nic_addr addr;

			nic_source(t->b.qp, t->b.wc[i].source, &addr);
			assert_in_range(addr.qkey, 1, SENDERS);
			assert_memory_equal(t->b.wc[i].data,
					    &count[addr.qkey - 1], 4);
			count[addr.qkey - 1]++;
			got++;
		}
		nic_give_back(t->b.qp);
	}
	for (uint32_t i = 0; i < SENDERS; i++) {
		nic_ah_close(ah[i]);
		nic_qp_close(qp[i]);
	}
	nt_idle(&t->b);
}

struct stranger {
	pthread_t thread;
	struct sockaddr_storage to;
	socklen_t len;
	int fd;
	_Atomic bool stop;
};

static void *run_stranger(void *arg)
{
	struct stranger *s = arg;

	while (!atomic_load(&s->stop))
		sendto(s->fd, "?", 1, 0, (struct sockaddr *)&s->to, s->len);
	return NULL;
}

/* The thread that answers may be at a queue pair before it is open. */
static void nic_qp_open__at_a_port_that_is_known(void **state)
{
	struct nt *t = *state;
	struct stranger s = { .stop = false };
	/* None that the kernel gives to others between two openings. */
	uint16_t port = (uint16_t)(20000 + getpid() % 10000);

	t->config.port_min = t->config.port_max = port;
	nt_open(t, &t->b, NIC_QP_RDM);
	s.len = nic_gid_sockaddr(t->b.addr.gid, port, &s.to);
	nt_close(&t->b);
	s.fd = socket(s.to.ss_family, SOCK_DGRAM, 0);
	assert_int_equal(pthread_create(&s.thread, NULL, run_stranger, &s), 0);
	for (int i = 0; i < 100; i++) {
		nt_open(t, &t->b, NIC_QP_RDM);
		assert_int_equal(t->b.addr.qpn, port);
		while (!atomic_load(&t->b.qp->far.call))
			u_relax();
		nt_close(&t->b);
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	close(s.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_RING(nic__threads),
		NT_DIR(nic_qp_open__at_a_port_that_is_known),
		NT_PAIR(nic_poll__many_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
