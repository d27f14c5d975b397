/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_attr_test.c - fi_getinfo: hints that are kept, and hints that cannot be
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture.h"

#define API FI_VERSION(1, 17)
#define RMA_MODES (FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY)

static struct fi_info *hints, *info;

static int setup(void **state)
{
	hints = fixture_hints(FI_EP_RDM);
	info = NULL;
	return 0;
}

static int teardown(void **state)
{
	fi_freeinfo(hints);
	if (info)
		fi_freeinfo(info);
	info = NULL;
	return 0;
}

static int get_version(uint32_t version)
{
	if (info)
		fi_freeinfo(info);
	info = NULL;
	return efa_getinfo(version, NULL, NULL, 0, hints, &info);
}

static int get(void)
{
	return get_version(API);
}

/* ---- capabilities -------------------------------------------------------- */

static void caps__nothing_hinted_is_everything(void **state)
{
	const uint64_t rma = FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ |
			     FI_REMOTE_WRITE;

	assert_int_equal(get(), 0);
	assert_int_equal(info->caps & (FI_MSG | FI_TAGGED | rma),
			 FI_MSG | FI_TAGGED | rma);
}

static void caps__primary_ones_only_if_hinted(void **state)
{
	hints->caps = FI_MSG;
	assert_int_equal(get(), 0);
	assert_int_equal(info->caps, FI_MSG | FI_SEND | FI_RECV |
					     FI_MULTI_RECV | FI_LOCAL_COMM |
					     FI_REMOTE_COMM);
	assert_int_equal(info->tx_attr->caps, FI_MSG | FI_SEND);
	assert_int_equal(info->rx_attr->caps, FI_MSG | FI_RECV | FI_MULTI_RECV);
}

static void caps__atomics_alone(void **state)
{
	hints->caps = FI_ATOMIC;
	assert_int_equal(get(), 0);
	assert_int_equal(info->caps, FI_ATOMIC | FI_READ | FI_WRITE |
					     FI_REMOTE_READ | FI_REMOTE_WRITE |
					     FI_LOCAL_COMM | FI_REMOTE_COMM);
	assert_int_equal(info->tx_attr->caps, FI_ATOMIC | FI_READ | FI_WRITE);
	assert_int_equal(info->rx_attr->caps,
			 FI_ATOMIC | FI_REMOTE_READ | FI_REMOTE_WRITE);
	hints->domain_attr->mr_mode = 0;
	assert_int_equal(get(), -FI_ENODATA);
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), -FI_ENODATA);
}

static void caps__one_direction(void **state)
{
	hints->caps = FI_TAGGED | FI_SEND | FI_RMA | FI_READ;
	assert_int_equal(get(), 0);
	assert_int_equal(info->caps, FI_TAGGED | FI_SEND | FI_RMA | FI_READ |
					     FI_LOCAL_COMM | FI_REMOTE_COMM);
}

static void caps__unknown_ones(void **state)
{
	static const uint64_t unknown[] = {
		FI_MULTICAST,	   FI_COLLECTIVE,     FI_TRIGGER,
		FI_HMEM,	   FI_SHARED_AV,      FI_NAMED_RX_CTX,
		FI_PEER,	   UINT64_C(1) << 45, UINT64_C(1) << 46,
		UINT64_C(1) << 48,
	};

	for (size_t i = 0; i < u_array_size(unknown); i++) {
		hints->caps = FI_MSG | unknown[i];
		assert_int_equal(get(), -FI_ENODATA);
	}
}

static void caps__fence_is_given_when_asked_for(void **state)
{
	hints->caps = FI_MSG | FI_FENCE;
	assert_int_equal(get(), 0);
	assert_true(info->caps & FI_FENCE);
	assert_true(info->tx_attr->caps & FI_FENCE);
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), -FI_ENODATA);
}

