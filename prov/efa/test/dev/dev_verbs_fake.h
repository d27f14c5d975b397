/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_fake.h - an EFA device in memory, for tests of dev_verbs*
 *
 * It stands for libibverbs and libefa: the functions that are called by name
 * are defined in the test program, the others are in the tables of the objects.
 * Nothing moves by itself. A test sees what was posted, and says how it ends
 * and what comes in. The fake asserts what the hardware or the library would
 * refuse or suffer from: memory that is not registered, full queues, calls
 * inside a poll, objects destroyed in the wrong order.
 */
#ifndef DEV_VERBS_FAKE_H
#define DEV_VERBS_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <infiniband/efadv.h>
#include <infiniband/verbs.h>

#define FAKE_MTU 8928
#define FAKE_DEVICES 3
#define FAKE_AHN_NONE 0xffff

/* What the device and the library are like; reset by fake_reset(). */
struct fake_config {
	const char *name[FAKE_DEVICES]; /* NULL: no such device */
	bool is_efa[FAKE_DEVICES];
	struct efadv_device_attr efa;
	struct ibv_port_attr port;
	uint32_t max_cqe;
	int comp_vectors;
	bool no_efa_cq; /* efadv_create_cq: EOPNOTSUPP */
	uint64_t cq_flags; /* wc_flags that it knows; else the same */
	uint16_t qp_flags; /* of efadv_create_qp_ex(); else the same */
	bool no_sl; /* it knows no service levels: EINVAL */
	uint32_t inline_wide; /* inline bytes of wide requests at most, which
				 take two places; 0: there are none */
	int fork; /* enum ibv_fork_status */
	int max_ahs; /* then ENOMEM */
	int max_mrs; /* then ENOMEM */
	int max_qps; /* then ENOMEM; 0: any */
	bool read_only; /* registering for local writes: EFAULT */
	int fail_complete; /* so many ibv_wr_complete() that return ... */
	int complete_error; /* ... this */
	const char *sysfs; /* ibdev_path of devices */
};

/* What is alive, and what was called. */
struct fake_count {
	int contexts, pds, mrs, ahs, cqs, qps, channels;
	int doorbells, recv_doorbells, regs, fork_inits, ahs_made;
	int entries; /* handed out between a start and an end, at most */
};

/* A send-side request in the hardware. */
struct fake_wr {
	STAILQ_ENTRY(fake_wr) link;
	uint64_t wr_id;
	enum ibv_wr_opcode opcode;
	bool is_inline;
	struct ibv_sge sge[2];
	int nsge;
	uint8_t bytes[FAKE_MTU]; /* of sends: as the wire would see them */
	uint32_t len; /* all bytes */
	uint32_t imm, rkey, qpn, qkey;
	uint64_t remote;
	struct ibv_ah *ah;
};

struct fake_recv {
	STAILQ_ENTRY(fake_recv) link;
	uint64_t wr_id;
	struct ibv_sge sge;
};

struct fake_qp {
	struct ibv_qp_ex ex; /* first */
	struct fake_cq *cq;
	struct ibv_qp_init_attr_ex attr;
	bool srd;
	uint16_t flags; /* of efadv_qp_init_attr */
	uint8_t sl; /* the same */
	uint32_t qkey, rnr_retry;
	STAILQ_HEAD(, fake_wr) sends; /* oldest first */
	STAILQ_HEAD(, fake_recv) recvs;
	uint32_t nsends, nrecvs;
	struct fake_wr *session[64]; /* between start and complete */
	int nsession;
	bool in_session;
};

/* Who sends: ahn or FAKE_AHN_NONE, and then the gid. */
struct fake_sender {
	uint16_t ahn;
	uint16_t qpn;
	uint8_t gid[16];
};

extern struct fake_config fake_config;
extern struct fake_count fake_count;

/* Two EFA devices with all that version 44 knows, and one that is none. */
void fake_reset(void);

/* Asserts that nothing is left. */
void fake_assert_empty(void);

struct fake_qp *fake_qp(uint32_t qpn);
uint16_t fake_ahn(struct ibv_ah *ah);

/* The oldest send-side request ends: 0 or a status of the device. */
void fake_end(struct fake_qp *qp, uint32_t status);

/*
 * A packet arrives in the oldest receive, unless the queue pair has failed;
 * imm: NULL or what it carries.
 */
void fake_arrive(struct fake_qp *qp, const struct fake_sender *from,
		 const void *data, uint32_t len, const uint32_t *imm);

/* A write with immediate arrives, which uses up a receive. */
void fake_written(struct fake_qp *qp, const struct fake_sender *from,
		  uint32_t len, uint32_t imm);

/* The same, which uses up none; its wr_id says nothing. */
void fake_written_alone(struct fake_qp *qp, const struct fake_sender *from,
			uint32_t len, uint32_t imm);

/* The oldest n receives end without a packet: a status of the device. */
void fake_fail_recvs(struct fake_qp *qp, uint32_t n, uint32_t status);

/* An entry of a queue pair that the library no longer knows. */
void fake_stale(struct fake_qp *qp);

void fake_event(struct ibv_context *ctx, enum ibv_event_type type,
		void *element);

/* ---- between the files of the fake ------------------------------------------ */

struct fake_entry {
	STAILQ_ENTRY(fake_entry) link;
	struct ibv_qp *qp; /* NULL: not known */
	uint64_t wr_id;
	enum ibv_wc_status status;
	enum ibv_wc_opcode opcode;
	uint32_t vendor_err, len, imm;
	bool has_imm;
	bool unsolicited;
	struct fake_sender from;
};

struct fake_cq {
	struct ibv_cq_ex ex; /* first */
	struct efadv_cq efa;
	uint64_t wc_flags; /* of efadv_create_cq() */
	STAILQ_HEAD(, fake_entry) entries;
	struct fake_entry *at; /* the one at hand */
	bool polling;
	int taken; /* since start */
	bool armed;
	int unacked;
};

struct fake_cq *fake_cq_new(struct ibv_context *ctx,
			    const struct ibv_cq_init_attr_ex *attr);
void fake_cq_ops(struct fake_cq *cq, bool sgid);
void fake_qp_ops(struct fake_qp *qp);
int fake_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad);
int fake_req_notify(struct ibv_cq *cq, int solicited);
bool fake_is_registered(const struct ibv_sge *sge);

#endif
