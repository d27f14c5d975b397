/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt_test.c - coding of valid packets: the layouts, byte by byte, worked
 * examples, and the way there and back
 */
#include "rdm/rdm_pkt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rdm_pkt_sample.h"
#include "util/u_bytes.h"

static void assert_same(const struct rdm_pkt *a, const struct rdm_pkt *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->msg_id, b->msg_id);
	assert_int_equal(a->send_id, b->send_id);
	assert_int_equal(a->recv_id, b->recv_id);
	assert_int_equal(a->credit, b->credit);
	assert_int_equal(a->aux, b->aux);
	assert_int_equal(a->aux2, b->aux2);
	assert_true(a->tag == b->tag);
	assert_true(a->total == b->total);
	assert_true(a->offset == b->offset);
	assert_true(a->seg_len == b->seg_len);
	assert_true(a->cq_data == b->cq_data);
	assert_true(a->features == b->features);
	assert_true(a->host_id == b->host_id);
	assert_int_equal(a->device_version, b->device_version);
	assert_int_equal(a->connid, b->connid);
	assert_memory_equal(&a->raw, &b->raw, sizeof(a->raw));
	assert_int_equal(a->rma_iovcnt, b->rma_iovcnt);
	assert_int_equal(a->read_iovcnt, b->read_iovcnt);
	assert_memory_equal(a->rma_iov, b->rma_iov,
			    a->rma_iovcnt * sizeof(a->rma_iov[0]));
	assert_memory_equal(a->read_iov, b->read_iov,
			    a->read_iovcnt * sizeof(a->read_iov[0]));
}

/* ---- the table ----------------------------------------------------------- */

static void rdm_pkt_row__there_for_each_type_of_the_protocol(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];
		const struct rdm_pkt_row *row = rdm_pkt_row(l->type);

		assert_non_null(row);
		assert_int_equal(row->size, l->size);
		assert_int_equal(row->flags, l->flags);
		assert_int_equal(row->no_payload, !sample_has_payload(l));
		if (row->few)
			assert_int_equal(strcspn(l->fields, "rcabinklog"),
					 strlen(l->fields));
	}
	for (int type = 0; type < 256; type++)
		n += rdm_pkt_row((uint8_t)type) != NULL;
	assert_int_equal(n, u_array_size(sample_layouts) + 1); /* HANDSHAKE */
}

static void rdm_pkt_row__none_for_reserved_numbers(void **state)
{
	static const uint8_t none[] = { 0,   1,	  2,   6,   13,	 63,  77, 127,
					131, 132, 142, 143, 144, 147, 255 };

	(void)state;
	for (size_t i = 0; i < sizeof(none); i++)
		assert_null(rdm_pkt_row(none[i]));
}

/* ---- layouts ------------------------------------------------------------- */

/* Writes what the layout in text says, with no help of the code under test. */
static void write_by_text(uint8_t *b, const struct sample_layout *l,
			  struct rdm_pkt *p)
{
	memset(b, 0, l->size);
	b[0] = l->type;
	b[1] = 4;
	b[2] = (uint8_t)p->flags;
	b[3] = (uint8_t)(p->flags >> 8);
	for (const char *f = l->fields; *f;) {
		char *end;
		size_t size, at = strtoul(f + 1, &end, 10);
		const void *field = sample_field(p, *f, &size);
		uint64_t value = 0;

		memcpy(&value, field, size);
		for (size_t i = 0; i < size; i++)
			b[at + i] = (uint8_t)(value >> 8 * i);
		f = end + (*end == ' ');
	}
}

static void rdm_pkt_build__mandatory_header_of_each_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];
		struct rdm_pkt p = sample_pkt(l, 0, 0);
		uint8_t buf[RDM_PKT_HDR_MAX], text[64];
		uint32_t len;

		memset(buf, 0xee, sizeof(buf));
		len = rdm_pkt_build(buf, &p);
		write_by_text(text, l, &p);
		assert_memory_equal(buf, text, l->size);
		assert_int_equal(len, l->size + (l->type == 4 ? 8 : 0));
	}
}

static uint32_t from_hex(const char *hex, uint8_t *b)
{
	uint32_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		unsigned int v;

		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		b[n++] = (uint8_t)v;
	}
	return n;
}

