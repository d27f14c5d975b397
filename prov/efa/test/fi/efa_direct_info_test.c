/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_direct_info_test.c - the fabric efa-direct: who is offered it, what its
 * infos and options say, for devices of every kind
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <rdma/fi_ext.h>
#include <rdma/fi_ext_efa.h>

#include "fixture.h"

#define API FI_VERSION(1, 17)
#define RMA_CAPS \
	(FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE)
#define ALL_MODES \
	(FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_LOCAL)

static struct fi_info *hints, *info;

static int setup(void **state)
{
	hints = fixture_hints(FI_EP_RDM);
	hints->mode = FI_CONTEXT2;
	hints->fabric_attr->name = strdup("efa-direct");
	info = NULL;
	return 0;
}

static int teardown(void **state)
{
	fi_freeinfo(hints);
	if (info)
		fi_freeinfo(info);
	return 0;
}

static int get(void)
{
	if (info)
		fi_freeinfo(info);
	info = NULL;
	return efa_getinfo(API, NULL, NULL, 0, hints, &info);
}

/* ---- what is offered ----------------------------------------------------- */

static void info__of_software(void **state)
{
	assert_int_equal(get(), 0);
	assert_null(info->next);
	assert_string_equal(info->domain_attr->name, "soft_lo-rdm");
	assert_int_equal(info->caps, FI_MSG | FI_SEND | FI_RECV | FI_SOURCE |
					     FI_LOCAL_COMM | FI_REMOTE_COMM |
					     RMA_CAPS);
	assert_int_equal(info->mode, FI_CONTEXT2);
	assert_int_equal(info->domain_attr->mr_mode, ALL_MODES);
	assert_int_equal(info->domain_attr->mr_key_size, 4);
	assert_int_equal(info->domain_attr->cq_data_size, 4);
	assert_int_equal(info->domain_attr->threading, FI_THREAD_SAFE);
	assert_int_equal(info->domain_attr->resource_mgmt, FI_RM_ENABLED);
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_MANUAL);
	assert_int_equal(info->ep_attr->type, FI_EP_RDM);
	assert_int_equal(info->ep_attr->protocol_version, 1);
	assert_int_equal(info->ep_attr->max_msg_size, 1 << 30);
	assert_int_equal(info->ep_attr->max_order_waw_size, 0);
	assert_int_equal(info->tx_attr->msg_order, 0);
	assert_int_equal(info->tx_attr->inject_size, 32);
	assert_int_equal(info->tx_attr->iov_limit, 2);
	assert_int_equal(info->tx_attr->rma_iov_limit, 1);
	assert_int_equal(info->rx_attr->iov_limit, 1);
}

/* Where the device tells the whole address of a sender. */
static void source_err__is_given_when_asked_for(void **state)
{
	hints->caps = FI_MSG | FI_SOURCE | FI_SOURCE_ERR;
	assert_int_equal(get(), 0);
	assert_true(info->caps & FI_SOURCE_ERR);
	assert_true(info->rx_attr->caps & FI_SOURCE_ERR);
}

static void hints__without_a_fabric_get_efa_first(void **state)
{
	free(hints->fabric_attr->name);
	hints->fabric_attr->name = NULL;
	assert_int_equal(get(), 0);
	assert_string_equal(info->fabric_attr->name, "efa");
	assert_non_null(info->next);
	assert_string_equal(info->next->fabric_attr->name, "efa-direct");
	hints->caps = FI_TAGGED;
	assert_int_equal(get(), 0);
	assert_null(info->next);
	assert_string_equal(info->fabric_attr->name, "efa");
	hints->caps = 0;
	hints->mode = 0;
	assert_int_equal(get(), 0);
	assert_null(info->next);
}

