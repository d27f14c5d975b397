/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_eq.c - event queue: a list of events that programs write and read
 *
 * Connectionless endpoints have no events of their own, and insertion into
 * address vectors is done when the call returns, so that what comes out is what
 * the program put in, regions that were asked for so (FI_REG_MR), and the errors
 * of endpoints that belong to no operation.
 * The list grows; it is never overrun. Only errors, which come of peers, are
 * kept up to a number.
 *
 * Sleepers wait on a condition. With FI_WAIT_FD and FI_WAIT_UNSPEC an eventfd
 * is readable exactly while the list is not empty.
 */
#include "fi/efa_eq.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "util/u_time.h"

#define ERRORS_MAX 64

struct efa_event {
	STAILQ_ENTRY(efa_event) link;
	bool error; /* data is a struct error */
	uint32_t event;
	size_t len; /* bytes of data */
	uint8_t data[];
};

struct error {
	struct fid *fid;
	void *context;
	int err, prov_errno;
	char text[EFA_ERR_TEXT];
};

struct efa_eq {
	struct fid_eq fid;
	struct efa_fabric *fabric;
	uint64_t flags; /* of the attributes */
	enum fi_wait_obj wait_obj;
	int fd; /* -1: none */
	pthread_mutex_t lock; /* of the list */
	pthread_cond_t cond; /* fired when an event was added */
	STAILQ_HEAD(, efa_event) events;
	unsigned int nerrors; /* of events */
	char err_text[EFA_ERR_TEXT]; /* of the last error read */
	_Atomic int refs; /* domains and endpoints it is bound to */
};

static struct efa_eq *eq_of(struct fid_eq *eq)
{
	return u_container_of(eq, struct efa_eq, fid);
}

struct efa_eq *efa_eq_get(struct fid *fid)
{
	struct efa_eq *eq = u_container_of(fid, struct efa_eq, fid.fid);

	atomic_fetch_add(&eq->refs, 1);
	return eq;
}

void efa_eq_put(struct efa_eq *eq)
{
	atomic_fetch_sub(&eq->refs, 1);
}

int efa_eq_trywait(struct fid *fid)
{
	struct efa_eq *eq = u_container_of(fid, struct efa_eq, fid.fid);
	bool empty;

	pthread_mutex_lock(&eq->lock);
	empty = STAILQ_EMPTY(&eq->events);
	pthread_mutex_unlock(&eq->lock);
	return empty ? 0 : -FI_EAGAIN;
}

/* ---- the list; the lock is held ------------------------------------------ */

static void fd_set_readable(struct efa_eq *eq, bool readable)
{
	eventfd_t value;

	if (eq->fd < 0)
		return;
	if (readable)
		eventfd_write(eq->fd, 1);
	else
		eventfd_read(eq->fd, &value);
}

static void put(struct efa_eq *eq, struct efa_event *event)
{
	if (STAILQ_EMPTY(&eq->events))
		fd_set_readable(eq, true);
	STAILQ_INSERT_TAIL(&eq->events, event, link);
	pthread_cond_signal(&eq->cond);
}

static void drop_first(struct efa_eq *eq)
{
	struct efa_event *event = STAILQ_FIRST(&eq->events);

	STAILQ_REMOVE_HEAD(&eq->events, link);
	if (STAILQ_EMPTY(&eq->events))
		fd_set_readable(eq, false);
	free(event);
}

/*
 * Into the caller's buffer, or ours if he brought none (interface 1.5; entries
 * of older ones end before err_data_size). Returns the bytes of the entry.
 */
static ssize_t put_err_data(struct efa_eq *eq, struct fi_eq_err_entry *entry)
{
	uint32_t version = eq->fabric->fid.api_version;
	size_t len = strlen(eq->err_text) + 1;

	if (FI_VERSION_LT(version, FI_VERSION(1, 5))) {
		entry->err_data = eq->err_text;
		return offsetof(struct fi_eq_err_entry, err_data_size);
	}
	if (!entry->err_data_size || !entry->err_data) {
		entry->err_data = eq->err_text;
		entry->err_data_size = len;
		return sizeof(*entry);
	}
	entry->err_data_size = u_min(entry->err_data_size, len);
	memcpy(entry->err_data, eq->err_text, entry->err_data_size);
	((char *)entry->err_data)[entry->err_data_size - 1] = 0;
	return sizeof(*entry);
}

