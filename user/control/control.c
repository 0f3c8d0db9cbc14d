// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/state.h"

#define MAX_AGENTS 65536

// The time of a suspended machine does not pass for who waits: it is looked at again.
#define MOST_WAIT_NS (60 * SG_NS_PER_SEC)

static const char *const layer_names[SG_LAYER_COUNT] = {
	[SG_LAYER_METADATA] = "metadata",
	[SG_LAYER_REQUEST] = "request",
	[SG_LAYER_COMPILED_OVERRIDE] = "compiled_override",
	[SG_LAYER_OVERRIDE] = "override",
	[SG_LAYER_GOVERNANCE] = "governance",
	[SG_LAYER_LIVE] = "live",
};

const char *sg_layer_name(enum sg_layer layer)
{
	return layer_names[layer];
}

int sg_layer_of_file(const char *name, enum sg_layer *ret_layer)
{
	for (int i = 0; name && i < SG_LAYER_COUNT; i++)
		if (i != SG_LAYER_REQUEST && i != SG_LAYER_LIVE &&
			strcmp(layer_names[i], name) == 0) {
			*ret_layer = (enum sg_layer)i;
			return 0;
		}
	return -EINVAL;
}

// ---- Agents ----

int sg_control_agent(struct sg_control *control, const char *name,
	struct sg_control_agent **ret_agent, struct sg_error *error)
{
	struct sg_control_agent *agent = NULL;
	int r = sg_name_check("agent", name, error);

	if (r < 0)
		return r;
	HASH_FIND_STR(control->agents, name, agent);
	if (!agent && HASH_COUNT(control->agents) >= MAX_AGENTS)
		return sg_error_set(error, -ENOSPC, "there are %d agents already", MAX_AGENTS);
	if (!agent) {
		agent = calloc(1, sizeof(*agent));
		if (!agent)
			return sg_error_set(error, -ENOMEM, "out of memory");
		strcpy(agent->name, name);
		agent->next_expiry_ns = INT64_MAX;
		HASH_ADD_STR(control->agents, name, agent);
	}
	*ret_agent = agent;
	return 0;
}

static void free_agent(struct sg_control *control, struct sg_control_agent *agent)
{
	HASH_DEL(control->agents, agent);
	for (int i = 0; i < SG_LAYER_COUNT; i++) {
		json_decref(agent->layers[i]);
		free(agent->errors[i]);
		free(agent->sources[i]);
	}
	json_decref(agent->budgets);
	free(agent);
}

// ---- Merging ----

static int merge(const struct sg_control *control, const struct sg_control_agent *agent,
	enum sg_layer changed, const json_t *list, json_t **ret_budgets,
	struct sg_policy *ret_policy, struct sg_error *error)
{
	const json_t *layers[SG_LAYER_COUNT];

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		layers[i] = i == (int)changed ? list : agent->layers[i];
	return sg_override_merge(
		layers, SG_LAYER_COUNT, control->wall_ns(), ret_budgets, ret_policy, error);
}

// When something in the layers ends next.
static int64_t find_expiry(const struct sg_control *control, const struct sg_control_agent *agent)
{
	int64_t now_ns = control->wall_ns(), next_ns = INT64_MAX;
	size_t index;
	json_t *override;

	for (int i = 0; i < SG_LAYER_COUNT; i++)
		json_array_foreach(agent->layers[i], index, override)
		{
			int64_t at_ns = sg_override_expiry(override);

			if (at_ns > now_ns && at_ns < next_ns)
				next_ns = at_ns;
		}
	return next_ns;
}

static void note_expiry(struct sg_control *control, struct sg_control_agent *agent)
{
	agent->next_expiry_ns = find_expiry(control, agent);
	if (agent->next_expiry_ns != INT64_MAX)
		pthread_cond_signal(&control->expiry);
}

int sg_control_check(const struct sg_control *control, const struct sg_control_agent *agent,
	enum sg_layer layer, const json_t *list, struct sg_error *error)
{
	struct sg_policy policy;
	json_t *budgets = NULL;
	int r;

	if (!agent->budgets && layer != SG_LAYER_REQUEST)
		return 0; // what it is merged with is not known yet
	r = merge(control, agent, layer, list, &budgets, &policy, error);
	json_decref(budgets);
	return r;
}