/* Raw address, CQ data, connid. */
static void rdm_pkt_build__optional_headers_in_order(void **state)
{
	struct rdm_pkt p = sample_pkt(&sample_layouts[8], SAMPLE_OPTIONS, 0);
	const char *hex =
		"4004078011000081"
		"24000000fe800000000000000000000000000007f5ff0000e0ac6824"
		"000000000000000000000000"
		"a8a7a6a5a4a3a2a1e0ac6824";
	uint8_t buf[RDM_PKT_HDR_MAX], want[256];
	uint32_t len = from_hex(hex, want);

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(rdm_pkt_build(buf, &p), len);
	assert_memory_equal(buf, want, len);
}

/* ---- worked examples ------------------------------------------------------ */

struct example {
	const char *hex; /* header, then payload */
	struct rdm_pkt pkt;
	uint32_t payload_len;
};

#define A_CONNID 0x2468ace0
#define B_CONNID 0x13579bdf

static const struct example examples[] = {
	{ /* eager, tagged, before the handshake: with raw address */
	  "41040d00000000008877665544332211"
	  "24000000fe80000000000000081234fffe56789a05000000e0ac6824"
	  "000000000000000000000000"
	  "68692121",
	  { .type = 65,
	    .flags = 0x000d,
	    .tag = 0x1122334455667788,
	    .connid = A_CONNID,
	    .raw = { .gid = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x08, 0x12, 0x34,
			      0xff, 0xfe, 0x56, 0x78, 0x9a },
		     .qpn = 5,
		     .qkey = A_CONNID } },
	  4 },
	{ /* the same after it: with connid */
	  "41040c80010000008877665544332211e0ac682468692121",
	  { .type = 65,
	    .flags = 0x800c,
	    .msg_id = 1,
	    .tag = 0x1122334455667788,
	    .connid = A_CONNID },
	  4 },
	{ /* second of three slices (its payload left off but for a byte) */
	  "4204048002000000204e000000000000081a000000000000e0ac6824aa",
	  { .type = 66,
	    .flags = 0x8004,
	    .msg_id = 2,
	    .total = 20000,
	    .offset = 6664,
	    .connid = A_CONNID },
	  1 },
	{ /* grant */
	  "03040080df9b571307000000030000000058040000000000",
	  { .type = 3,
	    .flags = 0x8000,
	    .connid = B_CONNID,
	    .send_id = 7,
	    .recv_id = 3,
	    .seg_len = 284672 },
	  0 },
	{ /* handshake */
	  "09040380040000005a00000000000000df9b571300000000efcdab8967452301"
	  "a0ef000000000000",
	  { .type = 9,
	    .flags = 0x8003,
	    .connid = B_CONNID,
	    .features = 0x5a,
	    .host_id = 0x0123456789abcdef,
	    .device_version = 0xefa0 },
	  0 },
	{ /* to be pulled */
	  "800404800500000000004000000000000900000001000000e0ac6824"
	  "00000000127f00000000400000000000efbe000000000000",
	  { .type = 128,
	    .flags = 0x8004,
	    .msg_id = 5,
	    .total = 4 << 20,
	    .send_id = 9,
	    .connid = A_CONNID,
	    .read_iovcnt = 1,
	    .read_iov = { { 0x7f1200000000, 4 << 20, 0xbeef } } },
	  0 },
	{ /* atomic sum */
	  "4a042080060000000100000007000000020000000000000000100000127f0000"
	  "08000000000000007700000000000000e0ac6824"
	  "0500000000000000",
	  { .type = 74,
	    .flags = 0x8020,
	    .msg_id = 6,
	    .aux = 2,
	    .aux2 = 7,
	    .connid = A_CONNID,
	    .rma_iovcnt = 1,
	    .rma_iov = { { 0x7f1200001000, 8, 0x77 } } },
	  8 },
};

static void rdm_pkt_build__worked_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(examples); i++) {
		const struct example *e = &examples[i];
		uint8_t want[256], buf[RDM_PKT_HDR_MAX];
		uint32_t len = from_hex(e->hex, want) - e->payload_len;

		assert_int_equal(rdm_pkt_build(buf, &e->pkt), len);
		assert_memory_equal(buf, want, len);
		assert_int_equal(rdm_pkt_hdr_len(&e->pkt), len);
	}
}

