// SPDX-License-Identifier: Apache-2.0
// Rolling windows: their borders, and that they never count short of the list of every entry.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/money.h"
#include "budget/window.h"
#include "lib/engine_fixture.h"

#define ENTRIES 4000

static struct sg_window window;

static void add(int64_t at_ns, int64_t nanousd)
{
	const struct sg_charge charge = cost(nanousd);

	sg_window_advance(&window, at_ns);
	sg_window_add(&window, at_ns, &charge, 0);
}

static int64_t spent_at(int64_t at_ns)
{
	sg_window_advance(&window, at_ns);
	return window.sum.nanousd;
}

static void case_19_an_entry_exactly_one_window_old_is_gone(void **state)
{
	static const int64_t lengths[] = { 1, 2, 255, 256, 257, SG_NS_PER_MS, 90 * SG_NS_PER_SEC,
		7 * 24 * HOUR_NS };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(lengths); i++) {
		sg_window_init(&window, lengths[i]);
		add(1000, 5);
		assert_int_equal(spent_at(1000 + lengths[i] - 1), 5);
		assert_int_equal(spent_at(1000 + lengths[i]), 0);
		assert_int_equal(window.sum.requests, 0);
		assert_int_equal(window.sum.input_tokens, 0);
	}
}

static void a_lifetime_window_never_forgets(void **state)
{
	(void)state;
	sg_window_init(&window, 0);
	add(0, 5);
	add(INT64_MAX / 2, 6);
	assert_int_equal(spent_at(INT64_MAX), 11);
}

// At every step: at least what a list of all entries says, and at most what it says of a window
// longer by one slice.
static void never_short_and_at_most_a_slice_too_long(void **state)
{
	static struct {
		int64_t at_ns, nanousd;
	} entries[ENTRIES];
	const int64_t length_ns = 100000, slice_ns = length_ns / (SG_WINDOW_BUCKETS - 2) + 1;
	int64_t at_ns = 0;

	(void)state;
	choose_seed();
	sg_window_init(&window, length_ns);
	for (int i = 0; i < ENTRIES; i++) {
		int64_t exact = 0, longer = 0;

		at_ns += (int64_t)(random_number() % (random_number() % 20 ? 100 : 200000));
		entries[i].at_ns = at_ns;
		entries[i].nanousd = (int64_t)(random_number() % 1000);
		add(at_ns, entries[i].nanousd);
		at_ns += (int64_t)(random_number() % 50);
		for (int j = 0; j <= i; j++) {
			if (at_ns - entries[j].at_ns < length_ns)
				exact += entries[j].nanousd;
			if (at_ns - entries[j].at_ns < length_ns + slice_ns)
				longer += entries[j].nanousd;
		}
		assert_in_range(spent_at(at_ns), exact, longer);
	}
	assert_int_equal(spent_at(at_ns + length_ns), 0);
}

static void a_sum_that_stopped_at_the_top_comes_down_right(void **state)
{
	(void)state;
	sg_window_init(&window, 1000);
	add(0, SG_MONEY_MAX);
	add(500, SG_MONEY_MAX - 7);
	add(900, 3);
	assert_int_equal(spent_at(900), SG_MONEY_MAX);
	assert_int_equal(spent_at(1000), SG_MONEY_MAX - 4);
	assert_int_equal(spent_at(1500), 3);
	assert_int_equal(spent_at(1900), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_19_an_entry_exactly_one_window_old_is_gone),
		cmocka_unit_test(a_lifetime_window_never_forgets),
		cmocka_unit_test(never_short_and_at_most_a_slice_too_long),
		cmocka_unit_test(a_sum_that_stopped_at_the_top_comes_down_right),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
