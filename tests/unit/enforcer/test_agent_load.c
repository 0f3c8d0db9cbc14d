// SPDX-License-Identifier: Apache-2.0
// What one agent may take of what all share.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "budget/journal.h"
#include "enforcer/agent.h"
#include "enforcer/limits.h"

static struct sg_agent agent = { .name = "a" };

static int make_load(void **state)
{
	(void)state;
	agent.max_connections = agent.max_calls = 1000000;
	agent.load = sg_agent_load_new();
	return agent.load ? 0 : -1;
}

static int drop_load(void **state)
{
	(void)state;
	sg_agent_load_unref(agent.load);
	return 0;
}

static unsigned begin_all(unsigned worker, unsigned workers)
{
	unsigned calls = 0;

	while (sg_agent_begin_call(&agent, worker, workers))
		calls++;
	return calls;
}

static void calls_have_a_limit_that_ends_give_back(void **state)
{
	(void)state;
	agent.max_calls = 3;
	assert_int_equal(begin_all(0, 2), 3);
	assert_int_equal(begin_all(1, 2), 0);
	sg_agent_end_call(&agent, 0);
	assert_int_equal(begin_all(1, 2), 1);
}

// Whatever the configuration says: others find slots of the journal with each worker.
static void calls_leave_half_of_a_workers_slots(void **state)
{
	(void)state;
	assert_int_equal(begin_all(0, 64), SG_JOURNAL_SLOTS / 64 / 2);
	assert_int_equal(begin_all(63, 64), SG_JOURNAL_SLOTS / 64 / 2);
	sg_agent_end_call(&agent, 63);
	assert_int_equal(begin_all(0, 64), 0);
	assert_int_equal(begin_all(63, 64), 1);
}

static unsigned tell(unsigned count, int64_t now_ns, uint64_t *ret_untold)
{
	unsigned told = 0;
	uint64_t untold;

	*ret_untold = 0;
	for (unsigned i = 0; i < count; i++) {
		if (!sg_agent_may_tell(agent.load, now_ns, &untold))
			continue;
		told++;
		*ret_untold += untold;
	}
	return told;
}

static void lines_come_at_once_and_then_at_a_rate(void **state)
{
	const int64_t second = SG_NS_PER_SEC;
	uint64_t untold;

	(void)state;
	assert_int_equal(tell(SG_LINES_AT_ONCE + 70, 5 * second, &untold), SG_LINES_AT_ONCE);
	assert_int_equal(untold, 0);
	assert_int_equal(tell(100, 6 * second, &untold), SG_LINES_PER_SECOND);
	assert_int_equal(untold, 70);
	assert_int_equal(tell(1000, 1000 * second, &untold), SG_LINES_AT_ONCE);
	assert_int_equal(untold, 100 - SG_LINES_PER_SECOND);
	assert_int_equal(sg_agent_take_untold(agent.load), 1000 - SG_LINES_AT_ONCE);
	assert_int_equal(sg_agent_take_untold(agent.load), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			calls_have_a_limit_that_ends_give_back, make_load, drop_load),
		cmocka_unit_test_setup_teardown(
			calls_leave_half_of_a_workers_slots, make_load, drop_load),
		cmocka_unit_test_setup_teardown(
			lines_come_at_once_and_then_at_a_rate, make_load, drop_load),
	};

	return cmocka_run_group_tests_name("agent_load", tests, NULL, NULL);
}
