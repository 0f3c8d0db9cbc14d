// SPDX-License-Identifier: Apache-2.0
// Who of those that wait is asked, and behind whom a call has to queue.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "enforcer/waiting.h"
#include "enforcer/worker.h"

#define CALLS 4

static struct sg_worker worker;
static const struct sg_account *const account = (const struct sg_account *)&worker; // only compared
static struct sg_waiter calls[CALLS];
static bool gets_in[CALLS]; // when it is asked
static char asked[32];	    // in this order, a digit each
static struct sg_timer end;
static int64_t wait_ms;

static struct sg_budget_set set_of(uint64_t budgets)
{
	return (struct sg_budget_set){ budgets, 1 };
}

static void join(struct sg_waiter *waiter, struct sg_budget_set budgets)
{
	const struct sg_wait wait = { budgets, wait_ms, INT64_MAX };

	assert_int_equal(sg_waiting_join(&worker, account, waiter, &wait), 0);
}

// What a call does that is asked again: it is admitted, or waits on.
static void ask_again(struct sg_waiter *waiter)
{
	size_t length = strlen(asked), index = (size_t)(waiter - calls);

	assert_true(length + 1 < sizeof(asked));
	asked[length] = (char)('0' + index);
	assert_true(waiter->its_turn);
	if (waiter->patience == SG_TAKES_ANY)
		sg_loop_stop(worker.loop);
	else if (!gets_in[index])
		join(waiter, waiter->waits_for);
}

static void wait_for(unsigned index, uint64_t budgets)
{
	calls[index] = (struct sg_waiter){ .ask_again = ask_again };
	join(&calls[index], set_of(budgets));
}

static void leave_all(void)
{
	for (unsigned i = 0; i < CALLS; i++)
		sg_waiting_end(&calls[i]);
	assert_null(worker.wait_queues);
}

static int set_up(void **state)
{
	(void)state;
	memset(&worker, 0, sizeof(worker));
	memset(calls, 0, sizeof(calls));
	memset(gets_in, 0, sizeof(gets_in));
	memset(asked, 0, sizeof(asked));
	wait_ms = 60000;
	return sg_loop_new(&worker.loop);
}

static int tear_down(void **state)
{
	(void)state;
	sg_loop_free(worker.loop);
	return 0;
}

static struct sg_waiter *first_of(uint64_t budgets)
{
	return sg_waiting_first(&worker, account, set_of(budgets));
}

static void a_call_queues_only_behind_whom_its_budgets_are_waited_for(void **state)
{
	(void)state;
	assert_false(sg_waiting_any(&worker, account));
	wait_for(0, 1);
	wait_for(1, 2);
	wait_for(2, 1);
	assert_true(sg_waiting_any(&worker, account));
	assert_null(first_of(4));
	assert_ptr_equal(first_of(1), &calls[0]);
	assert_ptr_equal(first_of(2 | 4), &calls[1]);
	assert_int_equal(sg_waiting_count(&worker, account, set_of(1)), 2);
	assert_int_equal(sg_waiting_count(&worker, account, set_of(3)), 3);
	// The budgets have changed since: nobody overtakes by that.
	assert_ptr_equal(
		sg_waiting_first(&worker, account, (struct sg_budget_set){ 4, 2 }), &calls[0]);
	leave_all();
}

static void room_is_offered_to_the_first_for_each_budget(void **state)
{
	(void)state;
	wait_for(0, 1);
	wait_for(1, 1);
	wait_for(2, 2);
	wait_for(3, 2);
	gets_in[1] = gets_in[2] = true;
	sg_waiting_on_room(&worker);
	assert_string_equal(asked, "023"); // 0 still stands before 1
	assert_null(calls[2].queue);
	gets_in[0] = gets_in[3] = true;
	sg_waiting_on_room(&worker);
	assert_string_equal(asked + 3, "301");
	assert_null(worker.wait_queues);
}

static void stop(struct sg_timer *timer)
{
	(void)timer;
	sg_loop_stop(worker.loop);
}

static void who_leaves_makes_way(void **state)
{
	(void)state;
	wait_for(0, 1);
	wait_for(1, 1);
	gets_in[1] = true;
	sg_waiting_end(&calls[0]);
	assert_string_equal(asked, ""); // not from within the other one's end
	sg_loop_arm(worker.loop, &end, 200, stop);
	assert_int_equal(sg_loop_run(worker.loop), 0);
	assert_string_equal(asked, "1");
	assert_null(worker.wait_queues);
}

static void a_call_takes_less_as_time_goes_by(void **state)
{
	(void)state;
	wait_ms = 40;
	wait_for(0, 1);
	assert_int_equal(calls[0].patience, SG_TAKES_WHOLE);
	assert_int_equal(sg_loop_run(worker.loop), 0); // until it takes anything
	assert_string_equal(asked, "00");	       // at half its time, and at its end
	assert_int_equal(calls[0].patience, SG_TAKES_ANY);
	assert_null(worker.wait_queues);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_call_queues_only_behind_whom_its_budgets_are_waited_for),
		T(room_is_offered_to_the_first_for_each_budget),
		T(who_leaves_makes_way),
		T(a_call_takes_less_as_time_goes_by),
	};

	return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