/* The first event to the caller; it stays with FI_PEEK. */
static ssize_t take(struct efa_eq *eq, uint32_t *out, void *buf, size_t len,
		    uint64_t flags)
{
	struct efa_event *event = STAILQ_FIRST(&eq->events);
	size_t bytes;

	if (!event)
		return -FI_EAGAIN;
	if (event->error)
		return -FI_EAVAIL;
	bytes = event->len;
	if (len < bytes)
		return -FI_ETOOSMALL;
	*out = event->event;
	memcpy(buf, event->data, bytes);
	if (!(flags & FI_PEEK))
		drop_first(eq);
	return (ssize_t)bytes;
}

static ssize_t take_error(struct efa_eq *eq, struct fi_eq_err_entry *entry,
			  uint64_t flags)
{
	struct efa_event *event = STAILQ_FIRST(&eq->events);
	struct error error;
	ssize_t bytes;

	if (!event || !event->error)
		return -FI_EAGAIN;
	memcpy(&error, event->data, sizeof(error));
	entry->fid = error.fid;
	entry->context = error.context;
	entry->data = 0;
	entry->err = error.err;
	entry->prov_errno = error.prov_errno;
	memcpy(eq->err_text, error.text, sizeof(eq->err_text));
	bytes = put_err_data(eq, entry);
	if (!(flags & FI_PEEK)) {
		drop_first(eq);
		eq->nerrors--;
	}
	return bytes;
}

/* ---- operations ---------------------------------------------------------- */

static ssize_t eq_read(struct fid_eq *fid, uint32_t *event, void *buf,
		       size_t len, uint64_t flags)
{
	struct efa_eq *eq = eq_of(fid);
	ssize_t ret;

	pthread_mutex_lock(&eq->lock);
	ret = take(eq, event, buf, len, flags);
	pthread_mutex_unlock(&eq->lock);
	return ret;
}

static ssize_t eq_readerr(struct fid_eq *fid, struct fi_eq_err_entry *buf,
			  uint64_t flags)
{
	struct efa_eq *eq = eq_of(fid);
	ssize_t ret;

	pthread_mutex_lock(&eq->lock);
	ret = take_error(eq, buf, flags);
	pthread_mutex_unlock(&eq->lock);
	return ret;
}

void efa_eq_report(struct efa_eq *eq, struct fid *fid, uint32_t number,
		   const char *text)
{
	struct error error = {
		.fid = fid,
		.context = fid->context,
		.err = efa_err_of(number),
		.prov_errno = (int)number,
	};
	struct efa_event *event = malloc(sizeof(*event) + sizeof(error));

	if (!event)
		return;
	strncat(error.text, text, sizeof(error.text) - 1);
	event->error = true;
	memcpy(event->data, &error, sizeof(error));
	pthread_mutex_lock(&eq->lock);
	if (eq->nerrors < ERRORS_MAX) {
		eq->nerrors++;
		put(eq, event);
		event = NULL;
	}
	pthread_mutex_unlock(&eq->lock);
	free(event);
}

struct efa_event *efa_event_new(uint32_t number, const void *data, size_t len)
{
	struct efa_event *event = malloc(sizeof(*event) + len);

	if (!event)
		return NULL;
	event->error = false;
	event->event = number;
	event->len = len;
	memcpy(event->data, data, len);
	return event;
}

void efa_eq_tell(struct efa_eq *eq, struct efa_event *event)
{
	pthread_mutex_lock(&eq->lock);
	put(eq, event);
	pthread_mutex_unlock(&eq->lock);
}

static ssize_t eq_write(struct fid_eq *fid, uint32_t number, const void *buf,
			size_t len, uint64_t flags)
{
	struct efa_eq *eq = eq_of(fid);
	struct efa_event *event;

	if (!(eq->flags & FI_WRITE))
		return -FI_EINVAL;
	if (flags)
		return -FI_EBADFLAGS;
	event = efa_event_new(number, buf, len);
	if (!event)
		return -FI_ENOMEM;
	efa_eq_tell(eq, event);
	return (ssize_t)len;
}

static struct timespec deadline_after(int ms)
{
	uint64_t at = u_now() + (uint64_t)ms * U_MSEC;

	return (struct timespec){ .tv_sec = (time_t)(at / U_SEC),
				  .tv_nsec = (long)(at % U_SEC) };
}

