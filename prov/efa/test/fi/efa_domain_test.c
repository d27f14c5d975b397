/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_domain_test.c - what is opened in a domain: address vectors, memory
 * regions, counters, and the order of closing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <rdma/fi_ext_efa.h>

#include "fixture.h"

static struct fi_info *info;
static struct fid_fabric *fabric;
static struct fid_domain *domain;

static int setup(void **state)
{
	struct fi_info *hints = fixture_hints(FI_EP_RDM);

	if (efa_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, hints, &info))
		return 1;
	fi_freeinfo(hints);
	info->fabric_attr->api_version = FI_VERSION(1, 17);
	return efa_fabric_open(info->fabric_attr, &fabric, NULL) ||
	       fi_domain(fabric, info, &domain, NULL);
}

static int teardown(void **state)
{
	int ret = fi_close(&domain->fid) || fi_close(&fabric->fid);

	fi_freeinfo(info);
	return ret;
}

/* ---- domain -------------------------------------------------------------- */

static void domain__keeps_its_fabric_open(void **state)
{
	assert_int_equal(fi_close(&fabric->fid), -FI_EBUSY);
}

static void domain__two_of_one_device(void **state)
{
	struct fid_domain *second;

	assert_int_equal(fi_domain(fabric, info, &second, NULL), 0);
	assert_int_equal(fi_close(&second->fid), 0);
}

static void domain__of_no_device(void **state)
{
	char *name = info->domain_attr->name;
	struct fid_domain *second;

	info->domain_attr->name = (char *)"soft_lo-xyz";
	assert_int_equal(fi_domain(fabric, info, &second, NULL), -FI_ENODATA);
	info->domain_attr->name = name;
}

static void domain__what_is_not_there(void **state)
{
	struct fi_collective_attr coll = { .mode = 0 };
	struct fid_stx *stx;
	struct fid_ep *ep;
	struct fid_poll *poll;
	void *ops;

	assert_int_equal(fi_stx_context(domain, NULL, &stx, NULL), -FI_ENOSYS);
	assert_int_equal(fi_scalable_ep(domain, info, &ep, NULL), -FI_ENOSYS);
	assert_int_equal(fi_srx_context(domain, NULL, &ep, NULL), -FI_ENOSYS);
	assert_int_equal(fi_query_collective(domain, FI_BARRIER, &coll, 0),
			 -FI_ENOSYS);
	assert_int_equal(domain->ops->poll_open(domain, NULL, &poll),
			 -FI_ENOSYS);
	assert_int_equal(fi_open_ops(&domain->fid, "no such ops", 0, &ops,
				     NULL),
			 -FI_EINVAL);
	/* Known, and not here. */
	assert_int_equal(fi_open_ops(&domain->fid, "efa gda ops", 0, &ops,
				     NULL),
			 -FI_EOPNOTSUPP);
}

/* Plugins ask before they send from two pieces of memory. */
static void fabric__features(void **state)
{
	struct fi_fabric_attr attr = { .name = (char *)"efa-direct",
				       .api_version = FI_VERSION(1, 17) };
	struct fi_efa_feature_ops *ops;
	struct fid_fabric *direct;

	assert_int_equal(fi_open_ops(&fabric->fid, FI_EFA_FEATURE_OPS, 0,
				     (void **)&ops, NULL),
			 0);
	assert_false(ops->query("mixed_hmem_iov"));
	assert_int_equal(efa_fabric_open(&attr, &direct, NULL), 0);
	assert_int_equal(fi_open_ops(&direct->fid, FI_EFA_FEATURE_OPS, 0,
				     (void **)&ops, NULL),
			 0);
	assert_true(ops->query("mixed_hmem_iov"));
	assert_false(ops->query("mixed_hmem_io"));
	assert_false(ops->query(""));
	assert_int_equal(fi_open_ops(&direct->fid, "efa domain ops", 0,
				     (void **)&ops, NULL),
			 -FI_EINVAL);
	assert_int_equal(fi_close(&direct->fid), 0);
}

static void locks__follow_the_threading_model(void **state)
{
	struct efa_domain d = { .threading = FI_THREAD_SAFE };

	assert_true(efa_domain_locks(&d).endpoints);
	assert_true(efa_domain_locks(&d).queues);
	d.threading = FI_THREAD_UNSPEC;
	assert_true(efa_domain_locks(&d).endpoints);
	d.threading = FI_THREAD_ENDPOINT;
	assert_true(efa_domain_locks(&d).endpoints);
	d.threading = FI_THREAD_FID;
	assert_true(efa_domain_locks(&d).endpoints);
	d.threading = FI_THREAD_COMPLETION;
	assert_false(efa_domain_locks(&d).endpoints);
	assert_true(efa_domain_locks(&d).split);
	d.threading = FI_THREAD_DOMAIN;
	assert_false(efa_domain_locks(&d).endpoints);
	assert_false(efa_domain_locks(&d).split);
	assert_false(efa_domain_locks(&d).queues);
}

