// SPDX-License-Identifier: Apache-2.0
#include "warden/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "warden/config.h"
#include "warden/definition.h"
#include "warden/endpoints.h"
#include "warden/guards.h"
#include "warden/prices.h"
#include "warden/resolver.h"
#include "warden/warden.h"

// Agents that run have read the CA's certificate: a root with other constraints would be none to
// them.
static int check_origins(
	const struct sg_warden *warden, const json_t *config, struct sg_error *error)
{
	size_t index;
	json_t *origin;

	json_array_foreach(json_object_get(config, "origins"), index, origin)
	{
		const char *host = json_string_value(json_object_get(origin, "host"));

		if (!sg_ca_permits(warden->ca, host))
			return sg_error_set(error, -EINVAL,
				"origins[%zu] (%s): a host that is new to the CA: restart "
				"spendgated, and the agents that are to reach it",
				index, host);
	}
	return 0;
}

// ---- Agents ----

static void forget_next(struct sg_warden *warden)
{
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		json_decref(agent->next_definition);
		agent->next_definition = NULL;
	}
}

// What each agent would be; those that an earlier version registered have no request and stay, as
// do those that the enforcer does not know.
static int make_next(struct sg_warden *warden, const json_t *config, struct sg_error *error)
{
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		bool known = agent->request && !agent->refused;
		int r = known ? sg_definition_make(config, agent->request, agent->id,
					&agent->next_definition, error)
			      : 0;

		if (r < 0)
			return sg_error_prefix(error, r, "agent %s: ", sg_agent_name(agent));
	}
	return 0;
}

static void swap_definitions(struct sg_warden_agent *agent)
{
	json_t *definition = agent->definition;

	agent->definition = agent->next_definition;
	agent->next_definition = definition;
}

// Up to the one that is refused, which is undone with those before it.
static int announce_all(struct sg_warden *warden, struct sg_error *error)
{
	struct sg_warden_agent *agent, *back;
	struct sg_error ignored;
	int r = 0;

	for (agent = warden->agents; r == 0 && agent; agent = agent->next) {
		if (!agent->next_definition)
			continue;
		r = sg_endpoints_add(warden, agent->next_definition, error);
		swap_definitions(agent);
		if (r == 0)
			r = sg_enforcer_announce(warden, agent, error);
		if (r < 0)
			sg_error_prefix(error, r, "agent %s: ", sg_agent_name(agent));
	}
	if (r == 0)
		return 0;
	for (back = warden->agents; back != agent; back = back->next) {
		if (!back->next_definition)
			continue;
		swap_definitions(back);
		if (sg_enforcer_announce(warden, back, &ignored) < 0)
			sg_log(SG_LOG_ERROR, "reload", "agent=%s reason=\"%s\"",
				sg_agent_name(back), ignored.text);
	}
	return r;
}

// ---- The whole ----

static int tell_enforcer(
	struct sg_warden *warden, char *ret_restart, size_t size, struct sg_error *error)
{
	struct sg_channel_message answer = { .fd_count = 0 };
	int r = sg_enforcer_configure(warden, &answer);

	if (r < 0)
		return sg_error_set(error, r,
			"the enforcer does not answer (%s): see the log of spendgated",
			strerror(-r));
	if (answer.header.result < 0)
		return sg_error_set(error, answer.header.result, "%.*s", (int)answer.header.length,
			answer.payload);
	snprintf(ret_restart, size, "%.*s", (int)answer.header.length, answer.payload);
	return 0;
}

// In force, or as it was.
static int apply(struct sg_warden *warden, json_t *next, char *ret_restart, size_t size,
	struct sg_error *error)
{
	json_t *before = warden->config;
	struct sg_error ignored;
	int r;

	warden->config = next;
	sg_resolver_look(warden);
	r = tell_enforcer(warden, ret_restart, size, error);
	if (r < 0) {
		warden->config = before;
		return r;
	}
	r = announce_all(warden, error);
	if (r == 0)
		return 0;
	warden->config = before;
	if (tell_enforcer(warden, ret_restart, size, &ignored) < 0)
		sg_log(SG_LOG_ERROR, "reload", "reason=\"%s\"", ignored.text);
	return r;
}

static void finish(struct sg_warden *warden)
{
	for (struct sg_warden_agent *agent = warden->agents; agent; agent = agent->next) {
		struct sg_error error;

		if (!agent->next_definition) // by now the one that was
			continue;
		sg_endpoints_drop(warden, agent->next_definition);
		if (sg_agents_store(warden, agent, &error) < 0)
			sg_log(SG_LOG_WARN, "reload",
				"agent=%s reason=\"%s\" effect=\"a restart sees it as it was\"",
				sg_agent_name(agent), error.text);
	}
}

int sg_reload(struct sg_warden *warden, char *ret_restart, size_t size, struct sg_error *error)
{
	json_t *next = NULL;
	int r = sg_config_load(warden->config_path, warden->config_given, &next, error);

	*ret_restart = 0;
	if (r == 0)
		r = sg_prices_add(warden, next, error);
	if (r == 0)
		r = check_origins(warden, next, error);
	if (r == 0)
		r = make_next(warden, next, error);
	if (r == 0)
		r = sg_guards_make(warden, next, error);
	if (r == 0) {
		json_t *before = warden->config;

		r = apply(warden, next, ret_restart, size, error);
		next = r < 0 ? next : before;
		finish(warden);
	}
	sg_guards_end_others(warden, warden->config); // the new one, or on an error the one before
	json_decref(next);
	forget_next(warden);
	if (r < 0)
		sg_log(SG_LOG_ERROR, "reload_refused",
			"reason=\"%s\" effect=\"the configuration stays as it was\"", error->text);
	else
		sg_log(SG_LOG_INFO, "reloaded", "file=%s%s%s%s", warden->config_path,
			*ret_restart ? " restart_needed=\"" : "", ret_restart,
			*ret_restart ? "\"" : "");
	return r;
}
