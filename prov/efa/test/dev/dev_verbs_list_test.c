/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_list_test.c - finding EFA devices, and opening one
 */
#include "dev_verbs_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev/dev_verbs.h"
#include "dev/dev_verbs_sysfs.h"
#include "util/u_log.h"

static int setup(void **state)
{
	(void)state;
	fake_reset();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_assert_empty();
	return 0;
}

static int list_of(const char *iface, struct dev_info **list)
{
	struct dev_config config = { .iface = iface };

	return dev_verbs_list(&config, list);
}

static void dev_verbs_list__efa_devices_alone(void **state)
{
	struct dev_info *list;

	assert_int_equal(list_of(NULL, &list), 2);
	assert_string_equal(list[0].name, "efa_0");
	assert_string_equal(list[1].name, "efa_1");
	assert_memory_not_equal(list[0].gid, list[1].gid, 16);
	free(list);
}

static void dev_verbs_list__facts(void **state)
{
	struct dev_info *list;
	const struct dev_info *info;

	assert_int_equal(list_of("efa_0", &list), 1);
	info = &list[0];
	assert_int_equal(info->kind, DEV_KIND_VERBS);
	assert_int_equal(info->caps, DEV_CAP_READ | DEV_CAP_RNR_RETRY);
	assert_int_equal(info->mtu, FAKE_MTU);
	assert_int_equal(info->ud_mtu, FAKE_MTU);
	assert_int_equal(info->link_mtu, FAKE_MTU);
	assert_int_equal(info->max_rdma, 1u << 30);
	assert_int_equal(info->tx_depth, 64);
	assert_int_equal(info->rx_depth, 256);
	assert_int_equal(info->max_qp, 256);
	assert_int_equal(info->max_cq, 512);
	assert_int_equal(info->max_mr, 1024);
	assert_int_equal(info->max_ah, 2048);
	assert_int_equal(info->version, 0xefa2);
	assert_true(info->speed == UINT64_C(200000000000));
	assert_true(info->up);
	assert_int_equal(info->card.vendor, 0x1d0f);
	assert_int_equal(info->card.part, 0xefa2);
	assert_int_equal(info->card.revision, 7);
	assert_string_equal(info->card.firmware, "1.2.3");
	assert_string_equal(info->card.driver, "efa");
	assert_false(info->card.has_pci);
	free(list);
}

/* Bit 3 is newer than the header this may be built with. */
static void dev_verbs_list__rdma_write(void **state)
{
	struct dev_info *list;

	fake_config.efa.device_caps |= 1 << 3;
	assert_int_equal(list_of("efa_0", &list), 1);
	assert_int_equal(list[0].caps,
			 DEV_CAP_READ | DEV_CAP_WRITE | DEV_CAP_RNR_RETRY);
	free(list);
}

