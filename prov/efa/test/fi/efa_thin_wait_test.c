/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_wait_test.c - waiting for queues and counters of thin endpoints, and
 * automatic progress of them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define PREFIX 40 /* of datagrams; efa-direct has it as payload */
#define BYTES (PREFIX + 8)

static struct fixture f;
static char out[BYTES], in[BYTES];
static int tx, rx; /* contexts */
static bool udp;

static const struct fixture_config kinds[] = {
	{ .direct = true },
	{ .type = FI_EP_DGRAM },
};

static void open_kind(size_t kind, const struct fixture_config *rest)
{
	struct fixture_config config = *rest;

	config.direct = kinds[kind].direct;
	config.type = kinds[kind].type;
	fixture_open(&f, &config);
}

/* A counter of what endpoint 1 receives, which is not enabled yet. */
static struct fid_cntr *open_counter(void)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP,
				     .wait_obj = FI_WAIT_FD };

	assert_int_equal(fi_cntr_open(f.domain, &attr, &f.cntr[0], NULL), 0);
	assert_int_equal(fi_ep_bind(f.ep[1], &f.cntr[0]->fid, FI_RECV), 0);
	return f.cntr[0];
}

static int fd_of(struct fid *fid)
{
	int fd;

	assert_int_equal(fi_control(fid, FI_GETWAIT, &fd), 0);
	return fd;
}

static int comes_up(int fd, int ms)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, ms);
}

static void post_recv(void)
{
	assert_int_equal(fi_recv(f.ep[1], in, BYTES, NULL, 0, &rx), 0);
}

static void send_one(void)
{
	assert_int_equal(fi_send(f.ep[0], out, BYTES, NULL, f.addr[1], &tx), 0);
}

static void received(const struct fi_cq_tagged_entry *entry)
{
	assert_ptr_equal(entry->op_context, &rx);
	assert_int_equal(entry->len, BYTES);
}

static void leave(struct fid *fid)
{
	while (fixture_trywait(&f, fid) == -FI_EAGAIN)
		;
}

static void over_udp(void (*check)(void))
{
	fixture_use_shm(false);
	udp = true;
	check();
	udp = false;
	fixture_use_shm(true);
}

/* After a message nothing comes; SRD over UDP may send its packet again. */
static void rests(struct fid *fid, int fd)
{
	bool again = udp && f.info->ep_attr->type == FI_EP_RDM;

	leave(fid);
	for (int i = 0; again && i < 10 && comes_up(fd, 0); i++)
		leave(fid);
	assert_int_equal(comes_up(fd, 0), 0);
}

/* ---- calls that wait ----------------------------------------------------- */

static void sread_as(size_t kind, enum fi_wait_obj wait_obj)
{
	struct fi_cq_tagged_entry entry;

	open_kind(kind, &(struct fixture_config){ .wait_obj = wait_obj });
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, 0), -FI_EAGAIN);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, 2), -FI_EAGAIN);
	post_recv();
	send_one();
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), 1);
	received(&entry);
	assert_int_equal(fi_cq_sread(f.cq[0], &entry, 1, NULL, -1), 1);
	assert_ptr_equal(entry.op_context, &tx);
	assert_int_equal(fi_cq_signal(f.cq[1]), 0);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), -FI_EAGAIN);
	fixture_close(&f);
}

static void sread_all(void)
{
	for (size_t i = 0; i < u_array_size(kinds); i++) {
		sread_as(i, FI_WAIT_NONE);
		sread_as(i, FI_WAIT_FD);
		sread_as(i, FI_WAIT_UNSPEC);
	}
}

static void sread__with_and_without_a_descriptor(void **state)
{
	sread_all();
	over_udp(sread_all);
}

/* The main thread sends when this one has gone to sleep, or is about to. */
static void *sleep_for_one(void *arg)
{
	struct fi_cq_tagged_entry *entry = arg;

	return (void *)(intptr_t)fi_cq_sread(f.cq[1], entry, 1, NULL, -1);
}

static void sread_woken(void)
{
	struct fi_cq_tagged_entry entry;
	pthread_t thread;
	void *ret;

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		open_kind(i,
			  &(struct fixture_config){ .threading = FI_THREAD_SAFE,
						    .wait_obj = FI_WAIT_FD });
		post_recv();
		pthread_create(&thread, NULL, sleep_for_one, &entry);
		poll(NULL, 0, 5);
		send_one();
		fixture_entry(&f, 0);
		pthread_join(thread, &ret);
		assert_int_equal((intptr_t)ret, 1);
		received(&entry);
		fixture_close(&f);
	}
}

static void sread__is_woken_by_a_message(void **state)
{
	sread_woken();
	over_udp(sread_woken);
}

static void cntr_waits(void)
{
	struct fid_cntr *cntr;

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		open_kind(i, &(struct fixture_config){ .disabled = true });
		cntr = open_counter();
		fixture_enable(&f);
		assert_int_equal(fi_cntr_wait(cntr, 1, 2), -FI_ETIMEDOUT);
		post_recv();
		send_one();
		assert_int_equal(fi_cntr_wait(cntr, 1, -1), 0);
		assert_int_equal(fi_cntr_read(cntr), 1);
		fixture_close(&f);
	}
}

