// SPDX-License-Identifier: Apache-2.0
#include "enforcer/link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "channel/channel.h"
#include "channel/outbox.h"
#include "enforcer/commands.h"
#include "enforcer/leaf.h"
#include "enforcer/listeners.h"
#include "enforcer/reconfigure.h"
#include "enforcer/status.h"
#include "enforcer/worker.h"

#define CONFIG_LIMIT	 (1u << 20)
#define AGENT_LIMIT	 (1u << 20)
#define RECONNECT_MS	 200
#define CONNECT_WAIT_MS	 10000
#define MAX_PENDING_SIGN 1024

// That there is room again is told once: workers send, and none of them waits.
#define LINK_EVENTS (EPOLLIN | EPOLLOUT | EPOLLET)

struct sg_link {
	char path[108];
	struct sg_leaves *leaves;
	struct sg_enforcer *enforcer;
	struct sg_loop *loop;
	struct sg_watch watch;
	struct sg_timer reconnect;
	struct sg_listeners listeners;
	pthread_mutex_t lock; // of what follows: asked by workers
	int fd;		      // -1: the warden is away
	struct sg_outbox outbox;
	uint32_t next_sign;
	struct {
		uint32_t id; // 0: free
		char host[256];
	} signs[MAX_PENDING_SIGN];
};

static void serve(struct sg_link *link);

int sg_link_new(const char *warden_path, struct sg_link **ret_link)
{
	struct sg_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	if (strlen(warden_path) >= sizeof(link->path)) {
		free(link);
		return -ENAMETOOLONG;
	}
	strcpy(link->path, warden_path);
	link->fd = link->watch.fd = -1;
	pthread_mutex_init(&link->lock, NULL);
	*ret_link = link;
	return 0;
}

struct sg_link *sg_link_free(struct sg_link *link)
{
	if (!link)
		return NULL;
	sg_listeners_close(&link->listeners);
	sg_outbox_clear(&link->outbox);
	if (link->fd >= 0)
		close(link->fd);
	pthread_mutex_destroy(&link->lock);
	free(link);
	return NULL;
}

// ---- Asking, from any thread ----

static int locked_send(struct sg_link *link, enum sg_channel_type type, uint32_t id,
	const void *payload, size_t length)
{
	if (link->fd < 0)
		return -ENOTCONN;
	return sg_outbox_send(&link->outbox, link->fd, type, id, 0, payload, length, NULL, 0);
}

int sg_link_sign(void *context, const char *host)
{
	struct sg_link *link = context;
	int r = -EBUSY;

	pthread_mutex_lock(&link->lock);
	for (int i = 0; i < MAX_PENDING_SIGN; i++) {
		if (link->signs[i].id)
			continue;
		link->signs[i].id = ++link->next_sign ? link->next_sign : ++link->next_sign;
		strncpy(link->signs[i].host, host, sizeof(link->signs[i].host) - 1);
		r = locked_send(link, SG_CHANNEL_SIGN, link->signs[i].id, host, strlen(host));
		if (r < 0)
			link->signs[i].id = 0;
		break;
	}
	pthread_mutex_unlock(&link->lock);
	return r;
}

int sg_link_ask_counters(struct sg_link *link)
{
	int r;

	pthread_mutex_lock(&link->lock);
	r = locked_send(link, SG_CHANNEL_COUNTERS, 0, NULL, 0);
	pthread_mutex_unlock(&link->lock);
	return r;
}

int sg_link_want_socket(
	struct sg_link *link, unsigned worker, uint32_t request, uint64_t netns_cookie, int family)
{
	struct sg_channel_socket wanted = { .netns_cookie = netns_cookie,
		.family = (uint32_t)family };
	int r;

	pthread_mutex_lock(&link->lock);
	r = locked_send(link, SG_CHANNEL_SOCKET, worker << 24 | (request & SG_LINK_REQUEST_MASK),
		&wanted, sizeof(wanted));
	pthread_mutex_unlock(&link->lock);
	return r;
}

