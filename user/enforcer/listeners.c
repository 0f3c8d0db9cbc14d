// SPDX-License-Identifier: Apache-2.0
#include "enforcer/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "enforcer/worker.h"

struct sg_held_listener {
	struct sg_channel_listener listener;
	int fds[2];
	struct sg_held_listener *next;
};

static void close_held(struct sg_held_listener *held)
{
	for (int i = 0; i < 2; i++)
		if (held->fds[i] >= 0)
			close(held->fds[i]);
	free(held);
}

void sg_listeners_close(struct sg_listeners *listeners)
{
	while (listeners->first) {
		struct sg_held_listener *held = listeners->first;

		listeners->first = held->next;
		close_held(held);
	}
}

static struct sg_held_listener **find_held(struct sg_listeners *listeners, uint64_t netns_cookie)
{
	struct sg_held_listener **at = &listeners->first;

	while (*at && (*at)->listener.netns_cookie != netns_cookie)
		at = &(*at)->next;
	return at;
}

static void drop_held(struct sg_listeners *listeners, uint64_t netns_cookie)
{
	struct sg_held_listener **at = find_held(listeners, netns_cookie), *held = *at;

	if (held) {
		*at = held->next;
		close_held(held);
	}
}

static void give_to_workers(struct sg_enforcer *enforcer, const struct sg_held_listener *held)
{
	for (unsigned i = 0; i < enforcer->worker_count; i++) {
		struct sg_mail mail = { .kind = SG_MAIL_LISTENER,
			.netns_cookie = held->listener.netns_cookie };

		for (int j = 0; j < 2; j++)
			mail.fds[j] =
				held->fds[j] < 0 ? -1 : fcntl(held->fds[j], F_DUPFD_CLOEXEC, 0);
		if (sg_worker_post(enforcer->workers[i], &mail) == 0)
			continue;
		for (int j = 0; j < 2; j++)
			if (mail.fds[j] >= 0)
				close(mail.fds[j]);
	}
}

static struct sg_held_listener *hold(
	const struct sg_channel_listener *listener, struct sg_channel_message *message)
{
	struct sg_held_listener *held = calloc(1, sizeof(*held));
	unsigned next_fd = 0;

	if (!held)
		return NULL;
	held->listener = *listener;
	held->fds[0] = held->fds[1] = -1;
	if (listener->port4 && next_fd < message->fd_count)
		held->fds[0] = sg_fd_take(&message->fds[next_fd++]);
	if (listener->port6 && next_fd < message->fd_count)
		held->fds[1] = sg_fd_take(&message->fds[next_fd++]);
	for (int i = 0; i < 2; i++)
		if (held->fds[i] >= 0 && sg_fd_set_nonblocking(held->fds[i]) < 0)
			sg_log(SG_LOG_ERROR, "listener_failed", "reason=\"%s\"", strerror(errno));
	return held;
}

void sg_listeners_take(struct sg_listeners *listeners, struct sg_enforcer *enforcer,
	struct sg_channel_message *message)
{
	struct sg_channel_listener listener;
	struct sg_held_listener *held;

	if (message->header.length != sizeof(listener))
		return;
	memcpy(&listener, message->payload, sizeof(listener));
	held = *find_held(listeners, listener.netns_cookie);
	if (held && held->listener.port4 == listener.port4 &&
		held->listener.port6 == listener.port6)
		return;
	held = hold(&listener, message);
	if (!held) {
		sg_log(SG_LOG_ERROR, "listener_failed", "reason=\"out of memory\"");
		return;
	}
	drop_held(listeners, listener.netns_cookie);
	held->next = listeners->first;
	listeners->first = held;
	give_to_workers(enforcer, held);
}

void sg_listeners_drop(struct sg_listeners *listeners, struct sg_enforcer *enforcer,
	const struct sg_channel_message *message)
{
	struct sg_mail mail = { .kind = SG_MAIL_LISTENER_GONE, .fds = { -1, -1 } };
	struct sg_channel_listener listener;

	if (message->header.length != sizeof(listener))
		return;
	memcpy(&listener, message->payload, sizeof(listener));
	mail.netns_cookie = listener.netns_cookie;
	drop_held(listeners, listener.netns_cookie);
	sg_worker_post_all(enforcer, &mail);
}

int sg_listeners_give_back(const struct sg_listeners *listeners, int fd)
{
	int r = 0;

	for (struct sg_held_listener *held = listeners->first; r == 0 && held; held = held->next) {
		int fds[2];
		unsigned count = 0;

		for (int i = 0; i < 2; i++)
			if (held->fds[i] >= 0)
				fds[count++] = held->fds[i];
		r = sg_channel_send(fd, SG_CHANNEL_HELD, 0, 0, &held->listener,
			sizeof(held->listener), fds, count);
	}
	return r;
}
