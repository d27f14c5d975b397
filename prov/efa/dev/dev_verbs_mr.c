/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * dev_verbs_mr.c - memory the device may reach: regions, and local buffers
 * while a request names them
 */
#include "dev_verbs_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "util/u_log.h"

/* ---- locked memory ------------------------------------------------------- */

/* KiB that this process has locked, 0 if the system does not tell. */
static unsigned long long locked_kib(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* Once a process: it would come again with every message. */
static U_COLD void explain(struct verbs_dev *vd, size_t len)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;
	unsigned long long pinned = locked_kib();
	struct rlimit limit;

	if (atomic_flag_test_and_set(&told))
		return;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) ||
	    limit.rlim_cur == RLIM_INFINITY) {
		u_warn("%s: %zu bytes cannot be registered: the device has no "
		       "room for more regions, or the system no memory",
		       vd->dev.info.name, len);
		return;
	}
	u_warn("%s: %zu bytes cannot be registered: the limit on locked memory "
	       "(RLIMIT_MEMLOCK) is %llu KiB and it takes %llu KiB at least; "
	       "raise it with ulimit -l, memlock in limits.conf or LimitMEMLOCK "
	       "of systemd, best to unlimited",
	       vd->dev.info.name, len,
	       (unsigned long long)limit.rlim_cur / 1024,
	       pinned + (len + 1023) / 1024);
}

/* What the cache keeps for later has to yield to what is needed now. */
struct ibv_mr *verbs_reg_mr(struct verbs_dev *vd, void *addr, size_t len,
			    uint32_t access)
{
	struct ibv_mr *mr = ibv_reg_mr(vd->pd, addr, len, access);

	if (u_likely(mr != NULL) || errno != ENOMEM)
		return mr;
	dev_cache_flush(vd->cache);
	mr = ibv_reg_mr(vd->pd, addr, len, access);
	if (!mr && errno == ENOMEM)
		explain(vd, len);
	return mr;
}

/* ---- local buffers of requests ------------------------------------------- */

static int cache_reg(void *ctx, void *addr, size_t len, uint32_t access,
		     void **mr)
{
	const struct verbs_dev *vd = ctx;

	*mr = ibv_reg_mr(vd->pd, addr, len, access);
	return *mr ? 0 : errno ? -errno : -ENOMEM;
}

static void cache_dereg(void *ctx, void *mr)
{
	(void)ctx;
	ibv_dereg_mr(mr);
}

int verbs_regs_init(struct verbs_dev *vd, const struct dev_config *config)
{
	const struct dev_cache_config cc = {
		.reg = cache_reg,
		.dereg = cache_dereg,
		.ctx = vd,
		.max_count = config->mr_cache_count ?
				     config->mr_cache_count :
				     vd->dev.info.max_mr / 10 * 9,
		.max_bytes = config->mr_cache_bytes,
		.monitor = config->no_mr_cache ? DEV_CACHE_NO_MONITOR :
						 DEV_CACHE_UFFD,
	};

	return dev_cache_open(&cc, &vd->cache);
}

void verbs_regs_fini(struct verbs_dev *vd)
{
	dev_cache_close(vd->cache);
}

int verbs_reg_get(struct verbs_dev *vd, const void *addr, size_t len,
		  uint32_t access, struct verbs_reg *out)
{
	struct dev_cache_entry *entry;
	int rc = dev_cache_get(vd->cache, addr, len, access, &entry);

	if (rc == -ENOMEM)
		explain(vd, len);
	if (rc)
		return rc;
	*out = (struct verbs_reg){ entry->mr, entry };
	return 0;
}

void verbs_reg_put(struct verbs_dev *vd, struct verbs_reg *reg)
{
	dev_cache_put(vd->cache, reg->entry);
	*reg = (struct verbs_reg){ .mr = NULL };
}

/* A peer that was told the key may use it still. */
static void reg_revoke(struct verbs_dev *vd, struct verbs_reg *reg)
{
	dev_cache_revoke(vd->cache, reg->entry);
	*reg = (struct verbs_reg){ .mr = NULL };
}

