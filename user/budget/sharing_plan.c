// SPDX-License-Identifier: Apache-2.0
// Which budgets accounts are to share, made ready before anything is changed. All under the control
// lock.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "budget/sharing.h"

// ---- Definitions ----

static bool is_the_same_budget(
	const struct sg_budget_policy *policy, const struct sg_budget_policy *other)
{
	return policy->scope == other->scope && strcmp(policy->name, other->name) == 0 &&
	       strcmp(policy->label, other->label) == 0;
}

// What was set last holds.
static void define(struct sg_sharing *sharing, const struct sg_budget_policy *policies,
	unsigned count, uint64_t defined_at)
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

static int collect_definitions(
	struct sg_engine *engine, struct sg_sharing *sharing, struct sg_error *error)
{
	size_t most = engine->definition_count + 1;
	struct sg_account *account, *next;

	HASH_ITER(hh, engine->accounts, account, next)
	most += account->definition_count;
	sharing->definitions = calloc(most, sizeof(*sharing->definitions));
	sharing->defined_at = calloc(most, sizeof(*sharing->defined_at));
	if (!sharing->definitions || !sharing->defined_at)
		return sg_error_set(error, -ENOMEM, "out of memory");
	define(sharing, engine->definitions, engine->definition_count, engine->defined_at);
	HASH_ITER(hh, engine->accounts, account, next)
	define(sharing, account->definitions, account->definition_count, account->defined_at);
	return 0;
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
		if (sg_budget_is(list, policy->scope, policy->name, label))
			return list;
	return NULL;
}

// The definition that was set last of those that give a budget: "team" may say it as well as
// "team=red". NULL: none.
static const struct sg_budget_policy *find_definition(const struct sg_sharing *sharing,
	const struct sg_budget_policy *policy, const char *resolved_label)
{
	const struct sg_budget_policy *found = NULL;
	uint64_t found_at = 0;

	for (unsigned i = 0; i < sharing->definition_count; i++) {
		const struct sg_budget_policy *definition = &sharing->definitions[i];
		char label[SG_LABEL_BYTES];

		if (definition->scope != policy->scope || sharing->defined_at[i] < found_at ||
			strcmp(definition->name, policy->name) != 0 ||
			(policy->scope == SG_SCOPE_LABEL &&
				!resolve(definition->label, resolved_label, label)))
			continue;
		found = definition;
		found_at = sharing->defined_at[i];
	}
	return found;
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

static int find_or_make(struct sg_engine *engine, struct sg_sharing *sharing,
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

static int plan_account(struct sg_engine *engine, struct sg_sharing *sharing,
	struct sg_sharing_plan *plan, struct sg_error *error)
{
	const struct sg_account *account = plan->account;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sharing->definition_count; i++) {
		const struct sg_budget_policy *policy = &sharing->definitions[i];
		char label[SG_LABEL_BYTES] = "";

		if (policy->scope == SG_SCOPE_LABEL &&
			!resolve(policy->label, account->labels, label))
			continue;
		// Twice the same budget would be its lock taken twice.
		if (find_definition(sharing, policy, label) != policy)
			continue;
		if (plan->count == SG_MAX_SHARED)
			return sg_error_set(error, -E2BIG,
				"agent %s would share more than %d budgets", account->name,
				SG_MAX_SHARED);
		r = find_or_make(
			engine, sharing, policy, label, &plan->budgets[plan->count++], error);
	}
	return r;
}

static int plan_all(struct sg_engine *engine, struct sg_sharing *sharing, struct sg_error *error)
{
	struct sg_account *account, *next;
	int r = 0;

	sharing->plans = calloc(HASH_COUNT(engine->accounts) + 1, sizeof(*sharing->plans));
	if (!sharing->plans)
		return sg_error_set(error, -ENOMEM, "out of memory");
	HASH_ITER(hh, engine->accounts, account, next)
	{
		struct sg_sharing_plan *plan = &sharing->plans[sharing->plan_count++];

		plan->account = account;
		r = plan_account(engine, sharing, plan, error);
		if (r < 0)
			break;
	}
	return r;
}

static int plan_renewal(struct sg_engine *engine, struct sg_sharing *sharing,
	struct sg_budget *budget, const struct sg_budget_policy *policy, struct sg_error *error)
{
	struct sg_budget *renewed = sg_budget_new(policy);
	int r;

	if (!renewed)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = init_window(engine, policy, &renewed->window, error);
	if (r < 0) {
		sg_budget_free(renewed);
		return r;
	}
	sharing->renewals[sharing->renewal_count++] = (struct sg_renewal){ budget, renewed };
	return 0;
}

static int plan_renewals(
	struct sg_engine *engine, struct sg_sharing *sharing, struct sg_error *error)
{
	unsigned most = 1;
	int r = 0;

	for (struct sg_budget *budget = engine->shared; budget; budget = budget->next)
		most++;
	sharing->renewals = calloc(most, sizeof(*sharing->renewals));
	if (!sharing->renewals)
		return sg_error_set(error, -ENOMEM, "out of memory");
	for (struct sg_budget *budget = engine->shared; r == 0 && budget; budget = budget->next) {
		const struct sg_budget_policy *policy =
			find_definition(sharing, &budget->policy, budget->resolved_label);

		if (policy && !sg_budget_policy_is_same(&budget->policy, policy))
			r = plan_renewal(engine, sharing, budget, policy, error);
	}
	return r;
}

// ---- The whole ----

struct sg_sharing *sg_sharing_free(struct sg_sharing *sharing)
{
	if (!sharing)
		return NULL;
	while (sharing->fresh) {
		struct sg_budget *next = sharing->fresh->next;

		sg_budget_free(sharing->fresh);
		sharing->fresh = next;
	}
	for (unsigned i = 0; i < sharing->renewal_count; i++)
		sg_budget_free(sharing->renewals[i].renewed);
	free(sharing->renewals);
	free(sharing->plans);
	if (sharing->of_all) {
		free(sharing->definitions);
		free(sharing->defined_at);
	}
	free(sharing);
	return NULL;
}

static int plan_one(struct sg_engine *engine, struct sg_sharing *sharing,
	struct sg_account *account, struct sg_error *error)
{
	sharing->definitions = engine->effective;
	sharing->defined_at = engine->effective_at;
	sharing->definition_count = engine->effective_count;
	sharing->plans = calloc(1, sizeof(*sharing->plans));
	if (!sharing->plans)
		return sg_error_set(error, -ENOMEM, "out of memory");
	sharing->plans->account = account;
	return plan_account(engine, sharing, sharing->plans, error);
}

int sg_sharing_plan(struct sg_engine *engine, struct sg_account *only,
	struct sg_sharing **ret_sharing, struct sg_error *error)
{
	struct sg_sharing *sharing = calloc(1, sizeof(*sharing));
	int r;

	if (!sharing) {
		sg_error_set(error, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	sharing->of_all = !only;
	if (only) {
		r = plan_one(engine, sharing, only, error);
	} else {
		r = collect_definitions(engine, sharing, error);
		if (r == 0)
			r = plan_all(engine, sharing, error);
		if (r == 0)
			r = plan_renewals(engine, sharing, error);
	}
	if (r < 0) {
		sg_sharing_free(sharing);
		return r;
	}
	*ret_sharing = sharing;
	return 0;
}
