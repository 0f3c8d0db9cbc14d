// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"

static void keeps_order_over_growth_and_consumption(void **state)
{
	struct sg_buf buf = { 0 };
	uint8_t next_in = 0, next_out = 0;

	(void)state;
	for (int round = 0; round < 500; round++) {
		uint8_t bytes[97];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = next_in++;
		assert_int_equal(sg_buf_append(&buf, bytes, sizeof(bytes)), 0);
		for (int i = 0; i < 60; i++) {
			assert_int_equal(*sg_buf_head(&buf), next_out++);
			sg_buf_consume(&buf, 1);
		}
	}
	assert_int_equal(sg_buf_length(&buf), 500 * (97 - 60));
	sg_buf_release(&buf);
	assert_int_equal(sg_buf_length(&buf), 0);
}

static void holds_no_more_than_its_limit(void **state)
{
	struct sg_buf buf = { .limit = 10 };

	(void)state;
	assert_int_equal(sg_buf_append(&buf, "0123456789", 10), 0);
	assert_int_equal(sg_buf_append(&buf, "x", 1), -ENOBUFS);
	sg_buf_consume(&buf, 1);
	assert_int_equal(sg_buf_append(&buf, "x", 1), 0);
	assert_memory_equal(sg_buf_head(&buf), "123456789x", 10);
	sg_buf_release(&buf);
}

static void prints_without_its_own_nul(void **state)
{
	struct sg_buf buf = { 0 };

	(void)state;
	assert_int_equal(sg_buf_printf(&buf, "%s=%d", "a", 5), 0);
	assert_int_equal(sg_buf_printf(&buf, "%s", ";"), 0);
	assert_int_equal(sg_buf_length(&buf), 4);
	assert_memory_equal(sg_buf_head(&buf), "a=5;", 4);
	sg_buf_release(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order_over_growth_and_consumption),
		cmocka_unit_test(holds_no_more_than_its_limit),
		cmocka_unit_test(prints_without_its_own_nul),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
