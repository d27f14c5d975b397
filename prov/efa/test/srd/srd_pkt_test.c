/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_pkt_test.c - packets are the bytes of srd_wire(5), and come back
 *
 * usage: srd_pkt_test [--write-corpus DIRECTORY]
 *
 * --write-corpus writes the files that fuzz targets start from. They have to
 * be written again when the samples change, which a test here finds out.
 */
#include "srd/srd_pkt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "srd/srd.h"
#include "srd_pkt_sample.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

/* ---- the bytes of each kind of packet ------------------------------------ */

/* Of every sample: source qpn, path, epoch; connids; stamp. */
#define BASE "23810509 44332211 88776655 ccbbaa99 "
#define ACK                                                   \
	"feffffff" /* cum */                                  \
	"00000100" /* credit */                               \
	"4d000000" /* received */                             \
	"03000100" /* epoch, flags, echoes and naks, words */ \
	"a4a3a2a1" /* stamp */                                \
	"b2b13f00" /* held, path, reserved */

/* Turns pairs of digits, with spaces anywhere, into bytes. */
static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t n = 0;
	int used;

	for (; sscanf(hex, " %2hhx%n", &bytes[n], &used) == 1; hex += used)
		n++;
	return n;
}

/* hex: the headers as they are drawn in srd_wire(5). */
static void expect_bytes(const char *name, const char *hex)
{
	const struct srd_sample *sample = srd_sample_find(name);
	uint8_t want[SRD_SAMPLE_MAX], bytes[SRD_SAMPLE_MAX];
	size_t len = from_hex(hex, want), all;
	struct srd_pkt p;

	assert_non_null(sample);
	assert_int_equal(srd_pkt_build(&sample->pkt, bytes), len);
	assert_memory_equal(bytes, want, len);

	all = srd_sample_build(&sample->pkt, bytes);
	memcpy(bytes, want, len);
	assert_int_equal(srd_sample_parse(bytes, all, &p), SRD_PKT_GOOD);
	assert_null(srd_sample_differ(&sample->pkt, &p));
}

static void srd_pkt_build__bytes_of_send(void **state)
{
	expect_bytes("send-imm", "e101140b " BASE "f9b13b21" /* check */
				 "01000000" /* psn */
				 "01000000" /* op, status, reserved */
				 "02000000" /* msg */
				 "00001000" /* offset, total */
				 "0df0feca" /* immediate */);
}

static void srd_pkt_build__bytes_of_last_part_of_send(void **state)
{
	expect_bytes("send-part", "e101080a " BASE "385c7b87" /* check */
				  "ffffffff" /* psn */
				  "01000000" /* op, status, reserved */
				  "ffffffff" /* msg */
				  "881e0024" /* offset, total */);
}

static void srd_pkt_build__bytes_of_send_with_ack(void **state)
{
	expect_bytes("send-ack", "e1010210 " BASE "61c234a0" /* check */
				 "01000000" /* psn */
				 "01000000" /* op, status, reserved */
				 "02000000" /* msg */
				 "00001000" /* offset, total */
		     ACK);
}

static void srd_pkt_build__bytes_of_write(void **state)
{
	expect_bytes("write-imm", "e101100f " BASE "e546c7b1" /* check */
				  "01000000" /* psn */
				  "02000000" /* op, status, reserved */
				  "02000000" /* msg */
				  "00000000" /* offset */
				  "f0debc9a" /* remote */
				  "78563412"
				  "fecaad0b" /* rkey */
				  "1e000000" /* total */
				  "0df0feca" /* immediate */);
}

static void srd_pkt_build__bytes_of_written(void **state)
{
	expect_bytes("written", "e101100f " BASE "4829a55b" /* check */
				"01000000" /* psn */
				"03000000" /* op, status, reserved */
				"02000000" /* msg */
				"00000000" /* offset */
				"00000000" /* remote */
				"00000000"
				"00000000" /* rkey */
				"00000040" /* total */
				"0df0feca" /* immediate */);
}

static void srd_pkt_build__bytes_of_read(void **state)
{
	expect_bytes("read", "e101000e " BASE "e2c3cd9a" /* check */
			     "01000000" /* psn */
			     "04000000" /* op, status, reserved */
			     "02000000" /* msg */
			     "00000000" /* offset */
			     "f0debc9a" /* remote */
			     "78563412"
			     "fecaad0b" /* rkey */
			     "00000040" /* total */);
}

