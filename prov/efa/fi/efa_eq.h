/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_eq.h - event queues, for those that write to them or are bound to one
 */
#ifndef EFA_EQ_H
#define EFA_EQ_H

#include "fi/efa.h"

struct efa_eq;
struct efa_event;

int efa_eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr,
		struct fid_eq **eq, void *context);
/* 0: may sleep on its fd; -FI_EAGAIN: an event waits. */
int efa_eq_trywait(struct fid *eq);
/* An event of a number, with a copy of data. NULL: no memory. */
struct efa_event *efa_event_new(uint32_t number, const void *data, size_t len);
/* Adds it; it is the queue's. One that is not told goes by free(). */
void efa_eq_tell(struct efa_eq *eq, struct efa_event *event);
/*
 * Reports an error that belongs to no operation of fid: number is its
 * prov_errno, text tells who and where. Dropped while too many wait.
 */
void efa_eq_report(struct efa_eq *eq, struct fid *fid, uint32_t number,
		   const char *text);
/* For who binds one: it does not close before it is put back. */
struct efa_eq *efa_eq_get(struct fid *eq);
void efa_eq_put(struct efa_eq *eq);

#endif
