/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_fixture.h - what tests of devices with shared memory need
 */
#ifndef DEV_FIXTURE_H
#define DEV_FIXTURE_H

#include "dev/dev.h"

#define DF_WAIT_S 10
#define DF_DIR 64

/* Log lines at level warn since df_dir_make(); tests set it back. */
extern unsigned int df_warnings;

/* A folder for segments, in dir, and a sink that counts warnings. */
int df_dir_make(char dir[DF_DIR]);
void df_dir_remove(const char *dir);

/* The next completion. */
struct dev_wc df_wait(struct dev_cq *cq);

#endif
