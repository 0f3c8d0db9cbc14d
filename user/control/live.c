// SPDX-License-Identifier: Apache-2.0
// Live overrides: what command line and control API ask for.
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "control/state.h"

// "2h" counts from now.
static int settle_expiry(const struct sg_control *control, json_t *override, struct sg_error *error)
{
	const json_t *expires = json_object_get(override, "expires");
	const char *text = json_string_value(expires);
	int64_t at_ns, length_ns;
	char at[32];

	if (!expires)
		return 0;
	if (text && sg_window_parse(text, &length_ns) == 0 && length_ns > 0) {
		if (__builtin_add_overflow(control->wall_ns(), length_ns, &at_ns))
			return sg_error_set(
				error, -EINVAL, "expires \"%s\": is too far away", text);
		sg_clock_format(at_ns, at, sizeof(at));
		return json_object_set_new(override, "expires", json_string(at)) < 0
			       ? sg_error_set(error, -ENOMEM, "out of memory")
			       : 0;
	}
	if (!text || sg_override_parse_time(text, &at_ns) < 0)
		return sg_error_set(error, -EINVAL,
			"expires: must be a duration as 2h or a time as 2026-11-24T08:30:00Z");
	if (at_ns <= control->wall_ns())
		return sg_error_set(error, -EINVAL, "expires \"%s\": is in the past", text);
	return 0;
}

static int make_override(const struct sg_control *control, const char *who, const json_t *request,
	json_t **ret_override, struct sg_error *error)
{
	json_t *override = json_deep_copy(request), *list = NULL;
	const char *key;
	json_t *value;
	char at[32];
	bool sets = false;
	int r;

	if (!json_is_object(override)) {
		json_decref(override);
		return sg_error_set(error, -EINVAL, "must be an object");
	}
	json_object_foreach(override, key, value)
	{
		sets = sets || (strcmp(key, "name") != 0 && strcmp(key, "expires") != 0 &&
				       strcmp(key, "reason") != 0 && strcmp(key, "own") != 0);
	}
	sg_clock_format(control->wall_ns(), at, sizeof(at));
	r = sets ? settle_expiry(control, override, error)
		 : sg_error_set(
			   error, -EINVAL, "nothing to set: give a field of a budget, or add_usd");
	if (r == 0 && (json_object_get(override, "by") || json_object_get(override, "at")))
		r = sg_error_set(error, -EINVAL, "unknown key \"%s\"",
			json_object_get(override, "by") ? "by" : "at");
	if (r == 0 && (json_object_set_new(override, "by", json_string(who)) < 0 ||
			      json_object_set_new(override, "at", json_string(at)) < 0))
		r = sg_error_set(error, -ENOMEM, "out of memory");
	if (r == 0)
		r = sg_override_parse(override, &list, error);
	json_decref(list);
	if (r < 0) {
		json_decref(override);
		return r;
	}
	*ret_override = override;
	return 0;
}

static json_t *describe(const struct sg_control_agent *agent, json_t *before, json_t *after)
{
	return json_pack("{s:s, s:b, s:O, s:O}", "agent", agent->name, "started",
		agent->budgets != NULL, "before", before, "after", after);
}

// Kept first, then in force: what was answered for survives a restart. Takes `list` and `change`.
static int put_live(struct sg_control *control, const char *who, struct sg_control_agent *agent,
	json_t *list, json_t *change, json_t **ret_answer, struct sg_error *error)
{
	json_t *old = json_incref(agent->layers[SG_LAYER_LIVE]), *before = NULL, *after = NULL;
	int r = sg_control_check(control, agent, SG_LAYER_LIVE, list, error);

	if (r == 0) {
		agent->layers[SG_LAYER_LIVE] = list;
		r = sg_control_store_live(control);
		agent->layers[SG_LAYER_LIVE] = old;
		if (r < 0)
			sg_error_set(error, r, "%s: %s: nothing was changed",
				control->overrides_path, strerror(-r));
	}
	if (r == 0) {
		r = sg_control_replace(
			control, agent, SG_LAYER_LIVE, json_incref(list), &before, &after, error);
		if (r < 0 && sg_control_store_live(control) < 0)
			sg_error_prefix(error, r, "%s keeps a change that is not in force: ",
				control->overrides_path);
	}
	if (r == 0) {
		*ret_answer = describe(agent, before, after);
		sg_control_audit_change(
			control, "budget_changed", who, agent, json_incref(change), before, after);
		if (!*ret_answer)
			r = sg_error_set(error, -ENOMEM, "out of memory; the change is in force");
	}
	json_decref(old);
	json_decref(list);
	json_decref(change);
	return r;
}

int sg_control_set(struct sg_control *control, const char *who, const char *name,
	const json_t *request, json_t **ret_answer, struct sg_error *error)
{
	json_t *override = NULL, *list = NULL;
	struct sg_control_agent *agent = NULL;
	int r = make_override(control, who, request, &override, error);

	if (r < 0)
		return r;
	pthread_mutex_lock(&control->lock);
	r = sg_control_agent(control, name, &agent, error);
	if (r == 0) {
		list = agent->layers[SG_LAYER_LIVE] ? json_deep_copy(agent->layers[SG_LAYER_LIVE])
						    : json_array();
		r = list ? sg_override_append(list, json_deep_copy(override)) : -ENOMEM;
		if (r == -ENOSPC)
			sg_error_set(error, r,
				"agent %s has too many overrides that expire: spendgate budget rm "
				"%s",
				name, name);
		else if (r < 0)
			sg_error_set(error, r, "out of memory");
	}
	if (r == 0)
		r = put_live(control, who, agent, list, override, ret_answer, error);
	else {
		json_decref(list);
		json_decref(override);
	}
	pthread_mutex_unlock(&control->lock);
	if (r == 0)
		sg_audit_flush(control->audit);
	return r;
}

