/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * pattern.c - byte strings that differ for every message
 */
#include "pattern.h"

#include <string.h>

uint64_t pattern_mix(uint64_t x)
{
	x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
	x = (x ^ (x >> 29)) * 0xa0761d6478bd642fu;
	return x ^ (x >> 32);
}

/* Neighbouring seeds must not give shifted copies of one string. */
static uint64_t first_word(uint64_t seed)
{
	return pattern_mix(seed ^ 0x6c62272e07bb0142u);
}

void pattern_fill(void *p, size_t len, uint64_t seed)
{
	uint64_t x = first_word(seed);
	char *at = p;

	for (; len >= sizeof(x); len -= sizeof(x), at += sizeof(x)) {
		uint64_t word = pattern_mix(x++);

		memcpy(at, &word, sizeof(word));
	}
	if (len) {
		uint64_t word = pattern_mix(x);

		memcpy(at, &word, len);
	}
}

size_t pattern_check(const void *p, size_t len, uint64_t seed)
{
	uint64_t x = first_word(seed);
	const char *bytes = p;

	for (size_t at = 0; at < len; at += sizeof(x)) {
		uint64_t word = pattern_mix(x++);
		size_t n = len - at < sizeof(word) ? len - at : sizeof(word);

		if (!memcmp(bytes + at, &word, n))
			continue;
		while (bytes[at] == ((char *)&word)[at % sizeof(word)])
			at++;
		return at;
	}
	return len;
}