static void srd_pkt_build__bytes_of_data(void **state)
{
	expect_bytes("data", "e101000a " BASE "7d181e14" /* check */
			     "01000000" /* psn */
			     "05000000" /* op, status, reserved */
			     "02000000" /* msg */
			     "e2ffff3f" /* offset */);
}

static void srd_pkt_build__bytes_of_result(void **state)
{
	expect_bytes("result", "e101000a " BASE "562026e1" /* check */
			       "01000000" /* psn */
			       "06070000" /* op, status, reserved */
			       "02000000" /* msg */
			       "00000000" /* offset */);
}

static void srd_pkt_build__bytes_of_void(void **state)
{
	expect_bytes("void-ack", "e1010a10 " BASE "fea5a9f4" /* check */
				 "01000000" /* psn */
				 "07000000" /* op, status, reserved */
				 "02000000" /* msg */
				 "00000000" /* offset */
		     ACK);
}

static void srd_pkt_build__bytes_of_ack(void **state)
{
	expect_bytes("ack-nak",
		     "e102020e " BASE "e0115bac" /* check */
		     "04000000" /* cum */
		     "c0050000" /* credit */
		     "06000000" /* received */
		     "00001002" /* epoch, flags, echoes and naks, words */
		     "01000000" /* bitmap */
		     "00000080"
		     "06000000" /* psn */
		     "0a006400" /* status, reserved, wait */);
}

static void srd_pkt_build__bytes_of_probe(void **state)
{
	expect_bytes("probe", "e1030006 " BASE "9b236b6d" /* check */);
	expect_bytes("probe-high", "e1032007 " BASE "0567961c" /* check */
				   "ff000000" /* high half of the qpn */);
}

static void srd_pkt_build__bytes_of_close(void **state)
{
	expect_bytes("close-ack", "e104020e " BASE "baccd265" /* check */
				  "08000000" /* reason, reserved */
				  "44332211" /* about */
		     ACK);
}

static void srd_pkt_build__bytes_of_datagram(void **state)
{
	expect_bytes("datagram-imm", "e1051107 " BASE "b8dac8db" /* check */
				     "0df0feca" /* immediate */);
}

/* ---- there and back ------------------------------------------------------ */

static void srd_pkt_parse__gives_back_every_sample(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_sample_build(&srd_samples[i].pkt, bytes);
		struct srd_pkt p;

		assert_int_equal(srd_sample_parse(bytes, len, &p),
				 SRD_PKT_GOOD);
		if (srd_sample_differ(&srd_samples[i].pkt, &p))
			fail_msg("%s: %s", srd_samples[i].name,
				 srd_sample_differ(&srd_samples[i].pkt, &p));
	}
}

/* What a later version of the format adds is behind the headers of this. */
static void srd_pkt_parse__skips_headers_it_does_not_know(void **state)
{
	const struct srd_sample *sample = srd_sample_find("send-imm-ack");
	size_t hdr_len = SRD_BASE_LEN + 16 + 4 + 24, len;
	uint8_t bytes[SRD_SAMPLE_MAX];
	struct srd_pkt p;

	len = srd_sample_build(&sample->pkt, bytes);
	memmove(bytes + hdr_len + 8, bytes + hdr_len, len - hdr_len);
	memset(bytes + hdr_len, 0xee, 8);
	bytes[3] += 2;
	srd_sample_mend(bytes, len + 8);
	assert_int_equal(srd_sample_parse(bytes, len + 8, &p), SRD_PKT_GOOD);
	assert_null(srd_sample_differ(&sample->pkt, &p));
}

static void srd_pkt_parse__keeps_base_of_what_it_refuses(void **state)
{
	for (unsigned i = 0; i < srd_ndamages; i++) {
		const struct srd_damage *d = &srd_damages[i];
		uint8_t bytes[SRD_SAMPLE_MAX];
		size_t len = srd_damage_build(d, bytes);
		struct srd_pkt p = { .base.src_qpn = 1 };

		srd_sample_parse(bytes, len, &p);
		if (d->verdict != SRD_PKT_CHECK && d->verdict != SRD_PKT_TYPE &&
		    d->verdict != SRD_PKT_FIELD)
			continue;
		assert_int_equal(p.base.type, bytes[1]);
		assert_int_equal(p.base.src_qpn, 0x8123);
		assert_int_equal(p.base.src_connid, u_get32(bytes + 8));
		assert_int_equal(p.base.dst_connid, 0x55667788);
	}
}

