/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_report.h - tables, pass lines, CSV, plots, and how far we are
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sim_opts.h"
#include "util/u_base.h"

#define SIM_COLUMNS_MAX 16
#define SIM_SERIES_MAX 12

struct sim_series {
	char name[48];
	double *xy; /* n pairs */
	uint32_t n, room;
	bool dashed; /* something to compare with */
};

struct sim_report {
	const struct sim_opts *opts;
	FILE *csv; /* NULL: none asked for */
	bool headed; /* it has its names of columns */
	char **row; /* fields with | between them; the first names columns */
	uint32_t nrows, ncolumns;
	struct sim_series series[SIM_SERIES_MAX];
	uint32_t nseries;
	FILE *svg; /* NULL: none asked for */
	const char *title, *x_name, *y_name; /* of the plot */
	bool x_log, y_log;
	char **line; /* pass lines, until the table has been printed */
	uint32_t nlines;
	bool bar; /* a progress bar is on the screen */
};

/* Opens the files, so that a wrong name costs no time: returns what to exit
 * with, or -1 to go on. */
int sim_report_begin(struct sim_report *r, const struct sim_opts *o);

/* Begins a table; columns are names with | between them. */
void sim_report_table(struct sim_report *r, const char *columns);
/* A row: as many fields with | between them. */
void sim_report_row(struct sim_report *r, const char *format, ...)
	U_PRINTF(2, 3);
/* Prints the table, adds it to the CSV, prints the pass lines. */
void sim_report_print(struct sim_report *r);
/* One pass line: what is asked for, and what is. */
void sim_report_pass(struct sim_report *r, bool met, const char *format, ...)
	U_PRINTF(3, 4);

void sim_report_plot(struct sim_report *r, const char *title,
		     const char *x_name, const char *y_name, bool x_log,
		     bool y_log);
/* A line of the plot; returns its number. */
uint32_t sim_report_series(struct sim_report *r, bool dashed,
			   const char *format, ...) U_PRINTF(3, 4);
void sim_report_point(struct sim_report *r, uint32_t series, double x,
		      double y);
/* The distribution of n values, sorted in place. */
void sim_report_cdf(struct sim_report *r, uint32_t series, double *values,
		    uint32_t n);

/* [0, 1] of the work is done. */
void sim_report_progress(struct sim_report *r, double part, const char *what);

/* Writes the plot; frees what the report holds. */
void sim_report_end(struct sim_report *r);

/* sim_plot.c */
void sim_plot_write(const struct sim_report *r, FILE *out);

#endif
