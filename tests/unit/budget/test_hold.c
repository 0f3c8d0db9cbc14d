// SPDX-License-Identifier: Apache-2.0
// Cases of docs/budgets.md at the engine's door: who passes, who is refused, what is no evidence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "budget/journal.h"
#include "lib/engine_fixture.h"

static void case_15_without_a_budget_everything_passes_and_is_counted(void **state)
{
	const struct sg_policy nothing = { .count = 0 };
	struct sg_error error = { "" };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;
	json_t *status;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &nothing, &account, &error), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(0, account, 1500000000, &hold, &refusal), 0);
		settle(&hold, 1500000000);
	}
	status = sg_account_status(engine, account);
	assert_string_equal(json_string_value(json_object_get(status, "spent_usd")), "4.5");
	assert_int_equal(json_integer_value(json_object_get(status, "calls")), 3);
	assert_int_equal(json_array_size(json_object_get(status, "budgets")), 0);
	json_decref(status);
}

static void case_26_a_soft_alert_never_refuses(void **state)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat"
	};
	const struct sg_charge bound = cost(60);
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 100, .behavior = SG_SOFT_ALERT });
	static const bool over[] = { false, true, true };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(over); i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;
		bool soft_alert;

		assert_int_equal(sg_hold_take(engine, 0, account, &call, &bound, &hold, &refusal,
					 &soft_alert),
			0);
		assert_int_equal(soft_alert, over[i]);
		settle(&hold, 60);
	}
}

static int64_t would_refuse(struct sg_account *account)
{
	json_t *status = sg_account_status(engine, account);
	int64_t count = json_integer_value(json_object_get(
		json_array_get(json_object_get(status, "budgets"), 0), "would_refuse"));

	json_decref(status);
	return count;
}

// Once a call, and only of one that passed: not each time that it asks again, asks for more, or is
// looked at before its body is read.
static void a_budget_that_only_tells_counts_calls(void **state)
{
	const struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "watched", .limit_nanousd = 10, .observe = true },
			{ .name = "hard", .limit_nanousd = 100 } } };
	const struct sg_charge more = { .nanousd = 5 };
	struct sg_account *account = NULL;
	struct sg_error error = { "" };
	struct sg_hold hold, other;
	struct sg_refusal refusal;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	assert_int_equal(would_refuse(account), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(0, account, 60, &other, &refusal), -EDQUOT);
	assert_int_equal(sg_hold_top_up(engine, &hold, &more, false, &refusal), 0);
	assert_int_equal(would_refuse(account), 1);
	settle(&hold, 65);
	assert_false(sg_account_is_exhausted(engine, account, &refusal));
	assert_int_equal(would_refuse(account), 1);
	assert_int_equal(take(0, account, 35, &hold, &refusal), 0);
	assert_int_equal(would_refuse(account), 2);
	sg_hold_release(engine, &hold);
}

static void case_58_of_fifty_in_flight_one_is_served(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .max_requests = 1 });
	struct sg_hold held, refused;
	struct sg_refusal refusal;
	int served = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		served += take(i % 2, account, 1, served ? &refused : &held, &refusal) == 0;
	assert_int_equal(served, 1);
	settle(&held, 1);
	assert_int_equal(take(0, account, 1, &refused, &refusal), -EDQUOT);
}

static void case_60_a_charge_that_is_no_evidence_moves_the_total_by_the_hold(void **state)
{
	static const struct sg_charge charges[] = {
		{ .nanousd = -100 },
		{ .nanousd = INT64_MAX },
		{ .nanousd = INT64_MIN },
		{ .nanousd = 1, .input_tokens = -1 },
		{ .nanousd = 1, .output_tokens = (INT64_C(1) << 53) + 1 },
	};
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100000 });

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(charges); i++) {
		struct sg_settlement settlement = { .state = SG_SETTLED, .charge = charges[i] };
		struct sg_refusal refusal;
		struct sg_hold hold;

		assert_int_equal(take(0, account, 40, &hold, &refusal), 0);
		sg_hold_settle(engine, &hold, &settlement);
		refusal = look_at(account);
		assert_int_equal(refusal.spent_nanousd, 40 * (i + 1));
		assert_int_equal(refusal.unknown_cost_requests, i + 1);
	}
}

