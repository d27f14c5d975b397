/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_mr_close.c - a region is closed while an operation uses it
 *
 * In each round one side (the client) starts an operation with the other, and
 * the one of the two that the case names closes the region of its own buffer, a
 * little later each time. Then the buffer is its program's alone: it is filled
 * with other bytes, none of which may change again. Both sides have to come to
 * an end within LIMIT_S seconds, good or bad; who has received, and is told that
 * all went well, has every byte that was sent. A message each way shows that the
 * endpoints go on.
 */
#include "ft.h"
#include "one_op.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LIMIT_S 10.0
#define GRACE_NS 1000000000u /* for word of a message that was given up */
#define AFTER_NS 300000u /* the peer may still write that long, if ever */
#define REPEATS 4
#define OTHERS 0xa5 /* what a buffer holds once its region is closed */

static const struct ft_program program = {
	.name = "efa_mr_close",
	.summary = "regions are closed while operations use them",
	.options = "mSOXi",
	.sizes = "8,20k,256k,8m",
};

/* From the start of the operation to the close. */
static const uint64_t delays_ns[] = { 0, 20000, 200000, 2000000 };

#define DELAYS (sizeof(delays_ns) / sizeof(delays_ns[0]))

enum how { RUNNING, GOOD, BAD, CANCELED };

struct side {
	struct ft ft;
	struct one_op op, drain;
	struct fid_mr *mr; /* NULL: closed */
	unsigned char *mem, *spare;
	size_t room; /* bytes of mem, and of spare */
	enum how how, drained;
	unsigned int ends[CANCELED + 1]; /* of our operations in this case */
};

