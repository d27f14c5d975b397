/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * sim_oracle.c - knows what must not happen
 *
 * The packets are looked into as srd_wire(5) draws them, not with the engine's
 * own parser.
 */
#include "sim_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "util/u_bytes.h"

#define GUARD 64 /* bytes around what may be written */
#define SHIFTS 512 /* of the pattern, of SHIFT bytes each */
#define SHIFT 8
#define PATIENCE (20 * SIM_PS_S) /* of the drain */

/* In a DATA packet. */
#define AT_TYPE 1
#define AT_WORDS 3
#define AT_OP 28
#define AT_OFFSET 36
#define AT_RKEY 48
#define TYPE_DATA 1
#define OP_WRITE 2

static const char *command = "(unknown)";

void sim_oracle_command(const char *line)
{
	command = line;
}

void sim_oracle_broken(const struct sim_world *w, const struct sim_flow *f,
		       const char *what)
{
	static const char *const kind[] = {
		[SIM_FLOW_SEND] = "send",
		[SIM_FLOW_WRITE] = "write",
		[SIM_FLOW_READ] = "read",
		[SIM_FLOW_TCP] = "tcp",
	};

	fflush(stdout);
	fprintf(stderr, "\nsrd_sim: BROKEN at %.3f us: %s\n",
		(double)w->now / 1e6, what);
	if (f)
		fprintf(stderr,
			"  %s %u of %llu bytes from endpoint %u to %u, posted "
			"at %.3f us, %llu bytes placed, %s\n",
			kind[f->kind], f->id, (unsigned long long)f->bytes,
			f->from, f->to, (double)f->posted / 1e6,
			(unsigned long long)f->placed_bytes,
			f->done == SIM_NEVER ? "under way" : "completed");
	fprintf(stderr, "  again: %s\n", command);
	exit(SIM_EXIT_BROKEN);
}

void sim_oracle_init(struct sim_world *w, uint64_t max_bytes)
{
	uint64_t i;

	w->memory = u_align(max_bytes, 8) + SHIFTS * SHIFT + 2 * GUARD;
	w->pattern = sim_mem_get(1, w->memory);
	w->landing = sim_mem_get(1, w->memory);
	w->packet = sim_mem_get(1, UINT16_MAX + SRD_HDR_MAX);
	for (i = 0; i + 8 <= w->memory; i += 8)
		u_put64(w->pattern + i, u_mix64(i + 1));
}

void sim_oracle_fini(struct sim_world *w)
{
	free(w->pattern);
	free(w->landing);
	free(w->packet);
}

void sim_oracle_start(struct sim_world *w, struct sim_flow *f)
{
	assert(f->bytes > 0);
	assert(f->bytes + SHIFTS * SHIFT + GUARD <= w->memory);
	if (f->kind != SIM_FLOW_READ)
		return;
	f->memory = sim_mem_get(1, f->bytes + 2 * GUARD);
	memset(f->memory, 0xa5, f->bytes + 2 * GUARD);
}

uint8_t *sim_oracle_source(const struct sim_world *w, const struct sim_flow *f)
{
	if (f->kind == SIM_FLOW_READ)
		return f->memory + GUARD;
	return w->pattern + f->id % SHIFTS * SHIFT;
}

uint64_t sim_oracle_remote(const struct sim_world *w, const struct sim_flow *f)
{
	if (f->kind == SIM_FLOW_READ)
		return (uintptr_t)(w->pattern + f->id % SHIFTS * SHIFT);
	return (uintptr_t)(w->landing + GUARD);
}

void sim_oracle_head(const struct sim_flow *f, uint8_t head[SIM_SEND_HEAD])
{
	u_put32(head, f->id);
	u_put32(head + 4, ~f->id);
	u_put64(head + 8, f->bytes);
}

bool sim_oracle_may(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
		    uint64_t len)
{
	const struct sim_end *e = ctx;
	const struct sim_world *w = e->world;
	const struct sim_flow *f;
	uint64_t base;

	if (key >= w->nflows)
		return false;
	f = sim_flow_at(w, key);
	if (f->to != e->source.number)
		return false;
	if (f->kind !=
	    (access == SRD_REMOTE_READ ? SIM_FLOW_READ : SIM_FLOW_WRITE))
		return false;
	base = sim_oracle_remote(w, f);
	return addr >= base && addr - base <= f->bytes &&
	       len <= f->bytes - (addr - base);
}

