/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rdm_pkt_bad_test.c - packets that no honest peer sends
 *
 * Each lies in memory of its exact length, so that the address sanitizer sees
 * a byte read behind it.
 */
#include "rdm/rdm_pkt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rdm_pkt_sample.h"
#include "util/u_bytes.h"
#include "util/u_hash.h"

/* Parses a copy that ends where its memory ends. */
static int parse_exact(const void *bytes, uint32_t len, struct rdm_pkt *pkt)
{
	uint8_t *copy = malloc(len + !len);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	rc = rdm_pkt_parse(copy, len, pkt);
	if (rc == 0 && pkt->payload) {
		size_t at = (size_t)((const uint8_t *)pkt->payload - copy);

		assert_true(at <= len && pkt->payload_len == len - at);
		pkt->payload = NULL;
	}
	free(copy);
	return rc;
}

static int verdict(const void *bytes, uint32_t len)
{
	struct rdm_pkt got;

	return parse_exact(bytes, len, &got);
}

/* Builds a sample into b (which has room); returns the length of the header. */
static uint32_t build(uint8_t *b, const struct sample_layout *l,
		      uint16_t options, uint32_t niov)
{
	struct rdm_pkt p = sample_pkt(l, options, niov);

	memset(b, 0, RDM_PKT_HDR_MAX + SAMPLE_PAYLOAD);
	return rdm_pkt_build(b, &p);
}

static const struct sample_layout *layout_of(uint8_t type)
{
	for (size_t i = 0; i < u_array_size(sample_layouts); i++)
		if (sample_layouts[i].type == type)
			return &sample_layouts[i];
	fail_msg("no sample of type %u", type);
	return NULL;
}

static uint8_t packet[RDM_PKT_HDR_MAX + SAMPLE_PAYLOAD + 1];

/* ---- length --------------------------------------------------------------- */

static void cut_everywhere(uint32_t len)
{
	for (uint32_t n = 0; n < len; n++)
		assert_int_equal(verdict(packet, n), -EBADMSG);
}

static void rdm_pkt_parse__cut_in_any_header(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];

		cut_everywhere(build(packet, l, 0, 0));
		cut_everywhere(build(packet, l, 0, 4));
		if (l->type < RDM_PKT_REQ)
			continue;
		cut_everywhere(build(packet, l, RDM_PKT_RAW_ADDR, 0));
		cut_everywhere(build(packet, l, RDM_PKT_CQ_DATA, 0));
		cut_everywhere(build(packet, l, RDM_PKT_CONNID, 0));
		cut_everywhere(build(packet, l, SAMPLE_OPTIONS, 0));
		cut_everywhere(build(packet, l, SAMPLE_OPTIONS, 4));
	}
}

static void rdm_pkt_parse__cut_in_handshake(void **state)
{
	uint8_t b[8 + 8 * 7] = { 9, 4, 0x0f, 0x80, 3 + 2 };

	(void)state;
	for (uint32_t n = 0; n < sizeof(b); n++)
		assert_int_equal(verdict(b, n), -EBADMSG);
	assert_int_equal(verdict(b, sizeof(b)), 0);
}

/* Where the header says how long the payload is, no other length will do. */
static void rdm_pkt_parse__payload_of_another_length(void **state)
{
	static const uint8_t exact[] = { 4, 5, 8 };

	(void)state;
	for (size_t i = 0; i < sizeof(exact); i++) {
		uint32_t len = build(packet, layout_of(exact[i]), 0, 0);

		assert_int_equal(verdict(packet, len + SAMPLE_PAYLOAD), 0);
		assert_int_equal(verdict(packet, len + SAMPLE_PAYLOAD - 1),
				 -EBADMSG);
		assert_int_equal(verdict(packet, len + SAMPLE_PAYLOAD + 1),
				 -EBADMSG);
	}
}

static void rdm_pkt_parse__bytes_behind_what_has_no_payload(void **state)
{
	(void)state;
	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];
		uint32_t len = build(packet, l, 0, 1);

		if (sample_has_payload(l))
			continue;
		assert_int_equal(verdict(packet, len), 0);
		assert_int_equal(verdict(packet, len + 1), -EBADMSG);
	}
}

/* ---- type, version, counts ------------------------------------------------ */

static void rdm_pkt_parse__unknown_type(void **state)
{
	(void)state;
	build(packet, layout_of(64), 0, 0);
	for (int type = 0; type < 256; type++) {
		packet[0] = (uint8_t)type;
		if (!rdm_pkt_row((uint8_t)type))
			assert_int_equal(verdict(packet, 64), -EPROTONOSUPPORT);
	}
}

static void rdm_pkt_parse__another_version(void **state)
{
	uint32_t len = build(packet, layout_of(64), 0, 0);

	(void)state;
	for (int version = 0; version < 256; version++) {
		packet[1] = (uint8_t)version;
		assert_int_equal(verdict(packet, len),
				 version == 4 ? 0 : -EPROTONOSUPPORT);
	}
}

