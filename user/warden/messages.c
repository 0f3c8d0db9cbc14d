// SPDX-License-Identifier: Apache-2.0
// What warden and enforcer say to each other. The connection itself is enforcer.c's.
#include "warden/agents_state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/fd.h"
#include "base/log.h"
#include "warden/api.h"
#include "warden/files.h"
#include "warden/keys.h"

#define ROOM_MS 10000

// ---- Telling ----

// The socket holds some two hundred messages: of more agents, an enforcer that has just come up
// reads as fast as it gets to know them. One that does not read at all is given up.
static bool wait_for_room(int fd)
{
	struct pollfd full = { .fd = fd, .events = POLLOUT };

	if (poll(&full, 1, ROOM_MS) > 0)
		return true;
	shutdown(fd, SHUT_RDWR);
	return false;
}

int sg_enforcer_send(struct sg_warden *warden, enum sg_channel_type type, uint32_t id,
	int32_t result, const void *payload, size_t length, const int *fds, unsigned fd_count)
{
	int fd = warden->enforcer_watch.fd, r;

	do
		r = sg_channel_send(fd, type, id, result, payload, length, fds, fd_count);
	while (r == -EAGAIN && wait_for_room(fd));
	return r;
}

static void send_message(struct sg_warden *warden, enum sg_channel_type type, uint32_t id,
	int32_t result, const void *payload, size_t length, const int *fds, unsigned fd_count)
{
	int r = sg_enforcer_send(warden, type, id, result, payload, length, fds, fd_count);

	if (r < 0)
		sg_log(SG_LOG_WARN, "channel", "reason=\"%s\"", strerror(-r));
}

void sg_enforcer_tell(struct sg_warden *warden, enum sg_channel_type type, const void *payload,
	size_t length, const int *fds, unsigned fd_count)
{
	if (warden->enforcer_watch.fd >= 0)
		send_message(warden, type, 0, 0, payload, length, fds, fd_count);
}

void sg_enforcer_tell_listener(struct sg_warden *warden, const struct sg_namespace *item)
{
	int fds[2];
	unsigned count = 0;

	for (int i = 0; i < 2; i++)
		if (item->fds[i] >= 0)
			fds[count++] = item->fds[i];
	sg_enforcer_tell(
		warden, SG_CHANNEL_LISTENER, &item->listener, sizeof(item->listener), fds, count);
}

static int config_memfd(const struct sg_warden *warden)
{
	char *text = json_dumps(warden->config, JSON_COMPACT);
	int fd = text ? sg_channel_memfd("spendgate-config", text, strlen(text)) : -ENOMEM;

	free(text);
	return fd;
}

void sg_enforcer_tell_config(struct sg_warden *warden)
{
	SG_CLEANUP_CLOSE int fd = config_memfd(warden);

	if (fd >= 0)
		sg_enforcer_tell(warden, SG_CHANNEL_CONFIG, NULL, 0, &fd, 1);
}

// With the operator's keys, for message AGENT. Returns the descriptor, or -errno with the sentence.
static int agent_memfd(const struct sg_warden_agent *agent, struct sg_error *error)
{
	json_t *keys = NULL, *message = NULL;
	char *text = NULL;
	int fd = sg_keys_of_agent(agent->warden->config, sg_agent_name(agent), &keys, error);

	if (fd < 0)
		return fd;
	// The definition itself is stored; the keys are not.
	message = json_copy(agent->definition);
	if (message && (!keys || json_object_set(message, "keys", keys) == 0) &&
		(!sg_redirect_is_cut(agent->warden->redirect, agent->id) ||
			json_object_set_new(message, "cut", json_true()) == 0))
		text = json_dumps(message, JSON_COMPACT);
	fd = text ? sg_channel_memfd("spendgate-agent", text, strlen(text)) : -ENOMEM;
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	json_decref(message);
	sg_keys_wipe(keys);
	return fd < 0 ? sg_error_set(error, fd, "message to the enforcer: %s", strerror(-fd)) : fd;
}

