/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fixture.c - two endpoints of one process over the loopback interface
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"
#include "util/u_time.h"

#define PATIENCE (10 * U_SEC)
#define QUIET_TURNS 2000

int fixture_group_setup(void **state)
{
	setenv("FI_EFA_DEVICE", "soft", 1);
	setenv("FI_EFA_IFACE", "lo", 1);
	return fi_prov_ini() != &efa_prov;
}

int fixture_group_teardown(void **state)
{
	efa_prov.cleanup();
	return 0;
}

void fixture_use_shm(bool use)
{
	if (use)
		unsetenv("FI_EFA_ENABLE_SHM_TRANSFER");
	else
		setenv("FI_EFA_ENABLE_SHM_TRANSFER", "0", 1);
	efa_prov.cleanup();
	assert_ptr_equal(fi_prov_ini(), &efa_prov);
}

struct fi_info *fixture_hints(enum fi_ep_type type)
{
	struct fi_info *hints = fi_allocinfo();

	assert_non_null(hints);
	hints->ep_attr->type = type;
	hints->mode = FI_CONTEXT | FI_MSG_PREFIX;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR |
				      FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	return hints;
}

static void open_info(struct fixture *f, const struct fixture_config *config)
{
	struct fi_info *hints =
		fixture_hints(config->type ? config->type : FI_EP_RDM);

	if (config->direct) {
		hints->fabric_attr->name = strdup("efa-direct");
		hints->mode |= FI_CONTEXT2;
	}
	if (config->no_mr_local)
		hints->domain_attr->mr_mode &= ~FI_MR_LOCAL;
	hints->mode |= config->mode;
	hints->caps = config->caps;
	hints->domain_attr->threading = config->threading ? config->threading :
							    FI_THREAD_DOMAIN;
	hints->domain_attr->data_progress = config->progress;
	hints->tx_attr->op_flags = config->tx_op_flags;
	hints->rx_attr->op_flags = config->rx_op_flags;
	assert_int_equal(efa_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, hints,
				     &f->info),
			 0);
	fi_freeinfo(hints);
}

static void open_domain(struct fixture *f)
{
	struct fi_fabric_attr *attr = f->info->fabric_attr;

	attr->api_version = FI_VERSION(1, 17);
	assert_int_equal(efa_prov.fabric(attr, &f->fabric, NULL), 0);
	assert_int_equal(fi_domain(f->fabric, f->info, &f->domain, NULL), 0);
}

static void open_ep(struct fixture *f, int i,
		    const struct fixture_config *config)
{
	struct fi_cq_attr attr = {
		.format = config->format ? config->format : FI_CQ_FORMAT_TAGGED,
		.wait_obj = config->wait_obj,
	};
	uint64_t flags = FI_TRANSMIT | FI_RECV | config->bind_flags;

	assert_int_equal(fi_cq_open(f->domain, &attr, &f->cq[i], NULL), 0);
	assert_int_equal(fi_endpoint(f->domain, f->info, &f->ep[i], NULL), 0);
	assert_int_equal(fi_ep_bind(f->ep[i], &f->cq[i]->fid, flags), 0);
	assert_int_equal(fi_ep_bind(f->ep[i], &f->av->fid, 0), 0);
}

static void open_counters(struct fixture *f)
{
	struct fi_cntr_attr attr = { .events = FI_CNTR_EVENTS_COMP };

	assert_int_equal(fi_cntr_open(f->domain, &attr, &f->sent, NULL), 0);
	assert_int_equal(fi_cntr_open(f->domain, &attr, &f->received, NULL), 0);
	assert_int_equal(fi_ep_bind(f->ep[0], &f->sent->fid, FI_SEND), 0);
	assert_int_equal(fi_ep_bind(f->ep[0], &f->received->fid, FI_RECV), 0);
}

void fixture_enable(struct fixture *f)
{
	uint8_t name[EFA_ADDR_LEN];
	size_t len;

	for (int i = 0; i < 2; i++) {
		len = sizeof(name);
		assert_int_equal(fi_enable(f->ep[i]), 0);
		assert_int_equal(fi_getname(&f->ep[i]->fid, name, &len), 0);
		assert_int_equal(
			fi_av_insert(f->av, name, 1, &f->addr[i], 0, NULL), 1);
	}
}

void fixture_open(struct fixture *f, const struct fixture_config *config)
{
	struct fi_av_attr av_attr = { .type = FI_AV_TABLE };

	memset(f, 0, sizeof(*f));
	open_info(f, config);
	open_domain(f);
	assert_int_equal(fi_av_open(f->domain, &av_attr, &f->av, NULL), 0);
	open_ep(f, 0, config);
	open_ep(f, 1, config);
	if (config->counters)
		open_counters(f);
	if (!config->disabled)
		fixture_enable(f);
}

void fixture_close(struct fixture *f)
{
	for (int i = 0; i < 2; i++)
		if (f->ep[i])
			assert_int_equal(fi_close(&f->ep[i]->fid), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fi_close(&f->cq[i]->fid), 0);
	if (f->sent)
		assert_int_equal(fi_close(&f->sent->fid), 0);
	if (f->received)
		assert_int_equal(fi_close(&f->received->fid), 0);
	for (int i = 0; i < 4; i++)
		if (f->cntr[i])
			assert_int_equal(fi_close(&f->cntr[i]->fid), 0);
	assert_int_equal(fi_close(&f->av->fid), 0);
	assert_int_equal(fi_close(&f->domain->fid), 0);
	if (f->eq)
		assert_int_equal(fi_close(&f->eq->fid), 0);
	assert_int_equal(fi_close(&f->fabric->fid), 0);
	fi_freeinfo(f->info);
}

ssize_t fixture_read(struct fixture *f, int who, void *buf, size_t count)
{
	uint64_t end = u_now() + PATIENCE;
	ssize_t ret;

	do {
		fi_cq_read(f->cq[!who], NULL, 0);
		ret = fi_cq_read(f->cq[who], buf, count);
	} while (ret == -FI_EAGAIN && u_now() < end);
	return ret;
}

struct fi_cq_tagged_entry fixture_entry(struct fixture *f, int who)
{
	struct fi_cq_tagged_entry entry;

	assert_int_equal(fixture_read(f, who, &entry, 1), 1);
	return entry;
}

struct fi_cq_err_entry fixture_error(struct fixture *f, int who)
{
	struct fi_cq_err_entry entry = { .err = 0 };
	struct fi_cq_tagged_entry none;

	assert_int_equal(fixture_read(f, who, &none, 1), -FI_EAVAIL);
	assert_int_equal(fi_cq_readerr(f->cq[who], &entry, 0), 1);
	return entry;
}

int fixture_trywait(struct fixture *f, struct fid *fid)
{
	return fi_trywait(f->fabric, &fid, 1);
}

void fixture_quiet(struct fixture *f)
{
	struct fi_cq_tagged_entry entry;

	for (int i = 0; i < QUIET_TURNS; i++) {
		assert_int_equal(fi_cq_read(f->cq[0], &entry, 1), -FI_EAGAIN);
		assert_int_equal(fi_cq_read(f->cq[1], &entry, 1), -FI_EAGAIN);
	}
}
