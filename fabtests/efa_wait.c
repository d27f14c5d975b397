/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_wait.c - every way to wait for a message, and not waiting at all
 *
 * Both sides answer each other, asleep most of the time. A wake-up that is lost
 * shows as a poll() that finds nothing for seconds. With automatic progress
 * the server does not call libfabric while the client sends; then both are
 * idle, and their processor time is looked at. Sizes that a provider takes no
 * message of are left out.
 */
#include "ft.h"

#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pattern.h"

#define PATIENCE_MS 10000
#define IDLE_S 1u
#define AUTO_MESSAGES 20u
#define NS_PER_MS 1000000u

static const struct ft_program program = {
	.name = "efa_wait",
	.summary = "every way to wait, and automatic progress",
	.options = "mSiOX",
	.sizes = "8,5000,200000",
};

struct test {
	struct ft ft;
	struct ft_buf tx, rx;
	/* Of what is under way; one by one it is always the first. */
	struct fi_context2 tx_context[AUTO_MESSAGES];
	struct fi_context2 rx_context[AUTO_MESSAGES];
	size_t max; /* bytes of the largest message */
	int fd; /* of the queue or counter that is waited for; -1: none */
	uint64_t received;
};

struct way {
	const char *name;
	enum fi_wait_obj wait_obj;
	bool counter; /* is waited for, not the queue */
	bool descriptor; /* fi_trywait and poll, not a call that waits */
	bool automatic;
};

static const struct way ways[] = {
	{ .name = "sread-none", .wait_obj = FI_WAIT_NONE },
	{ .name = "sread-unspec", .wait_obj = FI_WAIT_UNSPEC },
	{ .name = "sread-fd", .wait_obj = FI_WAIT_FD },
	{ .name = "cq-poll", .wait_obj = FI_WAIT_FD, .descriptor = true },
	{ .name = "cntr-none", .wait_obj = FI_WAIT_NONE, .counter = true },
	{ .name = "cntr-unspec", .wait_obj = FI_WAIT_UNSPEC, .counter = true },
	{ .name = "cntr-fd", .wait_obj = FI_WAIT_FD, .counter = true },
	{ .name = "cntr-poll",
	  .wait_obj = FI_WAIT_FD,
	  .counter = true,
	  .descriptor = true },
	{ .name = "auto-sread", .wait_obj = FI_WAIT_FD, .automatic = true },
	{ .name = "auto-cq-poll",
	  .wait_obj = FI_WAIT_FD,
	  .descriptor = true,
	  .automatic = true },
	{ .name = "auto-cntr-poll",
	  .wait_obj = FI_WAIT_FD,
	  .counter = true,
	  .descriptor = true,
	  .automatic = true },
};

/* ---- waiting for one more message ---------------------------------------- */

static bool take(struct test *t, const struct way *way)
{
	struct fi_cq_tagged_entry entry;

	if (way->counter)
		return fi_cntr_read(t->ft.rxcntr) > t->received;
	return ft_poll_rx(&t->ft, &entry, 1);
}

static void wait_asleep(struct test *t, const struct way *way)
{
	struct fid *fid = way->counter ? &t->ft.rxcntr->fid : &t->ft.rxcq->fid;
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };
	int ret;

	while (!take(t, way)) {
		ret = fi_trywait(t->ft.fabric, &fid, 1);
		if (ret == -FI_EAGAIN)
			continue;
		ft_check("fi_trywait", ret);
		if (!poll(&pfd, 1, PATIENCE_MS))
			ft_fail("%s: asleep for %d ms", way->name, PATIENCE_MS);
	}
}

static void wait_in_call(struct test *t, const struct way *way)
{
	struct fi_cq_tagged_entry entry;
	ssize_t ret;

	if (way->counter)
		ret = fi_cntr_wait(t->ft.rxcntr, t->received + 1, PATIENCE_MS);
	else
		ret = fi_cq_sread(t->ft.rxcq, &entry, 1, NULL, PATIENCE_MS);
	t->ft.rx_done += !way->counter;
	if (ret != !way->counter)
		ft_fail("%s: the call that waits returned %zd", way->name, ret);
}

/* What a counter was waited for is in the queue as well. */
static void receive(struct test *t, const struct way *way, size_t size,
		    uint64_t seed)
{
	struct fi_cq_tagged_entry entry;

	if (way->descriptor)
		wait_asleep(t, way);
	else
		wait_in_call(t, way);
	while (way->counter && !ft_poll_rx(&t->ft, &entry, 1))
		ft_idle(&t->ft);
	t->received++;
	if (pattern_check(t->rx.p, size, seed) != size)
		ft_fail("%s: the bytes are wrong", way->name);
}

static void post(struct test *t, size_t size)
{
	memset(t->rx.p, 0, size);
	ft_recv(&t->ft, &t->rx, size, 0, t->rx_context);
}

static void answer(struct test *t, size_t size, uint64_t seed)
{
	pattern_fill(t->tx.p, size, seed);
	ft_send(&t->ft, &t->tx, size, 0, t->tx_context);
	ft_wait_tx(&t->ft);
}

static size_t rounds_of(const struct test *t, size_t size)
{
	if (t->ft.opt.iterations)
		return t->ft.opt.iterations;
	return size < 10000 ? 300 : 50;
}

static void converse(struct test *t, const struct way *way, size_t size)
{
	size_t n = rounds_of(t, size);

	post(t, size);
	ft_sync(&t->ft);
	for (uint64_t i = 0; i < n; i++) {
		if (t->ft.client)
			answer(t, size, i);
		receive(t, way, size, i);
		/* The next one comes when the peer has this one. */
		if (i + 1 < n)
			post(t, size);
		if (!t->ft.client)
			answer(t, size, i);
	}
	ft_sync(&t->ft);
}