/* Builds p, whose structure holds more than it should, and reads it. */
static struct srd_pkt build_and_parse(const struct srd_pkt *p)
{
	uint8_t bytes[SRD_SAMPLE_MAX];
	size_t len = srd_sample_build(p, bytes);
	struct srd_pkt got;

	assert_int_equal(srd_sample_parse(bytes, len, &got), SRD_PKT_GOOD);
	return got;
}

/* A caller may have them left over from another operation. */
static void srd_pkt_build__writes_absent_fields_as_zero(void **state)
{
	static const uint8_t ops[] = { SRD_OP_WRITTEN, SRD_OP_READ,
				       SRD_OP_RESULT, SRD_OP_VOID };

	for (unsigned i = 0; i < u_array_size(ops); i++) {
		struct srd_pkt p = srd_sample_find("write-imm")->pkt, got;

		p.data.op = ops[i];
		p.data.has_imm = ops[i] == SRD_OP_WRITTEN;
		p.data.status = SRD_RNR;
		p.data.offset = 1;
		p.payload_len = 0;
		got = build_and_parse(&p);
		assert_int_equal(got.data.offset, 0);
		if (ops[i] != SRD_OP_READ)
			assert_int_equal(got.data.remote | got.data.rkey, 0);
	}
}

static void srd_pkt_build__sets_flags_by_what_is_there(void **state)
{
	struct srd_pkt p = srd_sample_find("send-imm-ack")->pkt, got;

	p.base.flags = 0;
	got = build_and_parse(&p);
	assert_true(got.has_ack && got.data.has_imm);

	p.base.flags = SRD_F_ACK | SRD_F_IMM;
	p.has_ack = p.data.has_imm = false;
	got = build_and_parse(&p);
	assert_int_equal(got.base.flags, 0);

	p.base.type = SRD_PKT_PROBE;
	p.data.has_imm = true;
	p.payload_len = 0;
	got = build_and_parse(&p);
	assert_int_equal(got.base.flags, 0);
}

static void expect_same_in_pieces(const struct srd_pkt *p)
{
	uint8_t *at = (uint8_t *)(uintptr_t)p->payload;
	size_t third = p->payload_len / 3;
	struct iovec iov[] = {
		{ at, third },
		{ NULL, 0 },
		{ at + third, third },
		{ at + 2 * third, p->payload_len - 2 * third },
	};
	uint8_t whole[SRD_HDR_MAX], pieces[SRD_HDR_MAX];
	size_t len = srd_pkt_build(p, whole);

	assert_int_equal(srd_pkt_build_iov(p, iov, 4, pieces), len);
	assert_memory_equal(whole, pieces, len);
}

static void srd_pkt_build_iov__is_the_same_in_pieces(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++)
		if (srd_samples[i].pkt.payload)
			expect_same_in_pieces(&srd_samples[i].pkt);
}

/* ---- lengths ------------------------------------------------------------- */

static void srd_pkt_data_len__is_what_build_writes(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		const struct srd_pkt *p = &srd_samples[i].pkt;
		uint8_t hdr[SRD_HDR_MAX];
		size_t want;

		if (p->base.type != SRD_PKT_DATA)
			continue;
		want = srd_pkt_data_len(p->data.op, p->data.has_imm);
		if (p->has_ack)
			want += srd_pkt_ack_len(&p->ack);
		assert_int_equal(srd_pkt_build(p, hdr), want);
	}
}

static void srd_pkt_ack_len__is_what_build_writes(void **state)
{
	for (unsigned i = 0; i < srd_nsamples; i++) {
		const struct srd_pkt *p = &srd_samples[i].pkt;
		uint8_t hdr[SRD_HDR_MAX];

		if (p->base.type == SRD_PKT_ACK)
			assert_int_equal(srd_pkt_build(p, hdr),
					 SRD_BASE_LEN +
						 srd_pkt_ack_len(&p->ack));
	}
	assert_int_equal(srd_pkt_ack_len(&srd_sample_find("ack-full")->pkt.ack),
			 16 + 8 * 8 + 64 * 4 + 8 * 8);
}

