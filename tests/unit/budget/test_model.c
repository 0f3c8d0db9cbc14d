// SPDX-License-Identifier: Apache-2.0
// Random calls, time, policies and restarts against a naive model: a list of every entry ever made.
// Windows here are short enough that each nanosecond has a bucket of its own, so both must agree
// exactly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "lib/engine_fixture.h"

#define TRIALS	    12
#define STEPS	    1500
#define MAX_HOLDS   24
#define MAX_WINDOW  250
#define MAX_BUDGETS 4

// ---- The model ----

static struct {
	int64_t at_ns;
	struct sg_charge charge;
} entries[STEPS];
static unsigned entry_count;

static const struct sg_charge nothing;
static struct sg_policy policy;
static struct sg_account *account;
static struct {
	struct sg_hold hold;
	int64_t at_ns;
} holds[MAX_HOLDS];
static unsigned hold_count;

static void remember(int64_t at_ns, const struct sg_charge *charge)
{
	entries[entry_count].at_ns = at_ns;
	entries[entry_count++].charge = *charge;
}

static void sum_up(struct sg_charge *sum, const struct sg_charge *charge)
{
	sum->nanousd += charge->nanousd;
	sum->input_tokens += charge->input_tokens;
	sum->output_tokens += charge->output_tokens;
	sum->requests += charge->requests;
}

static struct sg_charge model_spent(int64_t window_ns, int64_t at_ns)
{
	struct sg_charge sum = { 0 };

	for (unsigned i = 0; i < entry_count; i++)
		if (!window_ns || at_ns - entries[i].at_ns < window_ns)
			sum_up(&sum, &entries[i].charge);
	return sum;
}

static struct sg_charge model_held(void)
{
	struct sg_charge sum = { 0 };

	for (unsigned i = 0; i < hold_count; i++)
		sum_up(&sum, &holds[i].hold.bound);
	return sum;
}

static bool over(int64_t limit, int64_t spent, int64_t held, int64_t hold)
{
	return limit && (spent >= limit || spent + held + hold > limit);
}

static bool model_refuses(const struct sg_budget_policy *budget, int64_t at_ns,
	const struct sg_charge *held, const struct sg_charge *hold, bool *ret_money)
{
	struct sg_charge spent = model_spent(budget->window_ns, at_ns);

	*ret_money = over(budget->limit_nanousd, spent.nanousd, held->nanousd, hold->nanousd);
	return *ret_money ||
	       over(budget->max_requests, spent.requests, held->requests, hold->requests) ||
	       over(budget->max_input_tokens, spent.input_tokens, held->input_tokens,
		       hold->input_tokens) ||
	       over(budget->max_output_tokens, spent.output_tokens, held->output_tokens,
		       hold->output_tokens) ||
	       over(budget->max_tokens, spent.input_tokens + spent.output_tokens,
		       held->input_tokens + held->output_tokens,
		       hold->input_tokens + hold->output_tokens);
}

// ---- What is compared ----

static void compare_all(void)
{
	const struct sg_charge held = model_held(), total = model_spent(0, now_ns);
	json_t *status = sg_account_status(engine, account);
	const json_t *budgets = json_object_get(status, "budgets");

	assert_int_equal(money_in(status, "spent_usd"), total.nanousd);
	assert_int_equal(money_in(status, "held_usd"), held.nanousd);
	assert_int_equal(json_integer_value(json_object_get(status, "calls")), total.requests);
	assert_int_equal(json_array_size(budgets), policy.count);
	for (unsigned i = 0; i < policy.count; i++) {
		const json_t *budget = json_array_get(budgets, i);
		struct sg_charge spent = model_spent(policy.budgets[i].window_ns, now_ns);

		assert_int_equal(money_in(budget, "spent_usd"), spent.nanousd);
		assert_int_equal(
			json_integer_value(json_object_get(budget, "requests")), spent.requests);
		assert_int_equal(json_integer_value(json_object_get(budget, "tokens")),
			spent.input_tokens + spent.output_tokens);
	}
	json_decref(status);
}

// The refusal names a budget that refuses; its time to wait is the first at which the call would
// fit with nothing in flight.
static void compare_refusal(
	const struct sg_refusal *refusal, const struct sg_charge *bound, bool money, bool only_held)
{
	const struct sg_charge held = model_held();
	const struct sg_budget_policy *budget = NULL;
	bool by_money;

	for (unsigned i = 0; i < policy.count; i++)
		if (strcmp(policy.budgets[i].name, refusal->budget) == 0)
			budget = &policy.budgets[i];
	assert_non_null(budget);
	assert_true(model_refuses(budget, now_ns, &held, bound, &by_money));
	assert_int_equal(refusal->money, money);
	assert_int_equal(refusal->only_held, only_held);
	assert_int_equal(model_refuses(budget, now_ns, &nothing, bound, &by_money), !only_held);
	if (!only_held)
		assert_int_equal(by_money, money);
	assert_int_equal(refusal->held_nanousd, held.nanousd);
	assert_int_equal(refusal->spent_nanousd, model_spent(budget->window_ns, now_ns).nanousd);
	// Within a time to come the budget may fit now already (only holds are in the way): then
	// nothing is told below that.
	if (refusal->resets_in_ns > 0 &&
		model_refuses(budget, now_ns, &nothing, bound, &by_money)) {
		assert_true(model_refuses(
			budget, now_ns + refusal->resets_in_ns - 1, &nothing, bound, &by_money));
		assert_false(model_refuses(
			budget, now_ns + refusal->resets_in_ns, &nothing, bound, &by_money));
	}
}

