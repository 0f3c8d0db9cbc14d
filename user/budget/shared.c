// SPDX-License-Identifier: Apache-2.0
// Budgets of more than one agent: of a label (a team, a project) or of the host. Their definitions
// stand in the configuration and in agents' policies, and are everybody's. All under the control
// lock.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "budget/engine_state.h"

// What an account is to share.
struct plan {
	struct sg_account *account;
	struct sg_budget **budgets; // with its own ones
	unsigned count;
};

struct sharing {
	struct sg_budget_policy *definitions;
	uint64_t *defined_at;
	unsigned definition_count;
	struct plan *plans;
	unsigned plan_count;
	struct sg_budget *fresh; // made for this, not in the engine's list yet
};

// ---- Definitions ----

static bool is_the_same_budget(
	const struct sg_budget_policy *policy, const struct sg_budget_policy *other)
{
	return policy->scope == other->scope && strcmp(policy->name, other->name) == 0 &&
	       strcmp(policy->label, other->label) == 0;
}

// What was set last holds.
static void define(struct sharing *sharing, const struct sg_budget_policy *policies, unsigned count,
	uint64_t defined_at)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned at = 0;

		while (at < sharing->definition_count &&
			!is_the_same_budget(&sharing->definitions[at], &policies[i]))
			at++;
		if (at < sharing->definition_count && sharing->defined_at[at] > defined_at)
			continue;
		sharing->definitions[at] = policies[i];
		sharing->defined_at[at] = defined_at;
		if (at == sharing->definition_count)
			sharing->definition_count++;
	}
}

static int collect_definitions(struct sg_engine *engine, struct sharing *sharing)
{
	size_t most = engine->definition_count + 1;
	struct sg_account *account, *next;

	HASH_ITER(hh, engine->accounts, account, next)
	most += account->definition_count;
	sharing->definitions = calloc(most, sizeof(*sharing->definitions));
	sharing->defined_at = calloc(most, sizeof(*sharing->defined_at));
	if (!sharing->definitions || !sharing->defined_at)
		return -ENOMEM;
	define(sharing, engine->definitions, engine->definition_count, engine->defined_at);
	HASH_ITER(hh, engine->accounts, account, next)
	define(sharing, account->definitions, account->definition_count, account->defined_at);
	return 0;
}

bool sg_engine_has_definitions(
	const struct sg_engine *engine, const struct sg_budget_policy *definitions, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned at = 0;

		while (at < engine->effective_count &&
			!sg_budget_policy_is_same(&engine->effective[at], &definitions[i]))
			at++;
		if (at == engine->effective_count)
			return false;
	}
	return true;
}

// ---- Which an account has ----

// "team=red" as it is, "team" with the value that the agent has. Returns whether it has any.
static bool resolve(const char *label, const char *labels, char out[SG_LABEL_BYTES])
{
	bool whole = strchr(label, '=') != NULL;
	size_t wanted = strlen(label);

	while (*labels) {
		size_t length = strcspn(labels, ",");

		if (length < SG_LABEL_BYTES && strncmp(labels, label, wanted) == 0 &&
			(whole ? length == wanted : labels[wanted] == '=')) {
			memcpy(out, labels, length);
			out[length] = 0;
			return true;
		}
		labels += length + (labels[length] == ',');
	}
	return false;
}

static struct sg_budget *find_budget(
	struct sg_budget *list, const struct sg_budget_policy *policy, const char *label)
{
	for (; list; list = list->next)
		if (list->policy.scope == policy->scope &&
			strcmp(list->policy.name, policy->name) == 0 &&
			strcmp(list->resolved_label, label) == 0)
			return list;
	return NULL;
}

static int init_window(struct sg_engine *engine, const struct sg_budget_policy *policy,
	struct sg_window *window, struct sg_error *error)
{
	const struct sg_timezone *zone = NULL;
	int r = 0;

	if (policy->calendar)
		r = sg_engine_timezone(engine, policy->timezone, &zone, error);
	if (r == 0)
		sg_budget_init_window(window, policy, zone, engine->wall_minus_monotonic_ns,
			engine->monotonic_ns());
	return r;
}

static int find_or_make(struct sg_engine *engine, struct sharing *sharing,
	const struct sg_budget_policy *policy, const char *label, struct sg_budget **ret_budget,
	struct sg_error *error)
{
	struct sg_budget *budget = find_budget(engine->shared, policy, label);
	struct sg_budget **last = &sharing->fresh;
	int r;

	if (!budget)
		budget = find_budget(sharing->fresh, policy, label);
	*ret_budget = budget;
	if (budget)
		return 0;
	budget = sg_budget_new(policy);
	if (!budget)
		return sg_error_set(error, -ENOMEM, "out of memory");
	strcpy(budget->resolved_label, label);
	r = init_window(engine, policy, &budget->window, error);
	if (r < 0) {
		sg_budget_free(budget);
		return r;
	}
	while (*last)
		last = &(*last)->next;
	*last = budget;
	*ret_budget = budget;
	return 0;
}

