// SPDX-License-Identifier: Apache-2.0
#include "budget/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"

int sg_account_new(const char *name, struct sg_account **ret_account)
{
	struct sg_account *account = calloc(1, sizeof(*account));
	int r;

	if (!account)
		return -ENOMEM;
	if (strlen(name) >= sizeof(account->name)) {
		free(account);
		return -ENAMETOOLONG;
	}
	strcpy(account->name, name);
	r = -pthread_mutex_init(&account->lock, NULL);
	if (r < 0) {
		free(account);
		return r;
	}
	*ret_account = account;
	return 0;
}

struct sg_account *sg_account_free(struct sg_account *account)
{
	pthread_mutex_destroy(&account->lock);
	free(account->windows);
	free(account);
	return NULL;
}

// ---- Limits ----

static const struct sg_charge nothing;

// One cap: what was spent, is held, and would be held, against its limit. 0: not capped.
struct cap {
	int64_t limit, spent, held, hold;
};

static bool is_over(const struct cap *cap, bool is_more)
{
	if (!cap->limit || (is_more && !cap->hold))
		return false;
	return cap->spent >= cap->limit || cap->hold > cap->limit - cap->spent ||
	       cap->held > cap->limit - cap->spent - cap->hold;
}

static struct cap money_cap(const struct sg_budget_policy *budget, const struct sg_charge *spent,
	const struct sg_charge *held, const struct sg_charge *hold)
{
	return (struct cap){ budget->limit_nanousd, spent->nanousd, held->nanousd, hold->nanousd };
}

static int64_t tokens_of(const struct sg_charge *charge)
{
	return sg_money_add(charge->input_tokens, charge->output_tokens);
}

static bool counts_are_over(const struct sg_budget_policy *budget, const struct sg_charge *spent,
	const struct sg_charge *held, const struct sg_ask *ask)
{
	const struct sg_charge *hold = &ask->hold;
	const struct cap caps[] = {
		{ budget->max_requests, spent->requests, held->requests, hold->requests },
		{ budget->max_tokens, tokens_of(spent), tokens_of(held), tokens_of(hold) },
		{ budget->max_input_tokens, spent->input_tokens, held->input_tokens,
			hold->input_tokens },
		{ budget->max_output_tokens, spent->output_tokens, held->output_tokens,
			hold->output_tokens },
	};

	for (size_t i = 0; i < SG_ARRAY_SIZE(caps); i++)
		if (is_over(&caps[i], ask->is_more))
			return true;
	return false;
}

static bool budget_is_over(const struct sg_budget_policy *budget, const struct sg_charge *spent,
	const struct sg_charge *held, const struct sg_ask *ask, bool *ret_money)
{
	struct cap money = money_cap(budget, spent, held, &ask->hold);

	*ret_money = is_over(&money, ask->is_more);
	return *ret_money || counts_are_over(budget, spent, held, ask);
}

// When, seen from now, enough of the window has passed that the same call would fit, were nothing
// else in flight.
static int64_t resets_in_ns(const struct sg_budget_policy *budget, const struct sg_window *window,
	const struct sg_ask *ask)
{
	struct sg_charge spent = window->sum;
	bool money;

	if (!window->length_ns)
		return -1;
	for (unsigned i = 0; i < window->count; i++) {
		const struct sg_window_bucket *bucket =
			&window->buckets[(window->first + i) % SG_WINDOW_BUCKETS];

		sg_charge_subtract(&spent, &bucket->sum);
		if (!budget_is_over(budget, &spent, &nothing, ask, &money))
			return bucket->newest_ns + window->length_ns - ask->now_ns;
	}
	return -1; // it does not fit an empty window either, or only others in flight are in the
		   // way
}

// One budget's answer.
struct verdict {
	unsigned index;
	bool over, money;
	bool only_held; // it would fit, were nothing else in flight
};

static struct verdict judge(
	const struct sg_account *account, unsigned index, const struct sg_ask *ask)
{
	const struct sg_budget_policy *budget = &account->policy.budgets[index];
	const struct sg_charge *spent = &account->windows[index].sum;
	struct verdict verdict = { .index = index };
	bool money;

	verdict.over = budget_is_over(budget, spent, &account->held, ask, &verdict.money);
	if (!verdict.over)
		return verdict;
	verdict.only_held = !budget_is_over(budget, spent, &nothing, ask, &money);
	if (!verdict.only_held)
		verdict.money = money;
	return verdict;
}

