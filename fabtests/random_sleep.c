/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * random_sleep.c - a worker that sleeps, and one that computes
 *
 * With -S, who finds nothing sleeps now and then, in one of three ways: in
 * poll(2) on the descriptors of all its queues, for which fi_trywait gave leave,
 * while other threads end what they have begun and then call nothing;
 * in fi_cq_sread; in fi_cntr_wait. What comes while it sleeps has to wake it: a
 * sleep in poll(2) is long, and has failed when it ends by its time and there is
 * an entry.
 *
 * With -A progress is automatic. Then a process computes now and then, which is
 * to say that it calls nothing, until an operation of another process on its
 * memory has ended that began meanwhile.
 */
#include "random.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#define SLEEP_EVERY 64u /* turns that find nothing */
#define POLL_MS 200
#define SREAD_MS 20
#define CNTR_MS 10
#define COMPUTE_EVERY 400u /* steps */
#define COMPUTE_NS 20000000000u
#define CELL_OF_PROBES 0

/* ---- in poll(2) ------------------------------------------------------------- */

struct bed {
	struct rnd_cq *cq[2 * RND_EPS];
	struct fid *fid[2 * RND_EPS];
	struct pollfd fd[2 * RND_EPS];
	int n;
};

static void add(struct bed *bed, struct rnd_cq *cq)
{
	struct pollfd *fd = &bed->fd[bed->n];

	for (int i = 0; i < bed->n; i++)
		if (bed->cq[i] == cq)
			return;
	*fd = (struct pollfd){ .events = POLLIN };
	ft_check("FI_GETWAIT", fi_control(&cq->fid->fid, FI_GETWAIT, &fd->fd));
	bed->cq[bed->n] = cq;
	bed->fid[bed->n++] = &cq->fid->fid;
}

/* While it drives as well: hence the second sleep before it. */
static bool has_entry(struct rnd *w, struct bed *bed)
{
	for (int i = 0; i < bed->n; i++)
		if (!bed->cq[i]->reading && rnd_read(w, bed->cq[i], 0))
			return true;
	return false;
}

/* 0: until its time. */
static int doze(struct bed *bed)
{
	return poll(bed->fd, (nfds_t)bed->n, POLL_MS) != 0;
}

/*
 * Nothing has woken it. Was there anything? To tell what was from what has just
 * come it sleeps as long again, while all other threads are at rest. Of the
 * dead we hear when we look.
 */
static void oversleep(struct rnd *w, struct bed *bed)
{
	bool woken;

	if (w->rested + 1 < w->opt.threads || rnd_any_dead(w))
		return;
	rnd_unlock(w);
	woken = doze(bed);
	rnd_lock(w);
	if (!woken && !rnd_any_dead(w) && has_entry(w, bed))
		rnd_fail(w, "slept for %d ms beside an entry", POLL_MS);
}

static void sleep_in_poll(struct rnd *w)
{
	struct bed bed = { .n = 0 };
	int ret;

	for (unsigned int i = 0; i < w->opt.endpoints; i++) {
		if (!w->ep[i].open)
			continue;
		add(&bed, w->ep[i].tx);
		add(&bed, w->ep[i].rx);
	}
	if (!bed.n || w->resting)
		return;
	w->resting = true;
	rnd_unlock(w);
	ret = fi_trywait(w->ft.fabric, bed.fid, bed.n);
	if (!ret)
		ret = 1 - doze(&bed);
	rnd_lock(w);
	if (ret < 0 && ret != -FI_EAGAIN)
		rnd_fail(w, "fi_trywait: %s", fi_strerror(-ret));
	w->count[RND_N_SLEEP] += ret >= 0;
	if (ret == 1)
		oversleep(w, &bed);
	w->resting = false;
}

/* ---- in libfabric ------------------------------------------------------------- */

