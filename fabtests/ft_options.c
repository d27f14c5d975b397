/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft_options.c - one option table for all programs
 *
 * A program names the letters it takes; the others are refused, so -h never
 * lists an option without effect. Sizes are read with the suffixes k, m, g.
 */
#include "ft.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_SERVER = 256,
	OPT_FORK,
	OPT_PIN,
	OPT_TIMEOUT,
	OPT_SERVER_ENV,
	OPT_CLIENT_ENV,
};

#define COMMON_OPTIONS "pdfsPvh"

static const struct option long_options[] = {
	{ "server", no_argument, NULL, OPT_SERVER },
	{ "fork", no_argument, NULL, OPT_FORK },
	{ "pin", no_argument, NULL, OPT_PIN },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "server-env", required_argument, NULL, OPT_SERVER_ENV },
	{ "client-env", required_argument, NULL, OPT_CLIENT_ENV },
	{ "seed", required_argument, NULL, 'R' },
	{ "skip", required_argument, NULL, 'X' },
	{ "only", required_argument, NULL, 'O' },
	{ "max", required_argument, NULL, 'M' },
	{ "verify", no_argument, NULL, 'V' },
	{ "dist", no_argument, NULL, 'D' },
	{ "timeline", required_argument, NULL, 'T' },
	{ "cycles", required_argument, NULL, 'C' },
	{ "no-delivery", no_argument, NULL, 'N' },
	{ "unreadable", no_argument, NULL, 'U' },
	{ "automatic", no_argument, NULL, 'A' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* In the order of -h; some letters stand for a long option only. */
static const struct option_help {
	char letter;
	const char *text;
} helps[] = {
	{ 'p', "-p PROVIDER   provider name (default: the first one listed)" },
	{ 'f', "-f FABRIC     fabric name" },
	{ 'd', "-d DOMAIN     domain name" },
	{ 's', "-s ADDRESS    own address, for providers that want one" },
	{ 'P', "-P PORT       TCP port of the out-of-band channel (47600)" },
	{ 'v', "-v            print the provider's fi_info" },
	{ 'm', "-m msg|tagged which calls to use" },
	{ 'S', "-S SIZES      list 8,64k or powers of two 1:1m, or all" },
	{ 'i', "-i N          iterations (default: by size)" },
	{ 'n', "-n N          how many (see the program)" },
	{ 'W', "-W N          sends in flight" },
	{ 'O', "--only A,B    only the cases with A or B in the name" },
	{ 'X', "--skip A,B    not the cases with A or B in the name" },
	{ 'M',
	  "--max SIZE    largest message; efa_flood: bytes that are kept" },
	{ 'R', "--seed N      of the random sizes and orders" },
	{ 'w', "-w sread|fd   sleep while nothing comes" },
	{ 'V', "--verify      check every byte; not for figures" },
	{ 'D', "--dist        print the distribution: p50 p99 p99.9 max" },
	{ 'T', "--timeline F  write when each window ended: ns, bytes" },
	{ 'C', "--cycles N    how often" },
	{ 'N', "--no-delivery FI_DELIVERY_COMPLETE has to be refused" },
	{ 'U', "--unreadable  long messages have to fail" },
	{ 'A', "--automatic   progress of data (FI_PROGRESS_AUTO)" },
};

static bool takes(const struct ft_program *program, int letter)
{
	if (program->single && letter == 'P')
		return false;
	return strchr(COMMON_OPTIONS, letter) ||
	       strchr(program->options, letter);
}

static void print_uses(const struct ft_program *program)
{
	if (program->single)
		printf("usage: %s [options]\n\n", program->name);
	else
		printf("usage: %s [options]            both processes\n"
		       "       %s [options] --server   wait for a client\n"
		       "       %s [options] HOST       client of that server\n\n",
		       program->name, program->name, program->name);
}

static _Noreturn void usage(const struct ft_program *program)
{
	printf("%s - %s\n\n", program->name, program->summary);
	print_uses(program);
	for (size_t i = 0; i < sizeof(helps) / sizeof(helps[0]); i++)
		if (takes(program, helps[i].letter))
			printf("  %s\n", helps[i].text);
	if (!program->single)
		printf("  --pin         server on core 0, client on core 1\n"
		       "  --fork        both processes (the default)\n"
		       "  --server-env NAME=VALUE, --client-env NAME=VALUE\n"
		       "                a variable that one side has\n");
	printf("  --timeout S   seconds without a completion (60)\n");
	exit(EXIT_SUCCESS);
}

static size_t parse_size(const char *text, const char **end)
{
	char *rest;
	unsigned long long v = strtoull(text, &rest, 0);

	if (rest == text)
		ft_fail("not a size: %s", text);
	switch (*rest) {
	case 'g':
	case 'G':
		v <<= 30;
		rest++;
		break;
	case 'm':
	case 'M':
		v <<= 20;
		rest++;
		break;
	case 'k':
	case 'K':
		v <<= 10;
		rest++;
		break;
	}
	*end = rest;
	return v;
}

static size_t parse_number(const char *text)
{
	const char *end;
	size_t v = parse_size(text, &end);

	if (*end)
		ft_fail("not a number: %s", text);
	return v;
}

static void add_size(struct ft_options *opt, size_t size)
{
	if (opt->nsizes == FT_SIZES_MAX)
		ft_fail("more than %d sizes", FT_SIZES_MAX);
	opt->size[opt->nsizes++] = size;
}

static void add_powers(struct ft_options *opt, size_t from, size_t to)
{
	if (!from) {
		add_size(opt, 0);
		from = 1;
	}
	for (size_t size = from; size <= to; size *= 2)
		add_size(opt, size);
}

static void parse_sizes(struct ft_options *opt, const char *text)
{
	opt->nsizes = 0;
	if (!strcmp(text, "all")) {
		add_powers(opt, 0, 4u << 20);
		return;
	}
	while (*text) {
		size_t size = parse_size(text, &text);

		if (*text == ':')
			add_powers(opt, size, parse_size(text + 1, &text));
		else
			add_size(opt, size);
		if (*text == ',')
			text++;
		else if (*text)
			ft_fail("bad list of sizes at: %s", text);
	}
}

/* Is a word of the list, which has commas between them, a part of name? */
static bool has_word(const char *name, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, ",");

		for (const char *p = name; len && *p; p++)
			if (!strncmp(p, list, len))
				return true;
		list += len + (list[len] == ',');
	}
	return false;
}

