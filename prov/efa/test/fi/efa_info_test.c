/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_info_test.c - fi_getinfo: the list, names, addresses, nodes
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
	return 0;
}

static int get(const char *node, const char *service, uint64_t flags)
{
	return efa_getinfo(API, node, service, flags, hints, &info);
}

static void without_hints__rdm_then_direct_then_dgram(void **state)
{
	const struct fi_info *direct, *dgram;

	assert_int_equal(efa_getinfo(API, NULL, NULL, 0, NULL, &info), 0);
	assert_int_equal(info->ep_attr->type, FI_EP_RDM);
	assert_string_equal(info->domain_attr->name, "soft_lo-rdm");
	assert_string_equal(info->fabric_attr->name, "efa");
	assert_null(info->fabric_attr->prov_name);
	assert_int_equal(info->ep_attr->protocol, FI_PROTO_EFA);
	assert_int_equal(info->ep_attr->protocol_version, 4);
	direct = info->next;
	assert_non_null(direct);
	assert_int_equal(direct->ep_attr->type, FI_EP_RDM);
	assert_string_equal(direct->domain_attr->name, "soft_lo-rdm");
	assert_string_equal(direct->fabric_attr->name, "efa-direct");
	assert_int_equal(direct->ep_attr->protocol_version, 1);
	dgram = direct->next;
	assert_non_null(dgram);
	assert_int_equal(dgram->ep_attr->type, FI_EP_DGRAM);
	assert_string_equal(dgram->domain_attr->name, "soft_lo-dgrm");
	assert_string_equal(dgram->fabric_attr->name, "efa");
	assert_int_equal(dgram->ep_attr->protocol_version, 1);
	assert_null(dgram->next);
}

static void without_hints__all_that_mpich_scores(void **state)
{
	const uint64_t caps = FI_MSG | FI_TAGGED | FI_RMA | FI_MULTI_RECV |
			      FI_DIRECTED_RECV | FI_SOURCE;

	assert_int_equal(efa_getinfo(API, NULL, NULL, 0, NULL, &info), 0);
	assert_int_equal(info->caps & caps, caps);
	assert_true(info->domain_attr->cq_data_size >= 4);
	assert_int_equal(info->domain_attr->mr_mode,
			 FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY);
	assert_int_equal(info->mode, 0);
	assert_true(info->ep_attr->mem_tag_format >> 63);
	assert_int_equal(info->tx_attr->msg_order & FI_ORDER_SAS, FI_ORDER_SAS);
}

/* The calls of MPICH: any interface, one without modes, one with those found. */
static void without_version__modes_for_the_next_call(void **state)
{
	const int modes = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;

	assert_int_equal(efa_getinfo(0, NULL, NULL, 0, NULL, &info), 0);
	assert_int_equal(info->domain_attr->mr_mode, modes);
	hints->caps = info->caps;
	hints->domain_attr->mr_mode = FI_MR_ENDPOINT;
	fi_freeinfo(info);
	info = NULL;
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
	hints->domain_attr->mr_mode = modes;
	assert_int_equal(get(NULL, NULL, 0), 0);
	assert_int_equal(info->domain_attr->mr_mode, modes);
}

static void dgram__needs_prefix_and_local(void **state)
{
	hints->ep_attr->type = FI_EP_DGRAM;
	assert_int_equal(get(NULL, NULL, 0), 0);
	assert_null(info->next);
	assert_int_equal(info->mode, FI_MSG_PREFIX);
	assert_int_equal(info->ep_attr->msg_prefix_size, 40);
	assert_int_equal(info->domain_attr->mr_mode, FI_MR_LOCAL);
	assert_false(info->caps & FI_TAGGED);
}

static void src_addr__is_always_there(void **state)
{
	struct dev_addr addr;

	assert_int_equal(get(NULL, NULL, 0), 0);
	assert_int_equal(info->addr_format, FI_ADDR_EFA);
	assert_int_equal(info->src_addrlen, EFA_ADDR_LEN);
	assert_int_equal(efa_addr_unpack(info->src_addr, &addr), 0);
	assert_null(info->dest_addr);
}

static void src_addr__hint_selects_the_device(void **state)
{
	struct fi_info *first;

	assert_int_equal(get(NULL, NULL, 0), 0);
	first = info;
	hints->src_addr = malloc(EFA_ADDR_LEN);
	memcpy(hints->src_addr, first->src_addr, EFA_ADDR_LEN);
	hints->src_addrlen = EFA_ADDR_LEN;
	fi_freeinfo(first);
	assert_int_equal(get(NULL, NULL, 0), 0);
	((uint8_t *)hints->src_addr)[15] ^= 0x40;
	fi_freeinfo(info);
	info = NULL;
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
}

