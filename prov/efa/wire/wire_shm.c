/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_shm.c - a receiver's segment from open to close, and its sleep
 *
 * Reading is wire_shm_poll.c, the life of lanes wire_shm_lane.c.
 */
#include "wire/wire_shm.h"

#include "wire/wire_shm_priv.h"

#include "util/u_lines.h"
#include "util/u_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LANES_DEFAULT 1024
#define LANE_BYTES_DEFAULT (128u << 10)

void wire_shm_seg_name(const struct wire_shm_id *id,
		       char name[WIRE_SHM_NAME_MAX + 1])
{
	int i, n = 0;

	for (i = 0; i < 16; i++)
		n += sprintf(name + n, "%02x", id->gid[i]);
	snprintf(name + n, WIRE_SHM_NAME_MAX + 1 - n, "-%u", id->qpn);
}

static int config_check(const struct wire_shm_config *c,
			const struct wire_shm_id *self)
{
	if (c->lanes > WIRE_SHM_LANES_MAX)
		return -EINVAL;
	if (c->lane_bytes && (c->lane_bytes < WIRE_SHM_LANE_BYTES_MIN ||
			      c->lane_bytes > WIRE_SHM_LANE_BYTES_MAX ||
			      (c->lane_bytes & (c->lane_bytes - 1))))
		return -EINVAL;
	return self->qpn > WIRE_SHM_QPN_MAX ? -EINVAL : 0;
}

static void config_take(struct wire_shm *w, const struct wire_shm_config *c)
{
	w->lanes = c->lanes ? c->lanes : LANES_DEFAULT;
	w->lane_bytes = c->lane_bytes ? c->lane_bytes : LANE_BYTES_DEFAULT;
	w->lines = w->lane_bytes / U_LINE;
	w->mask = w->lines - 1;
	w->quarter = w->lines / 4;
	w->shift = (uint32_t)__builtin_ctz(w->lines);
	w->no_cma = c->no_cma;
}

/* Memory of this process; private_free takes it, complete or not. */
static int private_alloc(struct wire_shm *w, const char *dir)
{
	uint32_t i;
	void *lane;

	w->file.fd = -1;
	if (dir && !(w->dir = strdup(dir)))
		return -ENOMEM;
	if (posix_memalign(&lane, U_LINE, w->lanes * sizeof(*w->lane)))
		return -ENOMEM;
	w->lane = memset(lane, 0, w->lanes * sizeof(*w->lane));
	for (i = 0; i < w->lanes; i++)
		w->lane[i].number = i;
	w->who = calloc(w->lanes, sizeof(*w->who));
	w->hot = calloc(w->lanes, sizeof(*w->hot));
	w->lent = u_lines_raw(w->lanes * sizeof(*w->lent));
	w->closing = calloc(w->lanes, sizeof(*w->closing));
	return w->who && w->hot && w->lent && w->closing ? 0 : -ENOMEM;
}

static void private_free(struct wire_shm *w)
{
	free(w->closing);
	free(w->lent);
	free(w->hot);
	free(w->who);
	free(w->lane);
	free(w->dir);
	free(w);
}

static void about_fill(struct wire_shm *w, const struct wire_shm_config *c)
{
	struct wire_shm_about *about = &w->seg->about;

	about->magic = WIRE_SHM_MAGIC;
	about->version = WIRE_SHM_VERSION;
	about->flags = w->expedited ? 0 : WIRE_SHM_FENCE;
	about->lanes = w->lanes;
	about->lane_bytes = w->lane_bytes;
	about->id = w->id;
	about->tag = c->tag;
	about->bell = c->bell;
	wire_shm_copy_publish(about);
	if (!w->no_cma)
		wire_shm_copy_permit();
}

static int segment_make(struct wire_shm *w, const struct wire_shm_config *c)
{
	char name[WIRE_SHM_NAME_MAX + 1];
	int rc;

	wire_shm_seg_name(&w->id, name);
	rc = wire_shm_file_make(w->dir,
				wire_shm_lane_offset(w->lanes, w->lane_bytes),
				&w->file);
	if (rc)
		return rc;
	rc = wire_shm_file_reserve(&w->file, 0, WIRE_SHM_LANES);
	if (!rc) {
		w->seg = w->file.base;
		about_fill(w, c);
		rc = wire_shm_file_publish(&w->file, w->dir, name);
	}
	if (rc)
		wire_shm_file_close(&w->file);
	return rc;
}

