/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft_open.c - the libfabric objects of one side, opened like any application
 *
 * Two completion queues, one for each direction, as most benchmarks have them.
 * A provider with socket addresses is bound to the loopback address in a forked
 * pair, so that nothing leaves the host.
 */
#include "ft.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API FI_VERSION(1, 17)
#define ADDRESS_MAX 256

struct address {
	uint64_t len;
	char bytes[ADDRESS_MAX];
};

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

static struct fi_info *hints_of(const struct ft *ft,
				const struct ft_request *request)
{
	struct fi_info *hints = fi_allocinfo();

	if (!hints)
		ft_fail("fi_allocinfo: out of memory");
	hints->caps = request->caps;
	hints->mode = FI_CONTEXT | FI_CONTEXT2 | request->mode;
	hints->ep_attr->type = request->type ? request->type : FI_EP_RDM;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR |
				      FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->domain_attr->threading =
		request->threading ? request->threading : FI_THREAD_DOMAIN;
	if (hints->ep_attr->type == FI_EP_RDM)
		hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	if (request->automatic)
		hints->domain_attr->data_progress = FI_PROGRESS_AUTO;
	hints->tx_attr->msg_order = request->order;
	hints->rx_attr->msg_order = request->order;
	hints->rx_attr->size = request->rx_size;
	hints->fabric_attr->prov_name = copy_of(ft->opt.provider);
	hints->fabric_attr->name = copy_of(ft->opt.fabric);
	hints->domain_attr->name = copy_of(ft->opt.domain);
	return hints;
}

static bool wants_loopback(const struct ft *ft)
{
	uint32_t format = ft->info->addr_format;

	return ft->opt.fork && !ft->opt.source &&
	       (format == FI_SOCKADDR || format == FI_SOCKADDR_IN ||
		format == FI_SOCKADDR_IN6);
}

static int get_info(struct ft *ft, const struct ft_request *request)
{
	struct fi_info *hints = hints_of(ft, request);
	const char *source = ft->opt.source;
	uint64_t flags = source ? FI_SOURCE : 0;
	int ret = fi_getinfo(API, source, NULL, flags, hints, &ft->info);

	if (ret == -FI_ENODATA && hints->rx_attr->size) {
		hints->rx_attr->size = 0;
		ret = fi_getinfo(API, source, NULL, flags, hints, &ft->info);
	}
	if (!ret && wants_loopback(ft)) {
		fi_freeinfo(ft->info);
		ft->info = NULL;
		ret = fi_getinfo(API, "127.0.0.1", NULL, FI_SOURCE, hints,
				 &ft->info);
	}
	fi_freeinfo(hints);
	return ret;
}

static struct fid_cq *cq_open(struct ft *ft, const struct ft_request *request,
			      size_t size)
{
	struct fi_cq_attr attr = {
		.format = request->format ? request->format :
					    FI_CQ_FORMAT_CONTEXT,
		.wait_obj = ft->opt.wait == FT_WAIT_SPIN ? request->wait_obj :
							   FI_WAIT_FD,
		.size = size,
	};
	struct fid_cq *cq;

	ft_check("fi_cq_open", fi_cq_open(ft->domain, &attr, &cq, NULL));
	return cq;
}

static struct fid_cntr *open_counter(struct ft *ft, enum fi_wait_obj wait_obj,
				     uint64_t events)
{
	struct fi_cntr_attr attr = {
		.events = FI_CNTR_EVENTS_COMP,
		.wait_obj = wait_obj,
	};
	struct fid_cntr *cntr;

	ft_check("fi_cntr_open", fi_cntr_open(ft->domain, &attr, &cntr, NULL));
	ft_check("fi_ep_bind cntr", fi_ep_bind(ft->ep, &cntr->fid, events));
	return cntr;
}

void ft_open_ep(struct ft *ft, const struct ft_request *request)
{
	struct fi_av_attr av_attr = {
		.type = ft->info->domain_attr->av_type,
		.count = 4,
	};
	struct fi_info *info = ft->info;

	ft->tx_posted = 0;
	ft->tx_done = 0;
	ft->tx_injected = 0;
	ft->rx_done = 0;
	ft->txcq = cq_open(ft, request, info->tx_attr->size);
	ft->rxcq = cq_open(ft, request, info->rx_attr->size);
	ft_check("fi_av_open", fi_av_open(ft->domain, &av_attr, &ft->av, NULL));
	ft_check("fi_endpoint", fi_endpoint(ft->domain, info, &ft->ep, NULL));
	ft_check("fi_ep_bind av", fi_ep_bind(ft->ep, &ft->av->fid, 0));
	ft_check("fi_ep_bind txcq",
		 fi_ep_bind(ft->ep, &ft->txcq->fid, FI_TRANSMIT));
	ft_check("fi_ep_bind rxcq",
		 fi_ep_bind(ft->ep, &ft->rxcq->fid, FI_RECV));
	if (request->counter)
		ft->rxcntr = open_counter(ft, request->wait_obj, FI_RECV);
	for (int i = 0; i < 2 && request->remote; i++)
		ft->remote[i] =
			open_counter(ft, FI_WAIT_UNSPEC,
				     i ? FI_REMOTE_WRITE : FI_REMOTE_READ);
	ft_check("fi_enable", fi_enable(ft->ep));
}

