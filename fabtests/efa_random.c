/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_random.c - whatever a program may do, in any order, and an oracle
 *
 * The run of a seed can be repeated: a failure prints the line that does it.
 * See random.h for how it works.
 */
#include "random.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct ft_program program = {
	.name = "efa_random",
	.summary = "random operations of RDM endpoints, checked by an oracle",
	.options = "",
	.sizes = "8",
	.single = true,
};

static _Noreturn void usage(void)
{
	printf("efa_random - %s\n\n"
	       "  -p PROVIDER   provider name (efa)\n"
	       "  -t SECONDS    how long (10, unless -n says how much)\n"
	       "  -n STEPS      of each process\n"
	       "  -s SEED       (1)\n"
	       "  -e ENDPOINTS  2 to %d (4)\n"
	       "  -P PROCESSES  1 to %d (1)\n"
	       "  -N THREADS    of each process, 1 to %d (1); more imply -D\n"
	       "  -M SIZE       largest message (8388608)\n"
	       "  -E STEPS      of an epoch, after which all is drained (4000)\n"
	       "  -D            no endpoint closes in the middle of an epoch\n"
	       "  -W            no access that has to fail\n"
	       "  -L            no RMA read, for devices that refuse some\n"
	       "  -R            peers' accesses are counted (FI_RMA_EVENT)\n"
	       "  -S            who finds nothing sleeps now and then\n"
	       "  -A            progress is automatic (FI_PROGRESS_AUTO)\n"
	       "  -X            fences, common address vectors, peers that are\n"
	       "                removed and inserted again\n"
	       "  -T SECONDS    without an entry until it gives up (30)\n"
	       "  -v            print the provider's fi_info\n",
	       program.summary, RND_EPS, RND_WORKERS, RND_THREADS);
	exit(EXIT_SUCCESS);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t v = strtoull(text, &end, 0);

	if (end == text || *end || v < min || v > max)
		ft_fail("efa_random: %s is no number from %" PRIu64
			" to %" PRIu64,
			text, min, max);
	return v;
}

static void take(struct rnd *w, int c)
{
	struct rnd_options *opt = &w->opt;

	switch (c) {
	case 'p':
		w->ft.opt.provider = optarg;
		break;
	case 't':
		opt->seconds = (unsigned int)number(optarg, 1, 1000000);
		break;
	case 'n':
		opt->ops = number(optarg, 1, UINT64_MAX);
		break;
	case 's':
		opt->seed = number(optarg, 0, UINT64_MAX);
		break;
	case 'e':
		opt->endpoints = (unsigned int)number(optarg, 2, RND_EPS);
		break;
	case 'P':
		opt->workers = (unsigned int)number(optarg, 1, RND_WORKERS);
		break;
	case 'N':
		opt->threads = (unsigned int)number(optarg, 1, RND_THREADS);
		break;
	case 'M':
		opt->max = number(optarg, 4096, 1u << 30);
		break;
	case 'E':
		opt->epoch = number(optarg, 1, 1u << 28);
		break;
	case 'D':
		opt->deaths = false;
		break;
	case 'W':
		opt->wrong = false;
		break;
	case 'L':
		opt->no_reads = true;
		break;
	case 'R':
		opt->remote = true;
		break;
	case 'S':
		opt->sleep = true;
		break;
	case 'A':
		opt->automatic = true;
		break;
	case 'X':
		opt->extra = true;
		break;
	case 'T':
		w->ft.opt.timeout_s = (unsigned int)number(optarg, 1, 1000000);
		break;
	case 'v':
		w->ft.opt.verbose = true;
		break;
	case 'h':
		usage();
	default:
		ft_fail("efa_random -h lists the options");
	}
}

