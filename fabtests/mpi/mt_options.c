/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * mt_options.c - start and end of an MPI test, sizes and iterations
 */
#include "mt.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERIFY_SMALL                   \
	(struct mt_loop)               \
	{                              \
		.count = 40, .skip = 2 \
	}
#define VERIFY_LARGE                  \
	(struct mt_loop)              \
	{                             \
		.count = 8, .skip = 1 \
	}
#define VERIFY_HUGE                   \
	(struct mt_loop)              \
	{                             \
		.count = 2, .skip = 1 \
	}
#define HUGE_SIZE (1u << 20)

enum {
	OPT_MIN = 256,
	OPT_MAX,
	OPT_VERIFY,
	OPT_OP,
	OPT_HUGE,
	OPT_SEED,
	OPT_MEM,
};

static const struct option options[] = {
	{ "min", required_argument, NULL, OPT_MIN },
	{ "max", required_argument, NULL, OPT_MAX },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "op", required_argument, NULL, OPT_OP },
	{ "huge", required_argument, NULL, OPT_HUGE },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "mem", required_argument, NULL, OPT_MEM },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void quit(const struct mt *mt, int status)
{
	if (!mt->rank)
		fprintf(status ? stderr : stdout,
			"%s - %s\n\n"
			"  --min SIZE --max SIZE  message sizes\n"
			"  -i N         iterations (default: by size)\n"
			"  -W N         messages in a window (64)\n"
			"  --verify     check every byte received\n"
			"  --op NAME    one collective or case, or all\n"
			"  --mem SIZE   of buffers in a rank (512m)\n"
			"  --huge SIZE  one message of this size (p2p)\n"
			"  --seed N     of the random choices\n",
			mt->program->name, mt->program->summary);
	MPI_Finalize();
	exit(status);
}

static size_t parse_size(const struct mt *mt, const char *text)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 0);
	const char *suffix = "kmg", *at;

	at = *end ? strchr(suffix, *end | 0x20) : NULL;
	if (at) {
		v <<= 10 * (at - suffix + 1);
		end++;
	}
	if (end == text || *end)
		quit(mt, EXIT_FAILURE);
	return v;
}

static void take_option(struct mt *mt, int c)
{
	switch (c) {
	case OPT_MIN:
		mt->min = parse_size(mt, optarg);
		break;
	case OPT_MAX:
		mt->max = parse_size(mt, optarg);
		break;
	case OPT_VERIFY:
		mt->verify = true;
		break;
	case OPT_OP:
		mt->op = optarg;
		break;
	case OPT_HUGE:
		mt->huge = parse_size(mt, optarg);
		break;
	case OPT_SEED:
		mt->seed = parse_size(mt, optarg);
		break;
	case OPT_MEM:
		mt->memory = parse_size(mt, optarg);
		break;
	case 'i':
		mt->iterations = parse_size(mt, optarg);
		break;
	case 'W':
		mt->window = parse_size(mt, optarg);
		break;
	case 'h':
		quit(mt, EXIT_SUCCESS);
	default:
		quit(mt, EXIT_FAILURE);
	}
}

static void pair_up(struct mt *mt)
{
	mt->pairs = mt->ranks / 2;
	mt->first = mt->rank < mt->pairs;
	if (mt->first)
		mt->partner = mt->rank + mt->pairs;
	else if (mt->rank < 2 * mt->pairs)
		mt->partner = mt->rank - mt->pairs;
	else
		mt->partner = -1;
}

static void print_header(const struct mt *mt)
{
	if (mt->rank)
		return;
	printf("# %s: %d ranks%s\n", mt->program->name, mt->ranks,
	       mt->verify ? ", verified" : "");
	if (mt->program->columns)
		printf("#%9s %s\n", "bytes", mt->program->columns);
	fflush(stdout);
}

void mt_init(struct mt *mt, int *argc, char ***argv,
	     const struct mt_program *program)
{
	int provided, c;

	*mt = (struct mt){
		.program = program,
		.min = program->min,
		.max = program->max,
		.window = 64,
		.memory = 512u << 20,
		.seed = 1,
		.op = "all",
	};
	MPI_Init_thread(argc, argv, program->thread, &provided);
	MPI_Comm_rank(MPI_COMM_WORLD, &mt->rank);
	MPI_Comm_size(MPI_COMM_WORLD, &mt->ranks);
	opterr = !mt->rank;
	while ((c = getopt_long(*argc, *argv, "i:W:h", options, NULL)) != -1)
		take_option(mt, c);
	if (optind < *argc || !mt->window)
		quit(mt, EXIT_FAILURE);
	if (provided < program->thread || (mt->ranks < 2 && !program->alone)) {
		if (!mt->rank)
			fprintf(stderr, "%s: needs %s\n", program->name,
				mt->ranks < 2 ? "two ranks or more" :
						"a higher MPI thread level");
		quit(mt, EXIT_FAILURE);
	}
	pair_up(mt);
	print_header(mt);
}

size_t mt_next_size(const struct mt *mt, size_t size)
{
	if (size == MT_NO_SIZE)
		size = mt->min;
	else
		size = size ? size * 2 : 1;
	return size <= mt->max ? size : MT_NO_SIZE;
}

void mt_begin(struct mt *mt, size_t size)
{
	bool small = size <= MT_LARGE;

	mt->loop = small ? mt->program->small : mt->program->large;
	if (mt->verify && size > HUGE_SIZE)
		mt->loop = VERIFY_HUGE;
	else if (mt->verify)
		mt->loop = small ? VERIFY_SMALL : VERIFY_LARGE;
	if (mt->iterations)
		mt->loop.count = mt->iterations;
	free(mt->stamp);
	mt->stamp = calloc(mt->loop.count, sizeof(*mt->stamp));
	if (!mt->stamp)
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

void *mt_alloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (size + page) / page * page;
	void *p = aligned_alloc(page, room);

	if (!p) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
		abort();
	}
	memset(p, 'a', room);
	return p;
}

void mt_expect(struct mt *mt, bool holds, const char *format, ...)
{
	va_list args;

	__atomic_fetch_add(&mt->checked, 1, __ATOMIC_RELAXED);
	if (holds)
		return;
	__atomic_fetch_add(&mt->failed, 1, __ATOMIC_RELAXED);
	fprintf(stderr, "rank %d: ", mt->rank);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int mt_finish(struct mt *mt)
{
	uint64_t mine[2] = { mt->checked, mt->failed }, all[2];

	MPI_Allreduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
	if (!mt->rank && (all[0] || mt->verify))
		printf("%llu passed, %llu failed\n",
		       (unsigned long long)(all[0] - all[1]),
		       (unsigned long long)all[1]);
	free(mt->stamp);
	MPI_Finalize();
	return all[1] || (mt->verify && !all[0]) ? EXIT_FAILURE : EXIT_SUCCESS;
}
