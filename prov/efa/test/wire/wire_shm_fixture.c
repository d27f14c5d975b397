/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_fixture.c - what the tests of the shared-memory wire share
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include "util/u_log.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	unsigned warnings;
	size_t len;
	char text[65536];
} log_seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void log_keep(enum u_log_level level, const char *line)
{
	size_t n = strlen(line);

	pthread_mutex_lock(&log_seen.lock);
	log_seen.warnings += level == U_LOG_WARN;
	if (log_seen.len + n + 2 < sizeof(log_seen.text)) {
		memcpy(log_seen.text + log_seen.len, line, n);
		log_seen.len += n;
		log_seen.text[log_seen.len++] = '\n';
		log_seen.text[log_seen.len] = '\0';
	}
	pthread_mutex_unlock(&log_seen.lock);
}

unsigned logged_warnings(void)
{
	unsigned n;

	pthread_mutex_lock(&log_seen.lock);
	n = log_seen.warnings;
	pthread_mutex_unlock(&log_seen.lock);
	return n;
}

bool logged(const char *part)
{
	bool found;

	pthread_mutex_lock(&log_seen.lock);
	found = strstr(log_seen.text, part) != NULL;
	pthread_mutex_unlock(&log_seen.lock);
	return found;
}

int fixture_dir(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_seen.warnings = 0;
	log_seen.len = 0;
	log_seen.text[0] = '\0';
	u_log_set_sink(log_keep);
	strcpy(f->dir, "/dev/shm/efa-test-XXXXXX");
	if (!mkdtemp(f->dir)) {
		strcpy(f->dir, "/tmp/efa-test-XXXXXX");
		if (!mkdtemp(f->dir))
			return -1;
	}
	f->config = (struct wire_shm_config){
		.dir = f->dir,
		.lanes = 16,
		.lane_bytes = 32 << 10,
		.tag = UINT64_C(0x1122334455667788),
	};
	*state = f;
	return 0;
}

struct wire_shm_id id_of(uint32_t qpn)
{
	struct wire_shm_id id = {
		.gid = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 },
		.qpn = qpn,
		.connid = 10 + qpn,
	};

	return id;
}

struct wire_shm *open_of(struct fixture *f, uint32_t qpn)
{
	struct wire_shm_id id = id_of(qpn);
	struct wire_shm *w = NULL;

	if (wire_shm_open(&f->config, &id, &w))
		return NULL;
	return w;
}

int fixture_pair(void **state)
{
	struct wire_shm_id id = id_of(2);
	struct fixture *f;

	if (fixture_dir(state))
		return -1;
	f = *state;
	f->a = open_of(f, 1);
	f->b = open_of(f, 2);
	if (!f->a || !f->b)
		return -1;
	return wire_shm_link_open(f->a, &id, &f->ab);
}

static void dir_remove(const char *dir)
{
	char path[512];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

/* A test that failed leaves its links open. */
static void end(struct wire_shm *w)
{
	if (!w)
		return;
	w->links = 0;
	wire_shm_close(w);
}

int fixture_end(void **state)
{
	struct fixture *f = *state;

	if (f->ab)
		wire_shm_link_close(f->ab);
	end(f->b);
	end(f->a);
	dir_remove(f->dir);
	free(f);
	u_log_set_sink(NULL);
	return 0;
}

int send_bytes(struct wire_shm_link *l, uint32_t word, const void *p,
	       size_t len)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };

	return wire_shm_send(l, word, 0, NULL, 0, &iov, 1, len);
}

int poll_drop(struct wire_shm *w)
{
	struct wire_shm_pkt pkt[16];
	int n = wire_shm_poll(w, pkt, 16);

	wire_shm_give_back(w);
	return n;
}

struct wire_shm_pkt poll_one(struct wire_shm *w, void *buf)
{
	struct wire_shm_pkt pkt;

	while (!wire_shm_poll(w, &pkt, 1))
		wire_shm_give_back(w);
	if (buf)
		memcpy(buf, pkt.data, pkt.len);
	wire_shm_give_back(w);
	return pkt;
}

int poll_long(struct wire_shm *w)
{
	int i, n = 0;

	for (i = 0; i < 3 * 4096; i++)
		n += poll_drop(w);
	return n;
}

uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

uint64_t test_seed(void)
{
	const char *text = getenv("EFA_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 0;

	if (!seed)
		seed = 20261120;
	print_message("EFA_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

void fill(void *p, size_t len, uint64_t seed)
{
	uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, v;
	size_t i;

	s += !s;
	for (i = 0; i + 8 <= len; i += 8) {
		v = next_random(&s);
		memcpy((char *)p + i, &v, 8);
	}
	v = next_random(&s);
	memcpy((char *)p + i, &v, len - i);
}

bool is_filled(const void *p, size_t len, uint64_t seed)
{
	static _Thread_local char want[WIRE_SHM_MAX];

	fill(want, len, seed);
	return memcmp(p, want, len) == 0;
}

void child_start(struct child *c, child_fn run, struct fixture *f)
{
	assert_int_equal(pipe(c->up), 0);
	assert_int_equal(pipe(c->down), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		close(c->up[0]);
		close(c->down[1]);
		run(c, f);
		_exit(0);
	}
	close(c->up[1]);
	close(c->down[0]);
}

void child_say(struct child *c)
{
	CHECK(write(c->up[1], "x", 1) == 1);
}

void child_wait(struct child *c)
{
	char x;

	CHECK(read(c->down[0], &x, 1) == 1);
}

void child_hear(struct child *c)
{
	char x;

	assert_int_equal(read(c->up[0], &x, 1), 1);
}

void child_go_on(struct child *c)
{
	assert_int_equal(write(c->down[1], "x", 1), 1);
}

int child_end(struct child *c)
{
	int status = -1;

	waitpid(c->pid, &status, 0);
	close(c->up[0]);
	close(c->down[1]);
	return status;
}

void child_kill(struct child *c)
{
	kill(c->pid, SIGKILL);
	child_end(c);
}

void child_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "in the child: %s failed\n", what);
	_exit(1);
}
