/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_cq_test.c - formats, selection, errors and waiting of completion queues
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

static struct fixture f;
static char out[64] = "what goes out", in[256];
static int tx, rx; /* contexts */

static void post_recv(size_t len)
{
	assert_int_equal(fi_recv(f.ep[1], in, len, NULL, FI_ADDR_UNSPEC, &rx),
			 0);
}

/* ---- formats ------------------------------------------------------------- */

/* One message with data; its entry, and what is behind it, in buf. */
static void receive_as(enum fi_cq_format format, void *buf)
{
	fixture_open(&f, &(struct fixture_config){ .format = format });
	memset(buf, 0x55, 2 * sizeof(struct fi_cq_tagged_entry));
	assert_int_equal(fi_trecv(f.ep[1], in, sizeof(in), NULL, FI_ADDR_UNSPEC,
				  6, 0, &rx),
			 0);
	assert_int_equal(fi_tinjectdata(f.ep[0], out, 9, 33, f.addr[1], 6), 0);
	assert_int_equal(fixture_read(&f, 1, buf, 1), 1);
	fixture_close(&f);
}

static void format__context(void **state)
{
	struct fi_cq_entry entry[16];

	receive_as(FI_CQ_FORMAT_CONTEXT, entry);
	assert_ptr_equal(entry[0].op_context, &rx);
	assert_int_equal((uintptr_t)entry[1].op_context & 0xff, 0x55);
}

static void format__msg(void **state)
{
	struct fi_cq_msg_entry entry[8];

	receive_as(FI_CQ_FORMAT_MSG, entry);
	assert_ptr_equal(entry[0].op_context, &rx);
	assert_true(entry[0].flags ==
		    (FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA));
	assert_int_equal(entry[0].len, 9);
	assert_int_equal((uintptr_t)entry[1].op_context & 0xff, 0x55);
}

static void format__data(void **state)
{
	struct fi_cq_data_entry entry[4];

	receive_as(FI_CQ_FORMAT_DATA, entry);
	assert_ptr_equal(entry[0].op_context, &rx);
	assert_int_equal(entry[0].len, 9);
	assert_int_equal(entry[0].data, 33);
	assert_int_equal((uintptr_t)entry[1].op_context & 0xff, 0x55);
}

static void format__tagged(void **state)
{
	struct fi_cq_tagged_entry entry[2];

	receive_as(FI_CQ_FORMAT_TAGGED, entry);
	assert_int_equal(entry[0].data, 33);
	assert_int_equal(entry[0].tag, 6);
	assert_int_equal((uintptr_t)entry[1].op_context & 0xff, 0x55);
}

static void open__attributes(void **state)
{
	struct fi_cq_attr attr = { .size = 0 };
	struct fid_cq *cq;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	assert_int_equal(fi_cq_open(f.domain, &attr, &cq, NULL), 0);
	assert_int_equal(attr.format, FI_CQ_FORMAT_CONTEXT);
	assert_int_equal(fi_close(&cq->fid), 0);
	attr.wait_obj = FI_WAIT_MUTEX_COND;
	assert_int_equal(fi_cq_open(f.domain, &attr, &cq, NULL), -FI_ENOSYS);
	attr.wait_obj = FI_WAIT_NONE;
	attr.flags = FI_PEER;
	assert_int_equal(fi_cq_open(f.domain, &attr, &cq, NULL), -FI_EBADFLAGS);
	fixture_close(&f);
}

/* ---- reading ------------------------------------------------------------- */