static void cntr_wait__until_a_receive(void **state)
{
	cntr_waits();
	over_udp(cntr_waits);
}

/* ---- descriptors --------------------------------------------------------- */

static void poll_queue(void)
{
	struct fi_cq_tagged_entry entry;
	struct fid *fid;
	int fd;

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		open_kind(i,
			  &(struct fixture_config){ .wait_obj = FI_WAIT_FD });
		fid = &f.cq[1]->fid;
		fd = fd_of(fid);
		post_recv();
		post_recv();
		leave(fid);
		assert_int_equal(comes_up(fd, 0), 0);
		send_one();
		send_one();
		assert_int_equal(comes_up(fd, 5000), 1);
		entry = fixture_entry(&f, 1);
		received(&entry);
		/* What is there, or still comes, forbids to sleep for long. */
		while (!fixture_trywait(&f, fid))
			assert_int_equal(comes_up(fd, 5000), 1);
		entry = fixture_entry(&f, 1);
		received(&entry);
		rests(fid, fd);
		fixture_close(&f);
	}
}

static void trywait__then_poll(void **state)
{
	poll_queue();
	over_udp(poll_queue);
}

static void poll_counter(void)
{
	struct fid_cntr *cntr;
	int fd;

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		open_kind(i, &(struct fixture_config){ .disabled = true });
		cntr = open_counter();
		fixture_enable(&f);
		fd = fd_of(&cntr->fid);
		post_recv();
		leave(&cntr->fid);
		assert_int_equal(comes_up(fd, 0), 0);
		send_one();
		assert_int_equal(comes_up(fd, 5000), 1);
		while (fi_cntr_read(cntr) < 1)
			;
		rests(&cntr->fid, fd);
		fixture_close(&f);
	}
}

static void trywait__of_a_counter(void **state)
{
	poll_counter();
	over_udp(poll_counter);
}

/* Who sleeps on one queue of an endpoint is woken by what goes to the other. */
static void push__wakes_the_sleeper_of_that_queue(void **state)
{
	struct fi_cq_attr attr = { .format = FI_CQ_FORMAT_TAGGED,
				   .wait_obj = FI_WAIT_FD };
	struct fi_cq_tagged_entry entry;
	struct fid_cq *cq[2]; /* of sends, of receives */
	struct fid_ep *ep;
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);
	fi_addr_t self;
	int fd;

	open_kind(0, &(struct fixture_config){ .wait_obj = FI_WAIT_FD });
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fi_cq_open(f.domain, &attr, &cq[i], NULL), 0);
		assert_int_equal(fi_ep_bind(ep, &cq[i]->fid,
					    i ? FI_RECV : FI_TRANSMIT),
				 0);
	}
	assert_int_equal(fi_ep_bind(ep, &f.av->fid, 0), 0);
	assert_int_equal(fi_enable(ep), 0);
	assert_int_equal(fi_getname(&ep->fid, name, &len), 0);
	assert_int_equal(fi_av_insert(f.av, name, 1, &self, 0, NULL), 1);
	fd = fd_of(&cq[1]->fid);
	assert_int_equal(fi_recv(ep, in, BYTES, NULL, 0, &rx), 0);
	leave(&cq[1]->fid);
	assert_int_equal(fi_send(ep, out, BYTES, NULL, self, &tx), 0);
	/* It drives the endpoint, and with that takes what has come. */
	while (fi_cq_read(cq[0], &entry, 1) != 1)
		;
	assert_int_equal(comes_up(fd, 5000), 1);
	while (fi_cq_read(cq[1], &entry, 1) != 1)
		;
	received(&entry);
	assert_int_equal(fi_close(&ep->fid), 0);
	assert_int_equal(fi_close(&cq[0]->fid), 0);
	assert_int_equal(fi_close(&cq[1]->fid), 0);
	fixture_close(&f);
}

/* ---- automatic progress -------------------------------------------------- */

/* Nobody reads the queue until its descriptor says so. */
static void automatic(void)
{
	struct fi_cq_tagged_entry entry;
	int fd;

	for (size_t i = 0; i < u_array_size(kinds); i++) {
		open_kind(i, &(struct fixture_config){
				     .progress = FI_PROGRESS_AUTO,
				     .threading = FI_THREAD_SAFE,
				     .wait_obj = FI_WAIT_FD });
		fd = fd_of(&f.cq[1]->fid);
		post_recv();
		leave(&f.cq[1]->fid);
		send_one();
		assert_int_equal(comes_up(fd, 5000), 1);
		assert_int_equal(fixture_read(&f, 1, &entry, 1), 1);
		received(&entry);
		fixture_entry(&f, 0);
		fixture_close(&f);
	}
}

static void progress__by_the_thread(void **state)
{
	automatic();
	over_udp(automatic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sread__with_and_without_a_descriptor),
		cmocka_unit_test(sread__is_woken_by_a_message),
		cmocka_unit_test(cntr_wait__until_a_receive),
		cmocka_unit_test(trywait__then_poll),
		cmocka_unit_test(trywait__of_a_counter),
		cmocka_unit_test(push__wakes_the_sleeper_of_that_queue),
		cmocka_unit_test(progress__by_the_thread),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