/* ---- address vector ------------------------------------------------------ */

static struct fid_av *open_av(enum fi_av_type type)
{
	struct fi_av_attr attr = { .type = type };
	struct fid_av *av;

	assert_int_equal(fi_av_open(domain, &attr, &av, NULL), 0);
	return av;
}

static void make_addr(uint8_t *bytes, uint16_t qpn)
{
	struct dev_addr addr = { .gid = { 0xfe, 0x80, [15] = 1 },
				 .qpn = qpn,
				 .qkey = 99 };

	efa_addr_pack(&addr, bytes);
}

static void av__types(void **state)
{
	struct fi_av_attr attr = { .type = FI_AV_UNSPEC };
	struct fid_av *av;

	assert_int_equal(fi_av_open(domain, &attr, &av, NULL), 0);
	assert_int_equal(attr.type, FI_AV_TABLE);
	assert_int_equal(fi_close(&domain->fid), -FI_EBUSY);
	assert_int_equal(fi_close(&av->fid), 0);
	av = open_av(FI_AV_MAP);
	assert_int_equal(fi_close(&av->fid), 0);
}

static void av__shared_and_asynchronous_are_refused(void **state)
{
	struct fi_av_attr named = { .name = "table", .flags = FI_READ };
	struct fi_av_attr event = { .flags = FI_EVENT };
	struct fid_av *av;

	assert_int_equal(fi_av_open(domain, &named, &av, NULL), -FI_ENOSYS);
	assert_int_equal(fi_av_open(domain, &event, &av, NULL), -FI_ENOSYS);
}

static void av_insert__same_address_same_number(void **state)
{
	struct fid_av *av = open_av(FI_AV_TABLE);
	uint8_t bytes[2 * EFA_ADDR_LEN];
	fi_addr_t a[2], b;

	make_addr(bytes, 1);
	make_addr(bytes + EFA_ADDR_LEN, 2);
	assert_int_equal(fi_av_insert(av, bytes, 2, a, FI_MORE, NULL), 2);
	assert_int_equal(a[0], 0);
	assert_int_equal(a[1], 1);
	assert_int_equal(fi_av_insert(av, bytes, 1, &b, 0, NULL), 1);
	assert_int_equal(b, a[0]);
	/* There are two references now. */
	assert_int_equal(fi_av_remove(av, &b, 1, 0), 0);
	assert_int_equal(fi_av_remove(av, &b, 1, 0), 0);
	assert_int_equal(fi_av_remove(av, &b, 1, 0), -FI_EINVAL);
	assert_int_equal(fi_close(&av->fid), 0);
}

static void av_insert__bad_ones_do_not_stop_it(void **state)
{
	struct fid_av *av = open_av(FI_AV_TABLE);
	uint8_t bytes[4 * EFA_ADDR_LEN];
	int errors[4] = { -1, -1, -1, -1 };
	fi_addr_t a[4];

	for (int i = 0; i < 4; i++)
		make_addr(bytes + i * EFA_ADDR_LEN, (uint16_t)(i + 1));
	memset(bytes + EFA_ADDR_LEN, 0, 16); /* no gid */
	bytes[2 * EFA_ADDR_LEN + 19] = 1; /* not zero */
	assert_int_equal(fi_av_insert(av, bytes, 4, a, FI_SYNC_ERR, errors), 2);
	assert_int_equal(a[0], 0);
	assert_true(a[1] == FI_ADDR_NOTAVAIL);
	assert_true(a[2] == FI_ADDR_NOTAVAIL);
	assert_int_equal(a[3], 1);
	assert_int_equal(errors[0], 0);
	assert_int_equal(errors[1], FI_EADDRNOTAVAIL);
	assert_int_equal(errors[2], FI_EINVAL);
	assert_int_equal(errors[3], 0);
	assert_int_equal(fi_close(&av->fid), 0);
}

