// SPDX-License-Identifier: Apache-2.0
// A hold that is out is raised as its call goes on; a call that only others' holds keep out waits
// for them, and is told when to ask again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "base/money.h"
#include "lib/engine_fixture.h"

static unsigned told[2];
static sem_t room[2];

static void count_room(void *context, unsigned worker)
{
	(void)context;
	told[worker]++;
}

static void post_room(void *context, unsigned worker)
{
	(void)context;
	sem_post(&room[worker]);
}

// The engine of the fixture, with somebody to tell of room.
static void reopen_with(sg_room_fn on_room)
{
	const struct sg_engine_options options = { .state_directory = directory,
		.workers = 2,
		.monotonic_ns = fake_clock,
		.wall_ns = fake_clock,
		.on_room = on_room };
	struct sg_error error = { "" };

	engine = sg_engine_close(engine);
	told[0] = told[1] = 0;
	if (sg_engine_open(&options, &engine, &error) < 0)
		fail_msg("%s", error.text);
}

static int take_or_wait(unsigned worker, struct sg_account *account, int64_t nanousd,
	struct sg_hold *hold, struct sg_refusal *refusal)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat", .may_wait = true
	};
	struct sg_charge bound = cost(nanousd);
	bool soft_alert;

	return sg_hold_take(engine, worker, account, &call, &bound, hold, refusal, &soft_alert);
}

static int raise(struct sg_hold *hold, int64_t nanousd, int64_t output, struct sg_refusal *refusal)
{
	const struct sg_charge more = { .nanousd = nanousd, .output_tokens = output };

	return sg_hold_top_up(engine, hold, &more, false, refusal);
}

static struct sg_account *account_with_two(int64_t limit, int64_t max_output_tokens)
{
	const struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "money", .limit_nanousd = limit },
			{ .name = "output", .max_output_tokens = max_output_tokens } } };
	struct sg_account *account = NULL;
	struct sg_error error = { "" };

	if (sg_account_set(engine, "a", &policy, &account, &error) < 0)
		fail_msg("%s", error.text);
	return account;
}

static void a_hold_is_raised_up_to_the_cap_and_no_further(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, 40, &hold, &refusal), 0);
	assert_int_equal(raise(&hold, 60, 5, &refusal), 0);
	assert_int_equal(hold.bound.nanousd, 100);
	assert_int_equal(hold.bound.output_tokens, 15);
	assert_int_equal(hold.bound.requests, 1);
	assert_int_equal(raise(&hold, 1, 0, &refusal), -EDQUOT);
	assert_true(refusal.money);
	assert_string_equal(refusal.budget, "b");
	assert_int_equal(refusal.held_nanousd, 100);
	assert_int_equal(hold.bound.nanousd, 100);
	settle(&hold, 70);
	assert_int_equal(spent_of(account), 70);
}

static void a_raise_that_one_budget_refuses_raises_none(void **state)
{
	struct sg_account *account = account_with_two(100, 20);
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, 40, &hold, &refusal), 0);
	assert_int_equal(raise(&hold, 10, 11, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "output");
	assert_false(refusal.money);
	assert_int_equal(refusal.held_nanousd, 40);
	assert_int_equal(hold.bound.nanousd, 40);
	assert_int_equal(raise(&hold, 60, 10, &refusal), 0);
	sg_hold_release(engine, &hold);
	assert_int_equal(spent_of(account), 0);
}

// The call itself is within its count of requests; others having used up the rest is nothing to it.
static void a_cap_of_which_nothing_more_is_asked_does_not_refuse(void **state)
{
	struct sg_account *account = account_with(
		"a", &(struct sg_budget_policy){ .max_requests = 2, .limit_nanousd = 100 });
	struct sg_hold first, second;
	struct sg_refusal refusal;

	(void)state;
	assert_int_equal(take(0, account, 10, &first, &refusal), 0);
	assert_int_equal(take(0, account, 10, &second, &refusal), 0);
	settle(&second, 10);
	assert_int_equal(raise(&first, 80, 0, &refusal), 0);
	assert_int_equal(raise(&first, 0, 5, &refusal), 0); // a cap that is full to the brim, too
	assert_int_equal(raise(&first, 1, 0, &refusal), -EDQUOT);
	sg_hold_release(engine, &first);
}

// What a stream has not used yet, and no longer needs to hold, is room for others; after a crash
// the bound that it was sent with counts.
static void a_hold_that_is_lowered_makes_room(void **state)
{
	const struct sg_budget_policy budget = {
		.limit_nanousd = 100, .on_tight = SG_TIGHT_CUT, .window_ns = HOUR_NS
	};
	struct sg_account *account;
	struct sg_hold first, second;
	struct sg_refusal refusal;

	(void)state;
	reopen_with(count_room);
	account = account_with("a", &budget);
	assert_int_equal(take(0, account, 90, &first, &refusal), 0);
	assert_int_equal(take_or_wait(1, account, 60, &second, &refusal), -EAGAIN);
	sg_hold_lower(engine, &first, &(struct sg_charge){ .nanousd = 40, .output_tokens = 5 });
	assert_int_equal(told[1], 1);
	assert_int_equal(first.bound.nanousd, 40);
	assert_int_equal(first.bound.requests, 1);
	assert_int_equal(take_or_wait(1, account, 60, &second, &refusal), 0);
	assert_int_equal(raise(&first, 1, 0, &refusal), -EDQUOT);
	assert_true(refusal.only_held);
	settle(&second, 60);
	engine = sg_engine_close(engine);
	open_engine(2);
	account = account_with("a", &budget);
	assert_int_equal(spent_of(account), 150);
}

