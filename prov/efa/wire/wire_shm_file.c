/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm_file.c - named files that die with their owner
 *
 * The owner holds a lock on byte WIRE_SHM_LOCK_OWNER for life, on an open file
 * description: the kernel drops it with the process, however that ends. A
 * file gets the name that others look for after it is locked and filled, by
 * link(2), so of a file with such a name holds:
 *
 * I1  The owner's byte is locked, or the owner is dead for good.
 * I2  Only its owner or a janitor removes the name. A janitor first locks
 *     JANITOR of that very file and then looks that the name still leads to
 *     it, so it cannot hit a file that took the name a moment ago.
 *
 * Record locks of the other kind (F_SETLK) belong to a process and vanish
 * when it closes any descriptor of the file: a process could not have a link
 * to itself.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

#include "util/u_hash.h"
#include "util/u_log.h"
#include "util/u_time.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_DIR "/dev/shm"
#define JANITOR (INT64_C(1) << 40) /* byte; beyond every lane's */
#define FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) /* no link, no fifo */
/* Seconds: no creator takes so long from open to lock. */
#define TEMP_AGE 60
#define TRIES 1000

static struct flock lock_of(int64_t byte, short type)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
}

int wire_shm_lock(int fd, int64_t byte)
{
	struct flock fl = lock_of(byte, F_WRLCK);

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

void wire_shm_unlock(int fd, int64_t byte)
{
	struct flock fl = lock_of(byte, F_UNLCK);

	fcntl(fd, F_OFD_SETLK, &fl);
}

/* In doubt it is: what lives must not be taken for dead. */
bool wire_shm_locked(int fd, int64_t byte)
{
	struct flock fl = lock_of(byte, F_WRLCK);

	return fcntl(fd, F_OFD_GETLK, &fl) != 0 || fl.l_type != F_UNLCK;
}

int wire_shm_reserve(int fd, int64_t offset, int64_t len)
{
	int rc;

	do
		rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, len);
	while (rc && errno == EINTR);
	return rc ? -errno : 0;
}

static const char *dir_or_default(const char *dir)
{
	return dir ? dir : DEFAULT_DIR;
}

static uint64_t bytes_free(const char *dir)
{
	struct statvfs fs;

	if (statvfs(dir, &fs))
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

bool wire_shm_may_warn(_Atomic uint64_t *told)
{
	uint64_t now = u_now();
	uint64_t last = atomic_load(told);

	return (!last || now - last >= U_SEC) &&
	       atomic_compare_exchange_strong(told, &last, now);
}

void wire_shm_warn_full(const char *dir, size_t need)
{
	static _Atomic uint64_t told;

	if (!wire_shm_may_warn(&told))
		return;
	dir = dir_or_default(dir);
	u_warn("shm: %s is full: %zu KiB are needed, %llu KiB are free. "
	       "See df %s; remount it larger (mount -o remount,size=..., for "
	       "a container --shm-size) or use smaller rings",
	       dir, need >> 10, (unsigned long long)bytes_free(dir) >> 10, dir);
}

/* Returns err, so that a failure can be logged and returned in one line. */
static int warn_dir(const char *dir, const char *what, size_t need, int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		wire_shm_warn_full(dir, need);
		return -ENOSPC;
	case -ENOENT:
	case -ENOTDIR:
		u_warn("shm: %s is no directory: create it or choose another "
		       "directory for shared memory",
		       dir);
		return -ENOENT;
	case -EACCES:
	case -EROFS:
		u_warn("shm: user %u may not write in %s: chmod 1777 it or "
		       "choose another directory for shared memory",
		       (unsigned)geteuid(), dir);
		return -EACCES;
	case -EFBIG:
		u_warn("shm: a file of %zu KiB in %s is above the limit of "
		       "this process: raise it (ulimit -f)",
		       need >> 10, dir);
		return err;
	default:
		u_warn("shm: cannot %s in %s: %s", what, dir, strerror(-err));
		return err;
	}
}

static int path_make(const char *dir, const char *name, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/efa-%u-%s", dir, (unsigned)geteuid(),
			 name);

	if (n >= 0 && (size_t)n < size && strlen(name) <= WIRE_SHM_NAME_MAX)
		return 0;
	u_warn("shm: the path %s/efa-%u-%s is too long: choose another "
	       "directory for shared memory",
	       dir, (unsigned)geteuid(), name);
	return -ENAMETOOLONG;
}

