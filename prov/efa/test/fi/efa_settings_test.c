/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_settings_test.c - values good and bad of FI_EFA_* variables
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fi/efa.h"
#include "fi/efa_settings.h"
#include "util/u_log.h"

static char warnings[4096]; /* all of them, one a line */
static int nwarnings, ninfos;

static void sink(enum u_log_level level, const char *line)
{
	if (level == U_LOG_INFO)
		ninfos++;
	if (level != U_LOG_WARN)
		return;
	nwarnings++;
	strncat(warnings, line, sizeof(warnings) - strlen(warnings) - 2);
	strcat(warnings, "\n");
}

static const char *const names[] = {
	"FI_EFA_DEVICE",
	"FI_EFA_IFACE",
	"FI_EFA_SHM_DIR",
	"FI_EFA_PORT_RANGE",
	"FI_EFA_USE_CMA",
	"FI_EFA_LANE_SIZE",
	"FI_EFA_TX_SIZE",
	"FI_EFA_CQ_SIZE",
	"FI_EFA_UNEXPECTED_SIZE",
	"FI_EFA_FEATURES_OFF",
	"FI_EFA_MTU_SIZE",
	"FI_EFA_TXSIZE",
	"FI_EFA_INTER_MIN_READ_MESSAGE_SIZE",
	"FI_EFA_REFUSE_READS",
	"FI_EFA_MR_CACHE_ENABLE",
	"FI_EFA_MR_MAX_CACHED_COUNT",
	"FI_EFA_MR_MAX_CACHED_SIZE",
};

static int setup(void **state)
{
	for (size_t i = 0; i < u_array_size(names); i++)
		unsetenv(names[i]);
	warnings[0] = 0;
	nwarnings = ninfos = 0;
	u_log_set_sink(sink);
	return 0;
}

static int teardown(void **state)
{
	efa_settings_free();
	u_log_set_sink(NULL);
	return 0;
}

/* Loads with one variable set. */
static void load(const char *name, const char *value)
{
	setenv(name, value, 1);
	efa_settings_load(&efa_prov);
}

/* One warning, which names the variable, the value and what is allowed. */
static void assert_warned(const char *name, const char *value,
			  const char *allowed)
{
	assert_int_equal(nwarnings, 1);
	assert_non_null(strstr(warnings, name));
	assert_non_null(strstr(warnings, value));
	assert_non_null(strstr(warnings, allowed));
}

static void load__defaults(void **state)
{
	struct dev_config config;

	efa_settings_load(&efa_prov);
	assert_int_equal(nwarnings, 0);
	assert_int_equal(efa_settings.device, DEV_AUTO);
	assert_int_equal(efa_settings.cq_size, 8192);
	assert_int_equal(efa_settings.medium_max, 65536);
	assert_int_equal(efa_settings.unexpected_max, 64 << 20);
	assert_null(efa_settings.iface);
	efa_settings_dev_config(&config);
	assert_int_equal(config.choice, DEV_AUTO);
	assert_int_equal(config.port_min, 0);
	assert_int_equal(config.port_max, 0);
	assert_false(config.no_cma);
	assert_null(config.shm_dir);
	assert_int_equal(config.refuse_reads, 0);
	assert_false(config.no_mr_cache);
	assert_int_equal(config.mr_cache_count, 0);
}

static void load__lane_size_is_a_power_of_two(void **state)
{
	load("FI_EFA_LANE_SIZE", "100k");
	assert_warned("FI_EFA_LANE_SIZE", "100k", "a power of two");
	assert_int_equal(efa_settings.lane_size, 128 << 10);
}

static void load__reaches_device_config(void **state)
{
	struct dev_config config;

	setenv("FI_EFA_DEVICE", "Soft", 1);
	setenv("FI_EFA_IFACE", "lo,eth0", 1);
	setenv("FI_EFA_SHM_DIR", "/tmp", 1);
	setenv("FI_EFA_PORT_RANGE", "7000-7100", 1);
	setenv("FI_EFA_USE_CMA", "no", 1);
	setenv("FI_EFA_LANE_SIZE", "64k", 1);
	setenv("FI_EFA_REFUSE_READS", "3", 1);
	setenv("FI_EFA_MR_CACHE_ENABLE", "0", 1);
	setenv("FI_EFA_MR_MAX_CACHED_COUNT", "100", 1);
	setenv("FI_EFA_MR_MAX_CACHED_SIZE", "1G", 1);
	efa_settings_load(&efa_prov);
	assert_int_equal(nwarnings, 0);
	efa_settings_dev_config(&config);
	assert_int_equal(config.choice, DEV_ONLY_SOFT);
	assert_string_equal(config.iface, "lo,eth0");
	assert_string_equal(config.shm_dir, "/tmp");
	assert_int_equal(config.port_min, 7000);
	assert_int_equal(config.port_max, 7100);
	assert_true(config.no_cma);
	assert_int_equal(config.lane_bytes, 65536);
	assert_int_equal(config.refuse_reads, 3);
	assert_true(config.no_mr_cache);
	assert_int_equal(config.mr_cache_count, 100);
	assert_int_equal(config.mr_cache_bytes, 1 << 30);
}

