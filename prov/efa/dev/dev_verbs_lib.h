/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_lib.h - libefa from version 44 on: what its header may lack
 *
 * The numbers are those of the kernel's interface, so a provider built with an
 * old header understands what a newer library says. Structs are another
 * matter: a field exists where the header has it, HAVE_* tells, and nowhere
 * else in the sources is there an #if. Every function that is linked exists in
 * version 44; later ones are looked up.
 */
#ifndef DEV_VERBS_LIB_H
#define DEV_VERBS_LIB_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/efadv.h>
#include <infiniband/verbs.h>

#include "dev/dev.h"

/* efadv_device_attr.device_caps */
enum verbs_caps {
	VERBS_CAP_READ = 1 << 0,
	VERBS_CAP_RNR_RETRY = 1 << 1,
	VERBS_CAP_SGID = 1 << 2, /* completions tell a stranger's gid */
	VERBS_CAP_WRITE = 1 << 3,
	VERBS_CAP_UNSOLICITED = 1 << 4, /* WRITE_IMM needs no receive */
};

/* The service level of low latency. */
#define VERBS_SL_LOW_LATENCY 8

/* Bytes that the largest work request carries itself. */
#define VERBS_INLINE_MAX 80

/* What a queue pair is asked for beyond the ordinary. */
struct verbs_extra {
	uint32_t inline_max; /* bytes */
	bool unsolicited;
	uint8_t sl; /* service level: 0, or that of low latency */
};

/* The most that this build can use of what the device has. */
void verbs_lib_extra(const struct efadv_device_attr *attr,
		     struct verbs_extra *extra);

/* wc_flags of efadv_create_cq() for these capabilities. */
uint64_t verbs_lib_wc_flags(uint32_t caps);

/* Whether the completion at hand used no receive: only with UNSOLICITED. */
bool verbs_lib_is_unsolicited(struct efadv_cq *cq);

/* An SRD queue pair with attr; NULL and errno. */
struct ibv_qp *verbs_lib_srd_qp(struct ibv_context *ctx,
				struct ibv_qp_init_attr_ex *attr,
				const struct verbs_extra *extra);

/* What efadv_query_mr() of version 50 says; nothing valid where it is not. */
int verbs_lib_mr_ids(struct ibv_mr *mr, struct dev_mr_ids *ids);

#endif
