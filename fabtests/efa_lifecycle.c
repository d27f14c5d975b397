/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_lifecycle.c - everything that is opened and closed is gone
 *
 * Each case opens and closes one kind of object, many times; the endpoints send
 * to themselves in between. Afterwards the process has to hold what it held
 * after a few times of the same: descriptors, threads, files of shared memory,
 * memory. It is run by one process without a peer.
 */
#include "ft.h"
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rdma/fi_eq.h>

#define WARM_UP 20u /* cycles that may leave tables grown */
#define TAG 7u

static const struct ft_program program = {
	.name = "efa_lifecycle",
	.summary = "what is opened and closed leaves nothing behind",
	.options = "COX",
	.sizes = "8",
	.count = 1000,
	.single = true,
};

/* Two stacks with an open domain each; what a cycle opens lies in them. */
struct life {
	struct ft rdm;
	struct ft dgram; /* info is NULL when the provider has none */
	struct ft_buf rdm_out, rdm_in;
	struct ft_buf dgram_out, dgram_in;
	char *memory; /* to register */
};

static const struct ft_request rdm_request = { .caps = FI_TAGGED | FI_RMA };
static const struct ft_request dgram_request = {
	.caps = FI_MSG,
	.mode = FI_MSG_PREFIX,
	.type = FI_EP_DGRAM,
	.optional = true,
};

/* A case's argument; each uses one. Returns 0, or why there is no such thing. */
union life_arg {
	size_t size;
	enum fi_wait_obj wait;
	enum fi_av_type type;
};

struct life_case {
	const char *name;
	int (*cycle)(struct life *life, union life_arg arg);
	union life_arg arg;
};

/* --- objects by themselves ---------------------------------------------- */

/* Kinds of objects that a provider may do without. */
static int end(const char *what, int ret, struct fid *fid)
{
	if (ret == -FI_ENOSYS || ret == -FI_EINVAL || ret == -FI_EOPNOTSUPP)
		return ret;
	ft_check(what, ret);
	ft_check("fi_close", fi_close(fid));
	return 0;
}

static int cycle_info(struct life *life, union life_arg arg)
{
	struct fi_info *copy = fi_dupinfo(life->rdm.info), *found;

	(void)arg;
	if (!copy)
		ft_fail("fi_dupinfo: out of memory");
	ft_check("fi_getinfo",
		 fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, copy, &found));
	fi_freeinfo(found);
	fi_freeinfo(copy);
	return 0;
}

static int cycle_fabric(struct life *life, union life_arg arg)
{
	struct fid_fabric *fabric = NULL;
	int ret = fi_fabric(life->rdm.info->fabric_attr, &fabric, NULL);

	(void)arg;
	return end("fi_fabric", ret, (struct fid *)fabric);
}

static int cycle_domain(struct life *life, union life_arg arg)
{
	struct fid_domain *domain = NULL;
	int ret = fi_domain(life->rdm.fabric, life->rdm.info, &domain, NULL);

	(void)arg;
	return end("fi_domain", ret, (struct fid *)domain);
}

static int cycle_eq(struct life *life, union life_arg arg)
{
	struct fi_eq_attr attr = { .wait_obj = arg.wait };
	struct fid_eq *eq = NULL;
	int ret = fi_eq_open(life->rdm.fabric, &attr, &eq, NULL);

	return end("fi_eq_open", ret, (struct fid *)eq);
}

static int cycle_av(struct life *life, union life_arg arg)
{
	struct fi_av_attr attr = { .type = arg.type, .count = 64 };
	struct fid_av *av = NULL;
	int ret = fi_av_open(life->rdm.domain, &attr, &av, NULL);

	return end("fi_av_open", ret, (struct fid *)av);
}

static int cycle_cq(struct life *life, union life_arg arg)
{
	struct fi_cq_attr attr = {
		.format = FI_CQ_FORMAT_TAGGED,
		.wait_obj = arg.wait,
	};
	struct fid_cq *cq = NULL;
	int ret = fi_cq_open(life->rdm.domain, &attr, &cq, NULL);

	return end("fi_cq_open", ret, (struct fid *)cq);
}

static int cycle_cntr(struct life *life, union life_arg arg)
{
	struct fi_cntr_attr attr = { .wait_obj = arg.wait };
	struct fid_cntr *cntr = NULL;
	int ret = fi_cntr_open(life->rdm.domain, &attr, &cntr, NULL);

	return end("fi_cntr_open", ret, (struct fid *)cntr);
}

