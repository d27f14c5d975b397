/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_memory.c - what endpoints and addresses cost in memory
 *
 * An endpoint of each kind that is open and polled, with its queue and address
 * vector, and -n addresses in a vector, none of which was ever sent to: all have
 * limits, and the program fails above them. What messages add is printed for
 * information. It is run by one process without a peer.
 */
#include "footprint.h"
#include "ft.h"

#include <stdlib.h>
#include <string.h>

#define ENDPOINT_MAX (4L << 20) /* bytes */
#define ADDRESS_MAX 64.0 /* bytes each */
#define ENDPOINTS 16
#define IDLE_POLLS 100000
#define LOOKUPS 1000000u
#define NAME_LEN 32 /* bytes of an FI_ADDR_EFA */
#define TAG 7u
#define MESSAGES 10000 /* enough to go once round every ring */

static const struct ft_program program = {
	.name = "efa_memory",
	.summary = "memory of idle endpoints, and of -n addresses",
	.options = "n",
	.sizes = "8",
	.count = 1000000,
	.single = true,
};

static const struct ft_request rdm = { .caps = FI_TAGGED | FI_MSG | FI_RMA };

/* The others, which a provider that is not ours may lack. */
static const struct kind {
	const char *name;
	const char *fabric;
	struct ft_request request;
} thin[] = {
	{ "efa-direct: fabric to endpoint",
	  "efa-direct",
	  { .caps = FI_MSG | FI_RMA, .mode = FI_RX_CQ_DATA, .optional = true } },
	{ "DGRAM: fabric to endpoint",
	  NULL,
	  { .caps = FI_MSG,
	    .type = FI_EP_DGRAM,
	    .mode = FI_MSG_PREFIX,
	    .optional = true } },
};

static int failed;

/* One line; each: of how many endpoints it is the sum. */
static void print_endpoint(const char *what, struct footprint cost, int each,
			   bool limited)
{
	bool over = limited && (cost.resident / each > ENDPOINT_MAX ||
				cost.locked / each > ENDPOINT_MAX);

	printf("%-34s %10ld %10ld%s\n", what, cost.resident / each / 1024,
	       cost.locked / each / 1024, over ? "  over the limit" : "");
	failed += over;
}

static void poll_idle(struct ft *ft)
{
	for (int i = 0; i < IDLE_POLLS; i++)
		ft_progress(ft);
}

/* ---- endpoints ----------------------------------------------------------- */

static void message_to_self(struct ft *ft)
{
	struct fi_context2 tx, rx;
	char out[8] = "message", in[8];

	ft->peer = ft->self;
	for (uint64_t i = 0; i < MESSAGES; i++) {
		struct ft_buf buf = { .p = in, .size = sizeof(in) };

		ft_recv(ft, &buf, sizeof(in), TAG, &rx);
		buf.p = out;
		ft_send(ft, &buf, sizeof(out), TAG, &tx);
		ft_wait_rx(ft, ft->rx_done + 1);
		ft_wait_tx(ft);
		if (strcmp(in, out))
			ft_fail("another message came than was sent");
	}
}

static void one_endpoint(struct ft *ft)
{
	struct footprint before = footprint_read();

	ft_check("open", ft_open_domain(ft, &rdm));
	ft_open_ep(ft, &rdm);
	print_endpoint("fabric to endpoint", footprint_since(&before), 1, true);
	poll_idle(ft);
	print_endpoint("the same, polled in vain", footprint_since(&before), 1,
		       true);
	ft_insert_self(ft);
	message_to_self(ft);
	print_endpoint("the same, messages to itself", footprint_since(&before),
		       1, false);
}

/* More of them in the same domain; each has queues and a vector of its own. */
static void many_endpoints(const struct ft *first,
			   const struct ft_request *request)
{
	struct ft *ft = ft_alloc(ENDPOINTS * sizeof(*ft));
	struct footprint before = footprint_read();

	for (int i = 0; i < ENDPOINTS; i++) {
		ft[i] = *first;
		ft_open_ep(&ft[i], request);
		poll_idle(&ft[i]);
	}
	print_endpoint("16 more, each", footprint_since(&before), ENDPOINTS,
		       true);
	for (int i = 0; i < ENDPOINTS; i++)
		ft_close_ep(&ft[i]);
	print_endpoint("all 16 closed", footprint_since(&before), 1, false);
	free(ft);
}