// Brings the layers, with `list` for one of them, into force. Takes nothing.
static int enforce(struct sg_control *control, struct sg_control_agent *agent, enum sg_layer layer,
	const json_t *list, json_t **ret_budgets, struct sg_error *error)
{
	struct sg_policy policy;
	json_t *budgets = NULL;
	int r = merge(control, agent, layer, list, &budgets, &policy, error);

	if (r < 0)
		return r;
	strcpy(policy.labels, agent->labels);
	if (!agent->account || layer == SG_LAYER_REQUEST || !json_equal(budgets, agent->budgets))
		r = sg_account_set(control->engine, agent->name, &policy, &agent->account, error);
	if (r < 0) {
		json_decref(budgets);
		return r;
	}
	*ret_budgets = budgets;
	return 0;
}

int sg_control_replace(struct sg_control *control, struct sg_control_agent *agent,
	enum sg_layer layer, json_t *list, json_t **ret_before, json_t **ret_after,
	struct sg_error *error)
{
	bool started = agent->budgets || layer == SG_LAYER_REQUEST;
	json_t *budgets = NULL;
	int r = started ? enforce(control, agent, layer, list, &budgets, error) : 0;

	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret_before = agent->budgets ? agent->budgets : json_null();
	*ret_after = budgets ? json_incref(budgets) : json_null();
	agent->budgets = budgets;
	json_decref(agent->layers[layer]);
	agent->layers[layer] = list;
	note_expiry(control, agent);
	return 0;
}

void sg_control_audit_change(struct sg_control *control, const char *event, const char *who,
	const struct sg_control_agent *agent, json_t *change, json_t *before, json_t *after)
{
	sg_audit_write(control->audit, event, true,
		json_pack("{s:s, s:s, s:o?, s:o, s:o}", "agent", agent->name, "who", who, "change",
			change, "before", before, "after", after));
}

// ---- Registration ----

// What an agent was started with has names by position.
static json_t *name_budgets(const json_t *budgets)
{
	json_t *list = json_is_array(budgets) ? json_deep_copy(budgets) : json_array(), *budget;
	size_t index;

	json_array_foreach(list, index, budget)
	{
		char name[32];

		snprintf(name, sizeof(name), "budget-%zu", index + 1);
		if (json_is_object(budget) && !json_object_get(budget, "name"))
			json_object_set_new(budget, "name", json_string(name));
	}
	return list;
}

int sg_control_register(struct sg_control *control, const char *name, const char *labels,
	const json_t *budgets, struct sg_account **ret_account, struct sg_error *error)
{
	struct sg_control_agent *agent = NULL;
	json_t *list = NULL, *before = NULL, *after = NULL;
	struct sg_policy policy;
	int r;

	// By itself first: its own mistakes are told as such.
	r = budgets ? sg_policy_parse(budgets, &policy, error) : 0;
	if (r < 0)
		return r;
	pthread_mutex_lock(&control->lock);
	r = sg_control_agent(control, name, &agent, error);
	if (r == 0) {
		snprintf(agent->labels, sizeof(agent->labels), "%s", labels);
		list = name_budgets(budgets);
		r = list ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
	}
	if (r == 0) {
		r = sg_control_replace(
			control, agent, SG_LAYER_REQUEST, list, &before, &after, error);
		if (r == -EINVAL)
			sg_error_prefix(error, r,
				"agent %s, with its overrides (spendgate budget show %s): ", name,
				name);
	}
	if (r == 0)
		*ret_account = agent->account;
	json_decref(before);
	json_decref(after);
	pthread_mutex_unlock(&control->lock);
	return r;
}

// ---- Expiry ----

// The live ones that have ended are forgotten; those of files stay where they are, and count for
// nothing.
static bool forget_expired(json_t *list, int64_t now_ns)
{
	bool found = false;

	for (size_t i = json_array_size(list); i-- > 0;)
		if (sg_override_expiry(json_array_get(list, i)) <= now_ns) {
			json_array_remove(list, i);
			found = true;
		}
	return found;
}

static bool expire_agent(struct sg_control *control, struct sg_control_agent *agent)
{
	json_t *live = json_deep_copy(agent->layers[SG_LAYER_LIVE]), *before = NULL, *after = NULL;
	bool found = forget_expired(live, control->wall_ns());
	struct sg_error error = { "" };

	if (sg_control_replace(control, agent, SG_LAYER_LIVE, live, &before, &after, &error) == 0) {
		sg_control_audit_change(
			control, "budget_expired", "expiry", agent, NULL, before, after);
		return found;
	}
	agent->next_expiry_ns = find_expiry(control, agent);
	sg_audit_write(control->audit, "override_rejected", true,
		json_pack("{s:s, s:s, s:s, s:s}", "agent", agent->name, "layer",
			sg_layer_name(SG_LAYER_LIVE), "error", error.text, "effect",
			"an override has expired, but the policy without it is no good: it stays"));
	return false;
}

