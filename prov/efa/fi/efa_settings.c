/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * efa_settings.c - the one table of FI_EFA_* variables
 *
 * Every variable is defined to libfabric as a string and parsed here, because
 * libfabric's own number parser takes "64k" for 64 and "many" for 0. The help
 * text says the kind, so fi_info -g efa tells all that matters.
 */
#include "fi/efa_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <rdma/providers/fi_prov.h>

#include "util/u_base.h"
#include "util/u_log.h"
#include "util/u_time.h"

#define PREFIX "FI_EFA_"

enum setting_kind {
	SETTING_NUMBER, /* min..max; K, M and G multiply by 1024 */
	SETTING_POWER, /* a power of two, min..max; written as numbers are */
	SETTING_BOOL,
	SETTING_TEXT,
	SETTING_DEVICE, /* a name of enum dev_choice */
	SETTING_PORTS, /* "lo-hi" into the field and the one after it */
};

struct setting {
	const char *name; /* after FI_EFA_ */
	enum setting_kind kind;
	size_t field; /* offset in struct efa_settings */
	uint64_t def; /* of numbers, bools and choices */
	uint64_t min, max; /* of numbers */
	const char *help;
};

#define FIELD(name) offsetof(struct efa_settings, name)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct setting settings[] = {
	{ "DEVICE", SETTING_DEVICE, FIELD(device), DEV_AUTO, 0, 0,
	  "which devices to use: soft, verbs, or auto, which is RDMA devices "
	  "if there are any and the software device otherwise" },
	{ "IFACE", SETTING_TEXT, FIELD(iface), 0, 0, 0,
	  "comma-separated interfaces or devices to use, or all; without it "
	  "every RDMA device, or for the software device the interface of the "
	  "default route" },
	{ "SHM_DIR", SETTING_TEXT, FIELD(shm_dir), 0, 0, 0,
	  "directory of shared-memory segments (default /dev/shm)" },
	{ "PORT_RANGE", SETTING_PORTS, FIELD(port_min), 0, 1, 65535,
	  "UDP ports of queue pairs as lo-hi, for firewalls (default: any)" },
	{ "USE_CMA", SETTING_BOOL, FIELD(use_cma), 1, 0, 0,
	  "copy large messages straight between processes of one host where "
	  "the system permits it" },
	{ "LANE_SIZE", SETTING_POWER, FIELD(lane_size), 128 * 1024, 32 * 1024,
	  16 * MIB, "bytes of the shared-memory ring for each sender" },
	{ "ENABLE_SHM_TRANSFER", SETTING_BOOL, FIELD(use_shm), 1, 0, 0,
	  "use shared memory between processes of one host; off, they talk "
	  "over the network as hosts do" },
	{ "PATHS", SETTING_NUMBER, FIELD(paths), 0, 0, 64,
	  "UDP source ports, or queue pairs of an RDMA NIC, that an endpoint "
	  "sends from, so that the network spreads its packets over several "
	  "paths (default 32 of UDP, 4 of an RDMA NIC, which has 16 at most)" },
	{ "SOCKET_BUFFER", SETTING_NUMBER, FIELD(socket_buffer), 4 * MIB,
	  64 * 1024, GIB,
	  "bytes of the socket buffers of an endpoint, or of its receive "
	  "buffers in an RDMA NIC; the system may grant less" },
	{ "PEER_TIMEOUT", SETTING_NUMBER, FIELD(peer_timeout_ms), 10000, 100,
	  3600 * 1000,
	  "milliseconds of silence after which a peer on another host is "
	  "taken for dead" },
	{ "CHECKSUM", SETTING_BOOL, FIELD(checksum), 0, 0, 0,
	  "checksum whole packets between hosts, not their headers alone, for "
	  "networks that let errors pass" },
	{ "FAULT", SETTING_TEXT, FIELD(fault), 0, 0, 0,
	  "spoil packets to other hosts on purpose, for tests, as in "
	  "loss=1%,reorder=10%:300us,dup=1%,corrupt=1%,delay=20us,black=0,"
	  "slow=1:5ms,seed=7" },
	{ "REFUSE_READS", SETTING_NUMBER, FIELD(refuse_reads), 0, 0, 1 << 20,
	  "have the software device refuse every so many-th RDMA read of an "
	  "RDM endpoint for want of memory, for tests; 0 is none" },
	{ "MR_CACHE_ENABLE", SETTING_BOOL, FIELD(mr_cache), 1, 0, 0,
	  "keep registrations of user memory for the next transfer, on RDMA "
	  "devices" },
	{ "MR_MAX_CACHED_COUNT", SETTING_NUMBER, FIELD(mr_cache_count), 0, 0,
	  UINT64_MAX,
	  "registrations kept at most; 0 is nine tenths of what the device "
	  "takes" },
	{ "MR_MAX_CACHED_SIZE", SETTING_NUMBER, FIELD(mr_cache_bytes), 0, 0,
	  UINT64_MAX,
	  "bytes kept registered at most; 0 is what the system lets the "
	  "process pin" },
	{ "TX_SIZE", SETTING_NUMBER, FIELD(tx_size), 0, 0, 1 << 20,
	  "send operations an endpoint can have under way" },
	{ "RX_SIZE", SETTING_NUMBER, FIELD(rx_size), 0, 0, 1 << 20,
	  "receive operations an endpoint can have posted" },
	{ "CQ_SIZE", SETTING_NUMBER, FIELD(cq_size), 8192, 1, 1 << 24,
	  "entries a completion queue has room for at first" },
	{ "INTER_MAX_MEDIUM_MESSAGE_SIZE", SETTING_NUMBER, FIELD(medium_max),
	  65536, 0, GIB,
	  "bytes up to which a message is sent without asking the receiver" },
	{ "INTER_MIN_READ_MESSAGE_SIZE", SETTING_NUMBER, FIELD(read_min), 0, 0,
	  UINT64_MAX,
	  "bytes from which the receiver fetches a message by RDMA read" },
	{ "INTER_MIN_READ_WRITE_SIZE", SETTING_NUMBER, FIELD(write_read_min),
	  65536, 0, UINT64_MAX,
	  "bytes from which the target of a write fetches it by RDMA read "
	  "where RDMA write is not to be had" },
	{ "RUNT_SIZE", SETTING_NUMBER, FIELD(runt_size), 0, 0, GIB,
	  "bytes of a message that are sent while the receiver fetches the "
	  "rest" },
	{ "USE_DEVICE_RDMA", SETTING_BOOL, FIELD(use_rdma), 1, 0, 0,
	  "let the device read and write the memory of peers; off, RMA goes "
	  "in packets" },
	{ "UNEXPECTED_SIZE", SETTING_NUMBER, FIELD(unexpected_max), 64 * MIB,
	  64 * 1024, UINT64_MAX,
	  "bytes of unexpected messages an endpoint keeps before it holds "
	  "its peers back" },
	{ "FORK_SAFE", SETTING_BOOL, FIELD(fork_safe), 0, 0, 0,
	  "keep memory that EFA devices use out of children of fork(), on "
	  "kernels that do not copy it for them" },
	{ "FEATURES_OFF", SETTING_NUMBER, FIELD(features_off), 0, 0, UINT64_MAX,
	  "bit mask of protocol features not to offer to peers, for tests" },
};