static void own_address(struct ft *ft, struct address *address)
{
	size_t len = sizeof(address->bytes);

	memset(address, 0, sizeof(*address));
	ft_check("fi_getname", fi_getname(&ft->ep->fid, address->bytes, &len));
	address->len = len;
}

static fi_addr_t insert(struct ft *ft, const struct address *address)
{
	fi_addr_t addr;
	int ret = fi_av_insert(ft->av, address->bytes, 1, &addr, 0, NULL);

	if (ret != 1)
		ft_die("fi_av_insert", ret);
	return addr;
}

void ft_insert_self(struct ft *ft)
{
	struct address own;

	own_address(ft, &own);
	ft->self = insert(ft, &own);
}

void ft_meet(struct ft *ft)
{
	struct address own, peer;

	own_address(ft, &own);
	ft_oob_send(ft, &own, sizeof(own));
	ft_oob_recv(ft, &peer, sizeof(peer));
	ft->peer = insert(ft, &peer);
}

int ft_open_domain(struct ft *ft, const struct ft_request *request)
{
	int ret = get_info(ft, request);

	if (ret == -FI_ENODATA && request->optional)
		return ret;
	if (ret)
		ft_fail("%s: fi_getinfo: %s",
			ft->opt.provider ? ft->opt.provider : "any provider",
			fi_strerror(-ret));
	ft->inject_size = ft->info->tx_attr->inject_size;
	ft_check("fi_fabric",
		 fi_fabric(ft->info->fabric_attr, &ft->fabric, NULL));
	ft_check("fi_domain",
		 fi_domain(ft->fabric, ft->info, &ft->domain, NULL));
	return 0;
}

int ft_open(struct ft *ft, const struct ft_request *request)
{
	int ret = ft_open_domain(ft, request);

	if (ret)
		return ret;
	ft_open_ep(ft, request);
	ft_meet(ft);
	if (ft->client)
		ft_introduce(ft);
	return 0;
}

void ft_introduce(const struct ft *ft)
{
	printf("# %s: provider %s fabric %s domain %s\n", ft->program->name,
	       ft->info->fabric_attr->prov_name, ft->info->fabric_attr->name,
	       ft->info->domain_attr->name);
	if (ft->opt.verbose)
		printf("%s", fi_tostr(ft->info, FI_TYPE_INFO));
}

static void close_one(const char *what, struct fid *fid)
{
	ft_check(what, fi_close(fid));
}

void ft_close_ep(struct ft *ft)
{
	close_one("close ep", &ft->ep->fid);
	if (ft->rxcntr)
		close_one("close rxcntr", &ft->rxcntr->fid);
	ft->rxcntr = NULL;
	for (int i = 0; i < 2; i++) {
		if (ft->remote[i])
			close_one("close remote cntr", &ft->remote[i]->fid);
		ft->remote[i] = NULL;
	}
	close_one("close txcq", &ft->txcq->fid);
	close_one("close rxcq", &ft->rxcq->fid);
	close_one("close av", &ft->av->fid);
	ft->ep = NULL;
}

void ft_close(struct ft *ft)
{
	if (!ft->info)
		return;
	if (ft->ep)
		ft_close_ep(ft);
	close_one("close domain", &ft->domain->fid);
	close_one("close fabric", &ft->fabric->fid);
	fi_freeinfo(ft->info);
	ft->info = NULL;
}

struct ft_buf ft_buf_new(struct ft *ft, size_t size)
{
	static uint64_t key = 0xefa0;
	struct ft_buf buf = { .size = size };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (size + page) / page * page;

	buf.p = aligned_alloc(page, room);
	if (!buf.p)
		ft_fail("out of memory: %zu bytes", size);
	memset(buf.p, 0, room);
	if (ft->info->domain_attr->mr_mode & FI_MR_LOCAL) {
		ft_check("fi_mr_reg",
			 fi_mr_reg(ft->domain, buf.p, room, FI_SEND | FI_RECV,
				   0, key++, 0, &buf.mr, NULL));
		buf.desc = fi_mr_desc(buf.mr);
	}
	return buf;
}

void ft_buf_free(struct ft_buf *buf)
{
	if (buf->mr)
		close_one("close mr", &buf->mr->fid);
	free(buf->p);
	*buf = (struct ft_buf){ 0 };
}
