/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_dl.c - programs that look functions of libibverbs up by version
 *
 * Who opens libibverbs by hand and asks dlvsym() for its functions, as NCCL
 * does, would find the real ones. dlsym() is left alone: its meaning depends on
 * who calls it, and everybody does.
 */
#include <dlfcn.h>
#include <string.h>

#include "verbs_priv.h"
#include "verbs_real.h"

typedef void *(*dlvsym_fn)(void *, const char *, const char *);

/* RTLD_NEXT means "after whoever calls": our frame must not be seen. */
#if defined(__clang__)
#define TAIL_CALLS
#define TAIL __attribute__((musttail))
#else
#define TAIL_CALLS __attribute__((optimize("O2")))
#define TAIL
#endif

static bool is_verbs_name(const char *name)
{
	return !strncmp(name, "ibv_", 4) || !strncmp(name, "_ibv_", 5) ||
	       !strncmp(name, "efadv_", 6);
}

/* NULL: it is no function of ours. */
static U_COLD void *own_function(const char *name)
{
	void *p = is_verbs_name(name) ? dlsym(RTLD_DEFAULT, name) : NULL;
	Dl_info found, self;

	if (!p || !dladdr(p, &found) ||
	    !dladdr((void *)(uintptr_t)&verbs_poll_cq, &self) ||
	    found.dli_fbase != self.dli_fbase)
		return NULL;
	return p;
}

VERBS_EXPORT TAIL_CALLS void *dlvsym(void *handle, const char *name,
				     const char *version)
{
	static _Atomic(verbs_fn) known;
	void *own = own_function(name);
	dlvsym_fn real;

	if (own)
		return own;
	real = (dlvsym_fn)(uintptr_t)verbs_real_find(&known, "dlvsym");
	TAIL return real(handle, name, version);
}
