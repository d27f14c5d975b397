/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_watch.c - the monitor: who changes the memory that caches hold
 *
 * Memory is registered for write protection and none is ever protected, so no
 * page fault stops for us: of a userfaultfd we want its other events. (Modes
 * MISSING and MINOR would stop the first touch of each page until the thread
 * has filled it in.) UFFD_USER_MODE_ONLY makes it free to all users.
 *
 * Events are asked for munmap, and mmap or mremap over something (UNMAP), for
 * mremap (REMAP), for MADV_DONTNEED, _FREE and _REMOVE (REMOVE). REMOVE is told
 * before the pages go: a range that is first registered while another thread
 * discards its pages is that program's race, as it would be without a cache.
 * FORK is not asked for: memory that the child inherits then has no monitor,
 * so nothing that it unmaps waits for us.
 *
 * Memory stays watched when its registration is given up: the next one is
 * likely, and an event that concerns nobody does no harm.
 */
#include "dev_cache_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dev_cache_kind.h"
#include "util/u_base.h"
#include "util/u_log.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif

#define EVENTS 16 /* read at a time */
#define HUGE ((uint64_t)2 << 20)
#define FEATURES                                                     \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_UNMAP | \
	 UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE)

struct u_lock dev_cache_watch_lock = {
	.mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP,
	.on = true,
};

static LIST_HEAD(, dev_cache_watcher) watchers; /* dev_cache_watch_lock */
static atomic_int uffd = -1; /* -1: nothing is watched; the thread closes it */

/* Guards what follows, and who starts and ends the thread. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
static unsigned int users;
static bool any_kind; /* the kernel watches files in memory as well */
static int stop; /* eventfd */
static pthread_t thread;

static unsigned int process; /* written in the child of a fork only */

/* --- the thread --- */

static void tell(uint64_t lo, uint64_t hi)
{
	struct dev_cache_watcher *w;

	LIST_FOREACH(w, &watchers, link)
		w->changed(w, lo, hi);
}

static void tell_event(const struct uffd_msg *m)
{
	switch (m->event) {
	case UFFD_EVENT_UNMAP:
	case UFFD_EVENT_REMOVE:
		tell(m->arg.remove.start, m->arg.remove.end);
		break;
	case UFFD_EVENT_REMAP:
		tell(m->arg.remap.from, m->arg.remap.from + m->arg.remap.len);
		break;
	}
}

/* False: events can no longer be had. */
static bool read_events(int fd)
{
	struct uffd_msg m[EVENTS];
	ssize_t n = read(fd, m, sizeof(m));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (size_t i = 0; i < (size_t)n / sizeof(m[0]); i++)
		tell_event(&m[i]);
	return true;
}

static bool serve(int fd)
{
	bool good;

	u_lock(&dev_cache_watch_lock); /* I1 */
	good = read_events(fd);
	u_unlock(&dev_cache_watch_lock);
	return good;
}

/*
 * Ends when asked to, or when somebody who closes all descriptors has closed
 * ours: then nothing that is kept can be trusted.
 *
 * It closes the descriptor itself. From the last read to there a thread that
 * unmaps watched memory sleeps, and the one that waits for the end of this
 * thread might be next, as the C library unmaps stacks then.
 */
static void *watch_run(void *unused)
{
	struct pollfd p[2] = {
		{ .fd = atomic_load(&uffd), .events = POLLIN },
		{ .fd = stop, .events = POLLIN },
	};

	(void)unused;
	do {
		while (poll(p, 2, -1) < 0)
			;
	} while (!p[1].revents && serve(p[0].fd));
	u_lock(&dev_cache_watch_lock);
	tell(0, UINT64_MAX);
	atomic_store(&uffd, -1);
	u_unlock(&dev_cache_watch_lock);
	if (p[1].revents)
		close(p[0].fd);
	return NULL;
}

/* --- start and end --- */

/* Locks may be held by threads that the child does not have. */
static void in_child(void)
{
	int fd = atomic_exchange(&uffd, -1);

	process++;
	if (fd >= 0)
		close(fd);
	if (users > 0)
		close(stop);
	users = 0;
	LIST_INIT(&watchers);
	u_lock_init(&dev_cache_watch_lock, true);
	pthread_mutex_init(&life, NULL);
}

static void note_forks(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

void dev_cache_watch_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, note_forks);
}

static int uffd_open(void)
{
	int flags = O_CLOEXEC | O_NONBLOCK, fd;
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };

	fd = (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_userfaultfd, flags);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) || (FEATURES & ~api.features)) {
		close(fd);
		return -ENOSYS;
	}
#ifdef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
	any_kind = api.features & UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
#else
	any_kind = true;
#endif
	return fd;
}

static int thread_start(void)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, watch_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static int watch_start(void)
{
	int rc, fd = uffd_open();

	if (fd < 0)
		return fd;
	stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop < 0) {
		rc = -errno;
		goto close_uffd;
	}
	atomic_store(&uffd, fd);
	rc = thread_start();
	if (rc)
		goto close_stop;
	return 0;

close_stop:
	atomic_store(&uffd, -1);
	close(stop);
close_uffd:
	close(fd);
	return rc;
}

int dev_cache_watch_join(struct dev_cache_watcher *w)
{
	int rc = 0;

	pthread_mutex_lock(&life);
	if (users == 0)
		rc = watch_start();
	if (rc == 0) {
		users++;
		u_lock(&dev_cache_watch_lock);
		LIST_INSERT_HEAD(&watchers, w, link);
		u_unlock(&dev_cache_watch_lock);
	}
	pthread_mutex_unlock(&life);
	return rc;
}

void dev_cache_watch_leave(struct dev_cache_watcher *w)
{
	uint64_t one = 1;

	pthread_mutex_lock(&life);
	u_lock(&dev_cache_watch_lock);
	LIST_REMOVE(w, link);
	u_unlock(&dev_cache_watch_lock);
	if (--users == 0) {
		while (write(stop, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(thread, NULL);
		close(stop);
	}
	pthread_mutex_unlock(&life);
}

/* --- what caches ask --- */

static int watch(uint64_t lo, uint64_t hi)
{
	struct uffdio_register r = {
		.range = { .start = lo, .len = hi - lo },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(atomic_load(&uffd), UFFDIO_REGISTER, &r) ? -errno : 0;
}

int dev_cache_watch_add(uint64_t lo, uint64_t hi)
{
	int rc = watch(lo, hi);

	/* Huge pages of a file system can be watched as a whole only. */
	if (rc == -EINVAL && any_kind)
		rc = watch(lo & ~(HUGE - 1), u_align(hi, HUGE));
	if (rc == 0 && any_kind && !dev_cache_kind_told(lo, hi))
		rc = -EINVAL;
	return rc;
}

/*
 * A request that protects nothing: while a change is under way the kernel says
 * so before it looks at the rest.
 */
static bool settled(void)
{
	struct uffdio_writeprotect nothing = { .mode = 0 };

	return ioctl(atomic_load(&uffd), UFFDIO_WRITEPROTECT, &nothing) &&
	       errno == EINVAL;
}

bool dev_cache_watch_settled(void)
{
	/* The thread may need this core to read the event. */
	for (int i = 0; i < 16; i++) {
		if (u_likely(settled()))
			return true;
		sched_yield();
	}
	return false;
}

unsigned int dev_cache_watch_process(void)
{
	return process;
}
