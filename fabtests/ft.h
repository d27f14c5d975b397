/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft.h - the door of the fabric tests: a pair of processes with one endpoint
 *
 * How to drive it:
 *	ft_start()	options, the second process (or the wait for it), the
 *			out-of-band channel; no libfabric call happens before
 *	ft_open()	fabric, domain, queues, address vector, endpoint, and
 *			the peer's address in ft.peer
 *	ft_buf_new()	memory, registered when the provider wants that
 *	ft_send() ft_recv() ft_wait_tx() ft_wait_rx() ft_sync() ...
 *	ft_finish()	both ends close everything; the exit status
 *
 *	   server (core 0)                          client (core 1)
 *	  +---------------+   out of band: TCP    +---------------+
 *	  |  struct ft    |<--------------------->|  struct ft    |
 *	  |  ep txcq rxcq |   or a socket pair    |  ep txcq rxcq |
 *	  |               |<=====================>|               |
 *	  +---------------+      the provider     +---------------+
 *
 * A call of libfabric that fails ends the process with one line that names the
 * call, unless the function's comment says that it returns the error.
 * Tests never wait forever: ft_idle() gives up after opt.timeout_s without a
 * completion, and notices when the forked client is gone.
 */
#ifndef FT_H
#define FT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_tagged.h>

#define FT_SIZES_MAX 64
#define FT_CQ_BATCH 32
#define FT_IDLE_MASK 0x3fffu
#define FT_SLEEP_MS 1000 /* of -w, at most; no wake-up, no speed */

/* What a program is; the letters say which options it takes. */
struct ft_program {
	const char *name;
	const char *summary; /* one line for -h */
	const char *options; /* subset of the letters of ft_options.c */
	const char *sizes; /* default of -S */
	size_t count; /* default of -n */
	size_t window; /* default of -W */
	size_t max; /* default of --max; 0: 4 MiB */
	bool msg; /* default of -m is msg, not tagged */
	bool single; /* one process, which has no peer */
};

/* What a side does while nothing comes. */
enum ft_wait {
	FT_WAIT_SPIN,
	FT_WAIT_SREAD, /* fi_cq_sread() for what it receives */
	FT_WAIT_FD, /* fi_trywait() and poll(2) on both queues */
};

/* Parsed once by ft_start(), constant from there on. */
struct ft_options {
	const char *provider; /* NULL: whatever libfabric lists first */
	const char *fabric;
	const char *domain;
	const char *source; /* own address given to the provider or NULL */
	const char *server; /* host of the server; NULL: see listen, fork */
	const char *only; /* see ft_chosen(); NULL: all cases */
	const char *skip; /* NULL: none */
	char *env[2]; /* NAME=VALUE of the server and of the client, or NULL */
	unsigned short port; /* of the out-of-band channel */
	bool listen; /* be the server of another process */
	bool fork; /* fork the client */
	bool pin; /* server on core 0, client on core 1 */
	bool tagged;
	bool verbose;
	enum ft_wait wait;
	bool verify; /* check every byte */
	bool no_delivery; /* FI_DELIVERY_COMPLETE has to be refused */
	bool unreadable; /* long messages have to fail */
	bool automatic; /* progress of data */
	bool dist; /* print the slow end of a distribution too */
	const char *timeline; /* file for the times of windows, or NULL */
	size_t iterations; /* 0: chosen by size */
	size_t count;
	size_t window;
	size_t max; /* largest message of a functional test */
	uint64_t seed;
	unsigned int timeout_s;
	size_t size[FT_SIZES_MAX];
	size_t nsizes;
};

/* What ft_open() shall ask for; zero means the common choice. */
struct ft_request {
	uint64_t caps;
	uint64_t mode; /* added to CONTEXT and CONTEXT2 */
	uint64_t order; /* of messages, both directions */
	enum fi_ep_type type; /* 0: FI_EP_RDM */
	enum fi_cq_format format; /* 0: FI_CQ_FORMAT_CONTEXT */
	enum fi_wait_obj wait_obj; /* of queues and counter; FI_WAIT_NONE */
	bool counter; /* ft.rxcntr, which counts receives */
	bool remote; /* ft.remote, which count the peer's accesses */
	bool automatic; /* progress of data */
	size_t rx_size; /* receives that will be posted */
	enum fi_threading threading; /* 0: FI_THREAD_DOMAIN */
	bool optional; /* ft_open() may return -FI_ENODATA */
};

struct ft_buf {
	char *p;
	size_t size;
	void *desc; /* NULL unless the provider wants FI_MR_LOCAL */
	struct fid_mr *mr; /* NULL like desc */
};

