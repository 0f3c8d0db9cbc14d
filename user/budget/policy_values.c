// SPDX-License-Identifier: Apache-2.0
#include "budget/policy_values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"

#define COUNT_MAX (INT64_C(1) << 53)

// JSON reals come as doubles: the shortest decimal that gives the same double is what was written.
static void shortest_decimal(double value, char *out, size_t size)
{
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(out, size, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			return;
	}
}

int sg_value_money(
	const json_t *value, const char *shown, int64_t *ret_nanousd, struct sg_error *error)
{
	const char *text = json_string_value(value);
	char number[64];
	int r;

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	} else if (json_is_real(value)) {
		shortest_decimal(json_real_value(value), number, sizeof(number));
		text = number;
	}
	r = text ? sg_money_parse(text, strlen(text), 9, ret_nanousd) : -EINVAL;
	if (r == -ERANGE)
		return sg_error_set(error, -EINVAL,
			"%s %s: must have at most 9 decimal places and be below 9000000000", shown,
			text);
	if (r < 0 && text && *text != '-')
		return sg_error_set(error, -EINVAL,
			"%s must be > 0: \"%.40s\" is no number of dollars", shown, text);
	if (r < 0 || *ret_nanousd <= 0)
		return sg_error_set(error, -EINVAL, "%s must be > 0", shown);
	return 0;
}

int sg_value_count(
	const json_t *value, const char *shown, int64_t *ret_count, struct sg_error *error)
{
	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return sg_error_set(error, -EINVAL, "%s must be > 0", shown);
	if (json_integer_value(value) > COUNT_MAX)
		return sg_error_set(error, -EINVAL, "%s must be at most 2^53", shown);
	*ret_count = json_integer_value(value);
	return 0;
}

int sg_value_word(const json_t *value, const char *const *words, size_t count)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < count; i++)
		if (strcmp(text, words[i]) == 0)
			return (int)i;
	return -1;
}

const char *sg_value_shown(const json_t *value)
{
	return json_is_string(value) ? json_string_value(value) : "";
}

int sg_value_text(
	const json_t *value, const char *key, char *out, size_t size, struct sg_error *error)
{
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) >= size)
		return sg_error_set(
			error, -EINVAL, "%s must have 1 to %zu characters", key, size - 1);
	strcpy(out, text);
	return 0;
}
