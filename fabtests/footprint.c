/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * footprint.c - the memory that this process keeps from others
 *
 * The kernel counts a page of a shared file when it is touched. A file in
 * tmpfs takes memory when it is written or reserved, by whomever, so its
 * blocks count here as soon as it is mapped. What malloc keeps for later goes
 * back first: it would hide what is allocated next.
 */
#include "footprint.h"
#include "ft.h"

#include <malloc.h>
#include <sys/stat.h>

#define LINE 4096
#define BLOCK 512 /* bytes; of st_blocks */

struct status {
	long anon, file, shmem, locked, pinned;
};

static struct status status_read(void)
{
	static const char path[] = "/proc/self/status";
	FILE *f = fopen(path, "re");
	struct status s = { 0 };
	char line[LINE];

	if (!f)
		ft_fail("%s cannot be read", path);
	while (fgets(line, sizeof(line), f)) {
		(void)(sscanf(line, "RssAnon: %ld", &s.anon) == 1 ||
		       sscanf(line, "RssFile: %ld", &s.file) == 1 ||
		       sscanf(line, "RssShmem: %ld", &s.shmem) == 1 ||
		       sscanf(line, "VmLck: %ld", &s.locked) == 1 ||
		       sscanf(line, "VmPin: %ld", &s.pinned) == 1);
	}
	fclose(f);
	return s;
}

/* Bytes that the file of a line of /proc/self/maps takes, if it is shared. */
static long file_bytes(const char *line)
{
	unsigned long long inode, offset;
	char kind, path[LINE];
	struct stat st;

	/* A file that is mapped in pieces counts at its first one. */
	if (sscanf(line, "%*s %*3s%c %llx %*s %llu %4095s", &kind, &offset,
		   &inode, path) != 4 ||
	    kind != 's' || offset || stat(path, &st) || st.st_ino != inode ||
	    !S_ISREG(st.st_mode))
		return 0;
	return (long)st.st_blocks * BLOCK;
}

static long shared_files(void)
{
	static const char path[] = "/proc/self/maps";
	FILE *f = fopen(path, "re");
	char line[LINE];
	long bytes = 0;

	if (!f)
		ft_fail("%s cannot be read", path);
	while (fgets(line, sizeof(line), f))
		bytes += file_bytes(line);
	fclose(f);
	return bytes;
}

struct footprint footprint_read(void)
{
	long touched, taken = shared_files();
	struct status s;

	malloc_trim(0);
	s = status_read();
	touched = s.shmem * 1024;
	return (struct footprint){
		.resident = (s.anon + s.file) * 1024 +
			    (touched > taken ? touched : taken),
		.locked = (s.locked + s.pinned) * 1024,
	};
}

struct footprint footprint_since(const struct footprint *before)
{
	struct footprint now = footprint_read();

	return (struct footprint){
		.resident = now.resident - before->resident,
		.locked = now.locked - before->locked,
	};
}
