// SPDX-License-Identifier: Apache-2.0
// Random calls of three agents, raised and lowered holds, time, policies, shared budgets and
// restarts against a naive model: a list of every entry ever made. Rolling windows here are short
// enough that each nanosecond has a bucket of its own, so both must agree exactly; so must the
// state after a restart, which is read from the journal and the ledger.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/log.h"
#include "budget/account.h"
#include "lib/engine_fixture.h"

#define TRIALS	    12
#define STEPS	    1500
#define MAX_HOLDS   24
#define MAX_WINDOW  250
#define MAX_BUDGETS 3
#define AGENTS	    3

// ---- The model ----

static const struct {
	const char *name, *labels;
} agents[AGENTS] = { { "a", "team=red" }, { "b", "project=x,team=red" }, { "c", "team=blue" } };

static const char *const shared_labels[] = { "team=red", "team=blue", "project=x" };

static struct {
	unsigned agent;
	int64_t at_ns;
	struct sg_charge charge;
} entries[STEPS];
static unsigned entry_count;

static const struct sg_charge nothing;
static struct sg_policy policies[AGENTS];
static struct sg_budget_policy shared[MAX_BUDGETS];
static unsigned shared_count;
static struct sg_account *accounts[AGENTS];
static struct {
	unsigned agent;
	struct sg_hold hold;
	struct sg_charge first; // what it was taken with
	int64_t at_ns;
} holds[MAX_HOLDS];
static unsigned hold_count;
static unsigned portions_seen;

// A budget, and whose it is: an agent's own, or a shared one (agent: AGENTS).
struct place {
	const struct sg_budget_policy *budget;
	unsigned agent;
};