/* ---- automatic progress ---------------------------------------------------- */

/* Until the client is done, without a call that could help it. */
static void sleep_at(struct test *t)
{
	struct pollfd pfd = { .fd = t->ft.oob, .events = POLLIN };

	if (poll(&pfd, 1, 3 * PATIENCE_MS) != 1)
		ft_fail("the client waits for a server that waits for it");
}

static ssize_t send_delivered(struct test *t, size_t size, void *context)
{
	const uint64_t flags = FI_COMPLETION | FI_DELIVERY_COMPLETE;
	struct iovec iov = { t->tx.p, size };
	struct fi_msg msg = { .msg_iov = &iov,
			      .desc = &t->tx.desc,
			      .iov_count = 1,
			      .addr = t->ft.peer,
			      .context = context };
	struct fi_msg_tagged tagged = { .msg_iov = &iov,
					.desc = &t->tx.desc,
					.iov_count = 1,
					.addr = t->ft.peer,
					.context = context };

	if (t->ft.opt.tagged)
		return fi_tsendmsg(t->ft.ep, &tagged, flags);
	return fi_sendmsg(t->ft.ep, &msg, flags);
}

static void send_to_sleeper(struct test *t, size_t size)
{
	ssize_t ret;

	pattern_fill(t->tx.p, size, 0);
	for (size_t i = 0; i < AUTO_MESSAGES; i++) {
		do {
			ret = send_delivered(t, size, &t->tx_context[i]);
			ft_poll_tx(&t->ft);
		} while (ret == -FI_EAGAIN);
		ft_check("fi_sendmsg", (int)ret);
		t->ft.tx_posted++;
	}
	ft_wait_tx(&t->ft);
}

static void deliver_to_sleeper(struct test *t, size_t size)
{
	if (t->ft.client) {
		ft_sync(&t->ft);
		send_to_sleeper(t, size);
		ft_sync(&t->ft);
		return;
	}
	memset(t->rx.p, 0, size);
	for (size_t i = 0; i < AUTO_MESSAGES; i++)
		ft_recv(&t->ft, &t->rx, size, 0, &t->rx_context[i]);
	ft_sync(&t->ft);
	sleep_at(t);
	ft_sync(&t->ft);
	t->received += AUTO_MESSAGES;
	ft_wait_rx(&t->ft, t->received);
	if (pattern_check(t->rx.p, size, 0) != size)
		ft_fail("the bytes are wrong");
}

/* ms of processor time so far, of all threads. */
static double cpu_ms(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e3 +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e3;
}

/* A thread that spins takes all of a processor. */
static void be_idle(const struct test *t)
{
	double before = cpu_ms(), took;

	sleep(IDLE_S);
	took = cpu_ms() - before;
	if (t->ft.client)
		printf("%-16s idle: %.1f ms of processor time in %u s\n", "",
		       took, IDLE_S);
	if (took > IDLE_S * 1000 / 2)
		ft_fail("an idle process took %.0f ms of %u s", took, IDLE_S);
}

/* ---- all of it --------------------------------------------------------------- */

static bool fits(const struct test *t, size_t size)
{
	return size <= t->ft.info->ep_attr->max_msg_size;
}

static void open_way(struct test *t, const struct way *way)
{
	const struct ft_request request = {
		.caps = FI_MSG | (t->ft.opt.tagged ? FI_TAGGED : 0),
		.format = FI_CQ_FORMAT_TAGGED,
		.wait_obj = way->wait_obj,
		.counter = way->counter,
		.automatic = way->automatic,
	};

	t->received = 0;
	ft_open(&t->ft, &request);
	t->fd = -1;
	if (way->descriptor)
		ft_check("FI_GETWAIT",
			 fi_control(way->counter ? &t->ft.rxcntr->fid :
						   &t->ft.rxcq->fid,
				    FI_GETWAIT, &t->fd));
	t->max = 0;
	for (size_t i = 0; i < t->ft.opt.nsizes; i++)
		if (fits(t, t->ft.opt.size[i]) && t->ft.opt.size[i] > t->max)
			t->max = t->ft.opt.size[i];
	t->tx = ft_buf_new(&t->ft, t->max);
	t->rx = ft_buf_new(&t->ft, t->max);
}

static void run(struct test *t, const struct way *way)
{
	uint64_t start;

	open_way(t, way);
	start = ft_now();
	for (size_t i = 0; i < t->ft.opt.nsizes; i++)
		if (fits(t, t->ft.opt.size[i]))
			converse(t, way, t->ft.opt.size[i]);
	if (!t->received)
		ft_fail("each size is above the provider's limit");
	if (t->ft.client)
		printf("%-16s %llu messages, %llu ms\n", way->name,
		       (unsigned long long)t->received,
		       (unsigned long long)((ft_now() - start) / NS_PER_MS));
	if (way->automatic && !way->descriptor) {
		be_idle(t);
		deliver_to_sleeper(t, t->max);
	}
	ft_sync(&t->ft);
	ft_buf_free(&t->tx);
	ft_buf_free(&t->rx);
	ft_close(&t->ft);
}

int main(int argc, char **argv)
{
	struct test t = { .fd = -1 };
	size_t n = 0;

	ft_start(&t.ft, argc, argv, &program);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if ((t.ft.opt.only && !strstr(ways[i].name, t.ft.opt.only)) ||
		    (t.ft.opt.skip && strstr(ways[i].name, t.ft.opt.skip)))
			continue;
		run(&t, &ways[i]);
		n++;
	}
	if (!n)
		ft_fail("no way to wait is left by --only and --skip");
	return ft_finish(&t.ft, 0);
}
