/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_fault_text_test.c - faults as users write them, well and badly
 */
#include "wire/wire_fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "util/u_base.h"
#include "util/u_time.h"

#define PERCENT 42949673

static struct wire_fault_config parsed(const char *text)
{
	struct wire_fault_config c;
	char why[256] = "";
	int rc = wire_fault_parse(text, &c, why, sizeof(why));

	if (rc)
		print_error("%s: %s\n", text, why);
	assert_int_equal(rc, 0);
	return c;
}

static void wire_fault_parse__reads_everything(void **state)
{
	struct wire_fault_config c =
		parsed("loss=1%,burst=0.1%:16,reorder=10%:300us,dup=2%,"
		       "corrupt=0.5%,delay=20us:5us,black=0+3@2s-5s,"
		       "slow=1+2:5ms@3s-4s,seed=7");

	assert_int_equal(c.loss, PERCENT);
	assert_int_equal(c.burst, 4294967);
	assert_int_equal(c.burst_len, 16);
	assert_int_equal(c.reorder, 429496730);
	assert_int_equal(c.reorder_ns, 300000);
	assert_int_equal(c.duplicate, 85899346);
	assert_int_equal(c.corrupt, 21474836);
	assert_int_equal(c.delay_ns, 20000);
	assert_int_equal(c.jitter_ns, 5000);
	assert_true(c.black.paths == 9);
	assert_true(c.black.from == 2 * U_SEC);
	assert_true(c.black.until == 5 * U_SEC);
	assert_true(c.slow.paths == 6);
	assert_true(c.slow.from == 3 * U_SEC);
	assert_true(c.slow.until == 4 * U_SEC);
	assert_true(c.slow_ns == 5 * U_MSEC);
	assert_int_equal(c.seed, 7);
}

static void wire_fault_parse__reads_any_subset(void **state)
{
	static const struct wire_fault_config none;
	struct wire_fault_config c = parsed("");

	assert_memory_equal(&c, &none, sizeof(c));
	c = parsed("seed=18446744073709551615,burst=1/1000");
	assert_true(c.seed == UINT64_MAX);
	assert_int_equal(c.burst, 4294967);
	assert_int_equal(c.burst_len, 0);
	assert_int_equal(c.loss, 0);
}

static void wire_fault_parse__reads_probabilities(void **state)
{
	assert_int_equal(parsed("loss=1%").loss, PERCENT);
	assert_int_equal(parsed("loss=0.01").loss, PERCENT);
	assert_int_equal(parsed("loss=.01").loss, PERCENT);
	assert_int_equal(parsed("loss=1/100").loss, PERCENT);
	assert_int_equal(parsed("loss=0").loss, 0);
	assert_int_equal(parsed("loss=50%").loss, 1u << 31);
	assert_int_equal(parsed("loss=100%").loss, UINT32_MAX);
	assert_int_equal(parsed("loss=1").loss, UINT32_MAX);
}

static void wire_fault_parse__reads_times(void **state)
{
	assert_true(parsed("delay=7ns").delay_ns == 7);
	assert_true(parsed("delay=1.5us").delay_ns == 1500);
	assert_true(parsed("delay=2ms").delay_ns == 2 * U_MSEC);
	assert_true(parsed("delay=3600s").delay_ns == 3600 * U_SEC);
	assert_true(parsed("delay=2ms").jitter_ns == 0);
}

static void wire_fault_parse__reads_paths(void **state)
{
	struct wire_fault_config c = parsed("black=63@10ms");

	assert_true(c.black.paths == UINT64_C(1) << 63);
	assert_true(c.black.from == 10 * U_MSEC);
	assert_true(c.black.until == 0);
	c = parsed("black=all");
	assert_true(c.black.paths == UINT64_MAX);
	assert_true(c.black.from == 0 && c.black.until == 0);
}