static void av_insert__no_queue_pair_number(void **state)
{
	struct fid_av *av = open_av(FI_AV_TABLE);
	uint8_t bytes[EFA_ADDR_LEN];
	fi_addr_t a = 0;

	make_addr(bytes, 0);
	assert_int_equal(fi_av_insert(av, bytes, 1, &a, 0, NULL), 0);
	assert_true(a == FI_ADDR_NOTAVAIL);
	assert_int_equal(fi_av_insert(av, bytes, 0, NULL, 0, NULL), 0);
	assert_int_equal(fi_av_insert(av, bytes, 1, &a, FI_AV_USER_ID, NULL),
			 -FI_EBADFLAGS);
	assert_int_equal(fi_close(&av->fid), 0);
}

static void av_lookup__tells_the_length(void **state)
{
	struct fid_av *av = open_av(FI_AV_TABLE);
	uint8_t bytes[EFA_ADDR_LEN], found[EFA_ADDR_LEN + 8];
	size_t len = 0;

	make_addr(bytes, 7);
	assert_int_equal(fi_av_insert(av, bytes, 1, NULL, 0, NULL), 1);
	assert_int_equal(fi_av_lookup(av, 0, NULL, &len), 0);
	assert_int_equal(len, EFA_ADDR_LEN);
	/* Less of it where there is less room. */
	memset(found, 0xaa, sizeof(found));
	len = 5;
	assert_int_equal(fi_av_lookup(av, 0, found, &len), 0);
	assert_int_equal(len, EFA_ADDR_LEN);
	assert_memory_equal(found, bytes, 5);
	assert_int_equal(found[5], 0xaa);
	len = sizeof(found);
	assert_int_equal(fi_av_lookup(av, 0, found, &len), 0);
	assert_int_equal(len, EFA_ADDR_LEN);
	assert_memory_equal(found, bytes, EFA_ADDR_LEN);
	assert_int_equal(fi_av_lookup(av, 1, found, &len), -FI_EINVAL);
	assert_int_equal(fi_close(&av->fid), 0);
}

static void av_straddr__tells_the_length(void **state)
{
	struct fid_av *av = open_av(FI_AV_TABLE);
	uint8_t bytes[EFA_ADDR_LEN];
	char buf[64];
	size_t len = 4;

	make_addr(bytes, 7);
	fi_av_straddr(av, bytes, buf, &len);
	assert_string_equal(buf, "fi_");
	assert_int_equal(len, sizeof("fi_addr_efa://[fe80::1]:7:99"));
	len = sizeof(buf);
	assert_string_equal(fi_av_straddr(av, bytes, buf, &len),
			    "fi_addr_efa://[fe80::1]:7:99");
	assert_int_equal(fi_close(&av->fid), 0);
}

/* ---- memory regions ------------------------------------------------------ */

static void mr__every_access(void **state)
{
	static const uint64_t bits[] = { FI_SEND,	 FI_RECV,
					 FI_READ,	 FI_WRITE,
					 FI_REMOTE_READ, FI_REMOTE_WRITE };
	static char buf[4096];
	struct fid_mr *mr;
	uint64_t access;

	for (int set = 0; set < 1 << u_array_size(bits); set++) {
		access = 0;
		for (size_t i = 0; i < u_array_size(bits); i++)
			access |= set & 1 << i ? bits[i] : 0;
		assert_int_equal(fi_mr_reg(domain, buf, sizeof(buf), access, 0,
					   0xC0DE, 0, &mr, NULL),
				 0);
		assert_true(fi_mr_key(mr) <= UINT32_MAX);
		assert_non_null(fi_mr_desc(mr));
		assert_int_equal(fi_close(&domain->fid), -FI_EBUSY);
		assert_int_equal(fi_close(&mr->fid), 0);
	}
}

static void mr__lists_have_one_element(void **state)
{
	static char buf[64];
	struct iovec iov[2] = { { buf, 32 }, { buf + 32, 32 } };
	struct fid_mr *mr;

	assert_int_equal(
		fi_mr_regv(domain, iov, 1, FI_SEND, 0, 0, 0, &mr, NULL), 0);
	assert_int_equal(fi_close(&mr->fid), 0);
	assert_int_equal(fi_mr_regv(domain, iov, 2, FI_SEND, 0, 0, 0, &mr,
				    NULL),
			 -FI_EINVAL);
}

static void mr__memory_that_is_not_the_hosts(void **state)
{
	static char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct fi_mr_attr attr = { .mr_iov = &iov, .iov_count = 1 };
	struct fid_mr *mr;

	assert_int_equal(fi_mr_regattr(domain, &attr, EFA_MR_DMABUF, &mr),
			 -FI_EOPNOTSUPP);
	attr.iface = FI_HMEM_CUDA;
	assert_int_equal(fi_mr_regattr(domain, &attr, 0, &mr), -FI_EOPNOTSUPP);
	attr.iface = FI_HMEM_SYSTEM;
	attr.context = &attr;
	assert_int_equal(fi_mr_regattr(domain, &attr, 0, &mr), 0);
	assert_ptr_equal(mr->fid.context, &attr);
	assert_int_equal(fi_close(&mr->fid), 0);
}

