/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_addr_test.c - addresses as bytes and as text
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fi/efa.h"

static const struct dev_addr sample = {
	.gid = { 0xfe, 0x80, [8] = 2, [15] = 1 },
	.qpn = 0x1234,
	.qkey = 0x76543210,
};

static void pack__is_the_documented_layout(void **state)
{
	static const uint8_t expected[EFA_ADDR_LEN] = {
		0xfe,	     0x80,	  [8] = 2,     [15] = 1,    [16] = 0x34,
		[17] = 0x12, [20] = 0x10, [21] = 0x32, [22] = 0x54, [23] = 0x76,
	};
	uint8_t bytes[EFA_ADDR_LEN];

	memset(bytes, 0xff, sizeof(bytes));
	efa_addr_pack(&sample, bytes);
	assert_memory_equal(bytes, expected, sizeof(expected));
}

static void unpack__gives_back_what_was_packed(void **state)
{
	uint8_t bytes[EFA_ADDR_LEN];
	struct dev_addr addr;

	efa_addr_pack(&sample, bytes);
	assert_int_equal(efa_addr_unpack(bytes, &addr), 0);
	assert_memory_equal(addr.gid, sample.gid, sizeof(addr.gid));
	assert_int_equal(addr.qpn, sample.qpn);
	assert_int_equal(addr.qkey, sample.qkey);
}

static void unpack__numbers_have_24_bits(void **state)
{
	struct dev_addr addr = sample;
	uint8_t bytes[EFA_ADDR_LEN];

	addr.qpn = 0xfedcba;
	efa_addr_pack(&addr, bytes);
	assert_int_equal(bytes[16], 0xba);
	assert_int_equal(bytes[18], 0xfe);
	memset(&addr, 0, sizeof(addr));
	assert_int_equal(efa_addr_unpack(bytes, &addr), 0);
	assert_int_equal(addr.qpn, 0xfedcba);
}

static void unpack__refuses_a_missing_gid(void **state)
{
	uint8_t bytes[EFA_ADDR_LEN];
	struct dev_addr addr;

	efa_addr_pack(&sample, bytes);
	memset(bytes, 0, 16);
	assert_int_equal(efa_addr_unpack(bytes, &addr), -FI_EADDRNOTAVAIL);
}

static void unpack__refuses_bytes_that_must_be_zero(void **state)
{
	static const int zeros[] = { 19, 24, 25, 30, 31 };
	uint8_t bytes[EFA_ADDR_LEN];
	struct dev_addr addr;

	for (size_t i = 0; i < u_array_size(zeros); i++) {
		efa_addr_pack(&sample, bytes);
		bytes[zeros[i]] = 1;
		assert_int_equal(efa_addr_unpack(bytes, &addr), -FI_EINVAL);
	}
}

static void text__is_the_documented_form(void **state)
{
	static const char expected[] =
		"fi_addr_efa://[fe80::200:0:0:1]:4660:1985229328";
	char buf[EFA_ADDR_TEXT];

	assert_int_equal(efa_addr_text(&sample, buf, sizeof(buf)),
			 strlen(expected));
	assert_string_equal(buf, expected);
}

static void text__is_cut_but_tells_its_length(void **state)
{
	char buf[12];

	assert_int_equal(efa_addr_text(&sample, buf, sizeof(buf)), 47);
	assert_string_equal(buf, "fi_addr_efa");
}

static void parse_gid__takes_ipv6_and_ipv4(void **state)
{
	static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, 192,
					    0,		 2,	      7 };
	uint8_t gid[16];

	assert_int_equal(efa_addr_parse_gid("fe80::200:0:0:1", gid), 0);
	assert_memory_equal(gid, sample.gid, sizeof(gid));
	assert_int_equal(efa_addr_parse_gid("192.0.2.7", gid), 0);
	assert_memory_equal(gid, mapped, sizeof(gid));
}

static void parse_gid__refuses_names(void **state)
{
	static const char *const bad[] = { "g00n13s", "", "1.2.3", "::1%lo",
					   "localhost" };
	uint8_t gid[16];

	for (size_t i = 0; i < u_array_size(bad); i++)
		assert_int_equal(efa_addr_parse_gid(bad[i], gid), -FI_ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__is_the_documented_layout),
		cmocka_unit_test(unpack__gives_back_what_was_packed),
		cmocka_unit_test(unpack__numbers_have_24_bits),
		cmocka_unit_test(unpack__refuses_a_missing_gid),
		cmocka_unit_test(unpack__refuses_bytes_that_must_be_zero),
		cmocka_unit_test(text__is_the_documented_form),
		cmocka_unit_test(text__is_cut_but_tells_its_length),
		cmocka_unit_test(parse_gid__takes_ipv6_and_ipv4),
		cmocka_unit_test(parse_gid__refuses_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