static void load__numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "1", 1 },	   { "0x10", 16 },
		{ "2K", 2048 },	   { "3m", 3 << 20 },
		{ "1G", 1 << 30 }, { "18446744073709551615", UINT64_MAX },
	};

	for (size_t i = 0; i < u_array_size(good); i++) {
		load("FI_EFA_INTER_MIN_READ_MESSAGE_SIZE", good[i].text);
		assert_int_equal(nwarnings, 0);
		assert_true(efa_settings.read_min == good[i].value);
	}
}

static void load__bad_number_is_one_warning_and_the_default(void **state)
{
	static const char *const bad[] = {
		"many", "-1",
		"64kB", "12 ",
		" 12",	"1e3",
		"0x",	"K",
		"",	"99999999999999999999999",
		"17G",	"18446744073709551615",
	};

	for (size_t i = 0; i < u_array_size(bad); i++) {
		setup(NULL);
		load("FI_EFA_TX_SIZE", bad[i]);
		assert_warned("FI_EFA_TX_SIZE", bad[i],
			      "a number from 0 to 1048576");
		assert_int_equal(efa_settings.tx_size, 0);
	}
}

static void load__number_below_minimum(void **state)
{
	load("FI_EFA_CQ_SIZE", "0");
	assert_warned("FI_EFA_CQ_SIZE", "0", "from 1");
	assert_int_equal(efa_settings.cq_size, 8192);
}

static void load__overflowing_unit(void **state)
{
	load("FI_EFA_INTER_MIN_READ_MESSAGE_SIZE", "18014398509481985K");
	assert_int_equal(nwarnings, 1);
	assert_int_equal(efa_settings.read_min, 0);
}

static void load__bad_choice(void **state)
{
	load("FI_EFA_DEVICE", "hardware");
	assert_warned("FI_EFA_DEVICE", "hardware", "auto, soft or verbs");
	assert_int_equal(efa_settings.device, DEV_AUTO);
}

static void load__bad_bool(void **state)
{
	load("FI_EFA_USE_CMA", "maybe");
	assert_warned("FI_EFA_USE_CMA", "maybe", "0 or 1");
	assert_int_equal(efa_settings.use_cma, 1);
}

static void load__bad_ports(void **state)
{
	static const char *const bad[] = {
		"7000", "7100-7000", "0-10", "7000-70000", "1-2-3", "a-b", ""
	};

	for (size_t i = 0; i < u_array_size(bad); i++) {
		setup(NULL);
		load("FI_EFA_PORT_RANGE", bad[i]);
		assert_warned("FI_EFA_PORT_RANGE", bad[i], "lo-hi");
		assert_int_equal(efa_settings.port_min, 0);
		assert_int_equal(efa_settings.port_max, 0);
	}
}

static void load__empty_text_is_unset(void **state)
{
	load("FI_EFA_IFACE", "");
	assert_int_equal(nwarnings, 0);
	assert_null(efa_settings.iface);
}

static void load__foreign_variable_is_information(void **state)
{
	load("FI_EFA_MTU_SIZE", "4096");
	assert_int_equal(nwarnings, 0);
	assert_int_equal(ninfos, 1);
}

static void load__misspelt_variable_is_a_warning(void **state)
{
	load("FI_EFA_TXSIZE", "1");
	assert_int_equal(nwarnings, 1);
	assert_non_null(strstr(warnings, "FI_EFA_TXSIZE"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(load__defaults),
		TEST(load__lane_size_is_a_power_of_two),
		TEST(load__reaches_device_config),
		TEST(load__numbers),
		TEST(load__bad_number_is_one_warning_and_the_default),
		TEST(load__number_below_minimum),
		TEST(load__overflowing_unit),
		TEST(load__bad_choice),
		TEST(load__bad_bool),
		TEST(load__bad_ports),
		TEST(load__empty_text_is_unset),
		TEST(load__foreign_variable_is_information),
		TEST(load__misspelt_variable_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