/* It makes RMA slower, so nobody gets it who did not ask. */
static void caps__rma_event_is_given_when_asked_for(void **state)
{
	hints->caps = FI_RMA | FI_RMA_EVENT;
	assert_int_equal(get(), 0);
	assert_true(info->caps & FI_RMA_EVENT);
	assert_true(info->rx_attr->caps & FI_RMA_EVENT);
	hints->caps = FI_RMA;
	assert_int_equal(get(), 0);
	assert_false(info->caps & FI_RMA_EVENT);
	hints->caps = 0;
	assert_int_equal(get(), 0);
	assert_false(info->caps & FI_RMA_EVENT);
}

/* It makes errors of what programs take for granted. */
static void caps__source_err_is_given_when_asked_for(void **state)
{
	for (int dgram = 0; dgram < 2; dgram++) {
		hints->ep_attr->type = dgram ? FI_EP_DGRAM : FI_EP_RDM;
		hints->caps = FI_MSG | FI_SOURCE | FI_SOURCE_ERR;
		assert_int_equal(get(), 0);
		assert_true(info->caps & FI_SOURCE_ERR);
		assert_true(info->rx_attr->caps & FI_SOURCE_ERR);
		hints->caps = FI_MSG | FI_SOURCE;
		assert_int_equal(get(), 0);
		assert_false(info->caps & FI_SOURCE_ERR);
		hints->caps = 0;
		assert_int_equal(get(), 0);
		assert_false(info->caps & FI_SOURCE_ERR);
		hints->caps = FI_MSG | FI_SOURCE_ERR;
		assert_int_equal(get(), -FI_ENODATA);
	}
}

static void caps__of_each_side_are_subsets(void **state)
{
	hints->caps = FI_MSG | FI_TAGGED;
	hints->tx_attr->caps = FI_TAGGED;
	hints->rx_attr->caps = FI_TAGGED | FI_RECV;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->caps, FI_TAGGED | FI_SEND);
	assert_int_equal(info->rx_attr->caps, FI_TAGGED | FI_RECV);
	hints->tx_attr->caps = FI_RMA;
	assert_int_equal(get(), -FI_ENODATA);
}

/* ---- modes --------------------------------------------------------------- */

static void mode__rdm_requires_none(void **state)
{
	hints->mode = 0;
	assert_int_equal(get(), 0);
	assert_int_equal(info->mode, 0);
	hints->mode = ~UINT64_C(0);
	assert_int_equal(get(), 0);
	assert_int_equal(info->mode, 0);
}

static void mode__dgram_requires_prefix(void **state)
{
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), 0);
	assert_int_equal(info->mode, FI_MSG_PREFIX);
	hints->mode = FI_CONTEXT;
	assert_int_equal(get(), -FI_ENODATA);
}

static void mr_mode__matters_for_the_target_of_rma(void **state)
{
	hints->domain_attr->mr_mode = 0;
	hints->caps = FI_MSG | FI_TAGGED;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, 0);
	hints->caps = FI_MSG | FI_RMA;
	assert_int_equal(get(), -FI_ENODATA);
	hints->caps = FI_RMA | FI_READ | FI_WRITE;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, 0);
}

static void mr_mode__none_and_no_caps_hinted(void **state)
{
	hints->domain_attr->mr_mode = 0;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, 0);
	assert_false(info->caps & (FI_REMOTE_READ | FI_REMOTE_WRITE));
	assert_true(info->caps & FI_TAGGED);
}

static void mr_mode__output_is_what_is_required(void **state)
{
	hints->caps = FI_RMA;
	hints->domain_attr->mr_mode =
		~(EFA_MR_BASIC | EFA_MR_SCALABLE | FI_MR_LOCAL);
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, RMA_MODES);
	for (int bit = 0; bit < 12; bit++) {
		if (!(RMA_MODES & 1 << bit))
			continue;
		hints->domain_attr->mr_mode = RMA_MODES & ~(1 << bit);
		assert_int_equal(get(), -FI_ENODATA);
	}
}

