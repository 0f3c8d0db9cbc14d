// SPDX-License-Identifier: Apache-2.0
// What each field of a policy does at the engine's door: windows, filters, observing, concurrency,
// alerts and breakers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "lib/engine_fixture.h"

#define MINUTE_NS (60 * SG_NS_PER_SEC)
#define DAY_NS	  (24 * HOUR_NS)

static int64_t wall_step_ns;
static struct sg_budget_event events[64];
static unsigned event_count;

static int64_t stepping_wall(void)
{
	return now_ns + wall_step_ns;
}

static void keep_event(void *context, const struct sg_budget_event *event)
{
	(void)context;
	if (event_count < 64)
		events[event_count++] = *event;
}

static void reopen_with(int64_t (*wall_ns)(void), int64_t retention_ns)
{
	const struct sg_engine_options options = { .state_directory = directory,
		.workers = 2,
		.monotonic_ns = fake_clock,
		.wall_ns = wall_ns,
		.retention_ns = retention_ns,
		.on_event = keep_event };
	struct sg_error error = { "" };

	engine = sg_engine_close(engine);
	event_count = 0;
	if (sg_engine_open(&options, &engine, &error) < 0)
		fail_msg("%s", error.text);
}

static int take_call(struct sg_account *account, const struct sg_call *call, int64_t nanousd,
	struct sg_hold *hold, struct sg_refusal *refusal, bool *told)
{
	const struct sg_charge bound = cost(nanousd);

	return sg_hold_take(engine, 0, account, call, &bound, hold, refusal, told);
}

static void spend(struct sg_account *account, int64_t nanousd)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(take(0, account, nanousd, &hold, &refusal), 0);
	settle(&hold, nanousd);
}

static int64_t utc_ns(const char *text)
{
	struct tm date = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &date));
	return timegm(&date) * SG_NS_PER_SEC;
}

// ---- Windows ----

static void a_calendar_day_ends_at_local_midnight(void **state)
{
	const struct sg_budget_policy budget = {
		.limit_nanousd = 100, .calendar = SG_DAY, .timezone = "Europe/Berlin"
	};
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	now_ns = utc_ns("2026-03-29T10:00:00Z"); // the day has 23 hours
	reopen_with(fake_clock, 0);
	account = account_with("a", &budget);
	spend(account, 100);
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
	assert_int_equal(refusal.resets_in_ns, 12 * HOUR_NS);
	assert_int_equal(refusal.calendar, SG_DAY);
	now_ns = utc_ns("2026-03-29T22:00:00Z") - 1;
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
	now_ns++;
	spend(account, 60);
	// A restart on the same day finds what this day had, and no more.
	reopen_with(fake_clock, 0);
	account = account_with("a", &budget);
	assert_int_equal(spent_of(account), 60);
	now_ns = utc_ns("2026-03-30T22:00:00Z");
	assert_int_equal(spent_of(account), 0);
}

// The wall clock of the machine is set back and forward a day: windows do not move.
static void case_65_a_step_of_the_wall_clock_moves_no_window(void **state)
{
	const struct sg_budget_policy rolling = { .limit_nanousd = 100, .window_ns = HOUR_NS };
	const struct sg_budget_policy day = { .limit_nanousd = 100, .calendar = SG_DAY };
	static const int64_t steps_ns[] = { DAY_NS, -DAY_NS, 0 };
	struct sg_account *accounts[2];
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	now_ns = utc_ns("2026-06-01T10:00:00Z");
	wall_step_ns = 0;
	reopen_with(stepping_wall, 0);
	accounts[0] = account_with("rolling", &rolling);
	accounts[1] = account_with("day", &day);
	spend(accounts[0], 100);
	spend(accounts[1], 100);
	for (size_t i = 0; i < SG_ARRAY_SIZE(steps_ns); i++) {
		wall_step_ns = steps_ns[i];
		now_ns += MINUTE_NS;
		for (int j = 0; j < 2; j++)
			assert_int_equal(take(0, accounts[j], 1, &hold, &refusal), -EDQUOT);
	}
	now_ns = utc_ns("2026-06-01T11:00:00Z");
	spend(accounts[0], 50); // by the monotonic clock, an hour after the first
	wall_step_ns = DAY_NS;
	now_ns = utc_ns("2026-06-02T00:00:00Z");
	spend(accounts[1], 50);
	assert_int_equal(spent_of(accounts[1]), 50);
}

// ---- Which calls ----