static int cycle_mr(struct life *life, union life_arg arg)
{
	static uint64_t key = 0x11fe;
	struct fid_mr *mr = NULL;
	int ret = fi_mr_reg(life->rdm.domain, life->memory, arg.size,
			    FI_SEND | FI_RECV | FI_READ | FI_WRITE |
				    FI_REMOTE_READ | FI_REMOTE_WRITE,
			    0, key++, 0, &mr, NULL);

	return end("fi_mr_reg", ret, (struct fid *)mr);
}

static int cycle_ep_idle(struct life *life, union life_arg arg)
{
	struct fid_ep *ep = NULL;
	int ret = fi_endpoint(life->rdm.domain, life->rdm.info, &ep, NULL);

	(void)arg;
	return end("fi_endpoint", ret, (struct fid *)ep);
}

/* --- endpoints that send to themselves ---------------------------------- */

static void send_self(struct ft *ft, struct ft_buf *out, struct ft_buf *in,
		      size_t size)
{
	struct fi_context2 sent, received;
	size_t prefix = ft->info->ep_attr->msg_prefix_size;

	memset(out->p, 'o', prefix + size);
	memset(in->p, 'i', prefix + size);
	ft_recv(ft, in, prefix + size, TAG, &received);
	ft_send(ft, out, prefix + size, TAG, &sent);
	ft_wait_rx(ft, ft->rx_done + 1);
	ft_wait_tx(ft);
	if (memcmp(out->p + prefix, in->p + prefix, size))
		ft_fail("%zu bytes came as others", size);
}

static int cycle_ep(struct life *life, union life_arg arg)
{
	ft_open_ep(&life->rdm, &rdm_request);
	ft_insert_self(&life->rdm);
	life->rdm.peer = life->rdm.self;
	send_self(&life->rdm, &life->rdm_out, &life->rdm_in, arg.size);
	ft_close_ep(&life->rdm);
	return 0;
}

static int cycle_dgram(struct life *life, union life_arg arg)
{
	if (!life->dgram.info)
		return -FI_ENOSYS;
	ft_open_ep(&life->dgram, &dgram_request);
	ft_insert_self(&life->dgram);
	life->dgram.peer = life->dgram.self;
	send_self(&life->dgram, &life->dgram_out, &life->dgram_in, arg.size);
	ft_close_ep(&life->dgram);
	return 0;
}

/* From fi_getinfo() to the last fi_close(), with memory of its own. */
static int cycle_all(struct life *life, union life_arg arg)
{
	struct ft ft = { .program = &program, .opt = life->rdm.opt };
	struct ft_buf out, in;

	ft_open_domain(&ft, &rdm_request);
	ft_open_ep(&ft, &rdm_request);
	ft_insert_self(&ft);
	ft.peer = ft.self;
	out = ft_buf_new(&ft, arg.size);
	in = ft_buf_new(&ft, arg.size);
	send_self(&ft, &out, &in, arg.size);
	ft_close_ep(&ft);
	ft_buf_free(&in);
	ft_buf_free(&out);
	ft_close(&ft);
	return 0;
}

/* An endpoint that is closed with receives posted and a message that nobody
 * wants. */
static int cycle_busy(struct life *life, union life_arg arg)
{
	struct ft *ft = &life->rdm;
	struct fi_context2 sent, wanted;

	ft_open_ep(ft, &rdm_request);
	ft_insert_self(ft);
	ft->peer = ft->self;
	ft_recv(ft, &life->rdm_in, arg.size, TAG + 1, &wanted);
	ft_send(ft, &life->rdm_out, arg.size, TAG, &sent);
	ft_wait_tx(ft);
	ft_progress(ft);
	ft_close_ep(ft);
	return 0;
}

/* --- all of them -------------------------------------------------------- */

#define MEMORY (16u << 20)
#define LARGE (1u << 20)

