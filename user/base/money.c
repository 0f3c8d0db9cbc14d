// SPDX-License-Identifier: Apache-2.0
#include "base/money.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// A decimal as digits and a power of ten: value = digits * 10^exponent.
struct decimal {
	unsigned __int128 digits;
	int exponent;
};

#define MAX_DIGITS   30 // 10^30 fits 128 bits
#define MAX_EXPONENT 64

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int add_digit(struct decimal *decimal, char c, int *significant)
{
	if (*significant || c != '0')
		(*significant)++;
	if (*significant > MAX_DIGITS)
		return -ERANGE;
	decimal->digits = decimal->digits * 10 + (unsigned)(c - '0');
	return 0;
}

static int parse_exponent(const char *text, size_t length, int *ret_exponent)
{
	size_t i = 0;
	int sign = 1, value = 0;

	if (i < length && (text[i] == '+' || text[i] == '-'))
		sign = text[i++] == '-' ? -1 : 1;
	if (i == length)
		return -EINVAL;
	for (; i < length; i++) {
		if (!is_digit(text[i]))
			return -EINVAL;
		value = value * 10 + (text[i] - '0');
		if (value > MAX_EXPONENT)
			return -ERANGE;
	}
	*ret_exponent = sign * value;
	return 0;
}

static int parse_decimal(const char *text, size_t length, struct decimal *ret_decimal)
{
	struct decimal decimal = { 0, 0 };
	bool any = false, point = false;
	int significant = 0, exponent = 0, r;

	for (size_t i = 0; i < length; i++) {
		if (is_digit(text[i])) {
			r = add_digit(&decimal, text[i], &significant);
			if (r < 0)
				return r;
			decimal.exponent -= point;
			any = true;
		} else if (text[i] == '.' && !point) {
			point = true;
		} else if ((text[i] == 'e' || text[i] == 'E') && any) {
			r = parse_exponent(text + i + 1, length - i - 1, &exponent);
			if (r < 0)
				return r;
			break;
		} else {
			return -EINVAL;
		}
	}
	if (!any)
		return -EINVAL;
	decimal.exponent += exponent;
	*ret_decimal = decimal;
	return 0;
}

static int to_units(const char *text, size_t length, int digits, bool nearest, int64_t *ret_value)
{
	struct decimal decimal;
	bool dropped = false; // half a unit or more, with the last digit that was cut
	int r = parse_decimal(text, length, &decimal);

	if (r < 0)
		return r;
	if (!decimal.digits) {
		*ret_value = 0;
		return 0;
	}
	decimal.exponent += digits;
	for (; decimal.exponent > 0; decimal.exponent--) {
		decimal.digits *= 10;
		if (decimal.digits > (unsigned __int128)SG_MONEY_MAX)
			return -ERANGE;
	}
	for (; decimal.exponent < 0; decimal.exponent++) {
		if (decimal.digits % 10 && !nearest)
			return -ERANGE;
		dropped = decimal.digits % 10 >= 5;
		decimal.digits /= 10;
	}
	if (decimal.digits > (unsigned __int128)SG_MONEY_MAX)
		return -ERANGE;
	*ret_value = (int64_t)decimal.digits + dropped;
	return 0;
}

int sg_money_parse(const char *text, size_t length, int digits, int64_t *ret_value)
{
	return to_units(text, length, digits, false, ret_value);
}

int sg_money_parse_nearest(const char *text, size_t length, int digits, int64_t *ret_value)
{
	return to_units(text, length, digits, true, ret_value);
}

static void format_scaled(int64_t value, int digits, char *out, size_t size)
{
	int64_t unit = 1, magnitude = value < 0 ? -value : value;
	int length;

	for (int i = 0; i < digits; i++)
		unit *= 10;
	length = snprintf(out, size, "%s%lld.%0*lld", value < 0 ? "-" : "",
		(long long)(magnitude / unit), digits, (long long)(magnitude % unit));
	while (length > 0 && out[length - 1] == '0')
		out[--length] = 0;
	if (length > 0 && out[length - 1] == '.')
		out[--length] = 0;
}

void sg_money_format(int64_t nanousd, char *out, size_t size)
{
	format_scaled(nanousd, 9, out, size);
}

json_t *sg_money_json(int64_t nanousd)
{
	char text[32];

	sg_money_format(nanousd, text, sizeof(text));
	return json_string(text);
}

void sg_money_format_pico(int64_t picousd, char *out, size_t size)
{
	format_scaled(picousd, 12, out, size);
}
