// SPDX-License-Identifier: Apache-2.0
// Accounts and budgets as JSON, for the status.
#include <string.h>

#include "base/clock.h"
#include "base/money.h"
#include "budget/account.h"

static void set_count(json_t *object, const char *key, int64_t count)
{
	json_object_set_new(object, key, json_integer(count));
}

static void set_cap(json_t *object, const char *key, int64_t cap)
{
	if (cap)
		set_count(object, key, cap);
}

static void describe_policy(const struct sg_budget *budget, json_t *object)
{
	const struct sg_budget_policy *policy = &budget->policy;
	char text[64];

	json_object_set_new(object, "name", json_string(policy->name));
	json_object_set_new(object, "scope", json_string(sg_scope_name(policy->scope)));
	if (budget->resolved_label[0])
		json_object_set_new(object, "label", json_string(budget->resolved_label));
	json_object_set_new(object, "behavior", json_string(sg_behavior_name(policy->behavior)));
	if (policy->observe)
		json_object_set_new(object, "mode", json_string("observe"));
	sg_window_format(policy->window_ns, policy->calendar, text, sizeof(text));
	json_object_set_new(object, "window", json_string(text));
	if (policy->timezone[0])
		json_object_set_new(object, "timezone", json_string(policy->timezone));
	if (policy->on_tight != SG_TIGHT_DENY)
		json_object_set_new(
			object, "on_tight", json_string(sg_on_tight_name(policy->on_tight)));
	if (policy->limit_nanousd)
		json_object_set_new(object, "limit_usd", sg_money_json(policy->limit_nanousd));
	set_cap(object, "max_requests", policy->max_requests);
	set_cap(object, "max_tokens", policy->max_tokens);
	set_cap(object, "max_input_tokens", policy->max_input_tokens);
	set_cap(object, "max_output_tokens", policy->max_output_tokens);
	set_cap(object, "max_concurrency", policy->max_concurrency);
}

json_t *sg_budget_describe(struct sg_budget *budget, int64_t now_ns, int64_t wall_ns)
{
	const struct sg_ask any_call = { .now_ns = now_ns };
	const struct sg_charge *spent = &budget->window.sum;
	json_t *object = json_object();
	int64_t resets_ns;
	char text[64];

	sg_window_advance(&budget->window, now_ns);
	resets_ns = sg_budget_resets_in_ns(budget, &any_call);
	describe_policy(budget, object);
	json_object_set_new(object, "spent_usd", sg_money_json(spent->nanousd));
	json_object_set_new(object, "held_usd", sg_money_json(budget->held.nanousd));
	set_count(object, "requests", spent->requests);
	set_count(object, "tokens", sg_money_add(spent->input_tokens, spent->output_tokens));
	set_count(object, "in_flight", budget->held.requests);
	if (sg_budget_only_tells(budget))
		set_count(object, "would_refuse", budget->would_refuse);
	if (budget->breaker && sg_breaker_refuses(budget->breaker, now_ns))
		json_object_set_new(object, "breaker_open", json_true());
	if (resets_ns > 0) {
		sg_clock_format(wall_ns + resets_ns, text, sizeof(text));
		json_object_set_new(object, "resets_at", json_string(text));
	}
	return object;
}

static json_t *describe_budgets(struct sg_account *account, int64_t now_ns, int64_t wall_ns)
{
	json_t *budgets = json_array();

	sg_account_lock_shared(account, UINT64_MAX);
	for (unsigned i = 0; i < account->count; i++)
		json_array_append_new(
			budgets, sg_budget_describe(account->budgets[i], now_ns, wall_ns));
	sg_account_unlock_shared(account, UINT64_MAX);
	return budgets;
}

json_t *sg_account_describe(struct sg_account *account, int64_t now_ns, int64_t wall_ns)
{
	json_t *object = json_object();

	if (!object)
		return NULL;
	json_object_set_new(object, "name", json_string(account->name));
	if (account->labels[0])
		json_object_set_new(object, "labels", json_string(account->labels));
	json_object_set_new(object, "budgets", describe_budgets(account, now_ns, wall_ns));
	json_object_set_new(object, "spent_usd", sg_money_json(account->spent.nanousd));
	json_object_set_new(object, "held_usd", sg_money_json(account->held.nanousd));
	set_count(object, "input_tokens", account->spent.input_tokens);
	set_count(object, "output_tokens", account->spent.output_tokens);
	set_count(object, "in_flight", account->held.requests);
	set_count(object, "calls", account->spent.requests);
	set_count(object, "refused", account->refused);
	set_count(object, "estimated", account->estimated);
	return object;
}
