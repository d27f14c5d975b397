/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_link_test.c - whom a link is opened to, and how peers are copied
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void wire_shm_link_open__tells_that_nobody_is_there(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(9);
	struct wire_shm_link *l = NULL;

	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -ENOENT);
	assert_null(l);
	assert_int_equal(logged_warnings(), 0);
}

static void wire_shm_link_open__refuses_another_incarnation(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(2);
	struct wire_shm_link *l;

	id.connid++;
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -ESTALE);
	/* No lane was taken for it. */
	id.connid--;
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	assert_int_equal(l->lane, 1);
	wire_shm_link_close(l);
}

static void open_and_die(struct child *c, struct fixture *f)
{
	CHECK(open_of(f, 9) != NULL);
	child_say(c);
	child_wait(c);
}

static void wire_shm_link_open__refuses_the_dead(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(9);
	struct wire_shm_link *l;
	struct child c;

	child_start(&c, open_and_die, f);
	child_hear(&c);
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	wire_shm_link_close(l);
	child_kill(&c);
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -ESTALE);
}

static void wire_shm_link_open__judges_the_header(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_about *about = &f->b->seg->about, good = *about;
	struct wire_shm_id id = id_of(2);
	struct wire_shm_link *l;
	uint64_t seed = test_seed();
	int i, rc;

	about->version++;
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -EPROTO);
	*about = good;
	about->lanes = UINT32_MAX;
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -EPROTO);
	*about = good;
	/* More than the file holds. */
	about->lanes = WIRE_SHM_LANES_MAX;
	about->lane_bytes = WIRE_SHM_LANE_BYTES_MAX;
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), -EPROTO);
	for (i = 0; i < 2000; i++) {
		*about = good;
		((uint8_t *)about)[next_random(&seed) % sizeof(*about)] ^=
			1 << next_random(&seed) % 8;
		rc = wire_shm_link_open(f->a, &id, &l);
		if (rc)
			continue;
		wire_shm_link_copy(l);
		send_bytes(l, 0, "x", 1);
		wire_shm_link_close(l);
		poll_drop(f->b);
		poll_drop(f->b);
	}
	*about = good;
}

static void wire_shm_link_open__refuses_foreign_content(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(9);
	char name[WIRE_SHM_NAME_MAX + 1];
	struct wire_shm_link *l;
	struct wire_shm_file file;
	size_t size;

	wire_shm_seg_name(&id, name);
	for (size = 1; size < 1 << 20; size *= 8) {
		assert_int_equal(
			wire_shm_file_create(f->dir, name, size, &file), 0);
		assert_int_equal(wire_shm_link_open(f->a, &id, &l), -EPROTO);
		wire_shm_file_close(&file);
	}
}

static void wire_shm_link_open__reaches_itself(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(1);
	struct wire_shm_link *l;

	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	assert_int_equal(send_bytes(l, 77, "x", 1), 0);
	assert_int_equal(poll_one(f->a, NULL).word, 77);
	wire_shm_link_close(l);
	/* The owner's lock is still there. */
	assert_int_equal(wire_shm_link_open(f->b, &id, &l), 0);
	wire_shm_link_close(l);
}

static void wire_shm_link_tag__is_the_owners(void **state)
{
	struct fixture *f = *state;

	assert_true(wire_shm_link_tag(f->ab) == f->config.tag);
}

static void wire_shm_link_check__sees_the_owner_die(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(9);
	struct wire_shm_link *l;
	struct child c;

	assert_int_equal(wire_shm_link_check(f->ab), 0);
	child_start(&c, open_and_die, f);
	child_hear(&c);
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	assert_int_equal(wire_shm_link_check(l), 0);
	assert_int_equal(send_bytes(l, 1, "x", 1), 0);
	child_kill(&c);
	assert_int_equal(wire_shm_link_check(l), -EPIPE);
	assert_int_equal(send_bytes(l, 1, "x", 1), -EPIPE);
	assert_int_equal(wire_shm_link_check(l), -EPIPE);
	wire_shm_link_close(l);
}