static void remember(unsigned agent, int64_t at_ns, const struct sg_charge *charge)
{
	entries[entry_count].agent = agent;
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

static bool has_label(unsigned agent, const char *label)
{
	const char *at = strstr(agents[agent].labels, label);

	return at && (at == agents[agent].labels || at[-1] == ',');
}

static bool counts(const struct place *place, unsigned agent)
{
	if (place->agent < AGENTS)
		return place->agent == agent;
	return place->budget->scope == SG_SCOPE_HOST || has_label(agent, place->budget->label);
}

static bool is_within(const struct sg_budget_policy *budget, int64_t entry_ns, int64_t at_ns)
{
	if (budget->calendar == SG_HOUR)
		return entry_ns / HOUR_NS == at_ns / HOUR_NS;
	if (budget->calendar == SG_DAY)
		return entry_ns / (24 * HOUR_NS) == at_ns / (24 * HOUR_NS);
	return !budget->window_ns || at_ns - entry_ns < budget->window_ns;
}

static struct sg_charge model_spent(const struct place *place, int64_t at_ns)
{
	struct sg_charge sum = { 0 };

	for (unsigned i = 0; i < entry_count; i++)
		if (counts(place, entries[i].agent) &&
			is_within(place->budget, entries[i].at_ns, at_ns))
			sum_up(&sum, &entries[i].charge);
	return sum;
}

static struct sg_charge model_held(const struct place *place)
{
	struct sg_charge sum = { 0 };

	for (unsigned i = 0; i < hold_count; i++)
		if (counts(place, holds[i].agent))
			sum_up(&sum, &holds[i].hold.bound);
	return sum;
}

// The places that count an agent's calls.
static unsigned places_of(unsigned agent, struct place places[2 * MAX_BUDGETS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < policies[agent].count; i++)
		places[count++] = (struct place){ &policies[agent].budgets[i], agent };
	for (unsigned i = 0; i < shared_count; i++) {
		places[count] = (struct place){ &shared[i], AGENTS };
		count += counts(&places[count], agent);
	}
	return count;
}

// A hold for a call has a request; more of one that is out has none, and only what it asks for can
// be refused.
static bool over(int64_t limit, int64_t spent, int64_t held, int64_t hold, bool is_more)
{
	return limit && !(is_more && !hold) && (spent >= limit || spent + held + hold > limit);
}

static bool model_refuses(const struct place *place, int64_t at_ns, const struct sg_charge *held,
	const struct sg_charge *hold, bool *ret_money)
{
	const struct sg_budget_policy *budget = place->budget;
	struct sg_charge spent = model_spent(place, at_ns);
	const bool is_more = !hold->requests;

	*ret_money =
		over(budget->limit_nanousd, spent.nanousd, held->nanousd, hold->nanousd, is_more);
	return *ret_money ||
	       over(budget->max_requests, spent.requests, held->requests, hold->requests,
		       is_more) ||
	       over(budget->max_input_tokens, spent.input_tokens, held->input_tokens,
		       hold->input_tokens, is_more) ||
	       over(budget->max_output_tokens, spent.output_tokens, held->output_tokens,
		       hold->output_tokens, is_more) ||
	       over(budget->max_tokens, spent.input_tokens + spent.output_tokens,
		       held->input_tokens + held->output_tokens,
		       hold->input_tokens + hold->output_tokens, is_more);
}

// ---- What is compared ----

static void compare_budget(const json_t *budget, const struct place *place)
{
	const struct sg_charge spent = model_spent(place, now_ns), held = model_held(place);

	assert_string_equal(
		json_string_value(json_object_get(budget, "name")), place->budget->name);
	assert_int_equal(money_in(budget, "spent_usd"), spent.nanousd);
	assert_int_equal(money_in(budget, "held_usd"), held.nanousd);
	assert_int_equal(json_integer_value(json_object_get(budget, "in_flight")), held.requests);
	assert_int_equal(json_integer_value(json_object_get(budget, "requests")), spent.requests);
	assert_int_equal(json_integer_value(json_object_get(budget, "tokens")),
		spent.input_tokens + spent.output_tokens);
}

// Its own budgets come first.
static void compare_account(unsigned agent)
{
	static const struct sg_budget_policy since_ever;
	const struct place total = { &since_ever, agent };
	struct place places[2 * MAX_BUDGETS];
	const unsigned count = places_of(agent, places);
	json_t *status = sg_account_status(engine, accounts[agent]);
	const json_t *budgets = json_object_get(status, "budgets");

	assert_int_equal(money_in(status, "spent_usd"), model_spent(&total, now_ns).nanousd);
	assert_int_equal(money_in(status, "held_usd"), model_held(&total).nanousd);
	assert_int_equal(json_integer_value(json_object_get(status, "calls")),
		model_spent(&total, now_ns).requests);
	assert_int_equal(json_array_size(budgets), count);
	for (unsigned i = 0; i < policies[agent].count; i++)
		compare_budget(json_array_get(budgets, i), &places[i]);
	json_decref(status);
}

static void compare_shared(void)
{
	json_t *list = sg_engine_budgets_status(engine), *budget;
	size_t i;

	json_array_foreach(list, i, budget)
	{
		const char *name = json_string_value(json_object_get(budget, "name"));

		for (unsigned j = 0; j < shared_count; j++)
			if (strcmp(shared[j].name, name) == 0)
				compare_budget(budget, &(struct place){ &shared[j], AGENTS });
	}
	assert_int_equal(json_array_size(list), shared_count);
	json_decref(list);
}

static void compare_all(void)
{
	for (unsigned agent = 0; agent < AGENTS; agent++)
		compare_account(agent);
	compare_shared();
}

// The refusal names a budget that refuses; its time to wait is the first at which the call would
// fit with nothing in flight.
static void compare_refusal(const struct place *place, const struct sg_refusal *refusal,
	const struct sg_charge *bound, bool money, bool only_held)
{
	const struct sg_charge held = model_held(place);
	bool by_money;

	assert_true(model_refuses(place, now_ns, &held, bound, &by_money));
	assert_int_equal(refusal->money, money);
	assert_int_equal(refusal->only_held, only_held);
	assert_int_equal(model_refuses(place, now_ns, &nothing, bound, &by_money), !only_held);
	if (!only_held)
		assert_int_equal(by_money, money);
	assert_int_equal(refusal->held_nanousd, held.nanousd);
	assert_int_equal(refusal->spent_nanousd, model_spent(place, now_ns).nanousd);
	if (refusal->resets_in_ns > 0 && !only_held) {
		assert_true(model_refuses(
			place, now_ns + refusal->resets_in_ns - 1, &nothing, bound, &by_money));
		assert_false(model_refuses(
			place, now_ns + refusal->resets_in_ns, &nothing, bound, &by_money));
	}
}

struct expected {
	bool refused, money, only_held;
};

static struct expected expect(unsigned agent, const struct sg_charge *bound)
{
	bool money_beside_holds = false, money_out = false, out = false;
	struct expected expected = { .refused = false };
	struct place places[2 * MAX_BUDGETS];
	const unsigned count = places_of(agent, places);

	for (unsigned i = 0; i < count; i++) {
		const struct sg_charge held = model_held(&places[i]);
		bool money;

		if (model_refuses(&places[i], now_ns, &nothing, bound, &money))
			out = true, money_out |= money;
		expected.refused |= model_refuses(&places[i], now_ns, &held, bound, &money);
		money_beside_holds |= money;
	}
	expected.only_held = !out;
	expected.money = out ? money_out : money_beside_holds;
	return expected;
}

static void compare_answer(unsigned agent, int r, const struct sg_refusal *refusal,
	const struct sg_charge *bound, const struct expected *expected)
{
	struct place places[2 * MAX_BUDGETS];
	const unsigned count = places_of(agent, places);
	unsigned i = 0;

	assert_int_equal(r, expected->refused ? -EDQUOT : 0);
	if (!expected->refused)
		return;
	while (i < count && strcmp(places[i].budget->name, refusal->budget) != 0)
		i++;
	assert_true(i < count);
	compare_refusal(&places[i], refusal, bound, expected->money, expected->only_held);
}

// ---- Steps ----

static int64_t up_to(int64_t most)
{
	return (int64_t)(random_number() % (uint64_t)(most + 1));
}

static void choose_window(struct sg_budget_policy *budget)
{
	static const enum sg_calendar calendars[] = { SG_HOUR, SG_DAY };

	budget->window_ns = up_to(4) ? 1 + up_to(MAX_WINDOW - 1) : SG_WINDOW_LIFETIME;
	if (up_to(3))
		return;
	budget->window_ns = SG_WINDOW_LIFETIME;
	budget->calendar = calendars[up_to(1)];
}

static void choose_budget(struct sg_budget_policy *budget, const char *kind, unsigned number)
{
	int64_t *const caps[] = { &budget->limit_nanousd, &budget->max_requests,
		&budget->max_tokens, &budget->max_input_tokens, &budget->max_output_tokens };
	const int64_t times = up_to(1) ? 1 : 40; // much room: workers have portions of it

	snprintf(budget->name, sizeof(budget->name), "%s-%u", kind, number);
	choose_window(budget);
	budget->behavior = up_to(1) ? SG_HARD_STOP : SG_RATE_LIMIT;
	*caps[up_to(4)] = 1 + up_to(3000) * times;
	*caps[up_to(1)] = 1 + up_to(budget->window_ns ? 300 : 30000) * times;
}

static void set_policy(unsigned agent)
{
	struct sg_error error = { "" };

	if (sg_account_set(engine, agents[agent].name, &policies[agent], &accounts[agent], &error) <
		0)
		fail_msg("%s", error.text);
}

static void set_shared(void)
{
	struct sg_error error = { "" };

	if (sg_engine_set_budgets(engine, shared, shared_count, &error) < 0)
		fail_msg("%s", error.text);
}

static void choose_policy(unsigned agent)
{
	policies[agent] = (struct sg_policy){ .count = (unsigned)up_to(MAX_BUDGETS) };
	strcpy(policies[agent].labels, agents[agent].labels);
	for (unsigned i = 0; i < policies[agent].count; i++)
		choose_budget(&policies[agent].budgets[i], "own", i);
	set_policy(agent);
}

static void choose_shared(void)
{
	memset(shared, 0, sizeof(shared));
	shared_count = (unsigned)up_to(MAX_BUDGETS);
	for (unsigned i = 0; i < shared_count; i++) {
		choose_budget(&shared[i], "shared", i);
		shared[i].scope = up_to(1) ? SG_SCOPE_HOST : SG_SCOPE_LABEL;
		if (shared[i].scope == SG_SCOPE_LABEL)
			strcpy(shared[i].label, shared_labels[up_to(2)]);
	}
	set_shared();
}

static void take_one(void)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat"
	};
	const struct sg_charge bound = { up_to(200), up_to(50), up_to(50), 1 };
	const unsigned agent = (unsigned)up_to(AGENTS - 1);
	const struct expected expected = expect(agent, &bound);
	struct sg_refusal refusal;
	bool soft_alert;
	int r;

	if (hold_count == MAX_HOLDS || entry_count + hold_count == STEPS)
		return;
	r = sg_hold_take(engine, (unsigned)up_to(1), accounts[agent], &call, &bound,
		&holds[hold_count].hold, &refusal, &soft_alert);
	compare_answer(agent, r, &refusal, &bound, &expected);
	portions_seen += accounts[agent]->portioned != 0;
	if (r < 0)
		return;
	holds[hold_count].agent = agent;
	holds[hold_count].first = bound;
	holds[hold_count++].at_ns = now_ns;
}