static int plan_account(struct sg_engine *engine, struct sharing *sharing, struct plan *plan,
	struct sg_error *error)
{
	struct sg_account *account = plan->account;
	int r = 0;

	plan->budgets = calloc(SG_POLICY_MAX_BUDGETS + SG_MAX_SHARED, sizeof(struct sg_budget *));
	if (!plan->budgets)
		return sg_error_set(error, -ENOMEM, "out of memory");
	for (; plan->count < account->own_count; plan->count++)
		plan->budgets[plan->count] = account->budgets[plan->count];
	for (unsigned i = 0; r == 0 && i < sharing->definition_count; i++) {
		const struct sg_budget_policy *policy = &sharing->definitions[i];
		char label[SG_LABEL_BYTES] = "";

		if (policy->scope == SG_SCOPE_LABEL &&
			!resolve(policy->label, account->labels, label))
			continue;
		if (plan->count - account->own_count == SG_MAX_SHARED)
			return sg_error_set(error, -E2BIG,
				"agent %s would share more than %d budgets", account->name,
				SG_MAX_SHARED);
		r = find_or_make(
			engine, sharing, policy, label, &plan->budgets[plan->count++], error);
	}
	return r;
}

static int plan_all(struct sg_engine *engine, struct sharing *sharing, struct sg_error *error)
{
	struct sg_account *account, *next;
	int r = 0;

	sharing->plans = calloc(HASH_COUNT(engine->accounts) + 1, sizeof(*sharing->plans));
	if (!sharing->plans)
		return sg_error_set(error, -ENOMEM, "out of memory");
	HASH_ITER(hh, engine->accounts, account, next)
	{
		struct plan *plan = &sharing->plans[sharing->plan_count++];

		plan->account = account;
		r = plan_account(engine, sharing, plan, error);
		if (r < 0)
			break;
	}
	return r;
}

// ---- The change, with every account's lock ----

static void lock_all(struct sg_engine *engine)
{
	struct sg_account *account, *next;

	HASH_ITER(hh, engine->accounts, account, next)
	pthread_mutex_lock(&account->lock);
}

static void unlock_all(struct sg_engine *engine)
{
	struct sg_account *account, *next;

	HASH_ITER(hh, engine->accounts, account, next)
	pthread_mutex_unlock(&account->lock);
}

// A budget that exists takes the caps that its definition has now. What counts differently is read
// from the ledger at the next call.
static int renew(struct sg_engine *engine, struct sg_budget *budget,
	const struct sg_budget_policy *policy, struct sg_error *error)
{
	struct sg_budget *renewed;
	int r;

	if (sg_budget_policy_is_same(&budget->policy, policy))
		return 0;
	renewed = sg_budget_new(policy);
	if (!renewed)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = init_window(engine, policy, &renewed->window, error);
	if (r == 0) {
		bool alike =
			sg_window_is_alike(&budget->window, &renewed->window) &&
			memcmp(budget->policy.models, policy->models, SG_MODEL_GLOBS_BYTES) == 0 &&
			memcmp(budget->policy.providers, policy->providers,
				SG_PROVIDER_GLOBS_BYTES) == 0;
		struct sg_breaker *breaker = budget->breaker;

		if (!alike) {
			budget->window = renewed->window;
			budget->loaded = false;
		}
		if (renewed->breaker && breaker)
			sg_breaker_copy(renewed->breaker, breaker);
		budget->breaker = renewed->breaker;
		renewed->breaker = breaker;
		budget->policy = *policy;
	}
	sg_budget_free(renewed);
	return r;
}

static int renew_all(struct sg_engine *engine, struct sharing *sharing, struct sg_error *error)
{
	int r = 0;

	for (struct sg_budget *budget = engine->shared; r == 0 && budget; budget = budget->next)
		for (unsigned i = 0; r == 0 && i < sharing->definition_count; i++) {
			const struct sg_budget_policy *policy = &sharing->definitions[i];
			char label[SG_LABEL_BYTES] = "";

			if (budget->policy.scope == policy->scope &&
				strcmp(budget->policy.name, policy->name) == 0 &&
				(policy->scope == SG_SCOPE_HOST ||
					resolve(policy->label, budget->resolved_label, label)))
				r = renew(engine, budget, policy, error);
		}
	return r;
}

// Locks are taken in the order of the list.
static void sort_by_order(struct sg_budget **budgets, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct sg_budget *budget = budgets[i];
		unsigned at = i;

		for (; at && budgets[at - 1]->order > budget->order; at--)
			budgets[at] = budgets[at - 1];
		budgets[at] = budget;
	}
}