static void thin_endpoints(const struct ft *model)
{
	for (size_t i = 0; i < sizeof(thin) / sizeof(thin[0]); i++) {
		struct ft ft = { .program = &program,
				 .opt = model->opt,
				 .oob = -1 };
		struct footprint before = footprint_read();

		if (thin[i].fabric)
			ft.opt.fabric = thin[i].fabric;
		if (ft_open_domain(&ft, &thin[i].request)) {
			printf("%-34s none\n", thin[i].name);
			continue;
		}
		ft_open_ep(&ft, &thin[i].request);
		poll_idle(&ft);
		print_endpoint(thin[i].name, footprint_since(&before), 1, true);
		many_endpoints(&ft, &thin[i].request);
		ft_close(&ft);
	}
}

/* ---- addresses ----------------------------------------------------------- */

/*
 * The i-th address: 64 queue pairs on each of the hosts of a network, none of
 * which is here.
 */
static void make_address(uint8_t name[NAME_LEN], uint32_t i)
{
	uint32_t host = i / 64, qpn = 1024 + i % 64, key = i * 2654435761u | 1;

	memset(name, 0, NAME_LEN);
	name[0] = 0xfd; /* a private IPv6 network */
	memcpy(name + 12, &host, sizeof(host));
	memcpy(name + 16, &qpn, sizeof(qpn));
	memcpy(name + 20, &key, sizeof(key));
}

/* Returns nanoseconds for each. */
static double insert_all(struct ft *ft, fi_addr_t *addr, uint32_t n)
{
	uint8_t name[NAME_LEN];
	uint64_t start = ft_now();

	for (uint32_t i = 0; i < n; i++) {
		make_address(name, i);
		if (fi_av_insert(ft->av, name, 1, &addr[i], 0, NULL) != 1)
			ft_fail("address %u was refused", i);
	}
	return (double)(ft_now() - start) / n;
}

/* In a random order; each has to be what was inserted. */
static double lookup_all(struct ft *ft, const fi_addr_t *addr, uint32_t n)
{
	uint8_t name[NAME_LEN], found[NAME_LEN];
	uint64_t start = ft_now(), random = ft->opt.seed;

	for (uint32_t k = 0; k < LOOKUPS; k++) {
		uint32_t i = (uint32_t)(random >> 32) % n;
		size_t len = sizeof(found);

		random = random * 6364136223846793005u + 1442695040888963407u;
		make_address(name, i);
		if (fi_av_lookup(ft->av, addr[i], found, &len) ||
		    len != NAME_LEN || memcmp(name, found, NAME_LEN))
			ft_fail("address %u is not what was inserted", i);
	}
	return (double)(ft_now() - start) / LOOKUPS;
}

static void addresses(struct ft *ft)
{
	uint32_t n = (uint32_t)ft->opt.count;
	fi_addr_t *addr = ft_alloc(n * sizeof(*addr));
	double insert, again, lookup, each;
	struct footprint before, cost;

	memset(addr, 0xff, n * sizeof(*addr)); /* it counts before */
	before = footprint_read();
	insert = insert_all(ft, addr, n);
	cost = footprint_since(&before);
	lookup = lookup_all(ft, addr, n);
	again = insert_all(ft, addr, n);
	each = (double)cost.resident / n;
	printf("#%9s %10s %10s %10s %12s\n", "addresses", "bytes each",
	       "ns insert", "ns lookup", "ns again");
	printf("%10u %10.1f %10.0f %10.0f %12.0f%s\n", n, each, insert, lookup,
	       again, each > ADDRESS_MAX ? "  over the limit" : "");
	failed += each > ADDRESS_MAX;
	before = footprint_read();
	ft_insert_self(ft);
	message_to_self(ft);
	cost = footprint_since(&before);
	printf("first message to the last of them: %ld KiB\n",
	       cost.resident / 1024);
	free(addr);
}

int main(int argc, char **argv)
{
	struct ft ft = { .program = &program, .oob = -1 };

	setenv("IPATH_NO_BACKTRACE", "1", 0);
	ft_options_parse(&ft, argc, argv);
	if (!ft.opt.count || ft.opt.count > UINT32_MAX)
		ft_fail("-n wants 1 to %u addresses", UINT32_MAX);
	printf("#%-33s %10s %10s  limit %ld\n", "endpoints, KiB", "resident",
	       "locked", ENDPOINT_MAX / 1024);
	one_endpoint(&ft);
	many_endpoints(&ft, &rdm);
	thin_endpoints(&ft);
	ft_close_ep(&ft);
	ft_open_ep(&ft, &rdm);
	addresses(&ft);
	ft_close(&ft);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
