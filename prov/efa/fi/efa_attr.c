/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_attr.c - what the hints of fi_getinfo ask for, against what there is
 *
 * An info comes in with all that its device can and goes out with what the
 * caller is to get: primary capabilities that were asked for and no others,
 * modes that are required, the models and limits that were hinted. Any hint
 * that cannot be kept leaves the info out of the list, and the log says which;
 * nothing is an error.
 */
#include "fi/efa.h"

#include <stdio.h>
#include <string.h>

#define PRIMARY_CAPS                                                    \
	(FI_MSG | FI_RMA | FI_TAGGED | FI_ATOMIC | FI_READ | FI_WRITE | \
	 FI_SEND | FI_RECV | FI_REMOTE_READ | FI_REMOTE_WRITE |         \
	 FI_DIRECTED_RECV)
#define SEND_CAPS (FI_SEND | FI_RECV)
#define RMA_TARGET_CAPS (FI_REMOTE_READ | FI_REMOTE_WRITE)
#define RMA_CAPS (FI_READ | FI_WRITE | RMA_TARGET_CAPS)
#define COMM_CAPS (FI_LOCAL_COMM | FI_REMOTE_COMM)

#define TX_CAPS                                                        \
	(FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_SEND | FI_READ | \
	 FI_WRITE | FI_FENCE)
#define RX_CAPS                                                                \
	(FI_MSG | FI_TAGGED | FI_RMA | FI_ATOMIC | FI_RECV | RMA_TARGET_CAPS | \
	 FI_DIRECTED_RECV | FI_MULTI_RECV | FI_SOURCE | FI_SOURCE_ERR |        \
	 FI_RMA_EVENT)

/* What costs too much, or changes too much, to be given unasked. */
#define DEAR_CAPS (FI_RMA_EVENT | FI_SOURCE_ERR)

#define TX_OP_FLAGS                                       \
	(FI_INJECT | FI_COMPLETION | FI_INJECT_COMPLETE | \
	 FI_TRANSMIT_COMPLETE | EFA_TX_ANSWERED)
#define RX_OP_FLAGS (FI_COMPLETION | FI_MULTI_RECV)

/* ---- what cannot be kept ------------------------------------------------- */

#define TEXT 512 /* of all bits that libfabric has names for */

/* Always false. name is that of a hint, and says what is wrong with it. */
static bool refuse(const struct fi_info *info, const char *name,
		   const char *says)
{
	efa_info(FABRIC, "%s %s is left out: hints->%s %s\n",
		 info->fabric_attr->name, info->domain_attr->name, name, says);
	return false;
}

/* verb: "has" what there is not, "is", or "lacks" what is needed. */
static bool refuse_value(const struct fi_info *info, const char *name,
			 const char *verb, const void *value, enum fi_type type)
{
	char says[TEXT + 16], text[TEXT];

	fi_tostr_r(text, sizeof(text), value, type);
	snprintf(says, sizeof(says), "%s %s", verb, text);
	return refuse(info, name, says);
}

static bool refuse_size(const struct fi_info *info, const char *name,
			size_t hint, size_t have)
{
	char says[64];

	snprintf(says, sizeof(says), "is %zu, %zu is the most", hint, have);
	return refuse(info, name, says);
}

static bool refuse_name(const struct fi_info *info, const char *name,
			const char *hint)
{
	char says[TEXT];

	snprintf(says, sizeof(says), "is \"%s\"", hint);
	return refuse(info, name, says);
}

/* Of bits that are hinted all have to be there. */
static bool has_bits(const struct fi_info *info, const char *name,
		     uint64_t hint, uint64_t have, enum fi_type type)
{
	uint64_t missing = hint & ~have;

	return !missing || refuse_value(info, name, "has", &missing, type);
}

static bool is_one(const struct fi_info *info, const char *name, uint32_t hint,
		   uint32_t have, enum fi_type type)
{
	return hint == have || refuse_value(info, name, "is", &hint, type);
}

/* A hint of 0 means nothing, others are a lower limit of what is needed. */
static bool covers(const struct fi_info *info, const char *name, size_t hint,
		   size_t have)
{
	return hint <= have || refuse_size(info, name, hint, have);
}

/* As covers, and what was asked for is what is given. */
static bool narrow(const struct fi_info *info, const char *name, size_t hint,
		   size_t *have)
{
	if (!covers(info, name, hint, *have))
		return false;
	if (hint)
		*have = hint;
	return true;
}

