// SPDX-License-Identifier: Apache-2.0
// The table's own shape. Not for other modules.
#pragma once

#include "provider/price.h"

struct sg_price_table {
	size_t count;
	struct sg_price *prices; // sorted by provider, model, from_ns
};
