/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_err.c - failed operations in the words of the application
 *
 * prov_errno is the number that the message layer or the device gave; numbers
 * and meanings are listed in fi_efa(7). err_data is text with the addresses of
 * both ends, for whoever has to find the machine.
 */
#include "fi/efa_eq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"

static const struct reason {
	uint32_t number;
	int err; /* FI_E* */
	const char *text;
} reasons[] = {
	{ DEV_OK, 0, "success" },
	{ DEV_FLUSHED, FI_ECANCELED, "the queue pair was closed" },
	{ DEV_QP_ERROR, FI_EINVAL, "the queue pair is in error" },
	{ DEV_BAD_OP, FI_EINVAL, "the device does not know the operation" },
	{ DEV_BAD_AH, FI_EINVAL, "bad local address handle" },
	{ DEV_BAD_LKEY, FI_EINVAL, "bad local memory key or access" },
	{ DEV_TOO_LONG, FI_EMSGSIZE, "message longer than the device takes" },
	{ DEV_BAD_RKEY, FI_EINVAL,
	  "the peer's memory key, address or access right is wrong" },
	{ DEV_PEER_RESET, FI_ECONNABORTED, "the peer was restarted" },
	{ DEV_NO_QP, FI_ENOTCONN,
	  "the peer has no such queue pair: closed, or another process" },
	{ DEV_RNR, FI_ENORX, "the peer has no receive posted" },
	{ DEV_SHORT_RECV, FI_EMSGSIZE, "the peer's receive is too short" },
	{ DEV_BAD_RESPONSE, FI_EREMOTEIO, "odd answer from the peer" },
	{ DEV_UNRESPONSIVE, FI_ECONNABORTED, "the peer stopped answering" },
	{ DEV_NO_AH, FI_ENOTCONN, "the peer does not know this address" },
	{ DEV_UNREACHABLE, FI_EHOSTUNREACH,
	  "no way to the peer, or it never answered" },
	{ DEV_FEATURE, FI_EINVAL, "the peers' features do not fit" },
	{ RDM_ERR_OTHER, FI_EOTHER, "unknown failure" },
	{ RDM_ERR_BAD_PKT, FI_EOTHER, "the peer sent a malformed packet" },
	{ RDM_ERR_UNKNOWN_PKT, FI_EOTHER,
	  "the peer sent a packet of unknown type" },
	{ RDM_ERR_DUPLICATE, FI_EOTHER, "the message came twice" },
	{ RDM_ERR_NOMEM, FI_ENOMEM, "out of memory" },
	{ RDM_ERR_RMA_ADDR, FI_EOTHER,
	  "the address of a remote access is not registered for it" },
	{ RDM_ERR_HANDSHAKE, FI_EOTHER, "no handshake could be sent" },
	{ RDM_ERR_SIZE, FI_EOTHER, "sizes of request and buffer differ" },
	{ RDM_ERR_ATOMIC, FI_EOTHER,
	  "no atomic operation of that kind on that datatype" },
	{ RDM_ERR_PEER_GONE, FI_ECONNABORTED,
	  "the peer was there and is gone" },
	{ RDM_ERR_PEER_SILENT, FI_ECONNABORTED,
	  "the peer never made itself known" },
	{ RDM_ERR_PEER_ABORT, FI_EOTHER, "the peer gave the operation up" },
	{ RDM_ERR_TRUNC, FI_ETRUNC, "message longer than the receive" },
	{ RDM_ERR_NOMSG, FI_ENOMSG, "no such message has come" },
	{ RDM_ERR_CANCELED, FI_ECANCELED, "canceled" },
	{ RDM_ERR_STRANGER, FI_EADDRNOTAVAIL,
	  "the sender is not in the address vector" },
};

static const struct reason *reason_of(uint32_t number)
{
	static const struct reason unknown = { 0, FI_EOTHER, "unknown error" };

	for (size_t i = 0; i < u_array_size(reasons); i++)
		if (reasons[i].number == number)
			return &reasons[i];
	return &unknown;
}

int efa_err_of(uint32_t number)
{
	return reason_of(number)->err;
}

static void describe_ends(uint32_t number, const struct dev_addr *here,
			  const struct dev_addr *there, char *buf, size_t len)
{
	static const struct dev_addr nobody;
	char self[EFA_ADDR_TEXT], peer[EFA_ADDR_TEXT] = "unknown";

	efa_addr_text(here, self, sizeof(self));
	if (memcmp(there, &nobody, sizeof(nobody)) != 0)
		efa_addr_text(there, peer, sizeof(peer));
	snprintf(buf, len, "%s; here %s, peer %s", reason_of(number)->text,
		 self, peer);
}

