// SPDX-License-Identifier: Apache-2.0
// Accounts and their policies. All under the control lock.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "budget/engine_state.h"

// ---- What a policy needs ----

int sg_engine_timezone(struct sg_engine *engine, const char *name,
	const struct sg_timezone **ret_timezone, struct sg_error *error)
{
	struct zone *zone = engine->zones;
	int r;

	while (zone && strcmp(zone->name, name) != 0)
		zone = zone->next;
	if (zone) {
		*ret_timezone = zone->timezone;
		return 0;
	}
	zone = calloc(1, sizeof(*zone));
	if (!zone)
		return sg_error_set(error, -ENOMEM, "out of memory");
	strcpy(zone->name, name);
	r = sg_timezone_load(name, &zone->timezone, error);
	if (r < 0) {
		free(zone);
		return r;
	}
	zone->next = engine->zones;
	engine->zones = zone;
	*ret_timezone = zone->timezone;
	return 0;
}

int sg_engine_check_windows(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error)
{
	char window[64], retention[64];

	for (unsigned i = 0; engine->retention_ns && i < count; i++) {
		const struct sg_budget_policy *budget = &budgets[i];

		if (budget->window_ns <= engine->retention_ns &&
			sg_calendar_longest_ns(budget->calendar) <= engine->retention_ns)
			continue;
		sg_window_format(budget->window_ns, budget->calendar, window, sizeof(window));
		sg_window_format(
			engine->retention_ns, SG_NO_CALENDAR, retention, sizeof(retention));
		return sg_error_set(error, -EINVAL,
			"budget %s: window %s is longer than the ledger's retention (%s): raise "
			"\"retention\" in the configuration",
			budget->name, window, retention);
	}
	return 0;
}

// ---- A change, made ready before anything is changed ----

struct change {
	struct sg_budget **own; // budgets of scope agent
	unsigned own_count;
	struct sg_budget_policy *definitions; // of the other scopes
	unsigned definition_count;
	char labels[SG_LABELS_BYTES];
	uint64_t defined_at;
	uint32_t label_set;
};

static void drop_change(struct change *change)
{
	for (unsigned i = 0; change->own && i < change->own_count; i++)
		sg_budget_free(change->own[i]);
	free(change->own);
	free(change->definitions);
}

static int make_own(struct sg_engine *engine, const struct sg_budget_policy *policy,
	struct change *change, struct sg_error *error)
{
	const struct sg_timezone *zone = NULL;
	struct sg_budget *budget;
	int r = 0;

	if (policy->calendar)
		r = sg_engine_timezone(engine, policy->timezone, &zone, error);
	if (r < 0)
		return r;
	budget = sg_budget_new(policy);
	if (!budget)
		return sg_error_set(error, -ENOMEM, "out of memory");
	sg_budget_init_window(&budget->window, policy, zone, engine->wall_minus_monotonic_ns,
		engine->monotonic_ns());
	change->own[change->own_count++] = budget;
	return 0;
}

static int find_label_set(
	struct sg_engine *engine, const char *labels, uint32_t *ret_id, struct sg_error *error)
{
	int r;

	pthread_mutex_lock(&engine->reader_lock);
	r = sg_ledger_label_set(engine->reader, labels, ret_id);
	if (r < 0)
		sg_ledger_explain(engine->reader, r, error);
	pthread_mutex_unlock(&engine->reader_lock);
	return r;
}

static int make_change(struct sg_engine *engine, const struct sg_policy *policy,
	struct change *change, struct sg_error *error)
{
	int r = sg_engine_check_windows(engine, policy->budgets, policy->count, error);

