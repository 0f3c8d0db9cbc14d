// SPDX-License-Identifier: Apache-2.0
#include "enforcer/commands.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/server.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "enforcer/link.h"
#include "enforcer/status.h"
#include "enforcer/stop.h"
#include "enforcer/worker.h"
#include "spendgate/control.h"

#define MAX_AUDIT_LINES	 10000
#define FILES_LIMIT	 (64u << 20)
#define COUNTERS_WAIT_NS (SG_NS_PER_SEC / 2)

struct sg_commands {
	struct sg_api *api;
	// Asked for by threads of the API, brought by the main thread.
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	json_t *counters;
	uint64_t answers;
};

// ---- What the command line asks ----

static const char *text_of(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

static int show_audit(
	struct sg_audit *audit, const json_t *request, json_t **ret_answer, struct sg_error *error)
{
	json_int_t lines = json_integer_value(json_object_get(request, "lines"));
	json_t *found;

	if (lines < 1 || lines > MAX_AUDIT_LINES)
		return sg_error_set(
			error, -EINVAL, "lines: must be a number from 1 to %d", MAX_AUDIT_LINES);
	found = sg_audit_tail(audit, (size_t)lines, text_of(request, "agent"));
	*ret_answer = found ? json_pack("{s:o}", "lines", found) : NULL;
	return *ret_answer ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
}

static int run(struct sg_enforcer *enforcer, const json_t *request, json_t **ret_answer,
	struct sg_error *error)
{
	const char *verb = text_of(request, "verb"), *agent = text_of(request, "agent");
	const char *who = text_of(request, "who");

	if (!who)
		who = "cli";
	if (verb && strcmp(verb, "show") == 0)
		return sg_control_show(enforcer->control, agent, ret_answer, error);
	if (verb && strcmp(verb, "audit") == 0)
		return show_audit(enforcer->audit, request, ret_answer, error);
	if (verb && strcmp(verb, "set") == 0)
		return sg_control_set(enforcer->control, who, agent,
			json_object_get(request, "override"), ret_answer, error);
	if (verb && strcmp(verb, "remove") == 0)
		return sg_control_remove(enforcer->control, who, agent, text_of(request, "budget"),
			text_of(request, "reason"), ret_answer, error);
	return sg_error_set(error, -EINVAL, "unknown verb \"%s\"", verb ? verb : "");
}

// *ret_fd is a memfd with the answer, also when that is a refusal.
static int run_to_memfd(struct sg_enforcer *enforcer, const json_t *request, int *ret_fd)
{
	struct sg_error error = { "" };
	json_t *answer = NULL;
	char *text = NULL;
	int r = run(enforcer, request, &answer, &error);

	if (r == 0)
		json_object_set_new(answer, "ok", json_true());
	else
		answer = json_pack("{s:b, s:s, s:i}", "ok", 0, "error", error.text, "errno", -r);
	if (answer)
		text = json_dumps(answer, JSON_COMPACT);
	r = text ? sg_channel_memfd("spendgate-budget", text, strlen(text)) : -ENOMEM;
	free(text);
	json_decref(answer);
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

// The JSON of a message's memfd, or NULL.
static json_t *json_of(const struct sg_channel_message *message, size_t limit)
{
	char *text = NULL;
	size_t length = 0;
	json_t *json = NULL;

	if (message->fd_count == 1 &&
		sg_channel_read_memfd(message->fds[0], limit, &text, &length) == 0)
		json = json_loadb(text, length, 0, NULL);
	free(text);
	return json;
}

static void on_budget(struct sg_enforcer *enforcer, const struct sg_channel_message *message)
{
	json_t *request = json_of(message, SG_CONTROL_MAX_BYTES);
	int fd = -1;
	int r = run_to_memfd(enforcer, request, &fd);

	json_decref(request);
	sg_link_send_memfd(enforcer->link, SG_CHANNEL_BUDGET_RESULT, message->header.id, r, fd);
}

static void on_files(struct sg_enforcer *enforcer, const struct sg_channel_message *message)
{
	json_t *files = json_of(message, FILES_LIMIT);

	if (files)
		sg_control_take_files(enforcer->control, files);
	else
		sg_log(SG_LOG_ERROR, "channel", "reason=\"the message of files can't be read\"");
	json_decref(files);
}

// ---- The control API ----

static void on_counters(struct sg_commands *commands, const struct sg_channel_message *message)
{
	json_t *counters = json_of(message, SG_CONTROL_MAX_BYTES);

	pthread_mutex_lock(&commands->lock);
	json_decref(commands->counters);
	commands->counters = counters;
	commands->answers++;
	pthread_cond_broadcast(&commands->arrived);
	pthread_mutex_unlock(&commands->lock);
}

// Any thread but the main one. The newest that is known where the warden does not answer; NULL:
// none is.
static json_t *ask_counters(struct sg_enforcer *enforcer)
{
	struct sg_commands *commands = enforcer->commands;
	int64_t until_ns = sg_clock_monotonic_ns() + COUNTERS_WAIT_NS;
	struct timespec until = { .tv_sec = until_ns / SG_NS_PER_SEC,
		.tv_nsec = until_ns % SG_NS_PER_SEC };
	json_t *counters;
	uint64_t before;
	int r;

	pthread_mutex_lock(&commands->lock);
	before = commands->answers;
	r = sg_link_ask_counters(enforcer->link);
	while (r == 0 && commands->answers == before)
		r = -pthread_cond_timedwait(&commands->arrived, &commands->lock, &until);
	counters =
		json_deep_copy(commands->counters); // its references are not counted across threads
	pthread_mutex_unlock(&commands->lock);
	return counters;
}

static json_t *status_of(void *context)
{
	struct sg_enforcer *enforcer = context;
	json_t *status = sg_status_json(enforcer), *counters = ask_counters(enforcer);

	if (status && counters)
		json_object_set(status, "redirect", counters);
	json_decref(counters);
	return status;
}

static int is_named(void *context, struct sg_agent *agent)
{
	return strcmp(agent->name, context) == 0 ? -EEXIST : 0;
}

static int cut(void *context, bool is_cut, const char *agent, const char *who, const char *reason)
{
	struct sg_enforcer *enforcer = context;
	struct sg_channel_stop order = { .how = is_cut ? SG_STOP_CUT : SG_STOP_RESUME };

	snprintf(order.agent, sizeof(order.agent), "%s", agent);
	snprintf(order.who, sizeof(order.who), "%s", who);
	snprintf(order.reason, sizeof(order.reason), "%s", reason);
	if (sg_agents_each(enforcer->agents, is_named, order.agent) != -EEXIST)
		return -ENOENT;
	return sg_link_stop(enforcer->link, &order);
}

static void on_api(struct sg_enforcer *enforcer, struct sg_channel_message *message)
{
	int fds[SG_CHANNEL_MAX_FDS];

	for (unsigned i = 0; i < message->fd_count; i++)
		fds[i] = sg_fd_take(&message->fds[i]);
	sg_api_listen(enforcer->commands->api, fds, message->fd_count);
	sg_log(SG_LOG_INFO, "api", "sockets=%u", message->fd_count);
}

int sg_commands_configure(
	struct sg_enforcer *enforcer, const json_t *configuration, struct sg_error *error)
{
	const json_t *api = json_object_get(configuration, "api");
	struct sg_principals *principals = NULL;
	int r = api ? sg_principals_parse(json_object_get(api, "principals"), &principals, error)
		    : 0;

	if (r == 0)
		sg_api_set_principals(enforcer->commands->api, principals);
	return r;
}

// ---- Life ----

void sg_commands_take(struct sg_enforcer *enforcer, struct sg_channel_message *message)
{
	switch ((enum sg_channel_type)message->header.type) {
	case SG_CHANNEL_FILES:
		on_files(enforcer, message);
		break;
	case SG_CHANNEL_BUDGET:
		on_budget(enforcer, message);
		break;
	case SG_CHANNEL_API:
		on_api(enforcer, message);
		break;
	case SG_CHANNEL_STOP:
		sg_stop_take(enforcer, message);
		break;
	case SG_CHANNEL_COUNTERS_RESULT:
		on_counters(enforcer->commands, message);
		break;
	default:
		break;
	}
}

int sg_commands_new(struct sg_enforcer *enforcer, struct sg_commands **ret_commands)
{
	struct sg_commands *commands = calloc(1, sizeof(*commands));
	const struct sg_api_options options = { .control = enforcer->control,
		.audit = enforcer->audit,
		.status = status_of,
		.cut = cut,
		.context = enforcer };
	pthread_condattr_t monotonic;
	int r = commands ? sg_api_new(&options, &commands->api) : -ENOMEM;

	if (r < 0) {
		free(commands);
		return r;
	}
	pthread_mutex_init(&commands->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&commands->arrived, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*ret_commands = commands;
	return 0;
}

struct sg_commands *sg_commands_free(struct sg_commands *commands)
{
	if (!commands)
		return NULL;
	sg_api_free(commands->api);
	json_decref(commands->counters);
	pthread_cond_destroy(&commands->arrived);
	pthread_mutex_destroy(&commands->lock);
	free(commands);
	return NULL;
}