/* --- pieces of a WRITE --- */

/* A byte that is not b. */
static uint8_t other(uint8_t b)
{
	return (uint8_t)(b ^ 0xff);
}

static void poison(uint8_t *to, const uint8_t *from, uint32_t len)
{
	uint32_t i, n = len < 8 ? len : 8;

	for (i = 0; i < n; i++) {
		to[i] = other(from[i]);
		to[len - 1 - i] = other(from[len - 1 - i]);
	}
}

static bool poisoned(const uint8_t *to, const uint8_t *from, uint32_t len)
{
	uint32_t i, n = len < 8 ? len : 8;

	for (i = 0; i < n; i++)
		if (to[i] != other(from[i]) ||
		    to[len - 1 - i] != other(from[len - 1 - i]))
			return false;
	return true;
}

void sim_oracle_before(struct sim_world *w, const struct sim_end *e,
		       const uint8_t *packet, uint32_t len,
		       struct sim_piece *piece)
{
	uint32_t hdr_len = packet[AT_WORDS] * 4u, rkey;
	struct sim_flow *f;
	uint8_t *at;

	piece->flow = NULL;
	if (packet[AT_TYPE] != TYPE_DATA || packet[AT_OP] != OP_WRITE ||
	    len <= hdr_len)
		return;
	rkey = u_get32(packet + AT_RKEY);
	if (rkey >= w->nflows)
		return;
	f = sim_flow_at(w, rkey);
	piece->offset = u_get32(packet + AT_OFFSET);
	piece->len = len - hdr_len;
	if (f->kind != SIM_FLOW_WRITE || f->to != e->source.number)
		return;
	if ((uint64_t)piece->offset + piece->len > f->bytes)
		sim_oracle_broken(w, f, "a packet beyond its operation");
	piece->flow = f;
	at = w->landing + GUARD + piece->offset;
	piece->before = u_get64(at - 8);
	piece->after = u_get64(at + piece->len);
	poison(at, sim_oracle_source(w, f) + piece->offset, piece->len);
}

static void placed(struct sim_world *w, const struct sim_piece *piece)
{
	struct sim_flow *f = piece->flow;
	uint64_t end = (uint64_t)piece->offset + piece->len;

	if (f->done != SIM_NEVER && f->status == SRD_OK)
		sim_oracle_broken(w, f, "bytes placed after the completion");
	f->placed_bytes += piece->len;
	f->tiling += u_mix64(end) - u_mix64(piece->offset);
	if (f->placed_bytes > f->bytes)
		sim_oracle_broken(w, f, "bytes placed twice");
	w->checked += piece->len;
	if (w->flow_placed)
		w->flow_placed(w, f, piece->len);
	if (f->placed_bytes < f->bytes)
		return;
	if (f->tiling != u_mix64(f->bytes) - u_mix64(0))
		sim_oracle_broken(w, f, "some bytes placed twice, some never");
	f->placed = w->now;
}

void sim_oracle_after(struct sim_world *w, const struct sim_piece *piece)
{
	const uint8_t *at, *from;

	if (!piece->flow)
		return;
	at = w->landing + GUARD + piece->offset;
	from = sim_oracle_source(w, piece->flow) + piece->offset;
	if (u_get64(at - 8) != piece->before ||
	    u_get64(at + piece->len) != piece->after)
		sim_oracle_broken(w, piece->flow,
				  "bytes beside a piece changed");
	if (!memcmp(at, from, piece->len))
		placed(w, piece);
	else if (!poisoned(at, from, piece->len))
		sim_oracle_broken(w, piece->flow, "wrong bytes placed");
}

/* --- events and completions --- */