/* Sets the count of iovs; the packet has room for five. */
static void count_too_high(char field, uint32_t count)
{
	static uint8_t big[RDM_PKT_HDR_MAX + 1024];

	for (size_t i = 0; i < u_array_size(sample_layouts); i++) {
		const struct sample_layout *l = &sample_layouts[i];
		const char *at = strchr(l->fields, field);

		if (!at)
			continue;
		memset(big, 0, sizeof(big));
		build(big, l, 0, 0);
		u_put32(big + strtoul(at + 1, NULL, 10), count);
		assert_int_equal(verdict(big, sizeof(big)), -EBADMSG);
	}
}

static void rdm_pkt_parse__more_iovs_than_allowed(void **state)
{
	(void)state;
	count_too_high('n', 5);
	count_too_high('k', 5);
	count_too_high('n', UINT32_MAX);
	count_too_high('k', UINT32_MAX);
	count_too_high('n', UINT32_MAX / 24 + 2); /* times 24 it is small */
	count_too_high('k', UINT32_MAX / 24 + 2);
}

static void rdm_pkt_parse__lengths_of_iovs_wrap(void **state)
{
	uint32_t len = build(packet, layout_of(70), 0, 3);

	(void)state;
	u_put64(packet + 8 + 8, UINT64_MAX - 3);
	u_put64(packet + 8 + 24 + 8, 2);
	u_put64(packet + 8 + 48 + 8, 1);
	assert_int_equal(verdict(packet, len), 0);
	u_put64(packet + 8 + 48 + 8, 2);
	assert_int_equal(verdict(packet, len), -EBADMSG);
}

static void rdm_pkt_parse__count_of_handshake_words(void **state)
{
	static const uint32_t bad[] = { 0, 1, 2, 5, 0x20000004, UINT32_MAX };
	uint8_t b[16] = { 9, 4 };

	(void)state;
	for (size_t i = 0; i < u_array_size(bad); i++) {
		u_put32(b + 4, bad[i]);
		assert_int_equal(verdict(b, sizeof(b)), -EBADMSG);
	}
}

/* ---- values --------------------------------------------------------------- */

static void rdm_pkt_parse__raw_address_of_odd_length(void **state)
{
	static const uint32_t bad[] = { 0,  31, 33,	35,
					37, 40, 0xffff, UINT32_MAX };
	uint32_t len = build(packet, layout_of(65), RDM_PKT_RAW_ADDR, 0);

	(void)state;
	for (size_t i = 0; i < u_array_size(bad); i++) {
		u_put32(packet + 16, bad[i]);
		assert_int_equal(verdict(packet, len + SAMPLE_PAYLOAD),
				 -EBADMSG);
	}
}

static void rdm_pkt_parse__connid_differs_from_raw_address(void **state)
{
	uint32_t len = build(packet, layout_of(65), SAMPLE_OPTIONS, 0);

	(void)state;
	assert_int_equal(verdict(packet, len), 0);
	packet[len - 1] ^= 1;
	assert_int_equal(verdict(packet, len), -EBADMSG);
}

static void rdm_pkt_parse__grant_of_nothing(void **state)
{
	uint32_t len = build(packet, layout_of(3), 0, 0);

	(void)state;
	u_put64(packet + 16, 0);
	assert_int_equal(verdict(packet, len), -EBADMSG);
}

static int slice(uint8_t type, uint64_t total, uint64_t offset, uint32_t bytes)
{
	struct rdm_pkt p = { .type = type, .total = total, .offset = offset };

	memset(packet, 0, sizeof(packet));
	return verdict(packet, rdm_pkt_build(packet, &p) + bytes);
}

static void rdm_pkt_parse__slice_outside_its_message(void **state)
{
	static const uint8_t medium[] = { 66, 67, 135, 136 };

	(void)state;
	for (size_t i = 0; i < sizeof(medium); i++) {
		assert_int_equal(slice(medium[i], 100, 60, 40), 0);
		assert_int_equal(slice(medium[i], 100, 61, 40), -EBADMSG);
		assert_int_equal(slice(medium[i], 100, 100, 0), 0);
		assert_int_equal(slice(medium[i], 100, 101, 0), -EBADMSG);
		assert_int_equal(slice(medium[i], 100, UINT64_MAX - 20, 40),
				 -EBADMSG);
		assert_int_equal(slice(medium[i], UINT64_MAX, UINT64_MAX - 39,
				       40),
				 -EBADMSG);
	}
}

static void rdm_pkt_parse__more_bytes_than_the_message_has(void **state)
{
	static const uint8_t longcts[] = { 68, 69, 71, 137, 138, 140 };

	(void)state;
	for (size_t i = 0; i < sizeof(longcts); i++) {
		assert_int_equal(slice(longcts[i], 40, 0, 40), 0);
		assert_int_equal(slice(longcts[i], 39, 0, 40), -EBADMSG);
	}
}