static const struct life_case cases[] = {
	{ "info", cycle_info, { 0 } },
	{ "fabric", cycle_fabric, { 0 } },
	{ "domain", cycle_domain, { 0 } },
	{ "eq none", cycle_eq, { .wait = FI_WAIT_NONE } },
	{ "eq unspec", cycle_eq, { .wait = FI_WAIT_UNSPEC } },
	{ "eq fd", cycle_eq, { .wait = FI_WAIT_FD } },
	{ "eq yield", cycle_eq, { .wait = FI_WAIT_YIELD } },
	{ "av map", cycle_av, { .type = FI_AV_MAP } },
	{ "av table", cycle_av, { .type = FI_AV_TABLE } },
	{ "cq none", cycle_cq, { .wait = FI_WAIT_NONE } },
	{ "cq unspec", cycle_cq, { .wait = FI_WAIT_UNSPEC } },
	{ "cq fd", cycle_cq, { .wait = FI_WAIT_FD } },
	{ "cq mutex", cycle_cq, { .wait = FI_WAIT_MUTEX_COND } },
	{ "cq yield", cycle_cq, { .wait = FI_WAIT_YIELD } },
	{ "cntr none", cycle_cntr, { .wait = FI_WAIT_NONE } },
	{ "cntr unspec", cycle_cntr, { .wait = FI_WAIT_UNSPEC } },
	{ "cntr fd", cycle_cntr, { .wait = FI_WAIT_FD } },
	{ "cntr mutex", cycle_cntr, { .wait = FI_WAIT_MUTEX_COND } },
	{ "cntr yield", cycle_cntr, { .wait = FI_WAIT_YIELD } },
	{ "mr 1", cycle_mr, { .size = 1 } },
	{ "mr 4k", cycle_mr, { .size = 4096 } },
	{ "mr 1m", cycle_mr, { .size = 1u << 20 } },
	{ "mr 16m", cycle_mr, { .size = MEMORY } },
	{ "ep idle", cycle_ep_idle, { 0 } },
	{ "ep rdm", cycle_ep, { .size = 64 } },
	{ "ep rdm large", cycle_ep, { .size = LARGE } },
	{ "ep rdm busy", cycle_busy, { .size = 4096 } },
	{ "ep dgram", cycle_dgram, { .size = 512 } },
	{ "everything", cycle_all, { .size = 65536 } },
};

static int repeat(struct life *life, const struct life_case *c, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = c->cycle(life, c->arg);
	return ret;
}

/* 1 passed, 0 skipped, -1 failed */
static int run_case(struct life *life, const struct life_case *c,
		    const char *folder)
{
	size_t n = life->rdm.opt.count;
	struct ledger before, after;
	uint64_t start = ft_now();
	int ret = repeat(life, c, WARM_UP);

	if (ret) {
		printf("%-14s skipped: %s\n", c->name, fi_strerror(-ret));
		return 0;
	}
	ledger_read(&before, folder);
	ft_check(c->name, repeat(life, c, n));
	ret = ledger_compare(&before, &after, n);
	printf("%-14s %s, %zu times, %.3f ms each\n", c->name,
	       ret ? "FAILED" : "passed", n,
	       (double)(ft_now() - start) / 1e6 / (double)(n + WARM_UP));
	return ret ? -1 : 1;
}

static void open_life(struct life *life)
{
	life->dgram = life->rdm;
	life->dgram.opt.tagged = false;
	ft_open_domain(&life->rdm, &rdm_request);
	ft_introduce(&life->rdm);
	life->rdm_out = ft_buf_new(&life->rdm, LARGE);
	life->rdm_in = ft_buf_new(&life->rdm, LARGE);
	if (!ft_open_domain(&life->dgram, &dgram_request)) {
		life->dgram_out = ft_buf_new(&life->dgram, 4096);
		life->dgram_in = ft_buf_new(&life->dgram, 4096);
	}
	life->memory = ft_alloc(MEMORY);
}

static void close_life(struct life *life)
{
	ft_buf_free(&life->rdm_out);
	ft_buf_free(&life->rdm_in);
	ft_buf_free(&life->dgram_out);
	ft_buf_free(&life->dgram_in);
	ft_close(&life->rdm);
	ft_close(&life->dgram);
	free(life->memory);
}

/* Other programs have files in /dev/shm too: ours get a folder of their own. */
static const char *make_folder(void)
{
	static char folder[] = "/dev/shm/efa_lifecycle-XXXXXX";

	if (!mkdtemp(folder))
		ft_die("mkdtemp in /dev/shm", -errno);
	setenv("FI_EFA_SHM_DIR", folder, 1);
	return folder;
}

int main(int argc, char **argv)
{
	struct life life = { .rdm = { .program = &program, .oob = -1 } };
	int passed = 0, failed = 0;
	const char *folder;

	ledger_begin(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("IPATH_NO_BACKTRACE", "1", 0);
	ft_options_parse(&life.rdm, argc, argv);
	folder = make_folder();
	open_life(&life);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = ft_chosen(&life.rdm.opt, cases[i].name) ?
				  run_case(&life, &cases[i], folder) :
				  0;

		passed += ret > 0;
		failed += ret < 0;
	}
	close_life(&life);
	rmdir(folder);
	printf("%d passed, %d failed\n", passed, failed);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
