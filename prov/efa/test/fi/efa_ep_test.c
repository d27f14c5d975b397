/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_ep_test.c - life of an endpoint: open, bind, enable, options, aliases
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

static struct fixture f;

/* ---- states -------------------------------------------------------------- */

static void before_enable__nothing_can_be_posted(void **state)
{
	char buf[8] = "";
	size_t len = 0;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_send(f.ep[0], buf, 8, NULL, 0, NULL),
			 -FI_EOPBADSTATE);
	assert_int_equal(fi_trecv(f.ep[0], buf, 8, NULL, 0, 0, 0, NULL),
			 -FI_EOPBADSTATE);
	assert_int_equal(fi_write(f.ep[0], buf, 8, NULL, 0, 0, 0, NULL),
			 -FI_EOPBADSTATE);
	assert_int_equal(fi_cancel(&f.ep[0]->fid, NULL), -FI_EOPBADSTATE);
	assert_int_equal(fi_getname(&f.ep[0]->fid, NULL, &len), -FI_ETOOSMALL);
	assert_int_equal(len, EFA_ADDR_LEN);
	assert_int_equal(fi_getname(&f.ep[0]->fid, buf, &len), -FI_EOPBADSTATE);
	fixture_close(&f);
}

static void enable__needs_queue_and_vector(void **state)
{
	struct fid_ep *ep;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), 0);
	assert_int_equal(fi_enable(ep), -FI_ENOAV);
	assert_int_equal(fi_ep_bind(ep, &f.av->fid, 0), 0);
	assert_int_equal(fi_enable(ep), -FI_ENOCQ);
	assert_int_equal(fi_ep_bind(ep, &f.cq[0]->fid, FI_TRANSMIT), 0);
	assert_int_equal(fi_enable(ep), -FI_ENOCQ);
	assert_int_equal(fi_ep_bind(ep, &f.cq[1]->fid, FI_RECV), 0);
	assert_int_equal(fi_enable(ep), 0);
	assert_int_equal(fi_enable(ep), -FI_EOPBADSTATE);
	assert_int_equal(fi_close(&ep->fid), 0);
	fixture_close(&f);
}

static void enable__one_direction_needs_one_queue(void **state)
{
	struct fid_ep *ep;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	f.info->caps = FI_MSG | FI_SEND;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), 0);
	assert_int_equal(fi_ep_bind(ep, &f.av->fid, 0), 0);
	assert_int_equal(fi_ep_bind(ep, &f.cq[0]->fid, FI_TRANSMIT), 0);
	assert_int_equal(fi_enable(ep), 0);
	assert_int_equal(fi_close(&ep->fid), 0);
	fixture_close(&f);
}

/* Whether the first message has come before its sender looks at anything. */
static bool goes_at_once(enum dev_kind kind, uint64_t caps, bool short_only)
{
	char out[4] = "abc", in[4] = "";
	struct fi_cq_tagged_entry entry;
	struct dev *dev;
	bool came;

	fixture_open(&f, &(struct fixture_config){ .caps = caps,
						   .disabled = true });
	dev = u_container_of(f.domain, struct efa_domain, fid)->dev;
	for (int i = 0; i < 2 && short_only; i++)
		assert_int_equal(fi_setopt(&f.ep[i]->fid, FI_OPT_ENDPOINT,
					   FI_OPT_MAX_MSG_SIZE,
					   &(size_t){ dev->info.mtu },
					   sizeof(size_t)),
				 0);
	dev->info.kind = kind;
	fixture_enable(&f);
	assert_int_equal(fi_recv(f.ep[1], in, 4, NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_send(f.ep[0], out, 4, NULL, f.addr[1], out), 0);
	came = false;
	for (int i = 0; i < 100 && !came; i++)
		came = fi_cq_read(f.cq[1], &entry, 1) == 1;
	if (!came)
		fixture_entry(&f, 1);
	assert_string_equal(in, "abc");
	fixture_entry(&f, 0);
	fixture_close(&f);
	return came;
}

/*
 * Of hardware, an old peer may want messages without headers where a program
 * does with no more than one packet; so that the first one asks before.
 */
static void enable__first_message_may_have_to_ask(void **state)
{
	uint64_t plain = FI_MSG | FI_RMA;

	assert_false(goes_at_once(DEV_KIND_VERBS, plain, true));
	assert_true(goes_at_once(DEV_KIND_VERBS, plain, false));
	assert_true(goes_at_once(DEV_KIND_VERBS, plain | FI_TAGGED, true));
	assert_true(goes_at_once(DEV_KIND_VERBS, plain | FI_ATOMIC, true));
	assert_true(goes_at_once(DEV_KIND_SOFT, plain, true));
}

static void bind__mistakes(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_ep_bind(f.ep[0], &f.cq[1]->fid, FI_RECV),
			 -FI_EINVAL);
	assert_int_equal(fi_ep_bind(f.ep[0], &f.cq[1]->fid, 0), -FI_EINVAL);
	assert_int_equal(fi_ep_bind(f.ep[0], &f.cq[1]->fid, FI_RMA),
			 -FI_EINVAL);
	assert_int_equal(fi_ep_bind(f.ep[0], &f.av->fid, 0), -FI_EINVAL);
	assert_int_equal(fi_ep_bind(f.ep[0], &f.domain->fid, 0), -FI_EINVAL);
	assert_int_equal(fi_enable(f.ep[0]), 0);
	assert_int_equal(fi_ep_bind(f.ep[0], &f.cq[1]->fid, FI_RECV),
			 -FI_EOPBADSTATE);
	fixture_close(&f);
}