static void a_cap_that_is_raised_makes_room(void **state)
{
	struct sg_budget_policy budget = { .limit_nanousd = 100 };
	struct sg_hold first, second;
	struct sg_refusal refusal;

	(void)state;
	reopen_with(count_room);
	assert_int_equal(take(0, account_with("a", &budget), 90, &first, &refusal), 0);
	assert_int_equal(
		take_or_wait(1, account_with("a", &budget), 60, &second, &refusal), -EAGAIN);
	assert_true(sg_hold_is_waited_for(engine, &first));
	budget.limit_nanousd = 200;
	told[1] = 0;
	assert_int_equal(take_or_wait(1, account_with("a", &budget), 60, &second, &refusal), 0);
	assert_int_equal(told[1], 1);
	assert_false(sg_hold_is_waited_for(engine, &first));
	sg_hold_release(engine, &first);
	sg_hold_release(engine, &second);
}

static void a_stream_may_be_cut_where_every_budget_says_so(void **state)
{
	struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "a", .max_requests = 9, .on_tight = SG_TIGHT_CUT },
			{ .name = "b", .max_requests = 9, .on_tight = SG_TIGHT_CLAMP } } };
	static const bool expected[] = { false, true, true };
	struct sg_account *account = NULL;
	struct sg_error error = { "" };
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(expected); i++) {
		policy.budgets[1].behavior = i == 1 ? SG_SOFT_ALERT : SG_HARD_STOP;
		policy.budgets[1].on_tight = i == 2 ? SG_TIGHT_CUT : SG_TIGHT_CLAMP;
		assert_int_equal(sg_account_set(engine, "a", &policy, &account, &error), 0);
		assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
		assert_int_equal(sg_hold_may_cut(&hold), expected[i]);
		sg_hold_release(engine, &hold);
		assert_false(sg_hold_may_cut(&hold));
	}
}

static void a_raise_of_nonsense_or_of_no_hold_is_refused(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	struct sg_hold hold, empty = { .account = NULL };
	struct sg_refusal refusal;

	(void)state;
	assert_int_equal(take(0, account, 40, &hold, &refusal), 0);
	assert_int_equal(raise(&hold, -1, 0, &refusal), -EINVAL);
	assert_int_equal(raise(&hold, 1, INT64_MIN, &refusal), -EINVAL);
	assert_int_equal(raise(&empty, 1, 0, &refusal), -EINVAL);
	sg_hold_release(engine, &hold);
	assert_int_equal(spent_of(account), 0);
}

static void what_was_raised_is_charged_when_the_process_ends(void **state)
{
	const struct sg_budget_policy budget = { .limit_nanousd = 1000, .window_ns = HOUR_NS };
	struct sg_refusal refusal;
	struct sg_hold hold, plain;

	(void)state;
	assert_int_equal(take(0, account_with("a", &budget), 40, &hold, &refusal), 0);
	assert_int_equal(take(1, account_with("a", &budget), 7, &plain, &refusal), 0);
	assert_int_equal(raise(&hold, 60, 3, &refusal), 0);
	assert_int_equal(raise(&hold, 200, 0, &refusal), 0);
	engine = sg_engine_close(engine);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 307);
}

// ---- Room ----

static void room_is_what_one_more_call_may_hold(void **state)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat"
	};
	struct sg_account *account = account_with_two(100, 30);
	struct sg_room now, at_rest;
	struct sg_refusal refusal;
	struct sg_hold hold, other;

	(void)state;
	assert_int_equal(take(0, account, 25, &hold, &refusal), 0);
	settle(&hold, 25);
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	sg_account_room(engine, account, &call, &now, &at_rest);
	assert_int_equal(now.nanousd, 15);
	assert_int_equal(at_rest.nanousd, 75);
	assert_int_equal(now.output_tokens, 10);
	assert_int_equal(at_rest.output_tokens, 20);
	assert_int_equal(now.requests, SG_MONEY_MAX);
	assert_int_equal(now.tokens, SG_MONEY_MAX);
	assert_int_equal(take(0, account, now.nanousd + 1, &other, &refusal), -EDQUOT);
	assert_int_equal(take(0, account, now.nanousd, &other, &refusal), 0);
	sg_account_room(engine, account, &call, &now, &at_rest);
	assert_int_equal(now.nanousd, 0);
	settle(&other, 15);
	settle(&hold, 60);
	sg_account_room(engine, account, &call, &now, &at_rest);
	assert_int_equal(at_rest.nanousd, 0);
}