static int runt(uint64_t total, uint64_t runt_len, uint64_t offset,
		uint32_t bytes)
{
	struct rdm_pkt p = { .type = RDM_PKT_RUNTREAD_MSGRTM,
			     .total = total,
			     .seg_len = runt_len,
			     .offset = offset };

	memset(packet, 0, sizeof(packet));
	return verdict(packet, rdm_pkt_build(packet, &p) + bytes);
}

static void rdm_pkt_parse__slice_outside_the_runt(void **state)
{
	(void)state;
	assert_int_equal(runt(1000, 100, 60, 40), 0);
	assert_int_equal(runt(1000, 100, 61, 40), -EBADMSG);
	assert_int_equal(runt(1000, 1000, 960, 40), 0);
	assert_int_equal(runt(1000, 1001, 960, 40), -EBADMSG);
	assert_int_equal(runt(1000, 100, UINT64_MAX, 40), -EBADMSG);
}

/* ---- anything ------------------------------------------------------------- */

static uint64_t seed = 0x5eed;

static uint32_t rnd(uint32_t below)
{
	return (uint32_t)(u_mix64(seed++) % below);
}

/* What was taken for a packet says the same when it is sent on. */
static void assert_stable(const struct rdm_pkt *p, const uint8_t *b)
{
	uint8_t again[RDM_PKT_HDR_MAX];
	const struct rdm_pkt_row *row = rdm_pkt_row(p->type);

	assert_non_null(row);
	assert_int_equal(rdm_pkt_build(again, p), rdm_pkt_hdr_len(p));
	assert_int_equal(again[0], b[0]);
	assert_true((u_get16(again + 2) & u_get16(b + 2)) == u_get16(b + 2) ||
		    p->type == RDM_PKT_HANDSHAKE);
	if (row->tag)
		assert_memory_equal(again + row->size - 8, b + row->size - 8,
				    8);
}

static void rdm_pkt_parse__random_bytes(void **state)
{
	uint8_t b[400];
	uint32_t good = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint32_t len = rnd(sizeof(b));
		struct rdm_pkt got;

		for (uint32_t at = 0; at < len; at++)
			b[at] = rnd(3) ? 0 : (uint8_t)rnd(256);
		if (len > 0)
			b[0] = sample_layouts[rnd(u_array_size(sample_layouts))]
				       .type;
		if (len > 1)
			b[1] = 4;
		if (parse_exact(b, len, &got))
			continue;
		good++;
		assert_stable(&got, b);
	}
	assert_true(good > 1000); /* else the test tests little */
}

static void rdm_pkt_parse__valid_packets_with_flipped_bits(void **state)
{
	uint32_t good = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		const struct sample_layout *l;
		uint16_t options = (uint16_t)rnd(4);
		uint32_t len;
		struct rdm_pkt got;

		l = &sample_layouts[rnd(u_array_size(sample_layouts))];
		if (rnd(2))
			options |= RDM_PKT_CONNID;
		len = build(packet, l, l->type < RDM_PKT_REQ ? 0 : options,
			    rnd(5));
		len += sample_has_payload(l) ? SAMPLE_PAYLOAD : 0;
		for (uint32_t n = 1 + rnd(3); n; n--)
			packet[rnd(len)] ^= (uint8_t)(1 << rnd(8));
		if (parse_exact(packet, len, &got))
			continue;
		good++;
		assert_stable(&got, packet);
	}
	assert_true(good > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rdm_pkt_parse__cut_in_any_header),
		cmocka_unit_test(rdm_pkt_parse__cut_in_handshake),
		cmocka_unit_test(rdm_pkt_parse__payload_of_another_length),
		cmocka_unit_test(
			rdm_pkt_parse__bytes_behind_what_has_no_payload),
		cmocka_unit_test(rdm_pkt_parse__unknown_type),
		cmocka_unit_test(rdm_pkt_parse__another_version),
		cmocka_unit_test(rdm_pkt_parse__more_iovs_than_allowed),
		cmocka_unit_test(rdm_pkt_parse__lengths_of_iovs_wrap),
		cmocka_unit_test(rdm_pkt_parse__count_of_handshake_words),
		cmocka_unit_test(rdm_pkt_parse__raw_address_of_odd_length),
		cmocka_unit_test(
			rdm_pkt_parse__connid_differs_from_raw_address),
		cmocka_unit_test(rdm_pkt_parse__grant_of_nothing),
		cmocka_unit_test(rdm_pkt_parse__slice_outside_its_message),
		cmocka_unit_test(
			rdm_pkt_parse__more_bytes_than_the_message_has),
		cmocka_unit_test(rdm_pkt_parse__slice_outside_the_runt),
		cmocka_unit_test(rdm_pkt_parse__random_bytes),
		cmocka_unit_test(
			rdm_pkt_parse__valid_packets_with_flipped_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