static void close__children_before_parents(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .counters = true });
	assert_int_equal(fi_close(&f.cq[0]->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&f.av->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&f.sent->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&f.domain->fid), -FI_EBUSY);
	fixture_close(&f);
}

static void close__event_queue_after_endpoint(void **state)
{
	struct fid_eq *eq;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_eq_open(f.fabric, NULL, &eq, NULL), 0);
	assert_int_equal(fi_enable(f.ep[0]), 0);
	assert_int_equal(fi_ep_bind(f.ep[0], &eq->fid, 0), 0);
	assert_int_equal(fi_ep_bind(f.ep[0], &eq->fid, 0), -FI_EINVAL);
	assert_int_equal(fi_close(&eq->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&f.ep[0]->fid), 0);
	assert_int_equal(fi_close(&eq->fid), 0);
	assert_int_equal(fi_endpoint(f.domain, f.info, &f.ep[0], NULL), 0);
	fixture_close(&f);
}

static void open__obeys_the_info(void **state)
{
	struct fid_ep *ep;

	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG });
	assert_int_equal(fi_tsend(f.ep[0], NULL, 0, NULL, 0, 0, NULL),
			 -FI_ENOSYS);
	assert_int_equal(fi_read(f.ep[0], NULL, 0, NULL, 0, 0, 0, NULL),
			 -FI_ENOSYS);
	f.info->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), -FI_EINVAL);
	f.info->ep_attr->type = FI_EP_RDM;
	f.info->mode = FI_RX_CQ_DATA;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), -FI_EINVAL);
	f.info->mode = 0;
	f.info->ep_attr->rx_ctx_cnt = FI_SHARED_CONTEXT;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), -FI_ENOSYS);
	fixture_close(&f);
}

static bool is_low_latency(uint32_t domain_class, uint32_t tx_class)
{
	struct fid_ep *ep;
	bool is;

	f.info->domain_attr->tclass = domain_class;
	f.info->tx_attr->tclass = tx_class;
	assert_int_equal(fi_endpoint(f.domain, f.info, &ep, NULL), 0);
	is = efa_ep_of(ep)->low_latency;
	assert_int_equal(fi_close(&ep->fid), 0);
	return is;
}

static void open__low_latency(void **state)
{
	fixture_open(&f, &(struct fixture_config){ .caps = FI_MSG });
	assert_false(is_low_latency(FI_TC_UNSPEC, FI_TC_UNSPEC));
	assert_true(is_low_latency(FI_TC_UNSPEC, FI_TC_LOW_LATENCY));
	assert_true(is_low_latency(FI_TC_LOW_LATENCY, FI_TC_UNSPEC));
	assert_false(is_low_latency(FI_TC_LOW_LATENCY, FI_TC_BULK_DATA));
	fixture_close(&f);
}

