/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_ud_test.c - RDMA NICs that are no EFA, as a device tells of them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "dev/dev_soft.h"
#include "test/wire/fake_verbs.h"

static int setup(void **state)
{
	(void)state;
	fake_reset(2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake.objects, 0);
	fake_end();
	return 0;
}

static void dev_ud_list__what_the_card_is(void **state)
{
	const struct dev_config config = { .choice = DEV_ONLY_VERBS };
	const struct dev_card *card;
	struct dev_info *list;

	(void)state;
	fake_set_infiniband(&fake.device[1], 3);
	assert_int_equal(dev_ud_list(&config, &list), 2);
	for (int i = 0; i < 2; i++) {
		card = &list[i].card;
		assert_int_equal(list[i].kind, DEV_KIND_UD);
		assert_int_equal(card->vendor, 0x2c9);
		assert_int_equal(card->part, 4119);
		assert_int_equal(card->revision, 2);
		assert_string_equal(card->firmware, "16.35.2000");
	}
	assert_false(list[0].infiniband);
	assert_true(list[1].infiniband);
	/* What peers have to agree on stays ours. */
	assert_int_equal(list[1].version, 0xefa0);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dev_ud_list__what_the_card_is,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