/* A receive whose sender gave up has been canceled, in a way. */
static int err_of(const struct rdm_comp *comp)
{
	if (comp->err == RDM_ERR_PEER_ABORT && comp->kind == RDM_COMP_RECV)
		return FI_ECANCELED;
	return reason_of(comp->err)->err;
}

/* Writes the text of an error; returns its length with the end. */
static size_t describe(const struct rdm_comp *comp, char *buf, size_t len)
{
	const struct rdm_comp_error *error = comp->error;

	if (error)
		describe_ends(comp->err, &error->self, &error->peer, buf, len);
	else
		snprintf(buf, len, "%s", reason_of(comp->err)->text);
	return strlen(buf) + 1;
}

/* The endpoint's lock is held. Without an event queue the log is all. */
U_COLD void efa_ep_report(struct efa_ep *ep)
{
	struct efa_eq *eq = ep->eq ? ep->eq : efa_domain_eq(ep->domain);
	struct rdm_refusal refusal;
	struct dev_addr self;
	char text[EFA_ERR_TEXT];

	rdm_ep_addr(ep->rdm, &self);
	while (rdm_ep_refusal(ep->rdm, &refusal)) {
		describe_ends(refusal.err, &self, &refusal.peer, text,
			      sizeof(text));
		u_info("a request of a peer was refused (%u): %s", refusal.err,
		       text);
		if (eq)
			efa_eq_report(eq, &ep->own.fid.fid, refusal.err, text);
	}
}

/*
 * What err_data is to be; returns its length, 0: nothing. What the user did
 * (RDM_ERR_TRUNC and above) has no text: programs look for messages all the
 * time.
 */
static size_t make_err_data(const struct rdm_comp *comp,
			    char data[EFA_ERR_TEXT])
{
	size_t len;

	if (comp->err == RDM_ERR_STRANGER && comp->error) {
		efa_addr_pack(&comp->error->peer, data);
		return EFA_ADDR_LEN;
	}
	if (comp->err >= RDM_ERR_TRUNC)
		return 0;
	len = describe(comp, data, EFA_ERR_TEXT);
	u_info("an operation has failed (%u): %s", comp->err, data);
	return len;
}

/*
 * Since interface 1.5 the caller may bring a buffer, which stays his even if
 * there is nothing to put in; who brings none gets ours, which is good until
 * the next read. Threads that read at once bring one each, so ours is not
 * touched then. Some bring an entry whose err_data was never set.
 */
static void put_err_data(struct efa_cq *cq, const struct rdm_comp *comp,
			 struct fi_cq_err_entry *entry)
{
	uint32_t version = cq->domain->fabric->fid.api_version;
	char data[EFA_ERR_TEXT];
	size_t len = make_err_data(comp, data);
	bool sized = FI_VERSION_GE(version, FI_VERSION(1, 5));

	if (!sized || !entry->err_data_size || !entry->err_data) {
		memcpy(cq->err_data, data, len);
		entry->err_data = len ? cq->err_data : NULL;
		if (sized)
			entry->err_data_size = len;
		return;
	}
	entry->err_data_size = u_min(entry->err_data_size, len);
	memcpy(entry->err_data, data, entry->err_data_size);
	if (len && comp->err != RDM_ERR_STRANGER)
		((char *)entry->err_data)[entry->err_data_size - 1] = 0;
}

/*
 * Field by field: the caller's entry may be shorter than this libfabric's. The
 * source address that later ones have at the end is preset by libfabric and
 * stays so.
 */
ssize_t efa_cq_readerr(struct fid_cq *fid, struct fi_cq_err_entry *entry,
		       uint64_t flags)
{
	struct efa_cq *cq = u_container_of(fid, struct efa_cq, fid);
	struct rdm_comp comp;

	if (efa_cq_take_error(cq, &comp) <= 0)
		return -FI_EAGAIN;
	entry->op_context = comp.context;
	entry->flags = efa_cq_flags(&comp);
	entry->len = comp.len;
	entry->buf = comp.buf;
	entry->data = comp.data;
	entry->tag = comp.tag;
	entry->olen = comp.error ? comp.error->olen : 0;
	entry->err = err_of(&comp);
	entry->prov_errno = (int)comp.err;
	put_err_data(cq, &comp, entry);
	free(comp.error);
	return 1;
}

const char *efa_cq_strerror(struct fid_cq *cq, int prov_errno,
			    const void *err_data, char *buf, size_t len)
{
	const char *text = err_data;

	if (!text || !text[0] || prov_errno == RDM_ERR_STRANGER)
		text = reason_of((uint32_t)prov_errno)->text;
	if (!buf || !len)
		return text;
	buf[0] = 0;
	strncat(buf, text, len - 1);
	return buf;
}
