/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_module_test.c - the provider as a file that is loaded
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>

#define MODULE "./.libs/libefa-fi.so"

/*
 * At exit libfabric closes its providers, and a program that did not close its
 * endpoints still has threads in ours.
 */
static void dlclose__leaves_the_code_to_its_threads(void **state)
{
	void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);

	(void)state;
	if (!module)
		fail_msg("%s", dlerror());
	assert_int_equal(dlclose(module), 0);
	assert_non_null(dlopen(MODULE, RTLD_NOW | RTLD_NOLOAD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dlclose__leaves_the_code_to_its_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
