/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_eq_test.c - event queues: write, read, peek, wait
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "fi/efa_eq.h"
#include "fixture.h"

static struct fid_fabric *fabric;
static struct fid_eq *eq;

static void open_eq(uint64_t flags, enum fi_wait_obj wait_obj)
{
	struct fi_fabric_attr fabric_attr = {
		.name = (char *)"efa", .api_version = FI_VERSION(1, 17)
	};
	struct fi_eq_attr attr = { .size = 4,
				   .flags = flags,
				   .wait_obj = wait_obj };

	assert_int_equal(efa_fabric_open(&fabric_attr, &fabric, NULL), 0);
	assert_int_equal(fi_eq_open(fabric, &attr, &eq, NULL), 0);
}

static void close_eq(void)
{
	assert_int_equal(fi_close(&fabric->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&eq->fid), 0);
	assert_int_equal(fi_close(&fabric->fid), 0);
}

static void write_one(uint64_t data)
{
	struct fi_eq_entry entry = { .fid = &eq->fid, .data = data };

	assert_int_equal(fi_eq_write(eq, FI_NOTIFY, &entry, sizeof(entry), 0),
			 sizeof(entry));
}

static uint64_t read_one(uint64_t flags)
{
	struct fi_eq_entry entry;
	uint32_t event = 77;

	assert_int_equal(fi_eq_read(eq, &event, &entry, sizeof(entry), flags),
			 sizeof(entry));
	assert_int_equal(event, FI_NOTIFY);
	return entry.data;
}

static bool readable(void)
{
	struct pollfd pfd = { .events = POLLIN };

	assert_int_equal(fi_control(&eq->fid, FI_GETWAIT, &pfd.fd), 0);
	return poll(&pfd, 1, 0) == 1;
}

static void read__in_the_order_written(void **state)
{
	open_eq(FI_WRITE, FI_WAIT_NONE);
	for (uint64_t i = 0; i < 100; i++)
		write_one(i);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(read_one(FI_PEEK), i);
		assert_int_equal(read_one(0), i);
	}
	close_eq();
}

static void read__empty(void **state)
{
	uint32_t event;
	uint8_t buf[64];
	struct fi_eq_err_entry error = { .err = 0 };

	open_eq(FI_WRITE, FI_WAIT_NONE);
	assert_int_equal(fi_eq_read(eq, &event, buf, sizeof(buf), 0),
			 -FI_EAGAIN);
	assert_int_equal(fi_eq_readerr(eq, &error, 0), -FI_EAGAIN);
	close_eq();
}

static void report(uint32_t number, const char *text)
{
	struct efa_eq *of = efa_eq_get(&eq->fid);

	efa_eq_report(of, &fabric->fid, number, text);
	efa_eq_put(of);
}

static void readerr__in_turn(void **state)
{
	struct fi_eq_err_entry error = { .err_data_size = 0 };
	uint8_t buf[64];
	uint32_t event;
	char text[16];

	open_eq(FI_WRITE, FI_WAIT_NONE);
	write_one(1);
	report(4118, "who and where");
	write_one(2);
	assert_int_equal(fi_eq_readerr(eq, &error, 0), -FI_EAGAIN);
	assert_int_equal(read_one(0), 1);
	assert_int_equal(fi_eq_read(eq, &event, buf, sizeof(buf), 0),
			 -FI_EAVAIL);
	for (int i = 0; i < 2; i++) {
		error.err_data_size = 0;
		assert_int_equal(fi_eq_readerr(eq, &error, i ? 0 : FI_PEEK),
				 sizeof(error));
		assert_ptr_equal(error.fid, &fabric->fid);
		assert_ptr_equal(error.context, fabric->fid.context);
		assert_int_equal(error.err, FI_EOTHER);
		assert_int_equal(error.prov_errno, 4118);
		assert_string_equal(error.err_data, "who and where");
	}
	assert_string_equal(fi_eq_strerror(eq, error.prov_errno, error.err_data,
					   text, sizeof(text)),
			    "who and where");
	assert_int_equal(read_one(0), 2);
	close_eq();
}

/* Entries of interface 1.4 end with err_data. */
static void readerr__nothing_behind_an_old_entry(void **state)
{
	const size_t len = offsetof(struct fi_eq_err_entry, err_data_size);
	struct fi_eq_err_entry error;

	open_eq(FI_WRITE, FI_WAIT_NONE);
	fabric->api_version = FI_VERSION(1, 4);
	report(4118, "who and where");
	memset(&error, 0xaa, sizeof(error));
	assert_int_equal(fi_eq_readerr(eq, &error, 0), len);
	assert_string_equal(error.err_data, "who and where");
	for (size_t i = len; i < sizeof(error); i++)
		assert_int_equal(((uint8_t *)&error)[i], 0xaa);
	close_eq();
}

