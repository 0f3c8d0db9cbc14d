// SPDX-License-Identifier: Apache-2.0
// Budgets of more than one agent: of a label (a team, a project) or of the host. Their definitions
// stand in the configuration and in agents' policies, and are everybody's. All under the control
// lock.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "budget/sharing.h"

// ---- What is in force ----

// Could both give an agent the same budget, as "team" and "team=red" do?
static bool may_meet(const struct sg_budget_policy *policy, const struct sg_budget_policy *other)
{
	size_t key = strcspn(policy->label, "=");

	return policy->scope == other->scope && strcmp(policy->name, other->name) == 0 &&
	       strcspn(other->label, "=") == key && memcmp(policy->label, other->label, key) == 0;
}

// Nothing changes by setting what is in force, and overruled by nothing.
static bool is_in_force(const struct sg_engine *engine, const struct sg_budget_policy *definition)
{
	bool found = false;

	for (unsigned i = 0; i < engine->effective_count; i++) {
		if (sg_budget_policy_is_same(&engine->effective[i], definition))
			found = true;
		else if (may_meet(&engine->effective[i], definition))
			return false;
	}
	return found;
}

bool sg_engine_has_definitions(
	const struct sg_engine *engine, const struct sg_budget_policy *definitions, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!is_in_force(engine, &definitions[i]))
			return false;
	return true;
}

// ---- The change, with every account's lock ----

void sg_sharing_lock(const struct sg_engine *engine, const struct sg_sharing *sharing)
{
	struct sg_account *account, *next;

	if (!sharing->of_all) {
		sg_account_lock_whole(sharing->plans->account);
		return;
	}
	HASH_ITER(hh, engine->accounts, account, next)
	sg_account_lock_whole(account);
}

void sg_sharing_unlock(const struct sg_engine *engine, const struct sg_sharing *sharing)
{
	struct sg_account *account, *next;

	if (!sharing->of_all) {
		sg_lock_give(&sharing->plans->account->lock);
		return;
	}
	HASH_ITER(hh, engine->accounts, account, next)
	sg_lock_give(&account->lock);
}

// A budget that exists takes the caps that its definition has now. What counts differently is read
// from the ledger at the next call.
static void use_renewal(struct sg_renewal *renewal)
{
	struct sg_budget *budget = renewal->budget, *renewed = renewal->renewed;
	const struct sg_budget_policy *policy = &renewed->policy;
	struct sg_breaker *breaker = budget->breaker;
	bool alike =
		sg_window_is_alike(&budget->window, &renewed->window) &&
		memcmp(budget->policy.models, policy->models, SG_MODEL_GLOBS_BYTES) == 0 &&
		memcmp(budget->policy.providers, policy->providers, SG_PROVIDER_GLOBS_BYTES) == 0;

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

static void use_plan(struct sg_sharing_plan *plan)
{
	struct sg_account *account = plan->account;

	sort_by_order(plan->budgets, plan->count);
	for (unsigned i = 0; i < plan->count; i++) {
		account->budgets[account->own_count + i] = plan->budgets[i];
		plan->budgets[i]->users++;
	}
	account->count = (uint8_t)(account->own_count + plan->count);
	sg_account_budgets_changed(account);
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

static void list_fresh(struct sg_engine *engine, struct sg_sharing *sharing)
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

static void use_definitions(struct sg_engine *engine, struct sg_sharing *sharing)
{
	free(engine->effective);
	free(engine->effective_at);
	engine->effective = sharing->definitions;
	engine->effective_at = sharing->defined_at;
	engine->effective_count = sharing->definition_count;
	sharing->definitions = NULL;
	sharing->defined_at = NULL;
}

// Returns the workers that wait for room in any of them.
static uint64_t use_all(struct sg_engine *engine, struct sg_sharing *sharing)
{
	uint64_t waiting = 0;

	for (unsigned i = 0; i < sharing->renewal_count; i++)
		use_renewal(&sharing->renewals[i]);
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

uint64_t sg_sharing_use(struct sg_engine *engine, struct sg_sharing *sharing)
{
	list_fresh(engine, sharing);
	if (sharing->of_all)
		return use_all(engine, sharing);
	use_plan(sharing->plans); // nothing of it is in flight
	return 0;
}

// ---- Setting them ----

static int share_again(struct sg_engine *engine, struct sg_error *error)
{
	struct sg_sharing *sharing = NULL;
	uint64_t waiting;
	int r = sg_sharing_plan(engine, NULL, &sharing, error);

	if (r < 0)
		return r;
	sg_sharing_lock(engine, sharing);
	waiting = sg_sharing_use(engine, sharing);
	sg_sharing_unlock(engine, sharing);
	sg_engine_tell_room(engine, waiting);
	sg_sharing_free(sharing);
	return 0;
}

static int set_budgets(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error)
{
	struct sg_budget_policy *copy = calloc(count + 1, sizeof(*copy)),
				*before = engine->definitions;
	unsigned before_count = engine->definition_count;
	uint64_t before_at = engine->defined_at;
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
	r = share_again(engine, error);
	if (r < 0) {
		engine->definitions = before;
		engine->definition_count = before_count;
		engine->defined_at = before_at;
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
