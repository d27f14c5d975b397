/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_revoke_test.c - regions that are closed while operations name them as
 * local memory, by any thread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

#define BYTES (4u << 20)
#define ROUNDS 300

static struct fixture f;
static uint8_t *from, *to;

static void setup(const struct fixture_config *config)
{
	fixture_open(&f, config);
	from = malloc(BYTES);
	to = malloc(BYTES);
	memset(from, 1, BYTES);
	memset(to, 2, BYTES);
}

static void teardown(void)
{
	free(from);
	free(to);
	fixture_close(&f);
}

static struct fid_mr *region(void *buf)
{
	struct fid_mr *mr;

	assert_int_equal(fi_mr_reg(f.domain, buf, BYTES,
				   FI_SEND | FI_RECV | FI_READ | FI_WRITE, 0, 0,
				   0, &mr, NULL),
			 0);
	return mr;
}

static void expect_canceled(int who, void *context)
{
	struct fi_cq_err_entry entry = fixture_error(&f, who);

	assert_int_equal(entry.err, FI_ECANCELED);
	assert_ptr_equal(entry.op_context, context);
}

static void message_goes_on(void)
{
	assert_int_equal(fi_recv(f.ep[1], to, 8, NULL, FI_ADDR_UNSPEC, NULL),
			 0);
	assert_int_equal(fi_send(f.ep[0], from, 8, NULL, f.addr[1], NULL), 0);
	fixture_entry(&f, 1);
	fixture_entry(&f, 0);
}

static void mr_close__ends_receives_that_name_it(void **state)
{
	const struct iovec iov[] = { { to, 8 }, { to + 8, 8 } };
	struct fid_mr *mr, *other;
	void *desc[2];
	int c[3];

	setup(&(struct fixture_config){ .type = FI_EP_RDM });
	mr = region(to);
	other = region(to);
	desc[0] = fi_mr_desc(other);
	desc[1] = fi_mr_desc(mr);
	assert_int_equal(fi_recv(f.ep[1], to, 8, fi_mr_desc(mr), FI_ADDR_UNSPEC,
				 &c[0]),
			 0);
	assert_int_equal(fi_trecvv(f.ep[1], iov, desc, 2, FI_ADDR_UNSPEC, 1, 0,
				   &c[1]),
			 0);
	assert_int_equal(fi_recv(f.ep[1], to, 8, fi_mr_desc(other),
				 FI_ADDR_UNSPEC, &c[2]),
			 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	expect_canceled(1, &c[0]);
	expect_canceled(1, &c[1]);
	fixture_quiet(&f);
	assert_int_equal(fi_send(f.ep[0], from, 8, NULL, f.addr[1], NULL), 0);
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &c[2]);
	fixture_entry(&f, 0);
	assert_int_equal(fi_close(&other->fid), 0);
	teardown();
}

static _Atomic bool closed;

static void *close_sender(void *unused)
{
	(void)unused;
	assert_int_equal(fi_close(&f.ep[0]->fid), 0);
	f.ep[0] = NULL;
	closed = true;
	return NULL;
}

static void send_all_that_fits(size_t len, void *desc)
{
	int rc = 0;

	for (int i = 0; i < 1000 && !rc; i++)
		rc = (int)fi_send(f.ep[0], from, len, desc, f.addr[1], NULL);
	assert_int_equal(rc, -FI_EAGAIN);
}

/* Which tries to send for two seconds, as its peer does not read at all. */
static void mr_close__in_turn_with_the_close_of_an_endpoint(void **state)
{
	struct fid_mr *mr;
	pthread_t thread;
	int n = 0;

	setup(&(struct fixture_config){ .type = FI_EP_RDM,
					.threading = FI_THREAD_SAFE });
	message_goes_on();
	send_all_that_fits(60000, NULL);
	closed = false;
	pthread_create(&thread, NULL, close_sender, NULL);
	while (!closed) {
		mr = region(to);
		assert_int_equal(fi_close(&mr->fid), 0);
		n++;
		usleep(20000);
	}
	pthread_join(thread, NULL);
	assert_true(n > 5);
	teardown();
}

/* An endpoint that is being closed sends on while its peer does not read. */
static void mr_close__beside_the_close_of_an_endpoint(void **state)
{
	struct fid_mr *mr;
	pthread_t thread;

	setup(&(struct fixture_config){ .type = FI_EP_RDM,
					.threading = FI_THREAD_SAFE });
	message_goes_on();
	free(from);
	from = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mr = region(from);
	send_all_that_fits(60000, fi_mr_desc(mr));
	pthread_create(&thread, NULL, close_sender, NULL);
	usleep(50000);
	assert_int_equal(fi_close(&mr->fid), 0);
	assert_int_equal(mprotect(from, BYTES, PROT_NONE), 0);
	for (int i = 0; i < 20000; i++)
		fi_cq_read(f.cq[1], NULL, 0);
	pthread_join(thread, NULL);
	munmap(from, BYTES);
	from = NULL;
	teardown();
}

