/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft_data.c - counted sends and receives, and the polls that count them
 *
 * -FI_EAGAIN from a send is answered with progress and another try: that is
 * what RM_ENABLED promises will end.
 */
#include "ft.h"

#include <poll.h>

static ssize_t send_once(struct ft *ft, const struct ft_buf *buf, size_t len,
			 uint64_t tag, void *context)
{
	if (ft->opt.tagged)
		return fi_tsend(ft->ep, buf->p, len, buf->desc, ft->peer, tag,
				context);
	return fi_send(ft->ep, buf->p, len, buf->desc, ft->peer, context);
}

static ssize_t inject_once(struct ft *ft, const void *p, size_t len,
			   uint64_t tag)
{
	if (ft->opt.tagged)
		return fi_tinject(ft->ep, p, len, ft->peer, tag);
	return fi_inject(ft->ep, p, len, ft->peer);
}

static __attribute__((cold)) void send_blocked(struct ft *ft, const char *what,
					       ssize_t ret)
{
	if (ret != -FI_EAGAIN)
		ft_die(what, (int)ret);
	if (!ft_poll_tx(ft))
		ft_idle(ft);
	ft_progress(ft);
}

void ft_send(struct ft *ft, const struct ft_buf *buf, size_t len, uint64_t tag,
	     void *context)
{
	ssize_t ret;

	while ((ret = send_once(ft, buf, len, tag, context)))
		send_blocked(ft, "fi_send", ret);
	ft->tx_posted++;
}

void ft_inject(struct ft *ft, const void *p, size_t len, uint64_t tag)
{
	ssize_t ret;

	while ((ret = inject_once(ft, p, len, tag)))
		send_blocked(ft, "fi_inject", ret);
	ft->tx_injected++;
}

int ft_recv_try(struct ft *ft, struct ft_buf *buf, size_t len, uint64_t tag,
		void *context)
{
	ssize_t ret;

	if (ft->opt.tagged)
		ret = fi_trecv(ft->ep, buf->p, len, buf->desc, FI_ADDR_UNSPEC,
			       tag, 0, context);
	else
		ret = fi_recv(ft->ep, buf->p, len, buf->desc, FI_ADDR_UNSPEC,
			      context);
	/* Some providers call a full queue a lack of memory. */
	if (ret && ret != -FI_EAGAIN && ret != -FI_ENOMEM)
		ft_die("fi_recv", (int)ret);
	return ret ? -FI_EAGAIN : 0;
}

void ft_recv(struct ft *ft, struct ft_buf *buf, size_t len, uint64_t tag,
	     void *context)
{
	while (ft_recv_try(ft, buf, len, tag, context))
		send_blocked(ft, "fi_recv", -FI_EAGAIN);
}

_Noreturn void ft_cq_die(struct ft *ft, struct fid_cq *cq, const char *what)
{
	struct fi_cq_err_entry err = { 0 };
	ssize_t n = fi_cq_readerr(cq, &err, 0);

	if (n < 0)
		ft_die("fi_cq_readerr", (int)n);
	ft_fail("%s: %s: error completion: %s, provider says %s",
		ft->client ? "client" : "server", what, fi_strerror(err.err),
		fi_cq_strerror(cq, err.prov_errno, err.err_data, NULL, 0));
}

static size_t poll_cq(struct ft *ft, struct fid_cq *cq, void *entries,
		      size_t max, const char *what)
{
	ssize_t n = ft->opt.wait == FT_WAIT_SREAD && cq == ft->rxcq ?
			    fi_cq_sread(cq, entries, max, NULL, FT_SLEEP_MS) :
			    fi_cq_read(cq, entries, max);

	if (n > 0) {
		ft_busy(ft);
		return (size_t)n;
	}
	if (n == -FI_EAVAIL)
		ft_cq_die(ft, cq, what);
	if (n && n != -FI_EAGAIN)
		ft_die(what, (int)n);
	return 0;
}

size_t ft_poll_rx(struct ft *ft, void *entries, size_t max)
{
	size_t n = poll_cq(ft, ft->rxcq, entries, max, "receive");

	ft->rx_done += n;
	return n;
}

size_t ft_poll_tx(struct ft *ft)
{
	struct fi_cq_tagged_entry entry[FT_CQ_BATCH];
	size_t n = poll_cq(ft, ft->txcq, entry, FT_CQ_BATCH, "send");

	ft->tx_done += n;
	return n;
}

void ft_progress(struct ft *ft)
{
	if (!ft->ep)
		return;
	(void)fi_cq_read(ft->txcq, NULL, 0);
	(void)fi_cq_read(ft->rxcq, NULL, 0);
}

static struct pollfd pollfd_of(struct fid_cq *cq)
{
	struct pollfd p = { .events = POLLIN };

	ft_check("fi_control", fi_control(&cq->fid, FI_GETWAIT, &p.fd));
	return p;
}

void ft_idle_sleep(struct ft *ft)
{
	struct fid *fids[] = { &ft->rxcq->fid, &ft->txcq->fid };
	struct pollfd p[2];

	ft_idle_check(ft);
	if (ft->opt.wait != FT_WAIT_FD)
		return;
	p[0] = pollfd_of(ft->rxcq);
	p[1] = pollfd_of(ft->txcq);
	if (!fi_trywait(ft->fabric, fids, 2))
		poll(p, 2, FT_SLEEP_MS);
}

void ft_wait_tx(struct ft *ft)
{
	while (ft->tx_done < ft->tx_posted)
		if (!ft_poll_tx(ft))
			ft_idle(ft);
}

void ft_wait_rx(struct ft *ft, uint64_t total)
{
	struct fi_cq_tagged_entry entry;

	while (ft->rx_done < total)
		if (!ft_poll_rx(ft, &entry, 1))
			ft_idle(ft);
}
