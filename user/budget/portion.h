// SPDX-License-Identifier: Apache-2.0
// What one worker has of an account: an amount that every budget of the account holds already, of
// which it takes holds without asking them, and what was spent of it since. Workers that share an
// account share no line of the cache meanwhile. What budgets hold and have spent is exact when all
// portions were taken back (account.h), which comes before each refusal: nobody is refused what
// another worker merely has.
//
// Its lock is its worker's; who gives it or takes it back has the account's too, taken before.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/charge.h"
#include "base/lock.h"
#include "budget/window.h"

struct sg_portion {
	// Two lines of the cache, which processors bring together.
	_Alignas(128) struct sg_latch lock;
	uint32_t label_set;
	uint64_t budgets; // of the account: all of them, a bit each, as of `generation`
	uint32_t generation;
	uint32_t estimated; // calls among those that were spent
	// Monotonic: within a slice of time of each window, so that what was spent can be counted
	// together. INT64_MIN: there is no portion.
	_Atomic int64_t until_ns;
	// What may be taken. One of each unit stays: no cap that has room is ever reached by it.
	struct sg_charge left;
	struct sg_charge spent;
	int64_t newest_ns; // when the last of it was
};

static inline bool sg_portion_is_given(const struct sg_portion *portion, int64_t now_ns)
{
	return now_ns < atomic_load_explicit(&portion->until_ns, memory_order_relaxed);
}

// Locks it and returns true, or returns false where there is none at `now_ns` (INT64_MIN: at any
// time).
static inline bool sg_portion_enter(struct sg_portion *portion, int64_t now_ns)
{
	if (!sg_portion_is_given(portion, now_ns))
		return false;
	sg_latch_take(&portion->lock);
	if (sg_portion_is_given(portion, now_ns))
		return true;
	sg_latch_give(&portion->lock);
	return false;
}

static inline void sg_portion_leave(struct sg_portion *portion)
{
	sg_latch_give(&portion->lock);
}

// ---- Within it ----

// Takes `hold` of it. Returns false where less is left.
static inline bool sg_portion_take(struct sg_portion *portion, const struct sg_charge *hold)
{
	struct sg_charge left = portion->left;

	sg_charge_subtract(&left, hold);
	if ((left.nanousd | left.input_tokens | left.output_tokens | left.requests) < 0)
		return false;
	portion->left = left;
	return true;
}

// A hold of `bound` ends, of which `charge` was spent. Returns false where there was more spent
// than was held and is left.
static inline bool sg_portion_give(
	struct sg_portion *portion, const struct sg_charge *bound, const struct sg_charge *charge)
{
	struct sg_charge more = *charge;

	sg_charge_subtract(&more, bound);
	return sg_portion_take(portion, &more);
}

static inline void sg_portion_spend(
	struct sg_portion *portion, const struct sg_charge *charge, bool estimated, int64_t now_ns)
{
	// All of it is held by each budget: the sum can be kept.
	sg_held_add(&portion->spent, charge);
	portion->estimated += estimated;
	portion->newest_ns = now_ns;
}