/* Other providers of the name efa have these; here they mean nothing. */
static const char *const foreign[] = {
	"EFA_CQ_READ_SIZE",
	"IMPLICIT_AV_SIZE",
	"INTERNAL_RX_REFILL_THRESHOLD",
	"INTER_MAX_GDRCOPY_MESSAGE_SIZE",
	"INTER_READ_SEGMENT_SIZE",
	"MAX_MEMCPY_SIZE",
	"MAX_TIMEOUT",
	"MTU_SIZE",
	"READCOPY_POOL_SIZE",
	"RECVWIN_SIZE",
	"RX_COPY_OOO",
	"RX_COPY_UNEXP",
	"RX_IOV_LIMIT",
	"SET_CUDA_SYNC_MEMOPS",
	"SHM_AV_SIZE",
	"SHM_CQ_READ_SIZE",
	"SHM_MAX_MEDIUM_SIZE",
	"TIMEOUT_INTERVAL",
	"TRACK_MR",
	"TX_IOV_LIMIT",
	"TX_MIN_CREDITS",
	"TX_QUEUE_SIZE",
	"USE_DATA_PATH_DIRECT",
	"USE_HUGE_PAGE",
	"USE_HW_CNTR",
	"USE_SM2",
	"USE_SQ_REQ_ID_64_BIT",
	"USE_UNSOLICITED_WRITE_RECV",
	"USE_ZCPY_RX",
	"ZCPY_RX_SEED",
};