static void raise_one(void)
{
	const struct sg_charge more = { up_to(1) * up_to(80), up_to(1) * up_to(5),
		up_to(1) * up_to(30), 0 };
	const unsigned index = (unsigned)up_to(MAX_HOLDS - 1);
	struct sg_refusal refusal;
	struct expected expected;

	if (index >= hold_count)
		return;
	expected = expect(holds[index].agent, &more);
	compare_answer(holds[index].agent,
		sg_hold_top_up(engine, &holds[index].hold, &more, false, &refusal), &refusal, &more,
		&expected);
}

static void lower_one(void)
{
	const unsigned index = (unsigned)up_to(MAX_HOLDS - 1);
	struct sg_charge lower;

	if (index >= hold_count)
		return;
	lower = holds[index].hold.bound;
	lower.nanousd = up_to(lower.nanousd);
	lower.output_tokens = up_to(lower.output_tokens);
	sg_hold_lower(engine, &holds[index].hold, &lower);
	assert_memory_equal(&holds[index].hold.bound, &lower, sizeof(lower));
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

		remember(holds[index].agent, now_ns, &settlement.charge);
		sg_hold_settle(engine, hold, &settlement);
	}
	assert_null(hold->account);
	holds[index] = holds[--hold_count];
}

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

// What is in flight stays in the journal, and is charged in full as of when it was held: by what it
// was raised to, and where it was lowered, by what it was taken with.
static void remember_dangling(unsigned index)
{
	const struct sg_charge *first = &holds[index].first, *last = &holds[index].hold.bound;
	const struct sg_charge charge = { greater(first->nanousd, last->nanousd),
		greater(first->input_tokens, last->input_tokens),
		greater(first->output_tokens, last->output_tokens), 1 };

	remember(holds[index].agent, holds[index].at_ns, &charge);
}