static void src_addr__of_another_length(void **state)
{
	hints->src_addr = calloc(1, 16);
	hints->src_addrlen = 16;
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
}

static void dest_addr__is_copied(void **state)
{
	hints->dest_addr = malloc(EFA_ADDR_LEN);
	memset(hints->dest_addr, 7, EFA_ADDR_LEN);
	hints->dest_addrlen = EFA_ADDR_LEN;
	assert_int_equal(get(NULL, NULL, 0), 0);
	assert_int_equal(info->dest_addrlen, EFA_ADDR_LEN);
	assert_memory_equal(info->dest_addr, hints->dest_addr, EFA_ADDR_LEN);
}

static void dest_addr__of_another_length(void **state)
{
	hints->dest_addr = calloc(1, 24);
	hints->dest_addrlen = 24;
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
}

static void node__becomes_dest_addr(void **state)
{
	struct dev_addr addr;

	assert_int_equal(get("fe80::1", "77", 0), 0);
	assert_int_equal(efa_addr_unpack(info->dest_addr, &addr), 0);
	assert_int_equal(addr.gid[0], 0xfe);
	assert_int_equal(addr.qpn, 77);
	assert_int_equal(addr.qkey, 0);
	fi_freeinfo(info);
	info = NULL;
	assert_int_equal(get("192.0.2.1", NULL, 0), 0);
	assert_int_equal(efa_addr_unpack(info->dest_addr, &addr), 0);
	assert_int_equal(addr.gid[10], 0xff);
	assert_int_equal(addr.gid[12], 192);
}

static void node__that_is_no_address(void **state)
{
	assert_int_equal(get("g00n13s", NULL, 0), -FI_ENODATA);
	assert_int_equal(get("g00n13s", NULL, FI_SOURCE), -FI_ENODATA);
	assert_int_equal(get(NULL, "77", 0), -FI_ENODATA);
}

static void node__with_source_selects_the_device(void **state)
{
	assert_int_equal(get("203.0.113.9", NULL, FI_SOURCE), -FI_ENODATA);
	assert_int_equal(get("127.0.0.1", NULL, FI_SOURCE), 0);
	assert_null(info->dest_addr);
}

static void names__are_filters(void **state)
{
	hints->fabric_attr->name = strdup("efa-direct");
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
	strcpy(hints->fabric_attr->name, "efa");
	assert_int_equal(get(NULL, NULL, 0), 0);
	fi_freeinfo(info);
	info = NULL;
	hints->domain_attr->name = strdup("soft_lo-dgrm");
	assert_int_equal(get(NULL, NULL, 0), -FI_ENODATA);
	strcpy(hints->domain_attr->name, "soft_lo-rdm");
	assert_int_equal(get(NULL, NULL, 0), 0);
}

static void unknown_flags__are_ignored(void **state)
{
	assert_int_equal(get(NULL, NULL, UINT64_C(3) << 58 | EFA_RESCAN), 0);
}

static void nic__has_all_parts_and_can_be_copied(void **state)
{
	struct fi_info *copy;

	assert_int_equal(get(NULL, NULL, 0), 0);
	copy = fi_dupinfo(info);
	assert_non_null(copy);
	assert_ptr_not_equal(copy->nic, info->nic);
	assert_string_equal(copy->nic->device_attr->name, "soft_lo");
	assert_int_equal(copy->nic->bus_attr->bus_type, FI_BUS_UNSPEC);
	assert_string_equal(copy->nic->link_attr->address,
			    info->nic->link_attr->address);
	assert_string_equal(copy->nic->link_attr->network_type, "Ethernet");
	assert_int_equal(copy->nic->link_attr->state, FI_LINK_UP);
	fi_freeinfo(copy);
}

