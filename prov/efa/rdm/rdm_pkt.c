/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt.c - coding of packets
 *
 * A packet is, in this order: the mandatory header, which a row of
 * rdm_pkt_rows describes; the rma_iovs; of requests the raw address, CQ data
 * and connid that the flags announce; the read_iovs; payload. HANDSHAKE has a
 * list of words instead.
 *
 * I1: bytes of a peer, who may still write them, are judged in a copy only,
 *     and what is used of a field is what was judged.
 */
#include "rdm/rdm_pkt.h"

#include <errno.h>

#include "util/u_base.h"
#include "util/u_bytes.h"

#define BASE_BYTES 4
#define MANDATORY_MAX 48 /* bytes of the longest mandatory header */
#define IOV_BYTES 24
#define RAW_ADDR_BYTES 40
#define RAW_ADDR_LEN 36 /* what is written into its length: with filler */
#define RAW_ADDR_LEN_MIN 32
#define CQ_DATA_BYTES 8
#define CONNID_BYTES 4
#define CONNID_BLOCK_BYTES 8 /* behind the header of CTSDATA */
#define WORD_BYTES 8 /* of a HANDSHAKE */
#define WORDS_BIAS 3 /* its count of words is this much too high */
#define WORDS_AT (RDM_PKT_PLACE + 4) /* where the count lies */
#define HANDSHAKE_FLAGS \
	(RDM_PKT_CONNID | RDM_PKT_HOST_ID | RDM_PKT_DEVICE_VERSION)

_Static_assert(sizeof(struct rdm_pkt_iov) == IOV_BYTES, "as on the wire");

/* A mandatory header with the bytes of absent fields before it. */
struct header {
	uint8_t place[RDM_PKT_PLACE + MANDATORY_MAX];
};

/* ---- parsing ------------------------------------------------------------- */

struct cursor {
	const uint8_t *at;
	uint32_t left; /* bytes */
};

/* Copies n bytes out; false when there are fewer. */
static inline bool take(struct cursor *c, void *to, uint32_t n)
{
	if (u_unlikely(c->left < n))
		return false;
	memcpy(to, c->at, n);
	u_copied_out();
	c->at += n;
	c->left -= n;
	return true;
}

static bool skip(struct cursor *c, uint32_t n)
{
	if (c->left < n)
		return false;
	c->at += n;
	c->left -= n;
	return true;
}

/* n iovs, whose lengths can be added without overflow. */
static bool take_iovs(struct cursor *c, struct rdm_pkt_iov *iov, uint32_t n)
{
	uint64_t room = UINT64_MAX;

	if (n > RDM_PKT_IOV_MAX || !take(c, iov, n * IOV_BYTES))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		iov[i].addr = u_get64(&iov[i].addr);
		iov[i].len = u_get64(&iov[i].len);
		iov[i].key = u_get64(&iov[i].key);
		if (iov[i].len > room)
			return false;
		room -= iov[i].len;
	}
	return true;
}

/* Bytes of the address that are zero or filler are not looked at. */
static U_COLD bool take_raw_addr(struct cursor *c, struct dev_addr *raw)
{
	uint8_t b[RAW_ADDR_LEN_MIN];
	uint32_t len;

	if (!take(c, &len, sizeof(len)))
		return false;
	len = u_get32(&len);
	if (len != RAW_ADDR_LEN && len != RAW_ADDR_LEN_MIN)
		return false;
	if (!take(c, b, sizeof(b)) || !skip(c, len - RAW_ADDR_LEN_MIN))
		return false;
	memcpy(raw->gid, b, sizeof(raw->gid));
	raw->qpn = u_get16(b + 16) | (uint32_t)b[18] << 16;
	raw->qkey = u_get32(b + 20);
	return true;
}

