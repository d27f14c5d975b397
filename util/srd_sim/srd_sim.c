/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_sim.c - runs the engine over simulated networks
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_oracle.h"
#include "sim_scene.h"

struct scene {
	const char *name;
	void (*run)(struct sim_run *run);
	const char *what;
};

static const struct scene scenes[] = {
	{ "d1", sim_scene_d1,
	  "48 flows of 4 hosts to one, by size; beside TCP" },
	{ "d2", sim_scene_d2, "the same at 2 MiB: distribution" },
	{ "d3", sim_scene_d3, "the same without end: fair shares" },
	{ "d4", sim_scene_d4,
	  "between two racks with 8 and 16 paths, a background of TCP" },
	{ "d5", sim_scene_d5, "the same, and a link dies, loses or slows" },
	{ "perm", sim_scene_perm,
	  "each host to another, up to 8192; beside recorded figures" },
	{ "incast", sim_scene_incast, "n hosts of 432 to one" },
	{ "random", sim_scene_random,
	  "networks, messages and faults made up by seeds" },
};

static void help(void)
{
	size_t i;

	printf("usage: srd_sim SCENARIO [--OPTION VALUE]...\n\n"
	       "Runs the SRD engine over a simulated network under a virtual "
	       "clock, beside a\nmodel of TCP and beside itself with paths "
	       "taken blindly. Every byte is checked:\nexit 1 means that "
	       "something was lost, doubled, misplaced or early, and the\n"
	       "command to repeat it is printed. A pass line that is missed is "
	       "no error.\n\nscenarios:\n");
	for (i = 0; i < u_array_size(scenes); i++)
		printf("  %-9s %s\n", scenes[i].name, scenes[i].what);
	printf("\noptions, all with defaults of the scenario:\n");
	sim_opts_help();
}

static const struct scene *find(const char *name)
{
	size_t i;

	for (i = 0; i < u_array_size(scenes); i++)
		if (!strcmp(scenes[i].name, name))
			return &scenes[i];
	fprintf(stderr, "srd_sim: no scenario %s; there are", name);
	for (i = 0; i < u_array_size(scenes); i++)
		fprintf(stderr, " %s", scenes[i].name);
	fprintf(stderr, "\n");
	return NULL;
}

/* The command line again, on the heap. */
static char *line_of(int argc, char **argv)
{
	size_t len = 1;
	char *line;
	int i;

	for (i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	line = sim_mem_get(1, len);
	for (i = 0; i < argc; i++) {
		if (i)
			strcat(line, " ");
		strcat(line, argv[i]);
	}
	return line;
}

int main(int argc, char **argv)
{
	struct sim_report report;
	struct sim_opts opts;
	struct sim_run run = { .o = &opts, .r = &report };
	const struct scene *scene;
	const char *name;
	char *line;
	int i, rc;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			help();
			return 0;
		}
	}
	rc = sim_opts_read(argc, argv, &opts, &name);
	if (rc >= 0)
		return rc;
	if (!name) {
		fprintf(stderr, "srd_sim: which scenario? --help lists them\n");
		return SIM_EXIT_USAGE;
	}
	scene = find(name);
	if (!scene)
		return SIM_EXIT_USAGE;
	rc = sim_opts_check(&opts, name);
	if (rc < 0)
		rc = sim_report_begin(&report, &opts);
	if (rc >= 0)
		return rc;
	/*
	 * Engines take tables that they hardly touch. Fresh from the kernel
	 * those cost nothing; reused, calloc would have to clear them.
	 */
	mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	line = line_of(argc, argv);
	sim_oracle_command(line);
	scene->run(&run);
	sim_report_end(&report);
	free(line);
	return 0;
}
