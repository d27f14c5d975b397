/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_fixture.c - what tests of devices with shared memory need
 */
#include "dev_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/u_log.h"
#include "util/u_time.h"

unsigned int df_warnings;

static void count_warnings(enum u_log_level level, const char *line)
{
	(void)line;
	df_warnings += level == U_LOG_WARN;
}

int df_dir_make(char dir[DF_DIR])
{
	df_warnings = 0;
	u_log_set_sink(count_warnings);
	strcpy(dir, "/dev/shm/efa-dev-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

void df_dir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char name[400];

	u_log_set_sink(NULL);
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		unlink(name);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

struct dev_wc df_wait(struct dev_cq *cq)
{
	uint64_t end = u_now() + DF_WAIT_S * U_SEC;
	struct dev_wc wc;

	while (!dev_poll(cq, &wc, 1))
		assert_true(u_now() < end);
	return wc;
}
