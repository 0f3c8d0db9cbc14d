// SPDX-License-Identifier: Apache-2.0
// control.sock: what the command line asks (spendgate/control.h).
#include "warden/warden.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "spendgate/control.h"
#include "spendgate/version.h"
#include "warden/prices.h"
#include "warden/reload.h"

struct sg_control_client {
	struct sg_watch watch; // first
	struct sg_warden *warden;
	struct sg_control_client *next;
	struct sg_deferred deferred;
	uint32_t agent_id; // registered and not yet released over this connection; 0: none
	int result;	   // of the operation: 0 or -errno
};

static void free_deferred(struct sg_deferred *deferred)
{
	free((char *)deferred - offsetof(struct sg_control_client, deferred));
}

static void close_client(struct sg_control_client *client)
{
	struct sg_warden *warden = client->warden;
	struct sg_control_client **link = &warden->clients;
	struct sg_warden_agent *agent =
		client->agent_id ? sg_agents_find(warden, client->agent_id) : NULL;
	int fd = client->watch.fd;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	sg_loop_unwatch(warden->loop, &client->watch);
	close(fd);
	sg_loop_defer(warden->loop, &client->deferred, free_deferred);
	// The command line went without a word: what is left of the agent stays fenced until its
	// cgroup is empty.
	if (agent)
		sg_agents_release_agent(warden, agent);
	sg_control_stop_if_idle(warden);
}

// ---- Operations ----

static json_t *on_ping(struct sg_control_client *client)
{
	struct sg_warden *warden = client->warden;
	char cgroup[128];

	snprintf(cgroup, sizeof(cgroup), "%s/agents", warden->cgroup_name);
	return json_pack("{s:b, s:s, s:i, s:b, s:s}", "ok", 1, "version", SG_VERSION, "pid",
		(int)getpid(), "on_demand", warden->on_demand, "cgroup", cgroup);
}

static const char *text_of(const json_t *request, const char *key)
{
	const char *text = json_string_value(json_object_get(request, key));

	return text ? text : "";
}

static json_t *on_register(struct sg_control_client *client, const json_t *request, const int *fds,
	struct sg_error *error)
{
	struct sg_warden *warden = client->warden;
	struct sg_warden_agent *agent;
	char ca[PATH_MAX], bundle[PATH_MAX];

	if (fds[0] < 0 || fds[1] < 0) {
		sg_error_set(error, -EINVAL,
			"register: the descriptors of cgroup and network namespace are missing");
		return NULL;
	}
	client->result = sg_agents_register(warden, request, fds[0], fds[1], &agent, error);
	if (client->result < 0) {
		// Not every engine shows what its runtime says.
		if (client->result != -EEXIST)
			sg_log(SG_LOG_WARN, "registration_refused",
				"agent=%.64s container=%.12s reason=\"%s\"",
				text_of(request, "name"), text_of(request, "container"),
				error->text);
		return NULL;
	}
	client->agent_id = agent->id;
	snprintf(ca, sizeof(ca), "%s/trust/ca.pem", warden->run_directory);
	snprintf(bundle, sizeof(bundle), "%s/trust/bundle.pem", warden->run_directory);
	return json_pack("{s:b, s:I, s:s, s:s}", "ok", 1, "id", (json_int_t)agent->id, "ca", ca,
		"bundle", bundle);
}

static json_t *on_detach(
	struct sg_control_client *client, const json_t *request, struct sg_error *error)
{
	client->result = sg_agents_detach(client->warden, text_of(request, "container"), error);
	return client->result < 0 ? NULL : json_pack("{s:b}", "ok", 1);
}

// What the enforcer answers to a question with descriptors, or NULL with the sentence.
static json_t *ask(struct sg_warden *warden, enum sg_channel_type type, const int *fds,
	unsigned fd_count, struct sg_error *error)
{
	struct sg_channel_message answer = { .fd_count = 0 };
	json_t *json = NULL;
	char *text = NULL;
	size_t length;
	int r = sg_enforcer_ask(warden, type, fds, fd_count, &answer);

	if (r == 0)
		r = answer.header.result;
	if (r == 0 && answer.fd_count == 1)
		r = sg_channel_read_memfd(answer.fds[0], 64u << 20, &text, &length);
	if (r == 0 && text)
		json = json_loadb(text, length, 0, NULL);
	for (unsigned i = 0; i < answer.fd_count; i++)
		close(answer.fds[i]);
	free(text);
	if (!json)
		sg_error_set(error, r < 0 ? r : -EPROTO,
			"the enforcer does not answer: see the log of spendgated");
	return json;
}

