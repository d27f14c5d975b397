/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * nic_crowd_test.c - more peers on other hosts than a queue pair can know
 */
#include "nic_fixture.h"

#include <errno.h>

#include "nic/nic_priv.h"

static int peer_get(struct nt *t, uint32_t connid)
{
	struct nic_far *far = &t->b.qp->far;
	struct srd_addr addr = { .qpn = t->a.addr.qpn, .connid = connid };
	struct srd_peer *p;
	int rc;

	memcpy(addr.gid, t->a.addr.gid, sizeof(addr.gid));
	u_lock(&far->lock);
	rc = nic_far_open(far);
	if (!rc)
		rc = srd_peer_get(far->srd, &addr, &p);
	u_unlock(&far->lock);
	return rc;
}

/* As after a packet, some time later. */
static void look(struct nt *t)
{
	struct nic_far *far = &t->b.qp->far;

	u_lock(&far->lock);
	nic_far_notes(far, far->notes_at + U_SEC);
	u_unlock(&far->lock);
}

static void nic_far_notes__says_that_it_is_full(void **state)
{
	struct nt *t = *state;

	for (uint32_t i = 0; i < NIC_FAR_PEERS - 1; i++)
		assert_int_equal(peer_get(t, 1000000 + i), 0);
	look(t);
	assert_int_equal(nt_warnings(), 0);
	assert_int_equal(peer_get(t, 1), 0);
	assert_int_equal(peer_get(t, 2), -ENOSPC);
	look(t);
	assert_true(nt_logged("can know no more"));
	look(t);
	assert_int_equal(nt_warnings(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NT_FAR(nic_far_notes__says_that_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
