/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_file_test.c - named files that die with their owner
 */
#include "wire_shm_fixture.h"

#include "wire/wire_shm_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 8192

static void path_of(const struct fixture *f, const char *name, char *path)
{
	sprintf(path, "%s/efa-%u-%s", f->dir, (unsigned)geteuid(), name);
}

static bool is_there(const struct fixture *f, const char *name)
{
	char path[256];

	path_of(f, name, path);
	return access(path, F_OK) == 0;
}

static void plant(const struct fixture *f, const char *name)
{
	char path[256];
	int fd;

	path_of(f, name, path);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void wire_shm_file_create__gives_zeroed_memory(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	char path[256];
	size_t i;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &file), 0);
	path_of(f, "keys", path);
	assert_string_equal(file.path, path);
	assert_int_equal(file.size, SIZE);
	for (i = 0; i < SIZE; i++)
		assert_int_equal(((char *)file.base)[i], 0);
	assert_true(fcntl(file.fd, F_GETFD) & FD_CLOEXEC);
	wire_shm_file_close(&file);
	assert_false(is_there(f, "keys"));
	assert_null(file.base);
	assert_int_equal(file.fd, -1);
}

static void wire_shm_file_create__refuses_a_living_owners_name(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file one, two;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &one), 0);
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &two),
			 -EADDRINUSE);
	assert_true(is_there(f, "keys"));
	assert_int_equal(two.fd, -1);
	wire_shm_file_close(&one);
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &two), 0);
	wire_shm_file_close(&two);
}

static void wire_shm_file_create__replaces_a_dead_owners(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;

	plant(f, "keys");
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &file), 0);
	assert_int_equal(*(char *)file.base, 0);
	wire_shm_file_close(&file);
}

static void wire_shm_file_create__leaves_no_litter(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	char path[256];

	/* A directory in the place of the file: nothing of ours. */
	path_of(f, "keys", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &file),
			 -EACCES);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(f->dir), 0);
}

static void wire_shm_file_create__follows_no_link(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	char path[256], target[256];

	plant(f, "victim");
	path_of(f, "victim", target);
	path_of(f, "keys", path);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &file),
			 -EACCES);
	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &file),
			 -ELOOP);
	assert_true(is_there(f, "victim"));
}

static void wire_shm_file_create__refuses_long_names(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	char name[102], dir[300];

	memset(name, 'n', sizeof(name));
	name[101] = '\0';
	assert_int_equal(wire_shm_file_create(f->dir, name, SIZE, &file),
			 -ENAMETOOLONG);
	name[100] = '\0';
	assert_int_equal(wire_shm_file_create(f->dir, name, SIZE, &file), 0);
	wire_shm_file_close(&file);
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[299] = '\0';
	assert_int_equal(wire_shm_file_create(dir, "keys", SIZE, &file),
			 -ENAMETOOLONG);
}

/* Without the check the process would get SIGXFSZ. */
static void wire_shm_file_create__respects_the_limit_of_size(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, limit;
	struct wire_shm_file file;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = SIZE - 1;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &file),
			 -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(logged("ulimit -f"));
}

static void wire_shm_file_open__sees_what_the_owner_wrote(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file own, other;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &own), 0);
	strcpy(own.base, "hello");
	assert_int_equal(wire_shm_file_open(f->dir, "keys", true, &other), 0);
	assert_int_equal(other.size, SIZE);
	assert_string_equal(other.base, "hello");
	strcpy(other.base, "again");
	assert_string_equal(own.base, "again");
	wire_shm_file_close(&other);
	assert_true(is_there(f, "keys"));
	wire_shm_file_close(&own);
}

static void wire_shm_file_open__tells_absent_from_dead(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;

	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &file),
			 -ENOENT);
	plant(f, "keys");
	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &file),
			 -ESTALE);
	assert_int_equal(file.fd, -1);
}

static void wire_shm_file_reserve__backs_the_range(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	struct stat st;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", 1 << 20, &file),
			 0);
	assert_int_equal(wire_shm_file_reserve(&file, 4096, 65536), 0);
	assert_int_equal(fstat(file.fd, &st), 0);
	assert_int_equal(st.st_blocks * 512, 65536);
	assert_int_equal(wire_shm_file_reserve(&file, 4096, 0), 0);
	assert_int_equal(wire_shm_file_reserve(&file, 1 << 20, 1), -EINVAL);
	assert_int_equal(wire_shm_file_reserve(&file, 1, SIZE_MAX), -EINVAL);
	wire_shm_file_close(&file);
}

/* A private tmpfs of 256 KiB over the test's directory. */
static bool mount_tiny(const char *dir)
{
	if (unshare(CLONE_NEWNS))
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	return mount("tiny", dir, "tmpfs", 0, "size=256k") == 0;
}

