// SPDX-License-Identifier: Apache-2.0
// A thousand calls at once on one cap: cases 62 and 70 of docs/budgets.md.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/engine_fixture.h"

#define CALLS 1000

static int64_t next_of(uint64_t *state, int64_t below)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (int64_t)((*state >> 33) % (uint64_t)below);
}

// ---- Case 62 ----

#define THREADS	   8
#define A_THREAD   (CALLS / THREADS)
#define MOST	   1000
#define CAP_ROUNDS 20

enum call_state { CALL_WAITS, CALL_IS_HELD, CALL_IS_OVER };

struct caller {
	unsigned worker;
	uint64_t seed;
	struct sg_account *account;
	int64_t cap;
	_Atomic unsigned *running;
	enum call_state states[A_THREAD];
	int64_t costs[A_THREAD];
	struct sg_hold holds[A_THREAD];
	unsigned over;
	int64_t billed, least_refused;
	unsigned above_cap; // times that it was seen
	int error;
};

// A call that does not fit beside the others asks again; one that does not fit what is spent never
// will.
static void ask(struct caller *caller, unsigned index)
{
	struct sg_refusal refusal;
	int r = take(caller->worker, caller->account, caller->costs[index], &caller->holds[index],
		&refusal);

	if (r == 0) {
		caller->states[index] = CALL_IS_HELD;
		return;
	}
	if (r != -EDQUOT) {
		caller->error = r;
		return;
	}
	caller->above_cap += refusal.spent_nanousd + refusal.held_nanousd > caller->cap;
	if (refusal.only_held)
		return;
	caller->states[index] = CALL_IS_OVER;
	caller->over++;
	if (caller->costs[index] < caller->least_refused)
		caller->least_refused = caller->costs[index];
}

static void *call_until_over(void *context)
{
	struct caller *caller = context;

	while (caller->over < A_THREAD && !caller->error) {
		unsigned index = (unsigned)next_of(&caller->seed, A_THREAD);

		if (caller->states[index] == CALL_WAITS) {
			ask(caller, index);
		} else if (caller->states[index] == CALL_IS_HELD) {
			settle(&caller->holds[index], caller->costs[index]);
			caller->states[index] = CALL_IS_OVER;
			caller->billed += caller->costs[index];
			caller->over++;
		}
	}
	atomic_fetch_sub(caller->running, 1);
	return NULL;
}

// Returns the sum of all costs.
static int64_t choose_costs(struct caller *callers)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){
			.worker = i, .seed = random_number(), .least_refused = INT64_MAX
		};
		for (unsigned call = 0; call < A_THREAD; call++)
			sum += callers[i].costs[call] = 1 + next_of(&callers[i].seed, MOST);
	}
	return sum;
}

static void case_62_a_thousand_calls_on_half_their_cost(void **state)
{
	static struct caller callers[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	choose_seed();
	engine = sg_engine_close(engine);
	open_engine(THREADS);
	for (int round = 0; round < CAP_ROUNDS; round++) {
		const int64_t cap = choose_costs(callers) / 2;
		_Atomic unsigned running = THREADS;
		int64_t billed = 0, least_refused = INT64_MAX;
		struct sg_account *account;
		char name[16];

		snprintf(name, sizeof(name), "round-%d", round);
		account = account_with(name, &(struct sg_budget_policy){ .limit_nanousd = cap });
		for (unsigned i = 0; i < THREADS; i++) {
			callers[i].account = account;
			callers[i].cap = cap;
			callers[i].running = &running;
			assert_int_equal(
				pthread_create(&threads[i], NULL, call_until_over, &callers[i]), 0);
		}
		while (atomic_load(&running))
			watch_cap(account, cap);
		for (unsigned i = 0; i < THREADS; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(callers[i].error, 0);
			assert_int_equal(callers[i].above_cap, 0);
			billed += callers[i].billed;
			if (callers[i].least_refused < least_refused)
				least_refused = callers[i].least_refused;
		}
		assert_true(billed <= cap);
		assert_true(billed + least_refused > cap); // no call that fits was refused
		assert_int_equal(spent_of(account), billed);
	}
}

// ---- Case 70 ----

#ifdef SG_UNDER_SANITIZER
#define TRIALS 1000 // many times slower there; the plain build makes them all
#else
#define TRIALS 10000
#endif
#define WORKERS 2

struct trial {
	struct sg_account *account;
	int64_t call;  // what one costs at its limit
	int64_t slice; // what is held of it first, and at each raise
	_Atomic int64_t billed;
};

struct racer {
	unsigned worker;
	struct trial *trials;
	pthread_barrier_t *start;
	int error;
};

// The provider emits all that it may: what is held when there is no more room, or the call's limit.
static void race_once(struct racer *racer, struct trial *trial)
{
	const struct sg_charge slice = { .nanousd = trial->slice };
	struct sg_refusal refusal;
	struct sg_hold hold;
	int r = take(racer->worker, trial->account, trial->slice, &hold, &refusal);

	if (r < 0) {
		if (r != -EDQUOT)
			racer->error = r;
		return;
	}
	while (r == 0 && hold.bound.nanousd < trial->call)
		r = sg_hold_top_up(engine, &hold, &slice, false, &refusal);
	if (r < 0 && r != -EDQUOT)
		racer->error = r;
	atomic_fetch_add(&trial->billed, hold.bound.nanousd);
	settle(&hold, hold.bound.nanousd);
}

static void *race(void *context)
{
	struct racer *racer = context;

	for (int i = 0; i < TRIALS; i++) {
		pthread_barrier_wait(racer->start);
		for (int call = 0; call < CALLS / WORKERS; call++)
			race_once(racer, &racer->trials[i]);
	}
	return NULL;
}

static void case_70_a_thousand_calls_on_a_cap_worth_one_and_a_half(void **state)
{
	struct trial *trials = calloc(TRIALS, sizeof(*trials));
	struct racer racers[WORKERS];
	pthread_t threads[WORKERS];
	pthread_barrier_t start;

	(void)state;
	assert_non_null(trials);
	choose_seed();
	for (int i = 0; i < TRIALS; i++) {
		unsigned slices = 1 + (unsigned)(random_number() % 4);
		char name[16];

		trials[i].slice = 1 + (int64_t)(random_number() % 1000);
		trials[i].call = trials[i].slice * slices;
		snprintf(name, sizeof(name), "trial-%d", i);
		trials[i].account = account_with(
			name, &(struct sg_budget_policy){
				      .limit_nanousd = trials[i].call + trials[i].call / 2 });
	}
	pthread_barrier_init(&start, NULL, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		racers[i] = (struct racer){ .worker = i, .trials = trials, .start = &start };
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(racers[i].error, 0);
	}
	for (int i = 0; i < TRIALS; i++) {
		int64_t cap = trials[i].call + trials[i].call / 2;

		assert_true(trials[i].billed <= cap);
		assert_true(trials[i].billed + trials[i].slice > cap); // and all that fits
		assert_int_equal(spent_of(trials[i].account), trials[i].billed);
	}
	pthread_barrier_destroy(&start);
	free(trials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(case_62_a_thousand_calls_on_half_their_cost),
		T(case_70_a_thousand_calls_on_a_cap_worth_one_and_a_half),
	};

	return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