static void sleep_in_cq(struct rnd *w, struct rnd_ep *e)
{
	struct rnd_cq *cq = w->turns % 2 ? e->tx : e->rx;

	if (cq->reading)
		return;
	cq->reading = true;
	rnd_read(w, cq, SREAD_MS);
	cq->reading = false;
	w->count[RND_N_SLEEP]++;
}

static void sleep_in_cntr(struct rnd *w, struct rnd_ep *e)
{
	struct fid_cntr *cntr = e->cntr[w->turns % rnd_cntrs(w)].fid;
	uint64_t want, got;
	int ret;

	rnd_unlock(w);
	want = fi_cntr_read(cntr) + 1;
	ret = fi_cntr_wait(cntr, want, CNTR_MS);
	got = fi_cntr_read(cntr);
	rnd_lock(w);
	if (!ret && got < want)
		rnd_fail(w, "fi_cntr_wait of %llu ended at %llu",
			 (unsigned long long)want, (unsigned long long)got);
	if (ret && ret != -FI_ETIMEDOUT && ret != -FI_EAVAIL)
		rnd_fail(w, "fi_cntr_wait: %s", fi_strerror(-ret));
	w->count[RND_N_SLEEP]++;
}

void rnd_sleep(struct rnd *w)
{
	struct rnd_ep *e = NULL;

	if (!w->opt.sleep || w->turns % SLEEP_EVERY)
		return;
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (w->ep[i].open && (!e || w->turns / SLEEP_EVERY % 4 == i))
			e = &w->ep[i];
	if (!e)
		return;
	switch (w->turns / SLEEP_EVERY % 3) {
	case 0:
		sleep_in_poll(w);
		return;
	case 1:
		sleep_in_cq(w, e);
		return;
	default:
		sleep_in_cntr(w, e);
		return;
	}
}

/* ---- who computes ------------------------------------------------------------- */

static void compute(struct rnd *w)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	struct rnd_world *world = w->world;
	uint32_t number = atomic_fetch_add(&world->computation, 1) + 1;
	uint64_t began = ft_now();

	while (atomic_load(&world->ended) != number) {
		if (rnd_any_dead(w) || atomic_load(&world->failed))
			return;
		if (ft_now() - began > COMPUTE_NS)
			rnd_fail(w, "no operation on memory of a process that "
				    "computes has ended");
		nanosleep(&nap, NULL);
	}
	w->count[RND_N_COMPUTE]++;
}

/* One at a time, or nobody would be left to see to it. */
void rnd_maybe_compute(struct rnd *w, uint64_t step)
{
	int nobody = -1;

	if (!w->opt.automatic || w->opt.workers < 2 || rnd_thread() ||
	    step % COMPUTE_EVERY != COMPUTE_EVERY / 2 || rnd_any_dead(w) ||
	    !atomic_compare_exchange_strong(&w->world->computes, &nobody,
					    w->id))
		return;
	w->doing = "computation";
	rnd_threads_are(w, RND_PARKED);
	compute(w);
	atomic_store(&w->world->computes, -1);
	rnd_threads_are(w, RND_STEPPING);
}

/* To an endpoint of who computes, which he has opened before this epoch. */
void rnd_probe(struct rnd *w)
{
	int who = atomic_load(&w->world->computes);
	uint32_t number = atomic_load(&w->world->computation);
	unsigned int peer = (unsigned int)who;
	uint64_t drawn = rnd_drawn;
	struct rnd_ep *e = NULL;

	if (who < 0 || who == w->id || w->probed == number || rnd_any_dead(w))
		return;
	for (unsigned int i = 0; i < w->opt.endpoints; i++)
		if (w->ep[i].open)
			e = &w->ep[i];
	if (!e || e->known[peer] != w->world->ep[peer].life)
		return;
	w->probed = number;
	/* No draw of the step's, as this is no step. */
	rnd_cell_add(e, (int)peer, CELL_OF_PROBES, true, number);
	rnd_drawn = drawn;
}

void rnd_probe_ended(struct rnd *w, uint32_t number)
{
	if (number && number == atomic_load(&w->world->computation))
		atomic_store(&w->world->ended, number);
}
