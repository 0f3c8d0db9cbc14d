// SPDX-License-Identifier: Apache-2.0
// Budgets that several agents have: of a label, of the host (case 68 of docs/budgets.md).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/engine_fixture.h"

static struct sg_budget_policy shared_budget(
	const char *name, enum sg_scope scope, const char *label, int64_t limit)
{
	struct sg_budget_policy budget = {
		.limit_nanousd = limit, .window_ns = HOUR_NS, .scope = scope
	};

	strcpy(budget.name, name);
	strcpy(budget.label, label);
	return budget;
}

static struct sg_account *agent_with(
	const char *name, const char *labels, const struct sg_budget_policy *budget)
{
	struct sg_policy policy = { .count = budget ? 1 : 0 };
	struct sg_account *account = NULL;
	struct sg_error error = { "" };

	if (budget)
		policy.budgets[0] = *budget;
	strcpy(policy.labels, labels);
	if (sg_account_set(engine, name, &policy, &account, &error) < 0)
		fail_msg("%s", error.text);
	return account;
}

static void share(const struct sg_budget_policy *budgets, unsigned count)
{
	struct sg_error error = { "" };

	if (sg_engine_set_budgets(engine, budgets, count, &error) < 0)
		fail_msg("%s", error.text);
}

static int64_t shared_spent(const char *name)
{
	json_t *list = sg_engine_budgets_status(engine), *budget;
	int64_t nanousd = -1;
	size_t i;

	json_array_foreach(list, i, budget)
	{
		const char *spent = json_string_value(json_object_get(budget, "spent_usd"));

		if (strcmp(json_string_value(json_object_get(budget, "name")), name) == 0)
			nanousd = (int64_t)(strtod(spent, NULL) * 1e9 + 0.5);
	}
	json_decref(list);
	return nanousd;
}