/* A queue may be told of regions that are ready. */
static void mr_reg__is_an_event(void **state)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_NONE };
	struct fi_eq_entry entry;
	struct fixture f;
	struct fid_mr *mr;
	uint32_t event;
	uint8_t byte;

	fixture_open(&f, &(struct fixture_config){ .caps = 0 });
	assert_int_equal(fi_eq_open(f.fabric, &attr, &f.eq, NULL), 0);
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, FI_SEND),
			 -FI_EBADFLAGS);
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, FI_REG_MR), 0);
	assert_int_equal(
		fi_mr_reg(f.domain, &byte, 1, FI_SEND, 0, 0, 0, &mr, &byte), 0);
	assert_int_equal(fi_eq_read(f.eq, &event, &entry, sizeof(entry), 0),
			 sizeof(entry));
	assert_int_equal(event, FI_MR_COMPLETE);
	assert_ptr_equal(entry.fid, &mr->fid);
	assert_ptr_equal(entry.context, &byte);
	assert_int_equal(fi_eq_read(f.eq, &event, &entry, sizeof(entry), 0),
			 -FI_EAGAIN);
	assert_int_equal(fi_close(&mr->fid), 0);
	fixture_close(&f);
}

#define REGIONS 20000

static struct fid_mr *region[REGIONS];
static _Atomic uint32_t bad;

/* Who hears of a region may use it, and close it, at once. */
static void *close_regions(void *arg)
{
	struct fid_eq *of = arg;
	struct fi_eq_entry entry;
	uint32_t event;

	for (int i = 0; i < REGIONS; i++) {
		while (fi_eq_read(of, &event, &entry, sizeof(entry), 0) !=
		       sizeof(entry))
			;
		if (event != FI_MR_COMPLETE || entry.fid != &region[i]->fid ||
		    entry.fid->fclass != FI_CLASS_MR || !entry.fid->ops ||
		    !fi_mr_key(region[i]) || !fi_mr_desc(region[i]))
			bad++;
		else
			bad += fi_close(entry.fid) != 0;
	}
	return NULL;
}

static void mr_reg__is_told_when_all_of_it_is_there(void **state)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_NONE };
	struct fixture f;
	pthread_t thread;
	uint8_t byte;

	fixture_open(&f,
		     &(struct fixture_config){ .threading = FI_THREAD_SAFE });
	assert_int_equal(fi_eq_open(f.fabric, &attr, &f.eq, NULL), 0);
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, FI_REG_MR), 0);
	bad = 0;
	pthread_create(&thread, NULL, close_regions, f.eq);
	for (int i = 0; i < REGIONS; i++)
		assert_int_equal(fi_mr_reg(f.domain, &byte, 1, FI_SEND, 0, 0, 0,
					   &region[i], NULL),
				 0);
	pthread_join(thread, NULL);
	assert_int_equal(bad, 0);
	fixture_close(&f);
}

static _Atomic bool stop;

static void *register_on(void *arg)
{
	struct fid_mr *mr;
	uint8_t byte;

	while (!stop) {
		if (fi_mr_reg(arg, &byte, 1, FI_SEND, 0, 0, 0, &mr, NULL) ||
		    fi_close(&mr->fid))
			bad++;
		sched_yield();
	}
	return NULL;
}

/* A queue may be bound while regions are made, which are told from then on. */
static void bind__beside_mr_reg(void **state)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_NONE };
	struct fi_eq_entry entry;
	struct fixture f;
	pthread_t thread;
	uint32_t event;

	fixture_open(&f,
		     &(struct fixture_config){ .threading = FI_THREAD_SAFE });
	assert_int_equal(fi_eq_open(f.fabric, &attr, &f.eq, NULL), 0);
	bad = 0;
	stop = false;
	pthread_create(&thread, NULL, register_on, f.domain);
	usleep(1000);
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, FI_REG_MR), 0);
	assert_int_equal(fi_eq_sread(f.eq, &event, &entry, sizeof(entry), -1,
				     0),
			 sizeof(entry));
	assert_int_equal(event, FI_MR_COMPLETE);
	stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(bad, 0);
	assert_int_equal(fi_domain_bind(f.domain, &f.eq->fid, 0), -FI_EINVAL);
	fixture_close(&f);
}

/* Peers cause errors: what nobody reads must not grow for ever. */
static void readerr__of_too_many(void **state)
{
	struct fi_eq_err_entry error = { .err = 0 };
	int n = 0;

	open_eq(FI_WRITE, FI_WAIT_NONE);
	for (int i = 0; i < 1000; i++)
		report(4111, "again");
	while (fi_eq_readerr(eq, &error, 0) > 0)
		n++;
	assert_in_range(n, 1, 100);
	report(4111, "once more");
	assert_int_equal(fi_eq_readerr(eq, &error, 0), sizeof(error));
	close_eq();
}

