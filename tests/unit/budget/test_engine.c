// SPDX-License-Identifier: Apache-2.0
// The budget engine by the numbered cases of docs/budgets.md, against a naive model, under threads
// and under SIGKILL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/engine_fixture.h"

static void case_16_at_the_limit_everything_is_refused(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 500 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, 500, &hold, &refusal), 0); // an exact fit is admitted
	settle(&hold, 500);
	assert_int_equal(take(0, account, 0, &hold, &refusal), -EDQUOT);
	assert_true(refusal.money);
	assert_int_equal(refusal.spent_nanousd, 500);
}

static void case_17_and_18_reasons(void **state)
{
	struct sg_account *requests =
		account_with("a", &(struct sg_budget_policy){ .max_requests = 1 });
	struct sg_account *both = account_with(
		"b", &(struct sg_budget_policy){ .max_requests = 1, .limit_nanousd = 5 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, requests, 5, &hold, &refusal), 0);
	settle(&hold, 5);
	assert_int_equal(take(0, requests, 5, &hold, &refusal), -EDQUOT);
	assert_false(refusal.money);
	assert_int_equal(take(0, both, 5, &hold, &refusal), 0);
	settle(&hold, 5);
	assert_int_equal(take(0, both, 5, &hold, &refusal), -EDQUOT);
	assert_true(refusal.money);
}

static void case_19_and_28_an_entry_one_window_old_no_longer_counts(void **state)
{
	struct sg_account *account = account_with("a",
		&(struct sg_budget_policy){ .max_requests = 1, .window_ns = 2 * SG_NS_PER_SEC });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
	settle(&hold, 1);
	now_ns += 2 * SG_NS_PER_SEC - 1;
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
	assert_int_equal(refusal.resets_in_ns, 1);
	now_ns += 1;
	assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
}

static void case_30_a_released_hold_counts_nothing(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .max_requests = 1 });
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
		sg_hold_release(engine, &hold);
		sg_hold_release(engine, &hold); // idempotent
	}
	assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
	settle(&hold, 1);
	assert_int_equal(take(0, account, 1, &hold, &refusal), -EDQUOT);
}

static void case_38_a_restart_remembers_settled_and_dangling(void **state)
{
	const struct sg_budget_policy budget = { .limit_nanousd = 1000,
		.window_ns = 3600 * SG_NS_PER_SEC };
	struct sg_account *account = account_with("a", &budget);
	struct sg_refusal refusal;
	struct sg_hold settled, dangling;

	(void)state;
	assert_int_equal(take(0, account, 300, &settled, &refusal), 0);
	assert_int_equal(take(1, account, 400, &dangling, &refusal), 0);
	settle(&settled, 250);
	engine = sg_engine_close(engine);
	open_engine(2);
	account = account_with("a", &budget);
	assert_int_equal(spent_of(account), 250 + 400); // the dangling hold is charged in full
	now_ns += 3600 * SG_NS_PER_SEC;
	assert_int_equal(spent_of(account), 0);
}

static void a_policy_change_never_resets_usage(void **state)
{
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 100 });
	struct sg_refusal refusal;
	struct sg_hold hold, over_change;

	(void)state;
	assert_int_equal(take(0, account, 60, &hold, &refusal), 0);
	settle(&hold, 60);
	assert_int_equal(take(0, account, 40, &over_change, &refusal), 0);
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 120,
					    .window_ns = 60 * SG_NS_PER_SEC });
	assert_int_equal(take(0, account, 30, &hold, &refusal), -EDQUOT); // 60 spent and 40 held
	settle(&over_change, 10);
	assert_int_equal(take(0, account, 50, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
}

// Case 62 and 70: random holds and bills within them, on caps that fit few of them.
static void case_62_and_70_never_above_the_cap(void **state)
{
	struct sg_hold holds[64];
	struct sg_refusal refusal;

	(void)state;
	choose_seed();
	for (int trial = 0; trial < 10000; trial++) {
		int64_t cap = 100 + (int64_t)(random_number() % 1000), billed = 0;
		char name[32];
		struct sg_account *account;
		unsigned held = 0;

		snprintf(name, sizeof(name), "trial-%d", trial % 8);
		account = account_with(name, &(struct sg_budget_policy){ .limit_nanousd = cap,
						     .window_ns = SG_NS_PER_SEC });
		now_ns += SG_NS_PER_SEC;
		for (int call = 0; call < 64; call++) {
			if (held < 64 && take(call % 2, account,
						 1 + (int64_t)(random_number() % (uint64_t)cap),
						 &holds[held], &refusal) == 0)
				held++;
			if (held && random_number() % 2) {
				struct sg_hold *hold = &holds[--held];
				int64_t bill = (int64_t)(random_number() %
							 (uint64_t)(hold->bound.nanousd + 1));

				billed += bill;
				settle(hold, bill);
			}
		}
		while (held) {
			billed += holds[held - 1]
					  .bound.nanousd; // the provider always emits its limit
			settle(&holds[held - 1], holds[held - 1].bound.nanousd);
			held--;
		}
		assert_true(billed <= cap);
		if (trial % 500 == 0)
			sg_engine_flush(engine);
	}
}

#define POLICY_CHANGES 50

struct thread_work {
	unsigned worker;
	struct sg_account *account;
	_Atomic unsigned *running;
	int64_t billed;
	int error; // other than a refusal
};

static void *spend_in_thread(void *context)
{
	struct thread_work *work = context;

	for (int i = 0; i < 20000; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;
		int r = take(work->worker, work->account, 7, &hold, &refusal);

		// However far the writer is behind: only the cap refuses.
		if (r == -EDQUOT)
			continue;
		if (r < 0) {
			work->error = r;
			break;
		}
		work->billed += 5;
		settle(&hold, 5);
	}
	atomic_fetch_sub(work->running, 1);
	return NULL;
}

static void case_58_and_62_parallel_workers_never_pass_one_cap(void **state)
{
	const int64_t cap = 50000;
	struct sg_account *account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = cap });
	_Atomic unsigned running = 2;
	struct thread_work work[2] = { { 0, account, &running, 0, 0 },
		{ 1, account, &running, 0, 0 } };
	pthread_t threads[2];
	int64_t billed;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spend_in_thread, &work[i]), 0);
	while (atomic_load(&running))
		watch_cap(account, cap);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(work[0].error, 0);
	assert_int_equal(work[1].error, 0);
	billed = work[0].billed + work[1].billed;
	assert_true(billed <= cap);
	assert_true(billed >= cap - 14); // refused only when a hold no longer fitted
	sg_engine_flush(engine);
	assert_int_equal(spent_of(account), billed);
}

