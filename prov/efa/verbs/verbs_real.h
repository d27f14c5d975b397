/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_real.h - the functions of libibverbs and libefa that ours stand before
 *
 *   if (!verbs_is_ours(pd->context))
 *           return verbs_real(ibv_dealloc_pd)(pd);
 *
 * Who has an object of a real device has the real library too, so such a call
 * finds its function.
 */
#ifndef VERBS_REAL_H
#define VERBS_REAL_H

#include <stdatomic.h>

typedef void (*verbs_fn)(void);

/* NULL: there is none. known: what was found before. */
verbs_fn verbs_real_find(_Atomic(verbs_fn) *known, const char *name);

#define verbs_real(name)                                                  \
	({                                                                \
		static _Atomic(verbs_fn) known_##name;                    \
		(__typeof__(&name))verbs_real_find(&known_##name, #name); \
	})

#endif
