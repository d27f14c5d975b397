/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_thread.h - threads of ours inside somebody's program
 */
#ifndef U_THREAD_H
#define U_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

/* Starts one that gets none of the program's signals. 0 or -errno. */
static inline int u_thread_start(pthread_t *thread, void *(*run)(void *),
				 void *arg)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

/*
 * A number of the calling thread, from 0 on in the order of their first call:
 * to choose one of several places by, so that threads seldom meet.
 */
uint32_t u_thread_number(void);

#endif