static void getname__length(void **state)
{
	uint8_t name[64], start[8];
	size_t len = sizeof(name);
	struct dev_addr addr;

	fixture_open(&f, &(struct fixture_config){ .disabled = false });
	assert_int_equal(fi_getname(&f.ep[0]->fid, name, &len), 0);
	assert_int_equal(len, EFA_ADDR_LEN);
	assert_int_equal(efa_addr_unpack(name, &addr), 0);
	assert_int_not_equal(addr.qpn, 0);
	assert_int_not_equal(addr.qkey, 0);
	len = sizeof(start);
	assert_int_equal(fi_getname(&f.ep[0]->fid, start, &len), -FI_ETOOSMALL);
	assert_int_equal(len, EFA_ADDR_LEN);
	assert_memory_equal(start, name, sizeof(start));
	fixture_close(&f);
}

/* ---- options ------------------------------------------------------------- */

#define SET(name, val) \
	fi_setopt(&f.ep[0]->fid, FI_OPT_ENDPOINT, name, &(val), sizeof(val))

static void options__can_be_set_and_read(void **state)
{
	size_t size = 1000, len = sizeof(size), out = 0;
	bool flag = true;
	int p2p = -1;

	fixture_open(&f, &(struct fixture_config){ .disabled = false });
	assert_int_equal(SET(FI_OPT_MIN_MULTI_RECV, size), 0);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MIN_MULTI_RECV, &out, &len),
			 0);
	assert_int_equal(out, 1000);
	assert_int_equal(SET(FI_OPT_INJECT_TAGGED_SIZE, size), 0);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_INJECT_TAGGED_SIZE, &out, &len),
			 0);
	assert_int_equal(out, 1000);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MAX_MSG_SIZE, &out, &len),
			 0);
	assert_true(out == SIZE_MAX);
	len = sizeof(flag);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_EFA_EMULATED_WRITE, &flag, &len),
			 0);
	assert_false(flag);
	len = sizeof(p2p);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_FI_HMEM_P2P, &p2p, &len),
			 0);
	assert_int_equal(p2p, FI_HMEM_P2P_ENABLED);
	fixture_close(&f);
}

static void options__mistakes(void **state)
{
	size_t size = SIZE_MAX, retry = 8, len = 2;
	bool yes = true;
	int p2p = FI_HMEM_P2P_REQUIRED;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_setopt(&f.ep[0]->fid, FI_OPT_ENDPOINT + 1,
				   FI_OPT_MIN_MULTI_RECV, &size, sizeof(size)),
			 -FI_ENOPROTOOPT);
	assert_int_equal(SET(12345, size), -FI_ENOPROTOOPT);
	assert_int_equal(SET(FI_OPT_MIN_MULTI_RECV, yes), -FI_EINVAL);
	assert_int_equal(SET(FI_OPT_INJECT_MSG_SIZE, size), -FI_EINVAL);
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, retry), -FI_EINVAL);
	assert_int_equal(SET(FI_OPT_FI_HMEM_P2P, p2p), -FI_EOPNOTSUPP);
	assert_int_equal(SET(FI_OPT_CUDA_API_PERMITTED, yes), -FI_EOPNOTSUPP);
	assert_int_equal(SET(FI_OPT_EFA_SENDRECV_IN_ORDER_ALIGNED_128_BYTES,
			     yes),
			 -FI_EOPNOTSUPP);
	assert_int_equal(SET(FI_OPT_EFA_EMULATED_READ, yes), -FI_ENOPROTOOPT);
	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_MIN_MULTI_RECV, &size, &len),
			 -FI_ETOOSMALL);
	assert_int_equal(len, sizeof(size));
	fixture_close(&f);
}

static size_t rnr_retry(void)
{
	size_t tries = SIZE_MAX, len = sizeof(tries);

	assert_int_equal(fi_getopt(&f.ep[0]->fid, FI_OPT_ENDPOINT,
				   FI_OPT_EFA_RNR_RETRY, &tries, &len),
			 0);
	return tries;
}

static void options__rnr_retry(void **state)
{
	size_t tries = 3;
	struct dev *dev;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(rnr_retry(), 3);
	for (tries = 0; tries < 8; tries++) {
		assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, tries), 0);
		assert_int_equal(rnr_retry(), tries);
	}
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, tries), -FI_EINVAL);
	dev = u_container_of(f.domain, struct efa_domain, fid)->dev;
	dev->info.caps &= ~(uint32_t)DEV_CAP_RNR_RETRY;
	tries = 2;
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, tries), -FI_ENOSYS);
	tries = 3;
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, tries), 0);
	fixture_close(&f);
}

