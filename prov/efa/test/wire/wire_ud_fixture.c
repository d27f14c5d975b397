/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * wire_ud_fixture.c - two UD wires on two fake devices
 */
#include "wire_ud_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/u_log.h"
#include "util/u_time.h"

static char log_text[8192];
static unsigned int log_warnings;

static void log_line(enum u_log_level level, const char *line)
{
	size_t at = strlen(log_text);

	snprintf(log_text + at, sizeof(log_text) - at, "%s\n", line);
	log_warnings += level == U_LOG_WARN;
}

bool logged(const char *part)
{
	return strstr(log_text, part) != NULL;
}

unsigned int warnings(void)
{
	return log_warnings;
}

int ud_setup(void **state)
{
	log_text[0] = '\0';
	log_warnings = 0;
	u_log_set_sink(log_line);
	fake_reset(2);
	*state = calloc(1, sizeof(struct ud));
	return *state ? 0 : -1;
}

int side_open(struct side *s, int d, uint32_t rx_bytes)
{
	static uint32_t qkey = 100;
	struct wire_ud_config c = { .port = 1,
				    .paths = PATHS,
				    .rx_bytes = rx_bytes };
	struct wire_ud_info *list;
	int n = wire_ud_list(&list);
	int rc;

	assert_true(n > d);
	s->info = list[d];
	free(list);
	s->qkey = c.qkey = ++qkey;
	c.device = s->info.device;
	c.gid = s->info.gid;
	rc = wire_ud_open(&c, &s->w);
	/* However slow the machine is, a first packet waits for its handle. */
	if (!rc)
		wire_ud_of(s->w)->hosts.patience = 3600 * U_SEC;
	return rc;
}

void side_close(struct side *s)
{
	if (s->w)
		wire_close(s->w);
	s->w = NULL;
}

int ud_setup_pair(void **state)
{
	struct ud *ud;

	if (ud_setup(state))
		return -1;
	ud = *state;
	return side_open(&ud->a, 0, 0) || side_open(&ud->b, 1, 0);
}

int ud_teardown(void **state)
{
	struct ud *ud = *state;

	side_close(&ud->a);
	side_close(&ud->b);
	assert_int_equal(fake.objects, 0);
	fake_end();
	u_log_set_sink(NULL);
	free(ud);
	return 0;
}

struct wire_out packet_to(const struct side *s, uint8_t path, uint32_t len,
			  uint8_t first)
{
	static uint8_t bytes[256][8192];
	uint8_t *b = bytes[first];

	memset(b, first, len);
	return (struct wire_out){
		.gid = s->info.gid,
		.qpn = s->w->qpn,
		.key = s->qkey,
		.path = path,
		.hdr = b,
		.hdr_len = 24,
		.data = b + 24,
		.data_len = (uint16_t)(len - 24),
	};
}

void send_to(struct side *from, const struct side *to, uint8_t path,
	     uint32_t len, uint8_t first)
{
	struct wire_out out = packet_to(to, path, len, first);

	assert_int_equal(wire_send(from->w, &out, 1), 1);
}

void expect_from(struct side *s, const struct side *from, uint32_t len,
		 uint8_t first)
{
	struct wire_in in;

	assert_int_equal(wire_poll(s->w, &in, 1), 1);
	assert_int_equal(in.len, len);
	assert_memory_equal(in.gid, from->info.gid, 16);
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal(in.data[i], first);
	wire_give_back(s->w);
}

int look(struct side *s, struct wire_note *note, int max)
{
	return wire_notes(s->w, note, max);
}