static void a_budget_counts_only_the_calls_of_its_globs(void **state)
{
	const struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "four", .limit_nanousd = 100, .models = "gpt-4o*\0o3\0" },
			{ .name = "claude",
				.limit_nanousd = 100,
				.window_ns = HOUR_NS,
				.providers = "anthropic\0" } } };
	const struct sg_call mini = { .provider = "openai", .model = "gpt-4o-mini" },
			     other = { .provider = "openai", .model = "gpt-5" },
			     sonnet = { .provider = "anthropic", .model = "claude-sonnet" };
	struct sg_account *account;
	struct sg_error error = { "" };
	struct sg_refusal refusal;
	struct sg_hold hold;
	bool told;

	(void)state;
	assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
	assert_int_equal(take_call(account, &mini, 80, &hold, &refusal, &told), 0);
	settle(&hold, 80);
	assert_int_equal(take_call(account, &mini, 21, &hold, &refusal, &told), -EDQUOT);
	assert_string_equal(refusal.budget, "four");
	assert_int_equal(take_call(account, &other, 1000, &hold, &refusal, &told), 0);
	settle(&hold, 1000);
	assert_int_equal(take_call(account, &sonnet, 101, &hold, &refusal, &told), -EDQUOT);
	assert_string_equal(refusal.budget, "claude");
	assert_int_equal(take_call(account, &sonnet, 30, &hold, &refusal, &told), 0);
	settle(&hold, 30);
	engine = sg_engine_close(engine);
	open_engine(2);
	assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
	assert_int_equal(take_call(account, &mini, 21, &hold, &refusal, &told), -EDQUOT);
	assert_int_equal(refusal.spent_nanousd, 80);
	assert_int_equal(take_call(account, &sonnet, 71, &hold, &refusal, &told), -EDQUOT);
	assert_int_equal(refusal.spent_nanousd, 30);
}

// A call in flight while the policy's globs change is given back to the budget that holds it now.
static void a_hold_follows_a_changed_glob(void **state)
{
	struct sg_budget_policy budget = { .limit_nanousd = 100 };
	struct sg_account *account = account_with("a", &budget);
	struct sg_refusal refusal;
	struct sg_hold hold, other;

	(void)state;
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	strcpy(budget.models, "claude*");
	account = account_with("a", &budget);
	assert_int_equal(take(0, account, 1000, &other, &refusal), 0); // not counted any more
	budget.models[0] = 0;
	account = account_with("a", &budget);
	assert_int_equal(take(0, account, 1, &other, &refusal), -EDQUOT);
	assert_int_equal(refusal.held_nanousd, 1060);
	settle(&hold, 60);
	assert_int_equal(look_at(account).held_nanousd, 1000);
}

// ---- Observing, concurrency ----

static void an_observing_budget_says_so_and_refuses_nothing(void **state)
{
	const struct sg_call call = { .provider = "openai", .model = "gpt-4o" };
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .limit_nanousd = 100, .observe = true });
	struct sg_refusal refusal;
	struct sg_hold hold;
	bool told;

	(void)state;
	assert_int_equal(take_call(account, &call, 100, &hold, &refusal, &told), 0);
	assert_false(told);
	settle(&hold, 100);
	assert_int_equal(take_call(account, &call, 1, &hold, &refusal, &told), 0);
	assert_true(told);
	assert_true(refusal.observed);
	sg_hold_release(engine, &hold);
}

static void calls_beyond_max_concurrency_are_rate_limited(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .max_concurrency = 2 });
	struct sg_hold holds[2], third;
	struct sg_refusal refusal;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(take(0, account, 1, &holds[i], &refusal), 0);
	assert_int_equal(take(1, account, 1, &third, &refusal), -EDQUOT);
	assert_false(refusal.money);
	assert_false(refusal.only_held); // refused, not made to wait
	assert_int_equal(refusal.max_concurrency, 2);
	assert_int_equal(refusal.in_flight, 2);
	assert_true(refusal.resets_in_ns > 0);
	settle(&holds[0], 1);
	assert_int_equal(take(1, account, 1, &third, &refusal), 0);
	settle(&third, 1);
	settle(&holds[1], 1);
}

// ---- Alerts ----

static void each_alert_is_told_once_a_window(void **state)
{
	const struct sg_budget_policy budget = {
		.limit_nanousd = 100, .window_ns = HOUR_NS, .alert_count = 2, .alerts = { 50, 100 }
	};
	struct sg_account *account;

	(void)state;
	reopen_with(fake_clock, 0);
	account = account_with("a", &budget);
	spend(account, 49);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 0);
	spend(account, 1);
	spend(account, 10);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, SG_EVENT_ALERT);
	assert_int_equal(events[0].percent, 50);
	assert_int_equal(events[0].spent_nanousd, 50);
	assert_string_equal(events[0].agent, "a");
	// What was told is not told again after a restart.
	reopen_with(fake_clock, 0);
	account = account_with("a", &budget);
	spend(account, 40);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].percent, 100);
	now_ns += 2 * HOUR_NS;
	spend(account, 100); // a new window, and both at once
	sg_engine_flush(engine);
	assert_int_equal(event_count, 3);
}

// A rolling window falls below a percentage, and passes it again before it is over.
static void an_alert_that_is_passed_twice_in_a_window_is_told_once(void **state)
{
	const struct sg_budget_policy budget = {
		.limit_nanousd = 100, .window_ns = HOUR_NS, .alert_count = 1, .alerts = { 50 }
	};
	struct sg_account *account;

	(void)state;
	reopen_with(fake_clock, 0);
	account = account_with("a", &budget);
	spend(account, 30);
	now_ns += 30 * MINUTE_NS;
	spend(account, 30);
	now_ns += 31 * MINUTE_NS;
	spend(account, 1); // 31 of 100
	spend(account, 24);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 1);
	now_ns += 2 * HOUR_NS;
	spend(account, 60);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 2);
}

