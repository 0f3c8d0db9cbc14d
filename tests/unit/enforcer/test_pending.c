// SPDX-License-Identifier: Apache-2.0
// The table of calls that go on behind their answers. Their ends: tests/e2e/deferred.test.mjs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "budget/journal.h"
#include "lib/engine_fixture.h"

#include "enforcer/pending.h"
#include "enforcer/worker.h"

// Of 64 workers each may have so many, and an account half of them.
#define OF_WORKER  (SG_JOURNAL_SLOTS / SG_MAX_WORKERS / 4)
#define OF_ACCOUNT (OF_WORKER / 2)

static const struct sg_budget_policy budget = { .limit_nanousd = 1000000 };
static struct sg_pendings *pendings;

static int setup_table(void **state)
{
	return setup(state) < 0 ? -1 : sg_pendings_new(SG_MAX_WORKERS, &pendings);
}

static int teardown_table(void **state)
{
	pendings = sg_pendings_free(pendings);
	return teardown(state);
}

static struct sg_pending call_of(struct sg_account *account, unsigned worker, const char *id)
{
	struct sg_pending pending = { .provider = sg_provider_by_name("openai") };
	struct sg_refusal refusal;

	assert_int_equal(take(worker, account, 10, &pending.hold, &refusal), 0);
	snprintf(pending.id, sizeof(pending.id), "%s", id);
	return pending;
}

static int put(struct sg_account *account, unsigned worker, const char *id)
{
	struct sg_pending pending = call_of(account, worker, id);
	int r = sg_pending_put(pendings, engine, &pending);

	if (r < 0)
		sg_hold_release(engine, &pending.hold);
	return r;
}

static unsigned put_many(struct sg_account *account, unsigned worker, const char *prefix)
{
	unsigned count = 0;
	char id[32];

	do
		snprintf(id, sizeof(id), "%s_%u", prefix, count);
	while (count < 2 * OF_WORKER && put(account, worker, id) == 0 && ++count);
	return count;
}

static void an_account_has_half_of_a_workers_room(void **state)
{
	struct sg_account *a = account_with("a", &budget), *b = account_with("b", &budget);
	struct sg_pending found;

	(void)state;
	assert_int_equal(put_many(a, 0, "a"), OF_ACCOUNT);
	assert_int_equal(put_many(b, 0, "b"), OF_ACCOUNT);
	assert_int_equal(put_many(account_with("c", &budget), 0, "c"), 0);
	assert_int_equal(put_many(a, 1, "more"), OF_ACCOUNT);
	assert_true(
		sg_pending_find(pendings, a, false, sg_provider_by_name("openai"), "a_63", &found));
	assert_ptr_equal(found.hold.account, a);
	assert_false(
		sg_pending_find(pendings, b, false, sg_provider_by_name("openai"), "a_63", &found));
	assert_false(sg_pending_find(
		pendings, a, false, sg_provider_by_name("anthropic"), "a_63", &found));
}

static void more_work_is_held_for_with_the_call(void **state)
{
	struct sg_account *a = account_with("a", &budget), *b = account_with("b", &budget);
	struct sg_pending more, found;

	(void)state;
	assert_int_equal(put(a, 0, "run"), 0);
	assert_int_equal(put(a, 1, "run"), -EEXIST);
	more = call_of(a, 1, "run");
	assert_int_equal(sg_pending_join(pendings, engine, &more), 0);
	assert_null(more.hold.account);
	assert_int_equal(look_at(a).held_nanousd, 20);
	assert_true(
		sg_pending_find(pendings, a, false, sg_provider_by_name("openai"), "run", &found));
	assert_int_equal(found.hold.bound.nanousd, 20);
	more = call_of(b, 1, "run"); // another account's is none of its
	assert_int_equal(sg_pending_join(pendings, engine, &more), -ENOENT);
	assert_int_equal(look_at(b).held_nanousd, 10);
	sg_hold_release(engine, &more.hold);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_account_has_half_of_a_workers_room, setup_table, teardown_table),
		cmocka_unit_test_setup_teardown(
			more_work_is_held_for_with_the_call, setup_table, teardown_table),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
