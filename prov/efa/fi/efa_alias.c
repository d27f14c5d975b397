/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_alias.c - default flags of an endpoint, and aliases with flags of their
 * own
 *
 * An alias is a second fid of the same endpoint. The endpoint does not close
 * while it has one.
 */
#include "fi/efa.h"

#include <stdlib.h>

/* ---- flags --------------------------------------------------------------- */

void efa_handle_set_tx_flags(struct efa_handle *handle, uint64_t op_flags)
{
	/* Data comes with the call that has an argument for it. */
	uint64_t flags = op_flags & ~FI_REMOTE_CQ_DATA;

	handle->tx_op_flags = op_flags;
	handle->send_flags = efa_tx_flags(handle->ep, flags);
	handle->tsend_flags = handle->send_flags | RDM_TAGGED;
}

void efa_handle_set_rx_flags(struct efa_handle *handle, uint64_t op_flags)
{
	uint64_t flags = op_flags & (FI_COMPLETION | FI_MULTI_RECV);

	handle->rx_op_flags = op_flags;
	handle->recv_flags = efa_rx_flags(handle->ep, flags);
	/* Buffers of many messages are for untagged ones. */
	handle->trecv_flags = efa_rx_flags(handle->ep, flags & ~FI_MULTI_RECV) |
			      RDM_TAGGED;
}

/* One of FI_TRANSMIT and FI_RECV says which flags are meant. */
static bool one_side(uint64_t flags)
{
	return !(flags & FI_TRANSMIT) != !(flags & FI_RECV);
}

int efa_handle_get_flags(const struct efa_handle *handle, uint64_t *flags)
{
	if (!one_side(*flags))
		return -FI_EINVAL;
	if (*flags & FI_TRANSMIT)
		*flags = handle->tx_op_flags;
	else
		*flags = handle->rx_op_flags;
	return 0;
}

int efa_handle_set_flags(struct efa_handle *handle, uint64_t flags)
{
	uint64_t op_flags = flags & ~(FI_TRANSMIT | FI_RECV);

	if (!one_side(flags))
		return -FI_EINVAL;
	if ((flags & FI_TRIGGER) ||
	    ((flags & FI_TRANSMIT) && (flags & (EFA_TX_REFUSED | FI_FENCE))))
		return efa_refusal(flags);
	if (flags & FI_TRANSMIT)
		efa_handle_set_tx_flags(handle, op_flags);
	else
		efa_handle_set_rx_flags(handle, op_flags);
	return 0;
}

/* ---- aliases ------------------------------------------------------------- */

static struct efa_handle *alias_of(struct fid *fid)
{
	return u_container_of(fid, struct efa_handle, fid.fid);
}

static int alias_close(struct fid *fid)
{
	struct efa_handle *alias = alias_of(fid);
	struct u_lock *lock = &alias->ep->domain->lock;

	if (efa_is_child(alias->ep->domain->pid))
		return 0;
	u_lock(lock);
	LIST_REMOVE(alias, link);
	u_unlock(lock);
	free(alias);
	return 0;
}

static int alias_control(struct fid *fid, int command, void *arg)
{
	struct efa_handle *alias = alias_of(fid);

	switch (command) {
	case FI_ENABLE:
		return efa_ep_enable(alias->ep);
	case FI_ALIAS:
		return efa_alias_open(alias->ep, arg);
	case FI_GETOPSFLAG:
		return efa_handle_get_flags(alias, arg);
	case FI_SETOPSFLAG:
		return efa_handle_set_flags(alias, *(uint64_t *)arg);
	default:
		return -FI_ENOSYS;
	}
}

static struct fi_ops alias_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = alias_close,
	.bind = efa_nosys_bind,
	.control = alias_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

/* It has the endpoint's flags, except those of the side that is given. */
int efa_alias_open(struct efa_ep *ep, struct fi_alias *request)
{
	struct efa_handle *alias;
	int ret;

	alias = calloc(1, sizeof(*alias));
	if (!alias)
		return -FI_ENOMEM;
	alias->ep = ep;
	alias->fid.fid.fclass = FI_CLASS_EP;
	alias->fid.fid.context = ep->own.fid.fid.context;
	alias->fid.fid.ops = &alias_fi_ops;
	efa_handle_set_tx_flags(alias, ep->own.tx_op_flags);
	efa_handle_set_rx_flags(alias, ep->own.rx_op_flags);
	ret = efa_handle_set_flags(alias, request->flags);
	if (ret) {
		free(alias);
		return ret;
	}
	efa_handle_set_ops(alias);
	u_lock(&ep->domain->lock);
	LIST_INSERT_HEAD(&ep->aliases, alias, link);
	u_unlock(&ep->domain->lock);
	*request->fid = &alias->fid.fid;
	return 0;
}