/* ---- the corpus ---------------------------------------------------------- */

static FILE *open_in(const char *dir, const char *kind, const char *name,
		     const char *mode)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s-%s", dir, kind, name);
	return fopen(path, mode);
}

static void expect_file(const char *kind, const char *name,
			const uint8_t *bytes, size_t len)
{
	FILE *file = open_in(FUZZ_CORPUS, kind, name, "rb");
	uint8_t got[SRD_SAMPLE_MAX];

	if (!file)
		fail_msg("no %s-%s", kind, name);
	assert_int_equal(fread(got, 1, sizeof(got), file), len);
	assert_memory_equal(got, bytes, len);
	fclose(file);
}

static void corpus__is_made_of_the_samples(void **state)
{
	uint8_t bytes[SRD_SAMPLE_MAX];

	for (unsigned i = 0; i < srd_nsamples; i++)
		expect_file("good", srd_samples[i].name, bytes,
			    srd_sample_build(&srd_samples[i].pkt, bytes));
	for (unsigned i = 0; i < srd_ndamages; i++)
		expect_file("bad", srd_damages[i].name, bytes,
			    srd_damage_build(&srd_damages[i], bytes));
}

static int write_file(const char *dir, const char *kind, const char *name,
		      const uint8_t *bytes, size_t len)
{
	FILE *file = open_in(dir, kind, name, "wb");
	bool ok = file && fwrite(bytes, 1, len, file) == len;

	if (file && fclose(file) != 0)
		ok = false;
	if (!ok)
		fprintf(stderr, "%s/%s-%s cannot be written\n", dir, kind,
			name);
	return ok ? 0 : 1;
}

static int write_corpus(const char *dir)
{
	uint8_t bytes[SRD_SAMPLE_MAX];
	int rc = 0;

	for (unsigned i = 0; i < srd_nsamples; i++)
		rc |= write_file(dir, "good", srd_samples[i].name, bytes,
				 srd_sample_build(&srd_samples[i].pkt, bytes));
	for (unsigned i = 0; i < srd_ndamages; i++)
		rc |= write_file(dir, "bad", srd_damages[i].name, bytes,
				 srd_damage_build(&srd_damages[i], bytes));
	return rc;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd_pkt_build__bytes_of_send),
		cmocka_unit_test(srd_pkt_build__bytes_of_last_part_of_send),
		cmocka_unit_test(srd_pkt_build__bytes_of_send_with_ack),
		cmocka_unit_test(srd_pkt_build__bytes_of_write),
		cmocka_unit_test(srd_pkt_build__bytes_of_written),
		cmocka_unit_test(srd_pkt_build__bytes_of_read),
		cmocka_unit_test(srd_pkt_build__bytes_of_data),
		cmocka_unit_test(srd_pkt_build__bytes_of_result),
		cmocka_unit_test(srd_pkt_build__bytes_of_void),
		cmocka_unit_test(srd_pkt_build__bytes_of_ack),
		cmocka_unit_test(srd_pkt_build__bytes_of_probe),
		cmocka_unit_test(srd_pkt_build__bytes_of_close),
		cmocka_unit_test(srd_pkt_build__bytes_of_datagram),
		cmocka_unit_test(srd_pkt_parse__gives_back_every_sample),
		cmocka_unit_test(srd_pkt_parse__skips_headers_it_does_not_know),
		cmocka_unit_test(srd_pkt_parse__keeps_base_of_what_it_refuses),
		cmocka_unit_test(srd_pkt_build__writes_absent_fields_as_zero),
		cmocka_unit_test(srd_pkt_build__sets_flags_by_what_is_there),
		cmocka_unit_test(srd_pkt_build_iov__is_the_same_in_pieces),
		cmocka_unit_test(srd_pkt_data_len__is_what_build_writes),
		cmocka_unit_test(srd_pkt_ack_len__is_what_build_writes),
		cmocka_unit_test(corpus__is_made_of_the_samples),
	};

	if (argc == 3 && strcmp(argv[1], "--write-corpus") == 0)
		return write_corpus(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