static void use_plan(struct plan *plan)
{
	struct sg_account *account = plan->account;
	struct sg_budget **before = account->budgets;

	sort_by_order(plan->budgets + account->own_count, plan->count - account->own_count);
	account->budgets = plan->budgets;
	account->count = plan->count;
	account->generation++;
	plan->budgets = before;
	for (unsigned i = account->own_count; i < account->count; i++)
		account->budgets[i]->users++;
}

static void drop_unused(struct sg_engine *engine)
{
	struct sg_budget **at = &engine->shared;

	while (*at) {
		struct sg_budget *budget = *at;

		if (budget->users) {
			at = &budget->next;
			continue;
		}
		*at = budget->next;
		sg_budget_free(budget);
	}
}

static void list_fresh(struct sg_engine *engine, struct sharing *sharing)
{
	struct sg_budget **last = &engine->shared;
	unsigned order = 0;

	for (; *last; last = &(*last)->next)
		order = (*last)->order + 1;
	*last = sharing->fresh;
	sharing->fresh = NULL;
	for (; *last; last = &(*last)->next)
		(*last)->order = order++;
}

static void use_definitions(struct sg_engine *engine, struct sharing *sharing)
{
	struct sg_budget_policy *before = engine->effective;

	engine->effective = sharing->definitions;
	engine->effective_count = sharing->definition_count;
	sharing->definitions = before;
}

// Returns the workers that wait for room in any of them.
static uint64_t use_all(struct sg_engine *engine, struct sharing *sharing)
{
	uint64_t waiting = 0;

	list_fresh(engine, sharing);
	for (struct sg_budget *budget = engine->shared; budget; budget = budget->next) {
		budget->users = 0;
		budget->held = (struct sg_charge){ 0 };
		waiting |= budget->waiting;
		budget->waiting = 0;
	}
	for (unsigned i = 0; i < sharing->plan_count; i++)
		use_plan(&sharing->plans[i]);
	sg_engine_hold_again(engine, NULL);
	drop_unused(engine);
	use_definitions(engine, sharing);
	return waiting;
}

static void drop_sharing(struct sharing *sharing)
{
	while (sharing->fresh) {
		struct sg_budget *next = sharing->fresh->next;

		sg_budget_free(sharing->fresh);
		sharing->fresh = next;
	}
	for (unsigned i = 0; i < sharing->plan_count; i++)
		free(sharing->plans[i].budgets);
	free(sharing->plans);
	free(sharing->definitions);
	free(sharing->defined_at);
}

int sg_engine_share_with(
	struct sg_engine *engine, struct sg_account *account, struct sg_error *error)
{
	struct plan plan = { .account = account };
	struct sharing sharing = { .definitions = engine->effective,
		.definition_count = engine->effective_count };
	int r = plan_account(engine, &sharing, &plan, error);

	if (r == 0) {
		list_fresh(engine, &sharing);
		pthread_mutex_lock(&account->lock);
		use_plan(&plan); // nothing of it is in flight
		pthread_mutex_unlock(&account->lock);
	}
	free(plan.budgets);
	sharing.definitions = NULL; // the engine's
	drop_sharing(&sharing);
	return r;
}

int sg_engine_share_again(struct sg_engine *engine, struct sg_error *error)
{
	struct sharing sharing = { .definitions = NULL };
	uint64_t waiting = 0;
	int r = collect_definitions(engine, &sharing);

	if (r < 0)
		sg_error_set(error, r, "out of memory");
	if (r == 0)
		r = plan_all(engine, &sharing, error);
	if (r == 0) {
		lock_all(engine);
		r = renew_all(engine, &sharing, error);
		if (r == 0)
			waiting = use_all(engine, &sharing);
		unlock_all(engine);
	}
	sg_engine_tell_room(engine, waiting);
	drop_sharing(&sharing);
	return r;
}

static int set_budgets(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error)
{
	struct sg_budget_policy *copy = calloc(count + 1, sizeof(*copy)),
				*before = engine->definitions;
	unsigned before_count = engine->definition_count;
	int r;

	if (!copy)
		return sg_error_set(error, -ENOMEM, "out of memory");
	if (count)
		memcpy(copy, budgets, count * sizeof(*copy));
	r = sg_engine_check_windows(engine, copy, count, error);
	if (r < 0) {
		free(copy);
		return r;
	}
	engine->definitions = copy;
	engine->definition_count = count;
	engine->defined_at = ++engine->definitions_set;
	r = sg_engine_share_again(engine, error);
	if (r < 0) {
		engine->definitions = before;
		engine->definition_count = before_count;
		before = copy;
	}
	free(before);
	return r;
}

int sg_engine_set_budgets(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error)
{
	int r;

	pthread_mutex_lock(&engine->control_lock);
	r = set_budgets(engine, budgets, count, error);
	pthread_mutex_unlock(&engine->control_lock);
	return r;
}