static void parse(struct rnd *w, int argc, char **argv)
{
	int c;

	w->opt = (struct rnd_options){ .endpoints = 4,
				       .workers = 1,
				       .threads = 1,
				       .seed = 1,
				       .epoch = 4000,
				       .max = 8u << 20,
				       .deaths = true,
				       .wrong = true };
	w->ft.opt.provider = "efa";
	w->ft.opt.timeout_s = 30;
	while ((c = getopt(argc, argv, "p:t:n:s:e:P:N:M:E:DWLRSAXT:vh")) != -1)
		take(w, c);
	if (optind < argc)
		ft_fail("efa_random takes no arguments: %s", argv[optind]);
	if (!w->opt.seconds && !w->opt.ops)
		w->opt.seconds = 10;
	/* Who closes an endpoint has to know that nobody is in a call. */
	if (w->opt.threads > 1)
		w->opt.deaths = false;
	if (w->opt.workers > w->opt.endpoints)
		ft_fail("each process needs an endpoint: -e %u or more",
			w->opt.workers);
}

/* ---- processes ------------------------------------------------------------------- */

/* Before any call of libfabric, which survives no fork. */
static void fork_workers(struct rnd *w, pid_t pid[RND_WORKERS])
{
	pid_t parent = getpid();

	fflush(NULL);
	for (unsigned int i = 1; i < w->opt.workers && !w->id; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			ft_die("fork", -errno);
		if (pid[i])
			continue;
		w->id = (int)i;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
}

static int wait_workers(struct rnd *w, const pid_t pid[RND_WORKERS])
{
	int result = EXIT_SUCCESS;

	for (unsigned int i = 1; i < w->opt.workers; i++) {
		int status;

		if (waitpid(pid[i], &status, 0) != pid[i])
			ft_die("waitpid", -errno);
		if (!status)
			continue;
		fprintf(stderr, "process %u: status 0x%x\n", i,
			(unsigned int)status);
		result = EXIT_FAILURE;
	}
	return result;
}

/* ---- totals ----------------------------------------------------------------------- */

static void print_totals(const struct rnd *w)
{
	static const char *const names[RND_N_COUNTS] = {
		[RND_N_SEND] = "sends",
		[RND_N_INJECT] = "injects",
		[RND_N_RECV] = "receives",
		[RND_N_MULTI] = "multi-receives",
		[RND_N_PEEK] = "peeks",
		[RND_N_CLAIM] = "claims",
		[RND_N_DISCARD] = "discards",
		[RND_N_CANCEL] = "cancels",
		[RND_N_READ] = "reads",
		[RND_N_WRITE] = "writes",
		[RND_N_ATOMIC] = "atomics",
		[RND_N_FETCH] = "fetches",
		[RND_N_REGISTER] = "registrations",
		[RND_N_OPEN] = "endpoints",
		[RND_N_DEATH] = "deaths",
		[RND_N_AGAIN] = "again",
		[RND_N_SLEEP] = "sleeps",
		[RND_N_COMPUTE] = "computations",
		[RND_N_BYTES] = "bytes",
		[RND_N_ENTRIES] = "entries",
		[RND_N_ERRORS] = "errors expected",
	};

	printf("seed %" PRIu64 ", %" PRIu64 " epochs:", w->opt.seed, w->epoch);
	for (int i = 0; i < RND_N_COUNTS; i++) {
		uint64_t sum = 0;

		for (unsigned int id = 0; id < w->opt.workers; id++)
			sum += w->world->count[id][i];
		printf("%s %" PRIu64 " %s", i ? "," : "", sum, names[i]);
	}
	putchar('\n');
}

int main(int argc, char **argv)
{
	static struct rnd w = { .ft = { .program = &program, .oob = -1 } };
	pid_t pid[RND_WORKERS] = { 0 };
	int result;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("IPATH_NO_BACKTRACE", "1", 0);
	/* Large buffers are fresh pages from the system, each time. */
	mallopt(M_MMAP_THRESHOLD, 131072);
	parse(&w, argc, argv);
	w.world = rnd_world_new(&w.opt);
	fork_workers(&w, pid);
	w.count = w.world->count[w.id];
	for (int i = 0; i < RND_EPS; i++) {
		w.ep[i].w = &w;
		w.ep[i].id = i;
	}
	rnd_draw_seed(&w, UINT64_MAX);
	rnd_open_domain(&w);
	rnd_run(&w);
	rnd_close_domain(&w);
	if (w.id)
		return EXIT_SUCCESS;
	result = wait_workers(&w, pid);
	print_totals(&w);
	return result;
}
