// SPDX-License-Identifier: Apache-2.0
#include "redirect/redirect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/pins.h"
#include "redirect/skel.h"

// In one turn, so that a process that asks for refusals in a loop leaves time for other work.
#define MOST_EVENTS 256

// Not redirected unless registered: the agent's own machine and private networks (databases and the
// like).
static const struct {
	const char *network;
	unsigned prefix_length;
} direct_networks[] = {
	{ "0.0.0.0", 8 },
	{ "10.0.0.0", 8 },
	{ "100.64.0.0", 10 },
	{ "127.0.0.0", 8 },
	{ "169.254.0.0", 16 },
	{ "172.16.0.0", 12 },
	{ "192.168.0.0", 16 },
	{ "224.0.0.0", 4 },
	{ "::", 128 },
	{ "::1", 128 },
	{ "fc00::", 7 },
	{ "fe80::", 10 },
	{ "ff00::", 8 },
};

static int SG_PRINTF(2, 0)
	libbpf_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = 0;
	sg_log(level == LIBBPF_WARN ? SG_LOG_INFO : SG_LOG_DEBUG, "libbpf", "text=\"%s\"", text);
	return 0;
}

static int set_pin_paths(struct sg_redirect *redirect)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, redirect->skeleton->obj)
	{
		char path[PATH_MAX];
		int r;

		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/maps/%s", redirect->pin_directory,
			bpf_map__name(map));
		r = bpf_map__set_pin_path(map, path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_direct(struct sg_redirect *redirect)
{
	int fd = bpf_map__fd(redirect->skeleton->maps.direct);
	__u8 present = 1;

	for (size_t i = 0; i < SG_ARRAY_SIZE(direct_networks); i++) {
		struct sg_direct_key key = { .prefix_length = direct_networks[i].prefix_length };

		if (inet_pton(AF_INET6, direct_networks[i].network, key.address) != 1) {
			memset(key.address + 10, 0xff, 2);
			key.prefix_length += 96;
			if (inet_pton(AF_INET, direct_networks[i].network, key.address + 12) != 1)
				return -EINVAL;
		}
		if (bpf_map_update_elem(fd, &key, &present, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static int on_ring(void *context, void *data, size_t size)
{
	struct sg_redirect *redirect = context;

	if (size >= sizeof(struct sg_event) && redirect->on_event)
		redirect->on_event(redirect->event_context, data);
	return ++redirect->events_read < MOST_EVENTS ? 0 : -EAGAIN; // ends the reading
}

// -EINVAL: a map is pinned with another layout.
static int load_object(struct sg_redirect *redirect, struct sg_error *error)
{
	int r;

	redirect->skeleton = spendgate_bpf__open();
	if (!redirect->skeleton)
		return sg_error_set(
			error, -errno, "the BPF object can't be opened: %s", strerror(errno));
	r = set_pin_paths(redirect);
	return r < 0 ? r : spendgate_bpf__load(redirect->skeleton);
}

// Pins of another version stay in force beside the new ones.
static int start_anew(struct sg_redirect *redirect, struct sg_error *error)
{
	char path[PATH_MAX];
	int r = sg_pins_set_aside(redirect);

	if (r < 0)
		return sg_error_set(error, -EPROTO,
			"the pins below %s were made by another version, and those of a third one "
			"are still there (%s): what they fence stays fenced and reaches nothing; "
			"stop those agents, and run spendgated --purge",
			redirect->pin_directory, strerror(-r));
	sg_log(SG_LOG_INFO, "pins_set_aside",
		"path=%s/before reason=\"they were made by another version\" effect=\"agents are "
		"fenced by them until they are attached again\"",
		redirect->pin_directory);
	spendgate_bpf__destroy(redirect->skeleton);
	redirect->skeleton = NULL; // until there is another
	snprintf(path, sizeof(path), "%s/maps", redirect->pin_directory);
	r = sg_fd_make_directories(path, 0700);
	if (r == 0)
		r = load_object(redirect, error);
	if (r < 0)
		sg_pins_put_back(redirect);
	return r;
}

static int load(struct sg_redirect *redirect, struct sg_error *error)
{
	char path[PATH_MAX];
	int r;

	r = sg_redirect_mount_bpffs(redirect->pin_directory, error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/maps", redirect->pin_directory);
	r = sg_fd_make_directories(path, 0700);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	r = load_object(redirect, error);
	if (r == -EINVAL) {
		r = start_anew(redirect, error);
		if (r == -EPROTO)
			return r;
	}
	if (r < 0)
		return sg_error_set(error, r,
			"the kernel refuses the BPF programs (%s): Linux 6.1 or later with "
			"CONFIG_CGROUP_BPF is needed",
			strerror(-r));
	r = fill_direct(redirect);
	if (r < 0)
		return sg_error_set(error, r, "map direct: %s", strerror(-r));
	redirect->ring = ring_buffer__new(
		bpf_map__fd(redirect->skeleton->maps.events), on_ring, redirect, NULL);
	if (!redirect->ring)
		return sg_error_set(error, -errno, "ring buffer: %s", strerror(errno));
	return 0;
}

int sg_redirect_open(
	const char *pin_directory, struct sg_redirect **ret_redirect, struct sg_error *error)
{
	struct sg_redirect *redirect = calloc(1, sizeof(*redirect));
	bool is_new = access(pin_directory, F_OK) < 0;
	int r;

	if (!redirect)
		return sg_error_set(error, -ENOMEM, "out of memory");
	libbpf_set_print(libbpf_print);
	if ((size_t)snprintf(redirect->pin_directory, sizeof(redirect->pin_directory), "%s",
		    pin_directory) >= sizeof(redirect->pin_directory)) {
		free(redirect);
		return sg_error_set(error, -ENAMETOOLONG, "%s: too long", pin_directory);
	}
	r = load(redirect, error);
	if (r == 0)
		r = sg_redirect_adopt_links(redirect, error);
	if (r < 0) {
		if (is_new && sg_redirect_remove_all(pin_directory) < 0)
			sg_log(SG_LOG_WARN, "pins", "path=%s reason=\"they can't be removed\"",
				pin_directory);
		sg_redirect_close(redirect);
		return r;
	}
	*ret_redirect = redirect;
	return 0;
}

struct sg_redirect *sg_redirect_close(struct sg_redirect *redirect)
{
	if (!redirect)
		return NULL;
	ring_buffer__free(redirect->ring);
	spendgate_bpf__destroy(redirect->skeleton);
	free(redirect);
	return NULL;
}

// ---- Maps ----

int sg_redirect_set_listener(
	struct sg_redirect *redirect, uint64_t netns_cookie, uint16_t port4, uint16_t port6)
{
	struct sg_listener listener = { .port4 = port4, .port6 = port6 };

	if (bpf_map_update_elem(bpf_map__fd(redirect->skeleton->maps.listeners), &netns_cookie,
		    &listener, BPF_ANY) < 0)
		return -errno;
	return 0;
}

int sg_redirect_clear_listener(struct sg_redirect *redirect, uint64_t netns_cookie)
{
	if (bpf_map_delete_elem(bpf_map__fd(redirect->skeleton->maps.listeners), &netns_cookie) < 0)
		return -errno;
	return 0;
}

void sg_redirect_keep_listeners(struct sg_redirect *redirect,
	bool (*is_wanted)(void *context, uint64_t netns_cookie), void *context)
{
	int fd = bpf_map__fd(redirect->skeleton->maps.listeners);
	uint64_t key, next;
	bool more = bpf_map_get_next_key(fd, NULL, &key) == 0;

	while (more) {
		// The next one first: from a deleted key the walk would begin anew.
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (!is_wanted(context, key))
			bpf_map_delete_elem(fd, &key);
		key = next;
	}
}

static struct sg_endpoint make_endpoint(const uint8_t address[16], uint16_t port)
{
	struct sg_endpoint endpoint = { .port = port };

	memcpy(endpoint.address, address, sizeof(endpoint.address));
	return endpoint;
}

int sg_redirect_add_endpoint(struct sg_redirect *redirect, const uint8_t address[16], uint16_t port)
{
	struct sg_endpoint endpoint = make_endpoint(address, port);
	__u8 present = 1;

	if (bpf_map_update_elem(bpf_map__fd(redirect->skeleton->maps.endpoints), &endpoint,
		    &present, BPF_ANY) < 0)
		return -errno;
	return 0;
}

int sg_redirect_remove_endpoint(
	struct sg_redirect *redirect, const uint8_t address[16], uint16_t port)
{
	struct sg_endpoint endpoint = make_endpoint(address, port);

	if (bpf_map_delete_elem(bpf_map__fd(redirect->skeleton->maps.endpoints), &endpoint) < 0)
		return -errno;
	return 0;
}

int sg_redirect_counter(
	const struct sg_redirect *redirect, enum sg_reason reason, uint64_t *ret_value)
{
	int processors = libbpf_num_possible_cpus();
	__u32 key = reason;
	__u64 *values;
	uint64_t sum = 0;

	if (processors < 0)
		return processors;
	values = calloc((size_t)processors, sizeof(*values));
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(redirect->skeleton->maps.counters), &key, values) < 0) {
		free(values);
		return -errno;
	}
	for (int i = 0; i < processors; i++)
		sum += values[i];
	free(values);
	*ret_value = sum;
	return 0;
}

// ---- Events ----

int sg_redirect_event_fd(const struct sg_redirect *redirect)
{
	return ring_buffer__epoll_fd(redirect->ring);
}

int sg_redirect_read_events(
	struct sg_redirect *redirect, sg_redirect_event_fn on_event, void *context)
{
	int r;

	redirect->on_event = on_event;
	redirect->event_context = context;
	redirect->events_read = 0;
	r = ring_buffer__consume(redirect->ring);
	redirect->on_event = NULL;
	return r == -EAGAIN ? 0 : r;
}

const char *sg_reason_name(enum sg_reason reason)
{
	static const char *const names[] = {
		[SG_REASON_REDIRECTED] = "redirected",
		[SG_REASON_DIRECT] = "direct",
		[SG_REASON_NO_AGENT] = "no_agent",
		[SG_REASON_NO_LISTENER] = "no_listener",
		[SG_REASON_OWN_PORT] = "own_port",
		[SG_REASON_QUIC] = "quic",
		[SG_REASON_STORAGE] = "storage",
		[SG_REASON_BIND] = "bind",
		[SG_REASON_CUT] = "cut",
	};

	return reason < SG_REASON_MAX ? names[reason] : "unknown";
}