/* In the order of enum dev_choice. */
static const char *const device_names[] = { "auto", "soft", "verbs" };

struct efa_settings efa_settings;

static void *field_of(const struct setting *s)
{
	return (char *)&efa_settings + s->field;
}

static int parse_number(const struct setting *s, const char *text,
			uint64_t *value)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t n;
	char *end;
	int shift = 0;

	/* strtoull() would take "-1" for the largest number. */
	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno)
		return -EINVAL;
	if (end[0]) {
		unit = strchr(units, end[0] & ~0x20);
		if (!unit || !*unit || end[1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
	}
	if (n > UINT64_MAX >> shift)
		return -EINVAL;
	n <<= shift;
	if (n < s->min || n > s->max)
		return -EINVAL;
	*value = n;
	return 0;
}

static int parse_power(const struct setting *s, const char *text,
		       uint64_t *value)
{
	uint64_t n;

	if (parse_number(s, text, &n) || (n & (n - 1)))
		return -EINVAL;
	*value = n;
	return 0;
}

static int parse_bool(const char *text, uint64_t *value)
{
	static const char *const no[] = { "0", "no", "false", "off" };
	static const char *const yes[] = { "1", "yes", "true", "on" };

	for (size_t i = 0; i < u_array_size(no); i++) {
		if (strcasecmp(text, no[i]) == 0)
			*value = 0;
		else if (strcasecmp(text, yes[i]) == 0)
			*value = 1;
		else
			continue;
		return 0;
	}
	return -EINVAL;
}

static int parse_device(const char *text, uint64_t *value)
{
	for (size_t i = 0; i < u_array_size(device_names); i++) {
		if (strcasecmp(text, device_names[i]) == 0) {
			*value = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_ports(const struct setting *s, const char *text,
		       uint64_t *range)
{
	unsigned int lo, hi;
	int used = 0;

	if (sscanf(text, "%5u-%5u%n", &lo, &hi, &used) != 2 || text[used])
		return -EINVAL;
	if (lo < s->min || hi > s->max || lo > hi)
		return -EINVAL;
	range[0] = lo;
	range[1] = hi;
	return 0;
}

/* An empty text is an unset one. */
static int parse_text(const char *text, char **value)
{
	if (!text[0])
		return 0;
	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

static int parse(const struct setting *s, const char *text)
{
	switch (s->kind) {
	case SETTING_NUMBER:
		return parse_number(s, text, field_of(s));
	case SETTING_POWER:
		return parse_power(s, text, field_of(s));
	case SETTING_BOOL:
		return parse_bool(text, field_of(s));
	case SETTING_TEXT:
		return parse_text(text, field_of(s));
	case SETTING_DEVICE:
		return parse_device(text, field_of(s));
	case SETTING_PORTS:
		return parse_ports(s, text, field_of(s));
	}
	return -EINVAL;
}

static void set_default(const struct setting *s)
{
	uint64_t *field = field_of(s);

	switch (s->kind) {
	case SETTING_NUMBER:
	case SETTING_POWER:
	case SETTING_BOOL:
	case SETTING_DEVICE:
		field[0] = s->def;
		break;
	case SETTING_PORTS:
		field[0] = field[1] = 0;
		break;
	case SETTING_TEXT:
		*(char **)(void *)field = NULL;
		break;
	}
}

/* What may stand in the variable, for the warning and for the help. */
static void describe(const struct setting *s, char *buf, size_t len)
{
	switch (s->kind) {
	case SETTING_NUMBER:
		if (s->max == UINT64_MAX)
			snprintf(buf, len, "a number from %llu (default %llu)",
				 (unsigned long long)s->min,
				 (unsigned long long)s->def);
		else
			snprintf(buf, len,
				 "a number from %llu to %llu (default %llu)",
				 (unsigned long long)s->min,
				 (unsigned long long)s->max,
				 (unsigned long long)s->def);
		break;
	case SETTING_POWER:
		snprintf(buf, len,
			 "a power of two from %llu to %llu (default %llu)",
			 (unsigned long long)s->min, (unsigned long long)s->max,
			 (unsigned long long)s->def);
		break;
	case SETTING_BOOL:
		snprintf(buf, len, "0 or 1 (default %llu)",
			 (unsigned long long)s->def);
		break;
	case SETTING_DEVICE:
		snprintf(buf, len, "auto, soft or verbs (default %s)",
			 device_names[s->def]);
		break;
	case SETTING_PORTS:
		snprintf(buf, len, "two ports as lo-hi, from %llu to %llu",
			 (unsigned long long)s->min,
			 (unsigned long long)s->max);
		break;
	case SETTING_TEXT:
		snprintf(buf, len, "a text");
		break;
	}
}

static void load_one(struct fi_provider *provider, const struct setting *s)
{
	char allowed[96];
	char *text = NULL;

	set_default(s);
	describe(s, allowed, sizeof(allowed));
	fi_param_define(provider, s->name, FI_PARAM_STRING, "%s; %s", s->help,
			allowed);
	if (fi_param_get_str(provider, s->name, &text) || !text)
		return;
	if (parse(s, text) == 0)
		return;
	set_default(s);
	u_warn(PREFIX "%s=%s cannot be used and is ignored; allowed is %s",
	       s->name, text, allowed);
}

static bool is_ours(const char *name, size_t len)
{
	for (size_t i = 0; i < u_array_size(settings); i++)
		if (strncmp(settings[i].name, name, len) == 0 &&
		    !settings[i].name[len])
			return true;
	return false;
}

static bool is_foreign(const char *name, size_t len)
{
	for (size_t i = 0; i < u_array_size(foreign); i++)
		if (strncmp(foreign[i], name, len) == 0 && !foreign[i][len])
			return true;
	return false;
}

/* A variable that does nothing, most of all a misspelt one, is worth a line. */
static void report_unknown(void)
{
	const size_t skip = strlen(PREFIX);
	size_t len;

	for (char **var = environ; var && *var; var++) {
		if (strncmp(*var, PREFIX, skip) != 0)
			continue;
		len = strcspn(*var + skip, "=");
		if (is_ours(*var + skip, len))
			continue;
		if (is_foreign(*var + skip, len))
			u_info("%.*s has no meaning here and is ignored",
			       (int)(skip + len), *var);
		else
			u_warn("%.*s is no setting of this provider; fi_info "
			       "-g efa lists those that are",
			       (int)(skip + len), *var);
	}
}

void efa_settings_load(struct fi_provider *provider)
{
	for (size_t i = 0; i < u_array_size(settings); i++)
		load_one(provider, &settings[i]);
	report_unknown();
}

void efa_settings_free(void)
{
	free(efa_settings.iface);
	free(efa_settings.shm_dir);
	free(efa_settings.fault);
	efa_settings.iface = efa_settings.shm_dir = NULL;
	efa_settings.fault = NULL;
}

void efa_settings_dev_config(struct dev_config *config)
{
	*config = (struct dev_config){
		.choice = (enum dev_choice)efa_settings.device,
		.iface = efa_settings.iface,
		.fork_safe = efa_settings.fork_safe,
		.shm_dir = efa_settings.shm_dir,
		.lane_bytes = (uint32_t)efa_settings.lane_size,
		.port_min = (uint16_t)efa_settings.port_min,
		.port_max = (uint16_t)efa_settings.port_max,
		.no_cma = !efa_settings.use_cma,
		.no_shm = !efa_settings.use_shm,
		.paths = (uint32_t)efa_settings.paths,
		.socket_buffer = (uint32_t)efa_settings.socket_buffer,
		.peer_timeout = efa_settings.peer_timeout_ms * U_MSEC,
		.check_all = efa_settings.checksum,
		.fault = efa_settings.fault,
		.refuse_reads = (uint32_t)efa_settings.refuse_reads,
		.no_mr_cache = !efa_settings.mr_cache,
		.mr_cache_count = efa_settings.mr_cache_count,
		.mr_cache_bytes = efa_settings.mr_cache_bytes,
	};
}