	if (r == 0)
		r = find_label_set(engine, policy->labels, &change->label_set, error);
	if (r < 0)
		return r;
	change->own = calloc(SG_POLICY_MAX_BUDGETS + SG_MAX_SHARED, sizeof(struct sg_budget *));
	change->definitions = calloc(policy->count + 1, sizeof(*change->definitions));
	if (!change->own || !change->definitions) {
		sg_error_set(error, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; r == 0 && i < policy->count; i++) {
		const struct sg_budget_policy *budget = &policy->budgets[i];

		if (budget->scope == SG_SCOPE_AGENT)
			r = make_own(engine, budget, change, error);
		else
			change->definitions[change->definition_count++] = *budget;
	}
	strcpy(change->labels, policy->labels);
	return r;
}

// ---- Usage is kept ----

static bool counts_the_same(const struct sg_budget *budget, const struct sg_budget *other)
{
	return sg_window_is_alike(&budget->window, &other->window) &&
	       memcmp(budget->policy.models, other->policy.models, SG_MODEL_GLOBS_BYTES) == 0 &&
	       memcmp(budget->policy.providers, other->policy.providers, SG_PROVIDER_GLOBS_BYTES) ==
		       0;
}

static const struct sg_budget *find_kept(
	const struct sg_account *account, const struct sg_budget *budget)
{
	for (unsigned i = 0; i < account->own_count; i++)
		if (counts_the_same(account->budgets[i], budget))
			return account->budgets[i];
	return NULL;
}

static void keep_alerts(struct sg_budget *budget, const struct sg_budget *before)
{
	if (budget->policy.alert_count != before->policy.alert_count ||
		memcmp(budget->policy.alerts, before->policy.alerts, SG_MAX_ALERTS) != 0)
		return;
	budget->alerted = before->alerted;
	memcpy(budget->alerted_ns, before->alerted_ns, sizeof(budget->alerted_ns));
}

static void keep_by_name(const struct sg_account *account, struct sg_budget *budget)
{
	// All are there, which clang's analyzer does not see.
	for (unsigned i = 0; i < account->own_count && account->budgets[i]; i++) {
		const struct sg_budget *before = account->budgets[i];

		if (strcmp(before->policy.name, budget->policy.name) != 0)
			continue;
		budget->would_refuse = before->would_refuse;
		if (counts_the_same(before, budget))
			keep_alerts(budget, before);
		if (budget->breaker && before->breaker)
			sg_breaker_copy(budget->breaker, before->breaker);
	}
}

static int read_window(struct sg_engine *engine, const struct sg_account *account,
	struct sg_budget *budget, struct sg_error *error)
{
	char subject[SG_SUBJECT_BYTES];
	int r = sg_writer_flush(engine->writer);

	if (r < 0)
		return sg_error_set(error, r,
			"the ledger can't be written, so what was spent in another window is not "
			"known (event=ledger_failed in the log has the reason); the budgets are "
			"unchanged");
	sg_subject_of_agent(account->name, subject);
	r = sg_usage_load_budget(engine, budget, subject, engine->monotonic_ns());
	if (r < 0) {
		pthread_mutex_lock(&engine->reader_lock);
		sg_ledger_explain(engine->reader, r, error);
		pthread_mutex_unlock(&engine->reader_lock);
	}
	return r;
}

// Under the account's lock, so that no call is settled between the flush and the reading; the
// writer does not need it. An account that made no call yet is read at its first.
static int fill_windows(struct sg_engine *engine, const struct sg_account *account,
	struct change *change, struct sg_error *error)
{
	int r = 0;

	// Up to own_count all are there, which clang's analyzer does not see.
	for (unsigned i = 0; account->loaded && r == 0 && i < change->own_count && change->own[i];
		i++) {
		struct sg_budget *budget = change->own[i];
		const struct sg_budget *kept = find_kept(account, budget);

		if (kept) {
			budget->window = kept->window;
			budget->loaded = true;
		} else {
			r = read_window(engine, account, budget, error);
		}
		keep_by_name(account, budget);
	}
	return r;
}

// ---- The change itself ----

// Under the account's lock. The shared budgets stay as they are. The old own ones are left in the
// change; returns the workers that wait for room in them.
static uint64_t swap_own(
	struct sg_engine *engine, struct sg_account *account, struct change *change)
{
	struct sg_budget **before = account->budgets;
	unsigned before_count = account->own_count, shared = account->count - account->own_count;
	uint64_t waiting = sg_account_take_waiting(account, (UINT64_C(1) << before_count) - 1);