static void options__before_enable_only(void **state)
{
	size_t retry = 3;
	bool no = false;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, retry), 0);
	assert_int_equal(SET(FI_OPT_SHARED_MEMORY_PERMITTED, no), 0);
	assert_int_equal(fi_enable(f.ep[0]), 0);
	assert_int_equal(SET(FI_OPT_EFA_RNR_RETRY, retry), -FI_EINVAL);
	assert_int_equal(SET(FI_OPT_SHARED_MEMORY_PERMITTED, no), -FI_EINVAL);
	fixture_close(&f);
}

/* ---- flags and aliases --------------------------------------------------- */

static void flags__are_set_for_one_side(void **state)
{
	uint64_t flags = FI_TRANSMIT;

	fixture_open(&f,
		     &(struct fixture_config){ .tx_op_flags = FI_COMPLETION });
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_GETOPSFLAG, &flags), 0);
	assert_int_equal(flags, FI_COMPLETION);
	flags = FI_TRANSMIT | FI_DELIVERY_COMPLETE;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_SETOPSFLAG, &flags), 0);
	flags = FI_TRANSMIT;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_GETOPSFLAG, &flags), 0);
	assert_int_equal(flags, FI_DELIVERY_COMPLETE);
	flags = FI_TRANSMIT | FI_RECV;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_SETOPSFLAG, &flags),
			 -FI_EINVAL);
	flags = 0;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_GETOPSFLAG, &flags),
			 -FI_EINVAL);
	fixture_close(&f);
}

static void alias__has_its_own_flags(void **state)
{
	uint64_t flags = FI_TRANSMIT;
	struct fid_ep *alias = NULL;

	fixture_open(&f,
		     &(struct fixture_config){ .tx_op_flags = FI_COMPLETION });
	assert_int_equal(fi_ep_alias(f.ep[0], &alias, FI_COMPLETION),
			 -FI_EINVAL);
	assert_int_equal(fi_ep_alias(f.ep[0], &alias,
				     FI_TRANSMIT | FI_DELIVERY_COMPLETE),
			 0);
	assert_int_equal(fi_control(&alias->fid, FI_GETOPSFLAG, &flags), 0);
	assert_int_equal(flags, FI_DELIVERY_COMPLETE);
	flags = FI_TRANSMIT;
	assert_int_equal(fi_control(&f.ep[0]->fid, FI_GETOPSFLAG, &flags), 0);
	assert_int_equal(flags, FI_COMPLETION);
	assert_int_equal(fi_close(&f.ep[0]->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&alias->fid), 0);
	fixture_close(&f);
}

static void alias__opened_before_enable_works_after(void **state)
{
	char out[4] = "abc", in[4] = "";
	struct fid_ep *alias = NULL;

	fixture_open(&f, &(struct fixture_config){ .disabled = true });
	assert_int_equal(fi_ep_alias(f.ep[0], &alias, FI_TRANSMIT), 0);
	assert_int_equal(fi_send(alias, out, 4, NULL, 0, NULL),
			 -FI_EOPBADSTATE);
	assert_int_equal(fi_enable(alias), 0);
	assert_int_equal(fi_recv(alias, in, 4, NULL, FI_ADDR_UNSPEC, in), 0);
	assert_int_equal(fi_cancel(&alias->fid, in), 0);
	assert_int_equal(fi_close(&alias->fid), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_enable__nothing_can_be_posted),
		cmocka_unit_test(enable__needs_queue_and_vector),
		cmocka_unit_test(enable__one_direction_needs_one_queue),
		cmocka_unit_test(enable__first_message_may_have_to_ask),
		cmocka_unit_test(bind__mistakes),
		cmocka_unit_test(close__children_before_parents),
		cmocka_unit_test(close__event_queue_after_endpoint),
		cmocka_unit_test(open__obeys_the_info),
		cmocka_unit_test(open__low_latency),
		cmocka_unit_test(getname__length),
		cmocka_unit_test(options__can_be_set_and_read),
		cmocka_unit_test(options__mistakes),
		cmocka_unit_test(options__rnr_retry),
		cmocka_unit_test(options__before_enable_only),
		cmocka_unit_test(flags__are_set_for_one_side),
		cmocka_unit_test(alias__has_its_own_flags),
		cmocka_unit_test(alias__opened_before_enable_works_after),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
