// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "budget/free_slots.h"

static struct sg_free_slots slots;

static void the_lowest_comes_first_and_each_once(void **state)
{
	uint32_t slot, peeked;

	(void)state;
	assert_false(sg_free_slots_take(&slots, &slot));
	for (uint32_t i = SG_JOURNAL_SLOTS; i--;)
		sg_free_slots_put(&slots, i);
	for (uint32_t i = 0; i < SG_JOURNAL_SLOTS; i++) {
		assert_true(sg_free_slots_peek(&slots, &peeked));
		assert_true(sg_free_slots_take(&slots, &slot));
		assert_int_equal(peeked, i);
		assert_int_equal(slot, i);
	}
	assert_false(sg_free_slots_peek(&slots, &peeked));
	assert_false(sg_free_slots_take(&slots, &slot));
}

static void what_is_put_back_is_found_again(void **state)
{
	static const uint32_t some[] = { 0, 63, 64, 4095, 4096, SG_JOURNAL_SLOTS - 1 };
	uint32_t slot;

	(void)state;
	for (unsigned i = 6; i--;)
		sg_free_slots_put(&slots, some[i]);
	for (unsigned i = 0; i < 6; i++) {
		assert_true(sg_free_slots_take(&slots, &slot));
		assert_int_equal(slot, some[i]);
	}
	assert_false(sg_free_slots_take(&slots, &slot));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_comes_first_and_each_once),
		cmocka_unit_test(what_is_put_back_is_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