static void a_call_that_only_holds_keep_out_waits(void **state)
{
	const struct sg_budget_policy budget = { .limit_nanousd = 100 };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold, other;

	(void)state;
	reopen_with(count_room);
	account = account_with("a", &budget);
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	assert_int_equal(take(0, account, 50, &other, &refusal), -EDQUOT); // it may not wait
	assert_true(refusal.only_held);
	sg_hold_release(engine, &hold);
	assert_int_equal(told[0] + told[1], 0); // nobody waits, nobody is told
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	assert_int_equal(take_or_wait(1, account, 50, &other, &refusal), -EAGAIN);
	assert_int_equal(take_or_wait(1, account, 101, &other, &refusal), -EDQUOT); // never fits
	assert_false(refusal.only_held);
	settle(&hold, 50);
	assert_int_equal(told[0], 0);
	assert_int_equal(told[1], 1);
	assert_int_equal(take_or_wait(1, account, 50, &other, &refusal), 0);
	sg_hold_release(engine, &other);
	assert_int_equal(told[1], 1);					   // once each time
	assert_int_equal(take(0, account, 51, &other, &refusal), -EDQUOT); // spent, not held
	assert_false(refusal.only_held);
}

static void a_raise_may_wait_too(void **state)
{
	const struct sg_charge more = { .nanousd = 50 };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold, other;

	(void)state;
	reopen_with(count_room);
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	assert_int_equal(take(0, account, 30, &hold, &refusal), 0);
	assert_int_equal(take(1, account, 40, &other, &refusal), 0);
	assert_int_equal(sg_hold_top_up(engine, &hold, &more, false, &refusal), -EDQUOT);
	assert_int_equal(sg_hold_top_up(engine, &hold, &more, true, &refusal), -EAGAIN);
	settle(&other, 20);
	assert_int_equal(told[0], 1);
	assert_int_equal(sg_hold_top_up(engine, &hold, &more, true, &refusal), 0);
	settle(&hold, 80);
	assert_int_equal(spent_of(account), 100);
}

// A call that would be given a portion comes in between: its worker's calls end in the sight of who
// waits all the same.
static void who_waits_is_told_by_calls_that_came_later(void **state)
{
	struct sg_hold large, small, waiting;
	struct sg_account *account;
	struct sg_refusal refusal;

	(void)state;
	reopen_with(count_room);
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 10000 });
	assert_int_equal(take(0, account, 6000, &large, &refusal), 0);
	assert_int_equal(take_or_wait(1, account, 5000, &waiting, &refusal), -EAGAIN);
	assert_int_equal(take(0, account, 1, &small, &refusal), 0);
	settle(&large, 10);
	assert_int_equal(told[1], 1);
	assert_int_equal(take_or_wait(1, account, 5000, &waiting, &refusal), 0);
	settle(&small, 1);
	settle(&waiting, 5);
	assert_int_equal(spent_of(account), 16);
}

// A budget that has room for one call at a time, and two workers: each makes its calls one after
// another, and sleeps until it is told. If a release were ever missed, both would sleep for ever.
#define TURNS 20000

static struct sg_account *narrow;
static atomic_int inside;
static const char *complaints[2];

static void *complain(unsigned worker, const char *complaint)
{
	complaints[worker] = complaint;
	return NULL;
}

static void *take_turns(void *context)
{
	unsigned worker = *(unsigned *)context;

	for (int i = 0; i < TURNS; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;
		int r;

		while ((r = take_or_wait(worker, narrow, 60, &hold, &refusal)) == -EAGAIN) {
			struct timespec until;

			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += 60;
			if (sem_timedwait(&room[worker], &until) < 0)
				return complain(worker, "a worker was not told of room");
		}
		if (r < 0)
			return complain(worker, "refused");
		if (atomic_fetch_add(&inside, 1) != 0)
			return complain(worker, "two calls in a budget for one");
		atomic_fetch_sub(&inside, 1);
		if (i % 2)
			sg_hold_release(engine, &hold);
		else
			settle(&hold, 0);
	}
	return NULL;
}

static void no_room_goes_by_unseen(void **state)
{
	unsigned workers[] = { 0, 1 };
	pthread_t threads[2];

	(void)state;
	reopen_with(post_room);
	narrow = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sem_init(&room[i], 0, 0), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, take_turns, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		if (complaints[i])
			fail_msg("%s", complaints[i]);
	}
	assert_int_equal(spent_of(narrow), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_hold_is_raised_up_to_the_cap_and_no_further),
		T(a_raise_that_one_budget_refuses_raises_none),
		T(a_cap_of_which_nothing_more_is_asked_does_not_refuse),
		T(a_hold_that_is_lowered_makes_room),
		T(a_cap_that_is_raised_makes_room),
		T(a_stream_may_be_cut_where_every_budget_says_so),
		T(a_raise_of_nonsense_or_of_no_hold_is_refused),
		T(what_was_raised_is_charged_when_the_process_ends),
		T(room_is_what_one_more_call_may_hold),
		T(a_call_that_only_holds_keep_out_waits),
		T(a_raise_may_wait_too),
		T(who_waits_is_told_by_calls_that_came_later),
		T(no_room_goes_by_unseen),
	};

	return cmocka_run_group_tests_name("top_up", tests, NULL, NULL);
}
