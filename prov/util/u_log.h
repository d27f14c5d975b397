/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_log.h - log lines of the lower layers, handed to whoever is above
 *
 * The layers below fi/ know no libfabric; fi/ installs a sink once, before
 * any object is opened, that passes the lines to fi_log. Without a sink
 * warnings go to stderr, the rest nowhere. Never called on the data path.
 */
#ifndef U_LOG_H
#define U_LOG_H

#include "util/u_base.h"

enum u_log_level { U_LOG_WARN, U_LOG_INFO, U_LOG_DEBUG };

/* line has no newline; it is the callee's until it returns. */
typedef void (*u_log_sink)(enum u_log_level level, const char *line);

void u_log_set_sink(u_log_sink sink);
void u_log(enum u_log_level level, const char *fmt, ...) U_PRINTF(2, 3);

#define u_warn(...) u_log(U_LOG_WARN, __VA_ARGS__)
#define u_info(...) u_log(U_LOG_INFO, __VA_ARGS__)
#define u_debug(...) u_log(U_LOG_DEBUG, __VA_ARGS__)

#endif