static ssize_t eq_sread(struct fid_eq *fid, uint32_t *event, void *buf,
			size_t len, int timeout, uint64_t flags)
{
	struct efa_eq *eq = eq_of(fid);
	struct timespec at = deadline_after(timeout < 0 ? 0 : timeout);
	ssize_t ret;
	int err = 0;

	pthread_mutex_lock(&eq->lock);
	ret = take(eq, event, buf, len, flags);
	while (ret == -FI_EAGAIN && !err) {
		if (timeout < 0)
			err = pthread_cond_wait(&eq->cond, &eq->lock);
		else
			err = pthread_cond_timedwait(&eq->cond, &eq->lock, &at);
		ret = take(eq, event, buf, len, flags);
	}
	pthread_mutex_unlock(&eq->lock);
	return ret;
}

static const char *eq_strerror(struct fid_eq *eq, int prov_errno,
			       const void *err_data, char *buf, size_t len)
{
	return efa_cq_strerror(NULL, prov_errno, err_data, buf, len);
}

static int eq_control(struct fid *fid, int command, void *arg)
{
	struct efa_eq *eq = u_container_of(fid, struct efa_eq, fid.fid);

	switch (command) {
	case FI_GETWAIT:
		if (eq->fd < 0)
			return -FI_ENODATA;
		*(int *)arg = eq->fd;
		return 0;
	case FI_GETWAITOBJ:
		*(enum fi_wait_obj *)arg = eq->wait_obj;
		return 0;
	default:
		return -FI_ENOSYS;
	}
}

static void eq_free(struct efa_eq *eq)
{
	struct efa_event *event;

	while ((event = STAILQ_FIRST(&eq->events))) {
		STAILQ_REMOVE_HEAD(&eq->events, link);
		free(event);
	}
	if (eq->fd >= 0)
		close(eq->fd);
	pthread_cond_destroy(&eq->cond);
	pthread_mutex_destroy(&eq->lock);
	free(eq);
}

static int eq_close(struct fid *fid)
{
	struct efa_eq *eq = u_container_of(fid, struct efa_eq, fid.fid);

	if (efa_is_child(eq->fabric->pid))
		return 0;
	if (atomic_load(&eq->refs))
		return -FI_EBUSY;
	atomic_fetch_sub(&eq->fabric->refs, 1);
	eq_free(eq);
	return 0;
}

static struct fi_ops eq_fi_ops = {
	.size = sizeof(struct fi_ops),
	.close = eq_close,
	.bind = efa_nosys_bind,
	.control = eq_control,
	.ops_open = efa_nosys_ops_open,
	.tostr = efa_nosys_tostr,
	.ops_set = efa_nosys_ops_set,
};

static struct fi_ops_eq eq_ops = {
	.size = sizeof(struct fi_ops_eq),
	.read = eq_read,
	.readerr = eq_readerr,
	.write = eq_write,
	.sread = eq_sread,
	.strerror = eq_strerror,
};

static struct efa_eq *eq_alloc(void)
{
	struct efa_eq *eq = calloc(1, sizeof(*eq));
	pthread_condattr_t attr;

	if (!eq)
		return NULL;
	pthread_mutex_init(&eq->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&eq->cond, &attr);
	pthread_condattr_destroy(&attr);
	STAILQ_INIT(&eq->events);
	eq->fd = -1;
	return eq;
}

static int eq_open_wait(struct efa_eq *eq, enum fi_wait_obj wait_obj)
{
	switch (wait_obj) {
	case FI_WAIT_NONE:
	case FI_WAIT_YIELD:
		break;
	case FI_WAIT_UNSPEC:
	case FI_WAIT_FD:
		eq->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (eq->fd < 0)
			return -errno;
		wait_obj = FI_WAIT_FD;
		break;
	default:
		return -FI_ENOSYS;
	}
	eq->wait_obj = wait_obj;
	return 0;
}

int efa_eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr,
		struct fid_eq **out, void *context)
{
	struct efa_eq *eq = eq_alloc();
	int ret;

	if (!eq)
		return -FI_ENOMEM;
	ret = eq_open_wait(eq, attr ? attr->wait_obj : FI_WAIT_NONE);
	if (ret) {
		eq_free(eq);
		return ret;
	}
	eq->flags = attr ? attr->flags : 0;
	eq->fabric = u_container_of(fabric, struct efa_fabric, fid);
	eq->fid.fid.fclass = FI_CLASS_EQ;
	eq->fid.fid.context = context;
	eq->fid.fid.ops = &eq_fi_ops;
	eq->fid.ops = &eq_ops;
	atomic_fetch_add(&eq->fabric->refs, 1);
	*out = &eq->fid;
	return 0;
}
