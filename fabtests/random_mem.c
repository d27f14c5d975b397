/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_mem.c - buffers whose surroundings are watched
 *
 *   zero guard | piece | zero gap | piece | ... | zero guard
 *
 * Memory comes zeroed from calloc(3), so that a large receive costs no touch of
 * what is never filled: behind a message, too, there have to be zeroes. Every
 * operation has memory of its own that is freed when it has ended; what is
 * accessed later shows under a sanitizer, or as a fault.
 */
#include "random.h"

#include <stdlib.h>
#include <string.h>

#define GAP 16u
#define REGISTERED 12u /* in a hundred buffers */

bool rnd_is_zero(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void register_it(struct rnd_ep *e, struct rnd_mem *mem, size_t room)
{
	static uint64_t key = 0xefa000;

	ft_check("fi_mr_reg", fi_mr_reg(e->w->ft.domain, mem->base, room,
					FI_SEND | FI_RECV | FI_READ | FI_WRITE,
					0, key++, 0, &mem->mr, NULL));
	for (size_t i = 0; i < RND_PIECES; i++)
		mem->desc[i] = fi_mr_desc(mem->mr);
}

void rnd_mem_new(struct rnd_ep *e, struct rnd_mem *mem, size_t len, bool pieces)
{
	struct rnd *w = e->w;
	size_t shift = rnd_chance(w, 50) ? rnd_below(w, 16) : 0;
	size_t room = len + 2 * RND_GUARD + RND_PIECES * GAP + shift;
	size_t left = len;

	*mem = (struct rnd_mem){ .base = ft_alloc(room), .len = len };
	mem->p = mem->base + RND_GUARD + shift;
	mem->n = pieces ? 1 + rnd_below(w, RND_PIECES) : 1;
	for (size_t i = 0; i < mem->n; i++) {
		size_t piece = i + 1 == mem->n ? left : rnd_below(w, left + 1);

		mem->iov[i].iov_base = mem->p + (len - left) + i * GAP;
		mem->iov[i].iov_len = piece;
		left -= piece;
	}
	if ((w->ft.info->domain_attr->mr_mode & FI_MR_LOCAL) ||
	    rnd_chance(w, REGISTERED))
		register_it(e, mem, room);
}

void rnd_mem_free(struct rnd_mem *mem)
{
	if (mem->mr)
		ft_check("close mr", fi_close(&mem->mr->fid));
	free(mem->base);
	*mem = (struct rnd_mem){ 0 };
}

static size_t offset_of(const struct rnd_mem *mem, size_t piece)
{
	return (size_t)((char *)mem->iov[piece].iov_base - mem->p) -
	       piece * GAP;
}

void rnd_mem_scatter(struct rnd_mem *mem)
{
	for (size_t i = mem->n; i-- > 1;)
		memmove(mem->iov[i].iov_base, mem->p + offset_of(mem, i),
			mem->iov[i].iov_len);
	for (size_t i = 1; i < mem->n; i++)
		memset((char *)mem->iov[i].iov_base - GAP, 0, GAP);
}

void rnd_mem_fill(struct rnd_mem *mem, uint64_t seed)
{
	pattern_fill(mem->p, mem->len, seed);
	rnd_mem_scatter(mem);
}

const char *rnd_mem_gather(struct rnd_mem *mem)
{
	if (!rnd_is_zero(mem->base, (size_t)(mem->p - mem->base)))
		return "bytes before a buffer were written";
	for (size_t i = 1; i < mem->n; i++) {
		if (!rnd_is_zero((char *)mem->iov[i].iov_base - GAP, GAP))
			return "bytes between the pieces were written";
		memmove(mem->p + offset_of(mem, i), mem->iov[i].iov_base,
			mem->iov[i].iov_len);
	}
	memset(mem->p + mem->len, 0, (mem->n - 1) * GAP);
	if (!rnd_is_zero(mem->p + mem->len, (mem->n - 1) * GAP + RND_GUARD))
		return "bytes behind a buffer were written";
	mem->n = 1;
	mem->iov[0] = (struct iovec){ mem->p, mem->len };
	return NULL;
}

bool rnd_mem_is_clean(const struct rnd_mem *mem, size_t from)
{
	size_t len = mem->len - from;

	return rnd_is_zero(mem->p + from, len < RND_GUARD ? len : RND_GUARD);
}