static void tell_everything(struct sg_warden *warden)
{
	const uint8_t *der;
	size_t length;

	sg_ca_certificate(warden->ca, &der, &length);
	sg_enforcer_tell(warden, SG_CHANNEL_CA, der, length, NULL, 0);
	sg_enforcer_tell_config(warden);
	sg_api_sockets_tell(warden);
	sg_files_tell_all(warden->files); // before the agents, who start with them
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		struct sg_error error;
		int fd;

		if (agent->refused)
			continue;
		fd = agent_memfd(agent, &error);
		if (fd < 0) {
			sg_log(SG_LOG_ERROR, "agent_refused", "agent=%s reason=\"%s\"",
				sg_agent_name(agent), error.text);
			continue;
		}
		sg_enforcer_tell(warden, SG_CHANNEL_AGENT, NULL, 0, &fd, 1);
		close(fd);
	}
	// Last: it closes the connections of agents that it does not know.
	for (struct sg_namespace *item = warden->namespaces.first; item; item = item->next)
		if (item->users)
			sg_enforcer_tell_listener(warden, item);
}

int sg_enforcer_configure(struct sg_warden *warden, struct sg_channel_message *ret_answer)
{
	SG_CLEANUP_CLOSE int fd = config_memfd(warden);

	return fd < 0 ? fd : sg_enforcer_ask(warden, SG_CHANNEL_CONFIG, &fd, 1, ret_answer);
}

int sg_enforcer_announce(
	struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	struct sg_channel_message answer = { .fd_count = 0 };
	SG_CLEANUP_CLOSE int fd = agent_memfd(agent, error);
	int r;

	if (fd < 0)
		return fd;
	r = sg_enforcer_ask(warden, SG_CHANNEL_AGENT, &fd, 1, &answer);
	if (r == 0 && answer.header.result < 0)
		return sg_error_set(error, answer.header.result, "%.*s", (int)answer.header.length,
			answer.payload);
	if (r < 0)
		return sg_error_set(error, r,
			"the enforcer does not answer (%s): see the log of spendgated",
			strerror(-r));
	return 0;
}

// ---- Being told ----

static void close_fds(struct sg_channel_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}

static void on_hello(struct sg_warden *warden, const struct sg_channel_message *message)
{
	struct sg_channel_hello hello;

	if (message->header.length <= sizeof(hello))
		return;
	memcpy(&hello, message->payload, sizeof(hello));
	if (hello.version != SG_CHANNEL_VERSION || hello.abi_version != SG_ABI_VERSION) {
		sg_log(SG_LOG_ERROR, "enforcer_version",
			"remedy=\"restart spendgated: the enforcer is of another version\"");
		return;
	}
	free(warden->public_key);
	warden->public_key_length = message->header.length - sizeof(hello);
	warden->public_key = malloc(warden->public_key_length);
	if (warden->public_key)
		memcpy(warden->public_key, message->payload + sizeof(hello),
			warden->public_key_length);
}