int sg_link_stop(struct sg_link *link, const struct sg_channel_stop *order)
{
	int r;

	pthread_mutex_lock(&link->lock);
	r = locked_send(link, SG_CHANNEL_STOP, 0, order, sizeof(*order));
	pthread_mutex_unlock(&link->lock);
	return r;
}

// ---- Messages ----

// Tells a warden that still waits for it what came of its message: a result, a sentence where it
// failed, and what `fd` is of (-1: nothing).
static void answer(struct sg_link *link, enum sg_channel_type type, uint32_t id, int result,
	const char *text, int fd)
{
	int r = 0;

	if (!id)
		return;
	pthread_mutex_lock(&link->lock);
	if (link->fd >= 0)
		r = sg_outbox_send(&link->outbox, link->fd, type, id, result, text, strlen(text),
			&fd, fd >= 0);
	pthread_mutex_unlock(&link->lock);
	if (r < 0)
		sg_log(SG_LOG_WARN, "channel", "reason=\"%s\"", strerror(-r));
}

static void on_leaf(struct sg_link *link, const struct sg_channel_message *message)
{
	struct sg_mail mail = { .kind = SG_MAIL_LEAF, .fds = { -1, -1 } };
	bool ok = message->header.result == 0;
	int r;

	pthread_mutex_lock(&link->lock);
	for (int i = 0; i < MAX_PENDING_SIGN; i++) {
		if (link->signs[i].id != message->header.id || !message->header.id)
			continue;
		strcpy(mail.host, link->signs[i].host);
		link->signs[i].id = 0;
	}
	pthread_mutex_unlock(&link->lock);
	if (!*mail.host)
		return;
	r = sg_leaves_put(link->leaves, mail.host, message->header.result,
		ok ? (const unsigned char *)message->payload : NULL, message->header.length);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "no_leaf", "host=%s reason=\"%s\"", mail.host, strerror(-r));
	sg_worker_post_all(link->enforcer, &mail);
}

static void on_socket_made(struct sg_link *link, struct sg_channel_message *message)
{
	unsigned worker = message->header.id >> 24;
	struct sg_mail mail = { .kind = SG_MAIL_SOCKET,
		.id = message->header.id & SG_LINK_REQUEST_MASK,
		.result = message->header.result,
		.fds = { -1, -1 } };

	if (worker >= link->enforcer->worker_count)
		return;
	if (mail.result == 0 && message->fd_count == 1 &&
		sg_fd_set_nonblocking(message->fds[0]) == 0)
		mail.fds[0] = sg_fd_take(&message->fds[0]);
	else if (mail.result == 0)
		mail.result = -EPROTO;
	if (sg_worker_post(link->enforcer->workers[worker], &mail) < 0 && mail.fds[0] >= 0)
		close(mail.fds[0]);
}

static void on_agent(struct sg_link *link, const struct sg_channel_message *message)
{
	struct sg_error error = { "" };
	char *json = NULL;
	size_t length = 0;
	int r = message->fd_count == 1
			? sg_channel_read_memfd(message->fds[0], AGENT_LIMIT, &json, &length)
			: -EPROTO;

	if (r == 0)
		r = sg_agents_set(link->enforcer->agents, json, length, &error);
	if (json)
		explicit_bzero(json, length); // the operator's keys are in it
	free(json);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "agent_refused", "reason=\"%s\"",
			error.text[0] ? error.text : strerror(-r));
	answer(link, SG_CHANNEL_AGENT_RESULT, message->header.id, r, error.text, -1);
}

static int parse_configuration(const struct sg_channel_message *message, json_t **ret_configuration)
{
	char *json = NULL;
	size_t length = 0;
	int r = message->fd_count == 1
			? sg_channel_read_memfd(message->fds[0], CONFIG_LIMIT, &json, &length)
			: -EPROTO;

	if (r < 0)
		return r;
	*ret_configuration = json_loadb(json, length, 0, NULL);
	free(json);
	return *ret_configuration ? 0 : -EBADMSG;
}