struct ft {
	const struct ft_program *program;
	struct ft_options opt;
	bool client; /* the side that measures and prints */
	pid_t child; /* of the forked client; 0 when none */
	int child_status; /* of waitpid() once child_gone */
	bool child_gone;
	int oob; /* out-of-band stream to the peer */

	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_cq *txcq;
	struct fid_cq *rxcq;
	struct fid_cntr *rxcntr; /* NULL unless asked for */
	struct fid_cntr *remote[2]; /* reads, writes; so are they */
	struct fid_av *av;
	struct fid_ep *ep;
	fi_addr_t peer;
	fi_addr_t self; /* own address, from ft_insert_self() */
	size_t inject_size;

	uint64_t tx_posted; /* sends that will complete in txcq */
	uint64_t tx_done;
	uint64_t tx_injected; /* sends that complete only if they fail */
	uint64_t rx_done; /* completions taken from rxcq */
	uint32_t idle_polls; /* empty polls since the last completion */
	uint64_t idle_since; /* ns; 0 until the first check */
};

/* ft_options.c, ft_exchange.c */
void ft_start(struct ft *ft, int argc, char **argv,
	      const struct ft_program *program);
void ft_options_parse(struct ft *ft, int argc, char **argv);
/* By its name, with --only and --skip, which are lists of parts of names. */
bool ft_chosen(const struct ft_options *opt, const char *name);
size_t ft_largest(const struct ft_options *opt); /* of size, at least 1 */
void ft_pair(struct ft *ft);
void ft_oob_send(struct ft *ft, const void *data, size_t len);
void ft_oob_recv(struct ft *ft, void *data, size_t len);
/* Both sides meet here; the provider makes progress while one waits. */
void ft_sync(struct ft *ft);
int ft_finish(struct ft *ft, int status);
void ft_pin(int core);

/* ft_open.c; returns 0, or -FI_ENODATA when request->optional */
int ft_open(struct ft *ft, const struct ft_request *request);
void ft_close(struct ft *ft);
void ft_insert_self(struct ft *ft);
/* Its two halves, for a process that has no peer; ft_close() ends both. */
int ft_open_domain(struct ft *ft, const struct ft_request *request);
void ft_open_ep(struct ft *ft, const struct ft_request *request);
void ft_close_ep(struct ft *ft);
/* Sets ft.peer to the endpoint that the peer meets us by at this time. */
void ft_meet(struct ft *ft);
void ft_introduce(const struct ft *ft); /* one line of output */
struct ft_buf ft_buf_new(struct ft *ft, size_t size);
void ft_buf_free(struct ft_buf *buf);

/* ft_data.c: counted transfers by opt.tagged; tag is ignored without it */
void ft_send(struct ft *ft, const struct ft_buf *buf, size_t len, uint64_t tag,
	     void *context);
void ft_inject(struct ft *ft, const void *p, size_t len, uint64_t tag);
void ft_recv(struct ft *ft, struct ft_buf *buf, size_t len, uint64_t tag,
	     void *context);
/* Returns -FI_EAGAIN when the provider takes no more receives. */
int ft_recv_try(struct ft *ft, struct ft_buf *buf, size_t len, uint64_t tag,
		void *context);
void ft_wait_tx(struct ft *ft); /* until all sends completed */
void ft_wait_rx(struct ft *ft, uint64_t total); /* until rx_done == total */
/* One poll of rxcq; returns how many entries, of request.format, it wrote. */
size_t ft_poll_rx(struct ft *ft, void *entries, size_t max);
size_t ft_poll_tx(struct ft *ft);
void ft_progress(struct ft *ft); /* takes no completion */
_Noreturn void ft_cq_die(struct ft *ft, struct fid_cq *cq, const char *what);
void ft_idle_check(struct ft *ft);
void ft_idle_sleep(struct ft *ft);

static inline void ft_idle(struct ft *ft)
{
	if (ft->opt.wait != FT_WAIT_SPIN)
		ft_idle_sleep(ft);
	else if (!(++ft->idle_polls & FT_IDLE_MASK))
		ft_idle_check(ft);
}

static inline void ft_busy(struct ft *ft)
{
	ft->idle_polls = 0;
	ft->idle_since = 0;
}

/* ft_stats.c */
struct ft_stats {
	double average;
	double min;
	double median;
	double p99;
	double p999; /* of a thousand samples the second slowest */
	double max;
};
/* Sorts sample[] in place. */
struct ft_stats ft_stats_of(uint32_t *sample, size_t n);

_Noreturn void ft_die(const char *what, int ret);
_Noreturn void ft_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void *ft_alloc(size_t size);

static inline uint64_t ft_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void ft_check(const char *what, int ret)
{
	if (ret)
		ft_die(what, ret);
}

#endif