static const struct {
	const char *text;
	const char *word; /* how the message begins */
	const char *right; /* a part of it */
} wrong[] = {
	{ "los=1%", "\"los\" in \"los=1%\": ", "loss, burst, reorder" },
	{ "loss=1%,", "\"\": ", "the faults are" },
	{ ",loss=1%", "\"\": ", "the faults are" },
	{ "loss=1%, dup=1%", "\" dup\" in \" dup=1%\": ", "dup," },
	{ "loss", "\"loss\": ", "loss=..." },
	{ "seed=1,loss=1%,seed=2", "\"seed=2\": ", "before" },
	{ "loss=", "\"\" in \"loss=\": ", "1%, 0.01 or 1/100" },
	{ "loss=150%", "\"150%\" in \"loss=150%\": ", "at most" },
	{ "loss=2", "\"2\" in ", "1%, 0.01 or 1/100" },
	{ "loss=-1%", "\"-1%\" in ", "1%, 0.01 or 1/100" },
	{ "loss=1%%", "\"1%%\" in ", "1%, 0.01 or 1/100" },
	{ "loss=1/0", "\"1/0\" in ", "1/100" },
	{ "loss=0/0", "\"0/0\" in ", "1/100" },
	{ "loss=3/2", "\"3/2\" in ", "1/100" },
	{ "loss=1/", "\"1/\" in ", "1/100" },
	{ "loss=1.", "\"1.\" in ", "1/100" },
	{ "loss=1e-2", "\"1e-2\" in ", "0.01" },
	{ "loss=nan", "\"nan\" in ", "0.01" },
	{ "loss=0.0000000000000001", "\"0.00", "0.01" },
	{ "dup=x", "\"x\" in \"dup=x\": ", "1%" },
	{ "corrupt=x", "\"x\" in \"corrupt=x\": ", "1%" },
	{ "burst=1%:0", "\"0\" in \"burst=1%:0\": ", "16" },
	{ "burst=1%:1.5", "\"1.5\" in ", "in packets" },
	{ "burst=1%:", "\"\" in ", "in packets" },
	{ "burst=x:16", "\"x\" in ", "1%" },
	{ "burst=1%:1000001", "\"1000001\" in ", "1 to 1000000" },
	{ "reorder=10%:300", "\"300\" in ", "ns, us, ms or s" },
	{ "reorder=300us", "\"300us\" in ", "1%" },
	{ "delay=20", "\"20\" in \"delay=20\": ", "ns, us, ms or s" },
	{ "delay=us", "\"us\" in ", "20us" },
	{ "delay=20us:5h", "\"5h\" in ", "20us" },
	{ "delay=20us:5us:1us", "\"5us:1us\" in ", "20us" },
	{ "delay=3601s", "\"3601s\" in ", "at most 3600s" },
	{ "black=64", "\"64\" in \"black=64\": ", "0 to 63" },
	{ "black=", "\"\" in ", "3, 0+3 or all" },
	{ "black=0++3", "\"0++3\" in ", "0+3" },
	{ "black=1+all", "\"1+all\" in ", "0+3" },
	{ "black=1@", "\"\" in \"black=1@\": ", "20us" },
	{ "black=1@2s-", "\"\" in ", "20us" },
	{ "black=1@5s-2s", "\"2s\" in ", "after the start" },
	{ "black=1@-2s", "\"\" in ", "20us" },
	{ "slow=1", "\"1\" in \"slow=1\": ", "5ms" },
	{ "slow=64:5ms", "\"64\" in ", "0 to 63" },
	{ "slow=1:5", "\"5\" in \"slow=1:5\": ", "20us" },
	{ "slow=1@2s", "\"1\" in ", "5ms" },
	{ "slow=1:5ms@", "\"\" in ", "20us" },
	{ "slow=1:5ms@5s-2s", "\"2s\" in ", "after the start" },
	{ "seed=0x7", "\"0x7\" in ", "64 bits" },
	{ "seed=18446744073709551616", "\"1844", "64 bits" },
};

static void wire_fault_parse__names_the_word_that_is_wrong(void **state)
{
	struct wire_fault_config c = { .loss = 99 };
	char why[256];
	size_t i;

	for (i = 0; i < u_array_size(wrong); i++) {
		why[0] = '\0';
		assert_int_equal(wire_fault_parse(wrong[i].text, &c, why,
						  sizeof(why)),
				 -EINVAL);
		if (strncmp(why, wrong[i].word, strlen(wrong[i].word)) ||
		    !strstr(why, wrong[i].right))
			fail_msg("%s: %s", wrong[i].text, why);
	}
	/* Written on success only. */
	assert_int_equal(c.loss, 99);
}

static void wire_fault_parse__message_is_cut_to_its_room(void **state)
{
	struct wire_fault_config c;
	char why[16];
	size_t room;

	for (room = 0; room <= sizeof(why); room++) {
		memset(why, '#', sizeof(why));
		assert_int_equal(wire_fault_parse("loss=150%", &c, why, room),
				 -EINVAL);
		assert_true(!room || memchr(why, '\0', room));
		assert_true(room == sizeof(why) || why[room] == '#');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_fault_parse__reads_everything),
		cmocka_unit_test(wire_fault_parse__reads_any_subset),
		cmocka_unit_test(wire_fault_parse__reads_probabilities),
		cmocka_unit_test(wire_fault_parse__reads_times),
		cmocka_unit_test(wire_fault_parse__reads_paths),
		cmocka_unit_test(
			wire_fault_parse__names_the_word_that_is_wrong),
		cmocka_unit_test(wire_fault_parse__message_is_cut_to_its_room),
	};

	return cmocka_run_group_tests_name("wire_fault_text", tests, NULL,
					   NULL);
}