/* A raw address contains the connid; a second one must agree with it. */
static inline bool take_optional(struct cursor *c, struct rdm_pkt *pkt)
{
	uint16_t flags = pkt->flags;

	if (u_unlikely(flags & RDM_PKT_RAW_ADDR)) {
		if (!take_raw_addr(c, &pkt->raw))
			return false;
		pkt->connid = pkt->raw.qkey;
	}
	if (flags & RDM_PKT_CQ_DATA) {
		if (!take(c, &pkt->cq_data, CQ_DATA_BYTES))
			return false;
		pkt->cq_data = u_get64(&pkt->cq_data);
	}
	if (u_likely(flags & RDM_PKT_CONNID)) {
		if (!take(c, &pkt->connid, CONNID_BYTES))
			return false;
		pkt->connid = u_get32(&pkt->connid);
		if (flags & RDM_PKT_RAW_ADDR)
			return pkt->connid == pkt->raw.qkey;
	}
	return true;
}

static bool take_connid_block(struct cursor *c, struct rdm_pkt *pkt)
{
	uint8_t block[CONNID_BLOCK_BYTES];

	if (!take(c, block, sizeof(block)))
		return false;
	pkt->connid = u_get32(block);
	return true;
}

static bool take_word(struct cursor *c, uint64_t *word)
{
	if (!take(c, word, WORD_BYTES))
		return false;
	*word = u_get64(word);
	return true;
}

/* Behind the words that are of use everything is skipped. */
static U_COLD int parse_handshake(struct cursor *c, uint32_t words,
				  struct rdm_pkt *pkt)
{
	uint64_t connid = 0, version = 0, user = 0, unused;

	if (words < WORDS_BIAS || words - WORDS_BIAS > c->left / WORD_BYTES)
		return -EBADMSG;
	words -= WORDS_BIAS;
	if (words > 0 && (!take_word(c, &pkt->features) ||
			  !skip(c, (words - 1) * WORD_BYTES)))
		return -EBADMSG;
	if (pkt->flags & RDM_PKT_CONNID && !take_word(c, &connid))
		return -EBADMSG;
	if (pkt->flags & RDM_PKT_HOST_ID && !take_word(c, &pkt->host_id))
		return -EBADMSG;
	if (pkt->flags & RDM_PKT_DEVICE_VERSION && !take_word(c, &version))
		return -EBADMSG;
	if (pkt->flags & RDM_PKT_USER_QP && !take_word(c, &user))
		return -EBADMSG;
	if (pkt->flags & RDM_PKT_P2P && !take_word(c, &unused))
		return -EBADMSG;
	pkt->connid = (uint32_t)connid;
	pkt->device_version = (uint32_t)version;
	pkt->aux = (uint32_t)user;
	pkt->aux2 = (uint32_t)(user >> 32);
	pkt->payload = NULL;
	pkt->payload_len = 0;
	return 0;
}

/*
 * All before the iovs: in pieces, of which compilers make vector stores, while
 * a memset of the whole becomes a slow string instruction.
 */
static inline void zero_scalars(struct rdm_pkt *pkt)
{
	uint8_t *at = (uint8_t *)pkt;
	size_t n = offsetof(struct rdm_pkt, rma_iov);

	_Static_assert(offsetof(struct rdm_pkt, rma_iov) % 8 == 0, "words");
	for (; n >= 32; n -= 32, at += 32)
		memset(at, 0, 32);
	for (; n; n -= 8, at += 8)
		memset(at, 0, 8);
}

static inline void get_fields(struct rdm_pkt *pkt,
			      const struct rdm_pkt_row *row,
			      const struct header *header)
{
	const uint8_t *h = header->place;

	zero_scalars(pkt);
	pkt->type = h[RDM_PKT_PLACE];
	pkt->version = h[RDM_PKT_PLACE + 1];
	pkt->flags = u_get16(h + RDM_PKT_PLACE + 2);
	pkt->msg_id = u_get32(h + row->msg_id);
	pkt->send_id = u_get32(h + row->send_id);
	pkt->tag = u_get64(h + row->tag);
	if (row->few)
		return;
	pkt->recv_id = u_get32(h + row->recv_id);
	pkt->credit = u_get32(h + row->credit);
	pkt->aux = u_get32(h + row->aux);
	pkt->aux2 = u_get32(h + row->aux2);
	pkt->total = u_get64(h + row->total);
	pkt->offset = u_get64(h + row->offset);
	pkt->seg_len = u_get64(h + row->seg_len);
	pkt->connid = u_get32(h + row->connid);
	pkt->rma_iovcnt = u_get32(h + row->rma_iovcnt);
	pkt->read_iovcnt = u_get32(h + row->read_iovcnt);
}