static void read__into_too_little_loses_nothing(void **state)
{
	uint32_t event;
	uint8_t buf[4];

	open_eq(FI_WRITE, FI_WAIT_NONE);
	write_one(5);
	assert_int_equal(fi_eq_read(eq, &event, buf, sizeof(buf), 0),
			 -FI_ETOOSMALL);
	assert_int_equal(read_one(0), 5);
	close_eq();
}

static void write__must_have_been_asked_for(void **state)
{
	struct fi_eq_entry entry = { .data = 0 };

	open_eq(0, FI_WAIT_NONE);
	assert_int_equal(fi_eq_write(eq, FI_NOTIFY, &entry, sizeof(entry), 0),
			 -FI_EINVAL);
	close_eq();
}

static void fd__is_readable_while_there_are_events(void **state)
{
	struct fid *fids[1];

	open_eq(FI_WRITE, FI_WAIT_FD);
	fids[0] = &eq->fid;
	assert_int_equal(fi_trywait(fabric, fids, 1), 0);
	assert_false(readable());
	write_one(1);
	write_one(2);
	assert_true(readable());
	assert_int_equal(fi_trywait(fabric, fids, 1), -FI_EAGAIN);
	read_one(FI_PEEK);
	assert_true(readable());
	read_one(0);
	assert_true(readable());
	read_one(0);
	assert_false(readable());
	close_eq();
}

static void sread__times_out_or_returns_at_once(void **state)
{
	struct fi_eq_entry entry;
	uint32_t event;

	open_eq(FI_WRITE, FI_WAIT_UNSPEC);
	assert_int_equal(fi_eq_sread(eq, &event, &entry, sizeof(entry), 5, 0),
			 -FI_EAGAIN);
	write_one(9);
	assert_int_equal(fi_eq_sread(eq, &event, &entry, sizeof(entry), -1,
				     FI_PEEK),
			 sizeof(entry));
	assert_int_equal(fi_eq_sread(eq, &event, &entry, sizeof(entry), -1, 0),
			 sizeof(entry));
	assert_int_equal(entry.data, 9);
	close_eq();
}

static void *write_later(void *arg)
{
	write_one(42);
	return NULL;
}

static void sread__is_woken_by_a_write(void **state)
{
	struct fi_eq_entry entry;
	pthread_t thread;
	uint32_t event;

	open_eq(FI_WRITE, FI_WAIT_NONE);
	assert_int_equal(pthread_create(&thread, NULL, write_later, NULL), 0);
	assert_int_equal(fi_eq_sread(eq, &event, &entry, sizeof(entry), -1, 0),
			 sizeof(entry));
	assert_int_equal(entry.data, 42);
	pthread_join(thread, NULL);
	close_eq();
}

static void open__other_wait_objects(void **state)
{
	struct fi_fabric_attr fabric_attr = {
		.name = (char *)"efa", .api_version = FI_VERSION(1, 17)
	};
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_MUTEX_COND };

	assert_int_equal(efa_fabric_open(&fabric_attr, &fabric, NULL), 0);
	assert_int_equal(fi_eq_open(fabric, &attr, &eq, NULL), -FI_ENOSYS);
	assert_int_equal(fi_close(&fabric->fid), 0);
}

static void strerror__is_never_null(void **state)
{
	char buf[8];

	open_eq(0, FI_WAIT_NONE);
	assert_non_null(fi_eq_strerror(eq, 5, NULL, NULL, 0));
	assert_string_equal(fi_eq_strerror(eq, 4105, NULL, buf, sizeof(buf)),
			    "out of ");
	close_eq();
}

static void fabric__of_another_name(void **state)
{
	struct fi_fabric_attr attr = { .name = (char *)"efa-other" };

	assert_int_equal(efa_fabric_open(&attr, &fabric, NULL), -FI_ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read__in_the_order_written),
		cmocka_unit_test(read__empty),
		cmocka_unit_test(readerr__in_turn),
		cmocka_unit_test(readerr__nothing_behind_an_old_entry),
		cmocka_unit_test(mr_reg__is_an_event),
		cmocka_unit_test(mr_reg__is_told_when_all_of_it_is_there),
		cmocka_unit_test(bind__beside_mr_reg),
		cmocka_unit_test(readerr__of_too_many),
		cmocka_unit_test(read__into_too_little_loses_nothing),
		cmocka_unit_test(write__must_have_been_asked_for),
		cmocka_unit_test(fd__is_readable_while_there_are_events),
		cmocka_unit_test(sread__times_out_or_returns_at_once),
		cmocka_unit_test(sread__is_woken_by_a_write),
		cmocka_unit_test(open__other_wait_objects),
		cmocka_unit_test(strerror__is_never_null),
		cmocka_unit_test(fabric__of_another_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
