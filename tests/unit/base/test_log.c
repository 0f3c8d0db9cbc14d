// SPDX-License-Identifier: Apache-2.0
// What a stranger chose can't forge a field of a log line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/log.h"

static void values_are_one_field(void **state)
{
	static const struct {
		const char *text, *wanted;
		size_t size;
	} rows[] = {
		{ "curl", "curl", 32 },
		{ "tmux: server", "\"tmux: server\"", 32 },
		{ "x\" agent=other", "\"x? agent=other\"", 32 },
		{ "a\\", "\"a?\"", 32 },
		{ "a=b", "\"a=b\"", 32 },
		{ "", "\"\"", 32 },
		{ "curl-of-mine", "curl-", 8 },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		assert_string_equal(
			sg_log_value(rows[i].text, 16, out, rows[i].size), rows[i].wanted);
	assert_string_equal(sg_log_value("no NUL after it", 2, out, sizeof(out)), "no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_one_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
