// SPDX-License-Identifier: Apache-2.0
// What the sums of a bill (price_cost.c) and of a hold (price_bound.c) share. Not for other
// modules.
#pragma once

#include "base/money.h"
#include "provider/api.h"
#include "provider/price_table.h"

#define SG_PICO_PER_NANO 1000

// Of a dearer tier that the model's entry has no price for: as the dearest of all that have one.
#define SG_UNPRICED_TIER (5 * (int64_t)SG_PRICE_ONE / 2)

struct sg_class_prices {
	int64_t input, output, cache_read, cache_write, cache_write_1h;
};

static inline struct sg_class_prices sg_prices_for(
	const struct sg_price *price, int64_t total_input)
{
	// The whole request is at the higher rate, not the part above the threshold.
	if (price->long_context_above && total_input > price->long_context_above)
		return (struct sg_class_prices){ price->long_input, price->long_output,
			price->long_cache_read, price->long_cache_write,
			price->long_cache_write_1h };
	return (struct sg_class_prices){ price->input, price->output, price->cache_read,
		price->cache_write, price->cache_write_1h };
}

static inline int64_t sg_max_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static inline int64_t sg_min_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// A counter as evidence: unknown is none, and above 2^53 it is no evidence.
static inline int64_t sg_counted(int64_t count)
{
	return sg_min_of(sg_max_of(count, 0), SG_COUNT_MAX);
}

// Product of two multipliers, rounded up.
static inline int64_t sg_times_up(int64_t a, int64_t b)
{
	return (int64_t)(((sg_wide)a * (sg_wide)b + SG_PRICE_ONE - 1) / SG_PRICE_ONE);
}

// Sum in millionths of a pico-dollar, rounded up once.
static inline int64_t sg_to_nanousd(sg_wide scaled)
{
	sg_wide unit = (sg_wide)SG_PICO_PER_NANO * SG_PRICE_ONE;
	sg_wide nano = (scaled + unit - 1) / unit;

	return nano > (sg_wide)SG_MONEY_MAX ? SG_MONEY_MAX : (int64_t)nano;
}

// Zeros without pieces are the price of a server that costs nothing.
bool sg_price_is_free(const struct sg_price *price);

// Is there anything that is billed by the piece?
bool sg_price_has_pieces(const struct sg_units *units);

// Of the model that answered; where it has none, of the one that was asked for. NULL: none.
const struct sg_price *sg_price_find_used(const struct sg_price_table *table, const char *provider,
	const char *model, const char *requested_model, int64_t wall_ns);