/* A field of one of the attributes of info and hint. */
#define COVERS(info, attr, hint, field)                        \
	covers(info, #attr "->" #field, (size_t)(hint)->field, \
	       (size_t)(info)->attr->field)
#define NARROW(info, attr, hint, field) \
	narrow(info, #attr "->" #field, (hint)->field, &(info)->attr->field)

/* ---- capabilities and modes ---------------------------------------------- */

/* Directions that go without saying. */
static uint64_t add_directions(uint64_t caps)
{
	if ((caps & (FI_MSG | FI_TAGGED)) && !(caps & SEND_CAPS))
		caps |= SEND_CAPS;
	if ((caps & (FI_RMA | FI_ATOMIC)) && !(caps & RMA_CAPS))
		caps |= RMA_CAPS;
	return caps;
}

static bool match_caps(struct fi_info *info, uint64_t hint)
{
	uint64_t caps;

	if (!has_bits(info, "caps", hint, info->caps, FI_TYPE_CAPS))
		return false;
	if ((hint & FI_SOURCE_ERR) && !(hint & FI_SOURCE))
		return refuse(info, "caps", "has FI_SOURCE_ERR, not FI_SOURCE");
	if (!hint) {
		info->caps &= ~DEAR_CAPS;
		return true;
	}
	caps = add_directions(hint & PRIMARY_CAPS) |
	       (hint & (FI_SOURCE | FI_FENCE | DEAR_CAPS));
	if (caps & FI_RECV)
		caps |= info->caps & FI_MULTI_RECV;
	caps |= hint & COMM_CAPS ? hint & COMM_CAPS : COMM_CAPS;
	info->caps = caps;
	return true;
}

static bool has_modes(const struct fi_info *info, const char *name,
		      uint64_t hint, uint64_t needed)
{
	uint64_t missing = needed & ~hint;

	return !missing ||
	       refuse_value(info, name, "lacks", &missing, FI_TYPE_MODE);
}

static bool match_mode(const struct fi_info *info, const struct fi_info *hints)
{
	const struct fi_tx_attr *tx = hints->tx_attr;
	const struct fi_rx_attr *rx = hints->rx_attr;

	return has_modes(info, "mode", hints->mode, info->mode) &&
	       (!tx || !tx->mode ||
		has_modes(info, "tx_attr->mode", tx->mode,
			  info->tx_attr->mode)) &&
	       (!rx || !rx->mode ||
		has_modes(info, "rx_attr->mode", rx->mode,
			  info->rx_attr->mode));
}

/* ---- memory registration ------------------------------------------------- */

/*
 * An interface before 1.5 has other modes. Below 1.0 there is none: who names
 * such a version, as MPICH does at first, asks for no interface in particular,
 * and goes on with the modes that it finds in a newer one.
 */
static bool is_old_mr(uint32_t version)
{
	return FI_VERSION_GE(version, FI_VERSION(1, 0)) &&
	       FI_VERSION_LT(version, FI_VERSION(1, 5));
}

static bool lacks_mr_mode(const struct fi_info *info, int missing)
{
	return refuse_value(info, "domain_attr->mr_mode", "lacks", &missing,
			    FI_TYPE_MR_MODE);
}

/*
 * The modes before interface 1.5: BASIC stands for all that the target of RMA
 * needs, SCALABLE for nothing of it, and a mode bit says "local". What hint
 * allows of them is set; false: it allows too little.
 */
static bool match_old_mr(struct fi_info *info, uint64_t mode_hint, int hint)
{
	int *mode = &info->domain_attr->mr_mode;

	if (*mode & FI_MR_LOCAL) {
		if (!(mode_hint & EFA_LOCAL_MR))
			return refuse(info, "mode", "lacks FI_LOCAL_MR");
		info->mode |= EFA_LOCAL_MR;
		*mode &= ~FI_MR_LOCAL;
	}
	if (hint == EFA_MR_SCALABLE && *mode)
		return lacks_mr_mode(info, *mode);
	if (hint == EFA_MR_BASIC || hint == EFA_MR_SCALABLE)
		*mode = hint;
	else if (*mode)
		*mode = EFA_MR_BASIC;
	return true;
}

static bool match_needed_mr(struct fi_info *info, const struct fi_info *hints,
			    uint32_t version)
{
	const struct fi_domain_attr *attr = hints->domain_attr;
	int *mode = &info->domain_attr->mr_mode;
	int hint = attr ? attr->mr_mode : 0;

	/* Only the target of RMA has keys and addresses to agree on. */
	if (!(info->caps & RMA_TARGET_CAPS))
		*mode &= FI_MR_LOCAL;
	if (is_old_mr(version) && (hint & ~(EFA_MR_BASIC | EFA_MR_SCALABLE)))
		return refuse(info, "domain_attr->mr_mode",
			      "has modes of interface 1.5, the call is of an "
			      "older one");
	if (is_old_mr(version))
		return match_old_mr(info, hints->mode, hint);
	if (hint == EFA_MR_BASIC || hint == EFA_MR_SCALABLE)
		return match_old_mr(info, hints->mode, hint);
	/* Who says "local" in the old words is answered in them. */
	if ((*mode & ~hint & FI_MR_LOCAL) && (hints->mode & EFA_LOCAL_MR)) {
		info->mode |= EFA_LOCAL_MR;
		*mode &= ~FI_MR_LOCAL;
	}
	if (!(*mode & ~hint))
		return true;
	/*
	 * Who did not say that RMA is wanted gets the rest of it; who did must
	 * try again with the modes that it needs.
	 */
	if (hints->caps || (*mode & FI_MR_LOCAL))
		return lacks_mr_mode(info, *mode & ~hint);
	info->caps &= ~RMA_TARGET_CAPS;
	*mode = 0;
	return true;
}

/*
 * FI_MR_LOCAL is told to who asks for it, needed or not: operations that name a
 * region can be taken back with it.
 */
static bool match_mr(struct fi_info *info, const struct fi_info *hints,
		     uint32_t version)
{
	const struct fi_domain_attr *attr = hints->domain_attr;
	int hint = attr ? attr->mr_mode : 0;

	if (!match_needed_mr(info, hints, version))
		return false;
	info->domain_attr->mr_mode |= hint & FI_MR_LOCAL;
	return true;
}

/* ---- the attributes, one by one ------------------------------------------ */

static bool match_ep(struct fi_info *info, const struct fi_ep_attr *hint)
{
	struct fi_ep_attr *ep = info->ep_attr;

	if (!hint)
		return true;
	if (hint->type != FI_EP_UNSPEC &&
	    !is_one(info, "ep_attr->type", hint->type, ep->type,
		    FI_TYPE_EP_TYPE))
		return false;
	if (hint->protocol != FI_PROTO_UNSPEC &&
	    !is_one(info, "ep_attr->protocol", hint->protocol, ep->protocol,
		    FI_TYPE_PROTOCOL))
		return false;
	if (hint->protocol_version &&
	    hint->protocol_version != ep->protocol_version)
		return refuse(info, "ep_attr->protocol_version",
			      "is of another protocol");
	return COVERS(info, ep_attr, hint, auth_key_size) &&
	       COVERS(info, ep_attr, hint, max_msg_size) &&
	       COVERS(info, ep_attr, hint, msg_prefix_size) &&
	       COVERS(info, ep_attr, hint, max_order_raw_size) &&
	       COVERS(info, ep_attr, hint, max_order_war_size) &&
	       COVERS(info, ep_attr, hint, max_order_waw_size) &&
	       COVERS(info, ep_attr, hint, tx_ctx_cnt) &&
	       COVERS(info, ep_attr, hint, rx_ctx_cnt);
}

/* Every threading model is served by locks that are on where it needs them. */
static bool match_models(const struct fi_info *info,
			 const struct fi_domain_attr *hint)
{
	struct fi_domain_attr *have = info->domain_attr;

	if (hint->threading > FI_THREAD_ENDPOINT ||
	    hint->control_progress > EFA_PROGRESS_UNIFIED ||
	    hint->data_progress > EFA_PROGRESS_UNIFIED ||
	    hint->av_type > FI_AV_TABLE)
		return refuse(info, "domain_attr", "has a model unheard of");
	if (hint->resource_mgmt == FI_RM_ENABLED &&
	    have->resource_mgmt == FI_RM_DISABLED)
		return refuse(info, "domain_attr->resource_mgmt",
			      "is FI_RM_ENABLED");
	if (hint->threading != FI_THREAD_UNSPEC)
		have->threading = hint->threading;
	if (hint->control_progress != FI_PROGRESS_UNSPEC)
		have->control_progress = hint->control_progress;
	if (hint->data_progress != FI_PROGRESS_UNSPEC)
		have->data_progress = hint->data_progress;
	if (hint->resource_mgmt != FI_RM_UNSPEC)
		have->resource_mgmt = hint->resource_mgmt;
	if (hint->av_type != FI_AV_UNSPEC)
		have->av_type = hint->av_type;
	return true;
}

/* Of the class labels all are served alike; a DSCP is a wish. */
static bool match_tclass(const struct fi_info *info, const char *name,
			 uint32_t hint, uint32_t *have)
{
	if (hint && !(hint & FI_TC_DSCP) &&
	    (hint < FI_TC_LABEL || hint > FI_TC_NETWORK_CTRL))
		return refuse(info, name, "is no traffic class");
	*have = hint;
	return true;
}

static bool match_domain(struct fi_info *info,
			 const struct fi_domain_attr *hint)
{
	struct fi_domain_attr *have = info->domain_attr;

	if (!hint)
		return true;
	if (hint->name && strcmp(hint->name, have->name) != 0)
		return refuse_name(info, "domain_attr->name", hint->name);
	return COVERS(info, domain_attr, hint, auth_key_size) &&
	       has_bits(info, "domain_attr->caps", hint->caps, have->caps,
			FI_TYPE_CAPS) &&
	       match_models(info, hint) &&
	       match_tclass(info, "domain_attr->tclass", hint->tclass,
			    &have->tclass) &&
	       COVERS(info, domain_attr, hint, mr_key_size) &&
	       COVERS(info, domain_attr, hint, cq_data_size) &&
	       COVERS(info, domain_attr, hint, cq_cnt) &&
	       COVERS(info, domain_attr, hint, ep_cnt) &&
	       COVERS(info, domain_attr, hint, tx_ctx_cnt) &&
	       COVERS(info, domain_attr, hint, rx_ctx_cnt) &&
	       COVERS(info, domain_attr, hint, max_ep_tx_ctx) &&
	       COVERS(info, domain_attr, hint, max_ep_rx_ctx) &&
	       COVERS(info, domain_attr, hint, max_ep_stx_ctx) &&
	       COVERS(info, domain_attr, hint, max_ep_srx_ctx) &&
	       COVERS(info, domain_attr, hint, cntr_cnt) &&
	       COVERS(info, domain_attr, hint, mr_iov_limit) &&
	       COVERS(info, domain_attr, hint, mr_cnt) &&
	       COVERS(info, domain_attr, hint, max_err_data);
}

/* All orders are kept; what is promised is what was asked for. */
static bool match_order(const struct fi_info *info, const char *name,
			uint64_t hint, uint64_t *have)
{
	if (!has_bits(info, name, hint, *have, FI_TYPE_MSG_ORDER))
		return false;
	if (hint)
		*have = hint;
	return true;
}

static void match_order_sizes(struct fi_ep_attr *ep, uint64_t order)
{
	if (!(order & FI_ORDER_ATOMIC_RAW))
		ep->max_order_raw_size = 0;
	if (!(order & FI_ORDER_ATOMIC_WAR))
		ep->max_order_war_size = 0;
	if (!(order & FI_ORDER_ATOMIC_WAW))
		ep->max_order_waw_size = 0;
}

static bool match_tx(struct fi_info *info, const struct fi_tx_attr *hint)
{
	struct fi_tx_attr *tx = info->tx_attr;
	uint64_t op_flags = TX_OP_FLAGS;

	tx->caps = info->caps & TX_CAPS;
	if (!hint)
		return true;
	if (info->ep_attr->type == FI_EP_DGRAM)
		op_flags &= ~EFA_TX_ANSWERED;
	if (!has_bits(info, "tx_attr->caps", hint->caps, tx->caps,
		      FI_TYPE_CAPS) ||
	    !has_bits(info, "tx_attr->op_flags", hint->op_flags, op_flags,
		      FI_TYPE_OP_FLAGS) ||
	    !match_order(info, "tx_attr->msg_order", hint->msg_order,
			 &tx->msg_order) ||
	    !has_bits(info, "tx_attr->comp_order", hint->comp_order, 0,
		      FI_TYPE_MSG_ORDER))
		return false;
	match_order_sizes(info->ep_attr, tx->msg_order);
	if (hint->caps)
		tx->caps = add_directions(hint->caps) & tx->caps;
	tx->op_flags = hint->op_flags;
	return NARROW(info, tx_attr, hint, inject_size) &&
	       NARROW(info, tx_attr, hint, size) &&
	       NARROW(info, tx_attr, hint, iov_limit) &&
	       NARROW(info, tx_attr, hint, rma_iov_limit) &&
	       match_tclass(info, "tx_attr->tclass", hint->tclass, &tx->tclass);
}

static bool match_rx(struct fi_info *info, const struct fi_rx_attr *hint)
{
	struct fi_rx_attr *rx = info->rx_attr;
	uint64_t op_flags = RX_OP_FLAGS;

	rx->caps = info->caps & RX_CAPS;
	if (!hint)
		return true;
	if (info->ep_attr->protocol_version != EFA_PROTOCOL_VERSION)
		op_flags &= ~FI_MULTI_RECV;
	if (!has_bits(info, "rx_attr->caps", hint->caps, rx->caps,
		      FI_TYPE_CAPS) ||
	    !has_bits(info, "rx_attr->op_flags", hint->op_flags, op_flags,
		      FI_TYPE_OP_FLAGS) ||
	    !match_order(info, "rx_attr->msg_order", hint->msg_order,
			 &rx->msg_order) ||
	    !has_bits(info, "rx_attr->comp_order", hint->comp_order, 0,
		      FI_TYPE_MSG_ORDER))
		return false;
	if (hint->caps)
		rx->caps = add_directions(hint->caps) & rx->caps;
	rx->op_flags = hint->op_flags;
	return NARROW(info, rx_attr, hint, size) &&
	       NARROW(info, rx_attr, hint, iov_limit);
}

/* ---- names and cards ----------------------------------------------------- */

static bool match_nic(const struct fi_info *info, const struct fid_nic *hint)
{
	const struct fid_nic *have = info->nic;
	const struct fi_pci_attr *a, *b;

	if (!hint)
		return true;
	if (hint->device_attr && hint->device_attr->name &&
	    strcmp(hint->device_attr->name, have->device_attr->name) != 0)
		return refuse_name(info, "nic->device_attr->name",
				   hint->device_attr->name);
	if (!hint->bus_attr || hint->bus_attr->bus_type == FI_BUS_UNSPEC)
		return true;
	if (hint->bus_attr->bus_type != have->bus_attr->bus_type)
		return refuse(info, "nic->bus_attr", "is another bus");
	a = &hint->bus_attr->attr.pci;
	b = &have->bus_attr->attr.pci;
	return (a->domain_id == b->domain_id && a->bus_id == b->bus_id &&
		a->device_id == b->device_id &&
		a->function_id == b->function_id) ||
	       refuse(info, "nic->bus_attr", "is another place on the bus");
}

static bool match_fabric(const struct fi_info *info,
			 const struct fi_info *hints)
{
	const struct fi_fabric_attr *attr = hints->fabric_attr;

	if (hints->addr_format != FI_FORMAT_UNSPEC &&
	    !is_one(info, "addr_format", hints->addr_format, info->addr_format,
		    FI_TYPE_ADDR_FORMAT))
		return false;
	return !attr || !attr->name ||
	       strcmp(attr->name, info->fabric_attr->name) == 0 ||
	       refuse_name(info, "fabric_attr->name", attr->name);
}

bool efa_attr_match(struct fi_info *info, const struct fi_info *hints,
		    uint32_t version)
{
	/* Without hints everything is offered, with all modes it needs. */
	if (!hints) {
		info->caps &= ~DEAR_CAPS;
		if (is_old_mr(version))
			match_old_mr(info, EFA_LOCAL_MR, 0);
		return match_tx(info, NULL) && match_rx(info, NULL);
	}
	if (!match_fabric(info, hints) || !match_nic(info, hints->nic) ||
	    !match_ep(info, hints->ep_attr) ||
	    !match_domain(info, hints->domain_attr))
		return false;
	return match_caps(info, hints->caps) && match_mode(info, hints) &&
	       match_mr(info, hints, version) &&
	       match_tx(info, hints->tx_attr) && match_rx(info, hints->rx_attr);
}
