// SPDX-License-Identifier: Apache-2.0
// What a recorded exchange counts and costs, by the same readers that meter live traffic: for
// anyone who wants to check a bill. The format of an exchange is told in docs/exchange-format.md.
// Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "provider/price.h"

enum sg_meter_split { SG_METER_WHOLE, SG_METER_BYTEWISE, SG_METER_RANDOM };

struct sg_meter_options {
	enum sg_meter_split split; // how the bytes are fed
	uint64_t seed;		   // of SG_METER_RANDOM
	int64_t wall_ns;	   // which day's prices
	bool skim; // as for live traffic: read only what settles the call, no visible_output_bytes
};

// *ret_result is a new reference: the fields of `expect`, and cost_usd. Returns 0, -EINVAL with the
// place, or -ENOMEM.
int sg_meter_exchange(const json_t *exchange, const struct sg_price_table *table,
	const struct sg_meter_options *options, json_t **ret_result,
	struct sg_error *error) SG_WUNRES;