	for (unsigned i = 0; i < shared; i++)
		change->own[change->own_count + i] = before[before_count + i];
	account->budgets = change->own;
	account->own_count = (uint8_t)change->own_count;
	account->count = (uint8_t)(change->own_count + shared);
	sg_account_budgets_changed(account);
	account->label_set = change->label_set;
	sg_engine_hold_again(engine, account);
	change->own = before;
	change->own_count = before_count;
	return waiting;
}

static bool defines_the_same(const struct sg_account *account, const struct change *change)
{
	if (account->definition_count != change->definition_count)
		return false;
	for (unsigned i = 0; i < change->definition_count; i++)
		if (!sg_budget_policy_is_same(&account->definitions[i], &change->definitions[i]))
			return false;
	return true;
}

// What decides on the shared budgets, which is read under the control lock. What was there is left
// in the change: the same again undoes it.
static void swap_terms(struct sg_account *account, struct change *change)
{
	const struct change now = *change;

	change->definitions = account->definitions;
	change->definition_count = account->definition_count;
	change->defined_at = account->defined_at;
	account->definitions = now.definitions;
	account->definition_count = now.definition_count;
	account->defined_at = now.defined_at;
	sg_lock_take(&account->lock); // a status shows the labels
	strcpy(change->labels, account->labels);
	strcpy(account->labels, now.labels);
	sg_lock_give(&account->lock);
}

// Own and shared budgets change at once: no call finds neither those from before nor those from
// now. Under the locks that this takes.
static int use(struct sg_engine *engine, struct sg_account *account, struct change *change,
	struct sg_sharing *sharing, uint64_t *ret_waiting, struct sg_error *error)
{
	int r = fill_windows(engine, account, change, error);

	if (r < 0)
		return r;
	*ret_waiting = swap_own(engine, account, change);
	if (sharing)
		*ret_waiting |= sg_sharing_use(engine, sharing);
	return 0;
}

static int use_own(struct sg_engine *engine, struct sg_account *account, struct change *change,
	struct sg_error *error)
{
	uint64_t waiting = 0;
	int r;

	sg_account_lock_whole(account);
	r = use(engine, account, change, NULL, &waiting, error);
	sg_lock_give(&account->lock);
	sg_engine_tell_room(engine, waiting);
	return r;
}

static int use_all(struct sg_engine *engine, struct sg_account *account, struct change *change,
	struct sg_sharing *sharing, struct sg_error *error)
{
	uint64_t waiting = 0;
	int r;

	sg_sharing_lock(engine, sharing);
	r = use(engine, account, change, sharing, &waiting, error);
	sg_sharing_unlock(engine, sharing);
	sg_engine_tell_room(engine, waiting);
	return r;
}

// What can fail comes first: then nothing is changed.
static int apply(struct sg_engine *engine, struct sg_account *account, struct change *change,
	struct sg_error *error)
{
	bool fresh = !account->budgets;
	struct sg_sharing *sharing = NULL;
	int r;

	if (!fresh && defines_the_same(account, change) &&
		strcmp(account->labels, change->labels) == 0)
		return use_own(engine, account, change, error);
	change->defined_at = ++engine->definitions_set;
	swap_terms(account, change);
	r = sg_sharing_plan(engine,
		fresh && sg_engine_has_definitions(
				 engine, account->definitions, account->definition_count)
			? account
			: NULL,
		&sharing, error);
	if (r == 0)
		r = use_all(engine, account, change, sharing, error);
	if (r < 0)
		swap_terms(account, change);
	sg_sharing_free(sharing);
	return r;
}

static int find_or_make(struct sg_engine *engine, const char *agent,
	struct sg_account **ret_account, struct sg_error *error)
{
	struct sg_account *account;
	int r;

	HASH_FIND_STR(engine->accounts, agent, account);
	if (!account) {
		r = sg_account_new(agent, engine->workers, &account);
		if (r < 0)
			return sg_error_set(error, r, "%s", strerror(-r));
		HASH_ADD_STR(engine->accounts, name, account);
	}
	*ret_account = account;
	return 0;
}

int sg_account_set(struct sg_engine *engine, const char *agent, const struct sg_policy *policy,
	struct sg_account **ret_account, struct sg_error *error)
{
	struct change change = { .own = NULL };
	struct sg_account *account = NULL;
	int r;

	pthread_mutex_lock(&engine->control_lock);
	r = make_change(engine, policy, &change, error);
	if (r == 0)
		r = find_or_make(engine, agent, &account, error);
	if (r == 0)
		r = apply(engine, account, &change, error);
	if (r < 0 && account && !account->budgets) {
		HASH_DEL(engine->accounts, account); // made for this
		sg_account_free(account);
	}
	drop_change(&change);
	pthread_mutex_unlock(&engine->control_lock);
	if (r < 0)
		return sg_error_prefix(error, r, "agent %s: ", agent);
	*ret_account = account;
	return 0;
}