// The policy's window changes back and forth while a worker spends: what was spent is the same in
// both.
static void a_policy_changes_while_calls_are_settled(void **state)
{
	const int64_t cap = INT64_C(1) << 40;
	struct sg_budget_policy budget = { .limit_nanousd = cap,
		.window_ns = 3600 * SG_NS_PER_SEC };
	struct sg_account *account = account_with("a", &budget);
	_Atomic unsigned running = 1;
	struct thread_work work = { 0, account, &running, 0, 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, spend_in_thread, &work), 0);
	// A lock is fair to nobody: endless changes could keep the worker out for ever.
	for (int i = 0; i < POLICY_CHANGES && atomic_load(&running); i++) {
		budget.window_ns = budget.window_ns == SG_WINDOW_LIFETIME ? 3600 * SG_NS_PER_SEC
									  : SG_WINDOW_LIFETIME;
		account_with("a", &budget);
	}
	pthread_join(thread, NULL);
	assert_int_equal(work.error, 0); // more calls than slots: they waited for the writer
	assert_true(work.billed > 0);
	sg_engine_flush(engine);
	assert_int_equal(spent_of(account), work.billed);
}

// A child tells each call that is settled over a pipe, until it is killed at a random moment; one
// call is always in flight.
static void spend_until_killed(int out)
{
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold in_flight, hold;

	open_engine(2);
	account =
		account_with("a", &(struct sg_budget_policy){ .limit_nanousd = INT64_C(1) << 50 });
	if (take(1, account, 7, &in_flight, &refusal) < 0)
		_exit(1);
	for (;;) {
		if (take(0, account, 3, &hold, &refusal) < 0)
			continue; // the journal is full until the writer has been
		settle(&hold, 2);
		if (write(out, "s", 1) != 1)
			_exit(1);
	}
}

// One round, killed somewhere from its start on, or from its first call: returns what the child
// said it had settled.
static int64_t spend_in_child_and_kill_it(bool from_first_call)
{
	const struct timespec pause = { .tv_nsec = 1000000 + (long)(random_number() % 60000000) };
	char bytes[65536];
	int64_t told = 0;
	int ends[2];
	pid_t child;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) > 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		spend_until_killed(ends[1]);
	close(ends[1]);
	if (from_first_call)
		poll(&(struct pollfd){ .fd = ends[0], .events = POLLIN }, 1, 10000);
	nanosleep(&pause, NULL); // any moment will do: in the opening, between calls, in a commit
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	while ((n = read(ends[0], bytes, sizeof(bytes))) > 0)
		told += 2 * n;
	close(ends[0]);
	return told;
}

static void case_63_sigkill_loses_nothing(void **state)
{
	const int kills = getenv("SPENDGATE_LONG") ? 200 : 50;
	int64_t told = 0;

	(void)state;
	choose_seed();
	engine = sg_engine_close(engine);
	for (int round = 0; round < kills; round++) {
		int64_t spent;

		told += spend_in_child_and_kill_it(round % 2);
		open_engine(2);
		spent = spent_of(account_with(
			"a", &(struct sg_budget_policy){ .limit_nanousd = INT64_C(1) << 50 }));
		engine = sg_engine_close(engine);
		assert_true(spent >= told);
		assert_true(
			spent <=
			told + (round + 1) *
					(3 + 7)); // two calls may have been in flight at each kill
	}
	assert_true(told > 0);
}

static void a_torn_journal_is_refused_with_the_remedy(void **state)
{
	struct sg_error error = { "" };
	char path[96];

	(void)state;
	engine = sg_engine_close(engine);
	path_in_state(path, sizeof(path), "holds.journal");
	assert_int_equal(truncate(path, 5000), 0);
	assert_true(try_open_engine(1, &error) < 0);
	assert_non_null(strstr(error.text, "holds.journal"));
	assert_non_null(strstr(error.text, "move it aside"));
}

static void two_engines_do_not_share_a_directory(void **state)
{
	struct sg_engine_options options = { .state_directory = directory, .workers = 1 };
	struct sg_error error = { "" };
	struct sg_engine *other;

	(void)state;
	assert_int_equal(sg_engine_open(&options, &other, &error), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			case_16_at_the_limit_everything_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(case_17_and_18_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(
			case_19_and_28_an_entry_one_window_old_no_longer_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(
			case_30_a_released_hold_counts_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			case_38_a_restart_remembers_settled_and_dangling, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_policy_change_never_resets_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(
			case_62_and_70_never_above_the_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(
			case_58_and_62_parallel_workers_never_pass_one_cap, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_policy_changes_while_calls_are_settled, setup, teardown),
		cmocka_unit_test_setup_teardown(case_63_sigkill_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_torn_journal_is_refused_with_the_remedy, setup, teardown),
		cmocka_unit_test_setup_teardown(
			two_engines_do_not_share_a_directory, setup, teardown),
	};
	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