static void read__many_at_once_in_order(void **state)
{
	struct fi_cq_tagged_entry entry[50];
	size_t got = 0;
	ssize_t ret;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	for (uintptr_t i = 0; i < 50; i++)
		assert_int_equal(fi_recv(f.ep[1], in, 8, NULL, FI_ADDR_UNSPEC,
					 (void *)i),
				 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	while (got < 50) {
		ret = fixture_read(&f, 1, entry + got, 50 - got);
		assert_true(ret > 0);
		got += (size_t)ret;
	}
	for (uintptr_t i = 0; i < 50; i++)
		assert_ptr_equal(entry[i].op_context, (void *)i);
	fixture_close(&f);
}

static void readfrom__names_the_sender(void **state)
{
	struct fi_cq_tagged_entry entry;
	fi_addr_t src = 99;
	ssize_t ret;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	post_recv(8);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	do {
		ret = fi_cq_readfrom(f.cq[1], &entry, 1, &src);
	} while (ret == -FI_EAGAIN);
	assert_int_equal(ret, 1);
	assert_int_equal(src, f.addr[0]);
	fixture_close(&f);
}

/* Drives endpoint 1 until its queue has an entry, and leaves it there. */
static void wait_entry(void)
{
	while (fi_cq_read(f.cq[1], NULL, 0) != 0)
		fi_cq_read(f.cq[0], NULL, 0);
}

static void read__good_entries_before_an_error(void **state)
{
	struct fi_cq_tagged_entry entry[4];
	struct fi_cq_err_entry error = { .err = 0 };

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	post_recv(8);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	wait_entry();
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), -FI_EAGAIN);
	assert_int_equal(fixture_read(&f, 1, entry, 4), 1);
	assert_int_equal(fixture_read(&f, 1, entry, 4), -FI_EAVAIL);
	assert_int_equal(fixture_read(&f, 1, entry, 4), -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), 1);
	assert_int_equal(error.err, FI_ECANCELED);
	assert_true(error.flags & FI_RECV);
	assert_ptr_equal(error.op_context, &rx);
	assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), -FI_EAGAIN);
	fixture_close(&f);
}

static void cancel__of_nothing(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	assert_int_equal(fi_cancel(&f.ep[0]->fid, &rx), -FI_ENOENT);
	fixture_close(&f);
}

/* ---- selection ----------------------------------------------------------- */

static void selective__only_what_is_asked_for(void **state)
{
	struct iovec iov = { out, 8 };
	struct fi_msg msg = { .msg_iov = &iov, .iov_count = 1, .context = &tx };

	fixture_open(&f, &(struct fixture_config){
				 .bind_flags = FI_SELECTIVE_COMPLETION });
	msg.addr = f.addr[1];
	post_recv(8);
	assert_int_equal(fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx), 0);
	fixture_quiet(&f);
	assert_memory_equal(in, out, 8);
	assert_int_equal(fi_sendmsg(f.ep[0], &msg, FI_COMPLETION), 0);
	assert_ptr_equal(fixture_entry(&f, 0).op_context, &tx);
	iov.iov_base = in;
	iov.iov_len = sizeof(in);
	msg.context = &rx;
	msg.addr = FI_ADDR_UNSPEC;
	assert_int_equal(fi_recvmsg(f.ep[1], &msg, FI_COMPLETION), 0);
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &rx);
	fixture_quiet(&f);
	fixture_close(&f);
}

static void selective__default_flags_count(void **state)
{
	fixture_open(&f, &(struct fixture_config){
				 .bind_flags = FI_SELECTIVE_COMPLETION,
				 .tx_op_flags = FI_COMPLETION,
				 .rx_op_flags = FI_COMPLETION });
	post_recv(8);
	assert_int_equal(fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx), 0);
	assert_ptr_equal(fixture_entry(&f, 0).op_context, &tx);
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &rx);
	fixture_close(&f);
}

static void selective__errors_are_always_told(void **state)
{
	fixture_open(&f, &(struct fixture_config){
				 .bind_flags = FI_SELECTIVE_COMPLETION });
	post_recv(4);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	assert_int_equal(fixture_error(&f, 1).err, FI_ETRUNC);
	fixture_close(&f);
}

/* ---- errors -------------------------------------------------------------- */

static void error__truncation_tells_all(void **state)
{
	struct fi_cq_err_entry error;
	char text[16];

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	assert_int_equal(fi_trecv(f.ep[1], in, 10, NULL, f.addr[0], 1, 2, &rx),
			 0);
	assert_int_equal(fi_tinjectdata(f.ep[0], out, 14, 77, f.addr[1], 3), 0);
	error = fixture_error(&f, 1);
	assert_int_equal(error.err, FI_ETRUNC);
	assert_ptr_equal(error.op_context, &rx);
	assert_true(error.flags == (FI_RECV | FI_TAGGED | FI_REMOTE_CQ_DATA));
	assert_int_equal(error.tag, 3);
	assert_int_equal(error.data, 77);
	assert_int_equal(error.len, 14);
	assert_int_equal(error.olen, 4);
	assert_non_null(fi_cq_strerror(f.cq[1], error.prov_errno,
				       error.err_data, NULL, 0));
	assert_string_equal(fi_cq_strerror(f.cq[1], error.prov_errno,
					   error.err_data, text, sizeof(text)),
			    "message longer ");
	fixture_close(&f);
}