static void hints__that_leave_it_out(void **state)
{
	static const uint64_t caps[] = { FI_TAGGED, FI_ATOMIC, FI_MULTI_RECV,
					 FI_DIRECTED_RECV, FI_RMA_EVENT };

	for (size_t i = 0; i < u_array_size(caps); i++) {
		hints->caps = FI_MSG | caps[i];
		assert_int_equal(get(), -FI_ENODATA);
	}
	hints->caps = FI_MSG;
	assert_int_equal(get(), 0);
	hints->mode = FI_CONTEXT;
	assert_int_equal(get(), -FI_ENODATA);
	hints->mode = FI_CONTEXT2;
	hints->domain_attr->mr_mode &= ~FI_MR_LOCAL;
	assert_int_equal(get(), -FI_ENODATA);
	hints->domain_attr->mr_mode = ALL_MODES;
	hints->tx_attr->msg_order = FI_ORDER_SAS;
	assert_int_equal(get(), -FI_ENODATA);
	hints->tx_attr->msg_order = 0;
	hints->tx_attr->inject_size = 33;
	assert_int_equal(get(), -FI_ENODATA);
	hints->tx_attr->inject_size = 0;
	hints->rx_attr->op_flags = FI_MULTI_RECV;
	assert_int_equal(get(), -FI_ENODATA);
}

static void hints__without_rma_are_measured_by_a_packet(void **state)
{
	hints->caps = FI_MSG;
	assert_int_equal(get(), 0);
	assert_int_equal(info->ep_attr->max_msg_size, 8928);
	assert_int_equal(info->tx_attr->rma_iov_limit, 0);
	assert_int_equal(info->domain_attr->mr_mode, FI_MR_LOCAL);
	hints->ep_attr->max_msg_size = 8929;
	assert_int_equal(get(), -FI_ENODATA);
	hints->caps = FI_MSG | FI_RMA;
	assert_int_equal(get(), 0);
	assert_int_equal(info->ep_attr->max_msg_size, 1 << 30);
}

static void hints__say_which_receives_are_for_data(void **state)
{
	hints->mode |= FI_RX_CQ_DATA;
	assert_int_equal(get(), 0);
	assert_int_equal(info->mode, FI_CONTEXT2 | FI_RX_CQ_DATA);
	assert_int_equal(info->rx_attr->mode, FI_CONTEXT2 | FI_RX_CQ_DATA);
	assert_int_equal(info->tx_attr->mode, FI_CONTEXT2);
	hints->rx_attr->mode = FI_CONTEXT2 | FI_RX_CQ_DATA;
	hints->tx_attr->mode = FI_CONTEXT2;
	assert_int_equal(get(), 0);
}

/* ---- other devices ------------------------------------------------------- */

static const struct dev_info card = {
	.kind = DEV_KIND_VERBS,
	.caps = DEV_CAP_READ | DEV_CAP_WRITE | DEV_CAP_RNR_RETRY,
	.mtu = 8928,
	.max_rdma = 1 << 20,
	.tx_depth = 64,
	.rx_depth = 64,
	.key_bytes = 8,
};

static uint64_t fill(const struct dev_info *dev, const struct fi_info *hint)
{
	if (info)
		fi_freeinfo(info);
	info = fi_allocinfo();
	assert_non_null(info);
	efa_kind_fill(EFA_DIRECT, dev, hint, info);
	return info->caps & RMA_CAPS;
}

/* Without unsolicited receives only who says that he posts them has RMA. */
static void card__where_writes_use_receives(void **state)
{
	assert_int_equal(fill(&card, NULL), 0);
	assert_int_equal(info->ep_attr->max_msg_size, 8928);
	assert_int_equal(fill(&card, hints), 0);
	hints->mode |= FI_RX_CQ_DATA;
	assert_int_equal(fill(&card, hints), RMA_CAPS);
	assert_int_equal(info->ep_attr->max_msg_size, 1 << 20);
	/* A key of the card, not one of a rail beside it. */
	assert_int_equal(info->domain_attr->mr_key_size, 4);
}

static void card__with_half_of_rma_has_none(void **state)
{
	struct dev_info dev = card;

	dev.caps |= DEV_CAP_UNSOLICITED;
	assert_int_equal(fill(&dev, NULL), RMA_CAPS);
	dev.caps &= ~(uint32_t)DEV_CAP_WRITE;
	assert_int_equal(fill(&dev, NULL), 0);
}

static void card__makes_progress_by_itself(void **state)
{
	struct dev_info dev = card;

	fill(&dev, NULL);
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_AUTO);
	hints->domain_attr->data_progress = FI_PROGRESS_AUTO;
	free(hints->fabric_attr->name);
	hints->fabric_attr->name = NULL;
	info->nic = efa_nic_new(&dev);
	info->addr_format = FI_ADDR_EFA;
	assert_true(efa_attr_match(info, hints, API));
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_AUTO);
	dev.caps &= ~(uint32_t)DEV_CAP_RNR_RETRY;
	fill(&dev, NULL);
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_MANUAL);
}

