/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_plot.c - a plot as plain SVG: axes with units, lines, a legend
 */
#include "sim_report.h"

#include <math.h>

#define WIDTH 900
#define HEIGHT 520
#define LEFT 80
#define RIGHT 220 /* with the legend */
#define TOP 50
#define BOTTOM 60
#define TICKS 6

struct axis {
	double min, max;
	bool log;
	double from, to; /* pixels */
};

static const char *const color[SIM_SERIES_MAX] = {
	"#1f6fb4", "#d1495b", "#2e933c", "#8e5ea2", "#e08e1b", "#3b3b3b",
	"#17a2a2", "#a0522d", "#7a7a7a", "#c23b9b", "#6b8e23", "#4b5fd0",
};

static double place(const struct axis *a, double v)
{
	double min = a->min, max = a->max;

	if (a->log) {
		v = log10(fmax(v, a->min));
		min = log10(min);
		max = log10(max);
	}
	return a->from + (v - min) / (max - min) * (a->to - a->from);
}

static struct axis axis_of(const struct sim_report *r, int which, bool logs,
			   double from, double to)
{
	struct axis a = { INFINITY, -INFINITY, logs, from, to };
	uint32_t s, i;
	double v;

	for (s = 0; s < r->nseries; s++) {
		for (i = 0; i < r->series[s].n; i++) {
			v = r->series[s].xy[2 * i + which];
			if (logs && v <= 0)
				continue;
			a.min = fmin(a.min, v);
			a.max = fmax(a.max, v);
		}
	}
	if (!(a.min <= a.max)) {
		a.min = logs ? 1 : 0;
		a.max = logs ? 10 : 1;
	}
	if (!logs) {
		a.min = fmin(a.min, 0);
		a.max = a.max > a.min ? a.max * 1.05 : a.min + 1;
	} else {
		a.min = pow(10, floor(log10(a.min)));
		a.max = pow(10, ceil(log10(a.max * 1.0001)));
	}
	return a;
}

/* Round numbers: 1, 2 or 5 times a power of ten apart. */
static double step_of(const struct axis *a)
{
	double raw = (a->max - a->min) / TICKS,
	       unit = pow(10, floor(log10(raw)));

	if (raw / unit > 5)
		return 10 * unit;
	if (raw / unit > 2)
		return 5 * unit;
	return raw / unit > 1 ? 2 * unit : unit;
}

static double next_tick(const struct axis *a, double v)
{
	return a->log ? v * 10 : v + step_of(a);
}

static void draw_x(const struct axis *x, const char *name, FILE *out)
{
	double v, at;

	for (v = x->min; v <= x->max * 1.0001; v = next_tick(x, v)) {
		at = place(x, v);
		fprintf(out,
			"<path d='M%.1f %d V%d' stroke='#ddd'/>"
			"<text x='%.1f' y='%d' text-anchor='middle'>%g</text>\n",
			at, TOP, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 18, v);
	}
	fprintf(out, "<text x='%d' y='%d' text-anchor='middle'>%s</text>\n",
		(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 15, name);
}

static void draw_y(const struct axis *y, const char *name, FILE *out)
{
	double v, at;

	for (v = y->min; v <= y->max * 1.0001; v = next_tick(y, v)) {
		at = place(y, v);
		fprintf(out,
			"<path d='M%d %.1f H%d' stroke='#ddd'/>"
			"<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n",
			LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, v);
	}
	fprintf(out,
		"<text transform='translate(18 %d) rotate(-90)' "
		"text-anchor='middle'>%s</text>\n",
		(TOP + HEIGHT - BOTTOM) / 2, name);
}

static void draw_series(const struct sim_report *r, uint32_t s,
			const struct axis *x, const struct axis *y, FILE *out)
{
	const struct sim_series *line = &r->series[s];
	const char *dash = line->dashed ? " stroke-dasharray='6 4'" : "";
	int at = TOP + 10 + (int)s * 20;
	uint32_t i;

	fprintf(out,
		"<polyline fill='none' stroke='%s' stroke-width='2'%s points='",
		color[s], dash);
	for (i = 0; i < line->n; i++)
		fprintf(out, "%.1f,%.1f ", place(x, line->xy[2 * i]),
			place(y, line->xy[2 * i + 1]));
	fprintf(out,
		"'/>\n<path d='M%d %d h26' stroke='%s' stroke-width='2'%s/>"
		"<text x='%d' y='%d'>%s</text>\n",
		WIDTH - RIGHT + 12, at, color[s], dash, WIDTH - RIGHT + 44,
		at + 4, line->name);
}

void sim_plot_write(const struct sim_report *r, FILE *out)
{
	struct axis x = axis_of(r, 0, r->x_log, LEFT, WIDTH - RIGHT);
	struct axis y = axis_of(r, 1, r->y_log, HEIGHT - BOTTOM, TOP);
	uint32_t s;

	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
		"height='%d' font-family='sans-serif' font-size='12'>\n"
		"<rect width='100%%' height='100%%' fill='white'/>\n"
		"<text x='%d' y='26' font-size='15'>%s</text>\n",
		WIDTH, HEIGHT, LEFT, r->title);
	draw_x(&x, r->x_name, out);
	draw_y(&y, r->y_name, out);
	fprintf(out,
		"<rect x='%d' y='%d' width='%d' height='%d' fill='none' "
		"stroke='black'/>\n",
		LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
	for (s = 0; s < r->nseries; s++)
		draw_series(r, s, &x, &y, out);
	fprintf(out, "</svg>\n");
}