static void recv_check(struct sim_world *w, const struct sim_end *e,
		       const struct srd_event *event)
{
	uint8_t head[SIM_SEND_HEAD];
	const uint8_t *data = event->data;
	struct sim_flow *f;
	uint32_t id;

	if (event->len < SIM_SEND_HEAD)
		sim_oracle_broken(w, NULL, "a message that nobody sent");
	id = u_get32(data);
	if (id >= w->nflows)
		sim_oracle_broken(w, NULL, "a message that nobody sent");
	f = sim_flow_at(w, id);
	sim_oracle_head(f, head);
	if (f->kind != SIM_FLOW_SEND || event->len != f->bytes ||
	    memcmp(head, data, SIM_SEND_HEAD) ||
	    memcmp(data + SIM_SEND_HEAD, sim_oracle_source(w, f),
		   event->len - SIM_SEND_HEAD))
		sim_oracle_broken(w, f, "a message with wrong bytes");
	if (f->to != e->source.number)
		sim_oracle_broken(w, f, "a message at somebody else's");
	if (f->placed != SIM_NEVER)
		sim_oracle_broken(w, f, "a message delivered twice");
	if (f->done != SIM_NEVER && f->status == SRD_OK)
		sim_oracle_broken(w, f, "a message after its completion");
	f->placed = w->now;
	f->placed_bytes = f->bytes;
	w->checked += f->bytes;
	if (w->flow_placed)
		w->flow_placed(w, f, event->len);
}

static void written_check(struct sim_world *w, const struct sim_end *e,
			  const struct srd_event *event)
{
	struct sim_flow *f;

	if (event->imm >= w->nflows)
		sim_oracle_broken(w, NULL, "an immediate that nobody sent");
	f = sim_flow_at(w, event->imm);
	if (f->kind != SIM_FLOW_WRITE || !f->imm || f->to != e->source.number)
		sim_oracle_broken(w, f, "an immediate that nobody sent");
	if (f->told)
		sim_oracle_broken(w, f, "an immediate delivered twice");
	if (event->len != f->bytes)
		sim_oracle_broken(w, f, "an immediate with a wrong length");
	f->told = true;
}

void sim_oracle_event(struct sim_world *w, const struct sim_end *e,
		      const struct srd_event *event)
{
	switch (event->kind) {
	case SRD_EV_RECV:
		recv_check(w, e, event);
		break;
	case SRD_EV_WRITTEN:
		written_check(w, e, event);
		break;
	case SRD_EV_DATAGRAM:
		sim_oracle_broken(w, NULL, "a datagram that nobody sent");
	}
}

static void read_check(struct sim_world *w, struct sim_flow *f)
{
	uint64_t i;

	for (i = 0; i < GUARD; i++)
		if (f->memory[i] != 0xa5 ||
		    f->memory[GUARD + f->bytes + i] != 0xa5)
			sim_oracle_broken(w, f,
					  "a read wrote beside its place");
	if (memcmp(f->memory + GUARD,
		   (void *)(uintptr_t)sim_oracle_remote(w, f), f->bytes))
		sim_oracle_broken(w, f, "a read with wrong bytes");
	f->placed = w->now;
	f->placed_bytes = f->bytes;
	w->checked += f->bytes;
}

void sim_oracle_done(struct sim_world *w, struct sim_flow *f)
{
	if (f->done != SIM_NEVER)
		sim_oracle_broken(w, f, "completed twice");
	if (f->status != SRD_OK) {
		if (!w->faults)
			sim_oracle_broken(w, f, "failed in a sound network");
		return;
	}
	if (f->kind == SIM_FLOW_READ)
		read_check(w, f);
	if (f->placed == SIM_NEVER)
		sim_oracle_broken(w, f, "completed before it was delivered");
	if (f->imm && !f->told)
		sim_oracle_broken(w, f, "completed before its immediate");
}

static bool at_rest(const struct sim_world *w)
{
	uint32_t i;

	if (w->nflows_done < w->nflows)
		return false;
	for (i = 0; i < w->nends; i++)
		if (!sim_end_idle(&w->end[i]))
			return false;
	return true;
}

void sim_oracle_end(struct sim_world *w)
{
	uint64_t step = SIM_PS_US * 100, give_up = w->now + PATIENCE;
	uint32_t i;

	while (!at_rest(w)) {
		if (w->now > give_up)
			break;
		if (sim_world_run(w, w->now + step) && !at_rest(w))
			break;
	}
	for (i = 0; i < w->nflows; i++)
		if (sim_flow_at(w, i)->done == SIM_NEVER)
			sim_oracle_broken(w, sim_flow_at(w, i),
					  "never completed");
	if (!at_rest(w))
		sim_oracle_broken(w, NULL, "an engine never comes to rest");
}
