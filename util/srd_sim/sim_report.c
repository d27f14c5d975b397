/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_report.c - tables, pass lines, CSV, and how far we are
 */
#include "sim_report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim_mem.h"

#define BAR 40 /* characters */

static void bar_off(struct sim_report *r)
{
	if (r->bar)
		fprintf(stderr, "\r%*s\r", BAR + 36, "");
	r->bar = false;
}

void sim_report_progress(struct sim_report *r, double part, const char *what)
{
	int full = (int)(part * BAR);
	char bar[BAR + 1];

	if (!r->opts->progress && !isatty(STDERR_FILENO))
		return;
	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)(full < 0 ? 0 : full > BAR ? BAR : full));
	bar[BAR] = '\0';
	fprintf(stderr, "\r[%s] %3.0f%% %-26.26s", bar, part * 100, what);
	r->bar = true;
}

/* --- tables --- */

static void add_row(struct sim_report *r, char *text)
{
	r->row = sim_mem_grow(r->row, r->nrows + 1, sizeof(*r->row));
	r->row[r->nrows++] = text;
}

static char *text_of(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		return sim_mem_get(1, 1);
	return text;
}

void sim_report_table(struct sim_report *r, const char *columns)
{
	const char *c;

	assert(!r->nrows);
	r->ncolumns = 1;
	for (c = columns; *c; c++)
		r->ncolumns += *c == '|';
	assert(r->ncolumns <= SIM_COLUMNS_MAX);
	add_row(r, strdup(columns));
}

void sim_report_row(struct sim_report *r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add_row(r, text_of(format, args));
	va_end(args);
}

/* Field i of a row, and its length. */
static const char *field(const char *row, uint32_t i, int *len)
{
	while (i-- && *row)
		row = strchrnul(row, '|') + 1;
	*len = (int)(strchrnul(row, '|') - row);
	return row;
}

static void print_row(const struct sim_report *r, const char *row,
		      const int *width)
{
	const char *text;
	uint32_t i;
	int len;

	for (i = 0; i < r->ncolumns; i++) {
		text = field(row, i, &len);
		if (i == 0)
			printf("  %.*s%*s", len, text, width[i] - len, "");
		else
			printf("  %*s%.*s", width[i] - len, "", len, text);
	}
	printf("\n");
}

static void add_csv(struct sim_report *r)
{
	uint32_t i;
	const char *c;

	for (i = r->headed ? 1 : 0; i < r->nrows; i++) {
		for (c = r->row[i]; *c; c++)
			fputc(*c == '|' ? ',' : *c, r->csv);
		fputc('\n', r->csv);
	}
	r->headed = true;
}

static void free_lines(char **line, uint32_t *n)
{
	while (*n)
		free(line[--*n]);
}

void sim_report_print(struct sim_report *r)
{
	int width[SIM_COLUMNS_MAX] = { 0 }, len;
	uint32_t i, c;

	bar_off(r);
	for (i = 0; i < r->nrows; i++) {
		for (c = 0; c < r->ncolumns; c++) {
			field(r->row[i], c, &len);
			if (len > width[c])
				width[c] = len;
		}
	}
	for (i = 0; i < r->nrows; i++)
		print_row(r, r->row[i], width);
	for (i = 0; i < r->nlines; i++)
		printf("%s\n", r->line[i]);
	if (r->csv)
		add_csv(r);
	free_lines(r->row, &r->nrows);
	free_lines(r->line, &r->nlines);
	fflush(stdout);
}

void sim_report_pass(struct sim_report *r, bool met, const char *format, ...)
{
	char *text, *line = NULL;
	va_list args;

	va_start(args, format);
	text = text_of(format, args);
	va_end(args);
	if (asprintf(&line, "  %s %s", met ? "met   " : "MISSED", text) < 0)
		line = sim_mem_get(1, 1);
	free(text);
	r->line = sim_mem_grow(r->line, r->nlines + 1, sizeof(*r->line));
	r->line[r->nlines++] = line;
}

/* --- plots --- */

void sim_report_plot(struct sim_report *r, const char *title,
		     const char *x_name, const char *y_name, bool x_log,
		     bool y_log)
{
	r->title = title;
	r->x_name = x_name;
	r->y_name = y_name;
	r->x_log = x_log;
	r->y_log = y_log;
}

uint32_t sim_report_series(struct sim_report *r, bool dashed,
			   const char *format, ...)
{
	struct sim_series *s = &r->series[r->nseries];
	va_list args;

	assert(r->nseries < SIM_SERIES_MAX);
	va_start(args, format);
	vsnprintf(s->name, sizeof(s->name), format, args);
	va_end(args);
	s->dashed = dashed;
	return r->nseries++;
}

void sim_report_point(struct sim_report *r, uint32_t series, double x, double y)
{
	struct sim_series *s = &r->series[series];

	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->xy = sim_mem_grow(s->xy, s->room, 2 * sizeof(*s->xy));
	}
	s->xy[2 * s->n] = x;
	s->xy[2 * s->n + 1] = y;
	s->n++;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void sim_report_cdf(struct sim_report *r, uint32_t series, double *values,
		    uint32_t n)
{
	uint32_t i, step = n / 500 + 1;

	qsort(values, n, sizeof(*values), by_value);
	for (i = 0; i < n; i++)
		if (i % step == 0 || i + step > n)
			sim_report_point(r, series, values[i],
					 (i + 1) / (double)n);
}

static int open_file(const char *name, FILE **out)
{
	if (!name)
		return -1;
	*out = fopen(name, "w");
	if (*out)
		return -1;
	fprintf(stderr, "srd_sim: %s: %s\n", name, strerror(errno));
	return SIM_EXIT_USAGE;
}

int sim_report_begin(struct sim_report *r, const struct sim_opts *o)
{
	int rc;

	*r = (struct sim_report){ .opts = o };
	rc = open_file(o->csv, &r->csv);
	return rc < 0 ? open_file(o->svg, &r->svg) : rc;
}

void sim_report_end(struct sim_report *r)
{
	uint32_t i;

	assert(!r->nrows && !r->nlines);
	bar_off(r);
	if (r->csv)
		fclose(r->csv);
	if (r->svg && r->title)
		sim_plot_write(r, r->svg);
	if (r->svg)
		fclose(r->svg);
	for (i = 0; i < r->nseries; i++)
		free(r->series[i].xy);
	free(r->row);
	free(r->line);
}
