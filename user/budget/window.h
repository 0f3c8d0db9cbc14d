// SPDX-License-Identifier: Apache-2.0
// What was spent within a window. A rolling window is a ring of buckets; a bucket is forgotten when
// its newest entry is one window old, so nothing is ever counted short, and a single entry exactly
// one window old no longer counts. A calendar window is one sum, forgotten when its period is over.
// O(1) amortised whatever the history. Used under the budget's lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/charge.h"
#include "base/money.h"
#include "budget/calendar.h"

#define SG_WINDOW_BUCKETS 256

struct sg_window_bucket {
	int64_t newest_ns; // monotonic
	int64_t until_ns;  // the end of the slice of time that it is for
	struct sg_charge sum;
	int64_t estimated;
	int64_t reserved; // a line of the cache
};

struct sg_window {
	struct sg_charge sum;
	int64_t estimated;  // calls charged by estimate
	int64_t forgets_ns; // monotonic: nothing is to be forgotten before
	int64_t length_ns;  // 0: lifetime, or a calendar window
	unsigned first, count;
	enum sg_calendar calendar;
	const struct sg_timezone *timezone; // borrowed; of a calendar window
	int64_t wall_minus_monotonic_ns;    // as anchored at the start
	int64_t ends_ns;		    // monotonic: the end of the calendar's period
	struct sg_window_bucket buckets[SG_WINDOW_BUCKETS];
};

// Sums stop at SG_MONEY_MAX in place of wrapping: too much is counted, never too little.
static inline void sg_charge_add(struct sg_charge *sum, const struct sg_charge *charge)
{
	sum->nanousd = sg_money_add(sum->nanousd, charge->nanousd);
	sum->input_tokens = sg_money_add(sum->input_tokens, charge->input_tokens);
	sum->output_tokens = sg_money_add(sum->output_tokens, charge->output_tokens);
	sum->requests = sg_money_add(sum->requests, charge->requests);
}

// Where the sum is known to fit (sg_held_can_keep).
static inline void sg_held_add(struct sg_charge *held, const struct sg_charge *hold)
{
	held->nanousd += hold->nanousd;
	held->input_tokens += hold->input_tokens;
	held->output_tokens += hold->output_tokens;
	held->requests += hold->requests;
}

// From sums only what was added before, and only where they did not stop; a difference may be
// negative.
static inline void sg_charge_subtract(struct sg_charge *sum, const struct sg_charge *charge)
{
	sum->nanousd -= charge->nanousd;
	sum->input_tokens -= charge->input_tokens;
	sum->output_tokens -= charge->output_tokens;
	sum->requests -= charge->requests;
}

void sg_window_init(struct sg_window *window, int64_t length_ns);
void sg_window_init_calendar(struct sg_window *window, enum sg_calendar calendar,
	const struct sg_timezone *zone, int64_t wall_minus_monotonic_ns, int64_t now_ns);

// Do two windows count the same entries?
bool sg_window_is_alike(const struct sg_window *window, const struct sg_window *other);

// How long the slice of time of one bucket is; INT64_MAX where there are no buckets.
int64_t sg_window_slice_ns(const struct sg_window *window);

// When the slice of time that a charge of now belongs to is over; INT64_MAX: never. The window was
// advanced to now.
int64_t sg_window_slice_ends_ns(const struct sg_window *window, int64_t now_ns);

// Since when entries count, in wall time; INT64_MIN: since ever.
int64_t sg_window_since(const struct sg_window *window, int64_t now_ns, int64_t wall_ns);

// Forgets what is one window old or older.
void sg_window_forget(struct sg_window *window, int64_t now_ns);
static inline void sg_window_advance(struct sg_window *window, int64_t now_ns)
{
	if (now_ns >= window->forgets_ns)
		sg_window_forget(window, now_ns);
}

void sg_window_add_to_bucket(
	struct sg_window *window, int64_t at_ns, const struct sg_charge *charge, int64_t estimated);

// Counts a charge made at `at_ns` (not before the newest that is there, nor after now).
static inline void sg_window_add(
	struct sg_window *window, int64_t at_ns, const struct sg_charge *charge, int64_t estimated)
{
	sg_charge_add(&window->sum, charge);
	if (estimated)
		window->estimated += estimated;
	if (window->length_ns)
		sg_window_add_to_bucket(window, at_ns, charge, estimated);
}
