/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_settings.h - what the user can choose by FI_EFA_* variables
 */
#ifndef EFA_SETTINGS_H
#define EFA_SETTINGS_H

#include <stdint.h>

#include "dev/dev.h"

struct fi_provider;

/*
 * Written once by efa_settings_load(), const from there on. A size of 0 means
 * that the device says. Strings are ours until efa_settings_free().
 */
struct efa_settings {
	uint64_t device; /* enum dev_choice */
	char *iface; /* NULL: the interface of the default route */
	char *shm_dir; /* NULL: /dev/shm */
	uint64_t port_min, port_max; /* 0, 0: any */
	uint64_t use_cma; /* bool */
	uint64_t use_shm; /* bool */
	uint64_t paths; /* sending sockets of an endpoint */
	uint64_t socket_buffer; /* bytes */
	uint64_t peer_timeout_ms;
	uint64_t checksum; /* bool */
	char *fault; /* NULL: none */
	uint64_t refuse_reads; /* every how many-th; 0: none */
	uint64_t mr_cache; /* bool */
	uint64_t mr_cache_count, mr_cache_bytes;
	uint64_t lane_size; /* bytes */
	uint64_t tx_size, rx_size, cq_size; /* entries */
	uint64_t medium_max; /* bytes */
	uint64_t read_min; /* bytes */
	uint64_t write_read_min; /* bytes */
	uint64_t runt_size; /* bytes */
	uint64_t use_rdma; /* bool */
	uint64_t unexpected_max; /* bytes */
	uint64_t fork_safe; /* bool */
	uint64_t features_off; /* bits of the handshake not to use */
};

extern struct efa_settings efa_settings;

/*
 * Tells libfabric of every variable and reads those that are set. A value that
 * cannot be used is one warning, and the default. Cannot fail.
 */
void efa_settings_load(struct fi_provider *provider);
void efa_settings_free(void);

/* The part that the devices are told; it borrows the strings. */
void efa_settings_dev_config(struct dev_config *config);

#endif