// Those of a list that are about another budget.
static json_t *without(const json_t *list, const char *budget)
{
	json_t *rest = json_array(), *override;
	size_t index;

	json_array_foreach(list, index, override)
	{
		const char *name = json_string_value(json_object_get(override, "name"));

		if (budget && (!name || strcmp(name, budget) != 0))
			json_array_append_new(rest, json_deep_copy(override));
	}
	return rest;
}

// What is left of the live layer of an agent (NULL: one that nobody knows) without a budget, or
// without any. Returns 0 or -errno with the sentence.
static int take_out(const struct sg_control_agent *agent, const char *name, const char *budget,
	json_t **ret_rest, struct sg_error *error)
{
	json_t *layer = agent ? agent->layers[SG_LAYER_LIVE] : NULL;
	json_t *rest = without(layer, budget);

	if (!rest)
		return sg_error_set(error, -ENOMEM, "out of memory");
	if (json_array_size(rest) == json_array_size(layer)) {
		json_decref(rest);
		return sg_error_set(error, -ENOENT, "agent %s has no live override%s%s", name,
			budget ? " of budget " : "", budget ? budget : "");
	}
	*ret_rest = rest;
	return 0;
}

int sg_control_remove(struct sg_control *control, const char *who, const char *name,
	const char *budget, const char *reason, json_t **ret_answer, struct sg_error *error)
{
	struct sg_control_agent *agent = NULL;
	json_t *rest = NULL;
	int r;

	pthread_mutex_lock(&control->lock);
	// A name that was only asked for takes no room in the table.
	HASH_FIND_STR(control->agents, name, agent);
	r = sg_name_check("agent", name, error);
	if (r == 0)
		r = take_out(agent, name, budget, &rest, error);
	if (r == 0 && agent) // which has something that was taken out
		r = put_live(control, who, agent, rest,
			json_pack("{s:b, s:s?, s:s?}", "removed", 1, "name", budget, "reason",
				reason),
			ret_answer, error);
	pthread_mutex_unlock(&control->lock);
	if (r == 0)
		sg_audit_flush(control->audit);
	return r;
}

// ---- Showing ----

static json_t *describe_errors(const struct sg_control_agent *agent)
{
	json_t *errors = json_array();

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		if (agent->errors[i])
			json_array_append_new(
				errors, json_pack("{s:s, s:s?, s:s}", "layer",
						sg_layer_name((enum sg_layer)i), "source",
						agent->sources[i], "error", agent->errors[i]));
	return errors;
}

static json_t *describe_layers(const struct sg_control_agent *agent)
{
	json_t *layers = json_object();

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		if (json_array_size(agent->layers[i]))
			json_object_set_new(layers, sg_layer_name((enum sg_layer)i),
				json_deep_copy(agent->layers[i]));
	return layers;
}

static json_t *describe_agent(
	const struct sg_control *control, const struct sg_control_agent *agent)
{
	json_t *usage = agent->account ? sg_account_status(control->engine, agent->account) : NULL;

	return json_pack("{s:s, s:b, s:O?, s:o, s:o, s:o?}", "agent", agent->name, "started",
		agent->budgets != NULL, "budgets", agent->budgets, "layers", describe_layers(agent),
		"errors", describe_errors(agent), "usage", usage);
}

// A name that was only asked for, or whose last file is gone, is none.
static bool is_known(const struct sg_control_agent *agent)
{
	bool known = agent->budgets != NULL;

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		known = known || json_array_size(agent->layers[i]) || agent->errors[i];
	return known;
}

int sg_control_show(
	struct sg_control *control, const char *name, json_t **ret_answer, struct sg_error *error)
{
	json_t *list = json_array();
	const struct sg_control_agent *agent;
	int r = 0;

	pthread_mutex_lock(&control->lock);
	for (agent = control->agents; r == 0 && list && agent; agent = agent->hh.next)
		if ((!name || strcmp(agent->name, name) == 0) && is_known(agent))
			r = json_array_append_new(list, describe_agent(control, agent));
	pthread_mutex_unlock(&control->lock);
	if (r == 0 && name && !json_array_size(list))
		r = sg_error_set(
			error, -ENOENT, "there is no agent \"%.80s\", and no policy for one", name);
	if (r < 0) {
		json_decref(list);
		return r == -ENOENT ? r : sg_error_set(error, -ENOMEM, "out of memory");
	}
	*ret_answer = json_pack("{s:o}", "agents", list);
	return *ret_answer ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
}

json_t *sg_control_errors(struct sg_control *control, const char *name)
{
	struct sg_control_agent *agent = NULL;
	json_t *errors;

	pthread_mutex_lock(&control->lock);
	HASH_FIND_STR(control->agents, name, agent);
	errors = agent ? describe_errors(agent) : json_array();
	pthread_mutex_unlock(&control->lock);
	return errors;
}