/* It is not required, and told to who asks for it. */
static void mr_mode__local_as_hinted(void **state)
{
	hints->domain_attr->mr_mode = RMA_MODES | FI_MR_LOCAL;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, RMA_MODES | FI_MR_LOCAL);
	hints->domain_attr->mr_mode = FI_MR_LOCAL;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, FI_MR_LOCAL);
	assert_false(info->caps & (FI_REMOTE_READ | FI_REMOTE_WRITE));
	hints->caps = FI_MSG | FI_RMA;
	assert_int_equal(get(), -FI_ENODATA);
}

static void mr_mode__names_of_old(void **state)
{
	hints->caps = FI_RMA;
	hints->domain_attr->mr_mode = EFA_MR_BASIC;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, EFA_MR_BASIC);
	hints->domain_attr->mr_mode = EFA_MR_SCALABLE;
	assert_int_equal(get(), -FI_ENODATA);
	hints->domain_attr->mr_mode = 0;
	assert_int_equal(get_version(FI_VERSION(1, 4)), 0);
	assert_int_equal(info->domain_attr->mr_mode, EFA_MR_BASIC);
}

static void mr_mode__dgram_requires_local(void **state)
{
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, FI_MR_LOCAL);
	hints->domain_attr->mr_mode = RMA_MODES;
	assert_int_equal(get(), -FI_ENODATA);
	hints->mode |= EFA_LOCAL_MR;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->mr_mode, 0);
	assert_true(info->mode & EFA_LOCAL_MR);
}

/* ---- models -------------------------------------------------------------- */

static void threading__every_model_comes_back(void **state)
{
	static const enum fi_threading models[] = {
		FI_THREAD_SAFE,	      FI_THREAD_FID,	  FI_THREAD_DOMAIN,
		FI_THREAD_COMPLETION, FI_THREAD_ENDPOINT,
	};

	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->threading, FI_THREAD_SAFE);
	for (size_t i = 0; i < u_array_size(models); i++) {
		hints->domain_attr->threading = models[i];
		assert_int_equal(get(), 0);
		assert_int_equal(info->domain_attr->threading, models[i]);
	}
}

static void progress__is_automatic_when_hinted(void **state)
{
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_MANUAL);
	hints->domain_attr->control_progress = FI_PROGRESS_AUTO;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->control_progress, FI_PROGRESS_AUTO);
	hints->domain_attr->data_progress = EFA_PROGRESS_UNIFIED;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->data_progress,
			 EFA_PROGRESS_UNIFIED);
	hints->domain_attr->data_progress = FI_PROGRESS_AUTO;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->data_progress, FI_PROGRESS_AUTO);
}

static void resource_mgmt__rdm_manages_dgram_does_not(void **state)
{
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	assert_int_equal(get(), 0);
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), -FI_ENODATA);
	hints->domain_attr->resource_mgmt = FI_RM_DISABLED;
	assert_int_equal(get(), 0);
}

static void av_type__comes_back(void **state)
{
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->av_type, FI_AV_TABLE);
	hints->domain_attr->av_type = FI_AV_MAP;
	assert_int_equal(get(), 0);
	assert_int_equal(info->domain_attr->av_type, FI_AV_MAP);
}

static void tclass__known_ones(void **state)
{
	hints->tx_attr->tclass = FI_TC_LOW_LATENCY;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->tclass, FI_TC_LOW_LATENCY);
	hints->tx_attr->tclass = fi_tc_dscp_set(46);
	assert_int_equal(get(), 0);
	hints->tx_attr->tclass = FI_TC_NETWORK_CTRL + 1;
	assert_int_equal(get(), -FI_ENODATA);
	hints->tx_attr->tclass = 5;
	assert_int_equal(get(), -FI_ENODATA);
}

/* ---- limits -------------------------------------------------------------- */