/* ---- regions --------------------------------------------------------------- */

/* What the device cannot do is not asked for: rdm does it in software. */
static uint32_t access_of(const struct verbs_dev *vd, uint32_t access)
{
	uint32_t flags = IBV_ACCESS_LOCAL_WRITE;

	if ((access & DEV_REMOTE_READ) && (vd->caps & VERBS_CAP_READ))
		flags |= IBV_ACCESS_REMOTE_READ;
	if ((access & DEV_REMOTE_WRITE) && (vd->caps & VERBS_CAP_WRITE))
		flags |= IBV_ACCESS_REMOTE_WRITE;
	return flags;
}

static int region_reg(struct verbs_dev *vd, struct verbs_mr *mr,
		      uint32_t access, bool brief)
{
	void *addr = (void *)(uintptr_t)mr->mr.addr;

	if (brief) {
		int rc = verbs_reg_get(vd, addr, mr->mr.len, access, &mr->reg);

		mr->ibv = mr->reg.mr;
		return rc;
	}
	mr->ibv = verbs_reg_mr(vd, addr, mr->mr.len, access);
	return mr->ibv ? 0 : errno ? -errno : -ENOMEM;
}

int verbs_mr_open(struct dev *d, void *addr, size_t len, uint32_t access,
		  struct dev_mr **out)
{
	struct verbs_dev *vd = u_container_of(d, struct verbs_dev, dev);
	uint32_t flags = access_of(vd, access);
	bool brief = access & DEV_MR_BRIEF;
	struct verbs_mr *mr;
	int rc;

	if (len > UINT64_MAX - (uintptr_t)addr)
		return -EINVAL;
	mr = calloc(1, sizeof(*mr));
	if (!mr)
		return -ENOMEM;
	mr->mr.dev = d;
	mr->mr.addr = (uintptr_t)addr;
	mr->mr.len = len;
	rc = region_reg(vd, mr, flags, brief);
	/* Memory that may only be read can be sent from all the same. */
	if (rc == -EFAULT && !(flags & IBV_ACCESS_REMOTE_WRITE))
		rc = region_reg(vd, mr, flags & ~IBV_ACCESS_LOCAL_WRITE, brief);
	if (rc) {
		free(mr);
		return rc;
	}
	mr->mr.key = mr->ibv->rkey;
	mr->access = access & (DEV_REMOTE_READ | DEV_REMOTE_WRITE);
	verbs_key_add(vd, mr);
	*out = &mr->mr;
	return 0;
}

int verbs_mr_close(struct dev_mr *m)
{
	struct verbs_dev *vd = u_container_of(m->dev, struct verbs_dev, dev);
	struct verbs_mr *mr = u_container_of(m, struct verbs_mr, mr);
	int rc = 0;

	verbs_key_remove(vd, mr);
	if (mr->reg.mr && m->over)
		verbs_reg_put(vd, &mr->reg);
	else if (mr->reg.mr)
		reg_revoke(vd, &mr->reg);
	else
		rc = ibv_dereg_mr(mr->ibv);
	if (rc) {
		verbs_key_add(vd, mr);
		return rc > 0 ? -rc : rc;
	}
	free(mr);
	return 0;
}

int verbs_mr_ids(struct dev_mr *m, struct dev_mr_ids *ids)
{
	return verbs_lib_mr_ids(u_container_of(m, struct verbs_mr, mr)->ibv,
				ids);
}

bool verbs_mr_lkey(const struct dev_mr *m, const void *addr, uint64_t len,
		   uint32_t *lkey)
{
	uint64_t at = (uintptr_t)addr;

	if (!m || at < m->addr || at - m->addr > m->len ||
	    len > m->len - (at - m->addr))
		return false;
	*lkey = u_container_of(m, const struct verbs_mr, mr)->ibv->lkey;
	return true;
}
