/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_cache_kind.c - whether every change of a piece of memory is told
 *
 * Asks /proc/self/maps: by a request for one address where the kernel has it
 * (Linux 6.11), else by reading all of it. Called when memory is registered,
 * which costs more.
 */
#include "dev_cache_kind.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAPS "/proc/self/maps"

/* What the kernel's headers of Linux 6.11 call struct procmap_query. */
struct kind_query {
	__u64 size;
	__u64 query_flags;
	__u64 query_addr;
	__u64 vma_start;
	__u64 vma_end;
	__u64 vma_flags;
	__u64 vma_page_size;
	__u64 vma_offset;
	__u64 inode;
	__u32 dev_major;
	__u32 dev_minor;
	__u32 vma_name_size; /* in: of the buffer; out: with the 0 */
	__u32 build_id_size;
	__u64 vma_name_addr;
	__u64 build_id_addr;
};

#define KIND_QUERY _IOWR('f', 17, struct kind_query)

/* One mapping. */
struct kind_map {
	uint64_t lo, hi;
	char name[32]; /* cut; none of those that matter is as long */
};

/* Of no file, or of one without a name, which nobody can open. */
static bool told(const char *name)
{
	return name[0] == 0 || name[0] == '[' ||
	       strcmp(name, "/dev/zero (deleted)") == 0 ||
	       strcmp(name, "/anon_hugepage (deleted)") == 0;
}

/* False: there is no mapping at addr, or the kernel has no such request. */
static bool query(int fd, uint64_t addr, struct kind_map *m)
{
	char name[4096];
	struct kind_query q = {
		.size = sizeof(q),
		.query_addr = addr,
		.vma_name_size = sizeof(name),
		.vma_name_addr = (uintptr_t)name,
	};

	if (ioctl(fd, KIND_QUERY, &q))
		return false;
	if (q.vma_name_size == 0)
		name[0] = 0;
	m->lo = q.vma_start;
	m->hi = q.vma_end;
	snprintf(m->name, sizeof(m->name), "%.*s", (int)sizeof(m->name) - 1,
		 name);
	return true;
}

static bool told_by_query(int fd, uint64_t lo, uint64_t hi)
{
	struct kind_map m;

	while (lo < hi && query(fd, lo, &m) && told(m.name))
		lo = m.hi;
	return lo >= hi;
}

static bool parse(const char *line, struct kind_map *m)
{
	m->name[0] = 0;
	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %31[^\n]",
		      &m->lo, &m->hi, m->name) >= 2;
}

static bool told_by_reading(FILE *f, uint64_t lo, uint64_t hi)
{
	struct kind_map m;
	char *line = NULL;
	size_t room = 0;

	/* They come in order of their addresses. */
	while (lo < hi && getline(&line, &room, f) > 0) {
		if (!parse(line, &m) || m.hi <= lo)
			continue;
		if (m.lo > lo || !told(m.name))
			break;
		lo = m.hi;
	}
	free(line);
	return lo >= hi;
}

bool dev_cache_kind_told(uint64_t lo, uint64_t hi)
{
	FILE *f = fopen(MAPS, "re");
	struct kind_map m;
	bool yes;

	if (!f)
		return false;
	if (query(fileno(f), lo, &m))
		yes = told_by_query(fileno(f), lo, hi);
	else
		yes = told_by_reading(f, lo, hi);
	fclose(f);
	return yes;
}