/* The field of hints as given is kept; one more than there is, is not. */
static void check_limit(size_t *hint, size_t limit)
{
	assert_int_equal(get(), 0);
	*hint = limit;
	assert_int_equal(get(), 0);
	*hint = limit + 1;
	assert_int_equal(get(), -FI_ENODATA);
	*hint = 0;
}

static void limits__cannot_be_exceeded(void **state)
{
	struct fi_domain_attr *domain = hints->domain_attr;
	struct fi_tx_attr *tx = hints->tx_attr;
	size_t size, inject_size;

	hints->caps = FI_TAGGED;
	assert_int_equal(get(), 0);
	size = info->tx_attr->size;
	inject_size = info->tx_attr->inject_size;
	check_limit(&domain->cq_data_size, 4);
	check_limit(&domain->mr_key_size, 4);
	check_limit(&domain->mr_iov_limit, 1);
	check_limit(&domain->max_ep_tx_ctx, 1);
	check_limit(&domain->max_ep_stx_ctx, 0);
	check_limit(&tx->iov_limit, 4);
	check_limit(&tx->rma_iov_limit, 1);
	check_limit(&tx->size, size);
	check_limit(&tx->inject_size, inject_size);
	check_limit(&hints->rx_attr->iov_limit, 4);
	check_limit(&hints->ep_attr->tx_ctx_cnt, 1);
	check_limit(&hints->ep_attr->max_order_raw_size, 8776);
	check_limit(&hints->ep_attr->max_order_war_size, 8776);
	check_limit(&hints->ep_attr->max_order_waw_size, 8776);
}

static void limits__come_back_as_hinted(void **state)
{
	hints->caps = FI_TAGGED;
	hints->tx_attr->size = 17;
	hints->tx_attr->inject_size = 64;
	hints->tx_attr->iov_limit = 2;
	hints->rx_attr->size = 33;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->size, 17);
	assert_int_equal(info->tx_attr->inject_size, 64);
	assert_int_equal(info->tx_attr->iov_limit, 2);
	assert_int_equal(info->rx_attr->size, 33);
}

static void inject_size__leaves_room_for_headers(void **state)
{
	assert_int_equal(get(), 0);
	assert_true(info->tx_attr->inject_size >= 4096);
	assert_true(info->tx_attr->inject_size < 8928);
}

static void order__of_atomics(void **state)
{
	const uint64_t all = FI_ORDER_SAS | FI_ORDER_ATOMIC_RAR |
			     FI_ORDER_ATOMIC_RAW | FI_ORDER_ATOMIC_WAR |
			     FI_ORDER_ATOMIC_WAW;

	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->msg_order, all);
	assert_int_equal(info->rx_attr->msg_order, all);
	assert_int_equal(info->ep_attr->max_order_waw_size, 8776);
	hints->tx_attr->msg_order = FI_ORDER_SAS | FI_ORDER_ATOMIC_RAW;
	hints->rx_attr->msg_order = FI_ORDER_ATOMIC_RAR;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->msg_order, hints->tx_attr->msg_order);
	assert_int_equal(info->rx_attr->msg_order, FI_ORDER_ATOMIC_RAR);
	assert_int_equal(info->ep_attr->max_order_raw_size, 8776);
	assert_int_equal(info->ep_attr->max_order_war_size, 0);
	assert_int_equal(info->ep_attr->max_order_waw_size, 0);
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(), -FI_ENODATA);
}

static void order__sas_and_no_other(void **state)
{
	hints->tx_attr->msg_order = FI_ORDER_SAS;
	hints->rx_attr->msg_order = FI_ORDER_SAS;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->msg_order, FI_ORDER_SAS);
	hints->tx_attr->msg_order = FI_ORDER_SAS | FI_ORDER_RAW;
	assert_int_equal(get(), -FI_ENODATA);
	hints->tx_attr->msg_order = 0;
	hints->tx_attr->comp_order = FI_ORDER_RAR;
	assert_int_equal(get(), -FI_ENODATA);
}