/* An entry of 80 bytes is all that a program of this interface has. */
static void error__nothing_behind_the_callers_entry(void **state)
{
	struct {
		struct fi_cq_err_entry entry;
		uint8_t behind[64];
	} room;
	const size_t len = offsetof(struct fi_cq_err_entry, err_data_size) +
			   sizeof(size_t);

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	memset(&room, 0xaa, sizeof(room));
	assert_int_equal(f.cq[1]->ops->readerr(f.cq[1], &room.entry, 0), 1);
	for (size_t i = len; i < sizeof(room); i++)
		assert_int_equal(((uint8_t *)&room)[i], 0xaa);
	fixture_close(&f);
}

static void error__text_in_the_callers_buffer(void **state)
{
	struct fi_cq_tagged_entry none;
	char text[32];
	struct fi_cq_err_entry error = { .err_data = text,
					 .err_data_size = sizeof(text) };

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	assert_int_equal(
		fi_write(f.ep[0], out, 4, NULL, f.addr[1], 4096, 77, &tx), 0);
	assert_int_equal(fixture_read(&f, 0, &none, 1), -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(f.cq[0], &error, 0), 1);
	assert_ptr_equal(error.err_data, text);
	assert_int_equal(error.err_data_size, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
	fixture_close(&f);
}

/* Entries of interface 1.4 end with err_data. */
static void error__nothing_behind_an_old_entry(void **state)
{
	struct fi_cq_err_entry error;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	f.fabric->api_version = FI_VERSION(1, 4);
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	memset(&error, 0xaa, sizeof(error));
	assert_int_equal(f.cq[1]->ops->readerr(f.cq[1], &error, 0), 1);
	assert_null(error.err_data);
	for (size_t i = offsetof(struct fi_cq_err_entry, err_data_size);
	     i < sizeof(error); i++)
		assert_int_equal(((uint8_t *)&error)[i], 0xaa);
	fixture_close(&f);
}

/* Where there is nothing to say. */
static void error__callers_buffer_stays_his(void **state)
{
	char text[32];
	struct fi_cq_err_entry error = { .err_data = text,
					 .err_data_size = sizeof(text) };

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), 1);
	assert_ptr_equal(error.err_data, text);
	assert_int_equal(error.err_data_size, 0);
	fixture_close(&f);
}

/* Another thread may be reading, with a buffer of its own. */
static void error__text_of_one_is_left_alone_by_who_has_a_buffer(void **state)
{
	struct fi_cq_tagged_entry none;
	char own[EFA_ERR_TEXT], before[EFA_ERR_TEXT];
	struct fi_cq_err_entry first = { .err_data_size = 0 },
			       second = { .err_data = own,
					  .err_data_size = sizeof(own) };

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	for (int to = 0; to < 2; to++)
		assert_int_equal(fi_write(f.ep[0], out, 4, NULL, f.addr[to],
					  4096, 77, &tx),
				 0);
	assert_int_equal(fixture_read(&f, 0, &none, 1), -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(f.cq[0], &first, 0), 1);
	snprintf(before, sizeof(before), "%s", (char *)first.err_data);
	while (fi_cq_readerr(f.cq[0], &second, 0) == -FI_EAGAIN)
		fi_cq_read(f.cq[0], NULL, 0);
	assert_string_not_equal(own, before);
	assert_string_equal(first.err_data, before);
	fixture_close(&f);
}

static void strerror__knows_or_says_so(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	for (int number = 0; number < 9000; number++)
		assert_non_null(fi_cq_strerror(f.cq[0], number, NULL, NULL, 0));
	assert_string_equal(fi_cq_strerror(f.cq[0], 16, NULL, NULL, 0),
			    "unknown error");
	fixture_close(&f);
}

/* ---- buffers of many messages -------------------------------------------- */