static void mr__range_that_wraps(void **state)
{
	struct fid_mr *mr;

	assert_int_not_equal(fi_mr_reg(domain, (void *)-16, 4096, FI_SEND, 0, 0,
				       0, &mr, NULL),
			     0);
}

/* The software device has no numbers to tell. */
static void mr__interconnect_ids(void **state)
{
	struct fi_efa_mr_attr attr = { 0xffff, 1, 2, 3 };
	struct fi_efa_ops_domain *ops;
	static char buf[64];
	struct fid_mr *mr;

	assert_int_equal(fi_open_ops(&domain->fid, "efa domain ops", 0,
				     (void **)&ops, NULL),
			 0);
	assert_int_equal(
		fi_mr_reg(domain, buf, 64, FI_SEND, 0, 0, 0, &mr, NULL), 0);
	assert_int_equal(ops->query_mr(mr, &attr), 0);
	assert_int_equal(attr.ic_id_validity, 0);
	assert_int_equal(attr.rdma_recv_ic_id, 0);
	assert_int_equal(fi_open_ops(&mr->fid, "efa domain ops", 0,
				     (void **)&ops, NULL),
			 -FI_EINVAL);
	assert_int_equal(fi_close(&mr->fid), 0);
}

/* ---- counters ------------------------------------------------------------ */

static void cntr__arithmetic_and_waits(void **state)
{
	struct fi_cntr_attr attr = { .wait_obj = FI_WAIT_UNSPEC };
	struct fid_cntr *cntr;

	assert_int_equal(fi_cntr_open(domain, &attr, &cntr, NULL), 0);
	assert_int_equal(fi_cntr_read(cntr), 0);
	fi_cntr_set(cntr, 5);
	fi_cntr_add(cntr, 2);
	fi_cntr_seterr(cntr, 1);
	fi_cntr_adderr(cntr, 3);
	assert_int_equal(fi_cntr_read(cntr), 7);
	assert_int_equal(fi_cntr_readerr(cntr), 4);
	assert_int_equal(fi_cntr_wait(cntr, 7, 0), 0);
	assert_int_equal(fi_cntr_wait(cntr, 8, 0), -FI_ETIMEDOUT);
	assert_int_equal(fi_cntr_wait(cntr, 8, 3), -FI_ETIMEDOUT);
	assert_int_equal(fi_close(&cntr->fid), 0);
}

static void *add_error(void *cntr)
{
	fi_cntr_adderr(cntr, 1);
	return NULL;
}

static void cntr__wait_ends_at_an_error(void **state)
{
	struct fi_cntr_attr attr = { .wait_obj = FI_WAIT_FD };
	struct fid_cntr *cntr;
	pthread_t thread;
	int fd = -1, ret;

	assert_int_equal(fi_cntr_open(domain, &attr, &cntr, NULL), 0);
	assert_int_equal(fi_control(&cntr->fid, FI_GETWAIT, &fd), 0);
	assert_true(fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, add_error, cntr), 0);
	/* The error may have been there when the wait began. */
	ret = fi_cntr_wait(cntr, 1, 200);
	assert_true(ret == -FI_EAVAIL || ret == -FI_ETIMEDOUT);
	pthread_join(thread, NULL);
	assert_int_equal(fi_cntr_readerr(cntr), 1);
	assert_int_equal(fi_close(&cntr->fid), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(domain__keeps_its_fabric_open),
		TEST(domain__two_of_one_device),
		TEST(domain__of_no_device),
		TEST(domain__what_is_not_there),
		TEST(fabric__features),
		TEST(locks__follow_the_threading_model),
		TEST(av__types),
		TEST(av__shared_and_asynchronous_are_refused),
		TEST(av_insert__same_address_same_number),
		TEST(av_insert__bad_ones_do_not_stop_it),
		TEST(av_insert__no_queue_pair_number),
		TEST(av_lookup__tells_the_length),
		TEST(av_straddr__tells_the_length),
		TEST(mr__every_access),
		TEST(mr__lists_have_one_element),
		TEST(mr__memory_that_is_not_the_hosts),
		TEST(mr__range_that_wraps),
		TEST(mr__interconnect_ids),
		TEST(cntr__arithmetic_and_waits),
		TEST(cntr__wait_ends_at_an_error),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
