// SPDX-License-Identifier: Apache-2.0
// Calls that wait for room which other calls hold: one queue an account, first come first served.
// Nobody overtakes those that wait for a budget which counts his call as well, so that a large call
// gets its turn; whom no budget of theirs counts goes by. Each worker has queues of its own. Worker
// thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "budget/engine.h"

struct sg_exchange;
struct sg_wait_queue;
struct sg_worker;

// The first of those that wait for the account for any of `budgets`, or NULL.
struct sg_exchange *sg_waiting_first(const struct sg_worker *worker,
	const struct sg_account *account, struct sg_budget_set budgets);

// Does anybody wait for the account, for whatever budget?
bool sg_waiting_any(const struct sg_worker *worker, const struct sg_account *account);

// How many wait for the account for any of `budgets`.
unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets);

// For room in admission.waits_for. `first`: in front of all others, for one whose turn it was.
// Returns 0 or -ENOMEM.
int sg_waiting_join(struct sg_exchange *exchange, bool first) SG_WUNRES;

// No-op for one that does not wait.
void sg_waiting_leave(struct sg_exchange *exchange);

// There may be room: everyone behind nobody who waits for a budget of his asks again, and whoever
// comes next, as long as they get in.
void sg_waiting_on_room(struct sg_worker *worker);

// The same, soon: somebody left who may have been in the way of others.
void sg_waiting_tell(struct sg_worker *worker);
