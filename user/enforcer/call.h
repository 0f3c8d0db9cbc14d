// SPDX-License-Identifier: Apache-2.0
// The price of one billable call, whatever it came in: an exchange, or a turn of a WebSocket
// session. Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "provider/price.h"
#include "provider/provider.h"

struct sg_client;

// Counts a call among those of its agent (agent_load.h). Returns false where there are too many.
bool sg_call_enter(const struct sg_client *client);
void sg_call_leave(const struct sg_client *client);

// The most that the call may cost. Where its model has no price, what the agent's policy says:
// facts->model becomes the stand-in of price_as. Returns 0, -ENOENT (no price: refuse) or -ERANGE
// (no bound, and no amount of the
// operator's for it: facts->reasons tells).
// `prices` is the table in force when the call was admitted: the one that it is settled by.
int sg_call_bound(const struct sg_client *client, const struct sg_price_table *prices,
	struct sg_request_facts *facts, struct sg_charge *ret_bound) SG_WUNRES;

// Today's table, taken.
const struct sg_price_table *sg_call_prices(const struct sg_client *client);

// What is owed by what the answer told, or, where that is not enough, of what was held: the charge
// and the record in *settlement, which borrows the model's name from the outcome.
void sg_call_price(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, int64_t started_ms, const struct sg_charge *bound,
	struct sg_outcome *outcome, struct sg_settlement *settlement);

// Settles the hold by what the answer told, or by what it may have cost; gives it back where
// nothing is owed. Of *settlement the status and who cut it are set.
void sg_call_settle(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, int64_t started_ms, struct sg_hold *hold,
	struct sg_outcome *outcome, struct sg_settlement *settlement);

// Gives back what is held beyond the bound of a call that runs; nothing where the bound is higher
// in anything.
void sg_call_lower(
	const struct sg_client *client, struct sg_hold *hold, const struct sg_charge *bound);
