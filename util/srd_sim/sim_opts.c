/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_opts.c - the command line, as a table
 */
#include "sim_opts.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"

enum opt_kind { OPT_NUMBER, OPT_REAL, OPT_WORD, OPT_TEXT, OPT_FLAG };

struct opt {
	const char *name;
	enum opt_kind kind;
	size_t at; /* in struct sim_opts */
	double min, max; /* NUMBER, REAL */
	const char *const *words; /* WORD: in the order of their values */
	const char *scenes; /* for which it is; NULL: all */
	const char *help;
};

static const char *const engines[] = { "all", "srd", "blind", "tcp", NULL };
static const char *const shapes[] = { "default", "leaf-spine", "fat-tree",
				      "star", NULL };

#define DRAWN "d1 d2 d3 d4 d5 perm incast" /* not made up by a seed */

#define AT(field) offsetof(struct sim_opts, field)

static const struct opt opts[] = {
	{ "hosts", OPT_NUMBER, AT(hosts), 1, 8192, NULL, "perm incast",
	  "hosts; incast: that send" },
	{ "gbps", OPT_REAL, AT(gbps), 1, 1600, NULL, DRAWN,
	  "speed of hosts' links" },
	{ "paths", OPT_NUMBER, AT(paths), 1, 64, NULL, DRAWN,
	  "entropy values of an engine" },
	{ "size", OPT_NUMBER, AT(size), 16, 1 << 30, NULL, DRAWN,
	  "bytes of a flow; k and M are 1024 and its square" },
	{ "mtu", OPT_NUMBER, AT(mtu), 512, 9000, NULL, DRAWN,
	  "bytes of an engine's packet with its headers" },
	{ "queue", OPT_NUMBER, AT(queue), 2048, 1 << 30, NULL, DRAWN,
	  "bytes of each output queue of a switch" },
	{ "rtt-us", OPT_REAL, AT(rtt_us), 0.1, 100000, NULL, DRAWN,
	  "propagation to the farthest host and back" },
	{ "rounds", OPT_NUMBER, AT(rounds), 1, 1e6, NULL, "d1 d2 d4",
	  "times that each flow is repeated" },
	{ "ms", OPT_REAL, AT(ms), 0.1, 60000, NULL, "d3", "simulated time" },
	{ "seed", OPT_NUMBER, AT(seed), 0, 1e18, NULL, NULL,
	  "of all that is random; default 1" },
	{ "seeds", OPT_NUMBER, AT(seeds), 1, 1e9, NULL, "random",
	  "so many, from --seed on" },
	{ "oversub", OPT_NUMBER, AT(oversub), 1, 64, NULL, "perm",
	  "bandwidth of a leaf's hosts by that of its spines" },
	{ "slow", OPT_NUMBER, AT(slow), 1, 64, NULL, "perm",
	  "spines that run at a quarter of their speed" },
	{ "receivers", OPT_NUMBER, AT(receivers), 1, 4096, NULL,
	  "d1 d2 d3 incast", "endpoints of the receiving host" },
	{ "engine", OPT_WORD, AT(engine), 0, 0, engines, DRAWN,
	  "what carries flows" },
	{ "topo", OPT_WORD, AT(shape), 0, 0, shapes, "perm incast", "network" },
	{ "csv", OPT_TEXT, AT(csv), 0, 0, NULL, NULL, "file for the table" },
	{ "svg", OPT_TEXT, AT(svg), 0, 0, NULL, DRAWN, "file for the plot" },
	{ "progress", OPT_FLAG, AT(progress), 0, 0, NULL, NULL,
	  "a progress bar even if stderr is no terminal" },
	{ "verbose", OPT_FLAG, AT(verbose), 0, 0, NULL, NULL,
	  "counters of the engines, on stderr" },
};

void sim_opts_help(void)
{
	const struct opt *o;
	char left[64];
	size_t i, w;

	for (i = 0; i < u_array_size(opts); i++) {
		o = &opts[i];
		snprintf(left, sizeof(left), "--%s%s", o->name,
			 o->kind == OPT_FLAG ? "" :
			 o->kind == OPT_TEXT ? " FILE" :
			 o->kind == OPT_WORD ? " WORD" :
					       " N");
		printf("  %-16s %s", left, o->help);
		if (o->scenes && strcmp(o->scenes, DRAWN))
			printf(" [%s]", o->scenes);
		for (w = 0; o->words && o->words[w]; w++)
			printf("%s%s", w ? ", " : ": ", o->words[w]);
		if (o->kind == OPT_NUMBER || o->kind == OPT_REAL)
			printf(" (%.10g..%.10g)", o->min, o->max);
		printf("\n");
	}
}