/* Do bytes offset..offset + len lie in those before end? */
static inline bool inside(uint64_t offset, uint64_t len, uint64_t end)
{
	return offset <= end && len <= end - offset;
}

/* What a header can say about the payload, the payload must bear out. */
static inline bool is_plausible(const struct rdm_pkt *pkt,
				const struct rdm_pkt_row *row)
{
	if (row->few)
		return true;
	if (row->no_payload && pkt->payload_len)
		return false;
	if (row->exact_seg && pkt->seg_len != pkt->payload_len)
		return false;
	if (row->total && !inside(pkt->offset, pkt->payload_len, pkt->total))
		return false;
	/* Runting: seg_len are the first bytes, of which this is a slice. */
	if (row->total && row->seg_len &&
	    (pkt->seg_len > pkt->total ||
	     !inside(pkt->offset, pkt->payload_len, pkt->seg_len)))
		return false;
	return pkt->type != RDM_PKT_CTS || pkt->seg_len;
}

/* len bytes, half..half * 2 of them, by their first and their last half. */
static inline void copy_ends(uint8_t *to, const uint8_t *from, uint32_t len,
			     uint32_t half)
{
	memcpy(to, from, half);
	memcpy(to + len - half, from + len - half, half);
}

/* The bytes of the longest mandatory header, or what there is of them. */
static inline void copy_out(struct header *header, const void *bytes,
			    uint32_t len)
{
	uint8_t *to = header->place + RDM_PKT_PLACE;

	memset(header->place, 0, RDM_PKT_PLACE);
	if (len >= MANDATORY_MAX) /* a constant size is copied inline */
		memcpy(to, bytes, MANDATORY_MAX);
	else if (len >= MANDATORY_MAX / 2) /* in two halves that overlap */
		copy_ends(to, bytes, len, MANDATORY_MAX / 2);
	else
		memcpy(to, bytes, len);
	u_copied_out();
}

/* What lies between the mandatory header and the payload. */
static inline int parse_rest(struct cursor *c, struct rdm_pkt *pkt)
{
	if (pkt->rma_iovcnt && !take_iovs(c, pkt->rma_iov, pkt->rma_iovcnt))
		return -EBADMSG;
	if (u_likely(pkt->type >= RDM_PKT_REQ)) {
		if (!take_optional(c, pkt))
			return -EBADMSG;
	} else if (pkt->type == RDM_PKT_CTSDATA) {
		if (pkt->flags & RDM_PKT_CONNID && !take_connid_block(c, pkt))
			return -EBADMSG;
	}
	if (pkt->read_iovcnt && !take_iovs(c, pkt->read_iov, pkt->read_iovcnt))
		return -EBADMSG;
	return 0;
}

int rdm_pkt_parse(const void *bytes, uint32_t len, struct rdm_pkt *pkt)
{
	const struct rdm_pkt_row *row;
	struct header h;
	struct cursor c;

	if (u_unlikely(len < BASE_BYTES))
		return -EBADMSG;
	copy_out(&h, bytes, len);
	row = rdm_pkt_row(h.place[RDM_PKT_PLACE]);
	if (u_unlikely(!row ||
		       h.place[RDM_PKT_PLACE + 1] != RDM_PROTOCOL_VERSION))
		return -EPROTONOSUPPORT;
	if (u_unlikely(len < row->size))
		return -EBADMSG;
	get_fields(pkt, row, &h);
	c.at = (const uint8_t *)bytes + row->size;
	c.left = len - row->size;
	if (u_unlikely(pkt->type == RDM_PKT_HANDSHAKE))
		return parse_handshake(&c, u_get32(h.place + WORDS_AT), pkt);
	if (u_unlikely(parse_rest(&c, pkt)))
		return -EBADMSG;
	pkt->payload = c.at;
	pkt->payload_len = c.left;
	return u_likely(is_plausible(pkt, row)) ? 0 : -EBADMSG;
}

