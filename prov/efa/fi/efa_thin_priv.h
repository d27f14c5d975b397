/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_priv.h - objects of thin endpoints: efa_thin.c opens them and takes
 * what is done, efa_thin_post.c posts, efa_thin_ah.c has the destinations,
 * efa_thin_source.c knows who sent
 *
 * All is under the endpoint's lock.
 */
#ifndef EFA_THIN_PRIV_H
#define EFA_THIN_PRIV_H

#include "fi/efa_thin.h"
#include "util/u_pool.h"

/* One operation under way; it holds a place in its ring. */
struct efa_thin_op {
	void *context;
	void *buf; /* RECV: the user's; else NULL */
	/* READ, WRITE, RECV: of the user's memory; or NULL, also once it went */
	const struct dev_mr *mr;
	struct dev_ah *ah; /* it was posted to; not of RECV */
	uint8_t kind; /* enum rdm_comp_kind: SEND, RECV, READ, WRITE */
	bool completion; /* on success too */
	uint8_t small[EFA_THIN_INJECT]; /* WRITE: the bytes if injected */
};

struct efa_thin {
	struct efa_ep *ep;
	struct dev_cq *cq;
	struct dev_qp *qp;
	struct u_pool ops;
	struct dev_ah **ah; /* [nah] by index of the peer; NULL: not yet */
	size_t nah;
	_Atomic uint32_t reach; /* of ah that may be used: nah, less after
				   growth; 0: look for removals first */
	/* [nleft] of addresses that were removed, with operations under way */
	struct efa_thin_left *left;
	size_t nleft, left_room;
	/* const after open */
	uint32_t prefix; /* bytes before the payload of every buffer */
	uint8_t send_flags; /* enum dev_wr_flags of all sends */
	bool unsolicited; /* writes of peers end here without a receive */

	size_t nrecvs; /* operations that are receives */
	size_t nsilent; /* operations whose success nobody is told of */
	struct efa_thin_sender *senders; /* [nsenders] by source number */
	size_t nsenders;
	struct rdm_removed removed;
};

/* ---- efa_thin.c ---------------------------------------------------------- */

/* An operation with its place; NULL: no room now. */
struct efa_thin_op *efa_thin_op_new(struct efa_thin *thin,
				    enum rdm_comp_kind kind, uint32_t flags,
				    void *context);
/* It was not posted. */
void efa_thin_op_free(struct efa_thin *thin, struct efa_thin_op *op);
/* It is over: err is 0 or the number of the device. */
void efa_thin_op_end(struct efa_thin *thin, struct efa_thin_op *op,
		     uint32_t err);

/* ---- efa_thin_ah.c ------------------------------------------------------- */

/* The destination with that index is open: 0, -FI_EINVAL, -FI_ENOMEM. */
int efa_thin_ah_open(struct efa_thin *thin, uint64_t index);
/* All of them. Operations that are not done are forgotten. */
void efa_thin_ahs_close(struct efa_thin *thin);

/* ---- efa_thin_source.c --------------------------------------------------- */

/*
 * comp->source of what came from a source number of the device. tell: where
 * the program wants errors for strangers, comp becomes one.
 */
void efa_thin_source(struct efa_thin *thin, uint32_t source, bool tell,
		     struct rdm_comp *comp);

#endif