// Of a warden that was restarted, or whose file has changed.
static void on_configuration(struct sg_link *link, const struct sg_channel_message *message)
{
	char text[sizeof(((struct sg_error *)NULL)->text)] = "";
	struct sg_error error = { "" };
	json_t *next = NULL;
	int r = parse_configuration(message, &next);

	if (r == 0)
		r = sg_reconfigure(link->enforcer, next, text, sizeof(text), &error);
	if (r == 0)
		r = sg_commands_configure(link->enforcer, next, &error);
	json_decref(next);
	if (r < 0) {
		snprintf(text, sizeof(text), "%s", error.text[0] ? error.text : strerror(-r));
		sg_log(SG_LOG_ERROR, "configuration_refused",
			"reason=\"%s\" effect=\"it stays as it was\"", text);
	}
	answer(link, SG_CHANNEL_CONFIG_RESULT, message->header.id, r, text, -1);
}

void sg_link_send_memfd(struct sg_link *link, enum sg_channel_type type, uint32_t id, int r, int fd)
{
	answer(link, type, id, r, "", fd);
	if (fd >= 0)
		close(fd);
}

static void on_status(struct sg_link *link, const struct sg_channel_message *message)
{
	int fd = -1;
	int r = sg_status_memfd(link->enforcer, &fd);

	sg_link_send_memfd(link, SG_CHANNEL_STATUS_RESULT, message->header.id, r, fd);
}

static void take_message(struct sg_link *link, struct sg_channel_message *message)
{
	struct sg_channel_agent agent;

	switch ((enum sg_channel_type)message->header.type) {
	case SG_CHANNEL_CA:
		if (sg_leaves_set_ca(link->leaves, (unsigned char *)message->payload,
			    message->header.length) < 0)
			sg_log(SG_LOG_ERROR, "bad_ca",
				"reason=\"the warden's CA certificate can't be read\"");
		break;
	case SG_CHANNEL_LISTENER:
		sg_listeners_take(&link->listeners, link->enforcer, message);
		break;
	case SG_CHANNEL_LISTENER_GONE:
		sg_listeners_drop(&link->listeners, link->enforcer, message);
		break;
	case SG_CHANNEL_LEAF:
		on_leaf(link, message);
		break;
	case SG_CHANNEL_SOCKET_MADE:
		on_socket_made(link, message);
		break;
	case SG_CHANNEL_AGENT:
		on_agent(link, message);
		break;
	case SG_CHANNEL_AGENT_GONE:
		if (message->header.length == sizeof(agent)) {
			memcpy(&agent, message->payload, sizeof(agent));
			sg_agents_remove(link->enforcer->agents, agent.agent_id);
		}
		break;
	case SG_CHANNEL_STATUS:
		on_status(link, message);
		break;
	case SG_CHANNEL_CONFIG:
		on_configuration(link, message);
		break;
	default:
		sg_commands_take(link->enforcer, message);
		break;
	}
}

static void close_fds(struct sg_channel_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
}

// ---- Connecting ----

static int say_hello(struct sg_link *link, int fd)
{
	struct sg_channel_hello hello = { .version = SG_CHANNEL_VERSION,
		.abi_version = SG_ABI_VERSION };
	char payload[SG_CHANNEL_MAX_PAYLOAD];
	unsigned char *key = NULL;
	size_t key_length = 0;
	int r = sg_leaves_public_key(link->leaves, &key, &key_length);

	if (r == 0 && sizeof(hello) + key_length > sizeof(payload))
		r = -EMSGSIZE;
	if (r == 0) {
		memcpy(payload, &hello, sizeof(hello));
		memcpy(payload + sizeof(hello), key, key_length);
		r = sg_channel_send(
			fd, SG_CHANNEL_HELLO, 0, 0, payload, sizeof(hello) + key_length, NULL, 0);
	}
	OPENSSL_free(key);
	if (r == 0)
		r = sg_listeners_give_back(&link->listeners, fd);
	if (r == 0)
		r = sg_channel_send(fd, SG_CHANNEL_READY, 0, 0, NULL, 0, NULL, 0);
	return r;
}