static void dev_verbs_list__filter(void **state)
{
	static const struct {
		const char *filter;
		int n;
	} cases[] = {
		{ "", 2 },
		{ "all", 2 },
		{ "efa_1", 1 },
		{ "efa_1,eth0", 1 },
		{ "mlx5_0,efa_0", 1 },
		{ "efa_0,efa_1", 2 },
		{ "eth0", 0 },
		{ "efa_", 0 },
		{ "efa_01", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dev_info *list = NULL;

		assert_int_equal(list_of(cases[i].filter, &list), cases[i].n);
		free(list);
	}
}

static void dev_verbs_list__none(void **state)
{
	struct dev_info *list = (void *)1;

	memset(fake_config.name, 0, sizeof(fake_config.name));
	assert_int_equal(list_of(NULL, &list), 0);
	assert_null(list);
}

static void dev_verbs_list__nonsense_is_left_out(void **state)
{
	struct dev_info *list;

	fake_config.port.max_msg_sz = 8 << 20;
	assert_int_equal(list_of(NULL, &list), 0);
	fake_config.port.max_msg_sz = FAKE_MTU;
	fake_config.efa.max_sq_wr = 1;
	assert_int_equal(list_of(NULL, &list), 0);
}

static void dev_list__efa_before_soft(void **state)
{
	struct dev_config config = { .choice = DEV_AUTO };
	struct dev_info *list;

	assert_int_equal(dev_list(&config, &list), 2);
	assert_int_equal(list[0].kind, DEV_KIND_VERBS);
	free(list);
	memset(fake_config.name, 0, sizeof(fake_config.name));
	assert_int_equal(dev_list(&config, &list), 1);
	assert_int_equal(list[0].kind, DEV_KIND_SOFT);
	free(list);
	config.choice = DEV_ONLY_VERBS;
	assert_int_equal(dev_list(&config, &list), 0);
	assert_null(list);
}

/* ---- sysfs --------------------------------------------------------------- */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A device of the system at 0001:a0:1f.3, node 1. */
struct tree {
	char dir[32];
	char card[64], device[64], driver[80], numa[80];
};

static void make_tree(struct tree *t)
{
	strcpy(t->dir, "/tmp/efa-sysfs-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	snprintf(t->card, sizeof(t->card), "%s/0001:a0:1f.3", t->dir);
	snprintf(t->device, sizeof(t->device), "%s/device", t->dir);
	snprintf(t->driver, sizeof(t->driver), "%s/driver", t->card);
	snprintf(t->numa, sizeof(t->numa), "%s/numa_node", t->card);
	assert_int_equal(mkdir(t->card, 0700), 0);
	assert_int_equal(symlink("0001:a0:1f.3", t->device), 0);
	assert_int_equal(symlink("../../bus/pci/drivers/efa", t->driver), 0);
	write_file(t->card, "numa_node", "1\n");
}

static void remove_tree(const struct tree *t)
{
	unlink(t->numa);
	unlink(t->driver);
	unlink(t->device);
	rmdir(t->card);
	rmdir(t->dir);
}

static void verbs_sysfs_read__card_on_the_bus(void **state)
{
	struct dev_card card = { .driver = "" };
	struct tree tree;

	make_tree(&tree);
	verbs_sysfs_read(tree.dir, &card);
	assert_true(card.has_pci);
	assert_int_equal(card.pci_domain, 1);
	assert_int_equal(card.pci_bus, 0xa0);
	assert_int_equal(card.pci_slot, 0x1f);
	assert_int_equal(card.pci_function, 3);
	assert_true(card.has_numa);
	assert_int_equal(card.numa, 1);
	assert_string_equal(card.driver, "efa");
	remove_tree(&tree);
}

static void verbs_sysfs_read__nothing_there(void **state)
{
	struct dev_card card = { .driver = "efa" };

	verbs_sysfs_read("/nowhere", &card);
	assert_false(card.has_pci);
	assert_false(card.has_numa);
	assert_string_equal(card.driver, "efa");
}

/* ---- open ------------------------------------------------------------------ */

static void dev_verbs_open__the_named_one(void **state)
{
	struct dev_config config = { .choice = DEV_AUTO };
	struct dev_info *list;
	struct dev *dev;

	assert_int_equal(list_of(NULL, &list), 2);
	assert_int_equal(dev_open(&list[1], &config, &dev), 0);
	assert_string_equal(dev->info.name, "efa_1");
	assert_memory_equal(dev->info.gid, list[1].gid, 16);
	dev_close(dev);
	fake_config.name[2] = NULL;
	assert_int_equal(dev_open(&list[1], &config, &dev), -ENODEV);
	free(list);
}

static void dev_verbs_open__fork(void **state)
{
	struct dev_config config = { .choice = DEV_AUTO };
	struct dev_info *list;
	struct dev *dev;

	assert_int_equal(list_of("efa_0", &list), 1);
	fake_config.fork = IBV_FORK_DISABLED;
	assert_int_equal(dev_open(&list[0], &config, &dev), 0);
	dev_close(dev);
	assert_int_equal(fake_count.fork_inits, 0);
	config.fork_safe = true;
	fake_config.fork = IBV_FORK_UNNEEDED;
	assert_int_equal(dev_open(&list[0], &config, &dev), 0);
	dev_close(dev);
	assert_int_equal(fake_count.fork_inits, 0);
	fake_config.fork = IBV_FORK_DISABLED;
	assert_int_equal(dev_open(&list[0], &config, &dev), 0);
	dev_close(dev);
	assert_int_equal(fake_count.fork_inits, 1);
	free(list);
}

static bool told_place;

static void note(enum u_log_level level, const char *line)
{
	told_place |= level == U_LOG_INFO &&
		      !strcmp(line, "efa_0: PCI 0001:a0:1f.3, NUMA node 1");
}

static void dev_open__tells_where_the_card_is(void **state)
{
	struct dev_config config = { .choice = DEV_AUTO };
	struct dev_info *list;
	struct tree tree;
	struct dev *dev;

	make_tree(&tree);
	fake_config.sysfs = tree.dir;
	u_log_set_sink(note);
	assert_int_equal(list_of("efa_0", &list), 1);
	assert_int_equal(dev_open(&list[0], &config, &dev), 0);
	u_log_set_sink(NULL);
	assert_true(told_place);
	dev_close(dev);
	free(list);
	remove_tree(&tree);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(dev_verbs_list__efa_devices_alone),
		CASE(dev_verbs_list__facts),
		CASE(dev_verbs_list__rdma_write),
		CASE(dev_verbs_list__filter),
		CASE(dev_verbs_list__none),
		CASE(dev_verbs_list__nonsense_is_left_out),
		CASE(dev_list__efa_before_soft),
		CASE(verbs_sysfs_read__card_on_the_bus),
		CASE(verbs_sysfs_read__nothing_there),
		CASE(dev_verbs_open__the_named_one),
		CASE(dev_verbs_open__fork),
		CASE(dev_open__tells_where_the_card_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