// ---- Breakers ----

static const struct sg_budget_policy *with_breaker(
	struct sg_budget_policy *budget, const struct sg_breaker_policy *breaker)
{
	*budget = (struct sg_budget_policy){ .limit_nanousd = 1000000, .breaker = *breaker };
	return budget;
}

// The one event is of the breaker, which refuses now.
static void assert_tripped(
	struct sg_account *account, const char *why, enum sg_breaker_action action)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(event_count, 1);
	assert_string_equal(events[0].why, why);
	assert_int_equal(events[0].action, action);
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
	assert_true(refusal.breaker);
}

static void a_breaker_trips_on_the_same_request_again_and_again(void **state)
{
	struct sg_budget_policy budget;
	struct sg_call call = { .provider = "openai", .model = "gpt-4o" };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;
	bool told;

	(void)state;
	reopen_with(fake_clock, 0);
	account = account_with(
		"a", with_breaker(&budget, &(struct sg_breaker_policy){ .identical_requests = 3,
						   .cooldown_ns = MINUTE_NS }));
	assert_true(sg_account_wants_fingerprint(account));
	for (int i = 0; i < 5; i++) {
		call.fingerprint = i < 2 ? 7 : 8; // twice, then another three times
		assert_int_equal(take_call(account, &call, 1, &hold, &refusal, &told), 0);
		settle(&hold, 1);
	}
	assert_int_equal(take_call(account, &call, 1, &hold, &refusal, &told), -EDQUOT);
	assert_true(refusal.breaker);
	assert_int_equal(refusal.resets_in_ns, MINUTE_NS);
	sg_engine_flush(engine);
	assert_int_equal(event_count, 1);
	assert_int_equal(events[0].kind, SG_EVENT_BREAKER);
	assert_string_equal(events[0].why, "identical_requests");
	now_ns += MINUTE_NS;
	assert_int_equal(take_call(account, &call, 1, &hold, &refusal, &told), 0);
	settle(&hold, 1);
}

static void a_breaker_trips_on_spending_far_above_the_hour_before(void **state)
{
	struct sg_budget_policy budget;
	struct sg_account *account;

	(void)state;
	reopen_with(fake_clock, 0);
	account = account_with(
		"a", with_breaker(&budget, &(struct sg_breaker_policy){ .nanousd_per_minute = 100,
						   .times_baseline = 5,
						   .cooldown_ns = MINUTE_NS,
						   .action = SG_BREAKER_FREEZE }));
	for (int i = 0; i < 60; i++) {
		spend(account, 100); // the limit of a minute, and no more
		now_ns += MINUTE_NS;
	}
	spend(account, 450); // above it, but not five times the mean minute
	sg_engine_flush(engine);
	assert_int_equal(event_count, 0);
	spend(account, 100);
	sg_engine_flush(engine);
	assert_tripped(account, "spend_slope", SG_BREAKER_FREEZE);
}

static void a_breaker_trips_on_calls_that_are_refused(void **state)
{
	struct sg_budget_policy budget;
	struct sg_account *account;
	struct sg_refusal refusal, other = { .budget = "another" };
	struct sg_hold hold;

	(void)state;
	reopen_with(fake_clock, 0);
	account =
		account_with("a", with_breaker(&budget, &(struct sg_breaker_policy){ .refusals = 3,
								.cooldown_ns = MINUTE_NS,
								.action = SG_BREAKER_CUT }));
	for (int i = 0; i < 5; i++) { // two within a minute, then three
		now_ns += i == 2 ? MINUTE_NS : 1;
		assert_int_equal(event_count, 0);
		assert_int_equal(take(0, account, 2000000, &hold, &refusal), -EDQUOT);
		assert_false(refusal.breaker);
		sg_account_refused(engine, account, &refusal);
		sg_account_refused(engine, account, &other);
		sg_account_refused(engine, account, NULL);
		sg_engine_flush(engine);
	}
	assert_tripped(account, "refusals", SG_BREAKER_CUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_calendar_day_ends_at_local_midnight),
		T(case_65_a_step_of_the_wall_clock_moves_no_window),
		T(a_budget_counts_only_the_calls_of_its_globs),
		T(a_hold_follows_a_changed_glob),
		T(an_observing_budget_says_so_and_refuses_nothing),
		T(calls_beyond_max_concurrency_are_rate_limited),
		T(each_alert_is_told_once_a_window),
		T(an_alert_that_is_passed_twice_in_a_window_is_told_once),
		T(a_breaker_trips_on_the_same_request_again_and_again),
		T(a_breaker_trips_on_spending_far_above_the_hour_before),
		T(a_breaker_trips_on_calls_that_are_refused),
	};

	return cmocka_run_group_tests_name("fields", tests, NULL, NULL);
}
