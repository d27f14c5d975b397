/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_one_fuzz.c - a peer that says anything, to an engine with operations in
 * all states
 *
 * The input is a script: packets field by field or byte by byte, whose
 * checksums are put right, and what the user and the clock do between them.
 * Whatever is said: no byte outside of what the key gives is written, each
 * operation completes once, in bounded time, and the engine ends idle.
 */
#include "srd/srd.h"

#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "srd/srd_check.h"
#include "srd/srd_priv.h"
#include "util/u_bytes.h"

#define OPS_MAX 256
#define MEM 8192 /* bytes that the key gives; as many around them */
#define RKEY 0x11
#define FILL 0xee
#define RX_PACKET_MAX 2048

struct input {
	const uint8_t *at;
	size_t left;
};

struct state {
	struct input in;
	struct srd *s;
	struct srd_peer *peer;
	uint64_t now;
	uint32_t nops;
	uint32_t op[OPS_MAX]; /* RDMA: the engine's number */
	bool rdma[OPS_MAX], done[OPS_MAX], aborted[OPS_MAX];
	uint8_t mem[3 * MEM]; /* the middle is accessible */
	uint8_t local[3 * MEM];
	uint32_t psn; /* next of a sender who counts well */
};

static const struct srd_addr self = { { 1 }, 1000, 0x11111111 };
static const struct srd_addr other = { { 2 }, 1001, 0x22222222 };

static uint8_t u8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static uint16_t u16(struct input *in)
{
	uint16_t low = u8(in);

	return (uint16_t)(low | u8(in) << 8);
}

static uint32_t u32(struct input *in)
{
	uint32_t low = u16(in);

	return low | (uint32_t)u16(in) << 16;
}

static bool may(void *ctx, uint32_t key, uint32_t access, uint64_t addr,
		uint64_t len)
{
	const struct state *f = ctx;
	uint64_t base = (uintptr_t)f->mem + MEM;

	(void)access;
	return key == RKEY && addr >= base && len <= MEM &&
	       addr - base <= MEM - len;
}

/* --- the user ------------------------------------------------------------- */

static void post(struct state *f, uint8_t what)
{
	struct srd_rdma rdma = {
		.type = (enum srd_rdma_type)(what % 3),
		.id = f->nops,
		.local = f->local + MEM,
		.remote = (uintptr_t)f->mem + MEM,
		.len = (size_t)(what >> 4) * 300,
		.rkey = RKEY,
	};
	struct iovec iov = { f->local + MEM, (size_t)(what >> 2) * 100 };
	struct srd_send send = {
		.id = f->nops,
		.iov = &iov,
		.iovcnt = 1,
		.len = iov.iov_len,
		.has_imm = what & 8,
		.request = what & 4,
	};
	int err;

	if (f->nops == OPS_MAX)
		return;
	f->rdma[f->nops] = what % 4 != 3;
	if (f->rdma[f->nops])
		err = srd_rdma(f->s, f->peer, &rdma, f->now, &f->op[f->nops]);
	else
		err = srd_send(f->s, f->peer, &send, f->now);
	f->nops += !err;
}

static void drain(struct state *f, bool unsent)
{
	struct srd_done done[4];
	struct srd_out out[16];
	int n, sum = 0;

	do {
		n = srd_tx(f->s, f->now, out, 16);
		for (int i = 0; i < n; i++) {
			FUZZ_MUST(out[i].hdr_len <= SRD_HDR_MAX);
			for (int k = 0; k < out[i].data_len; k++)
				sum += ((const uint8_t *)out[i].data)[k];
		}
		if (unsent)
			srd_unsent(f->s, out + n / 2, n - n / 2, f->now);
	} while (n == 16 && !unsent);
	FUZZ_MUST(sum >= 0); /* the bytes were read */
	while ((n = srd_done(f->s, done, 4)))
		for (int i = 0; i < n; i++) {
			if (done[i].kind == SRD_DONE_GONE)
				continue;
			FUZZ_MUST(done[i].id < f->nops);
			FUZZ_MUST(!f->done[done[i].id]);
			FUZZ_MUST(!f->aborted[done[i].id]);
			f->done[done[i].id] = true;
		}
}

static void abort_one(struct state *f)
{
	uint32_t id = u8(&f->in);

	drain(f, false);
	if (id >= f->nops || !f->rdma[id] || f->done[id])
		return;
	srd_abort(f->s, f->op[id], f->now);
	f->aborted[id] = true;
}