/* ---- building ------------------------------------------------------------ */

static uint8_t *put_iovs(uint8_t *at, const struct rdm_pkt_iov *iov, uint32_t n)
{
	assert(n <= RDM_PKT_IOV_MAX);
	for (uint32_t i = 0; i < n; i++, at += IOV_BYTES) {
		u_put64(at, iov[i].addr);
		u_put64(at + 8, iov[i].len);
		u_put64(at + 16, iov[i].key);
	}
	return at;
}

static U_COLD uint8_t *put_raw_addr(uint8_t *at, const struct dev_addr *raw)
{
	assert(raw->qpn <= 0xffffff);
	memset(at, 0, RAW_ADDR_BYTES);
	u_put32(at, RAW_ADDR_LEN);
	memcpy(at + 4, raw->gid, sizeof(raw->gid));
	u_put32(at + 20, raw->qpn);
	u_put32(at + 24, raw->qkey);
	return at + RAW_ADDR_BYTES;
}

static inline uint8_t *put_optional(uint8_t *at, const struct rdm_pkt *pkt,
				    uint16_t flags)
{
	if (u_unlikely(flags & RDM_PKT_RAW_ADDR))
		at = put_raw_addr(at, &pkt->raw);
	if (flags & RDM_PKT_CQ_DATA) {
		u_put64(at, pkt->cq_data);
		at += CQ_DATA_BYTES;
	}
	if (flags & RDM_PKT_CONNID) {
		u_put32(at, pkt->connid);
		at += CONNID_BYTES;
	}
	return at;
}

static uint8_t *put_word(uint8_t *at, uint64_t word)
{
	u_put64(at, word);
	return at + WORD_BYTES;
}

static U_COLD uint8_t *put_handshake(uint8_t *at, const struct rdm_pkt *pkt,
				     uint16_t flags)
{
	at = put_word(at, pkt->features);
	if (flags & RDM_PKT_CONNID)
		at = put_word(at, pkt->connid);
	if (flags & RDM_PKT_HOST_ID)
		at = put_word(at, pkt->host_id);
	if (flags & RDM_PKT_DEVICE_VERSION)
		at = put_word(at, pkt->device_version);
	return at;
}

/* The header of a row with few fields, where it belongs. */
static inline uint8_t *put_few(uint8_t *at, const struct rdm_pkt_row *row,
			       const struct rdm_pkt *pkt, uint16_t flags)
{
	at[0] = pkt->type;
	at[1] = RDM_PROTOCOL_VERSION;
	u_put16(at + 2, flags);
	u_put32(at + row->msg_id - RDM_PKT_PLACE, pkt->msg_id);
	if (row->send_id) /* zeros follow */
		u_put64(at + row->send_id - RDM_PKT_PLACE, pkt->send_id);
	if (row->tag)
		u_put64(at + row->tag - RDM_PKT_PLACE, pkt->tag);
	return at + row->size;
}

/*
 * The header of any row, by a copy: what is too much of it is overwritten, or
 * ends in room of the caller's buffer.
 */
