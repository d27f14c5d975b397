/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fuzz_replay.c - gives the files of a corpus to a fuzz target
 *
 * usage: TARGET [FILE | DIRECTORY]...
 *
 * Without arguments the corpus is the directory FUZZ_CORPUS. A directory
 * without files is a failure, since nothing would have been tried. When the
 * target fails, the last line of the output names the input.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20) /* bytes */

/* An input lies in memory of its exact length, so that the address sanitizer
 * sees a byte read behind it. */
static bool replay_bytes(FILE *file, size_t len)
{
	uint8_t *input = malloc(len + !len);
	bool ok = input && fread(input, 1, len, file) == len;

	if (ok)
		LLVMFuzzerTestOneInput(input, len);
	free(input);
	return ok;
}

static bool replay_file(const char *path, off_t len)
{
	FILE *file = fopen(path, "rb");
	bool ok = file && len <= INPUT_MAX;

	fprintf(stderr, "%s\n", path);
	ok = ok && replay_bytes(file, (size_t)len);
	if (!ok)
		fprintf(stderr, "cannot be read\n");
	if (file)
		fclose(file);
	return ok;
}

/* The number of files in a directory that were tried, or -1. */
static int replay_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool ok = dir != NULL;
	int n = 0;

	while (ok && (entry = readdir(dir))) {
		char name[4096];
		struct stat st;

		ok = snprintf(name, sizeof(name), "%s/%s", path,
			      entry->d_name) < (int)sizeof(name);
		if (!ok || stat(name, &st) != 0 || !S_ISREG(st.st_mode))
			continue;
		ok = replay_file(name, st.st_size);
		n++;
	}
	if (dir)
		closedir(dir);
	if (n == 0)
		fprintf(stderr, "%s: no inputs\n", path);
	return ok && n > 0 ? n : -1;
}

static int replay(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(st.st_mode))
		return replay_directory(path);
	return replay_file(path, st.st_size) ? 1 : -1;
}

int main(int argc, char **argv)
{
	static const char *corpus[] = { "", FUZZ_CORPUS };
	const char **path = argc > 1 ? (const char **)argv : corpus;
	int npaths = argc > 1 ? argc : 2, total = 0;

	for (int i = 1; i < npaths; i++) {
		int n = replay(path[i]);

		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs\n", total);
	return 0;
}