static void meddle(struct state *f)
{
	uint8_t what = u8(&f->in);

	switch (what % 8) {
	case 0:
	case 1:
		srd_set_ready(f->s, what & 1);
		break;
	case 2:
		srd_set_pressure(f->s, what & 8, f->now);
		break;
	case 3:
		srd_set_mtu(f->s, other.gid, what * 16u, f->now);
		break;
	case 4:
		drain(f, true);
		break;
	case 5:
		if (what == 5)
			srd_refused(f->s, other.gid, other.qpn, f->now);
		break;
	case 6:
		if (what == 6)
			srd_no_route(f->s, other.gid, f->now);
		break;
	default:
		abort_one(f);
	}
}

/* --- the peer ------------------------------------------------------------- */

/* Gives the engine a packet in memory of its exact length. */
static void give(struct state *f, uint8_t *packet, size_t len, bool right)
{
	uint8_t *exact = malloc(len + !len);
	size_t hdr_len = len > 3 ? packet[3] * 4u : 0;
	struct srd_event event;
	struct iovec iov;

	if (right && hdr_len >= SRD_BASE_LEN && hdr_len <= len) {
		iov = (struct iovec){ packet + hdr_len, len - hdr_len };
		u_put32(packet + SRD_CHECK_AT,
			srd_check(packet, hdr_len, (uint32_t)(len - hdr_len),
				  &iov, packet[2] & SRD_F_CHECK_ALL));
	}
	memcpy(exact, packet, len);
	if (srd_rx(f->s, exact, len, other.gid, f->now, &event)) {
		FUZZ_MUST(event.len <= SRD_RDMA_MAX);
		for (uint32_t i = 0; event.data && i < event.len; i++)
			f->local[0] ^= ((const uint8_t *)event.data)[i];
		f->local[0] = FILL;
		srd_release(f->s, &event);
	}
	free(exact);
}

static void put_base(struct state *f, uint8_t *b, uint8_t type, uint8_t flags)
{
	uint8_t odd = u8(&f->in);

	b[0] = SRD_VERSION;
	b[1] = type;
	b[2] = flags;
	u_put16(b + 4, other.qpn);
	b[6] = odd & 15;
	b[7] = odd >> 4 == 1 ? u8(&f->in) : 0;
	u_put32(b + 8, other.connid + (odd >> 4 == 2));
	u_put32(b + 12, self.connid + (odd >> 4 == 3));
	u_put32(b + 16, (uint32_t)f->now - u16(&f->in));
}

/* The wire number of some operation of ours, or any number. */
static uint32_t some_msg(struct state *f)
{
	uint8_t which = u8(&f->in);

	if (which < 128)
		return which % 8;
	if (which < 192 && f->nops)
		return f->op[which % f->nops];
	return u32(&f->in);
}

static uint8_t *put_ack(struct state *f, uint8_t *b)
{
	uint8_t counts = u8(&f->in);
	int nechoes = counts & 7, nnaks = counts >> 3 & 3, nwords = counts >> 5;

	u_put32(b, f->peer->tx_una + (int8_t)u8(&f->in));
	u_put32(b + 4, u16(&f->in));
	u_put32(b + 8, 0);
	b[12] = f->peer->tx_epoch;
	b[13] = u8(&f->in) & 1;
	b[14] = (uint8_t)(nechoes | nnaks << 4);
	b[15] = (uint8_t)nwords;
	for (b += 16; nechoes--; b += 8) {
		u_put32(b, (uint32_t)f->now - u16(&f->in));
		u_put16(b + 4, u8(&f->in));
		b[6] = u8(&f->in) & 63;
		b[7] = 0;
	}
	for (; nwords--; b += 4)
		u_put32(b, u32(&f->in));
	for (; nnaks--; b += 8) {
		u_put32(b, f->peer->tx_una + (u8(&f->in) & 31));
		b[4] = u8(&f->in) & 15;
		b[5] = 0;
		u_put16(b + 6, u8(&f->in));
	}
	return b;
}

static uint32_t some_psn(struct state *f)
{
	uint8_t which = u8(&f->in);

	if (which < 128)
		return f->psn++;
	if (which < 250)
		return f->psn + (uint32_t)(which - 180);
	return u32(&f->in);
}

static uint8_t *put_range(struct state *f, uint8_t *b, uint8_t op)
{
	uint8_t which = u8(&f->in);
	uint64_t remote = (uintptr_t)f->mem + MEM + 32u * (which & 63);

	if (op == SRD_OP_WRITTEN)
		remote = 0;
	else if (which >= 250)
		remote += u32(&f->in);
	u_put64(b, remote);
	u_put32(b + 8, op == SRD_OP_WRITTEN ? 0 : RKEY + (which == 249));
	u_put32(b + 12, u16(&f->in));
	return b + 16;
}

