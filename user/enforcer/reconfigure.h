// SPDX-License-Identifier: Apache-2.0
// A changed configuration for a running enforcer. Main thread; workers go on meanwhile.
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_enforcer;
struct sg_price_table;
struct sg_retired;

// The level of the log that a configuration names.
void sg_set_log_level(const json_t *configuration);

// What it says of calls that nothing bounds, and of unknown paths.
void sg_set_amounts(struct sg_enforcer *enforcer, const json_t *configuration);

// The price table that a configuration names, read anew.
int sg_load_prices(const json_t *configuration, struct sg_price_table **ret_prices,
	struct sg_error *error) SG_WUNRES;

// The budgets of a configuration that agents share: they hold for the next call. On an error
// nothing has changed.
int sg_set_shared_budgets(struct sg_enforcer *enforcer, const json_t *configuration,
	struct sg_error *error) SG_WUNRES;

// A worker has taken his mail: he looks at no table that was replaced before.
void sg_retired_pass(struct sg_retired *retired);

// Puts prices, amounts, shared budgets and log level of `next` in force for the calls that come. On
// an error nothing has changed. `ret_restart`: the keys in which it differs from what this process
// was started with and that it can't change, as "workers, user", or "".
int sg_reconfigure(struct sg_enforcer *enforcer, const json_t *next, char *ret_restart, size_t size,
	struct sg_error *error) SG_WUNRES;
