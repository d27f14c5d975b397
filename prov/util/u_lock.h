/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_lock.h - a mutex that costs one branch when the threading model needs none
 *
 * A lock is made "on" or "off" at init and stays so. Off, lock and unlock do
 * nothing: the caller has promised one thread at a time. Ranks are in
 * efa_arch(7); a thread takes locks in rising rank only.
 */
#ifndef U_LOCK_H
#define U_LOCK_H

#include <pthread.h>
#include <stdbool.h>

struct u_lock {
	pthread_mutex_t mutex;
	bool on; /* const after init */
};

static inline void u_lock_init(struct u_lock *l, bool on)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&l->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	l->on = on;
}

static inline void u_lock_fini(struct u_lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void u_lock(struct u_lock *l)
{
	if (l->on)
		pthread_mutex_lock(&l->mutex);
}

static inline bool u_trylock(struct u_lock *l)
{
	return !l->on || pthread_mutex_trylock(&l->mutex) == 0;
}

static inline void u_unlock(struct u_lock *l)
{
	if (l->on)
		pthread_mutex_unlock(&l->mutex);
}

#endif