static void fill_up(struct child *c, struct fixture *f)
{
	struct wire_shm_file file;
	struct wire_shm *a, *b;
	struct wire_shm_link *l;
	struct wire_shm_id id = id_of(2);
	uint32_t n = 0;
	int rc;

	(void)c;
	if (!mount_tiny(f->dir))
		_exit(77);
	CHECK(wire_shm_file_create(f->dir, "keys", 1 << 20, &file) == 0);
	CHECK(wire_shm_file_reserve(&file, 0, 512 << 10) == -ENOSPC);
	wire_shm_file_close(&file);
	a = open_of(f, 1);
	b = open_of(f, 2);
	CHECK(a && b);
	while ((rc = wire_shm_link_open(a, &id, &l)) == 0)
		n++;
	CHECK(rc == -ENOSPC);
	CHECK(n >= 4 && n < 16);
	/* What the failed one claimed is free. */
	wire_shm_link_close(l);
	poll_drop(b);
	poll_drop(b);
	CHECK(wire_shm_link_open(a, &id, &l) == 0);
	CHECK(send_bytes(l, 1, "x", 1) == 0);
	/* Not even a header fits. */
	while (wire_shm_link_open(a, &id, &l) == 0)
		;
	CHECK(wire_shm_file_create(f->dir, "fill", 1 << 20, &file) == 0);
	for (n = 0; wire_shm_file_reserve(&file, n, 4096) == 0; n += 4096)
		;
	id = id_of(3);
	CHECK(wire_shm_open(&f->config, &id, &b) == -ENOSPC);
	umount(f->dir);
}

static void wire_shm_reserve__full_directory_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct child c;
	int status;

	/* Needs the right to mount. */
	child_start(&c, fill_up, f);
	status = child_end(&c);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

static void wire_shm_clean__removes_the_dead_only(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;

	assert_int_equal(wire_shm_file_create(f->dir, "alive", SIZE, &file), 0);
	plant(f, "dead");
	plant(f, "dead-too");
	assert_int_equal(wire_shm_clean(f->dir), 2);
	assert_true(is_there(f, "alive"));
	assert_false(is_there(f, "dead"));
	assert_int_equal(wire_shm_clean(f->dir), 0);
	assert_int_equal(wire_shm_clean("/dev/shm/efa-is-not-there"), 0);
	wire_shm_file_close(&file);
}

static void wire_shm_clean__leaves_what_is_not_ours(void **state)
{
	struct fixture *f = *state;
	char path[256];

	sprintf(path, "%s/efa-%u-x", f->dir, (unsigned)geteuid() + 1);
	close(open(path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(wire_shm_clean(f->dir), 0);
	assert_int_equal(access(path, F_OK), 0);
}

/* One that is being made is not locked for a moment. */
static void wire_shm_clean__leaves_fresh_temporaries(void **state)
{
	struct fixture *f = *state;
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char path[256];

	plant(f, ".0123456789abcdef");
	assert_int_equal(wire_shm_clean(f->dir), 0);
	path_of(f, ".0123456789abcdef", path);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(wire_shm_clean(f->dir), 1);
}

static void die_with_file(struct child *c, struct fixture *f)
{
	struct wire_shm_file file;

	CHECK(wire_shm_file_create(f->dir, "keys", SIZE, &file) == 0);
	child_say(c);
	child_wait(c);
}

static void wire_shm_clean__sees_an_owner_die(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file file;
	struct child c;

	child_start(&c, die_with_file, f);
	child_hear(&c);
	assert_int_equal(wire_shm_clean(f->dir), 0);
	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &file), 0);
	wire_shm_file_close(&file);
	child_kill(&c);
	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &file),
			 -ESTALE);
	assert_int_equal(wire_shm_clean(f->dir), 1);
}

static struct wire_shm_file inherited;

static void close_inherited(struct child *c, struct fixture *f)
{
	(void)c, (void)f;
	wire_shm_file_close(&inherited);
}

static void wire_shm_file_close__in_a_child_keeps_the_name(void **state)
{
	struct fixture *f = *state;
	struct child c;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &inherited),
			 0);
	child_start(&c, close_inherited, f);
	assert_int_equal(child_end(&c), 0);
	assert_true(is_there(f, "keys"));
	assert_true(wire_shm_clean(f->dir) == 0);
	wire_shm_file_close(&inherited);
}

static void linger(struct child *c, struct fixture *f)
{
	(void)f;
	child_say(c);
	child_wait(c);
}