static void expire_locked(struct sg_control *control)
{
	int64_t now_ns = control->wall_ns();
	struct sg_control_agent *agent, *next;
	bool changed = false;
	int r;

	HASH_ITER(hh, control->agents, agent, next)
	{
		if (agent->next_expiry_ns <= now_ns)
			changed = expire_agent(control, agent) || changed;
	}
	r = changed ? sg_control_store_live(control) : 0;
	if (r < 0) // at the next start it has expired all the same
		sg_log(SG_LOG_WARN, "overrides", "path=%s reason=\"%s\"", control->overrides_path,
			strerror(-r));
}

void sg_control_expire(struct sg_control *control)
{
	pthread_mutex_lock(&control->lock);
	expire_locked(control);
	pthread_mutex_unlock(&control->lock);
}

static int64_t first_expiry(const struct sg_control *control)
{
	const struct sg_control_agent *agent;
	int64_t first_ns = INT64_MAX;

	for (agent = control->agents; agent; agent = agent->hh.next)
		if (agent->next_expiry_ns < first_ns)
			first_ns = agent->next_expiry_ns;
	return first_ns;
}

static void *watch_expiry(void *context)
{
	struct sg_control *control = context;

	pthread_mutex_lock(&control->lock);
	while (!control->stop) {
		int64_t at_ns = first_expiry(control), wait_ns = at_ns - control->wall_ns();
		struct timespec until;

		if (at_ns == INT64_MAX) {
			pthread_cond_wait(&control->expiry, &control->lock);
			continue;
		}
		if (wait_ns <= 0) {
			expire_locked(control);
			continue;
		}
		if (wait_ns > MOST_WAIT_NS)
			wait_ns = MOST_WAIT_NS;
		wait_ns += sg_clock_monotonic_ns();
		until = (struct timespec){ .tv_sec = wait_ns / SG_NS_PER_SEC,
			.tv_nsec = wait_ns % SG_NS_PER_SEC };
		pthread_cond_timedwait(&control->expiry, &control->lock, &until);
	}
	pthread_mutex_unlock(&control->lock);
	return NULL;
}

// ---- Life ----

static int start_thread(struct sg_control *control)
{
	int r = -pthread_create(&control->thread, NULL, watch_expiry, control);

	control->has_thread = r == 0;
	return r;
}

int sg_control_new(const struct sg_control_options *options, struct sg_control **ret_control,
	struct sg_error *error)
{
	struct sg_control *control = calloc(1, sizeof(*control));
	pthread_condattr_t monotonic;
	int r;

	if (!control)
		return sg_error_set(error, -ENOMEM, "out of memory");
	control->engine = options->engine;
	control->audit = options->audit;
	control->wall_ns = options->wall_ns ? options->wall_ns : sg_clock_wall_ns;
	snprintf(control->overrides_path, sizeof(control->overrides_path), "%s/overrides.json",
		options->state_directory);
	snprintf(control->layers_path, sizeof(control->layers_path), "%s/layers.json",
		options->state_directory);
	pthread_mutex_init(&control->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&control->expiry, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = sg_control_load(control, error);
	if (r == 0) {
		r = start_thread(control);
		if (r < 0)
			sg_error_set(error, r, "a thread can't be started: %s", strerror(-r));
	}
	if (r < 0) {
		sg_control_free(control);
		return r;
	}
	*ret_control = control;
	return 0;
}

struct sg_control *sg_control_free(struct sg_control *control)
{
	struct sg_control_agent *agent, *next;

	if (!control)
		return NULL;
	pthread_mutex_lock(&control->lock);
	control->stop = true;
	pthread_cond_signal(&control->expiry);
	pthread_mutex_unlock(&control->lock);
	if (control->has_thread)
		pthread_join(control->thread, NULL);
	HASH_ITER(hh, control->agents, agent, next)
	free_agent(control, agent);
	pthread_cond_destroy(&control->expiry);
	pthread_mutex_destroy(&control->lock);
	free(control);
	return NULL;
}
