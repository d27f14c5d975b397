/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_iface_test.c - interfaces, the default route, gids as addresses
 */
#include "nic_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "nic/nic_gid.h"
#include "nic/nic_route.h"
#include "util/u_log.h"

static unsigned int warnings;
static char last[512];

static void keep_line(enum u_log_level level, const char *line)
{
	warnings += level == U_LOG_WARN;
	strncpy(last, line, sizeof(last) - 1);
}

static int keep_log(void **state)
{
	(void)state;
	warnings = 0;
	last[0] = 0;
	u_log_set_sink(keep_line);
	return 0;
}

static void nic_route_parse__v4_default(void **state)
{
	char name[64];
	unsigned int metric = 1;

	(void)state;
	assert_true(nic_route_parse(
		false,
		"eth0\t00000000\t010200C0\t0003\t0\t0\t7\t00000000\t0\t0\t0",
		name, sizeof(name), &metric));
	assert_string_equal(name, "eth0");
	assert_int_equal(metric, 7);
}

static void nic_route_parse__v4_others(void **state)
{
	static const char *const line[] = {
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask",
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
		"eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0",
		"eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0",
		"*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0",
		"eth0\t00000000",
		"",
	};
	char name[64] = "kept";
	unsigned int metric = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++)
		assert_false(nic_route_parse(false, line[i], name, sizeof(name),
					     &metric));
	assert_string_equal(name, "kept");
}

#define ZERO "00000000000000000000000000000000"

static void nic_route_parse__v6(void **state)
{
	char name[64];
	unsigned int metric;

	(void)state;
	assert_true(nic_route_parse(
		true,
		ZERO " 00 " ZERO " 00 fd000000000000000000000000000001 "
		     "00000400 00000001 00000000 00000003 eth1",
		name, sizeof(name), &metric));
	assert_string_equal(name, "eth1");
	assert_int_equal(metric, 0x400);
	assert_false(nic_route_parse(true,
				     ZERO
				     " 00 " ZERO " 00 " ZERO
				     " ffffffff 00000001 00000000 00200200 lo",
				     name, sizeof(name), &metric));
	assert_false(nic_route_parse(
		true,
		"fe800000000000000000000000000000 40 " ZERO " 00 " ZERO
		" 00000100 00000001 00000000 00000001 eth1",
		name, sizeof(name), &metric));
}

static void nic_gid_sockaddr__round_trip(void **state)
{
	static const uint8_t v4[16] = { [10] = 0xff, [11] = 0xff, 10, 1, 2, 3 };
	static const uint8_t v6[16] = { 0xfd, [15] = 9 };
	struct sockaddr_storage ss;
	char text[NIC_GID_TEXT];
	uint8_t gid[16];

	(void)state;
	assert_int_equal(nic_gid_sockaddr(v4, 5, &ss),
			 sizeof(struct sockaddr_in));
	assert_true(nic_gid_from((struct sockaddr *)&ss, gid));
	assert_memory_equal(gid, v4, 16);
	assert_string_equal(nic_gid_text(v4, text), "10.1.2.3");
	assert_int_equal(nic_gid_sockaddr(v6, 5, &ss),
			 sizeof(struct sockaddr_in6));
	assert_true(nic_gid_from((struct sockaddr *)&ss, gid));
	assert_memory_equal(gid, v6, 16);
	assert_string_equal(nic_gid_text(v6, text), "fd00::9");
	ss.ss_family = AF_UNIX;
	assert_false(nic_gid_from((struct sockaddr *)&ss, gid));
}

static void nic_list__loopback_by_both_names(void **state)
{
	static const uint8_t gid[16] = {
		[10] = 0xff, [11] = 0xff, 127, [15] = 1
	};
	struct nic_info *list;

	(void)state;
	assert_int_equal(nic_list("lo", &list), 1);
	assert_string_equal(list[0].ifname, "lo");
	assert_string_equal(list[0].name, "soft_lo");
	assert_memory_equal(list[0].gid, gid, 16);
	assert_true(list[0].link_mtu >= 1280);
	free(list);
	assert_int_equal(nic_list("soft_lo", &list), 1);
	free(list);
	assert_int_equal(nic_list(" lo,, soft_lo ,", &list), 1);
	free(list);
}

static void nic_list__default_is_one(void **state)
{
	struct nic_info *list, *empty;

	(void)state;
	assert_int_equal(nic_list(NULL, &list), 1);
	assert_int_equal(nic_list("", &empty), 1);
	assert_string_equal(list[0].name, empty[0].name);
	assert_true(nic_gid_is_set(list[0].gid));
	free(list);
	free(empty);
	assert_int_equal(warnings, 0);
}

static void nic_list__all_has_each_once(void **state)
{
	struct nic_info *list;
	int n, loopback = 0;

	(void)state;
	n = nic_list("all", &list);
	assert_true(n >= 1);
	for (int i = 0; i < n; i++) {
		loopback += !strcmp(list[i].ifname, "lo");
		assert_true(nic_gid_is_set(list[i].gid));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(list[i].name, list[j].name);
	}
	assert_int_equal(loopback, 1);
	assert_string_equal(list[n - 1].ifname, "lo");
	free(list);
}

static void nic_list__unknown_name(void **state)
{
	struct nic_info *list = (void *)1;

	(void)state;
	assert_int_equal(nic_list("lo,nosuch0", &list), -ENODEV);
	assert_ptr_equal(list, (void *)1);
	assert_int_equal(warnings, 1);
	assert_non_null(strstr(last, "\"nosuch0\""));
	assert_non_null(strstr(last, " lo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nic_route_parse__v4_default),
		cmocka_unit_test(nic_route_parse__v4_others),
		cmocka_unit_test(nic_route_parse__v6),
		cmocka_unit_test(nic_gid_sockaddr__round_trip),
		cmocka_unit_test(nic_list__loopback_by_both_names),
		cmocka_unit_test_setup(nic_list__default_is_one, keep_log),
		cmocka_unit_test(nic_list__all_has_each_once),
		cmocka_unit_test_setup(nic_list__unknown_name, keep_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
