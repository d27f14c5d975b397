/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ini.c - where libfabric enters: fi_prov_ini
 */
#include "fi/efa.h"

#include "fi/efa_settings.h"
#include "util/u_log.h"

/*
 * Of two providers with one name libfabric shows the one with the higher
 * version; some libfabrics have an "efa" of their own, with 206.0 and the
 * like. Open MPI's one-sided transport wants 112.0 at least.
 */
#define PROV_VERSION FI_VERSION(1000, 1)

static void cleanup(void)
{
	efa_info_free();
	efa_settings_free();
	u_log_set_sink(NULL);
}

/* libfabric writes into it: it must not be const. */
struct fi_provider efa_prov = {
	.version = PROV_VERSION,
	.fi_version = EFA_FI_VERSION,
	.name = "efa",
	.getinfo = efa_getinfo,
	.fabric = efa_fabric_open,
	.cleanup = cleanup,
};

static void log_sink(enum u_log_level level, const char *line)
{
	static const enum fi_log_level levels[] = {
		[U_LOG_WARN] = FI_LOG_WARN,
		[U_LOG_INFO] = FI_LOG_INFO,
		[U_LOG_DEBUG] = FI_LOG_DEBUG,
	};

	FI_LOG(&efa_prov, levels[level], FI_LOG_CORE, "%s\n", line);
}

FI_EXT_INI
{
	/*
	 * libfabric hides a provider from programs that ask for a newer
	 * interface than fi_version, and a provider that claims to be newer
	 * than its libfabric would be lying.
	 */
	if (FI_VERSION_LT(fi_version(), EFA_FI_VERSION))
		efa_prov.fi_version = fi_version();
	u_log_set_sink(log_sink);
	efa_settings_load(&efa_prov);
	return &efa_prov;
}