static int connect_and_greet(struct sg_link *link)
{
	int fd = sg_channel_connect(link->path), r;

	if (fd < 0)
		return fd;
	r = say_hello(link, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	pthread_mutex_lock(&link->lock);
	link->fd = fd;
	memset(link->signs, 0,
		sizeof(link->signs)); // what was asked of the last warden will be asked again
	pthread_mutex_unlock(&link->lock);
	return 0;
}

int sg_link_connect(struct sg_link *link, struct sg_leaves *leaves, json_t **ret_configuration)
{
	struct sg_channel_message message;
	int r;

	link->leaves = leaves;
	r = connect_and_greet(link);
	while (r == 0) {
		struct pollfd waiting = { .fd = link->fd, .events = POLLIN };

		if (poll(&waiting, 1, CONNECT_WAIT_MS) <= 0)
			return -ETIMEDOUT;
		r = sg_channel_receive(link->fd, &message);
		if (r == -EAGAIN) {
			r = 0;
			continue;
		}
		if (r <= 0)
			return r == 0 ? -ECONNRESET : r;
		r = 0;
		if (message.header.type == SG_CHANNEL_CONFIG) {
			r = parse_configuration(&message, ret_configuration);
			close_fds(&message);
			return r;
		}
		if (message.header.type == SG_CHANNEL_CA)
			take_message(link, &message);
		close_fds(&message);
	}
	return r;
}

static void on_reconnect(struct sg_timer *timer)
{
	struct sg_link *link =
		(struct sg_link *)((char *)timer - offsetof(struct sg_link, reconnect));

	if (connect_and_greet(link) < 0) {
		sg_loop_arm(link->loop, &link->reconnect, RECONNECT_MS, on_reconnect);
		return;
	}
	sg_log(SG_LOG_INFO, "warden_back", "path=%s", link->path);
	serve(link);
}

static void send_kept(struct sg_link *link)
{
	pthread_mutex_lock(&link->lock);
	sg_outbox_flush(&link->outbox, link->fd);
	pthread_mutex_unlock(&link->lock);
}

static void on_event(struct sg_watch *watch, uint32_t events)
{
	struct sg_link *link = (struct sg_link *)((char *)watch - offsetof(struct sg_link, watch));
	struct sg_channel_message message;
	int r;

	if (events & EPOLLOUT)
		send_kept(link);
	while ((r = sg_channel_receive(watch->fd, &message)) > 0) {
		take_message(link, &message);
		close_fds(&message);
	}
	if (r == -EAGAIN)
		return;
	sg_log(SG_LOG_WARN, "warden_away",
		"reason=\"%s\" effect=\"calls in known namespaces go on; new names and sockets "
		"wait\"",
		r < 0 ? strerror(-r) : "closed");
	sg_loop_unwatch(link->loop, watch);
	pthread_mutex_lock(&link->lock);
	close(link->fd);
	link->fd = -1;
	sg_outbox_clear(&link->outbox);
	pthread_mutex_unlock(&link->lock);
	sg_loop_arm(link->loop, &link->reconnect, RECONNECT_MS, on_reconnect);
}

static void serve(struct sg_link *link)
{
	int r = sg_loop_watch(link->loop, &link->watch, link->fd, LINK_EVENTS, on_event);

	if (r < 0)
		sg_log(SG_LOG_ERROR, "channel", "reason=\"%s\"", strerror(-r));
}

int sg_link_start(struct sg_link *link, struct sg_enforcer *enforcer, struct sg_loop *loop)
{
	link->enforcer = enforcer;
	link->loop = loop;
	return sg_loop_watch(loop, &link->watch, link->fd, LINK_EVENTS, on_event);
}