int wire_shm_open(const struct wire_shm_config *config,
		  const struct wire_shm_id *self, struct wire_shm **out)
{
	struct wire_shm *w;
	int rc;

	rc = config_check(config, self);
	if (rc)
		return rc;
	w = u_lines_new(sizeof(*w));
	if (!w)
		return -ENOMEM;
	config_take(w, config);
	w->id = *self;
	rc = private_alloc(w, config->dir);
	if (rc)
		goto free_private;
	w->stats.stale_removed = (uint64_t)wire_shm_clean(w->dir);
	w->expedited = wire_shm_barrier_join();
	rc = segment_make(w, config);
	if (rc)
		goto free_private;
	u_debug("shm: %s open, %u lanes of %u KiB%s", w->file.path, w->lanes,
		w->lane_bytes >> 10, w->expedited ? "" : ", senders fence");
	*out = w;
	return 0;

free_private:
	private_free(w);
	return rc;
}

void wire_shm_close(struct wire_shm *w)
{
	assert(w->links == 0);
	/* In a forked child it is the parent's to say. */
	if (w->file.maker == getpid())
		atomic_store_explicit(&w->seg->state.word, WIRE_SHM_CLOSED,
				      memory_order_release);
	wire_shm_file_close(&w->file);
	private_free(w);
}

const struct wire_shm_stats *wire_shm_stats(const struct wire_shm *w)
{
	return &w->stats;
}

int wire_shm_source(const struct wire_shm *w, uint32_t lane,
		    struct wire_shm_id *id)
{
	if (lane >= w->lanes || w->lane[lane].state == WIRE_SHM_LANE_NONE)
		return -ENOENT;
	*id = w->who[lane];
	return 0;
}

/* A bit whose count is late, or never comes: the tick sees to it. */
static bool has_bits(const struct wire_shm *w)
{
	for (uint32_t i = 0; i < (w->lanes + 63) / 64; i++)
		if (atomic_load_explicit(&w->seg->bits[i],
					 memory_order_relaxed))
			return true;
	return false;
}

/* Would a poll or a tick find anything to do? */
static bool has_work(const struct wire_shm *w)
{
	uint32_t i;

	if (wire_shm_bell_rang(w) || has_bits(w))
		return true;
	for (i = 0; i < w->nhot; i++)
		if (wire_shm_lane_ready(w->hot[i]))
			return true;
	return false;
}

static void state_set(struct wire_shm *w, uint32_t word)
{
	atomic_store_explicit(&w->seg->state.word, word, memory_order_relaxed);
}

int wire_shm_arm(struct wire_shm *w)
{
	if (has_work(w))
		return 1;
	w->sleeps++;
	state_set(w, w->sleeps << WIRE_SHM_STATE_BITS | WIRE_SHM_SLEEPING);
	/* SLEEP: a sender that this does not see will see our state. */
	if (wire_shm_barrier(w->expedited) && !has_work(w))
		return 0;
	state_set(w, 0);
	return 1;
}

void wire_shm_disarm(struct wire_shm *w)
{
	state_set(w, 0);
}

void wire_shm_set_pressure(struct wire_shm *w, bool on)
{
	/* ROOM: what senders may read once they see that it has ended. */
	atomic_store_explicit(&w->seg->state.pressure, on,
			      memory_order_release);
}

void wire_shm_set_room(struct wire_shm *w, size_t bytes)
{
	uint32_t room = bytes < UINT32_MAX ? (uint32_t)bytes + 1 : 0;

	atomic_store_explicit(&w->seg->state.room, room, memory_order_relaxed);
}

void wire_shm_set_connid(struct wire_shm *w, uint32_t connid)
{
	w->id.connid = connid;
	w->seg->about.id.connid = connid;
}

void wire_shm_shut(struct wire_shm *w)
{
	w->seg->about.flags |= WIRE_SHM_SHUT;
}
