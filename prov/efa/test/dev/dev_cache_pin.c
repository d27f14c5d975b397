/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_pin.c - registrations for tests that pin pages, without an RDMA
 * device
 */
#include "dev_cache_pin.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct pin {
	pthread_mutex_t lock; /* of the rings and the pipe */
	int ring; /* -1: not permitted */
	int pipe[2];
	char *queue; /* both rings */
	size_t queue_bytes;
	struct io_uring_sqe *sqe; /* [1] */
	struct io_uring_params p;
};

static void *map(int fd, size_t bytes, off_t what)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, fd, what);
}

static int ring_open(struct pin *pin)
{
	size_t sq, cq;

	pin->ring = (int)syscall(SYS_io_uring_setup, 1, &pin->p);
	if (pin->ring < 0)
		return -1;
	sq = pin->p.sq_off.array + pin->p.sq_entries * sizeof(uint32_t);
	cq = pin->p.cq_off.cqes +
	     pin->p.cq_entries * sizeof(struct io_uring_cqe);
	pin->queue_bytes = sq > cq ? sq : cq;
	pin->queue = map(pin->ring, pin->queue_bytes, IORING_OFF_SQ_RING);
	pin->sqe = map(pin->ring, sizeof(*pin->sqe), IORING_OFF_SQES);
	return pipe(pin->pipe);
}

static void ring_close(struct pin *pin)
{
	munmap(pin->queue, pin->queue_bytes);
	munmap(pin->sqe, sizeof(*pin->sqe));
	close(pin->ring);
	close(pin->pipe[0]);
	close(pin->pipe[1]);
	pin->ring = -1;
}

int pin_new(void *addr, size_t len, struct pin **out)
{
	struct iovec iov = { .iov_base = addr, .iov_len = len };
	struct pin *pin = calloc(1, sizeof(*pin));
	int rc = 0;

	pthread_mutex_init(&pin->lock, NULL);
	if (ring_open(pin) == 0 && syscall(SYS_io_uring_register, pin->ring,
					   IORING_REGISTER_BUFFERS, &iov, 1)) {
		rc = -errno;
		ring_close(pin);
	}
	/* Some kernels pin no memory of files. */
	if (rc && rc != -EOPNOTSUPP) {
		pin_free(pin);
		return rc;
	}
	*out = pin;
	return 0;
}

void pin_free(struct pin *pin)
{
	if (pin_works(pin))
		ring_close(pin);
	free(pin);
}

bool pin_works(const struct pin *pin)
{
	return pin->ring >= 0;
}

static uint32_t *word(struct pin *pin, uint32_t offset)
{
	return (uint32_t *)(void *)(pin->queue + offset);
}

static int peek(struct pin *pin, const void *addr)
{
	unsigned char byte;
	uint32_t tail;

	*pin->sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_WRITE_FIXED,
		.fd = pin->pipe[1],
		.addr = (uintptr_t)addr,
		.len = 1,
	};
	*word(pin, pin->p.sq_off.array) = 0;
	tail = *word(pin, pin->p.sq_off.tail) + 1;
	__atomic_store_n(word(pin, pin->p.sq_off.tail), tail, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, pin->ring, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -1;
	tail = __atomic_load_n(word(pin, pin->p.cq_off.tail), __ATOMIC_ACQUIRE);
	*word(pin, pin->p.cq_off.head) = tail;
	return read(pin->pipe[0], &byte, 1) == 1 ? byte : -1;
}

int pin_peek(struct pin *pin, const void *addr)
{
	int byte = -1;

	if (pin_works(pin)) {
		pthread_mutex_lock(&pin->lock);
		byte = peek(pin, addr);
		pthread_mutex_unlock(&pin->lock);
	}
	return byte;
}
