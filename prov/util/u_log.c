/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_log.c - the one sink of log lines
 */
#include "util/u_log.h"

#include <stdarg.h>
#include <stdio.h>

static u_log_sink log_sink;

void u_log_set_sink(u_log_sink sink)
{
	log_sink = sink;
}

void u_log(enum u_log_level level, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (log_sink)
		log_sink(level, line);
	else if (level == U_LOG_WARN)
		fprintf(stderr, "efa: %s\n", line);
}