static bool parse_tagged(const char *text)
{
	if (strcmp(text, "msg") && strcmp(text, "tagged"))
		ft_fail("-m wants msg or tagged, not %s", text);
	return !strcmp(text, "tagged");
}

static enum ft_wait parse_wait(const char *text)
{
	if (!strcmp(text, "sread"))
		return FT_WAIT_SREAD;
	if (strcmp(text, "fd"))
		ft_fail("-w wants sread or fd, not %s", text);
	return FT_WAIT_FD;
}

static void take_pair_option(struct ft_options *opt, int c)
{
	switch (c) {
	case OPT_SERVER:
		opt->listen = true;
		break;
	case OPT_FORK:
		opt->fork = true;
		break;
	case OPT_PIN:
		opt->pin = true;
		break;
	case OPT_SERVER_ENV:
		opt->env[0] = optarg;
		break;
	case OPT_CLIENT_ENV:
		opt->env[1] = optarg;
		break;
	case OPT_TIMEOUT:
		opt->timeout_s = (unsigned int)parse_number(optarg);
		break;
	case 'p':
		opt->provider = optarg;
		break;
	case 'f':
		opt->fabric = optarg;
		break;
	case 'd':
		opt->domain = optarg;
		break;
	case 's':
		opt->source = optarg;
		break;
	case 'P':
		opt->port = (unsigned short)parse_number(optarg);
		break;
	}
}

static void take_option(struct ft *ft, int c)
{
	struct ft_options *opt = &ft->opt;

	if (c < 256 && !takes(ft->program, c))
		ft_fail("%s: an option without effect here; -h lists the rest",
			ft->program->name);
	switch (c) {
	case 'v':
		opt->verbose = true;
		break;
	case 'm':
		opt->tagged = parse_tagged(optarg);
		break;
	case 'S':
		parse_sizes(opt, optarg);
		break;
	case 'i':
		opt->iterations = parse_number(optarg);
		break;
	case 'n':
	case 'C':
		opt->count = parse_number(optarg);
		break;
	case 'W':
		opt->window = parse_number(optarg);
		break;
	case 'O':
		opt->only = optarg;
		break;
	case 'X':
		opt->skip = optarg;
		break;
	case 'M':
		opt->max = parse_number(optarg);
		break;
	case 'R':
		opt->seed = parse_number(optarg);
		break;
	case 'w':
		opt->wait = parse_wait(optarg);
		break;
	case 'V':
		opt->verify = true;
		break;
	case 'D':
		opt->dist = true;
		break;
	case 'N':
		opt->no_delivery = true;
		break;
	case 'U':
		opt->unreadable = true;
		break;
	case 'A':
		opt->automatic = true;
		break;
	case 'T':
		opt->timeline = optarg;
		break;
	case 'h':
		usage(ft->program);
	default:
		take_pair_option(opt, c);
	}
}

bool ft_chosen(const struct ft_options *opt, const char *name)
{
	return (!opt->only || has_word(name, opt->only)) &&
	       !(opt->skip && has_word(name, opt->skip));
}

size_t ft_largest(const struct ft_options *opt)
{
	size_t max = 1;

	for (size_t i = 0; i < opt->nsizes; i++)
		max = opt->size[i] > max ? opt->size[i] : max;
	return max;
}

void ft_options_parse(struct ft *ft, int argc, char **argv)
{
	struct ft_options *opt = &ft->opt;
	int c;

	*opt = (struct ft_options){
		.port = 47600,
		.timeout_s = 60,
		.seed = 1,
		.tagged = !ft->program->msg,
		.count = ft->program->count,
		.window = ft->program->window,
		.max = ft->program->max ? ft->program->max : 4u << 20,
	};
	parse_sizes(opt, ft->program->sizes);
	while ((c = getopt_long(argc, argv, "p:f:d:s:P:vm:S:i:n:W:w:h",
				long_options, NULL)) != -1) {
		if (c == '?')
			ft_fail("%s -h lists the options", ft->program->name);
		take_option(ft, c);
	}
	if (optind < argc)
		opt->server = argv[optind++];
	if (optind < argc)
		ft_fail("one address, not more: %s", argv[optind]);
	if (ft->program->single && (opt->listen || opt->server))
		ft_fail("%s has no peer: neither --server nor an address",
			ft->program->name);
	if (opt->listen && opt->server)
		ft_fail("either --server or the address of one");
	if (!opt->listen && !opt->server)
		opt->fork = true;
	if (opt->fork && (opt->listen || opt->server))
		ft_fail("--fork runs both sides: no --server and no address");
}
