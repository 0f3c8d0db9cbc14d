// SPDX-License-Identifier: Apache-2.0
// Calls that wait for room which other calls hold: one queue an account, first come first served.
// Nobody overtakes, so that a large call gets its turn. Each worker has queues of its own. Worker
// thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct sg_account;
struct sg_exchange;
struct sg_wait_queue;
struct sg_worker;

// The first of those that wait for the account, or NULL.
struct sg_exchange *sg_waiting_first(
	const struct sg_worker *worker, const struct sg_account *account);

// How many wait for the account.
unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account);

// `first`: in front of all others, for one whose turn it was. Returns 0 or -ENOMEM.
int sg_waiting_join(struct sg_exchange *exchange, bool first) SG_WUNRES;

// No-op for one that does not wait.
void sg_waiting_leave(struct sg_exchange *exchange);

// There may be room: whoever is first in a queue asks again, and whoever comes next, as long as
// they get in.
void sg_waiting_on_room(struct sg_worker *worker);
