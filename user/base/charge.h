// SPDX-License-Identifier: Apache-2.0
// What a call costs, in the units that budgets count. A plain value. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sg_charge {
	int64_t nanousd;
	int64_t input_tokens; // all classes of input
	int64_t output_tokens;
	int64_t requests;
};

// Is every amount from 0 to `limit`? How many requests it is does not matter.
static inline bool sg_charge_is_within(const struct sg_charge *charge, int64_t limit)
{
	return charge->nanousd >= 0 && charge->nanousd <= limit && charge->input_tokens >= 0 &&
	       charge->input_tokens <= limit && charge->output_tokens >= 0 &&
	       charge->output_tokens <= limit;
}