static void wire_shm_link_copy__same_process_is_self(void **state)
{
	struct fixture *f = *state;
	char here[100] = { 0 }, there[100];

	fill(there, 100, 1);
	assert_int_equal(wire_shm_link_copy(f->ab), WIRE_SHM_COPY_SELF);
	assert_int_equal(wire_shm_read(f->ab, here, (uintptr_t)there, 100), 0);
	assert_true(is_filled(here, 100, 1));
	fill(here, 100, 2);
	assert_int_equal(wire_shm_write(f->ab, here, (uintptr_t)there, 100), 0);
	assert_true(is_filled(there, 100, 2));
	assert_int_equal(wire_shm_read(f->ab, here, 0, 0), 0);
}

#define PEER_BYTES (3u << 20)

/* Memory of the peer at an address that both know: mapped before the fork. */
struct peer {
	struct child c;
	char *bytes; /* private to each process; a page of nothing after it */
	struct wire_shm_link *l; /* ours to it */
};

static char *peer_bytes;

static void peer_main(struct child *c, struct fixture *f)
{
	struct wire_shm *w = open_of(f, 9);

	CHECK(w != NULL);
	fill(peer_bytes, PEER_BYTES, 5);
	child_say(c);
	child_wait(c);
	CHECK(memcmp(peer_bytes + 100, "written", 7) == 0);
	child_say(c);
	child_wait(c);
}

static void peer_start(struct fixture *f, struct peer *p)
{
	struct wire_shm_id id = id_of(9);
	char *m = mmap(NULL, PEER_BYTES + 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(m != MAP_FAILED);
	assert_int_equal(mprotect(m + PEER_BYTES, 4096, PROT_NONE), 0);
	p->bytes = m;
	peer_bytes = m;
	child_start(&p->c, peer_main, f);
	child_hear(&p->c);
	assert_int_equal(wire_shm_link_open(f->a, &id, &p->l), 0);
}

static void peer_end(struct peer *p)
{
	wire_shm_link_close(p->l);
	munmap(p->bytes, PEER_BYTES + 4096);
}

static void wire_shm_link_copy__another_process_is_cma(void **state)
{
	struct fixture *f = *state;
	char *here = malloc(PEER_BYTES), *want = malloc(PEER_BYTES);
	struct peer p;
	uint64_t at;

	peer_start(f, &p);
	at = (uintptr_t)p.bytes;
	if (wire_shm_link_copy(p.l) == WIRE_SHM_COPY_RING) {
		child_kill(&p.c);
		peer_end(&p);
		free(here);
		free(want);
		skip(); /* the kernel forbids it here */
	}
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_CMA);
	assert_true(logged("cross-memory attach: its token was read"));
	assert_int_equal(wire_shm_read(p.l, here, at, PEER_BYTES), 0);
	fill(want, PEER_BYTES, 5);
	assert_memory_equal(here, want, PEER_BYTES);
	assert_int_equal(wire_shm_read(p.l, here, at, 0), 0);
	assert_int_equal(wire_shm_write(p.l, "written", at + 100, 7), 0);
	child_go_on(&p.c);
	child_hear(&p.c);
	/* Not there, at once or after a while; here. */
	assert_int_equal(wire_shm_read(p.l, here, 8, 8), -EFAULT);
	assert_int_equal(wire_shm_write(p.l, here, 8, 8), -EFAULT);
	assert_int_equal(wire_shm_read(p.l, here, at + 1, PEER_BYTES), -EFAULT);
	assert_int_equal(wire_shm_read(p.l, p.bytes + PEER_BYTES, at, 8),
			 -EFAULT);
	assert_int_equal(wire_shm_read(p.l, here, UINT64_MAX - 7, 8), -EFAULT);
	child_kill(&p.c);
	assert_int_equal(wire_shm_read(p.l, here, at, 8), -ESRCH);
	assert_int_equal(wire_shm_write(p.l, here, at, 8), -ESRCH);
	peer_end(&p);
	free(here);
	free(want);
}

static void wire_shm_link_copy__no_cma_is_ring(void **state)
{
	struct fixture *f = *state;
	char here[8];
	struct peer p;

	f->config.no_cma = true;
	f->a = open_of(f, 1);
	peer_start(f, &p);
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_RING);
	assert_true(logged("it is switched off"));
	assert_int_equal(wire_shm_read(p.l, here, (uintptr_t)p.bytes, 8),
			 -EPERM);
	child_kill(&p.c);
	peer_end(&p);
}

static void peer_closes(struct child *c, struct fixture *f)
{
	struct wire_shm *w = open_of(f, 9);

	CHECK(w != NULL);
	child_say(c);
	child_wait(c);
	wire_shm_close(w);
	child_say(c);
	child_wait(c);
}

