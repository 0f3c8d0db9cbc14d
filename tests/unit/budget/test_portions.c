// SPDX-License-Identifier: Apache-2.0
// Workers that have portions of an account: what budgets hold and have spent is exact for whoever
// asks, and nobody is refused what another worker merely has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "budget/account.h"
#include "lib/engine_fixture.h"

static bool has_portion(const struct sg_account *account, unsigned worker)
{
	return account->portioned & UINT64_C(1) << worker;
}

static void spend(unsigned worker, struct sg_account *account, int64_t nanousd)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(take(worker, account, nanousd, &hold, &refusal), 0);
	settle(&hold, nanousd);
}

static struct sg_account *with_cap(int64_t nanousd)
{
	return account_with("a", &(struct sg_budget_policy){ .limit_nanousd = nanousd });
}

static void what_another_worker_has_is_no_refusal(void **state)
{
	struct sg_account *account = with_cap(1000);
	struct sg_refusal refusal;
	struct sg_hold hold, holds[99];

	(void)state;
	assert_int_equal(take(0, account, 10, &hold, &refusal), 0);
	assert_true(has_portion(account, 0));
	for (unsigned i = 0; i < SG_ARRAY_SIZE(holds); i++)
		assert_int_equal(take(1, account, 10, &holds[i], &refusal), 0);
	for (unsigned worker = 0; worker < 2; worker++) {
		assert_int_equal(take(worker, account, 1, &holds[0], &refusal), -EDQUOT);
		assert_int_equal(refusal.held_nanousd, 1000);
		assert_int_equal(refusal.in_flight, 100);
		assert_int_equal(refusal.spent_nanousd, 0);
	}
}

// A cap that is reached refuses calls that would cost nothing in its unit, too.
static void a_portion_never_reaches_the_cap(void **state)
{
	struct sg_account *account = with_cap(1000);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	spend(0, account, 0);
	assert_true(has_portion(account, 0));
	for (int i = 0; i < 1000; i++)
		spend(0, account, 1);
	assert_int_equal(take(0, account, 0, &hold, &refusal), -EDQUOT);
	assert_int_equal(refusal.spent_nanousd, 1000);
}

static void no_portion_is_given_where_calls_are_not_all_alike(void **state)
{
	static const struct sg_budget_policy budgets[] = {
		{ .limit_nanousd = 1000000, .models = "gpt-*\0" },
		{ .limit_nanousd = 1000000, .scope = SG_SCOPE_HOST },
		{ .limit_nanousd = 1000000, .max_concurrency = 100 },
		{ .limit_nanousd = 1000000, .alert_count = 1, .alerts = { 50 } },
		{ .limit_nanousd = 1000000, .breaker = { .identical_requests = 5 } },
	};

	(void)state;
	// The one of the host comes first and goes with its agent's next policy.
	for (size_t i = 0; i < SG_ARRAY_SIZE(budgets); i++) {
		struct sg_account *account = account_with("a", &budgets[i]);

		spend(0, account, 10);
		assert_false(has_portion(account, 0));
	}
}

static void what_is_held_is_told_as_calls_hold_it(void **state)
{
	struct sg_account *account = with_cap(1000000);
	const struct sg_charge more = { .nanousd = 5 };
	struct sg_refusal refusal;
	struct sg_hold hold;
	json_t *status;

	(void)state;
	spend(0, account, 7);
	assert_true(has_portion(account, 0));
	assert_int_equal(take(0, account, 20, &hold, &refusal), 0);
	assert_int_equal(sg_hold_top_up(engine, &hold, &more, false, &refusal), 0);
	assert_true(has_portion(account, 0)); // all of it was of the portion
	status = sg_account_status(engine, account);
	assert_false(has_portion(account, 0));
	assert_int_equal(money_in(status, "spent_usd"), 7);
	assert_int_equal(money_in(status, "held_usd"), 25);
	assert_int_equal(json_integer_value(json_object_get(status, "in_flight")), 1);
	assert_int_equal(json_integer_value(json_object_get(status, "calls")), 1);
	json_decref(status);

	spend(0, account, 1);
	assert_true(has_portion(account, 0));
	sg_hold_lower(engine, &hold, &(struct sg_charge){ .nanousd = 11 });
	assert_int_equal(look_at(account).held_nanousd, 11);
	spend(0, account, 1);
	sg_hold_release(engine, &hold);
	assert_true(has_portion(account, 0));
	assert_int_equal(spent_of(account), 9);
}

static void a_bill_above_its_hold_is_charged_in_full(void **state)
{
	struct sg_account *account = with_cap(1000000);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	spend(0, account, 1);
	for (int64_t bill = 20; bill <= 2000000; bill *= 10) {
		const int64_t before = spent_of(account);

		if (take(0, account, 10, &hold, &refusal) < 0)
			break;
		settle(&hold, bill);
		assert_int_equal(spent_of(account), before + bill);
	}
	assert_true(spent_of(account) > 1000000);
}

// ---- Time ----

static void what_was_spent_of_a_portion_is_forgotten_in_time(void **state)
{
	const int64_t start_ns = now_ns;
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 1000000, .window_ns = HOUR_NS });

	(void)state;
	spend(0, account, 1);
	assert_true(has_portion(account, 0));
	spend(0, account, 5);
	now_ns = start_ns + HOUR_NS - 1;
	assert_int_equal(spent_of(account), 6);
	now_ns = start_ns + HOUR_NS;
	assert_int_equal(spent_of(account), 0);
}

