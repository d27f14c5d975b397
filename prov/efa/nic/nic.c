/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic.c - a software NIC: what its queue pairs share
 *
 * The addresses of the host are read at open and again when a gid is not
 * among them, so an address that came later is found, at the cost of one
 * look for each destination on another host.
 */
#include "nic_priv.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include "nic_gid.h"
#include "util/u_log.h"
#include "wire/wire_ud.h"

/* Replaces the list of the host's addresses; keeps it when that fails. */
static void own_read(struct nic *nic)
{
	uint8_t(*own)[16];
	struct ifaddrs *all, *ifa;
	size_t n = 0;

	if (getifaddrs(&all))
		return;
	for (ifa = all; ifa; ifa = ifa->ifa_next)
		n++;
	own = calloc(n + 1, sizeof(*own));
	n = 0;
	for (ifa = all; own && ifa; ifa = ifa->ifa_next)
		if (ifa->ifa_addr && nic_gid_from(ifa->ifa_addr, own[n]))
			n++;
	freeifaddrs(all);
	if (!own)
		return;
	free(nic->own);
	nic->own = own;
	nic->nown = n;
}

static bool own_has(const struct nic *nic, const uint8_t gid[16])
{
	for (size_t i = 0; i < nic->nown; i++)
		if (!memcmp(nic->own[i], gid, 16))
			return true;
	for (size_t i = 0; i < nic->nports; i++)
		if (!memcmp(nic->ports[i], gid, 16))
			return true;
	return !memcmp(nic->info.gid, gid, 16);
}

bool nic_is_own(struct nic *nic, const uint8_t gid[16])
{
	bool own;

	u_lock(&nic->lock);
	own = own_has(nic, gid);
	if (!own) {
		own_read(nic);
		own = own_has(nic, gid);
	}
	u_unlock(&nic->lock);
	return own;
}

bool nic_tell_once(struct nic *nic, bool *told)
{
	bool first;

	u_lock(&nic->lock);
	first = !*told;
	*told = true;
	u_unlock(&nic->lock);
	return first;
}

/* A text that cannot be read is no reason to stop a program. */
static void faults_read(struct nic *nic)
{
	const char *text = nic->config.fault;
	char why[200];

	nic->config.fault = NULL;
	if (!text || !*text)
		return;
	if (wire_fault_parse(text, &nic->fault, why, sizeof(why))) {
		u_warn("faults \"%s\" are ignored: %s", text, why);
		return;
	}
	nic->faulty = true;
	u_warn("%s: packets to other hosts are spoilt on purpose: %s",
	       nic->info.name, text);
}

static void paths_choose(struct nic *nic)
{
	bool ud = nic->info.wire == NIC_WIRE_UD;
	uint32_t *paths = &nic->config.paths;

	if (!*paths)
		*paths = ud ? NIC_PATHS_UD : NIC_PATHS;
	if (ud && *paths > WIRE_UD_PATHS_MAX)
		*paths = WIRE_UD_PATHS_MAX;
}

uint32_t nic_ud_max(const struct nic_info *info)
{
	if (info->wire == NIC_WIRE_UDP)
		return NIC_MTU;
	return (uint32_t)u_min(info->link_mtu - SRD_DATAGRAM_HDR, NIC_MTU);
}

int nic_open(const struct nic_info *info, const struct nic_config *config,
	     struct nic **out)
{
	struct nic *nic = calloc(1, sizeof(*nic));
	int rc = -ENOMEM;

	if (!nic)
		return rc;
	nic->info = *info;
	nic->config = *config;
	paths_choose(nic);
	faults_read(nic);
	if (config->shm_dir) {
		nic->config.shm_dir = strdup(config->shm_dir);
		if (!nic->config.shm_dir)
			goto free_nic;
	}
	rc = nic_keys_init(&nic->keys, nic->config.shm_dir);
	if (rc)
		goto free_dir;
	u_lock_init(&nic->lock, true);
	rc = config->shm_only ? 0 : nic_watch_open(&nic->watch);
	if (rc)
		goto free_keys;
	own_read(nic);
	if (info->wire == NIC_WIRE_UD)
		nic_verbs_gids(nic);
	nic->ud_max = nic_ud_max(info);
	*out = nic;
	return 0;
free_keys:
	u_lock_fini(&nic->lock);
	nic_keys_fini(&nic->keys);
free_dir:
	free((char *)(uintptr_t)nic->config.shm_dir);
free_nic:
	free(nic);
	return rc;
}

int nic_close(struct nic *nic)
{
	bool busy;

	u_lock(&nic->lock);
	busy = nic->nqps || nic_keys_used(&nic->keys);
	u_unlock(&nic->lock);
	if (busy)
		return -EBUSY;
	if (nic->watch)
		nic_watch_close(nic->watch);
	free(nic->own);
	free(nic->ports);
	u_lock_fini(&nic->lock);
	nic_keys_fini(&nic->keys);
	free((char *)(uintptr_t)nic->config.shm_dir);
	free(nic);
	return 0;
}

int nic_mr_reg(struct nic *nic, void *addr, size_t len, uint32_t access,
	       uint32_t *key)
{
	return nic_keys_reg(&nic->keys, addr, len, access, key);
}

int nic_mr_dereg(struct nic *nic, uint32_t key)
{
	return nic_keys_dereg(&nic->keys, key);
}

int nic_mr_dereg_over(struct nic *nic, uint32_t key)
{
	return nic_keys_dereg_over(&nic->keys, key);
}

bool nic_mr_hold(struct nic *nic, const struct nic_range *range, int n,
		 uint32_t access)
{
	struct nic_keys *keys = &nic->keys;

	nic_keys_enter(keys);
	for (int i = 0; i < n; i++) {
		if (range[i].key <= UINT32_MAX &&
		    nic_keys_cover(keys, (uint32_t)range[i].key, access,
				   range[i].addr, range[i].len))
			continue;
		nic_keys_leave(keys);
		return false;
	}
	return true;
}

void nic_mr_release(struct nic *nic)
{
	nic_keys_leave(&nic->keys);
}