// Which of two refusals is told: one that no other call's end undoes; then that of a money cap
// (docs/budgets.md).
static bool outweighs(const struct verdict *verdict, const struct verdict *other)
{
	if (!other->over || verdict->only_held != other->only_held)
		return !other->over || !verdict->only_held;
	return verdict->money && !other->money;
}

static void fill_refusal(const struct sg_account *account, const struct verdict *verdict,
	const struct sg_ask *ask, struct sg_refusal *refusal)
{
	const struct sg_budget_policy *budget = &account->policy.budgets[verdict->index];
	const struct sg_window *window = &account->windows[verdict->index];

	*refusal = (struct sg_refusal){ .money = verdict->money,
		.only_held = verdict->only_held,
		.behavior = budget->behavior,
		.on_tight = budget->on_tight,
		.wait_ns = budget->wait_ns,
		.limit_nanousd = budget->limit_nanousd,
		.max_requests = budget->max_requests,
		.spent_nanousd = window->sum.nanousd,
		.held_nanousd = account->held.nanousd,
		.requests = window->sum.requests,
		.unknown_cost_requests = window->estimated,
		.window_ns = budget->window_ns,
		.resets_in_ns = resets_in_ns(budget, window, ask) };
	strcpy(refusal->budget, budget->name);
}

// What is held is taken back exactly, so its sum may not stop at the top: a hold beyond it is
// refused.
static int add_to_held(struct sg_account *account, const struct sg_charge *bound)
{
	struct sg_charge sum;

	if (__builtin_add_overflow(account->held.nanousd, bound->nanousd, &sum.nanousd) ||
		__builtin_add_overflow(
			account->held.input_tokens, bound->input_tokens, &sum.input_tokens) ||
		__builtin_add_overflow(
			account->held.output_tokens, bound->output_tokens, &sum.output_tokens) ||
		__builtin_add_overflow(account->held.requests, bound->requests, &sum.requests))
		return -ENOBUFS;
	account->held = sum;
	return 0;
}

int sg_account_hold(struct sg_account *account, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	struct verdict refusing = { .over = false };

	*ret_soft_alert = false;
	for (unsigned i = 0; i < account->policy.count; i++) {
		struct verdict verdict;

		sg_window_advance(&account->windows[i], ask->now_ns);
		verdict = judge(account, i, ask);
		if (!verdict.over)
			continue;
		if (account->policy.budgets[i].behavior == SG_SOFT_ALERT) {
			*ret_soft_alert = true;
			fill_refusal(account, &verdict, ask, ret_refusal);
		} else if (outweighs(&verdict, &refusing)) {
			refusing = verdict;
		}
	}
	if (refusing.over) {
		fill_refusal(account, &refusing, ask, ret_refusal);
		return -EDQUOT;
	}
	return add_to_held(account, &ask->hold);
}

bool sg_account_may_cut(const struct sg_account *account)
{
	bool any = false;

	for (unsigned i = 0; i < account->policy.count; i++) {
		if (account->policy.budgets[i].behavior == SG_SOFT_ALERT)
			continue;
		if (account->policy.budgets[i].on_tight != SG_TIGHT_CUT)
			return false;
		any = true;
	}
	return any;
}