// In each slice of time it is the other worker that calls: what is the portion's of the slice
// before is counted there, whoever comes next.
static void portions_end_with_their_slice_of_time(void **state)
{
	const int64_t slice_ns = HOUR_NS / 200, start_ns = now_ns;
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 1000000, .window_ns = HOUR_NS });

	(void)state;
	for (int i = 0; i < 20; i++) {
		now_ns = start_ns + i * slice_ns;
		for (int call = 0; call < 3; call++)
			spend(i % 2, account, 10);
		assert_true(has_portion(account, i % 2));
	}
	for (int i = 0; i < 20; i++) {
		now_ns = start_ns + i * slice_ns + HOUR_NS - 1;
		assert_int_equal(spent_of(account), 30 * (20 - i));
		now_ns++;
		assert_int_equal(spent_of(account), 30 * (19 - i));
	}
}

static void an_hour_that_is_over_takes_what_was_spent_of_portions(void **state)
{
	const int64_t hour = now_ns / HOUR_NS;
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 1000000, .calendar = SG_HOUR });
	json_t *status;

	(void)state;
	now_ns = (hour + 1) * HOUR_NS - 2;
	spend(0, account, 10);
	now_ns++;
	spend(0, account, 10);
	assert_true(has_portion(account, 0));
	now_ns++;
	spend(1, account, 1);
	assert_int_equal(spent_of(account), 1);
	status = sg_account_status(engine, account);
	assert_int_equal(money_in(status, "spent_usd"), 21);
	json_decref(status);
}

// ---- Changes ----

static void a_change_of_policy_keeps_what_was_spent_of_portions(void **state)
{
	struct sg_account *account = with_cap(1000000);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	spend(0, account, 1);
	spend(0, account, 2);
	assert_int_equal(take(0, account, 4, &hold, &refusal), 0);
	assert_true(has_portion(account, 0));
	account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 500 });
	assert_int_equal(look_at(account).spent_nanousd, 3);
	assert_int_equal(look_at(account).held_nanousd, 4);
	// Another window is read from the ledger, which has all of it.
	spend(0, account, 1);
	account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 1000000, .window_ns = HOUR_NS });
	assert_int_equal(look_at(account).spent_nanousd, 4);
	settle(&hold, 3);
	assert_int_equal(spent_of(account), 7);
	engine = sg_engine_close(engine);
	open_engine(2);
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 1000 });
	assert_int_equal(spent_of(account), 7);
}

// ---- All at once ----

#ifdef SG_UNDER_SANITIZER
#define CALLS 3000
#else
#define CALLS 60000
#endif
#define THREADS 2

struct caller {
	unsigned worker;
	struct sg_account *account;
	uint64_t seed;
	int64_t spent;
	int error;
};

static unsigned dice(struct caller *caller)
{
	caller->seed = caller->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(caller->seed >> 33) % 100;
}

static void *call_at_random(void *context)
{
	struct caller *caller = context;
	const struct sg_charge more = { .nanousd = 10 };

	for (int i = 0; i < CALLS && !caller->error; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;

		caller->error = take(caller->worker, caller->account, 100, &hold, &refusal);
		if (!caller->error && dice(caller) < 10)
			caller->error = sg_hold_top_up(engine, &hold, &more, false, &refusal);
		if (dice(caller) < 10)
			sg_hold_lower(engine, &hold,
				&(struct sg_charge){
					.nanousd = 50, .input_tokens = 10, .output_tokens = 5 });
		if (dice(caller) < 10) {
			sg_hold_release(engine, &hold);
			continue;
		}
		settle(&hold, 40);
		caller->spent += 40;
	}
	return NULL;
}

static void sums_are_exact_while_portions_come_and_go(void **state)
{
	const int64_t cap = INT64_C(1) << 40;
	struct caller callers[THREADS];
	pthread_t threads[THREADS];
	struct sg_account *account;
	int64_t spent = 0;

	(void)state;
	choose_seed();
	engine = sg_engine_close(engine);
	open_engine(1 + THREADS); // one is this thread's
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = cap });
	for (unsigned i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){
			.worker = 1 + i, .account = account, .seed = random_number()
		};
		assert_int_equal(pthread_create(&threads[i], NULL, call_at_random, &callers[i]), 0);
	}
	// Each takes what it finds given back: the status, a refusal, a change.
	for (int i = 0; i < 200; i++) {
		watch_cap(account, cap);
		assert_true(look_at(account).held_nanousd <= THREADS * 110);
		if (i % 20 == 0)
			account_with("a", &(struct sg_budget_policy){ .limit_nanousd = cap,
						  .max_requests = i % 40 ? cap : 0 });
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(callers[i].error, 0);
		spent += callers[i].spent;
	}
	assert_int_equal(spent_of(account), spent);
	engine = sg_engine_close(engine);
	open_engine(2);
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = cap });
	assert_int_equal(spent_of(account), spent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(what_another_worker_has_is_no_refusal),
		T(a_portion_never_reaches_the_cap),
		T(no_portion_is_given_where_calls_are_not_all_alike),
		T(what_is_held_is_told_as_calls_hold_it),
		T(a_bill_above_its_hold_is_charged_in_full),
		T(what_was_spent_of_a_portion_is_forgotten_in_time),
		T(portions_end_with_their_slice_of_time),
		T(an_hour_that_is_over_takes_what_was_spent_of_portions),
		T(a_change_of_policy_keeps_what_was_spent_of_portions),
		T(sums_are_exact_while_portions_come_and_go),
	};

	return cmocka_run_group_tests_name("portions", tests, NULL, NULL);
}
