/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_fixture.c - what the tests of the software NIC share
 */
#include "nic_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic/nic_priv.h"
#include "util/u_log.h"

static bool in_child;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[8192];
static unsigned int log_warnings;

static void log_line(enum u_log_level level, const char *line)
{
	size_t at;

	pthread_mutex_lock(&log_lock);
	at = strlen(log_text);
	snprintf(log_text + at, sizeof(log_text) - at, "%s\n", line);
	log_warnings += level == U_LOG_WARN;
	pthread_mutex_unlock(&log_lock);
}

unsigned int nt_warnings(void)
{
	return log_warnings;
}

bool nt_logged(const char *part)
{
	return strstr(log_text, part) != NULL;
}

void nt_check_at(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	if (in_child)
		_exit(99);
	_fail(file, line);
}

int nt_setup_dir(void **state)
{
	struct nt *t = calloc(1, sizeof(*t));

	log_text[0] = 0;
	log_warnings = 0;
	u_log_set_sink(log_line);
	strcpy(t->dir, "/dev/shm/efa-nic-test-XXXXXX");
	if (!mkdtemp(t->dir))
		return -1;
	t->config.shm_dir = t->dir;
	*state = t;
	return 0;
}

static void setup_pair(struct nt *t, bool ring)
{
	t->hide_keys = ring;
	nt_open(t, &t->a, NIC_QP_RDM);
	nt_open(t, &t->b, NIC_QP_RDM);
	assert_int_equal(nic_ah_open(t->a.qp, &t->b.addr, 'b', &t->ab), 0);
	assert_int_equal(nic_ah_open(t->b.qp, &t->a.addr, 'a', &t->ba), 0);
}

int nt_setup_pair(void **state)
{
	if (nt_setup_dir(state))
		return -1;
	setup_pair(*state, false);
	return 0;
}

int nt_setup_ring(void **state)
{
	if (nt_setup_dir(state))
		return -1;
	setup_pair(*state, true);
	return 0;
}

static int setup_far(void **state, const char *fault)
{
	struct nt *t;

	if (nt_setup_dir(state))
		return -1;
	t = *state;
	t->config.no_shm = true;
	t->config.paths = 8;
	t->config.fault = fault;
	setup_pair(t, false);
	return 0;
}

int nt_setup_far(void **state)
{
	return setup_far(state, NULL);
}

int nt_setup_far_bad(void **state)
{
	return setup_far(state, "loss=5%,burst=0.2%:8,reorder=10%:300us,dup=2%,"
				"corrupt=2%,seed=5");
}

static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char name[400];

	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		unlink(name);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

int nt_teardown(void **state)
{
	struct nt *t = *state;

	if (t->ab)
		nic_ah_close(t->ab);
	if (t->ba)
		nic_ah_close(t->ba);
	nt_close(&t->a);
	nt_close(&t->b);
	remove_dir(t->dir);
	u_log_set_sink(NULL);
	free(t);
	return 0;
}

void nt_open(struct nt *t, struct nt_end *e, enum nic_qp_type type)
{
	static uint32_t qkey = 1000;
	struct nic_info *list;
	int n = nic_list("lo", &list);

	NT_CHECK(n == 1);
	memset(e, 0, sizeof(*e));
	NT_CHECK(nic_open(&list[0], &t->config, &e->nic) == 0);
	free(list);
	if (t->hide_keys)
		e->nic->keys.tag = 0;
	NT_CHECK(nic_qp_open(e->nic, type, ++qkey, &e->qp) == 0);
	nic_qp_addr(e->qp, &e->addr);
}

void nt_close(struct nt_end *e)
{
	if (e->qp)
		nic_qp_close(e->qp);
	if (e->nic)
		NT_CHECK(nic_close(e->nic) == 0);
	memset(e, 0, sizeof(*e));
}

void nt_send(struct nic_ah *ah, const void *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };

	NT_CHECK(nic_send(ah, 0, 0, 0, NULL, 0, &iov, 1, len) == 0);
}

struct nic_wc *nt_wait(struct nt_end *e, struct nt_end *other)
{
	uint64_t end = u_now() + NT_WAIT_S * U_SEC;

	if (e->nkept) {
		e->wc[0] = e->kept[--e->nkept];
		return e->wc;
	}
	while (!nic_poll(e->qp, e->wc, 1)) {
		if (other && other->nkept < NT_KEPT) {
			other->nkept += nic_poll(other->qp,
						 &other->kept[other->nkept], 1);
			nic_give_back(other->qp);
		}
		NT_CHECK(u_now() < end);
	}
	return e->wc;
}

uint8_t nt_send_status(struct nt_end *e, struct nic_ah *ah, uint64_t id)
{
	struct nic_wc *wc;

	NT_CHECK(nic_send(ah, id, 0, 0, "x", 1, NULL, 0, 0) == 1);
	wc = nt_wait(e, NULL);
	NT_CHECK(wc->op == NIC_WC_SEND);
	NT_CHECK(wc->id == id);
	return wc->status;
}

void nt_idle(struct nt_end *e)
{
	NT_CHECK(nic_poll(e->qp, e->wc, 1) == 0);
}

uint8_t nt_rdma(struct nt_end *e, struct nt_end *peer, struct nic_ah *ah,
		const struct nic_rdma *op)
{
	int rc = nic_rdma(ah, op);
	struct nic_wc *wc;

	if (rc == 0)
		return NIC_OK;
	NT_CHECK(rc == 1);
	wc = nt_wait(e, peer);
	NT_CHECK(wc->op == (op->type == NIC_READ ? NIC_WC_READ : NIC_WC_WRITE));
	NT_CHECK(wc->id == op->id);
	return wc->status;
}

int nt_poll_ms(struct nt_end *e, int ms, enum nic_wc_op op)
{
	uint64_t end = u_now() + (uint64_t)ms * U_MSEC;
	int found = 0;

	while (u_now() < end) {
		int n = nic_poll(e->qp, e->wc, 64);

		for (int i = 0; i < n; i++)
			found += e->wc[i].op == op;
		nic_give_back(e->qp);
	}
	return found;
}

void nt_fill(void *p, size_t len, uint32_t seed)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)((i * 2654435761u >> 11) ^ seed ^ i);
}

bool nt_is_filled(const void *p, size_t len, uint32_t seed)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		if (b[i] != (uint8_t)((i * 2654435761u >> 11) ^ seed ^ i))
			return false;
	return true;
}

void nt_fork(struct nt *t, struct nt_child *c, nt_child_fn run)
{
	int pair[2];

	NT_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	fflush(NULL);
	c->pid = fork();
	NT_CHECK(c->pid >= 0);
	if (!c->pid) {
		close(pair[0]);
		in_child = true;
		u_log_set_sink(NULL);
		alarm(2 * NT_WAIT_S);
		_exit(run(t, pair[1]));
	}
	close(pair[1]);
	c->sock = pair[0];
}

void nt_tell(int sock, const void *p, size_t len)
{
	if (write(sock, p, len) != (ssize_t)len)
		abort();
}

void nt_hear(int sock, void *p, size_t len)
{
	if (recv(sock, p, len, MSG_WAITALL) != (ssize_t)len)
		abort();
}

int nt_join(struct nt_child *c)
{
	int status = -1;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(c->sock);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void nt_kill(struct nt_child *c)
{
	kill(c->pid, SIGKILL);
	NT_CHECK(nt_join(c) == 128 + SIGKILL);
}