static void op_flags__come_back(void **state)
{
	hints->tx_attr->op_flags = FI_MATCH_COMPLETE;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->op_flags, FI_MATCH_COMPLETE);
	hints->tx_attr->op_flags = FI_COMPLETION | FI_DELIVERY_COMPLETE;
	hints->rx_attr->op_flags = FI_COMPLETION | FI_MULTI_RECV;
	assert_int_equal(get(), 0);
	assert_int_equal(info->tx_attr->op_flags, hints->tx_attr->op_flags);
	assert_int_equal(info->rx_attr->op_flags, hints->rx_attr->op_flags);
	hints->tx_attr->op_flags = FI_COMMIT_COMPLETE;
	assert_int_equal(get(), -FI_ENODATA);
}

/* Where nothing comes back nobody can know. */
static void op_flags__of_datagrams(void **state)
{
	static const uint64_t refused[] = { FI_DELIVERY_COMPLETE,
					    FI_MATCH_COMPLETE };

	hints->ep_attr->type = FI_EP_DGRAM;
	hints->tx_attr->op_flags = FI_COMPLETION | FI_TRANSMIT_COMPLETE;
	assert_int_equal(get(), 0);
	for (size_t i = 0; i < u_array_size(refused); i++) {
		hints->tx_attr->op_flags = refused[i];
		assert_int_equal(get(), -FI_ENODATA);
	}
}

static void ep__types_and_protocols(void **state)
{
	hints->ep_attr->type = FI_EP_MSG;
	assert_int_equal(get(), -FI_ENODATA);
	hints->ep_attr->type = FI_EP_UNSPEC;
	assert_int_equal(get(), 0);
	assert_non_null(info->next);
	hints->ep_attr->protocol = FI_PROTO_EFA;
	hints->ep_attr->protocol_version = 4;
	assert_int_equal(get(), 0);
	assert_null(info->next);
	hints->ep_attr->protocol = FI_PROTO_IB_UD;
	assert_int_equal(get(), -FI_ENODATA);
}

static void addr_format__of_others(void **state)
{
	hints->addr_format = FI_ADDR_EFA;
	assert_int_equal(get(), 0);
	hints->addr_format = FI_SOCKADDR_IN;
	assert_int_equal(get(), -FI_ENODATA);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(caps__nothing_hinted_is_everything),
		TEST(caps__primary_ones_only_if_hinted),
		TEST(caps__atomics_alone),
		TEST(caps__one_direction),
		TEST(caps__unknown_ones),
		TEST(caps__fence_is_given_when_asked_for),
		TEST(caps__rma_event_is_given_when_asked_for),
		TEST(caps__source_err_is_given_when_asked_for),
		TEST(caps__of_each_side_are_subsets),
		TEST(mode__rdm_requires_none),
		TEST(mode__dgram_requires_prefix),
		TEST(mr_mode__matters_for_the_target_of_rma),
		TEST(mr_mode__none_and_no_caps_hinted),
		TEST(mr_mode__output_is_what_is_required),
		TEST(mr_mode__local_as_hinted),
		TEST(mr_mode__names_of_old),
		TEST(mr_mode__dgram_requires_local),
		TEST(threading__every_model_comes_back),
		TEST(progress__is_automatic_when_hinted),
		TEST(resource_mgmt__rdm_manages_dgram_does_not),
		TEST(av_type__comes_back),
		TEST(tclass__known_ones),
		TEST(limits__cannot_be_exceeded),
		TEST(limits__come_back_as_hinted),
		TEST(inject_size__leaves_room_for_headers),
		TEST(order__of_atomics),
		TEST(order__sas_and_no_other),
		TEST(op_flags__come_back),
		TEST(op_flags__of_datagrams),
		TEST(ep__types_and_protocols),
		TEST(addr_format__of_others),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