/* The process lives on, but its memory is none of ours any more. */
static void wire_shm_read__ends_when_the_peer_closes(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_id id = id_of(9);
	struct wire_shm_link *l;
	struct child c;
	uint64_t here;

	child_start(&c, peer_closes, f);
	child_hear(&c);
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	if (wire_shm_link_copy(l) == WIRE_SHM_COPY_CMA)
		assert_int_equal(wire_shm_read(l, &here, (uintptr_t)f, 8), 0);
	child_go_on(&c);
	child_hear(&c);
	assert_true(wire_shm_read(l, &here, (uintptr_t)f, 8) < 0);
	wire_shm_link_close(l);
	child_kill(&c);
}

/* The number leads to a process, but not to the one that has the token. */
static void wire_shm_link_copy__wrong_process_is_ring(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	peer_start(f, &p);
	p.l->about.pid = getppid();
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_RING);
	p.l->copy = -1;
	p.l->about.pid = getpid();
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_RING);
	p.l->copy = -1;
	p.l->about.pid = -1;
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_RING);
	p.l->copy = -1;
	p.l->about.pid = p.c.pid;
	p.l->about.token[1]++;
	assert_int_equal(wire_shm_link_copy(p.l), WIRE_SHM_COPY_RING);
	child_kill(&p.c);
	peer_end(&p);
}

/* A forked child is another process than its parent, whatever it inherits. */
static void copy_with_parent(struct child *c, struct fixture *f)
{
	struct wire_shm_id id = id_of(1);
	struct wire_shm *w = open_of(f, 3);
	struct wire_shm_link *l = NULL;

	(void)c;
	CHECK(w && wire_shm_link_open(w, &id, &l) == 0);
	CHECK(wire_shm_link_copy(l) != WIRE_SHM_COPY_SELF);
	CHECK(l->about.nonce != w->seg->about.nonce);
}

static void wire_shm_link_copy__forked_child_is_not_self(void **state)
{
	struct fixture *f = *state;
	struct child c;

	child_start(&c, copy_with_parent, f);
	assert_int_equal(child_end(&c), 0);
}

/* A child that inherited everything and closes it leaves it to the parent. */
static void close_all(struct child *c, struct fixture *f)
{
	(void)c;
	wire_shm_link_close(f->ab);
	wire_shm_close(f->b);
	wire_shm_close(f->a);
}

static void wire_shm_close__in_a_child_leaves_the_parents(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_link *l;
	struct wire_shm_id id = id_of(2);
	struct child c;

	poll_drop(f->b);
	child_start(&c, close_all, f);
	assert_int_equal(child_end(&c), 0);
	assert_int_equal(wire_shm_link_check(f->ab), 0);
	assert_int_equal(send_bytes(f->ab, 1, "x", 1), 0);
	assert_int_equal(poll_drop(f->b), 1);
	assert_int_equal(wire_shm_stats(f->b)->lanes_closed, 0);
	assert_int_equal(wire_shm_link_open(f->a, &id, &l), 0);
	wire_shm_link_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PAIR(wire_shm_link_open__tells_that_nobody_is_there),
		IN_PAIR(wire_shm_link_open__refuses_another_incarnation),
		IN_PAIR(wire_shm_link_open__refuses_the_dead),
		IN_PAIR(wire_shm_link_open__judges_the_header),
		IN_PAIR(wire_shm_link_open__refuses_foreign_content),
		IN_PAIR(wire_shm_link_open__reaches_itself),
		IN_PAIR(wire_shm_link_tag__is_the_owners),
		IN_PAIR(wire_shm_link_check__sees_the_owner_die),
		IN_PAIR(wire_shm_link_copy__same_process_is_self),
		IN_PAIR(wire_shm_link_copy__another_process_is_cma),
		IN_PAIR(wire_shm_read__ends_when_the_peer_closes),
		IN_DIR(wire_shm_link_copy__no_cma_is_ring),
		IN_PAIR(wire_shm_link_copy__wrong_process_is_ring),
		IN_PAIR(wire_shm_link_copy__forked_child_is_not_self),
		IN_PAIR(wire_shm_close__in_a_child_leaves_the_parents),
	};

	return cmocka_run_group_tests_name("wire_shm_link", tests, NULL, NULL);
}
