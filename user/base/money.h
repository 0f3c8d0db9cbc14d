// SPDX-License-Identifier: Apache-2.0
// Money as integers: int64_t nano-dollars for amounts, int64_t pico-dollars for the price of one
// token. No floating point between the price file and the ledger. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"

#define SG_NANOUSD_PER_USD 1000000000LL
#define SG_MONEY_MAX	   INT64_C(9000000000000000000)

// Decimal text ("0.00005", "12", "1e-6") to units of 10^-`digits` dollars, exactly; `digits` is 9
// for nano-dollars, 12 for pico-dollars. Returns 0, -EINVAL (not a plain decimal number, or
// negative), -ERANGE (more digits than fit). Digits below the unit are refused (-ERANGE) unless
// they are zero.
int sg_money_parse(const char *text, size_t length, int digits, int64_t *ret_value) SG_WUNRES;

// The same, rounded to the nearest unit: for what was once a binary fraction
// ("0.42439300000000002").
int sg_money_parse_nearest(
	const char *text, size_t length, int digits, int64_t *ret_value) SG_WUNRES;

// Exact decimal text of nano-dollars without trailing zeros ("0.00005", "0"). `size` >= 32.
void sg_money_format(int64_t nanousd, char *out, size_t size);

// That text as a JSON value, the form of amounts in every document of ours. NULL: out of memory.
json_t *sg_money_json(int64_t nanousd) SG_WUNRES;

// The same text for pico-dollars.
void sg_money_format_pico(int64_t picousd, char *out, size_t size);

// Sum that stops at SG_MONEY_MAX in place of overflowing.
static inline int64_t sg_money_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) || sum > SG_MONEY_MAX ? SG_MONEY_MAX : sum;
}