static int map(struct wire_shm_file *f, size_t size, int prot)
{
	void *base;

	base = mmap(NULL, size, prot, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	/* A core dump would read the holes, and so fill them. */
	madvise(base, size, MADV_DONTDUMP);
	f->base = base;
	f->size = size;
	return 0;
}

/*
 * Beyond RLIMIT_FSIZE ftruncate would kill the process (SIGXFSZ).
 */
static int grow(int fd, size_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

/* A file of ours with a name of its own, locked as the owner's. */
static int temp_open(const char *dir, struct wire_shm_file *f)
{
	char name[32];
	int rc;

	snprintf(name, sizeof(name), ".%016llx",
		 (unsigned long long)u_random64());
	rc = path_make(dir, name, f->path, sizeof(f->path));
	if (rc)
		return rc;
	f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | FLAGS, 0600);
	if (f->fd < 0)
		return warn_dir(dir, "create a file", 0, -errno);
	f->maker = getpid();
	rc = wire_shm_lock(f->fd, WIRE_SHM_LOCK_OWNER);
	if (rc)
		return warn_dir(dir, "lock a file", 0, rc);
	return 0;
}

int wire_shm_file_make(const char *dir, size_t size, struct wire_shm_file *f)
{
	int rc;

	*f = (struct wire_shm_file){ .fd = -1 };
	dir = dir_or_default(dir);
	rc = temp_open(dir, f);
	if (rc)
		goto fail;
	rc = grow(f->fd, size);
	if (!rc)
		rc = map(f, size, PROT_READ | PROT_WRITE);
	if (!rc)
		return 0;
	rc = warn_dir(dir, "make a file", size, rc);
fail:
	wire_shm_file_close(f);
	return rc;
}

/* Does the path lead to the file of st? */
static bool leads_to(const char *path, const struct stat *st)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == st->st_dev &&
	       now.st_ino == st->st_ino;
}

static int stat_ours(int fd, struct stat *st)
{
	if (fstat(fd, st))
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_uid != geteuid())
		return -EACCES;
	return 0;
}

/* Takes the name from a file whose owner is dead; -EAGAIN: try again. */
static int bury(int fd, const char *path, const struct stat *st)
{
	if (wire_shm_lock(fd, JANITOR))
		return -EAGAIN;
	if (!leads_to(path, st))
		return -EAGAIN;
	return unlink(path) ? -errno : 0;
}

/*
 * Removes the name if the owner of the file is dead: 0; -EBUSY it lives;
 * -EAGAIN somebody else is at it; -ENOENT; -EACCES it is not ours.
 */
static int retire(const char *path)
{
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDWR | FLAGS);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EACCES;
	rc = stat_ours(fd, &st);
	if (!rc && wire_shm_locked(fd, WIRE_SHM_LOCK_OWNER))
		rc = -EBUSY;
	if (!rc)
		rc = bury(fd, path, &st);
	close(fd);
	return rc;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Gives the file its second name; a dead owner's file makes way. */
