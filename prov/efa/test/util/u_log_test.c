/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * u_log_test.c - lines that reach the sink, whole or cut
 */
#include "util/u_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char line[1000];
static int level;

static void sink(enum u_log_level l, const char *text)
{
	level = l;
	strcpy(line, text);
}

static int teardown(void **state)
{
	(void)state;
	u_log_set_sink(NULL);
	return 0;
}

static void u_log__formats_into_the_sink(void **state)
{
	(void)state;
	u_log_set_sink(sink);
	u_warn("%s has %d", "port", 7);
	assert_string_equal(line, "port has 7");
	assert_int_equal(level, U_LOG_WARN);
	u_debug("x");
	assert_string_equal(line, "x");
	assert_int_equal(level, U_LOG_DEBUG);
}

static void u_log__long_lines_are_cut(void **state)
{
	char text[900];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	u_log_set_sink(sink);
	u_info("%s", text);
	assert_in_range(strlen(line), 200, 511);
	assert_memory_equal(line, text, strlen(line));
}

static void u_log__without_sink_info_goes_nowhere(void **state)
{
	(void)state;
	line[0] = '\0';
	u_info("not seen");
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(u_log__formats_into_the_sink,
					  teardown),
		cmocka_unit_test_teardown(u_log__long_lines_are_cut, teardown),
		cmocka_unit_test(u_log__without_sink_info_goes_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
