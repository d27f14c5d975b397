/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fake_verbs.h - RDMA NICs in memory, in the place of libibverbs
 *
 * A test that links fake_verbs.c has devices fake0, fake1, .. on one network:
 * what a UD queue pair sends is in a receive buffer of another when
 * ibv_post_send returns, behind the network header that its device would put
 * there. Any thread may call.
 */
#ifndef FAKE_VERBS_H
#define FAKE_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#define FAKE_DEVICES 3
#define FAKE_GIDS 4

struct fake_device {
	struct ibv_device dev; /* first */
	struct ibv_port_attr port;
	int ngids;
	struct ibv_gid_entry gid[FAKE_GIDS];
	bool v6_look; /* the first byte before IPv4 headers is that of IPv6 */
};

struct fake_verbs {
	int ndevices;
	struct fake_device device[FAKE_DEVICES];

	/* what goes wrong */
	size_t pin_max; /* bytes that may be registered in all; 0: any */
	uint32_t inline_max; /* that a queue pair takes; more is -EINVAL */
	int ah_errno; /* of ibv_create_ah; 0 */
	int ah_max; /* handles of all contexts; 0: any */
	int ah_wait; /* ibv_create_ah does not return .. */
	int ah_pass; /* .. but so many times; counts down */
	enum ibv_wc_status send_status; /* of the next send; SUCCESS */
	int post_errno; /* of the next ibv_post_send; 0 */
	int lose; /* all packets */
	int dead; /* queue pairs cannot be modified */

	/* what happened */
	int lists; /* ibv_get_device_list */
	int handles; /* that exist */
	int handles_made;
	int posts, sends, signalled, inlined; /* requests, but for posts */
	int recv_posts, recvs;
	int objects; /* contexts, domains, regions, queues that exist */
	size_t pinned; /* bytes that are registered */
	int dropped; /* no queue pair, key or receive buffer */
	struct ibv_ah_attr last_ah;
};

extern struct fake_verbs fake;

/* Devices fake0.. at 10.0.0.1.., RoCE version 2, MTU 1024. */
void fake_reset(int ndevices);
void fake_end(void);

void fake_set_v4(struct fake_device *d, int i, uint8_t last);
void fake_set_v6(struct fake_device *d, int i, uint8_t first, uint8_t last);
/* An InfiniBand port with its GID; lid 0: no subnet manager has been there. */
void fake_set_infiniband(struct fake_device *d, uint16_t lid);
void fake_gid_v4(uint8_t last, uint8_t gid[16]);

/* Every context of device d gets the event. */
void fake_event(int d, enum ibv_event_type type);

/* For a test with threads: a knob above, and what a counter says. */
void fake_set(int *knob, int value);
int fake_get(const int *counter);

/* Device d has gone, and none can be set up again. */
void fake_unplug(int d);

/* Puts a packet before queue pair qpn as if it came from nowhere: bytes are
 * the 40 of the header and the payload. */
void fake_deliver(uint32_t qpn, const void *bytes, uint32_t len,
		  unsigned int wc_flags, uint16_t slid);

/* The next completion of its receives is an error. */
void fake_fail_receive(uint32_t qpn, enum ibv_wc_status status);

/* Receive buffers that queue pair qpn has. */
int fake_posted(uint32_t qpn);

#endif
