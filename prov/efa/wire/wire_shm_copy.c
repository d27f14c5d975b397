/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_copy.c - the ladder of ways into a peer's memory
 *
 *   SELF  the segment is of this very process
 *   CMA   the kernel copies between processes (process_vm_readv, _writev)
 *   RING  neither: not here
 *
 * A process number means something only inside one namespace, and is reused.
 * So the peer's header names a token in its memory: who reads that token at
 * that address of that process has found the peer. Before a copy the lock of
 * the peer's segment is looked at, or a process that got the number since would
 * lose its memory; not each time, for a number comes again only after all
 * others had their turn.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Bytes of one system call: beyond 2 GiB the kernel cuts short. */
#define CHUNK (UINT64_C(1) << 30)
/* Nobody starts processes so fast that a number is reused within. */
#define REUSE U_MSEC

/* Who this process is; drawn anew in a forked child. */
static struct {
	pthread_mutex_t lock;
	pid_t pid;
	uint64_t nonce;
	uint64_t token[2];
} self = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Draws it if need be and returns the nonce. */
static uint64_t self_nonce(void)
{
	uint64_t nonce;

	pthread_mutex_lock(&self.lock);
	if (self.pid != getpid()) {
		self.pid = getpid();
		self.nonce = u_random64();
		self.token[0] = u_random64();
		self.token[1] = u_random64();
	}
	nonce = self.nonce;
	pthread_mutex_unlock(&self.lock);
	return nonce;
}

void wire_shm_copy_permit(void)
{
	/* Fails where there is no Yama, and is not needed there. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

void wire_shm_copy_publish(struct wire_shm_about *about)
{
	about->nonce = self_nonce();
	about->pid = getpid();
	about->token_addr = (uintptr_t)self.token;
	memcpy(about->token, self.token, sizeof(about->token));
}

static int cma_errno(void)
{
	switch (errno) {
	case EFAULT:
	case ESRCH:
	case EPERM:
	case ENOMEM:
		return -errno;
	case ENOSYS: /* a filter of system calls may say either */
	case EACCES:
		return -EPERM;
	default:
		return -EFAULT;
	}
}

static ssize_t cma_once(pid_t pid, void *local, uint64_t remote, size_t len,
			bool write)
{
	struct iovec here = { .iov_base = local, .iov_len = len };
	struct iovec there = { .iov_base = (void *)(uintptr_t)remote,
			       .iov_len = len };

	return write ? process_vm_writev(pid, &here, 1, &there, 1, 0) :
		       process_vm_readv(pid, &here, 1, &there, 1, 0);
}

/* Partial copies go on where they stopped, until done or a fault. */
static int cma(pid_t pid, char *local, uint64_t remote, size_t len, bool write)
{
	ssize_t n;

	while (len) {
		n = cma_once(pid, local, remote, u_min(len, CHUNK), write);
		if (n < 0)
			return cma_errno();
		if (n == 0)
			return -EFAULT;
		local += n;
		remote += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* NULL: the peer's memory can be reached; else why not. */
static const char *cma_refused(const struct wire_shm_link *l)
{
	uint64_t token[2] = { 0, 0 };
	int rc;

	if (l->w->no_cma)
		return "it is switched off";
	if (l->about.pid <= 0)
		return "the peer has no process number";
	rc = cma(l->about.pid, (char *)token, l->about.token_addr,
		 sizeof(token), false);
	if (rc == -EPERM)
		return "the kernel forbids it (kernel.yama.ptrace_scope "
		       "above 0, or a container without SYS_PTRACE)";
	if (rc || memcmp(token, l->about.token, sizeof(token)))
		return "the peer is in another process namespace";
	return NULL;
}

static enum wire_shm_copy find_out(const struct wire_shm_link *l)
{
	const char *why;

	if (l->about.nonce == self_nonce() && l->about.pid == getpid()) {
		u_info("shm: copies with queue pair %u by memcpy: it is of "
		       "this process",
		       l->about.id.qpn);
		return WIRE_SHM_COPY_SELF;
	}
	why = cma_refused(l);
	if (!why) {
		u_info("shm: copies with queue pair %u (process %d) by "
		       "cross-memory attach: its token was read",
		       l->about.id.qpn, l->about.pid);
		return WIRE_SHM_COPY_CMA;
	}
	u_info("shm: copies with queue pair %u through the ring, not by "
	       "cross-memory attach: %s",
	       l->about.id.qpn, why);
	return WIRE_SHM_COPY_RING;
}

enum wire_shm_copy wire_shm_link_copy(struct wire_shm_link *l)
{
	if (u_unlikely(l->copy < 0))
		l->copy = (int)find_out(l);
	return (enum wire_shm_copy)l->copy;
}

static bool lives(struct wire_shm_link *l)
{
	uint64_t now = u_now();

	if (atomic_load_explicit(&l->state->word, memory_order_relaxed) &
	    WIRE_SHM_CLOSED)
		return false;
	if (now - l->seen_alive < REUSE)
		return true;
	if (!wire_shm_locked(l->fd, WIRE_SHM_LOCK_OWNER))
		return false;
	l->seen_alive = now;
	return true;
}

static int copy(struct wire_shm_link *l, void *local, uint64_t remote,
		size_t len, bool write)
{
	void *there = (void *)(uintptr_t)remote;

	if (!len)
		return 0;
	switch (wire_shm_link_copy(l)) {
	case WIRE_SHM_COPY_SELF:
		memmove(write ? there : local, write ? local : there, len);
		return 0;
	case WIRE_SHM_COPY_CMA:
		if (!lives(l))
			return -ESRCH;
		return cma(l->about.pid, local, remote, len, write);
	case WIRE_SHM_COPY_RING:
		break;
	}
	return -EPERM;
}

int wire_shm_read(struct wire_shm_link *l, void *local, uint64_t remote,
		  size_t len)
{
	return copy(l, local, remote, len, false);
}

int wire_shm_write(struct wire_shm_link *l, const void *local, uint64_t remote,
		   size_t len)
{
	return copy(l, (void *)(uintptr_t)local, remote, len, true);
}
