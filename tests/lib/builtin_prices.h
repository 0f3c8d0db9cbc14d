// SPDX-License-Identifier: Apache-2.0
// The built-in price table for a whole test program: the set-up and the end of its group.
#pragma once

#include "provider/price.h"

static struct sg_price_table *table;

static inline int load_builtin_prices(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	return sg_price_table_builtin(&table, &error);
}

static inline int free_prices(void **state)
{
	(void)state;
	table = sg_price_table_free(table);
	return 0;
}
