/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_text.c - the faults that a user asks for, read from one line
 *
 * The line is a list of items NAME=WORD:WORD; a row of the table says which
 * words a name takes. A word that is wrong is told together with its item and
 * what would be right there. Numbers are read here, not by strtod, which hangs
 * on the locale.
 */
#include "wire/wire_fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/u_base.h"
#include "util/u_time.h"

#define TIME_MAX_S 3600
#define DIGITS_MAX 15 /* a double holds them all */
#define BURST_LEN_MAX 1000000

/* A piece of the text. */
struct span {
	const char *p;
	size_t n;
};

struct reader {
	struct wire_fault_config config; /* as far as it was read */
	struct span item; /* for messages */
	char *why;
	size_t why_len;
};

/* --- pieces ---------------------------------------------------------------- */

static bool span_is(struct span s, const char *text)
{
	return s.n == strlen(text) && !memcmp(s.p, text, s.n);
}

/* Takes what stands before the first c, or all; false: there is no c. */
static bool span_cut(struct span *s, char c, struct span *head)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	*head = *s;
	if (!at) {
		*s = (struct span){ s->p + s->n, 0 };
		return false;
	}
	head->n = (size_t)(at - s->p);
	s->p += head->n + 1;
	s->n -= head->n + 1;
	return true;
}

/* Digits with a point among them or without, at the front of s. */
static bool span_decimal(struct span *s, double *value)
{
	double v = 0, unit = 1;
	bool point = false;
	int digits = 0;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (s->p[i] < '0' || s->p[i] > '9')
			break;
		if (++digits > DIGITS_MAX)
			return false;
		v = v * 10 + (s->p[i] - '0');
		unit *= point ? 10 : 1;
	}
	if (!digits || s->p[i - 1] == '.')
		return false;
	s->p += i;
	s->n -= i;
	*value = v / unit;
	return true;
}

/* All of s is one number without a point, at most max. */
static bool span_whole(struct span s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0, digit;
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		digit = (uint64_t)(s.p[i] - '0');
		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return s.n > 0;
}

/* --- words ----------------------------------------------------------------- */

static int U_PRINTF(3, 4)
	wrong(struct reader *r, struct span word, const char *fmt, ...)
{
	va_list args;
	int n = 0;

	if (!r->why_len)
		return -EINVAL;
	if (word.p != r->item.p || word.n != r->item.n)
		n = snprintf(r->why, r->why_len, "\"%.*s\" in ", (int)word.n,
			     word.p);
	if (n >= 0 && (size_t)n < r->why_len)
		n += snprintf(r->why + n, r->why_len - (size_t)n,
			      "\"%.*s\": ", (int)r->item.n, r->item.p);
	if (n >= 0 && (size_t)n < r->why_len) {
		va_start(args, fmt);
		vsnprintf(r->why + n, r->why_len - (size_t)n, fmt, args);
		va_end(args);
	}
	return -EINVAL;
}

/* 1%, 0.01 or 1/100 */
static int read_probability(struct reader *r, struct span word, uint32_t *value)
{
	struct span s = word;
	double v, of = 1;
	bool good = span_decimal(&s, &v);

	if (good && s.n && s.p[0] == '/') {
		s = (struct span){ s.p + 1, s.n - 1 };
		good = span_decimal(&s, &of) && of > 0;
	} else if (good && span_is(s, "%")) {
		s.n = 0;
		of = 100;
	}
	if (!good || s.n || v > of)
		return wrong(r, word,
			     "a probability is 1%%, 0.01 or 1/100, and at most "
			     "all of 100%%");
	v = v / of * 4294967296.0 + 0.5;
	*value = v >= UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	return 0;
}

static int read_time(struct reader *r, struct span word, uint64_t *value)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} unit[] = {
		{ "ns", 1 },
		{ "us", U_USEC },
		{ "ms", U_MSEC },
		{ "s", U_SEC },
	};
	struct span s = word;
	double v;
	size_t i;

	if (span_decimal(&s, &v))
		for (i = 0; i < u_array_size(unit); i++)
			if (span_is(s, unit[i].name) &&
			    v * (double)unit[i].ns <= TIME_MAX_S * 1e9) {
				*value = (uint64_t)(v * (double)unit[i].ns +
						    0.5);
				return 0;
			}
	return wrong(r, word,
		     "a time is 20us, with ns, us, ms or s, at most %ds",
		     TIME_MAX_S);
}

static int read_length(struct reader *r, struct span word, uint32_t *value)
{
	uint64_t v;

	if (!span_whole(word, BURST_LEN_MAX, &v) || !v)
		return wrong(r, word,
			     "the mean length of a burst is 16, in packets, 1 "
			     "to %d",
			     BURST_LEN_MAX);
	*value = (uint32_t)v;
	return 0;
}

