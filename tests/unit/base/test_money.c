// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/money.h"

struct parse_row {
	const char *text;
	int digits;
	int result;
	int64_t value;
};

static void parses_decimal_text_exactly(void **state)
{
	static const struct parse_row rows[] = {
		{ "0", 9, 0, 0 },
		{ "1", 9, 0, 1000000000 },
		{ "0.00005", 9, 0, 50000 },
		{ "0.000000001", 9, 0, 1 },
		{ "0.0000000001", 9, -ERANGE, 0 },
		{ "0.0000000010", 9, 0, 1 },
		{ "1e-6", 9, 0, 1000 },
		{ "1.5E3", 9, 0, 1500000000000 },
		{ "2.50", 12, 0, 2500000000000 },
		{ "9000000000", 9, 0, INT64_C(9000000000000000000) },
		{ "9000000000.000000001", 9, -ERANGE, 0 },
		{ "99999999999999999999999999999999999", 9, -ERANGE, 0 },
		{ "1e64", 9, -ERANGE, 0 },
		{ "1e999999999999", 9, -ERANGE, 0 },
		{ ".5", 9, 0, 500000000 },
		{ "5.", 9, 0, 5000000000 },
		{ "", 9, -EINVAL, 0 },
		{ ".", 9, -EINVAL, 0 },
		{ "-1", 9, -EINVAL, 0 },
		{ "+1", 9, -EINVAL, 0 },
		{ "1.2.3", 9, -EINVAL, 0 },
		{ "1e", 9, -EINVAL, 0 },
		{ "e5", 9, -EINVAL, 0 },
		{ "0x10", 9, -EINVAL, 0 },
		{ "NaN", 9, -EINVAL, 0 },
		{ "inf", 9, -EINVAL, 0 },
		{ " 1", 9, -EINVAL, 0 },
		{ "1 ", 9, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		int64_t value = 0;
		int r = sg_money_parse(rows[i].text, strlen(rows[i].text), rows[i].digits, &value);

		if (r != rows[i].result || (r == 0 && value != rows[i].value))
			fail_msg(
				"\"%s\": result %d, value %lld", rows[i].text, r, (long long)value);
	}
}

static void formats_what_it_parses(void **state)
{
	static const char *const texts[] = { "0", "1", "0.00005", "0.000000001", "123.456",
		"9000000000", "10" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts); i++) {
		int64_t value;
		char out[32];

		assert_int_equal(sg_money_parse(texts[i], strlen(texts[i]), 9, &value), 0);
		sg_money_format(value, out, sizeof(out));
		assert_string_equal(out, texts[i]);
	}
}

static void formats_negative_amounts(void **state)
{
	char out[32];

	(void)state;
	sg_money_format(-1500000000, out, sizeof(out));
	assert_string_equal(out, "-1.5");
	sg_money_format_pico(150000, out, sizeof(out));
	assert_string_equal(out, "0.00000015");
}

static void sums_stop_at_the_maximum(void **state)
{
	(void)state;
	assert_int_equal(sg_money_add(1, 2), 3);
	assert_int_equal(sg_money_add(SG_MONEY_MAX, 1), SG_MONEY_MAX);
	assert_int_equal(sg_money_add(INT64_MAX, INT64_MAX), SG_MONEY_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_decimal_text_exactly),
		cmocka_unit_test(formats_what_it_parses),
		cmocka_unit_test(formats_negative_amounts),
		cmocka_unit_test(sums_stop_at_the_maximum),
	};

	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
