/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * verbs_context.c - a device that is open: its nic, its tables
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "verbs_priv.h"
#include "verbs_real.h"

static void context_fill(struct verbs_ctx *ctx, struct ibv_device *dev,
			 int async_fd)
{
	struct verbs_context *v = &ctx->vctx;
	struct ibv_context *c = &v->context;

	v->sz = sizeof(*v);
	v->query_port = verbs_query_port;
	v->query_device_ex = verbs_query_device_ex;
	v->create_cq_ex = verbs_create_cq_ex;
	v->create_qp_ex = verbs_create_qp_ex;
	c->device = dev;
	c->abi_compat = __VERBS_ABI_IS_EXTENDED;
	c->cmd_fd = -1;
	c->async_fd = async_fd;
	c->num_comp_vectors = 1;
	c->ops.poll_cq = verbs_poll_cq;
	c->ops.req_notify_cq = verbs_req_notify_cq;
	c->ops.post_send = verbs_post_send;
	c->ops.post_recv = verbs_post_recv;
	pthread_mutex_init(&c->mutex, NULL);
}

static int context_open(struct verbs_ctx *ctx, const struct nic_info *info)
{
	struct nic_config config;
	int rc;

	verbs_settings_log();
	verbs_settings(&config);
	rc = nic_open(info, &config, &ctx->nic);
	if (rc)
		return rc;
	u_lock_init(&ctx->lock, true);
	LIST_INIT(&ctx->qps);
	rc = verbs_gids_init(&ctx->gids);
	if (rc)
		goto close_nic;
	rc = verbs_keys_init(&ctx->keys);
	if (rc)
		goto fini_gids;
	rc = verbs_pump_open(ctx);
	if (rc)
		goto fini_keys;
	return 0;
fini_keys:
	verbs_keys_fini(&ctx->keys, ctx->nic);
fini_gids:
	verbs_gids_fini(&ctx->gids);
close_nic:
	u_lock_fini(&ctx->lock);
	nic_close(ctx->nic);
	return rc;
}

VERBS_EXPORT struct ibv_context *ibv_open_device(struct ibv_device *dev)
{
	struct verbs_device *d = verbs_device_of(dev);
	struct verbs_ctx *ctx;
	int fd, rc;

	if (!d)
		return verbs_real(ibv_open_device)(dev);
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return NULL;
	fd = eventfd(0, EFD_CLOEXEC);
	rc = fd < 0 ? -errno : context_open(ctx, &d->info);
	if (rc) {
		if (fd >= 0)
			close(fd);
		free(ctx);
		return verbs_null(-rc);
	}
	context_fill(ctx, dev, fd);
	return &ctx->vctx.context;
}

/* What the program has left open ends here, as with a real device. */
VERBS_EXPORT int ibv_close_device(struct ibv_context *c)
{
	struct verbs_ctx *ctx = verbs_ctx_of(c);
	struct verbs_qp *qp;

	if (!verbs_is_ours(c))
		return verbs_real(ibv_close_device)(c);
	verbs_pump_close(ctx);
	while ((qp = LIST_FIRST(&ctx->qps)))
		verbs_qp_close(qp);
	verbs_keys_fini(&ctx->keys, ctx->nic);
	verbs_gids_fini(&ctx->gids);
	u_lock_fini(&ctx->lock);
	nic_close(ctx->nic);
	close(c->async_fd);
	pthread_mutex_destroy(&c->mutex);
	free(ctx);
	return 0;
}