/* all, 3 or 0+3 */
static int read_paths(struct reader *r, struct span word, uint64_t *value)
{
	struct span rest = word, one;
	uint64_t paths = 0, path;
	bool more = true;

	if (span_is(word, "all")) {
		*value = UINT64_MAX;
		return 0;
	}
	while (more) {
		more = span_cut(&rest, '+', &one);
		if (!span_whole(one, 63, &path))
			return wrong(r, word,
				     "paths are 3, 0+3 or all, numbered 0 to "
				     "63");
		paths |= UINT64_C(1) << path;
	}
	*value = paths;
	return 0;
}

/* --- items ----------------------------------------------------------------- */

static int read_loss(struct reader *r, struct span words)
{
	return read_probability(r, words, &r->config.loss);
}

static int read_duplicate(struct reader *r, struct span words)
{
	return read_probability(r, words, &r->config.duplicate);
}

static int read_corrupt(struct reader *r, struct span words)
{
	return read_probability(r, words, &r->config.corrupt);
}

static int read_burst(struct reader *r, struct span words)
{
	struct span first;
	bool more = span_cut(&words, ':', &first);
	int rc = read_probability(r, first, &r->config.burst);

	if (!rc && more)
		rc = read_length(r, words, &r->config.burst_len);
	return rc;
}

static int read_reorder(struct reader *r, struct span words)
{
	struct span first;
	bool more = span_cut(&words, ':', &first);
	int rc = read_probability(r, first, &r->config.reorder);

	if (!rc && more)
		rc = read_time(r, words, &r->config.reorder_ns);
	return rc;
}

static int read_delay(struct reader *r, struct span words)
{
	struct span first;
	bool more = span_cut(&words, ':', &first);
	int rc = read_time(r, first, &r->config.delay_ns);

	if (!rc && more)
		rc = read_time(r, words, &r->config.jitter_ns);
	return rc;
}

/* FROM or FROM-UNTIL */
static int read_when(struct reader *r, struct span words,
		     struct wire_fault_when *when)
{
	struct span from;
	bool ends = span_cut(&words, '-', &from);
	int rc = read_time(r, from, &when->from);

	if (!rc && ends)
		rc = read_time(r, words, &when->until);
	if (!rc && ends && when->until <= when->from)
		rc = wrong(r, words, "the end comes after the start: 2s-5s");
	return rc;
}

/* PATHS, PATHS@FROM or PATHS@FROM-UNTIL */
static int read_black(struct reader *r, struct span words)
{
	struct wire_fault_when *black = &r->config.black;
	struct span paths;
	bool timed = span_cut(&words, '@', &paths);
	int rc = read_paths(r, paths, &black->paths);

	return !rc && timed ? read_when(r, words, black) : rc;
}

/* PATHS:TIME and then as read_black */
static int read_slow(struct reader *r, struct span words)
{
	struct wire_fault_when *slow = &r->config.slow;
	struct span first, paths;
	bool timed = span_cut(&words, '@', &first);
	int rc;

	if (!span_cut(&first, ':', &paths))
		return wrong(r, paths, "a time follows the paths: 0+3:5ms");
	rc = read_paths(r, paths, &slow->paths);
	if (!rc)
		rc = read_time(r, first, &r->config.slow_ns);
	return !rc && timed ? read_when(r, words, slow) : rc;
}

static int read_seed(struct reader *r, struct span words)
{
	if (!span_whole(words, UINT64_MAX, &r->config.seed))
		return wrong(r, words,
			     "a seed is a number of 64 bits, as 7; 0 draws "
			     "one");
	return 0;
}

static const struct row {
	const char *name;
	int (*read)(struct reader *r, struct span words);
} rows[] = {
	{ "loss", read_loss },	     { "burst", read_burst },
	{ "reorder", read_reorder }, { "dup", read_duplicate },
	{ "corrupt", read_corrupt }, { "delay", read_delay },
	{ "black", read_black },     { "slow", read_slow },
	{ "seed", read_seed },
};

/* seen: bit i: row i was there before. */
static int read_item(struct reader *r, uint32_t *seen)
{
	struct span words = r->item, name;
	bool valued = span_cut(&words, '=', &name);
	size_t i;

	for (i = 0; i < u_array_size(rows); i++)
		if (span_is(name, rows[i].name))
			break;
	if (i == u_array_size(rows))
		return wrong(r, name,
			     "the faults are loss, burst, reorder, dup, "
			     "corrupt, delay, black, slow and seed");
	if (!valued)
		return wrong(r, r->item, "a value follows the name: %s=...",
			     rows[i].name);
	if (*seen >> i & 1)
		return wrong(r, r->item, "%s was given before", rows[i].name);
	*seen |= 1u << i;
	return rows[i].read(r, words);
}

int wire_fault_parse(const char *text, struct wire_fault_config *config,
		     char *why, size_t why_len)
{
	struct reader r = { .why = why, .why_len = why_len };
	struct span rest = { text, strlen(text) };
	uint32_t seen = 0;
	bool more = rest.n > 0;
	int rc;

	while (more) {
		more = span_cut(&rest, ',', &r.item);
		rc = read_item(&r, &seen);
		if (rc)
			return rc;
	}
	*config = r.config;
	return 0;
}