static json_t *ask_status(struct sg_warden *warden, struct sg_error *error)
{
	return ask(warden, SG_CHANNEL_STATUS, NULL, 0, error);
}

// Live changes are the enforcer's business; its answer is ours.
static json_t *on_budget(
	struct sg_control_client *client, const json_t *request, struct sg_error *error)
{
	char *text = json_dumps(request, JSON_COMPACT);
	SG_CLEANUP_CLOSE int fd =
		text ? sg_channel_memfd("spendgate-budget", text, strlen(text)) : -ENOMEM;

	free(text);
	if (fd < 0) {
		sg_error_set(error, fd, "%s", strerror(-fd));
		return NULL;
	}
	return ask(client->warden, SG_CHANNEL_BUDGET, &fd, 1, error);
}

static json_t *find_agent_status(json_t *status, uint32_t id)
{
	size_t index;
	json_t *item;

	json_array_foreach(json_object_get(status, "agents"), index, item)
	{
		if (json_integer_value(json_object_get(item, "id")) == (json_int_t)id)
			return item;
	}
	return NULL;
}

static json_t *on_release(
	struct sg_control_client *client, const json_t *request, struct sg_error *error)
{
	struct sg_warden *warden = client->warden;
	uint32_t id = (uint32_t)json_integer_value(json_object_get(request, "id"));
	struct sg_warden_agent *agent = sg_agents_find(warden, id);
	json_t *status, *own, *answer;

	if (!agent) {
		sg_error_set(error, -ENOENT, "there is no agent %u", id);
		return NULL;
	}
	status = ask_status(warden, error);
	own = status ? find_agent_status(status, id) : NULL;
	answer = json_pack("{s:b, s:O?}", "ok", 1, "status", own);
	json_decref(status);
	client->agent_id = 0;
	sg_agents_release_agent(warden, agent);
	return answer;
}

json_t *sg_control_counters(const struct sg_warden *warden)
{
	json_t *counters = json_object();

	for (int i = 0; counters && i < SG_REASON_MAX; i++) {
		uint64_t count = 0;

		if (sg_redirect_counter(warden->redirect, (enum sg_reason)i, &count) == 0)
			json_object_set_new(counters, sg_reason_name((enum sg_reason)i),
				json_integer((json_int_t)count));
	}
	return counters;
}

static json_t *on_status(struct sg_control_client *client, struct sg_error *error)
{
	json_t *status = ask_status(client->warden, error);
	json_t *counters = sg_control_counters(client->warden);

	if (status) {
		json_object_set(status, "redirect", counters);
		json_object_set_new(status, "ok", json_true());
	}
	json_decref(counters);
	return status;
}

static json_t *on_reload(struct sg_control_client *client, struct sg_error *error)
{
	char restart[128];

	client->result = sg_reload(client->warden, restart, sizeof(restart), error);
	return client->result < 0 ? NULL : json_pack("{s:b, s:s}", "ok", 1, "restart", restart);
}

static json_t *on_prices(
	struct sg_control_client *client, const json_t *request, struct sg_error *error)
{
	client->result =
		sg_prices_update(client->warden, json_object_get(request, "document"), error);
	return client->result < 0 ? NULL : json_pack("{s:b}", "ok", 1);
}

// Copies a text of the request. Returns 0 or -EINVAL with the sentence.
static int copy_text(
	const json_t *request, const char *key, char *out, size_t size, struct sg_error *error)
{
	const char *text = text_of(request, key);

	if (strlen(text) >= size)
		return sg_error_set(error, -EINVAL, "%s: must have less than %zu bytes", key, size);
	strcpy(out, text);
	return 0;
}

static json_t *on_stop(struct sg_control_client *client, enum sg_channel_stop_how how,
	const json_t *request, struct sg_error *error)
{
	struct sg_channel_stop order = { .how = how };
	struct sg_stop_result result = { 0 };
	int r = copy_text(request, "agent", order.agent, sizeof(order.agent), error);

	if (r == 0)
		r = copy_text(request, "who", order.who, sizeof(order.who), error);
	if (r == 0)
		r = copy_text(request, "reason", order.reason, sizeof(order.reason), error);
	if (r == 0)
		r = sg_stop_agents(client->warden, &order, &result, error);
	client->result = r;
	return r < 0 ? NULL
		     : json_pack("{s:b, s:I, s:I}", "ok", 1, "agents", (json_int_t)result.agents,
			       "connections", (json_int_t)result.connections);
}