/* Both sides hear of a message that had begun. */
static void mr_close__ends_a_long_send(void **state)
{
	struct fid_mr *mr;
	int c;

	setup(&(struct fixture_config){ .type = FI_EP_RDM });
	message_goes_on();
	mr = region(from);
	assert_int_equal(fi_send(f.ep[0], from, BYTES, fi_mr_desc(mr),
				 f.addr[1], &c),
			 0);
	fixture_quiet(&f);
	assert_int_equal(fi_close(&mr->fid), 0);
	expect_canceled(0, &c);
	assert_int_equal(
		fi_recv(f.ep[1], to, BYTES, NULL, FI_ADDR_UNSPEC, NULL), 0);
	assert_int_not_equal(fixture_error(&f, 1).err, 0);
	message_goes_on();
	teardown();
}

/* Nothing is known of operations that name none. */
static void mr_close__leaves_others_alone(void **state)
{
	struct fid_mr *mr;

	setup(&(struct fixture_config){ .type = FI_EP_RDM });
	message_goes_on();
	mr = region(from);
	assert_int_equal(fi_send(f.ep[0], from, BYTES, NULL, f.addr[1], NULL),
			 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	assert_int_equal(
		fi_recv(f.ep[1], to, BYTES, NULL, FI_ADDR_UNSPEC, NULL), 0);
	fixture_entry(&f, 1);
	fixture_entry(&f, 0);
	assert_memory_equal(from, to, BYTES);
	teardown();
}

/* A thin endpoint's RMA lets go of the memory as well. */
static void mr_close__ends_rma_of_efa_direct(void **state)
{
	struct fi_cq_tagged_entry entry;
	struct fi_cq_err_entry error = { .err = 0 };
	struct fid_mr *mr, *there;
	ssize_t ret;

	setup(&(struct fixture_config){ .direct = true });
	mr = region(to);
	assert_int_equal(fi_mr_reg(f.domain, from, BYTES, FI_REMOTE_READ, 0, 0,
				   0, &there, NULL),
			 0);
	assert_int_equal(fi_read(f.ep[0], to, BYTES, fi_mr_desc(mr), f.addr[1],
				 (uintptr_t)from, fi_mr_key(there), NULL),
			 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	memset(to, 3, BYTES);
	ret = fixture_read(&f, 0, &entry, 1);
	if (ret != 1) {
		assert_int_equal(ret, -FI_EAVAIL);
		assert_int_equal(fi_cq_readerr(f.cq[0], &error, 0), 1);
		assert_int_equal(error.err, FI_ECANCELED);
	}
	fixture_quiet(&f);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(to[i], 3);
	assert_int_equal(fi_close(&there->fid), 0);
	teardown();
}

/* ---- receives of thin endpoints ------------------------------------------ */

#define PREFIX 40 /* of datagrams */

static uint8_t *pages_new(void)
{
	uint8_t *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void post_thin(uint8_t *buf, struct fid_mr *mr, void *context)
{
	assert_int_equal(fi_recv(f.ep[1], buf, PREFIX + 8, fi_mr_desc(mr),
				 FI_ADDR_UNSPEC, context),
			 0);
}

static void send_thin(void)
{
	assert_int_equal(
		fi_send(f.ep[0], from, PREFIX + 8, NULL, f.addr[1], NULL), 0);
	fixture_entry(&f, 0);
}

/*
 * It stays posted, as programs take a receive that is flushed for a broken
 * endpoint, and what comes for it ends it; memory that is not there any more
 * shows that nothing was written.
 */
static void check_thin(const struct fixture_config *config)
{
	struct fid_mr *mr, *other;
	struct fi_cq_err_entry entry;
	uint8_t *pages = pages_new();
	int c[3];

	setup(config);
	mr = region(pages);
	other = region(to);
	post_thin(to, other, &c[0]);
	post_thin(pages, mr, &c[1]);
	post_thin(to, other, &c[2]);
	send_thin();
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &c[0]);
	assert_int_equal(fi_close(&mr->fid), 0);
	munmap(pages, BYTES);
	fixture_quiet(&f);
	send_thin();
	entry = fixture_error(&f, 1);
	assert_ptr_equal(entry.op_context, &c[1]);
	assert_int_equal(entry.err, FI_EINVAL);
	assert_int_equal(entry.prov_errno, DEV_BAD_LKEY);
	send_thin();
	assert_ptr_equal(fixture_entry(&f, 1).op_context, &c[2]);
	assert_int_equal(fi_close(&other->fid), 0);
	teardown();
}

static void check_thin_kinds(void)
{
	check_thin(&(struct fixture_config){ .direct = true });
	check_thin(&(struct fixture_config){ .type = FI_EP_DGRAM });
}

static void mr_close__under_receives_of_thin_endpoints(void **state)
{
	check_thin_kinds();
	fixture_use_shm(false);
	check_thin_kinds();
	fixture_use_shm(true);
}

/* ---- threads --------------------------------------------------------------- */

static _Atomic uint32_t ended;

/* Reads the queue of the second endpoint until all receives have ended. */
static void *read_on(void *arg)
{
	struct fi_cq_tagged_entry entry;
	struct fi_cq_err_entry error = { .err = 0 };
	ssize_t ret;

	while (ended < ROUNDS) {
		ret = fi_cq_read(f.cq[1], &entry, 1);
		if (ret == -FI_EAVAIL) {
			assert_int_equal(fi_cq_readerr(f.cq[1], &error, 0), 1);
			assert_int_equal(error.err, FI_ECANCELED);
		}
		if (ret != -FI_EAGAIN)
			ended++;
		else
			sched_yield();
	}
	return NULL;
}

static void check_thread(const struct fixture_config *config)
{
	pthread_t thread;
	int c;

	setup(config);
	ended = 0;
	pthread_create(&thread, NULL, read_on, NULL);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct fid_mr *mr = region(to);

		assert_int_equal(fi_recv(f.ep[1], to, 8, fi_mr_desc(mr),
					 FI_ADDR_UNSPEC, &c),
				 0);
		assert_int_equal(fi_close(&mr->fid), 0);
		while (ended <= i)
			sched_yield();
	}
	pthread_join(thread, NULL);
	teardown();
}

static void mr_close__while_another_thread_reads(void **state)
{
	check_thread(&(struct fixture_config){ .threading = FI_THREAD_SAFE });
}

/* The thread that reads sleeps, and nothing but the close can wake it. */
static void *sleep_on(void *arg)
{
	struct fi_cq_tagged_entry entry;

	assert_int_equal(fi_cq_sread(f.cq[1], &entry, 1, NULL, -1), -FI_EAVAIL);
	ended = 1;
	return NULL;
}

static void mr_close__wakes_who_waits(void **state)
{
	struct fid_mr *mr;
	pthread_t thread;
	int c;

	setup(&(struct fixture_config){ .threading = FI_THREAD_SAFE,
					.wait_obj = FI_WAIT_FD });
	ended = 0;
	mr = region(to);
	assert_int_equal(
		fi_recv(f.ep[1], to, 8, fi_mr_desc(mr), FI_ADDR_UNSPEC, &c), 0);
	pthread_create(&thread, NULL, sleep_on, NULL);
	assert_int_equal(fi_close(&mr->fid), 0);
	pthread_join(thread, NULL);
	expect_canceled(1, &c);
	teardown();
}

/* Endpoints lock where operations name regions, and any thread may close one. */
static void mr_close__in_the_completion_model(void **state)
{
	struct fid_mr *mr;
	int c;

	setup(&(struct fixture_config){ .threading = FI_THREAD_COMPLETION });
	assert_true(f.info->domain_attr->mr_mode & FI_MR_LOCAL);
	mr = region(to);
	assert_int_equal(
		fi_recv(f.ep[1], to, 8, fi_mr_desc(mr), FI_ADDR_UNSPEC, &c), 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	expect_canceled(1, &c);
	teardown();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mr_close__ends_receives_that_name_it),
		cmocka_unit_test(mr_close__beside_the_close_of_an_endpoint),
		cmocka_unit_test(
			mr_close__in_turn_with_the_close_of_an_endpoint),
		cmocka_unit_test(mr_close__ends_a_long_send),
		cmocka_unit_test(mr_close__leaves_others_alone),
		cmocka_unit_test(mr_close__ends_rma_of_efa_direct),
		cmocka_unit_test(mr_close__under_receives_of_thin_endpoints),
		cmocka_unit_test(mr_close__while_another_thread_reads),
		cmocka_unit_test(mr_close__wakes_who_waits),
		cmocka_unit_test(mr_close__in_the_completion_model),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