static const struct opt *find(const char *name)
{
	size_t i;

	for (i = 0; i < u_array_size(opts); i++)
		if (!strcmp(opts[i].name, name))
			return &opts[i];
	return NULL;
}

static int wrong_number(const struct opt *o, const char *text)
{
	fprintf(stderr, "srd_sim: --%s %s: a number from %.16g to %.16g\n",
		o->name, text, o->min, o->max);
	return SIM_EXIT_USAGE;
}

/* Digits, and k or M behind them. */
static int read_number(const struct opt *o, const char *text, uint64_t *out)
{
	unsigned long long n, unit = 1;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 'k' || *end == 'K')
		unit = 1024;
	else if (*end == 'M')
		unit = 1024 * 1024;
	if (unit > 1)
		end++;
	if (errno || end == text || *end || *text == '-' ||
	    (double)n * (double)unit < o->min ||
	    (double)n * (double)unit > o->max)
		return wrong_number(o, text);
	*out = n * unit;
	return -1;
}

static int read_real(const struct opt *o, const char *text, double *out)
{
	char *end;
	double x;

	errno = 0;
	x = strtod(text, &end);
	if (errno || end == text || *end || !(x >= o->min && x <= o->max))
		return wrong_number(o, text);
	*out = x;
	return -1;
}

static int read_word(const struct opt *o, const char *text, unsigned int *out)
{
	unsigned int i;

	for (i = 0; o->words[i]; i++) {
		if (strcmp(o->words[i], text))
			continue;
		*out = i;
		return -1;
	}
	fprintf(stderr, "srd_sim: --%s %s: one of", o->name, text);
	for (i = 0; o->words[i]; i++)
		fprintf(stderr, " %s", o->words[i]);
	fprintf(stderr, "\n");
	return SIM_EXIT_USAGE;
}

static int read_value(const struct opt *o, const char *text, void *field)
{
	switch (o->kind) {
	case OPT_NUMBER:
		return read_number(o, text, field);
	case OPT_REAL:
		return read_real(o, text, field);
	case OPT_WORD:
		return read_word(o, text, field);
	case OPT_TEXT:
		*(const char **)field = text;
		return -1;
	case OPT_FLAG:
		break;
	}
	return -1;
}

/* --name value or --name=value; *i moves over what was taken. */
static int read_option(int argc, char **argv, int *i, struct sim_opts *out)
{
	char name[32] = "";
	const char *eq = strchr(argv[*i], '='), *text = NULL;
	const struct opt *o;

	snprintf(name, sizeof(name), "%.*s",
		 eq ? (int)(eq - argv[*i] - 2) : (int)sizeof(name) - 1,
		 argv[*i] + 2);
	o = find(name);
	if (!o) {
		fprintf(stderr, "srd_sim: no option %s; --help lists them\n",
			argv[*i]);
		return SIM_EXIT_USAGE;
	}
	out->given |= 1u << (o - opts);
	if (o->kind == OPT_FLAG && !eq) {
		*(bool *)((char *)out + o->at) = true;
		return -1;
	}
	if (o->kind != OPT_FLAG)
		text = eq ? eq + 1 : *i + 1 < argc ? argv[++*i] : NULL;
	if (!text) {
		fprintf(stderr, "srd_sim: --%s %s\n", o->name,
			o->kind == OPT_FLAG ? "takes no value" :
					      "wants a value");
		return SIM_EXIT_USAGE;
	}
	return read_value(o, text, (char *)out + o->at);
}

int sim_opts_read(int argc, char **argv, struct sim_opts *o, const char **scene)
{
	int i, rc;

	_Static_assert(sizeof(enum sim_engine) == sizeof(unsigned int),
		       "read_word writes enums");
	*o = (struct sim_opts){ .seed = 1, .seeds = 1 };
	*scene = NULL;
	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2)) {
			rc = read_option(argc, argv, &i, o);
			if (rc >= 0)
				return rc;
		} else if (*scene) {
			fprintf(stderr, "srd_sim: %s: one scenario only\n",
				argv[i]);
			return SIM_EXIT_USAGE;
		} else {
			*scene = argv[i];
		}
	}
	return -1;
}

/* Is word among the words of list? */
static bool among(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *at = list;

	for (; (at = strstr(at, word)); at += len)
		if ((at == list || at[-1] == ' ') &&
		    (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

int sim_opts_check(const struct sim_opts *o, const char *scene)
{
	const struct opt *opt;
	size_t i;

	for (i = 0; i < u_array_size(opts); i++) {
		opt = &opts[i];
		if (!(o->given >> i & 1) || !opt->scenes ||
		    among(opt->scenes, scene))
			continue;
		fprintf(stderr, "srd_sim: --%s is not for %s but for %s\n",
			opt->name, scene, opt->scenes);
		return SIM_EXIT_USAGE;
	}
	return -1;
}