/* ---- endpoints and options ----------------------------------------------- */

static int set(struct fid_ep *ep, int name, const void *val, size_t len)
{
	return fi_setopt(&ep->fid, FI_OPT_ENDPOINT, name, val, len);
}

static size_t size_of(struct fid_ep *ep, int name)
{
	size_t val = 1, len = sizeof(val);

	assert_int_equal(fi_getopt(&ep->fid, FI_OPT_ENDPOINT, name, &val, &len),
			 0);
	return val;
}

static void options__sizes(void **state)
{
	size_t val = 0, len = sizeof(val);
	struct fixture f;

	fixture_open(&f, &(struct fixture_config){ .direct = true });
	assert_int_equal(size_of(f.ep[0], FI_OPT_MAX_MSG_SIZE), 8928);
	assert_int_equal(size_of(f.ep[0], FI_OPT_MAX_RMA_SIZE), 1 << 30);
	assert_int_equal(size_of(f.ep[0], FI_OPT_INJECT_MSG_SIZE), 32);
	assert_int_equal(size_of(f.ep[0], FI_OPT_INJECT_RMA_SIZE), 32);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MAX_TAGGED_SIZE, &val, &len),
			 -FI_ENOPROTOOPT);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MIN_MULTI_RECV, &val, &len),
			 -FI_ENOPROTOOPT);
	val = 8929;
	assert_int_equal(set(f.ep[0], FI_OPT_MAX_MSG_SIZE, &val, len),
			 -FI_EINVAL);
	fixture_close(&f);
}

static void options__of_rdma(void **state)
{
	struct fixture f;
	bool no = false, yes = true;

	fixture_open(&f, &(struct fixture_config){ .direct = true,
						   .disabled = true });
	f.fabric->api_version = FI_VERSION(1, 18);
	assert_int_equal(set(f.ep[0], FI_OPT_EFA_USE_DEVICE_RDMA, &no, 1),
			 -FI_EOPNOTSUPP);
	assert_int_equal(set(f.ep[0], FI_OPT_EFA_USE_DEVICE_RDMA, &yes, 1), 0);
	assert_int_equal(set(f.ep[0], FI_OPT_EFA_USE_UNSOLICITED_WRITE_RECV,
			     &no, 1),
			 -FI_EOPNOTSUPP);
	assert_int_equal(set(f.ep[0], FI_OPT_EFA_USE_UNSOLICITED_WRITE_RECV,
			     &yes, 1),
			 0);
	fixture_close(&f);
	fixture_open(&f, &(struct fixture_config){ .direct = true,
						   .mode = FI_RX_CQ_DATA,
						   .disabled = true });
	assert_int_equal(
		set(f.ep[0], FI_OPT_EFA_USE_UNSOLICITED_WRITE_RECV, &no, 1), 0);
	fixture_close(&f);
}

static void endpoint__of_another_kind(void **state)
{
	struct fixture f;
	struct fid_ep *ep;

	fixture_open(&f, &(struct fixture_config){ .direct = true });
	f.info->caps |= FI_TAGGED;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), -FI_EINVAL);
	f.info->caps &= ~FI_TAGGED;
	f.info->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), -FI_EINVAL);
	f.info->ep_attr->type = FI_EP_RDM;
	strcpy(f.info->domain_attr->name, "soft_lo-xyz");
	assert_int_not_equal(fi_domain(f.fabric, f.info, &f.domain, NULL), 0);
	fixture_close(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(info__of_software),
		TEST(source_err__is_given_when_asked_for),
		TEST(hints__without_a_fabric_get_efa_first),
		TEST(hints__that_leave_it_out),
		TEST(hints__without_rma_are_measured_by_a_packet),
		TEST(hints__say_which_receives_are_for_data),
		TEST(card__where_writes_use_receives),
		TEST(card__with_half_of_rma_has_none),
		TEST(card__makes_progress_by_itself),
		TEST(options__sizes),
		TEST(options__of_rdma),
		TEST(endpoint__of_another_kind),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
