// SPDX-License-Identifier: Apache-2.0
// Calls that wait for room which other calls hold: one queue an account, first come first served.
// Nobody overtakes those that wait for a budget which counts his call as well, so that a large call
// gets its turn; whom no budget of theirs counts goes by. Each worker has queues of its own. Worker
// thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "loop/loop.h"

struct sg_wait_queue;
struct sg_worker;

// What a waiting call takes as time goes by: a share once half of it is over, at the end anything.
enum sg_patience { SG_TAKES_WHOLE, SG_TAKES_SHARE, SG_TAKES_ANY };

// A call's place in a queue: a part of whatever the call is, which stays where it is while it
// waits. All zero but for ask_again before it waits first.
struct sg_waiter {
	struct sg_wait_queue *queue; // NULL: it does not wait
	struct sg_waiter *next, **link;
	struct sg_timer timer;
	uint64_t round;			// of the worker's, in which it was asked last
	struct sg_budget_set waits_for; // or those in front of it do
	int64_t wait_ms;		// in all; 0: it has not waited
	int64_t patience_ms;		// until when, on the loop's clock
	enum sg_patience patience;
	bool its_turn; // it was the first of those that wait, and left the queue
	// Its turn, or the end of its time: it goes on, or joins again.
	void (*ask_again)(struct sg_waiter *waiter);
};

// What is waited for.
struct sg_wait {
	struct sg_budget_set budgets;
	int64_t wait_ms;       // at most, counted from the first time
	int64_t forgets_in_ns; // when a window forgets something; INT64_MAX: none does
};

// The first of those that wait for the account for any of `budgets`, or NULL.
struct sg_waiter *sg_waiting_first(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets);

// Does anybody wait for the account, for whatever budget?
bool sg_waiting_any(const struct sg_worker *worker, const struct sg_account *account);

// How many wait for the account for any of `budgets`.
unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets);

// Behind all others; in front of them when it was its turn. Returns 0 or -ENOMEM.
int sg_waiting_join(struct sg_worker *worker, const struct sg_account *account,
	struct sg_waiter *waiter, const struct sg_wait *wait) SG_WUNRES;

// It waits no more, whatever came of it: who stood behind it is asked, soon. All zero again but for
// ask_again. No-op for one that never waited.
void sg_waiting_end(struct sg_waiter *waiter);

// There may be room: everyone behind nobody who waits for a budget of his asks again, and whoever
// comes next, as long as they get in.
void sg_waiting_on_room(struct sg_worker *worker);
