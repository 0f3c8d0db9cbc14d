// SPDX-License-Identifier: Apache-2.0
#include "warden/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "warden/warden.h"

#define FIRST_MS 2000
#define AGAIN_MS 2000

static const char *const keys[] = { "policy", "webhook" };

struct lookup {
	char host[254], port[6];
	char address[64];   // "": it has none
	const char *reason; // of getaddrinfo
};

struct sg_resolver {
	struct sg_watch watch; // first; of the thread's end
	struct sg_timer again;
	struct sg_warden *warden;
	pthread_t thread;
	bool running, told;
	struct lookup lookups[SG_ARRAY_SIZE(keys)]; // the thread's while it runs
};

// ---- The thread ----

static void format(const struct addrinfo *found, char *out, size_t size)
{
	uint8_t address[16] = { [10] = 0xff, [11] = 0xff };
	uint16_t port;

	if (found->ai_family == AF_INET6) {
		const struct sockaddr_in6 *to = (const void *)found->ai_addr;

		memcpy(address, &to->sin6_addr, 16);
		port = ntohs(to->sin6_port);
	} else {
		const struct sockaddr_in *to = (const void *)found->ai_addr;

		memcpy(address + 12, &to->sin_addr, 4);
		port = ntohs(to->sin_port);
	}
	sg_address_format(address, port, out, size);
}

static void *look_up(void *context)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct sg_resolver *resolver = context;

	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++) {
		struct lookup *lookup = &resolver->lookups[i];
		struct addrinfo *found = NULL;
		int r = *lookup->host ? getaddrinfo(lookup->host, lookup->port, &hints, &found) : 0;

		lookup->reason = r ? gai_strerror(r) : NULL;
		if (!found)
			continue;
		format(found, lookup->address, sizeof(lookup->address));
		freeaddrinfo(found);
	}
	if (eventfd_write(resolver->watch.fd, 1) < 0)
		sg_log(SG_LOG_ERROR, "unresolved", "reason=\"%s\"", strerror(errno));
	return NULL;
}

// ---- What it found ----

static bool is_unresolved(const json_t *remote)
{
	return remote && !json_object_get(remote, "address");
}

// Returns whether there is something new. The configuration may be another by now.
static bool take(struct sg_resolver *resolver, size_t i)
{
	const struct lookup *lookup = &resolver->lookups[i];
	json_t *remote = json_object_get(resolver->warden->config, keys[i]);

	if (!*lookup->host || !is_unresolved(remote) ||
		strcmp(lookup->host, json_string_value(json_object_get(remote, "host"))) != 0 ||
		strcmp(lookup->port, json_string_value(json_object_get(remote, "port"))) != 0)
		return false;
	if (*lookup->address)
		return json_object_set_new(remote, "address", json_string(lookup->address)) == 0;
	if (!resolver->told)
		sg_log(SG_LOG_WARN, "unresolved",
			"key=%s host=%s reason=\"%s\" effect=\"nothing reaches it until it is "
			"found\"",
			keys[i], lookup->host, lookup->reason ? lookup->reason : "");
	return false;
}

static void on_again(struct sg_timer *timer);

// Returns whether there is something new.
static bool finish(struct sg_resolver *resolver)
{
	bool found = false, left = false;
	eventfd_t count;

	if (eventfd_read(resolver->watch.fd, &count) < 0)
		return false;
	pthread_join(resolver->thread, NULL);
	resolver->running = false;
	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++) {
		found = take(resolver, i) || found;
		left = left || is_unresolved(json_object_get(resolver->warden->config, keys[i]));
	}
	resolver->told = left;
	if (left)
		sg_loop_arm(resolver->warden->loop, &resolver->again, AGAIN_MS, on_again);
	return found;
}

static void on_found(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_resolver *resolver = (struct sg_resolver *)watch;

	if (!finish(resolver))
		return;
	sg_log(SG_LOG_INFO, "resolved", "effect=\"the enforcer is told\"");
	sg_enforcer_tell_config(resolver->warden);
}

// ---- Looking ----

// Returns whether there is something to look for.
static bool begin(struct sg_resolver *resolver)
{
	bool any = false;

	memset(resolver->lookups, 0, sizeof(resolver->lookups));
	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++) {
		const json_t *remote = json_object_get(resolver->warden->config, keys[i]);
		struct lookup *lookup = &resolver->lookups[i];

		if (!is_unresolved(remote))
			continue;
		any = true;
		snprintf(lookup->host, sizeof(lookup->host), "%s",
			json_string_value(json_object_get(remote, "host")));
		snprintf(lookup->port, sizeof(lookup->port), "%s",
			json_string_value(json_object_get(remote, "port")));
	}
	resolver->running = any && pthread_create(&resolver->thread, NULL, look_up, resolver) == 0;
	if (any && !resolver->running)
		sg_loop_arm(resolver->warden->loop, &resolver->again, AGAIN_MS, on_again);
	return resolver->running;
}

static void on_again(struct sg_timer *timer)
{
	struct sg_resolver *resolver =
		(struct sg_resolver *)((char *)timer - offsetof(struct sg_resolver, again));

	if (!resolver->running)
		begin(resolver);
}

static struct sg_resolver *new_resolver(struct sg_warden *warden)
{
	struct sg_resolver *resolver = calloc(1, sizeof(*resolver));
	int fd = resolver ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;

	if (fd < 0 || sg_loop_watch(warden->loop, &resolver->watch, fd, EPOLLIN, on_found) < 0) {
		if (fd >= 0)
			close(fd);
		free(resolver);
		return NULL;
	}
	resolver->warden = warden;
	return resolver;
}

void sg_resolver_look(struct sg_warden *warden)
{
	struct sg_resolver *resolver = warden->resolver;
	struct pollfd end = { .events = POLLIN };

	if (!resolver)
		resolver = warden->resolver = new_resolver(warden);
	if (!resolver) {
		sg_log(SG_LOG_ERROR, "unresolved", "reason=\"out of memory or descriptors\"");
		return;
	}
	// One that still runs is for another configuration: its end is awaited by the loop.
	resolver->told = false;
	if (resolver->running) {
		sg_loop_arm(warden->loop, &resolver->again, AGAIN_MS, on_again);
		return;
	}
	if (!begin(resolver))
		return;
	end.fd = resolver->watch.fd;
	if (poll(&end, 1, FIRST_MS) == 1)
		finish(resolver);
}

void sg_resolver_stop(struct sg_warden *warden)
{
	struct sg_resolver *resolver = warden->resolver;
	int fd;

	if (!resolver)
		return;
	sg_loop_disarm(&resolver->again);
	fd = resolver->watch.fd;
	sg_loop_unwatch(warden->loop, &resolver->watch);
	warden->resolver = NULL;
	if (resolver->running) {
		pthread_detach(resolver->thread);
		return; // what it writes to ends with the process
	}
	close(fd);
	free(resolver);
}
