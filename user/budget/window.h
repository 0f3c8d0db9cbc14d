// SPDX-License-Identifier: Apache-2.0
// What was spent within a window. A rolling window is a ring of buckets; a bucket is forgotten when
// its newest entry is one window old, so nothing is ever counted short, and a single entry exactly
// one window old no longer counts. O(1) amortised whatever the history. Used under the account's
// lock.
#pragma once

#include <stdint.h>

#include "base/charge.h"

#define SG_WINDOW_BUCKETS 256

struct sg_window_bucket {
	int64_t newest_ns; // monotonic
	int64_t slice;	   // which slice of time it is for
	struct sg_charge sum;
	int64_t estimated;
};

struct sg_window {
	int64_t length_ns; // 0: lifetime
	struct sg_charge sum;
	int64_t estimated; // calls charged by estimate
	unsigned first, count;
	struct sg_window_bucket buckets[SG_WINDOW_BUCKETS];
};

// Sums stop at SG_MONEY_MAX in place of wrapping: too much is counted, never too little.
void sg_charge_add(struct sg_charge *sum, const struct sg_charge *charge);
// Only what was added before, and only from sums that did not stop.
void sg_charge_subtract(struct sg_charge *sum, const struct sg_charge *charge);

void sg_window_init(struct sg_window *window, int64_t length_ns);

// Forgets what is one window old or older.
void sg_window_advance(struct sg_window *window, int64_t now_ns);

// Counts a charge made at `at_ns` (not before the newest that is there, nor after now).
void sg_window_add(
	struct sg_window *window, int64_t at_ns, const struct sg_charge *charge, int64_t estimated);
