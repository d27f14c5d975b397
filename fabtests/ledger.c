/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ledger.c - what this process holds, counted
 *
 * Descriptors, threads and files have to be as before. Memory has some slack:
 * allocators keep and split what they are given back. The slack of the heap is
 * less than the smallest leak, 16 bytes each time, would sum up to; glibc's
 * caches of each thread would hide such a leak in the beginning, and look like
 * one, so they are turned off. A sanitizer keeps what was freed, so memory says
 * nothing under one.
 */
#include "ledger.h"
#include "ft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED \
	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

#define TRIES 60 /* of TRY_NS, for what ends late */
#define TRY_NS 50000000

static const struct {
	const char *name;
	long slack, slack_each; /* that n repetitions may cost: their sum */
} items[LEDGER_ITEMS] = {
	[LEDGER_FDS] = { "descriptors", 0, 0 },
	[LEDGER_THREADS] = { "threads", 0, 0 },
	[LEDGER_FILES] = { "files of shared memory", 0, 0 },
	[LEDGER_MAPS] = { "mappings", 8, 0 },
	[LEDGER_HEAP] = { "bytes of heap", 3072, 8 },
	[LEDGER_RSS] = { "bytes in memory", 4 << 20, 0 },
};

#define NO_CACHES "glibc.malloc.tcache_count=0"

/* Who sets the variable himself knows what he does. */
void ledger_begin(char **argv)
{
	if (SANITIZED || getenv("GLIBC_TUNABLES"))
		return;
	setenv("GLIBC_TUNABLES", NO_CACHES, 1);
	execv("/proc/self/exe", argv);
	fprintf(stderr, "ledger: malloc keeps its caches: %s\n",
		strerror(errno));
}

static DIR *open_folder(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		ft_fail("%s cannot be read", path);
	return dir;
}

static long count_entries(const char *path)
{
	DIR *dir = open_folder(path);
	long n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

static long count_files(const char *path)
{
	DIR *dir = open_folder(path);
	const struct dirent *entry;
	struct stat st;
	long n = 0;

	while ((entry = readdir(dir)))
		n += !fstatat(dirfd(dir), entry->d_name, &st, 0) &&
		     S_ISREG(st.st_mode);
	closedir(dir);
	return n;
}

static long count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;
	int c;

	if (!f)
		ft_fail("%s cannot be read", path);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* Without what malloc keeps for later. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, pages;

	malloc_trim(0);
	if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
		ft_fail("/proc/self/statm cannot be read");
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static long heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return (long)(info.uordblks + info.hblkhd);
}

void ledger_read(struct ledger *l, const char *folder)
{
	l->folder = folder;
	l->count[LEDGER_FDS] = count_entries("/proc/self/fd");
	l->count[LEDGER_THREADS] = count_entries("/proc/self/task");
	l->count[LEDGER_FILES] = count_files(folder);
	l->count[LEDGER_MAPS] = count_lines("/proc/self/maps");
	l->count[LEDGER_HEAP] = heap();
	l->count[LEDGER_RSS] = resident();
}

static bool grown(const struct ledger *before, const struct ledger *now,
		  size_t n, int item)
{
	if (SANITIZED && item >= LEDGER_MAPS)
		return false;
	return now->count[item] - before->count[item] >
	       items[item].slack + items[item].slack_each * (long)n;
}

static int count_grown(const struct ledger *before, const struct ledger *now,
		       size_t n)
{
	int result = 0;

	for (int item = 0; item < LEDGER_ITEMS; item++)
		result += grown(before, now, n, item);
	return result;
}

/* The youngest descriptor says what kind is left open. */
static void print_last_fd(void)
{
	DIR *dir = open_folder("/proc/self/fd");
	char last[PATH_MAX] = "", target[PATH_MAX];
	const struct dirent *entry;
	ssize_t len;

	while ((entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, target,
				 sizeof(target) - 1);
		if (len > 0 && target[0] != '/') {
			target[len] = '\0';
			strcpy(last, target);
		}
	}
	closedir(dir);
	printf("    the last descriptor is %s\n", last);
}

int ledger_compare(const struct ledger *before, struct ledger *now, size_t n)
{
	const struct timespec pause = { .tv_nsec = TRY_NS };
	int result;

	ledger_read(now, before->folder);
	for (int i = 0; i < TRIES && count_grown(before, now, n); i++) {
		nanosleep(&pause, NULL);
		ledger_read(now, before->folder);
	}
	result = count_grown(before, now, n);
	for (int item = 0; item < LEDGER_ITEMS; item++)
		if (grown(before, now, n, item))
			printf("    %s: %ld before, %ld after %zu times\n",
			       items[item].name, before->count[item],
			       now->count[item], n);
	if (grown(before, now, n, LEDGER_FDS))
		print_last_fd();
	return result;
}
