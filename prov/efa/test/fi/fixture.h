/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fixture.h - two endpoints of one process over the loopback interface
 *
 * The provider is linked in, not loaded: what a test opens are the objects of
 * fi/ through libfabric's inline calls.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "fi/efa.h"

/* What fixture_open makes; zero is a default for all of it. */
struct fixture_config {
	enum fi_ep_type type; /* FI_EP_RDM */
	uint64_t caps; /* everything */
	bool direct; /* the fabric efa-direct */
	bool no_mr_local; /* operations name no regions */
	uint64_t mode; /* besides those that any info may require */
	enum fi_cq_format format; /* FI_CQ_FORMAT_TAGGED */
	enum fi_wait_obj wait_obj;
	enum fi_threading threading; /* FI_THREAD_DOMAIN */
	enum fi_progress progress; /* of data: manual */
	uint64_t bind_flags; /* to the FI_TRANSMIT | FI_RECV of binding */
	uint64_t tx_op_flags, rx_op_flags;
	bool counters; /* one for sends, one for receives, of endpoint 0 */
	bool disabled; /* leave out fi_enable and what comes after it */
};

struct fixture {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq[2];
	struct fid_ep *ep[2];
	fi_addr_t addr[2]; /* of the endpoints, in av */
	struct fid_cntr *sent, *received; /* NULL without counters */
	/* What a test opens besides, for fixture_close. */
	struct fid_cntr *cntr[4];
	struct fid_eq *eq;
};

/* For cmocka_run_group_tests: the provider on the loopback interface. */
int fixture_group_setup(void **state);
int fixture_group_teardown(void **state);

/* Loads the provider anew, with nothing open; false: peers are at UDP. */
void fixture_use_shm(bool use);

/* Hints that every info of the type fits; free with fi_freeinfo. */
struct fi_info *fixture_hints(enum fi_ep_type type);

/* Ends the test when something fails. */
void fixture_open(struct fixture *f, const struct fixture_config *config);
/* What was left out when it was opened disabled. */
void fixture_enable(struct fixture *f);
/* Checks that everything closes. */
void fixture_close(struct fixture *f);

/*
 * Reads count entries of endpoint `who`'s queue, driving both, for ten seconds
 * at most. Returns what fi_cq_read did.
 */
ssize_t fixture_read(struct fixture *f, int who, void *buf, size_t count);
/* One entry, which must be good. */
struct fi_cq_tagged_entry fixture_entry(struct fixture *f, int who);
/* One entry, which must be an error. */
struct fi_cq_err_entry fixture_error(struct fixture *f, int who);
/* fi_trywait of one object. */
int fixture_trywait(struct fixture *f, struct fid *fid);
/* Drives both for a while; neither queue may get an entry. */
void fixture_quiet(struct fixture *f);

#endif