static const struct close_case {
	const char *name;
	ssize_t (*start)(struct ft *ft, struct one_op *op);
	bool by_peer; /* the server closes */
	bool message; /* the server receives it */
	bool fills; /* the client's buffer */
	bool one_size; /* 8 bytes */
} cases[] = {
	{ "send", one_send, false, true, false, false },
	{ "receive", one_send, true, true, false, false },
	{ "read here", one_read, false, false, true, false },
	{ "read there", one_read, true, false, true, false },
	{ "write here", one_write, false, false, false, false },
	{ "write there", one_write, true, false, false, false },
	{ "atomic here", one_fetch, false, false, false, true },
	{ "atomic there", one_fetch, true, false, false, true },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

/* --- ends ------------------------------------------------------------------ */

static void take_ends(struct side *s)
{
	struct fi_cq_err_entry err = { 0 };
	int over = one_end(&s->ft, &err);

	/* One of the two is under way; which one is known by its number. */
	if (!over)
		return;
	if (s->drained == RUNNING && s->how != RUNNING)
		s->drained = over == 1		     ? GOOD :
			     err.err == FI_ECANCELED ? CANCELED :
						       BAD;
	else if (s->how == RUNNING)
		s->how = over == 1		 ? GOOD :
			 err.err == FI_ECANCELED ? CANCELED :
						   BAD;
	else
		ft_fail("an operation has ended twice");
}

static void spin(struct side *s, uint64_t ns)
{
	uint64_t start = ft_now();

	do
		take_ends(s);
	while (ft_now() - start < ns);
}

static void wait_for(struct side *s, const enum how *how, const char *what)
{
	uint64_t start = ft_now();

	while (*how == RUNNING) {
		take_ends(s);
		if (ft_now() - start > LIMIT_S * 1e9)
			ft_fail("%s: %s has not ended in %.0f s",
				s->ft.client ? "client" : "server", what,
				LIMIT_S);
	}
}

/* --- memory ---------------------------------------------------------------- */

static unsigned char *memory_new(size_t room)
{
	void *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		ft_fail("out of memory");
	return p;
}

static bool all_are(const unsigned char *p, size_t len, unsigned char byte)
{
	return p[0] == byte && !memcmp(p, p + 1, len - 1);
}

/* The region, and word of it to the peer. */
static void region_open(struct side *s, size_t size, unsigned char fill)
{
	uint64_t mine[2], theirs[2];

	s->room = size;
	s->mem = memory_new(size);
	s->spare = memory_new(size);
	memset(s->mem, fill, size);
	ft_check("fi_mr_reg",
		 fi_mr_reg(s->ft.domain, s->mem, size,
			   FI_SEND | FI_RECV | FI_READ | FI_WRITE |
				   FI_REMOTE_READ | FI_REMOTE_WRITE,
			   0, 0x77, 0, &s->mr, NULL));
	mine[0] = s->ft.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR ?
			  (uintptr_t)s->mem :
			  0;
	mine[1] = fi_mr_key(s->mr);
	ft_oob_send(&s->ft, mine, sizeof(mine));
	ft_oob_recv(&s->ft, theirs, sizeof(theirs));
	s->op = (struct one_op){
		.buf = s->mem,
		.size = size,
		.desc = fi_mr_desc(s->mr),
		.addr = theirs[0],
		.key = theirs[1],
	};
	s->drain = (struct one_op){ .buf = s->spare, .size = size };
	s->how = s->drained = GOOD; /* there is none */
}

static void region_close(struct side *s, uint64_t delay_ns)
{
	if (delay_ns)
		spin(s, delay_ns);
	ft_check("fi_close(mr)", fi_close(&s->mr->fid));
	s->mr = NULL;
	memset(s->mem, OTHERS, s->room);
}

static void region_free(struct side *s)
{
	if (s->mr)
		ft_check("fi_close(mr)", fi_close(&s->mr->fid));
	s->mr = NULL;
	munmap(s->mem, s->room);
	munmap(s->spare, s->room);
}

/* --- a round --------------------------------------------------------------- */

static enum how tell(struct side *s, enum how how)
{
	uint32_t mine = how, theirs;

	ft_oob_send(&s->ft, &mine, sizeof(mine));
	ft_oob_recv(&s->ft, &theirs, sizeof(theirs));
	return (enum how)theirs;
}

/*
 * A receive whose sender has given up: the word of that is on its way, unless
 * nothing of the message had left.
 */
static void receive_ends(struct side *s, struct one_op *op, enum how *how,
			 enum how sent)
{
	uint64_t start = ft_now();

	while (*how == RUNNING && sent != GOOD && ft_now() - start < GRACE_NS)
		take_ends(s);
	if (*how == RUNNING && sent != GOOD)
		(void)fi_cancel(&s->ft.ep->fid, &op->context);
	wait_for(s, how, "the receive");
}

static void client_round(struct side *s, const struct close_case *c,
			 uint64_t delay_ns)
{
	s->how = RUNNING;
	one_start(&s->ft, &s->op, c->start);
	if (!c->by_peer)
		region_close(s, delay_ns);
	wait_for(s, &s->how, c->name);
	tell(s, s->how);
	s->ends[s->how]++;
}

/*
 * What the server has taken back its receive from may still come, and its sender
 * waits until somebody receives it.
 */
static void server_round(struct side *s, const struct close_case *c,
			 uint64_t delay_ns)
{
	enum how sent;

	if (c->by_peer)
		region_close(s, delay_ns);
	if (c->message && c->by_peer) {
		wait_for(s, &s->how, "the receive");
		if (s->how != GOOD) {
			s->drained = RUNNING;
			one_start(&s->ft, &s->drain, one_recv);
		}
	}
	sent = tell(s, GOOD);
	if (c->message)
		receive_ends(s, &s->op, &s->how, sent);
	if (s->drained == RUNNING) {
		/* Its message was taken from it, or has come to us. */
		spin(s, AFTER_NS);
		if (s->drained == RUNNING)
			(void)fi_cancel(&s->ft.ep->fid, &s->drain.context);
		wait_for(s, &s->drained, "the receive of what is left");
	}
	s->ends[s->how]++;
}

static void check_bytes(struct side *s, const struct close_case *c,
			unsigned char sent)
{
	bool received = s->ft.client ? c->fills : c->message;

	if (!s->mr && !all_are(s->mem, s->room, OTHERS))
		ft_fail("%s, %zu bytes: memory was written to after its region "
			"was closed",
			c->name, s->room);
	if (s->mr && received && s->how == GOOD &&
	    !all_are(s->mem, s->room, sent))
		ft_fail("%s, %zu bytes: wrong bytes, and no error", c->name,
			s->room);
}

/* A message each way, with no region. */
static void go_on(struct side *s)
{
	char in[8], out[8] = "goes on";
	struct one_op recv = { .buf = in, .size = 8 };
	struct one_op send = { .buf = out, .size = 8 };

	s->how = RUNNING;
	one_start(&s->ft, s->ft.client ? &send : &recv,
		  s->ft.client ? one_send : one_recv);
	wait_for(s, &s->how, "a message after it");
	if (s->how == GOOD) {
		s->how = RUNNING;
		one_start(&s->ft, s->ft.client ? &recv : &send,
			  s->ft.client ? one_recv : one_send);
		wait_for(s, &s->how, "a message after it");
	}
	if (s->how != GOOD || memcmp(in, out, 8))
		ft_fail("an endpoint does not go on");
}

static void run_round(struct side *s, const struct close_case *c, size_t size,
		      unsigned int n)
{
	unsigned char byte = (unsigned char)(1 + n % 100);
	uint64_t delay_ns = delays_ns[n % DELAYS];
	bool sends = s->ft.client ? !c->fills : c->fills;

	region_open(s, size, sends ? byte : 0);
	s->op.flags = n / DELAYS % 2 ? FI_DELIVERY_COMPLETE : 0;
	if (!s->ft.client && c->message) {
		s->how = RUNNING;
		one_start(&s->ft, &s->op, one_recv);
	}
	ft_sync(&s->ft);
	if (s->ft.client)
		client_round(s, c, delay_ns);
	else
		server_round(s, c, delay_ns);
	ft_sync(&s->ft);
	spin(s, AFTER_NS);
	check_bytes(s, c, byte);
	region_free(s);
	ft_sync(&s->ft);
	go_on(s);
}

static void run_case(struct side *s, const struct close_case *c, size_t size)
{
	unsigned int rounds = (unsigned int)s->ft.opt.iterations;

	if (!rounds)
		rounds = DELAYS * REPEATS;
	memset(s->ends, 0, sizeof(s->ends));
	for (unsigned int n = 0; n < rounds; n++)
		run_round(s, c, size, n);
	if (s->ft.client)
		printf("%-12s %8zu bytes: %2u went well, %2u were canceled, "
		       "%2u failed\n",
		       c->name, size, s->ends[GOOD], s->ends[CANCELED],
		       s->ends[BAD]);
}

static bool is_wanted(const struct ft *ft, const struct close_case *c)
{
	return (!ft->opt.only || strstr(c->name, ft->opt.only)) &&
	       (!ft->opt.skip || !strstr(c->name, ft->opt.skip));
}

int main(int argc, char **argv)
{
	struct side s = { .how = GOOD, .drained = GOOD };
	int passed = 0;

	ft_start(&s.ft, argc, argv, &program);
	ft_open(&s.ft, &(struct ft_request){
			       .caps = FI_TAGGED | FI_MSG | FI_RMA | FI_ATOMIC,
		       });
	go_on(&s);
	for (size_t i = 0; i < CASES; i++) {
		const struct close_case *c = &cases[i];
		size_t n = c->one_size ? 1 : s.ft.opt.nsizes;

		for (size_t k = 0; k < n && is_wanted(&s.ft, c); k++) {
			run_case(&s, c, c->one_size ? 8 : s.ft.opt.size[k]);
			passed++;
		}
	}
	if (!passed)
		ft_fail("no case is left by --only and --skip");
	if (s.ft.client)
		printf("%d passed\n", passed);
	return ft_finish(&s.ft, EXIT_SUCCESS);
}