static void a_bound_below_zero_is_refused(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, -1, &hold, &refusal), -EINVAL);
	assert_int_equal(spent_of(account), 0);
}

// Without a budget nothing limits the sum of what is held but its type.
static void the_sum_of_holds_never_wraps(void **state)
{
	const struct sg_policy nothing = { .count = 0 };
	struct sg_error error = { "" };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold first, second;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &nothing, &account, &error), 0);
	assert_int_equal(take(0, account, INT64_C(8000000000000000000), &first, &refusal), 0);
	assert_int_equal(
		take(0, account, INT64_C(8000000000000000000), &second, &refusal), -ENOBUFS);
	sg_hold_release(engine, &first);
	assert_int_equal(take(0, account, INT64_C(8000000000000000000), &second, &refusal), 0);
	sg_hold_release(engine, &second);
}

static void a_bill_above_its_hold_is_charged_in_full(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 1000 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, 10, &hold, &refusal), 0);
	settle(&hold, 700);
	settle(&hold, 700); // idempotent
	assert_int_equal(spent_of(account), 700);
}

// Two budgets: what one refuses, the other does not hold.
static void every_budget_holds_or_none(void **state)
{
	const struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "hour", .limit_nanousd = 100, .window_ns = HOUR_NS },
			{ .name = "ever", .max_requests = 2 } } };
	struct sg_error error = { "" };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(take(0, account, 100, &hold, &refusal), 0);
		settle(&hold, 100);
		assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
		assert_string_equal(refusal.budget, "hour");
		assert_true(refusal.money);
		assert_int_equal(refusal.held_nanousd, 0);
		assert_int_equal(refusal.resets_in_ns, HOUR_NS);
		now_ns += HOUR_NS;
	}
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "ever");
	assert_false(refusal.money);
	assert_int_equal(refusal.resets_in_ns, -1);
}

static void a_full_region_refuses_and_comes_back(void **state)
{
	static struct sg_hold holds[SG_JOURNAL_SLOTS];
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = INT64_C(1) << 40 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	for (unsigned i = 0; i < SG_JOURNAL_SLOTS / 2; i++)
		assert_int_equal(take(0, account, 1, &holds[i], &refusal), 0);
	assert_int_equal(take(0, account, 1, &hold, &refusal), -ENOBUFS);
	assert_int_equal(take(1, account, 1, &hold, &refusal), 0); // the other worker has its own
	sg_hold_release(engine, &hold);
	for (unsigned i = 0; i < SG_JOURNAL_SLOTS / 2; i++)
		if (i % 2)
			sg_hold_release(engine, &holds[i]);
		else
			settle(&holds[i], 1);
	sg_engine_flush(engine);
	for (unsigned i = 0; i < SG_JOURNAL_SLOTS / 2; i++)
		assert_int_equal(take(0, account, 1, &holds[i], &refusal), 0);
	assert_int_equal(take(0, account, 1, &hold, &refusal), -ENOBUFS);
	for (unsigned i = 0; i < SG_JOURNAL_SLOTS / 2; i++)
		sg_hold_release(engine, &holds[i]);
	assert_int_equal(spent_of(account), SG_JOURNAL_SLOTS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(case_15_without_a_budget_everything_passes_and_is_counted),
		T(case_26_a_soft_alert_never_refuses),
		T(a_budget_that_only_tells_counts_calls),
		T(case_58_of_fifty_in_flight_one_is_served),
		T(case_60_a_charge_that_is_no_evidence_moves_the_total_by_the_hold),
		T(a_bound_below_zero_is_refused),
		T(the_sum_of_holds_never_wraps),
		T(a_bill_above_its_hold_is_charged_in_full),
		T(every_budget_holds_or_none),
		T(a_full_region_refuses_and_comes_back),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
