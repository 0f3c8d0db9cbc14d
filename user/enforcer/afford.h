// SPDX-License-Identifier: Apache-2.0
// How much of a call its budgets afford, beside those that wait already: for calls whose output
// limit may be lowered (docs/decisions/0007-wait-and-clamp.md). Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "enforcer/waiting.h"
#include "provider/price.h"
#include "provider/provider.h"

struct sg_client;

// A call that is to be held for. Borrows all that it points to.
struct sg_asking {
	const struct sg_client *client;
	const struct sg_price_table *prices;
	const struct sg_request_facts *facts;
	struct sg_call call;
	const struct sg_charge *bound; // of the whole call
	const struct sg_charge *has;   // what it holds already and may use; NULL: nothing
};

bool sg_afford_fits(const struct sg_charge *charge, const struct sg_room *room);

// The bound of the call, were its output limited to `limit`. Returns as sg_call_bound.
int sg_afford_bound(
	const struct sg_asking *asking, int64_t limit, struct sg_charge *ret_bound) SG_WUNRES;

// The output limit that the call is to get, below its own; -1: not even none is affordable.
// While its patience lasts that is a fair share of what there is when others are done, at its end
// whatever is there now.
int64_t sg_afford_limit(const struct sg_asking *asking, enum sg_patience patience);

// Logs that the call is admitted with this limit.
void sg_afford_note(const struct sg_asking *asking, int64_t limit);

// One that waits already, for whom this call could come to stand in the way. NULL: there is none.
const struct sg_waiter *sg_afford_in_front(const struct sg_asking *asking);