static void nic__text_is_appended(void **state)
{
	char buf[1024] = "before ";
	struct fid_nic *nic;

	assert_int_equal(get(NULL, NULL, 0), 0);
	nic = info->nic;
	assert_int_equal(nic->fid.ops->tostr(&nic->fid, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, "before nic:", 11);
	assert_non_null(strstr(buf, "soft_lo"));
}

static void nic__of_a_card(void **state)
{
	const struct dev_info dev = {
		.name = "rdmap0s6",
		.kind = DEV_KIND_VERBS,
		.mtu = 8928,
		.version = 0xefa2,
		.speed = 200,
		.card = { .vendor = 0x1d0f,
			  .part = 0xefa2,
			  .revision = 3,
			  .driver = "efa",
			  .firmware = "1.2.3",
			  .has_pci = true,
			  .pci_domain = 1,
			  .pci_bus = 0xa0,
			  .pci_slot = 6,
			  .pci_function = 2 },
	};
	struct fid_nic *nic = efa_nic_new(&dev);
	char buf[1024] = "";

	assert_non_null(nic);
	assert_string_equal(nic->device_attr->name, "rdmap0s6");
	assert_string_equal(nic->device_attr->device_id, "0xefa2");
	assert_string_equal(nic->device_attr->device_version, "3");
	assert_string_equal(nic->device_attr->vendor_id, "0x1d0f");
	assert_string_equal(nic->device_attr->driver, "efa");
	assert_string_equal(nic->device_attr->firmware, "1.2.3");
	assert_int_equal(nic->bus_attr->bus_type, FI_BUS_PCI);
	assert_int_equal(nic->bus_attr->attr.pci.domain_id, 1);
	assert_int_equal(nic->bus_attr->attr.pci.bus_id, 0xa0);
	assert_int_equal(nic->bus_attr->attr.pci.device_id, 6);
	assert_int_equal(nic->bus_attr->attr.pci.function_id, 2);
	assert_int_equal(nic->link_attr->mtu, 8928);
	assert_int_equal(nic->fid.ops->tostr(&nic->fid, buf, sizeof(buf)), 0);
	assert_non_null(strstr(buf, "bus_id: 160"));
	assert_non_null(strstr(buf, "firmware: 1.2.3"));
	assert_int_equal(fi_close(&nic->fid), 0);
}

static void nic__of_infiniband(void **state)
{
	const struct dev_info dev = {
		.name = "mlx5_0",
		.kind = DEV_KIND_UD,
		.version = 0xefa0,
		.infiniband = true,
		.card = { .vendor = 0x2c9, .part = 4119 },
	};
	struct fid_nic *nic = efa_nic_new(&dev);

	(void)state;
	assert_non_null(nic);
	assert_string_equal(nic->device_attr->device_id, "0x1017");
	assert_string_equal(nic->device_attr->vendor_id, "0x2c9");
	assert_string_equal(nic->link_attr->network_type, "InfiniBand");
	assert_int_equal(fi_close(&nic->fid), 0);
}

static void find__knows_both_domains_of_a_device(void **state)
{
	struct dev_info dev;
	enum efa_kind kind;

	assert_int_equal(efa_info_find("soft_lo-rdm", false, &dev, &kind), 0);
	assert_int_equal(kind, EFA_RDM);
	assert_int_equal(efa_info_find("soft_lo-dgrm", false, &dev, &kind), 0);
	assert_int_equal(kind, EFA_DGRAM);
	assert_int_equal(efa_info_find("soft_lo-rdm", true, &dev, &kind), 0);
	assert_int_equal(kind, EFA_DIRECT);
	assert_string_equal(dev.name, "soft_lo");
	assert_int_equal(efa_info_find("soft_lo-dgrm", true, &dev, &kind),
			 -FI_ENODATA);
	assert_int_equal(efa_info_find("soft_lo", false, &dev, &kind),
			 -FI_ENODATA);
	assert_int_equal(efa_info_find("soft_lo-rdmx", false, &dev, &kind),
			 -FI_ENODATA);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_hints__rdm_then_direct_then_dgram),
		TEST(without_hints__all_that_mpich_scores),
		TEST(without_version__modes_for_the_next_call),
		TEST(dgram__needs_prefix_and_local),
		TEST(src_addr__is_always_there),
		TEST(src_addr__hint_selects_the_device),
		TEST(src_addr__of_another_length),
		TEST(dest_addr__is_copied),
		TEST(dest_addr__of_another_length),
		TEST(node__becomes_dest_addr),
		TEST(node__that_is_no_address),
		TEST(node__with_source_selects_the_device),
		TEST(names__are_filters),
		TEST(unknown_flags__are_ignored),
		TEST(nic__has_all_parts_and_can_be_copied),
		TEST(nic__text_is_appended),
		TEST(nic__of_a_card),
		TEST(nic__of_infiniband),
		TEST(find__knows_both_domains_of_a_device),
	};

	return cmocka_run_group_tests(tests, fixture_group_setup,
				      fixture_group_teardown);
}