static void rdm_pkt_parse__worked_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(examples); i++) {
		const struct example *e = &examples[i];
		uint8_t bytes[256];
		uint32_t len = from_hex(e->hex, bytes);
		struct rdm_pkt got;

		assert_int_equal(rdm_pkt_parse(bytes, len, &got), 0);
		assert_int_equal(got.version, 4);
		assert_same(&got, &e->pkt);
		assert_int_equal(got.payload_len, e->payload_len);
		if (e->payload_len)
			assert_ptr_equal(got.payload,
					 bytes + len - e->payload_len);
	}
}

/* ---- there and back ------------------------------------------------------- */

static void there_and_back(const struct sample_layout *l, uint16_t options,
			   uint32_t niov)
{
	struct rdm_pkt p = sample_pkt(l, options, niov), got;
	uint8_t buf[RDM_PKT_HDR_MAX + SAMPLE_PAYLOAD];
	uint32_t payload = sample_has_payload(l) ? SAMPLE_PAYLOAD : 0;
	uint32_t len = rdm_pkt_build(buf, &p);

	assert_int_equal(len, rdm_pkt_hdr_len(&p));
	assert_true(len <= RDM_PKT_HDR_MAX);
	memset(&got, 0xee, sizeof(got));
	assert_int_equal(rdm_pkt_parse(buf, len + payload, &got), 0);
	assert_same(&got, &p);
	assert_int_equal(got.payload_len, payload);
	assert_ptr_equal(got.payload, buf + len);
}

static void rdm_pkt_parse__undoes_build(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];

		for (uint32_t niov = 0; niov <= RDM_PKT_IOV_MAX; niov++) {
			there_and_back(l, 0, niov);
			if (l->type < RDM_PKT_REQ)
				continue;
			there_and_back(l, RDM_PKT_RAW_ADDR, niov);
			there_and_back(l, RDM_PKT_CQ_DATA, niov);
			there_and_back(l, RDM_PKT_CONNID, niov);
			there_and_back(l, SAMPLE_OPTIONS, niov);
			there_and_back(l, RDM_PKT_CONNID | RDM_PKT_CQ_DATA,
				       niov);
			there_and_back(l, RDM_PKT_RAW_ADDR | RDM_PKT_CQ_DATA,
				       niov);
		}
	}
}

/* The longest slice that max header allows must still be a valid packet. */
static void rdm_pkt_hdr_len__within_the_reserve_for_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];
		struct rdm_pkt p =
			sample_pkt(l, RDM_PKT_RAW_ADDR | RDM_PKT_CQ_DATA, 4);

		if (l->type < RDM_PKT_REQ)
			continue;
		if (l->type < RDM_PKT_LONGREAD_MSGRTM)
			assert_true(rdm_pkt_hdr_len(&p) <= RDM_PKT_HDR_RESERVE);
		assert_true(rdm_pkt_hdr_len(&p) <= RDM_PKT_HDR_MAX);
	}
}

/* ---- what others may send ------------------------------------------------- */

static void rdm_pkt_parse__unknown_flags_are_ignored(void **state)
{
	struct rdm_pkt p = sample_pkt(&sample_layouts[8], 0, 0), got;
	uint8_t buf[RDM_PKT_HDR_MAX];
	uint32_t len;

	(void)state;
	p.flags |= 0x5fd0;
	len = rdm_pkt_build(buf, &p);
	assert_int_equal(rdm_pkt_parse(buf, len, &got), 0);
	assert_same(&got, &p);
}

static void rdm_pkt_parse__raw_address_without_filler(void **state)
{
	const struct example *e = &examples[0];
	uint8_t bytes[256];
	uint32_t len = from_hex(e->hex, bytes);
	struct rdm_pkt got;

	(void)state;
	bytes[16] = 32;
	memmove(bytes + 52, bytes + 56, len - 56);
	assert_int_equal(rdm_pkt_parse(bytes, len - 4, &got), 0);
	assert_same(&got, &e->pkt);
	assert_int_equal(got.payload_len, 4);
	assert_memory_equal(got.payload, "hi!!", 4);
}

static void rdm_pkt_parse__raw_address_with_a_long_number(void **state)
{
	struct rdm_pkt p = examples[0].pkt, got;
	uint8_t buf[256];
	uint32_t len;

	(void)state;
	p.raw.qpn = 0xfedcba;
	len = rdm_pkt_build(buf, &p);
	assert_int_equal(rdm_pkt_parse(buf, len, &got), 0);
	assert_int_equal(got.raw.qpn, 0xfedcba);
}