static json_t *perform(struct sg_control_client *client, const json_t *request, const int *fds,
	struct sg_error *error)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	if (op && strcmp(op, "ping") == 0)
		return on_ping(client);
	if (op && strcmp(op, "register") == 0)
		return on_register(client, request, fds, error);
	if (op && strcmp(op, "release") == 0)
		return on_release(client, request, error);
	if (op && strcmp(op, "detach") == 0)
		return on_detach(client, request, error);
	if (op && strcmp(op, "cut") == 0)
		return on_stop(client, SG_STOP_CUT, request, error);
	if (op && strcmp(op, "resume") == 0)
		return on_stop(client, SG_STOP_RESUME, request, error);
	if (op && strcmp(op, "status") == 0)
		return on_status(client, error);
	if (op && strcmp(op, "reload") == 0)
		return on_reload(client, error);
	if (op && strcmp(op, "prices") == 0)
		return on_prices(client, request, error);
	if (op && strcmp(op, "budget") == 0)
		return on_budget(client, request, error);
	sg_error_set(error, -EINVAL, "unknown operation \"%s\"", op ? op : "");
	return NULL;
}

// ---- Messages ----

static void answer(struct sg_control_client *client, uint32_t id, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	SG_CLEANUP_CLOSE int fd =
		text ? sg_channel_memfd("spendgate-answer", text, strlen(text)) : -ENOMEM;
	int r = fd < 0 ? fd
		       : sg_channel_send(client->watch.fd, SG_CHANNEL_CONTROL_RESULT, id, 0, NULL,
				 0, &fd, 1);

	if (r < 0)
		sg_log(SG_LOG_WARN, "control", "reason=\"%s\"", strerror(-r));
	free(text);
	json_decref(object);
}

static void take_message(struct sg_control_client *client, struct sg_channel_message *message)
{
	struct sg_error error = { "" };
	json_t *request = NULL, *result = NULL;
	char *text = NULL;
	size_t length;

	if (message->fd_count >= 1 &&
		sg_channel_read_memfd(message->fds[0], SG_CONTROL_MAX_BYTES, &text, &length) == 0)
		request = json_loadb(text, length, 0, NULL);
	free(text);
	client->result = -EPROTO;
	if (request)
		result = perform(client, request, message->fds + 1, &error);
	if (!result)
		result = json_pack("{s:b, s:s, s:i}", "ok", 0, "error",
			error.text[0] ? error.text : "malformed request", "errno", -client->result);
	json_decref(request);
	for (unsigned i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
	answer(client, message->header.id, result);
}

static void on_message(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_control_client *client = (struct sg_control_client *)watch;
	struct sg_channel_message message;
	int r;

	while ((r = sg_channel_receive(watch->fd, &message)) > 0)
		take_message(client, &message);
	if (r != -EAGAIN)
		close_client(client);
}

static void on_connection(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)watch - offsetof(struct sg_warden, control_watch));
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t length = sizeof(peer);
	struct sg_control_client *client;

	if (fd < 0)
		return;
	client = calloc(1, sizeof(*client));
	if (!client || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
		peer.uid != 0 ||
		sg_loop_watch(warden->loop, &client->watch, fd, EPOLLIN, on_message) < 0) {
		free(client);
		close(fd);
		return;
	}
	client->warden = warden;
	client->next = warden->clients;
	warden->clients = client;
}

int sg_control_start(struct sg_warden *warden, struct sg_error *error)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/control.sock", warden->run_directory);
	warden->control_fd = sg_channel_listen(path, 0);
	r = warden->control_fd;
	if (r >= 0)
		r = sg_loop_watch(warden->loop, &warden->control_watch, warden->control_fd, EPOLLIN,
			on_connection);
	return r < 0 ? sg_error_set(error, r, "%s: %s", path, strerror(-r)) : 0;
}

void sg_control_stop(struct sg_warden *warden)
{
	warden->stopping = true;
	while (warden->clients) {
		warden->clients->agent_id = 0; // a stop of the service is no release
		close_client(warden->clients);
	}
	if (warden->control_fd >= 0) {
		sg_loop_unwatch(warden->loop, &warden->control_watch);
		close(warden->control_fd);
	}
	warden->control_fd = -1;
}

void sg_control_stop_if_idle(struct sg_warden *warden)
{
	if (warden->on_demand && !warden->clients && !warden->agents && !warden->stopping)
		sg_loop_stop(warden->loop);
}
