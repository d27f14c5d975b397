/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_shm_test.c - endpoints that permit no shared memory
 *
 * A ring that was opened takes memory of its segment, whatever goes through it,
 * so the sizes of the files tell whether there is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "fixture.h"

#include <rdma/fi_ext.h>
#include <rdma/fi_ext_efa.h>

#define RING 32768 /* bytes of the smallest one */

static char dir[] = "/dev/shm/efa-fi-test-XXXXXX";
static struct fixture f;

static int group_setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	setenv("FI_EFA_SHM_DIR", dir, 1);
	return fixture_group_setup(state);
}

static int group_teardown(void **state)
{
	int ret = fixture_group_teardown(state);

	return rmdir(dir) || ret;
}

/* How many segments, whose names have the address of lo, hold a ring. */
static int rings(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strstr(e->d_name, "ffff7f000001-") &&
		     !fstatat(dirfd(d), e->d_name, &st, 0) &&
		     st.st_blocks * 512 > RING;
	closedir(d);
	return n;
}

static void talk(int from, int to)
{
	char out[64] = "hello", in[64];

	memset(in, 0, sizeof(in));
	assert_int_equal(
		fi_recv(f.ep[to], in, sizeof(in), NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_send(f.ep[from], out, sizeof(out), NULL, f.addr[to],
				 out),
			 0);
	assert_ptr_equal(fixture_entry(&f, to).op_context, in);
	assert_ptr_equal(fixture_entry(&f, from).op_context, out);
	assert_memory_equal(in, out, sizeof(out));
}

static void forbid(int i)
{
	bool no = false;

	assert_int_equal(fi_setopt(&f.ep[i]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_SHARED_MEMORY_PERMITTED, &no,
				   sizeof(no)),
			 0);
}

/* Else the next tests show nothing. */
static void permitted__takes_rings(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG });
	talk(0, 1);
	talk(1, 0);
	assert_int_equal(rings(), 2);
	fixture_close(&f);
}

static void not_permitted__by_the_sender(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG,
						   .disabled = true });
	forbid(0);
	fixture_enable(&f);
	talk(0, 1);
	talk(1, 0);
	assert_int_equal(rings(), 0);
	fixture_close(&f);
}

static void not_permitted__by_the_receiver(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG,
						   .disabled = true });
	forbid(1);
	fixture_enable(&f);
	talk(0, 1);
	assert_int_equal(rings(), 0);
	fixture_close(&f);
}

static void remote_comm__alone(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG |
							   FI_REMOTE_COMM });
	talk(0, 1);
	talk(1, 0);
	assert_int_equal(rings(), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(permitted__takes_rings),
		cmocka_unit_test(not_permitted__by_the_sender),
		cmocka_unit_test(not_permitted__by_the_receiver),
		cmocka_unit_test(remote_comm__alone),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