static int64_t left_of(int64_t limit, int64_t spent, int64_t held)
{
	if (!limit)
		return SG_MONEY_MAX;
	return spent >= limit || held >= limit - spent ? 0 : limit - spent - held;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void sg_account_room_beside(struct sg_account *account, const struct sg_charge *held,
	int64_t now_ns, struct sg_room *ret_room)
{
	struct sg_room room = { SG_MONEY_MAX, SG_MONEY_MAX, SG_MONEY_MAX, SG_MONEY_MAX,
		SG_MONEY_MAX };

	for (unsigned i = 0; i < account->policy.count; i++) {
		const struct sg_budget_policy *budget = &account->policy.budgets[i];
		const struct sg_charge *spent = &account->windows[i].sum;

		if (budget->behavior == SG_SOFT_ALERT)
			continue;
		sg_window_advance(&account->windows[i], now_ns);
		room.nanousd = least(room.nanousd,
			left_of(budget->limit_nanousd, spent->nanousd, held->nanousd));
		room.tokens = least(room.tokens,
			left_of(budget->max_tokens, tokens_of(spent), tokens_of(held)));
		room.input_tokens = least(room.input_tokens,
			left_of(budget->max_input_tokens, spent->input_tokens, held->input_tokens));
		room.output_tokens = least(
			room.output_tokens, left_of(budget->max_output_tokens, spent->output_tokens,
						    held->output_tokens));
		room.requests = least(room.requests,
			left_of(budget->max_requests, spent->requests, held->requests));
	}
	*ret_room = room;
}

void sg_account_unhold(struct sg_account *account, const struct sg_charge *bound)
{
	sg_charge_subtract(&account->held, bound);
}

void sg_account_spend(
	struct sg_account *account, const struct sg_charge *charge, bool estimated, int64_t now_ns)
{
	for (unsigned i = 0; i < account->policy.count; i++) {
		sg_window_advance(&account->windows[i], now_ns);
		sg_window_add(&account->windows[i], now_ns, charge, estimated);
	}
	sg_charge_add(&account->spent, charge);
	account->calls += charge->requests;
	account->estimated += estimated;
}

void sg_account_count_refused(struct sg_account *account)
{
	pthread_mutex_lock(&account->lock);
	account->refused++;
	pthread_mutex_unlock(&account->lock);
}

// ---- Status ----

static void set_money(json_t *object, const char *key, int64_t nanousd)
{
	char text[32];

	sg_money_format(nanousd, text, sizeof(text));
	json_object_set_new(object, key, json_string(text));
}

static json_t *budget_status(
	const struct sg_account *account, unsigned index, int64_t now_ns, int64_t wall_ns)
{
	const struct sg_budget_policy *budget = &account->policy.budgets[index];
	const struct sg_window *window = &account->windows[index];
	const struct sg_ask any_call = { .now_ns = now_ns };
	json_t *object = json_object();
	int64_t resets_ns = resets_in_ns(budget, window, &any_call);
	char text[64];

	sg_window_format(budget->window_ns, text, sizeof(text));
	json_object_set_new(object, "name", json_string(budget->name));
	json_object_set_new(object, "behavior", json_string(sg_behavior_name(budget->behavior)));
	json_object_set_new(object, "window", json_string(text));
	if (budget->on_tight != SG_TIGHT_DENY)
		json_object_set_new(
			object, "on_tight", json_string(sg_on_tight_name(budget->on_tight)));
	if (budget->limit_nanousd)
		set_money(object, "limit_usd", budget->limit_nanousd);
	if (budget->max_requests)
		json_object_set_new(object, "max_requests", json_integer(budget->max_requests));
	if (budget->max_tokens)
		json_object_set_new(object, "max_tokens", json_integer(budget->max_tokens));
	if (budget->max_input_tokens)
		json_object_set_new(
			object, "max_input_tokens", json_integer(budget->max_input_tokens));
	if (budget->max_output_tokens)
		json_object_set_new(
			object, "max_output_tokens", json_integer(budget->max_output_tokens));
	set_money(object, "spent_usd", window->sum.nanousd);
	set_money(object, "held_usd", account->held.nanousd);
	json_object_set_new(object, "requests", json_integer(window->sum.requests));
	json_object_set_new(object, "tokens", json_integer(tokens_of(&window->sum)));
	if (resets_ns > 0) {
		sg_clock_format(wall_ns + resets_ns, text, sizeof(text));
		json_object_set_new(object, "resets_at", json_string(text));
	}
	return object;
}

json_t *sg_account_describe(struct sg_account *account, int64_t now_ns, int64_t wall_ns)
{
	json_t *object = json_object(), *budgets = json_array();

	if (!object || !budgets) {
		json_decref(object);
		json_decref(budgets);
		return NULL;
	}
	pthread_mutex_lock(&account->lock);
	json_object_set_new(object, "name", json_string(account->name));
	for (unsigned i = 0; i < account->policy.count; i++) {
		sg_window_advance(&account->windows[i], now_ns);
		json_array_append_new(budgets, budget_status(account, i, now_ns, wall_ns));
	}
	json_object_set_new(object, "budgets", budgets);
	set_money(object, "spent_usd", account->spent.nanousd);
	set_money(object, "held_usd", account->held.nanousd);
	json_object_set_new(object, "input_tokens", json_integer(account->spent.input_tokens));
	json_object_set_new(object, "output_tokens", json_integer(account->spent.output_tokens));
	json_object_set_new(object, "in_flight", json_integer(account->held.requests));
	json_object_set_new(object, "calls", json_integer(account->calls));
	json_object_set_new(object, "refused", json_integer(account->refused));
	json_object_set_new(object, "estimated", json_integer(account->estimated));
	pthread_mutex_unlock(&account->lock);
	return object;
}
