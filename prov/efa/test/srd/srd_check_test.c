/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * srd_check_test.c - the checksum is that of srd_wire(5), however the payload
 * comes
 */
#include "srd/srd_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "srd/srd.h"
#include "srd/srd_pkt.h"
#include "util/u_base.h"
#include "util/u_bytes.h"

#define HDR_LEN 40
#define PAYLOAD_MAX 4000

/* Headers, and a payload right behind them. */
struct packet {
	uint8_t bytes[HDR_LEN + PAYLOAD_MAX];
};

static void fill(struct packet *p)
{
	for (size_t i = 0; i < sizeof(p->bytes); i++)
		p->bytes[i] = (uint8_t)(i * 7 + i / 256);
}

/* As the manual page says it, in one run over the bytes. */
static uint32_t expected(const struct packet *p, size_t covered, size_t payload)
{
	struct packet copy = *p;

	u_put32(copy.bytes + 20, (uint32_t)payload);
	return (uint32_t)XXH3_64bits(copy.bytes, HDR_LEN + covered);
}

static void srd_check__covers_headers(void **state)
{
	static const uint32_t lens[] = { 0, 1, 30, PAYLOAD_MAX };
	struct packet p;

	fill(&p);
	for (unsigned i = 0; i < u_array_size(lens); i++)
		assert_int_equal(srd_check(p.bytes, HDR_LEN, lens[i], NULL, 0),
				 expected(&p, 0, lens[i]));
}

static void srd_check__does_not_mind_what_was_in_its_place(void **state)
{
	struct packet p;
	uint32_t check;

	fill(&p);
	check = srd_check(p.bytes, HDR_LEN, 9, NULL, 0);
	memset(p.bytes + 20, 0xff, 4);
	assert_int_equal(srd_check(p.bytes, HDR_LEN, 9, NULL, 0), check);
}

/* Also where it is no longer hashed at once. */
static void srd_check__covers_payload_of_any_length(void **state)
{
	struct packet p;

	fill(&p);
	for (uint32_t len = 0; len <= PAYLOAD_MAX; len++) {
		struct iovec iov = { p.bytes + HDR_LEN, len };

		assert_int_equal(srd_check(p.bytes, HDR_LEN, len, &iov, 1),
				 expected(&p, len, len));
	}
}

static void srd_check__covers_pieces_like_the_whole(void **state)
{
	static const uint32_t lens[] = { 3, 200, SRD_HDR_MAX - HDR_LEN,
					 SRD_HDR_MAX - HDR_LEN + 1,
					 PAYLOAD_MAX };
	struct packet p;

	fill(&p);
	for (unsigned i = 0; i < u_array_size(lens); i++) {
		uint8_t *at = p.bytes + HDR_LEN;
		size_t cut = lens[i] / 3;
		struct iovec iov[] = {
			{ NULL, 0 },
			{ at, cut },
			{ at + cut, 1 },
			{ at + cut + 1, lens[i] - cut - 1 },
		};

		assert_int_equal(srd_check(p.bytes, HDR_LEN, lens[i], iov, 4),
				 expected(&p, lens[i], lens[i]));
	}
}

static void srd_check__takes_headers_of_any_length(void **state)
{
	struct packet p;

	fill(&p);
	for (size_t len = SRD_BASE_LEN; len <= 255 * 4; len += 4) {
		struct packet copy = p;

		u_put32(copy.bytes + 20, 0);
		assert_int_equal(srd_check(p.bytes, len, 0, NULL, 0),
				 (uint32_t)XXH3_64bits(copy.bytes, len));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(srd_check__covers_headers),
		cmocka_unit_test(
			srd_check__does_not_mind_what_was_in_its_place),
		cmocka_unit_test(srd_check__covers_payload_of_any_length),
		cmocka_unit_test(srd_check__covers_pieces_like_the_whole),
		cmocka_unit_test(srd_check__takes_headers_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