static int link_as(const char *temp, const char *path)
{
	int tries, rc;

	for (tries = 0; tries < TRIES; tries++) {
		if (link(temp, path) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		rc = retire(path);
		if (rc == -EBUSY)
			return -EADDRINUSE;
		if (rc == -EAGAIN)
			pause_ms(1);
		else if (rc && rc != -ENOENT)
			return rc;
	}
	return -EADDRINUSE;
}

int wire_shm_file_publish(struct wire_shm_file *f, const char *dir,
			  const char *name)
{
	char path[sizeof(f->path)];
	int rc;

	dir = dir_or_default(dir);
	rc = path_make(dir, name, path, sizeof(path));
	if (rc)
		return rc;
	rc = link_as(f->path, path);
	if (rc == -EADDRINUSE) {
		u_info("shm: %s belongs to a living process", path);
		return rc;
	}
	if (rc == -EACCES) {
		u_warn("shm: %s belongs to somebody else: remove it", path);
		return rc;
	}
	if (rc)
		return warn_dir(dir, "name a file", 0, rc);
	unlink(f->path);
	memcpy(f->path, path, sizeof(path));
	return 0;
}

int wire_shm_file_create(const char *dir, const char *name, size_t size,
			 struct wire_shm_file *f)
{
	int rc = wire_shm_file_make(dir, size, f);

	if (rc)
		return rc;
	rc = wire_shm_file_publish(f, dir, name);
	if (rc)
		wire_shm_file_close(f);
	return rc;
}

int wire_shm_file_find(const char *dir, const char *name, int flags, int *out)
{
	char path[sizeof(((struct wire_shm_file *)0)->path)];
	struct stat st;
	int fd, rc;

	rc = path_make(dir_or_default(dir), name, path, sizeof(path));
	if (rc)
		return rc;
	fd = open(path, flags | FLAGS);
	if (fd < 0)
		return -errno;
	rc = stat_ours(fd, &st);
	if (!rc && !wire_shm_locked(fd, WIRE_SHM_LOCK_OWNER))
		rc = -ESTALE;
	if (rc) {
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

int wire_shm_file_open(const char *dir, const char *name, bool writable,
		       struct wire_shm_file *f)
{
	struct stat st;
	int rc;

	*f = (struct wire_shm_file){ .fd = -1 };
	rc = wire_shm_file_find(dir, name, writable ? O_RDWR : O_RDONLY,
				&f->fd);
	if (rc)
		return rc;
	if (fstat(f->fd, &st))
		rc = -errno;
	else if (st.st_size <= 0)
		rc = -EPROTO;
	else
		rc = map(f, (size_t)st.st_size,
			 PROT_READ | (writable ? PROT_WRITE : 0));
	if (rc)
		wire_shm_file_close(f);
	return rc;
}

int wire_shm_file_reserve(struct wire_shm_file *f, size_t offset, size_t len)
{
	char *end, dir[sizeof(f->path)];
	int rc;

	if (offset > f->size || len > f->size - offset)
		return -EINVAL;
	if (!len)
		return 0;
	rc = wire_shm_reserve(f->fd, (int64_t)offset, (int64_t)len);
	if (!rc || !f->path[0])
		return rc;
	memcpy(dir, f->path, sizeof(dir));
	end = strrchr(dir, '/');
	if (end)
		*end = '\0';
	return warn_dir(dir, "reserve memory", len, rc);
}

int wire_shm_file_lock(struct wire_shm_file *f, uint32_t number)
{
	return wire_shm_lock(f->fd, WIRE_SHM_LOCK_LANE(number));
}

void wire_shm_file_unlock(struct wire_shm_file *f, uint32_t number)
{
	wire_shm_unlock(f->fd, WIRE_SHM_LOCK_LANE(number));
}

bool wire_shm_file_locked(const struct wire_shm_file *f, uint32_t number)
{
	return wire_shm_locked(f->fd, WIRE_SHM_LOCK_LANE(number));
}

/* The name and the lock, of the process that made the file. */
static void give_up(struct wire_shm_file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) == 0 && leads_to(f->path, &st))
		unlink(f->path);
	/* A forked child may hold the description for long. */
	wire_shm_unlock(f->fd, WIRE_SHM_LOCK_OWNER);
}

void wire_shm_file_close(struct wire_shm_file *f)
{
	if (f->base)
		munmap(f->base, f->size);
	if (f->fd >= 0) {
		/* In a forked child they are the parent's. */
		if (f->path[0] && f->maker == getpid())
			give_up(f);
		close(f->fd);
	}
	*f = (struct wire_shm_file){ .fd = -1 };
}

/* Has a creator, who locks it next, just opened this one? */
static bool may_be_unlocked_yet(const char *path, const char *rest)
{
	struct stat st;

	return rest[0] == '.' && lstat(path, &st) == 0 &&
	       time(NULL) - st.st_mtime < TEMP_AGE;
}

int wire_shm_clean(const char *dir)
{
	char path[sizeof(((struct wire_shm_file *)0)->path)], prefix[32];
	struct dirent *entry;
	size_t skip;
	int n = 0;
	DIR *d;

	dir = dir_or_default(dir);
	d = opendir(dir);
	if (!d)
		return 0;
	skip = (size_t)snprintf(prefix, sizeof(prefix), "efa-%u-",
				(unsigned)geteuid());
	while ((entry = readdir(d))) {
		int len = snprintf(path, sizeof(path), "%s/%s", dir,
				   entry->d_name);

		if (strncmp(entry->d_name, prefix, skip) ||
		    (size_t)len >= sizeof(path) ||
		    may_be_unlocked_yet(path, entry->d_name + skip))
			continue;
		n += retire(path) == 0;
	}
	closedir(d);
	return n;
}
