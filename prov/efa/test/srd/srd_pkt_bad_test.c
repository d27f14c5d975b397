/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_bad_test.c - packets that no honest peer sends, or that came to harm
 *
 * Each lies in memory of its exact length, so that the address sanitizer sees
 * a byte read behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "srd/srd.h"
#include "srd/srd_pkt.h"
#include "srd_pkt_sample.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

static enum srd_pkt_verdict verdict(const uint8_t *bytes, size_t len)
{
	struct srd_pkt p;

	return srd_sample_parse(bytes, len, &p);
}

/* ---- harm on the way ----------------------------------------------------- */

static void srd_pkt_parse__refuses_every_truncation(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_sample_build(&srd_samples[i].pkt, bytes);

		for (size_t n = 0; n < len; n++) {
			size_t hdr_len = 4 * (size_t)bytes[3];

			assert_int_equal(verdict(bytes, n),
					 n < hdr_len ? SRD_PKT_SHORT :
						       SRD_PKT_CHECK);
		}
	}
}

/* One that says it is whole, and has the right check. */
static void srd_pkt_parse__reads_nothing_behind_cut_headers(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_pkt_build(&srd_samples[i].pkt, bytes);

		for (size_t n = SRD_BASE_LEN; n < len; n += 4) {
			bytes[3] = (uint8_t)(n / 4);
			srd_sample_mend(bytes, n);
			assert_int_not_equal(verdict(bytes, n), SRD_PKT_GOOD);
		}
	}
}

static void srd_pkt_parse__refuses_bytes_too_many(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		uint8_t bytes[SRD_SAMPLE_MAX] = { 0 };
		size_t len = srd_sample_build(&srd_samples[i].pkt, bytes);

		assert_int_equal(verdict(bytes, len + 1), SRD_PKT_CHECK);
		assert_int_equal(verdict(bytes, len + 4), SRD_PKT_CHECK);
	}
}

static void srd_pkt_parse__refuses_every_flipped_bit_of_headers(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_sample_build(&srd_samples[i].pkt, bytes);
		size_t hdr_len = 4 * (size_t)bytes[3];

		for (size_t bit = 0; bit < 8 * hdr_len; bit++) {
			bytes[bit / 8] ^= 1 << bit % 8;
			assert_int_not_equal(verdict(bytes, len), SRD_PKT_GOOD);
			bytes[bit / 8] ^= 1 << bit % 8;
		}
		assert_int_equal(verdict(bytes, len), SRD_PKT_GOOD);
	}
}

static void srd_pkt_parse__minds_the_payload_when_it_is_covered(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		const struct srd_pkt *p = &srd_samples[i].pkt;
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_sample_build(p, bytes);
		bool covered = p->base.flags & SRD_F_CHECK_ALL;

		for (size_t at = len - p->payload_len; at < len; at++) {
			bytes[at] ^= 1;
			assert_int_equal(verdict(bytes, len),
					 covered ? SRD_PKT_CHECK :
						   SRD_PKT_GOOD);
			bytes[at] ^= 1;
		}
	}
}

static void srd_pkt_parse__refuses_a_packet_over_the_maximum(void **state)
{
	static uint8_t bytes[SRD_PACKET_MAX + 1];
	struct srd_pkt p = srd_sample_find("datagram")->pkt;

	p.payload = bytes;
	p.payload_len = SRD_PACKET_MAX - SRD_BASE_LEN;
	srd_pkt_build(&p, bytes);
	assert_int_equal(verdict(bytes, SRD_PACKET_MAX), SRD_PKT_GOOD);
	p.payload_len++;
	srd_pkt_build(&p, bytes);
	assert_int_equal(verdict(bytes, SRD_PACKET_MAX + 1), SRD_PKT_SHORT);
}

/* ---- ill will ------------------------------------------------------------ */

static void srd_pkt_parse__says_what_is_wrong(void **state)
{
	for (unsigned i = 0; i < srd_ndamages; i++) {
		const struct srd_damage *d = &srd_damages[i];
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_damage_build(d, bytes);

		if (verdict(bytes, len) != d->verdict)
			fail_msg("%s: %d", d->name, verdict(bytes, len));
	}
}

/* Every verdict but GOOD is in the table. */
static void srd_pkt_parse__has_a_case_of_every_verdict(void **state)
{
	unsigned seen = 1u << SRD_PKT_GOOD;

	for (unsigned i = 0; i < srd_ndamages; i++)
		seen |= 1u << srd_damages[i].verdict;
	assert_int_equal(seen, (1u << (SRD_PKT_FIELD + 1)) - 1);
}

static void srd_pkt_parse__takes_only_known_types_and_operations(void **state)
{
	for (unsigned value = 0; value < 256; value++) {
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len;

		len = srd_sample_build(&srd_sample_find("probe")->pkt, bytes);
		bytes[1] = (uint8_t)value;
		srd_sample_mend(bytes, len);
		if (value < SRD_PKT_DATA || value > SRD_PKT_DATAGRAM)
			assert_int_equal(verdict(bytes, len), SRD_PKT_TYPE);

		len = srd_sample_build(&srd_sample_find("void")->pkt, bytes);
		bytes[28] = (uint8_t)value;
		srd_sample_mend(bytes, len);
		if (value < SRD_OP_SEND || value > SRD_OP_VOID)
			assert_int_equal(verdict(bytes, len), SRD_PKT_TYPE);
	}
}

