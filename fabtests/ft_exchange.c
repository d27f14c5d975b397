/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ft_exchange.c - the second process, and the stream beside the provider
 *
 * A forked pair talks over a socket pair, so that any number of pairs run at
 * once; two processes started apart talk over TCP. The fork comes before every
 * libfabric call: providers do not survive one.
 */
#include "ft.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECT_TRIES 100 /* of 100 ms each */
#define SPINS 2000u /* polls of the stream before sleeping */

void ft_pin(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fprintf(stderr, "cannot pin to core %d: %s\n", core,
			strerror(errno));
}

static void fork_client(struct ft *ft)
{
	int pair[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		ft_die("socketpair", -errno);
	fflush(NULL);
	ft->child = fork();
	if (ft->child < 0)
		ft_die("fork", -errno);
	ft->client = !ft->child;
	if (ft->client) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
	close(pair[ft->client]);
	ft->oob = pair[!ft->client];
}

/* A socket that takes both families, or IPv4 where there is no IPv6. */
static int listen_at(unsigned short port)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_ANY_INIT,
	};
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	const void *any = &sin6;
	socklen_t len = sizeof(sin6);
	int zero = 0, one = 1;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero))) {
		if (fd >= 0)
			close(fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		any = &sin;
		len = sizeof(sin);
	}
	if (fd < 0)
		ft_die("socket", -errno);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, any, len) || listen(fd, 1))
		ft_fail("port %u: %s", port, strerror(errno));
	return fd;
}

static void accept_client(struct ft *ft)
{
	int fd = listen_at(ft->opt.port);

	ft->oob = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (ft->oob < 0)
		ft_die("accept", -errno);
	close(fd);
}

static int connect_once(const struct addrinfo *ai)
{
	for (; ai; ai = ai->ai_next) {
		int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		if (!connect(fd, ai->ai_addr, ai->ai_addrlen))
			return fd;
		close(fd);
	}
	return -1;
}

static void connect_server(struct ft *ft)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	char port[8];
	int rc;

	snprintf(port, sizeof(port), "%u", ft->opt.port);
	rc = getaddrinfo(ft->opt.server, port, &hints, &ai);
	if (rc)
		ft_fail("%s: %s", ft->opt.server, gai_strerror(rc));
	ft->oob = -1;
	for (int i = 0; i < CONNECT_TRIES && ft->oob < 0; i++) {
		if (i)
			usleep(100000);
		ft->oob = connect_once(ai);
	}
	freeaddrinfo(ai);
	if (ft->oob < 0)
		ft_fail("no server at %s port %s", ft->opt.server, port);
	ft->client = true;
}

void ft_pair(struct ft *ft)
{
	int one = 1;

	if (ft->opt.fork)
		fork_client(ft);
	else if (ft->opt.listen)
		accept_client(ft);
	else
		connect_server(ft);
	if (!ft->opt.fork)
		setsockopt(ft->oob, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
	if (ft->opt.pin)
		ft_pin(ft->client);
	/* Providers read theirs with the first call of libfabric. */
	if (ft->opt.env[ft->client] && putenv(ft->opt.env[ft->client]))
		ft_die("putenv", -errno);
}

void ft_start(struct ft *ft, int argc, char **argv,
	      const struct ft_program *program)
{
	*ft = (struct ft){ .program = program, .oob = -1 };
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* libinfinipath would turn a crash into exit(1) with no core. */
	setenv("IPATH_NO_BACKTRACE", "1", 0);
	ft_options_parse(ft, argc, argv);
	ft_pair(ft);
}

void ft_oob_send(struct ft *ft, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(ft->oob, p, len);

		if (n < 0 && errno != EINTR)
			ft_fail("the peer is gone: %s", strerror(errno));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

/*
 * Manual progress: the peer may need us while it finishes its part. After a
 * while of that it is asleep or far behind, and gets the core.
 */
static void wait_readable(struct ft *ft)
{
	struct pollfd pfd = { .fd = ft->oob, .events = POLLIN };
	unsigned int spins = 0;

	while (!poll(&pfd, 1, spins < SPINS ? 0 : 1)) {
		ft_progress(ft);
		if (spins++ < SPINS)
			ft_idle(ft);
		else
			ft_idle_check(ft);
	}
	ft_busy(ft);
}

void ft_oob_recv(struct ft *ft, void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n;

		wait_readable(ft);
		n = read(ft->oob, p, len);
		if (!n || (n < 0 && errno != EINTR))
			ft_fail("the peer is gone");
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void ft_sync(struct ft *ft)
{
	char c = 's';

	ft_oob_send(ft, &c, 1);
	ft_oob_recv(ft, &c, 1);
}

void ft_idle_check(struct ft *ft)
{
	uint64_t now = ft_now();

	/* Who waits for an answer may wait in vain as his question failed. */
	if (ft->ep && (ft->tx_posted || ft->tx_injected))
		ft_poll_tx(ft);
	if (ft->child && !ft->child_gone &&
	    waitpid(ft->child, &ft->child_status, WNOHANG) == ft->child) {
		ft->child_gone = true;
		if (ft->child_status)
			ft_fail("the client is gone (status 0x%x)",
				(unsigned int)ft->child_status);
	}
	if (!ft->idle_since)
		ft->idle_since = now;
	if (now - ft->idle_since > ft->opt.timeout_s * 1000000000ull)
		ft_fail("%s: nothing happened for %u s",
			ft->client ? "client" : "server", ft->opt.timeout_s);
}

int ft_finish(struct ft *ft, int status)
{
	ft_sync(ft);
	ft_close(ft);
	close(ft->oob);
	if (ft->child && !ft->child_gone &&
	    waitpid(ft->child, &ft->child_status, 0) != ft->child)
		ft_die("waitpid", -errno);
	if (ft->child_status)
		fprintf(stderr, "client status 0x%x\n",
			(unsigned int)ft->child_status);
	return status || ft->child_status ? EXIT_FAILURE : EXIT_SUCCESS;
}