static void case_68_a_team_cap_over_three_agents_one_at_a_time(void **state)
{
	const struct sg_budget_policy team =
		shared_budget("team-cap", SG_SCOPE_LABEL, "team=red", 100);
	const struct sg_budget_policy own = { .name = "own", .limit_nanousd = 60 };
	struct sg_account *red[3], *blue;
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	share(&team, 1);
	red[0] = agent_with("a", "team=red", &own);
	red[1] = agent_with("b", "project=x,team=red", NULL);
	red[2] = agent_with("c", "team=red", NULL);
	blue = agent_with("d", "team=blue", NULL);
	assert_int_equal(take(0, red[0], 60, &hold, &refusal), 0);
	settle(&hold, 50);
	assert_int_equal(take(1, red[1], 51, &hold, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "team-cap");
	assert_int_equal(refusal.scope, SG_SCOPE_LABEL);
	assert_string_equal(refusal.label, "team=red");
	assert_int_equal(refusal.spent_nanousd, 50);
	assert_int_equal(take(1, red[1], 40, &hold, &refusal), 0);
	settle(&hold, 40);
	assert_int_equal(take(0, red[0], 11, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, red[2], 10, &hold, &refusal), 0);
	settle(&hold, 10);
	assert_int_equal(take(0, red[2], 0, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, blue, 1000, &hold, &refusal), 0); // no budget counts it
	sg_hold_release(engine, &hold);
}

// Where the agent's own budget refuses, nothing is held of the shared one, and the other way round.
static void a_call_is_held_on_all_budgets_or_none(void **state)
{
	const struct sg_budget_policy host = shared_budget("host-cap", SG_SCOPE_HOST, "", 100);
	const struct sg_budget_policy own = { .name = "own", .limit_nanousd = 50 };
	struct sg_account *small, *other;
	struct sg_refusal refusal;
	struct sg_hold hold, second;

	(void)state;
	share(&host, 1);
	small = agent_with("a", "", &own);
	other = agent_with("b", "", NULL);
	assert_int_equal(take(0, small, 51, &hold, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "own");
	assert_int_equal(take(0, other, 100, &hold, &refusal), 0); // all of the host's is there
	assert_int_equal(take(0, small, 1, &second, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "host-cap");
	assert_int_equal(refusal.scope, SG_SCOPE_HOST);
	assert_true(refusal.only_held);
	sg_hold_release(engine, &hold);
	assert_int_equal(take(0, small, 50, &hold, &refusal), 0); // and all of its own
	sg_hold_release(engine, &hold);
}

// "team" without a value: each team has the cap for itself.
static void a_label_without_a_value_gives_each_value_a_budget(void **state)
{
	const struct sg_budget_policy each = shared_budget("each", SG_SCOPE_LABEL, "team", 100);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	share(&each, 1);
	assert_int_equal(take(0, agent_with("a", "team=red", NULL), 80, &hold, &refusal), 0);
	settle(&hold, 80);
	assert_int_equal(take(0, agent_with("b", "team=blue", NULL), 80, &hold, &refusal), 0);
	settle(&hold, 80);
	assert_int_equal(take(0, agent_with("c", "team=red", NULL), 30, &hold, &refusal), -EDQUOT);
	assert_string_equal(refusal.label, "team=red");
	assert_int_equal(take(0, agent_with("d", "teams=red", NULL), 200, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
}

static void a_shared_budget_in_one_agents_policy_is_everybodys(void **state)
{
	const struct sg_budget_policy team =
		shared_budget("team-cap", SG_SCOPE_LABEL, "team=red", 100);
	struct sg_account *first = agent_with("a", "team=red", NULL), *second;
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, first, 70, &hold, &refusal), 0);
	settle(&hold, 70);
	second = agent_with("b", "team=red", &team); // its usage so far is found
	assert_int_equal(take(0, second, 31, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, first, 31, &hold, &refusal), -EDQUOT);
	second = agent_with("b", "team=red", NULL); // gone with the last policy that has it
	assert_int_equal(take(0, first, 31, &hold, &refusal), 0);
	settle(&hold, 31);
}

static void what_was_spent_is_read_back_for_label_and_host(void **state)
{
	const struct sg_budget_policy budgets[] = {
		shared_budget("team-cap", SG_SCOPE_LABEL, "team=red", 1000),
		shared_budget("host-cap", SG_SCOPE_HOST, "", 1000),
	};
	struct sg_refusal refusal;
	struct sg_hold hold, dangling;

	(void)state;
	share(budgets, 2);
	assert_int_equal(take(0, agent_with("a", "team=red", NULL), 30, &hold, &refusal), 0);
	settle(&hold, 30);
	assert_int_equal(take(0, agent_with("b", "team=blue", NULL), 500, &hold, &refusal), 0);
	settle(&hold, 500);
	assert_int_equal(
		take(1, agent_with("c", "project=x,team=red", NULL), 7, &dangling, &refusal), 0);
	engine = sg_engine_close(engine);
	open_engine(2);
	share(budgets, 2);
	// None of those who spent is there any more.
	assert_int_equal(
		take(0, agent_with("new", "team=red", NULL), 5000, &hold, &refusal), -EDQUOT);
	assert_int_equal(shared_spent("team-cap"), 37);
	assert_int_equal(shared_spent("host-cap"), 537);
}

static void a_changed_cap_holds_at_once_and_moves_what_is_in_flight(void **state)
{
	struct sg_budget_policy team = shared_budget("team-cap", SG_SCOPE_LABEL, "team=red", 100);
	struct sg_account *first, *second;
	struct sg_refusal refusal;
	struct sg_hold hold, other;

	(void)state;
	share(&team, 1);
	first = agent_with("a", "team=red", NULL);
	second = agent_with("b", "team=red", NULL);
	assert_int_equal(take(0, first, 40, &hold, &refusal), 0);
	team.limit_nanousd = 50;
	share(&team, 1);
	assert_int_equal(take(0, second, 11, &other, &refusal), -EDQUOT);
	assert_int_equal(refusal.held_nanousd, 40);
	first = agent_with("a", "team=blue", NULL); // its call in flight goes with it
	assert_int_equal(take(0, second, 50, &other, &refusal), 0);
	settle(&other, 20);
	settle(&hold, 0);
	assert_int_equal(shared_spent("team-cap"), 20);
	team.window_ns = 2 * HOUR_NS; // read from the ledger anew
	share(&team, 1);
	assert_int_equal(take(0, second, 31, &other, &refusal), -EDQUOT);
	assert_int_equal(take(0, second, 30, &other, &refusal), 0);
	share(NULL, 0);
	assert_int_equal(shared_spent("team-cap"), -1);
	settle(&other, 30);
}

// "team" and "team=red" under one name are one budget for who is red: its lock is taken once, and
// what was set last holds.
static void two_definitions_of_one_budget_are_one(void **state)
{
	const struct sg_budget_policy each = shared_budget("budget-1", SG_SCOPE_LABEL, "team", 100);
	const struct sg_budget_policy one =
		shared_budget("budget-1", SG_SCOPE_LABEL, "team=red", 40);
	struct sg_account *first, *second, *third;
	struct sg_refusal refusal;
	struct sg_hold hold;
	json_t *list;

	(void)state;
	first = agent_with("a", "team=red", &each);
	second = agent_with("b", "team=red", &one);
	list = sg_engine_budgets_status(engine);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_int_equal(take(0, first, 41, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, second, 30, &hold, &refusal), 0);
	settle(&hold, 30);
	assert_int_equal(shared_spent("budget-1"), 30);
	// Set anew, by an agent that is new: the last again.
	third = agent_with("c", "team=red", &each);
	assert_int_equal(take(0, second, 71, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, third, 70, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
	assert_int_equal(take(0, agent_with("d", "team=blue", NULL), 90, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
}

static struct sg_policy host_caps(const char *prefix, unsigned count, int64_t limit)
{
	struct sg_policy policy = { .count = count };

	for (unsigned i = 0; i < count; i++) {
		struct sg_budget_policy *budget = &policy.budgets[i];

		budget->scope = SG_SCOPE_HOST;
		budget->limit_nanousd = limit;
		snprintf(budget->name, sizeof(budget->name), "%s-%u", prefix, i);
	}
	return policy;
}

// 16 and 16 caps of the host are all that an agent can share: one more is refused however often it
// is set, and nobody is outside those that hold.
static void what_is_refused_changes_nothing(void **state)
{
	const struct sg_policy sixteen = host_caps("a", 16, 100), others = host_caps("b", 16, 100);
	struct sg_policy more = host_caps("c", 1, 1000);
	struct sg_account *first = NULL, *second = NULL, *third = NULL;
	struct sg_error error = { "" };
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &sixteen, &first, &error), 0);
	assert_int_equal(sg_account_set(engine, "b", &others, &second, &error), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sg_account_set(engine, "c", &more, &third, &error), -E2BIG);
	assert_null(third);
	third = agent_with("c", "team=red", NULL);
	assert_int_equal(take(0, third, 101, &hold, &refusal), -EDQUOT);
	strcpy(more.labels, "team=blue");
	more.count = 2;
	more.budgets[1] = (struct sg_budget_policy){ .name = "own", .limit_nanousd = 7 };
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sg_account_set(engine, "c", &more, &third, &error), -E2BIG);
	assert_int_equal(take(0, third, 101, &hold, &refusal), -EDQUOT);
	assert_int_equal(take(0, third, 8, &hold, &refusal), 0); // its own is not there either
	sg_hold_release(engine, &hold);
	agent_with("a", "", NULL); // and nobody else's change is in the way of it
	assert_int_equal(sg_account_set(engine, "c", &more, &third, &error), 0);
	assert_int_equal(take(0, third, 8, &hold, &refusal), -EDQUOT);
}

// What stands in the ledger counts before the first call after a restart.
static void a_status_after_a_restart_has_what_was_spent(void **state)
{
	const struct sg_budget_policy host = shared_budget("host-cap", SG_SCOPE_HOST, "", 100);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	share(&host, 1);
	assert_int_equal(take(0, agent_with("a", "", NULL), 30, &hold, &refusal), 0);
	settle(&hold, 30);
	engine = sg_engine_close(engine);
	open_engine(2);
	share(&host, 1);
	agent_with("a", "", NULL);
	assert_int_equal(shared_spent("host-cap"), 30);
}

// ---- In parallel ----

#define CALLS 20000
#define CAP   60000

struct work {
	unsigned worker;
	struct sg_account *account;
	_Atomic int64_t *billed;
	int error;
};

static void *spend_in_thread(void *context)
{
	struct work *work = context;

	for (int i = 0; i < CALLS; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;
		int r = take(work->worker, work->account, 5, &hold, &refusal);

		if (r == -EDQUOT && strcmp(refusal.budget, "team-cap") == 0)
			continue;
		if (r < 0) {
			work->error = r;
			break;
		}
		if (i % 7 == 0) {
			sg_hold_release(engine, &hold);
			continue;
		}
		atomic_fetch_add(work->billed, 4);
		settle(&hold, 4);
	}
	return NULL;
}

static void case_68_a_team_cap_over_three_agents_in_parallel(void **state)
{
	struct sg_budget_policy budgets[] = {
		shared_budget("host-cap", SG_SCOPE_HOST, "", INT64_C(1) << 40),
		shared_budget("team-cap", SG_SCOPE_LABEL, "team=red", CAP),
	};
	_Atomic int64_t billed = 0;
	struct work work[3];
	pthread_t threads[3];

	(void)state;
	engine = sg_engine_close(engine);
	open_engine(3);
	share(budgets, 2);
	for (unsigned i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "agent-%u", i);
		work[i] = (struct work){ i, agent_with(name, "team=red", NULL), &billed, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, spend_in_thread, &work[i]), 0);
	}
	// The cap is changed, and changed back, meanwhile.
	for (int i = 0; i < 200; i++) {
		budgets[1].limit_nanousd = CAP - i % 2;
		share(budgets, 2);
		assert_true(shared_spent("team-cap") <= CAP);
	}
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(work[i].error, 0);
	}
	assert_true(billed <= CAP);
	assert_true(billed >= CAP - 5 * 3);
	assert_int_equal(shared_spent("team-cap"), billed);
	assert_int_equal(shared_spent("host-cap"), billed);
	engine = sg_engine_close(engine);
	open_engine(1);
	share(budgets, 2);
	json_decref(sg_account_status(engine, agent_with("new", "team=red", NULL)));
	assert_int_equal(shared_spent("team-cap"), billed);
	assert_int_equal(shared_spent("host-cap"), billed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(case_68_a_team_cap_over_three_agents_one_at_a_time),
		T(a_call_is_held_on_all_budgets_or_none),
		T(a_label_without_a_value_gives_each_value_a_budget),
		T(a_shared_budget_in_one_agents_policy_is_everybodys),
		T(what_was_spent_is_read_back_for_label_and_host),
		T(a_changed_cap_holds_at_once_and_moves_what_is_in_flight),
		T(two_definitions_of_one_budget_are_one),
		T(what_is_refused_changes_nothing),
		T(a_status_after_a_restart_has_what_was_spent),
		T(case_68_a_team_cap_over_three_agents_in_parallel),
	};

	return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
