// SPDX-License-Identifier: Apache-2.0
// Calls whose cost a later answer tells, over restarts of the process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "budget/journal.h"
#include "lib/engine_fixture.h"

#define JOURNAL_HEADER_BYTES 4096

static const struct sg_budget_policy budget = { .limit_nanousd = 100, .window_ns = HOUR_NS };

static struct {
	unsigned count;
	struct sg_hold hold;
	char id[32], model[32];
	uint16_t flags;
} seen;

static int remember(void *context, const struct sg_deferred_hold *call)
{
	(void)context;
	seen.count++;
	seen.hold = call->hold;
	seen.flags = call->flags;
	snprintf(seen.id, sizeof(seen.id), "%s", call->id);
	snprintf(seen.model, sizeof(seen.model), "%s", call->model);
	return 0;
}

static void restart(unsigned workers)
{
	engine = sg_engine_close(engine);
	open_engine(workers);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(sg_engine_each_deferred(engine, remember, NULL), 0);
}

static void defer(int64_t nanousd)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(take(1, account_with("a", &budget), nanousd, &hold, &refusal), 0);
	sg_hold_defer(engine, &hold, "resp_1", 3);
}

static void a_restart_keeps_the_hold_and_its_end_settles_it_once(void **state)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	defer(80);
	restart(2);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.id, "resp_1");
	assert_string_equal(seen.model, "gpt-4o");
	assert_int_equal(seen.flags, 3);
	assert_int_equal(seen.hold.bound.nanousd, 80);
	// Nothing is spent, and nothing beside it fits that did not before.
	assert_int_equal(look_at(account_with("a", &budget)).spent_nanousd, 0);
	assert_int_equal(look_at(account_with("a", &budget)).held_nanousd, 80);
	assert_int_equal(take(0, account_with("a", &budget), 21, &hold, &refusal), -EDQUOT);
	assert_true(refusal.only_held);
	assert_int_equal(take(0, account_with("a", &budget), 20, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
	settle(&seen.hold, 7);
	assert_int_equal(spent_of(account_with("a", &budget)), 7);
	assert_int_equal(take(0, account_with("a", &budget), 93, &hold, &refusal), 0);
	sg_hold_release(engine, &hold);
	restart(2);
	assert_int_equal(seen.count, 0);
	assert_int_equal(spent_of(account_with("a", &budget)), 7);
}

static void what_is_released_is_free_after_it(void **state)
{
	(void)state;
	defer(80);
	restart(2);
	sg_hold_release(engine, &seen.hold);
	restart(2);
	assert_int_equal(seen.count, 0);
	assert_int_equal(spent_of(account_with("a", &budget)), 0);
}

// More work for a call that goes on: one hold for both, also after a restart, whose end settles
// both.
static void what_joins_it_is_held_with_it(void **state)
{
	struct sg_refusal refusal;
	struct sg_hold more, hold;

	(void)state;
	defer(50);
	restart(2);
	assert_int_equal(take(0, account_with("a", &budget), 30, &more, &refusal), 0);
	assert_int_equal(sg_hold_join(engine, &seen.hold, &more), 0);
	assert_null(more.account);
	assert_int_equal(seen.hold.bound.nanousd, 80);
	assert_int_equal(look_at(account_with("a", &budget)).held_nanousd, 80);
	assert_int_equal(take(0, account_with("a", &budget), 21, &hold, &refusal), -EDQUOT);
	restart(2);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.hold.bound.nanousd, 80);
	assert_int_equal(look_at(account_with("a", &budget)).held_nanousd, 80);
	settle(&seen.hold, 77);
	refusal = look_at(account_with("a", &budget));
	assert_int_equal(refusal.held_nanousd, 0);
	assert_int_equal(refusal.spent_nanousd, 77);
	restart(2);
	assert_int_equal(seen.count, 0);
}

// Other numbers of workers: whose slots they are is found anew.
static void workers_may_change(void **state)
{
	(void)state;
	defer(80);
	restart(1);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.hold.worker, 0);
	restart(3);
	assert_int_equal(seen.count, 1);
	assert_true(seen.hold.worker < 3);
	settle(&seen.hold, 9);
	assert_int_equal(spent_of(account_with("a", &budget)), 9);
}

// A budget of the host counts it before its agent is back.
static void a_shared_budget_counts_it_at_once(void **state)
{
	struct sg_budget_policy host = budget;
	struct sg_error error = { "" };
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	defer(80);
	restart(2);
	host.scope = SG_SCOPE_HOST;
	strcpy(host.name, "all");
	assert_int_equal(sg_engine_set_budgets(engine, &host, 1, &error), 0);
	assert_int_equal(take(0, account_with("b", &budget), 21, &hold, &refusal), -EDQUOT);
	assert_string_equal(refusal.budget, "all");
}

static void a_torn_one_is_charged_in_full(void **state)
{
	struct sg_refusal refusal;
	struct sg_hold hold;
	char path[128];
	int fd;

	(void)state;
	assert_int_equal(take(0, account_with("a", &budget), 80, &hold, &refusal), 0);
	sg_hold_defer(engine, &hold, "resp_1", 0);
	engine = sg_engine_close(engine);
	path_in_state(path, sizeof(path), "holds.journal");
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(
		pwrite(fd, "x", 1,
			JOURNAL_HEADER_BYTES + (off_t)(hold.slot * sizeof(struct sg_slot) +
						       offsetof(struct sg_slot, settled_checksum))),
		1);
	close(fd);
	open_engine(2);
	assert_int_equal(sg_engine_each_deferred(engine, remember, NULL), 0);
	assert_int_equal(spent_of(account_with("a", &budget)), 80);
}

#define T(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_restart_keeps_the_hold_and_its_end_settles_it_once),
		T(what_is_released_is_free_after_it),
		T(what_joins_it_is_held_with_it),
		T(workers_may_change),
		T(a_shared_budget_counts_it_at_once),
		T(a_torn_one_is_charged_in_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