/* One row a type, one bit a flag: which of them may be. */
static void srd_pkt_parse__takes_only_flags_of_the_type(void **state)
{
	static const struct {
		const char *sample;
		uint8_t may;
	} rows[] = {
		{ "void", SRD_F_CHECK_ALL | SRD_F_ACK_NOW | SRD_F_RESENT },
		{ "ack-bare", SRD_F_CHECK_ALL | SRD_F_ACK },
		{ "probe", SRD_F_CHECK_ALL | SRD_F_ACK_NOW },
		{ "close", SRD_F_CHECK_ALL },
		{ "datagram-empty", SRD_F_CHECK_ALL },
	};

	for (unsigned i = 0; i < u_array_size(rows); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			uint8_t bytes[SRD_SAMPLE_MAX];
			size_t len = srd_sample_build(
				&srd_sample_find(rows[i].sample)->pkt, bytes);
			bool may = rows[i].may >> bit & 1;

			bytes[2] |= 1 << bit;
			srd_sample_mend(bytes, len);
			assert_int_equal(verdict(bytes, len) == SRD_PKT_GOOD,
					 may);
		}
	}
}

static void srd_pkt_parse__takes_only_known_statuses(void **state)
{
	static const uint8_t known[] = { 1, 3, 6, 7, 8, 9, 10, 11, 13, 15 };
	uint8_t bytes[SRD_SAMPLE_MAX];
	size_t len;

	len = srd_sample_build(&srd_sample_find("result")->pkt, bytes);
	for (unsigned status = 0; status < 256; status++) {
		bool may = memchr(known, (int)status, sizeof(known));

		bytes[29] = (uint8_t)status;
		srd_sample_mend(bytes, len);
		assert_int_equal(verdict(bytes, len),
				 may ? SRD_PKT_GOOD : SRD_PKT_FIELD);
	}
}

/* ---- the last that is still good ----------------------------------------- */

static void srd_pkt_parse__takes_a_range_up_to_the_last_byte(void **state)
{
	struct srd_pkt p = srd_sample_find("write")->pkt, got;
	uint8_t bytes[SRD_SAMPLE_MAX];

	p.data.remote = UINT64_MAX - p.data.total;
	assert_int_equal(srd_sample_parse(bytes, srd_sample_build(&p, bytes),
					  &got),
			 SRD_PKT_GOOD);
	assert_int_equal(got.data.remote, UINT64_MAX - 30);
	p.data.remote++;
	assert_int_equal(verdict(bytes, srd_sample_build(&p, bytes)),
			 SRD_PKT_FIELD);
}

/* offset + length stays within total, whatever the three are. */
static void srd_pkt_parse__keeps_payload_within_total(void **state)
{
	struct srd_pkt p = srd_sample_find("write")->pkt;
	uint8_t bytes[SRD_SAMPLE_MAX];

	for (uint32_t total = 1; total < 8; total++) {
		for (uint32_t offset = 0; offset < 8; offset++) {
			for (uint32_t len = 0; len < 8; len++) {
				bool fits = len > 0 && offset + len <= total;

				p.data.total = total;
				p.data.offset = offset;
				p.payload_len = len;
				assert_int_equal(
					verdict(bytes,
						srd_sample_build(&p, bytes)),
					fits ? SRD_PKT_GOOD : SRD_PKT_FIELD);
			}
		}
	}
}

/* A SEND or a WRITE may be of no bytes, in one packet. */
static void srd_pkt_parse__takes_no_payload_of_no_bytes_only(void **state)
{
	struct srd_pkt p = srd_sample_find("data")->pkt;
	uint8_t bytes[SRD_SAMPLE_MAX];

	p.payload_len = 0;
	for (uint32_t offset = 0; offset < 2; offset++) {
		p.data.offset = offset;
		p.data.op = SRD_OP_DATA;
		assert_int_equal(verdict(bytes, srd_sample_build(&p, bytes)),
				 SRD_PKT_FIELD);
		p.data.op = SRD_OP_SEND;
		assert_int_equal(verdict(bytes, srd_sample_build(&p, bytes)),
				 offset ? SRD_PKT_FIELD : SRD_PKT_GOOD);
		p.data.op = SRD_OP_WRITE;
		assert_int_equal(verdict(bytes, srd_sample_build(&p, bytes)),
				 offset ? SRD_PKT_FIELD : SRD_PKT_GOOD);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd_pkt_parse__refuses_every_truncation),
		cmocka_unit_test(
			srd_pkt_parse__reads_nothing_behind_cut_headers),
		cmocka_unit_test(srd_pkt_parse__refuses_bytes_too_many),
		cmocka_unit_test(
			srd_pkt_parse__refuses_every_flipped_bit_of_headers),
		cmocka_unit_test(
			srd_pkt_parse__minds_the_payload_when_it_is_covered),
		cmocka_unit_test(
			srd_pkt_parse__refuses_a_packet_over_the_maximum),
		cmocka_unit_test(srd_pkt_parse__says_what_is_wrong),
		cmocka_unit_test(srd_pkt_parse__has_a_case_of_every_verdict),
		cmocka_unit_test(
			srd_pkt_parse__takes_only_known_types_and_operations),
		cmocka_unit_test(srd_pkt_parse__takes_only_flags_of_the_type),
		cmocka_unit_test(srd_pkt_parse__takes_only_known_statuses),
		cmocka_unit_test(
			srd_pkt_parse__takes_a_range_up_to_the_last_byte),
		cmocka_unit_test(srd_pkt_parse__keeps_payload_within_total),
		cmocka_unit_test(
			srd_pkt_parse__takes_no_payload_of_no_bytes_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