static void reopen(void)
{
	engine = sg_engine_close(engine);
	for (unsigned i = 0; i < hold_count; i++)
		remember_dangling(i);
	hold_count = 0;
	open_engine(2);
	set_shared();
	for (unsigned agent = 0; agent < AGENTS; agent++)
		set_policy(agent);
}

static int64_t shortly_before_the_end_of(int64_t period_ns)
{
	return greater(now_ns, (now_ns / period_ns + 1) * period_ns - up_to(20));
}

// Often so that calls are on both sides of the end of an hour, or a day.
static void pass_time(void)
{
	const int64_t dice = up_to(99);

	if (dice < 6)
		now_ns = shortly_before_the_end_of(HOUR_NS);
	else if (dice < 7)
		now_ns = shortly_before_the_end_of(24 * HOUR_NS);
	else if (dice < 8)
		now_ns += up_to(30 * HOUR_NS);
	else
		now_ns += up_to(dice < 90 ? 12 : 2 * MAX_WINDOW);
}

static void step(void)
{
	int64_t dice = up_to(999);

	if (dice < 420)
		take_one();
	else if (dice < 500)
		raise_one();
	else if (dice < 540)
		lower_one();
	else if (dice < 740)
		end_one(false);
	else if (dice < 790)
		end_one(true);
	else if (dice < 975)
		pass_time();
	else if (dice < 985)
		choose_policy((unsigned)up_to(AGENTS - 1));
	else if (dice < 995)
		choose_shared();
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
		choose_shared();
		for (unsigned agent = 0; agent < AGENTS; agent++)
			choose_policy(agent);
		for (int i = 0; i < STEPS; i++)
			step();
		reopen();
		compare_all();
		assert_true(entry_count > 20);
	}
	assert_true(portions_seen > TRIALS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_engine_agrees_with_a_list_of_all_entries, setup, teardown),
	};

	sg_log_set_level(SG_LOG_ERROR);
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