static uint8_t *put_data(struct state *f, uint8_t *b, uint8_t flags)
{
	uint8_t op = u8(&f->in) % 9;

	u_put32(b, some_psn(f));
	b[4] = op;
	b[5] = op == SRD_OP_RESULT ? SRD_BAD_RKEY : 0;
	u_put16(b + 6, 0);
	u_put32(b + 8, some_msg(f));
	u_put32(b + 12, op == SRD_OP_SEND ?
				u16(&f->in) | (uint32_t)u16(&f->in) << 16 :
				u16(&f->in));
	b += 16;
	if (op == SRD_OP_WRITE || op == SRD_OP_WRITTEN || op == SRD_OP_READ)
		b = put_range(f, b, op);
	if (flags & SRD_F_IMM) {
		u_put32(b, 1);
		b += 4;
	}
	return b;
}

static void say(struct state *f)
{
	static const uint8_t types[] = { 1, 1, 1, 1, 2, 2, 3, 1,
					 1, 1, 1, 2, 2, 2, 5, 4 };
	uint8_t packet[RX_PACKET_MAX] = { 0 }, *b = packet + SRD_BASE_LEN;
	uint8_t type = types[u8(&f->in) & 15], flags = u8(&f->in);
	size_t payload;

	if (type == SRD_PKT_ACK)
		flags |= SRD_F_ACK;
	put_base(f, packet, type, flags);
	if (type == SRD_PKT_DATA) {
		b = put_data(f, b, flags);
	} else if (type == SRD_PKT_CLOSE) {
		u_put32(b, u8(&f->in) & 1 ? SRD_PEER_RESET : SRD_NO_QP);
		u_put32(b + 4, other.connid + (u8(&f->in) & 1));
		b += 8;
	} else if (flags & SRD_F_IMM) {
		b += 4;
	}
	if (flags & SRD_F_ACK)
		b = put_ack(f, b);
	packet[3] = (uint8_t)((b - packet) / 4);
	payload = u16(&f->in) % 1400;
	give(f, packet, (size_t)(b - packet) + payload, true);
}

static void say_bytes(struct state *f)
{
	uint8_t packet[256], len = u8(&f->in), right = u8(&f->in);

	for (size_t i = 0; i < len; i++)
		packet[i] = u8(&f->in);
	if (right & 2 && len >= SRD_BASE_LEN) {
		u_put32(packet + 8, other.connid);
		u_put32(packet + 12, self.connid);
	}
	give(f, packet, len, right & 1);
}

/* --- the whole ------------------------------------------------------------ */

static void begin(struct state *f)
{
	struct srd_config c = {
		.self = self,
		.may = may,
		.ctx = f,
		.mtu = 600,
		.max_peers = 4,
		.max_active = 4,
		.max_ops = 32,
		.max_replies = 4,
		.tx_slots = 16,
		.rx_slots = 4,
		.window_pkts = 32,
		.paths = 4,
		.peer_timeout = 100 * U_MSEC,
		.rnr_retries = 3,
	};

	memset(f->mem, FILL, sizeof(f->mem));
	memset(f->local, FILL, sizeof(f->local));
	FUZZ_MUST(srd_open(&c, f->now, &f->s) == 0);
	FUZZ_MUST(srd_peer_get(f->s, &other, &f->peer) == 0);
	for (uint8_t what = 0x70; what < 0x74; what++)
		post(f, what);
	drain(f, false);
}

static void check_memory(const struct state *f)
{
	for (size_t i = 0; i < MEM; i++) {
		FUZZ_MUST(f->mem[i] == FILL && f->mem[2 * MEM + i] == FILL);
		FUZZ_MUST(f->local[i] == FILL && f->local[2 * MEM + i] == FILL);
	}
}

/* The peer says no more: all of ours ends. */
static void finish(struct state *f)
{
	uint64_t until = f->now + U_SEC, at;

	for (drain(f, false); !srd_idle(f->s); drain(f, false)) {
		at = srd_deadline(f->s);
		FUZZ_MUST(at <= until);
		f->now = at > f->now ? at : f->now + 1;
	}
	for (uint32_t i = 0; i < f->nops; i++)
		FUZZ_MUST(f->done[i] != f->aborted[i]);
	check_memory(f);
	srd_close(f->s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state f;

	f = (struct state){ .in = { data, size }, .now = 1000000 };
	begin(&f);
	while (f.in.left) {
		switch (u8(&f.in) % 8) {
		case 0:
			say_bytes(&f);
			break;
		case 1:
			meddle(&f);
			break;
		case 2:
			post(&f, u8(&f.in));
			break;
		case 3:
			f.now += (uint64_t)u8(&f.in) * u8(&f.in) * 100;
			drain(&f, false);
			break;
		default:
			say(&f);
		}
	}
	finish(&f);
	return 0;
}
