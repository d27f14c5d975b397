/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_thin_source.c - who sent what a thin endpoint has received
 */
#include "fi/efa_thin_priv.h"

#include <stdlib.h>
#include <string.h>

/*
 * What a source number meant when it was last looked up, for devices that do
 * not tell the sender's qkey: then the table of addresses has no short way.
 */
struct efa_thin_sender {
	uint64_t index; /* of the peer, or FI_ADDR_NOTAVAIL */
	uint32_t generation; /* of the table; that was not there before it */
	bool known;
};

#define SENDERS_MAX (1u << 20)

static U_COLD struct efa_thin_sender *sender_of(struct efa_thin *thin,
						uint32_t source)
{
	size_t n = u_max(64, u_max(2 * thin->nsenders, (size_t)source + 1));
	struct efa_thin_sender *list;

	if (source < thin->nsenders)
		return &thin->senders[source];
	if (source >= SENDERS_MAX)
		return NULL;
	list = realloc(thin->senders, n * sizeof(*list));
	if (!list)
		return NULL;
	memset(list + thin->nsenders, 0, (n - thin->nsenders) * sizeof(*list));
	thin->senders = list;
	thin->nsenders = n;
	return &list[source];
}

/* Whether the peer of that index is still at gid and queue pair of addr. */
static bool is_at(struct rdm_av *av, uint64_t index,
		  const struct dev_addr *addr)
{
	struct dev_addr at;

	return !rdm_av_lookup(av, index, &at) && at.qpn == addr->qpn &&
	       !memcmp(at.gid, addr->gid, sizeof(at.gid));
}

static uint64_t source_without_qkey(struct efa_thin *thin, uint32_t source,
				    const struct dev_addr *addr)
{
	struct rdm_av *av = thin->ep->av->rdm;
	uint32_t generation = rdm_av_generation(av);
	struct efa_thin_sender *sender = sender_of(thin, source);

	if (!sender)
		return rdm_av_find_any(av, addr);
	if (sender->known &&
	    (sender->index == RDM_ADDR_NONE ? sender->generation == generation :
					      is_at(av, sender->index, addr)))
		return sender->index;
	*sender = (struct efa_thin_sender){ rdm_av_find_any(av, addr),
					    generation, true };
	return sender->index;
}

/* He is not in the table: the entry is to tell his address, if it is known. */
static U_COLD void tell_stranger(const struct dev_addr *addr,
				 struct rdm_comp *comp)
{
	if (!addr->qkey)
		return;
	comp->err = RDM_ERR_STRANGER;
	comp->error = calloc(1, sizeof(*comp->error));
	if (comp->error)
		comp->error->peer = *addr;
}

void efa_thin_source(struct efa_thin *thin, uint32_t source, bool tell,
		     struct rdm_comp *comp)
{
	struct dev_addr addr;

	if (source == DEV_SOURCE_UNKNOWN || dev_source(thin->qp, source, &addr))
		return;
	if (!addr.qkey)
		comp->source = source_without_qkey(thin, source, &addr);
	else
		comp->source = rdm_av_find(thin->ep->av->rdm, &addr);
	if (u_unlikely(comp->source == FI_ADDR_NOTAVAIL) && tell &&
	    (thin->ep->caps & FI_SOURCE_ERR))
		tell_stranger(&addr, comp);
}
