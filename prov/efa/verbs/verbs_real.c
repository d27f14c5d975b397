/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_real.c - finds the functions that ours stand before
 *
 * A program that is linked with libibverbs has them behind us in the order of
 * the linker. One that opens libibverbs by hand may keep it to itself; then we
 * open it too, which costs nothing as it is loaded.
 */
#include "verbs_real.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static verbs_fn real_open(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
	void *p = handle ? dlsym(handle, name) : NULL;
	verbs_fn fn = NULL;

	memcpy(&fn, &p, sizeof(fn));
	return fn;
}

static verbs_fn real_look(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);
	verbs_fn fn = NULL;

	if (!p)
		return real_open(strncmp(name, "efadv_", 6) ?
					 "libibverbs.so.1" :
					 "libefa.so.1",
				 name);
	memcpy(&fn, &p, sizeof(fn));
	return fn;
}

verbs_fn verbs_real_find(_Atomic(verbs_fn) *known, const char *name)
{
	verbs_fn fn = atomic_load_explicit(known, memory_order_relaxed);

	if (!fn) {
		fn = real_look(name);
		atomic_store_explicit(known, fn, memory_order_relaxed);
	}
	return fn;
}