// ---- Steps ----

static int64_t up_to(int64_t most)
{
	return (int64_t)(random_number() % (uint64_t)(most + 1));
}

static void choose_policy(void)
{
	struct sg_error error = { "" };

	policy = (struct sg_policy){ .count = 1 + (unsigned)up_to(MAX_BUDGETS - 1) };
	for (unsigned i = 0; i < policy.count; i++) {
		struct sg_budget_policy *budget = &policy.budgets[i];
		int64_t *const caps[] = { &budget->limit_nanousd, &budget->max_requests,
			&budget->max_tokens, &budget->max_input_tokens,
			&budget->max_output_tokens };

		snprintf(budget->name, sizeof(budget->name), "budget-%u", i);
		budget->window_ns = up_to(4) ? 1 + up_to(MAX_WINDOW - 1) : SG_WINDOW_LIFETIME;
		budget->behavior = up_to(1) ? SG_HARD_STOP : SG_RATE_LIMIT;
		*caps[up_to(4)] = 1 + up_to(3000);
		*caps[up_to(1)] = 1 + up_to(budget->window_ns ? 300 : 30000);
	}
	if (sg_account_set(engine, "a", &policy, &account, &error) < 0)
		fail_msg("%s", error.text);
}

static void take_one(void)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat"
	};
	const struct sg_charge bound = { up_to(200), up_to(50), up_to(50), 1 }, held = model_held();
	bool refused = false, money = false, spent_out = false, money_out = false, soft_alert;
	struct sg_refusal refusal;
	int r;

	if (hold_count == MAX_HOLDS || entry_count + hold_count == STEPS)
		return;
	for (unsigned i = 0; i < policy.count; i++) {
		bool by_money;

		if (model_refuses(&policy.budgets[i], now_ns, &nothing, &bound, &by_money))
			spent_out = true, money_out |= by_money;
		refused |= model_refuses(&policy.budgets[i], now_ns, &held, &bound, &by_money);
		money |= by_money;
	}
	r = sg_hold_take(engine, (unsigned)up_to(1), account, &call, &bound,
		&holds[hold_count].hold, &refusal, &soft_alert);
	assert_int_equal(r, refused ? -EDQUOT : 0);
	if (refused)
		compare_refusal(&refusal, &bound, spent_out ? money_out : money, !spent_out);
	else
		holds[hold_count++].at_ns = now_ns;
}

static void end_one(bool release)
{
	unsigned index = (unsigned)up_to(MAX_HOLDS - 1);
	struct sg_hold *hold = &holds[index].hold;

	if (index >= hold_count)
		return;
	if (release) {
		sg_hold_release(engine, hold);
	} else {
		const struct sg_charge *bound = &hold->bound;
		const struct sg_settlement settlement = { .state = up_to(3) ? SG_SETTLED
									    : SG_ESTIMATED,
			.charge = { up_to(bound->nanousd), up_to(bound->input_tokens),
				up_to(bound->output_tokens), 1 } };

		remember(now_ns, &settlement.charge);
		sg_hold_settle(engine, hold, &settlement);
	}
	assert_null(hold->account);
	holds[index] = holds[--hold_count];
}

// What is in flight stays in the journal, and is charged in full as of when it was held.
static void reopen(void)
{
	struct sg_error error = { "" };

	engine = sg_engine_close(engine);
	for (unsigned i = 0; i < hold_count; i++)
		remember(holds[i].at_ns, &holds[i].hold.bound);
	hold_count = 0;
	open_engine(2);
	assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
}

static void step(void)
{
	int64_t dice = up_to(999);

	if (dice < 450)
		take_one();
	else if (dice < 700)
		end_one(false);
	else if (dice < 760)
		end_one(true);
	else if (dice < 980)
		now_ns += up_to(up_to(9) ? 12 : 2 * MAX_WINDOW);
	else if (dice < 996)
		choose_policy();
	else
		reopen();
	compare_all();
}

static void the_engine_agrees_with_a_list_of_all_entries(void **state)
{
	(void)state;
	choose_seed();
	for (int trial = 0; trial < TRIALS; trial++) {
		if (trial) {
			assert_int_equal(teardown(state), 0);
			assert_int_equal(setup(state), 0);
		}
		entry_count = hold_count = 0;
		choose_policy();
		for (int i = 0; i < STEPS; i++)
			step();
		reopen();
		compare_all();
		assert_true(entry_count > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_engine_agrees_with_a_list_of_all_entries, setup, teardown),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