static void multi_recv__packs_and_releases(void **state)
{
	struct fi_cq_tagged_entry entry;
	size_t min = 64;

	fixture_open(&f,
		     &(struct fixture_config){ .rx_op_flags = FI_MULTI_RECV });
	assert_int_equal(fi_setopt(&f.ep[1]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MIN_MULTI_RECV, &min, sizeof(min)),
			 0);
	post_recv(200);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fi_inject(f.ep[0], out, 50, f.addr[1]), 0);
		entry = fixture_entry(&f, 1);
		assert_ptr_equal(entry.op_context, &rx);
		assert_ptr_equal(entry.buf, in + 50 * i);
		assert_int_equal(entry.len, 50);
		assert_int_equal(entry.flags & FI_RECV, FI_RECV);
		assert_int_equal(!!(entry.flags & FI_MULTI_RECV), i == 2);
	}
	fixture_quiet(&f);
	fixture_close(&f);
}

/* ---- counters ------------------------------------------------------------ */

static void counters__count_without_entries(void **state)
{
	fixture_open(&f, &(struct fixture_config){
				 .bind_flags = FI_SELECTIVE_COMPLETION,
				 .counters = true });
	post_recv(8);
	assert_int_equal(fi_send(f.ep[0], out, 8, NULL, f.addr[1], &tx), 0);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	assert_int_equal(fi_cntr_wait(f.sent, 2, 5000), 0);
	assert_int_equal(fi_cntr_read(f.sent), 2);
	assert_int_equal(fi_recv(f.ep[0], in, 8, NULL, FI_ADDR_UNSPEC, NULL),
			 0);
	assert_int_equal(fi_inject(f.ep[1], out, 8, f.addr[0]), 0);
	assert_int_equal(fi_cntr_wait(f.received, 1, 5000), 0);
	assert_int_equal(fi_cntr_readerr(f.received), 0);
	fixture_close(&f);
}

/* ---- waiting ------------------------------------------------------------- */

static void sread_all_ways(enum fi_wait_obj wait_obj)
{
	struct fi_cq_tagged_entry entry;

	fixture_open(&f, &(struct fixture_config){ .wait_obj = wait_obj });
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, 0), -FI_EAGAIN);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, 2), -FI_EAGAIN);
	post_recv(8);
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), 1);
	assert_int_equal(fi_cq_signal(f.cq[1]), 0);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), -FI_EAGAIN);
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), -FI_EAVAIL);
	assert_int_equal(fi_cq_sread(f.cq[1], NULL, 0, NULL, -1), 0);
	fixture_close(&f);
}

/* An endpoint that talks to itself, so that one thread can wait for it. */
static void sread__waits_for_a_threshold(void **state)
{
	struct fi_cq_attr attr = { .format = FI_CQ_FORMAT_TAGGED,
				   .wait_cond = FI_CQ_COND_THRESHOLD };
	struct fi_cq_tagged_entry entry[4];
	uint8_t name[EFA_ADDR_LEN];
	size_t len = sizeof(name);
	struct fid_cq *cq;
	struct fid_ep *ep;
	fi_addr_t self;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_cq_open(f.domain, &attr, &cq, NULL), 0);
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), 0);
	assert_int_equal(fi_ep_bind(ep, &cq->fid, FI_TRANSMIT | FI_RECV), 0);
	assert_int_equal(fi_ep_bind(ep, &f.av->fid, 0), 0);
	assert_int_equal(fi_enable(ep), 0);
	assert_int_equal(fi_getname(&ep->fid, name, &len), 0);
	assert_int_equal(fi_av_insert(f.av, name, 1, &self, 0, NULL), 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fi_recv(ep, in, 8, NULL, self, &rx), 0);
		assert_int_equal(fi_inject(ep, out, 8, self), 0);
	}
	assert_int_equal(fi_cq_sread(cq, entry, 4, (void *)3, -1), 3);
	/* What came in time is given when not enough did. */
	assert_int_equal(fi_recv(ep, in, 8, NULL, self, &rx), 0);
	assert_int_equal(fi_inject(ep, out, 8, self), 0);
	assert_int_equal(fi_cq_sread(cq, entry, 4, (void *)2, 20), 1);
	assert_int_equal(fi_close(&ep->fid), 0);
	assert_int_equal(fi_close(&cq->fid), 0);
	fixture_close(&f);
}

static void sread__without_a_wait_object(void **state)
{
	sread_all_ways(FI_WAIT_NONE);
}

static void sread__with_a_descriptor(void **state)
{
	sread_all_ways(FI_WAIT_FD);
	sread_all_ways(FI_WAIT_UNSPEC);
}

