// SPDX-License-Identifier: Apache-2.0
// What a call costs, in the units that budgets count. A plain value. Any thread.
#pragma once

#include <stdint.h>

struct sg_charge {
	int64_t nanousd;
	int64_t input_tokens; // all classes of input
	int64_t output_tokens;
	int64_t requests;
};