/* A child that lives on does not keep the parent's lock alive. */
static void wire_shm_file_close__unlocks_beside_a_child(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file own, other;
	struct child c;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &own), 0);
	assert_int_equal(wire_shm_file_open(f->dir, "keys", false, &other), 0);
	child_start(&c, linger, f);
	child_hear(&c);
	assert_true(wire_shm_locked(other.fd, WIRE_SHM_LOCK_OWNER));
	wire_shm_file_close(&own);
	assert_false(wire_shm_locked(other.fd, WIRE_SHM_LOCK_OWNER));
	wire_shm_file_close(&other);
	child_kill(&c);
}

/*
 * Takes the name again and again: while it has it nobody else may, and the
 * name leads to its file.
 */
static void contend(struct child *c, struct fixture *f)
{
	struct wire_shm_file file, seen;
	int i, won = 0, rc;

	for (i = 0; i < 300 || !won; i++) {
		wire_shm_clean(f->dir);
		rc = wire_shm_file_create(f->dir, "keys", SIZE, &file);
		CHECK(rc == 0 || rc == -EADDRINUSE);
		if (rc)
			continue;
		won++;
		*(volatile pid_t *)file.base = getpid();
		CHECK(wire_shm_file_open(f->dir, "keys", false, &seen) == 0);
		CHECK(*(volatile pid_t *)seen.base == getpid());
		wire_shm_file_close(&seen);
		if (i % 2) {
			wire_shm_file_close(&file);
		} else {
			/* dies, as far as others can tell */
			munmap(file.base, file.size);
			close(file.fd);
		}
	}
	(void)c;
}

static void wire_shm_file_create__one_of_many_wins(void **state)
{
	struct fixture *f = *state;
	struct child c[6];
	size_t i;

	for (i = 0; i < 6; i++)
		child_start(&c[i], contend, f);
	for (i = 0; i < 6; i++)
		assert_int_equal(child_end(&c[i]), 0);
	wire_shm_clean(f->dir);
	assert_int_equal(rmdir(f->dir), 0);
}

/* Locks with a number, of whoever has the file open. */
static void lock_and_wait(struct child *c, struct fixture *f)
{
	struct wire_shm_file file;

	CHECK(wire_shm_file_open(f->dir, "keys", true, &file) == 0);
	CHECK(wire_shm_file_lock(&file, 7) == 0);
	child_say(c);
	child_wait(c);
}

static void wire_shm_file_lock__ends_with_its_holder(void **state)
{
	struct fixture *f = *state;
	struct wire_shm_file own, other;
	struct child c;

	assert_int_equal(wire_shm_file_create(f->dir, "keys", SIZE, &own), 0);
	assert_int_equal(wire_shm_file_open(f->dir, "keys", true, &other), 0);
	child_start(&c, lock_and_wait, f);
	child_hear(&c);
	assert_true(wire_shm_file_locked(&own, 7));
	assert_false(wire_shm_file_locked(&own, 8));
	assert_int_equal(wire_shm_file_lock(&other, 7), -EAGAIN);
	child_kill(&c);
	assert_false(wire_shm_file_locked(&own, 7));
	assert_int_equal(wire_shm_file_lock(&other, 7), 0);
	assert_true(wire_shm_file_locked(&own, 7));
	/* Who has it does not see it. */
	assert_false(wire_shm_file_locked(&other, 7));
	wire_shm_file_unlock(&other, 7);
	assert_false(wire_shm_file_locked(&own, 7));
	wire_shm_file_close(&other);
	wire_shm_file_close(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(wire_shm_file_create__gives_zeroed_memory),
		IN_DIR(wire_shm_file_create__refuses_a_living_owners_name),
		IN_DIR(wire_shm_file_create__replaces_a_dead_owners),
		IN_DIR(wire_shm_file_create__leaves_no_litter),
		IN_DIR(wire_shm_file_create__follows_no_link),
		IN_DIR(wire_shm_file_create__refuses_long_names),
		IN_DIR(wire_shm_file_create__respects_the_limit_of_size),
		IN_DIR(wire_shm_file_create__one_of_many_wins),
		IN_DIR(wire_shm_file_open__sees_what_the_owner_wrote),
		IN_DIR(wire_shm_file_open__tells_absent_from_dead),
		IN_DIR(wire_shm_file_reserve__backs_the_range),
		IN_DIR(wire_shm_reserve__full_directory_is_an_error),
		IN_DIR(wire_shm_file_close__in_a_child_keeps_the_name),
		IN_DIR(wire_shm_file_close__unlocks_beside_a_child),
		IN_DIR(wire_shm_file_lock__ends_with_its_holder),
		IN_DIR(wire_shm_clean__removes_the_dead_only),
		IN_DIR(wire_shm_clean__leaves_what_is_not_ours),
		IN_DIR(wire_shm_clean__leaves_fresh_temporaries),
		IN_DIR(wire_shm_clean__sees_an_owner_die),
	};

	return cmocka_run_group_tests_name("wire_shm_file", tests, NULL, NULL);
}