static void trywait__then_poll(void **state)
{
	struct fid *fids[1];
	struct fi_cq_tagged_entry entry;
	struct pollfd pfd = { .events = POLLIN };

	fixture_open(&f, &(struct fixture_config){ .wait_obj = FI_WAIT_FD });
	assert_int_equal(fi_control(&f.cq[1]->fid, FI_GETWAIT, &pfd.fd), 0);
	fids[0] = &f.cq[1]->fid;
	post_recv(8);
	while (fi_trywait(f.fabric, fids, 1) == -FI_EAGAIN)
		;
	assert_int_equal(fi_inject(f.ep[0], out, 8, f.addr[1]), 0);
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_int_equal(fixture_read(&f, 1, &entry, 1), 1);
	/* An entry that is there already forbids to sleep. */
	post_recv(8);
	assert_int_equal(fi_cancel(&f.ep[1]->fid, &rx), 0);
	assert_int_equal(fi_trywait(f.fabric, fids, 1), -FI_EAGAIN);
	fixture_close(&f);
}

static void trywait__needs_a_descriptor(void **state)
{
	struct fid *fids[1];
	int fd;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	fids[0] = &f.cq[1]->fid;
	assert_int_equal(fi_trywait(f.fabric, fids, 1), -FI_EINVAL);
	assert_int_equal(fi_control(&f.cq[1]->fid, FI_GETWAIT, &fd),
			 -FI_ENODATA);
	fids[0] = &f.av->fid;
	assert_int_equal(fi_trywait(f.fabric, fids, 1), -FI_EINVAL);
	fixture_close(&f);
}

/* ---- in a crowd ----------------------------------------------------------- */

static int yields;

int sched_yield(void)
{
	yields++;
	return 0;
}

static void read_in_vain(int times)
{
	struct fi_cq_tagged_entry entry;

	while (times--)
		assert_int_equal(fi_cq_read(f.cq[0], &entry, 1), -FI_EAGAIN);
}

/* A pause looks as if others had had the processor. */
static void read__in_vain_makes_room(void **state)
{
	const int many = 2 * EFA_WATCH_PATIENCE;
	struct fi_cq_tagged_entry entry;

	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG });
	read_in_vain(many);
	yields = 0;
	usleep(2000);
	read_in_vain(many);
	assert_in_range(yields, 1, 2);
	yields = 0;
	usleep(2000);
	for (int i = 0; i < many; i++) {
		read_in_vain(EFA_WATCH_PATIENCE / 2);
		assert_int_equal(
			fi_recv(f.ep[0], in, 1, NULL, FI_ADDR_UNSPEC, &rx), 0);
		assert_int_equal(fi_inject(f.ep[1], out, 1, f.addr[0]), 0);
		while (fi_cq_read(f.cq[0], &entry, 1) != 1)
			;
	}
	assert_int_equal(yields, 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format__context),
		cmocka_unit_test(format__msg),
		cmocka_unit_test(format__data),
		cmocka_unit_test(format__tagged),
		cmocka_unit_test(open__attributes),
		cmocka_unit_test(read__many_at_once_in_order),
		cmocka_unit_test(readfrom__names_the_sender),
		cmocka_unit_test(read__good_entries_before_an_error),
		cmocka_unit_test(cancel__of_nothing),
		cmocka_unit_test(read__in_vain_makes_room),
		cmocka_unit_test(selective__only_what_is_asked_for),
		cmocka_unit_test(selective__default_flags_count),
		cmocka_unit_test(selective__errors_are_always_told),
		cmocka_unit_test(error__truncation_tells_all),
		cmocka_unit_test(error__nothing_behind_the_callers_entry),
		cmocka_unit_test(error__text_in_the_callers_buffer),
		cmocka_unit_test(error__nothing_behind_an_old_entry),
		cmocka_unit_test(error__callers_buffer_stays_his),
		cmocka_unit_test(
			error__text_of_one_is_left_alone_by_who_has_a_buffer),
		cmocka_unit_test(strerror__knows_or_says_so),
		cmocka_unit_test(multi_recv__packs_and_releases),
		cmocka_unit_test(counters__count_without_entries),
		cmocka_unit_test(sread__waits_for_a_threshold),
		cmocka_unit_test(sread__without_a_wait_object),
		cmocka_unit_test(sread__with_a_descriptor),
		cmocka_unit_test(trywait__then_poll),
		cmocka_unit_test(trywait__needs_a_descriptor),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