static void rdm_pkt_parse__raw_address_with_any_filler(void **state)
{
	const struct example *e = &examples[0];
	uint8_t bytes[256];
	uint32_t len = from_hex(e->hex, bytes);
	struct rdm_pkt got;

	(void)state;
	memset(bytes + 52, 0xee, 4);
	assert_int_equal(rdm_pkt_parse(bytes, len, &got), 0);
	assert_same(&got, &e->pkt);
}

static void rdm_pkt_parse__ctsdata_without_connid(void **state)
{
	uint8_t bytes[25] = { 4, 4, 0, 0, 9, [8] = 1 };
	struct rdm_pkt got;

	(void)state;
	assert_int_equal(rdm_pkt_parse(bytes, sizeof(bytes), &got), 0);
	assert_int_equal(got.recv_id, 9);
	assert_int_equal(got.connid, 0);
	assert_ptr_equal(got.payload, bytes + 24);
}

static void rdm_pkt_parse__handshake_without_words_or_headers(void **state)
{
	static const uint8_t bytes[] = { 9, 4, 0, 0, 3, 0, 0, 0 };
	struct rdm_pkt got;

	(void)state;
	memset(&got, 0xee, sizeof(got));
	assert_int_equal(rdm_pkt_parse(bytes, sizeof(bytes), &got), 0);
	assert_null(got.payload);
	assert_int_equal(got.payload_len, 0);
	assert_true(got.features == 0);
	assert_int_equal(got.connid, 0);
	assert_int_equal(got.device_version, 0);
}

/* More words and headers than we know, and something behind them. */
static void rdm_pkt_parse__handshake_of_a_later_release(void **state)
{
	uint8_t b[8 + 5 * 8 + 5 * 8 + 3] = { 9, 4, 0x1f, 0x80, 8 };
	struct rdm_pkt got;

	(void)state;
	u_put64(b + 8, 0x123);
	memset(b + 16, 0xee, 32);
	u_put64(b + 48, B_CONNID);
	u_put64(b + 56, 77);
	u_put64(b + 64, 0xefa1);
	memset(b + 72, 0xee, sizeof(b) - 72);
	assert_int_equal(rdm_pkt_parse(b, sizeof(b), &got), 0);
	assert_true(got.features == 0x123);
	assert_int_equal(got.connid, B_CONNID);
	assert_true(got.host_id == 77);
	assert_int_equal(got.device_version, 0xefa1);
	assert_int_equal(got.payload_len, 0);
}

static void rdm_pkt_build__handshake_announces_what_it_has(void **state)
{
	struct rdm_pkt p = { .type = RDM_PKT_HANDSHAKE,
			     .flags = 0x7ffc,
			     .device_version = 0xefa2 };
	uint8_t buf[RDM_PKT_HDR_MAX];

	(void)state;
	assert_int_equal(rdm_pkt_hdr_len(&p), 32);
	assert_int_equal(rdm_pkt_build(buf, &p), 32);
	assert_int_equal(u_get16(buf + 2), 0x8002);
	assert_int_equal(u_get32(buf + 24), 0xefa2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			rdm_pkt_row__there_for_each_type_of_the_protocol),
		cmocka_unit_test(rdm_pkt_row__none_for_reserved_numbers),
		cmocka_unit_test(rdm_pkt_build__mandatory_header_of_each_type),
		cmocka_unit_test(rdm_pkt_build__optional_headers_in_order),
		cmocka_unit_test(rdm_pkt_build__worked_examples),
		cmocka_unit_test(rdm_pkt_parse__worked_examples),
		cmocka_unit_test(rdm_pkt_parse__undoes_build),
		cmocka_unit_test(
			rdm_pkt_hdr_len__within_the_reserve_for_messages),
		cmocka_unit_test(rdm_pkt_parse__unknown_flags_are_ignored),
		cmocka_unit_test(rdm_pkt_parse__raw_address_without_filler),
		cmocka_unit_test(rdm_pkt_parse__raw_address_with_a_long_number),
		cmocka_unit_test(rdm_pkt_parse__raw_address_with_any_filler),
		cmocka_unit_test(rdm_pkt_parse__ctsdata_without_connid),
		cmocka_unit_test(
			rdm_pkt_parse__handshake_without_words_or_headers),
		cmocka_unit_test(rdm_pkt_parse__handshake_of_a_later_release),
		cmocka_unit_test(
			rdm_pkt_build__handshake_announces_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