static void on_held(struct sg_warden *warden, struct sg_channel_message *message)
{
	struct sg_channel_listener listener;
	int fds[2] = { -1, -1 };
	unsigned next = 0;

	if (message->header.length != sizeof(listener))
		return;
	memcpy(&listener, message->payload, sizeof(listener));
	if (listener.port4 && next < message->fd_count)
		fds[0] = sg_fd_take(&message->fds[next++]);
	if (listener.port6 && next < message->fd_count)
		fds[1] = sg_fd_take(&message->fds[next++]);
	sg_namespaces_adopt(&warden->namespaces, &listener, fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void on_sign(struct sg_warden *warden, const struct sg_channel_message *message)
{
	char host[256];
	uint8_t *der = NULL;
	size_t length = 0;
	int r = warden->public_key ? sg_ca_sign(warden->ca, message->payload, warden->public_key,
					     warden->public_key_length, &der, &length)
				   : -EPROTO;

	if (r < 0)
		sg_log(SG_LOG_WARN, "not_signed", "host=%s reason=\"%s\"",
			sg_log_value(message->payload, message->header.length, host, sizeof(host)),
			strerror(-r));
	send_message(warden, SG_CHANNEL_LEAF, message->header.id, r, der, length, NULL, 0);
	OPENSSL_free(der);
}

static void on_socket(struct sg_warden *warden, const struct sg_channel_message *message)
{
	struct sg_channel_socket wanted = { 0 };
	int fd = -EPROTO;

	if (message->header.length == sizeof(wanted)) {
		memcpy(&wanted, message->payload, sizeof(wanted));
		fd = sg_namespaces_socket(
			&warden->namespaces, wanted.netns_cookie, (int)wanted.family);
	}
	send_message(warden, SG_CHANNEL_SOCKET_MADE, message->header.id, fd < 0 ? fd : 0, NULL, 0,
		&fd, fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void on_counters(struct sg_warden *warden)
{
	json_t *counters = sg_control_counters(warden);
	char *text = counters ? json_dumps(counters, JSON_COMPACT) : NULL;
	int fd = text ? sg_channel_memfd("spendgate-counters", text, strlen(text)) : -ENOMEM;

	if (fd >= 0) {
		sg_enforcer_tell(warden, SG_CHANNEL_COUNTERS_RESULT, NULL, 0, &fd, 1);
		close(fd);
	}
	free(text);
	json_decref(counters);
}

static void on_answer(struct sg_warden *warden, struct sg_channel_message *message)
{
	if (!warden->answer || message->header.id != warden->awaited)
		return;
	*warden->answer = *message;
	if (message->header.type == SG_CHANNEL_STATUS_RESULT ||
		message->header.type == SG_CHANNEL_BUDGET_RESULT)
		message->fd_count = 0; // they are the asker's now
	else
		warden->answer->fd_count = 0; // nobody asked for them
	warden->awaited = 0;
}

// A breaker tripped whose action this is, or somebody asked the control API.
static void on_stop(struct sg_warden *warden, const struct sg_channel_message *message)
{
	struct sg_channel_stop order;
	struct sg_stop_result result;
	struct sg_error error = { "" };

	if (message->header.length != sizeof(order))
		return;
	memcpy(&order, message->payload, sizeof(order));
	order.agent[sizeof(order.agent) - 1] = order.who[sizeof(order.who) - 1] =
		order.reason[sizeof(order.reason) - 1] = 0;
	if (sg_stop_agents(warden, &order, &result, &error) < 0)
		sg_log(SG_LOG_ERROR, order.how == SG_STOP_FREEZE ? "not_frozen" : "not_stopped",
			"agent=%s reason=\"%s\"", order.agent, error.text);
}

void sg_enforcer_take(struct sg_warden *warden, struct sg_channel_message *message)
{
	switch ((enum sg_channel_type)message->header.type) {
	case SG_CHANNEL_HELLO:
		on_hello(warden, message);
		break;
	case SG_CHANNEL_HELD:
		if (!warden->is_settled)
			on_held(warden, message);
		break;
	case SG_CHANNEL_READY:
		tell_everything(warden);
		warden->enforcer_ready = true;
		sg_log(SG_LOG_INFO, "enforcer_ready", "pid=%d", (int)warden->enforcer_pid);
		break;
	case SG_CHANNEL_SIGN:
		on_sign(warden, message);
		break;
	case SG_CHANNEL_SOCKET:
		on_socket(warden, message);
		break;
	case SG_CHANNEL_STOP:
		on_stop(warden, message);
		break;
	case SG_CHANNEL_COUNTERS:
		on_counters(warden);
		break;
	case SG_CHANNEL_AGENT_RESULT:
	case SG_CHANNEL_STATUS_RESULT:
	case SG_CHANNEL_CONFIG_RESULT:
	case SG_CHANNEL_BUDGET_RESULT:
		on_answer(warden, message);
		break;
	default:
		sg_log(SG_LOG_WARN, "channel", "reason=\"unexpected message %u\"",
			message->header.type);
		break;
	}
	close_fds(message);
}
