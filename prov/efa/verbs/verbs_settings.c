/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_settings.c - the variables FI_EFA_* that concern the nic
 *
 * They are those of the libfabric provider, with the same names and ranges, so
 * that a user sets them once. A value that cannot be used is one warning and
 * the default.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "util/u_log.h"
#include "util/u_time.h"
#include "verbs_priv.h"

static void setting_bad(const char *name, const char *text)
{
	u_warn("%s=%s cannot be used and is ignored; efa-soft-verbs(1) says "
	       "what is allowed",
	       name, text);
}

/* A number with K, M or G behind it, within min..max; else def. */
static uint64_t setting_number(const char *name, uint64_t min, uint64_t max,
			       uint64_t def)
{
	static const char units[] = "KMG";
	const char *text = getenv(name);
	const char *unit = NULL;
	uint64_t n;
	char *end;
	int shift = 0;

	if (!text || !*text)
		return def;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (*end)
		unit = strchr(units, *end & ~0x20);
	if (unit && *unit && !end[1]) {
		shift = 10 * (int)(unit - units + 1);
		end++;
	}
	if (text[0] < '0' || text[0] > '9' || errno || *end ||
	    n > UINT64_MAX >> shift || n << shift < min || n << shift > max) {
		setting_bad(name, text);
		return def;
	}
	return n << shift;
}

static bool setting_bool(const char *name, bool def)
{
	static const char *const words[][2] = { { "0", "1" },
						{ "no", "yes" },
						{ "false", "true" },
						{ "off", "on" } };
	const char *text = getenv(name);

	if (!text || !*text)
		return def;
	for (size_t i = 0; i < u_array_size(words); i++)
		for (int value = 0; value < 2; value++)
			if (!strcasecmp(text, words[i][value]))
				return value;
	setting_bad(name, text);
	return def;
}

static void setting_ports(struct nic_config *config)
{
	const char *text = getenv("FI_EFA_PORT_RANGE");
	unsigned int lo, hi;
	int used = 0;

	if (!text || !*text)
		return;
	if (sscanf(text, "%5u-%5u%n", &lo, &hi, &used) != 2 || text[used] ||
	    !lo || lo > hi || hi > UINT16_MAX) {
		setting_bad("FI_EFA_PORT_RANGE", text);
		return;
	}
	config->port_min = (uint16_t)lo;
	config->port_max = (uint16_t)hi;
}

/* --- log lines --- */

static void log_all(enum u_log_level level, const char *line)
{
	fprintf(stderr, "efa-soft-verbs: %s%s\n",
		level == U_LOG_WARN ? "warning: " : "", line);
}

/* Warnings are told in any case. */
void verbs_settings_log(void)
{
	const char *level = getenv("FI_LOG_LEVEL");

	if (level &&
	    (!strcasecmp(level, "info") || !strcasecmp(level, "debug")))
		u_log_set_sink(log_all);
}

void verbs_settings(struct nic_config *config)
{
	const char *dir = getenv("FI_EFA_SHM_DIR");
	uint64_t lane =
		setting_number("FI_EFA_LANE_SIZE", 32u << 10, 16u << 20, 0);

	if (lane & (lane - 1)) {
		setting_bad("FI_EFA_LANE_SIZE", getenv("FI_EFA_LANE_SIZE"));
		lane = 0;
	}
	*config = (struct nic_config){
		.shm_dir = dir && *dir ? dir : NULL,
		.lane_bytes = (uint32_t)lane,
		.no_cma = !setting_bool("FI_EFA_USE_CMA", true),
		.no_shm = !setting_bool("FI_EFA_ENABLE_SHM_TRANSFER", true),
		.paths = (uint32_t)setting_number("FI_EFA_PATHS", 1, 64, 0),
		.socket_buffer = (uint32_t)setting_number(
			"FI_EFA_SOCKET_BUFFER", 64u << 10, 1u << 30, 0),
		.peer_timeout = U_MSEC * setting_number("FI_EFA_PEER_TIMEOUT",
							100, 3600000, 0),
		.check_all = setting_bool("FI_EFA_CHECKSUM", false),
		.fault = getenv("FI_EFA_FAULT"),
	};
	setting_ports(config);
}