static inline uint8_t *put_fields(uint8_t *at, const struct rdm_pkt_row *row,
				  const struct rdm_pkt *pkt, uint16_t flags)
{
	struct header header = { .place = { 0 } };
	uint8_t *h = header.place;

	u_put32(h + row->msg_id, pkt->msg_id);
	u_put32(h + row->send_id, pkt->send_id);
	u_put32(h + row->recv_id, pkt->recv_id);
	u_put32(h + row->credit, pkt->credit);
	u_put32(h + row->aux, pkt->aux);
	u_put32(h + row->aux2, pkt->aux2);
	u_put64(h + row->tag, pkt->tag);
	u_put64(h + row->total, pkt->total);
	u_put64(h + row->offset, pkt->offset);
	u_put64(h + row->seg_len, pkt->seg_len);
	u_put32(h + row->connid, pkt->connid);
	u_put32(h + row->rma_iovcnt, pkt->rma_iovcnt);
	u_put32(h + row->read_iovcnt, pkt->read_iovcnt);
	h[RDM_PKT_PLACE] = pkt->type;
	h[RDM_PKT_PLACE + 1] = RDM_PROTOCOL_VERSION;
	u_put16(h + RDM_PKT_PLACE + 2, flags);
	if (pkt->type == RDM_PKT_HANDSHAKE)
		u_put32(h + WORDS_AT, WORDS_BIAS + 1);
	memcpy(at, h + RDM_PKT_PLACE, MANDATORY_MAX);
	return at + row->size;
}

/* The flags that go out: only those whose headers go out as well. */
static inline uint16_t flags_of(const struct rdm_pkt *pkt,
				const struct rdm_pkt_row *row)
{
	uint16_t flags = pkt->flags | row->flags;

	return pkt->type == RDM_PKT_HANDSHAKE ? flags & HANDSHAKE_FLAGS : flags;
}

uint32_t rdm_pkt_build(void *buf, const struct rdm_pkt *pkt)
{
	const struct rdm_pkt_row *row = rdm_pkt_row(pkt->type);
	uint16_t flags;
	uint8_t *at;

	assert(row);
	flags = flags_of(pkt, row);
	if (row->few) {
		at = put_few(buf, row, pkt, flags);
		at = put_optional(at, pkt, flags);
		return (uint32_t)(at - (uint8_t *)buf);
	}
	at = put_fields(buf, row, pkt, flags);
	if (row->rma_iovcnt)
		at = put_iovs(at, pkt->rma_iov, pkt->rma_iovcnt);
	if (pkt->type >= RDM_PKT_REQ) {
		at = put_optional(at, pkt, flags);
	} else if (pkt->type == RDM_PKT_CTSDATA) {
		u_put64(at, pkt->connid);
		at += CONNID_BLOCK_BYTES;
	} else if (pkt->type == RDM_PKT_HANDSHAKE) {
		at = put_handshake(at, pkt, flags);
	}
	if (row->read_iovcnt)
		at = put_iovs(at, pkt->read_iov, pkt->read_iovcnt);
	return (uint32_t)(at - (uint8_t *)buf);
}

static uint32_t optional_len(uint16_t flags)
{
	return (flags & RDM_PKT_RAW_ADDR ? RAW_ADDR_BYTES : 0) +
	       (flags & RDM_PKT_CQ_DATA ? CQ_DATA_BYTES : 0) +
	       (flags & RDM_PKT_CONNID ? CONNID_BYTES : 0);
}

uint32_t rdm_pkt_hdr_len(const struct rdm_pkt *pkt)
{
	const struct rdm_pkt_row *row = rdm_pkt_row(pkt->type);
	uint16_t flags;
	uint32_t len;

	assert(row);
	flags = flags_of(pkt, row);
	len = row->size;
	if (row->rma_iovcnt)
		len += pkt->rma_iovcnt * IOV_BYTES;
	if (row->read_iovcnt)
		len += pkt->read_iovcnt * IOV_BYTES;
	if (pkt->type >= RDM_PKT_REQ)
		return len + optional_len(flags);
	if (pkt->type == RDM_PKT_CTSDATA)
		return len + CONNID_BLOCK_BYTES;
	if (pkt->type == RDM_PKT_HANDSHAKE)
		len += WORD_BYTES * (1 + (uint32_t)__builtin_popcount(flags));
	return len;
}
