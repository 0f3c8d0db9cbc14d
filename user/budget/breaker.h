// SPDX-License-Identifier: Apache-2.0
// Watches one budget for spending that runs away, for the same request again and again, and for
// calls that are refused. Used under the budget's lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "budget/policy.h"
#include "budget/window.h"

struct sg_breaker {
	struct sg_breaker_policy policy;
	struct sg_window minute, hour; // what was spent
	uint64_t last_fingerprint;
	int64_t run;		     // how often it came in a row
	int64_t refused, refused_ns; // calls since then, within a minute
	bool tripped;
	int64_t until_ns; // monotonic: closed again then
};

// NULL: out of memory.
struct sg_breaker *sg_breaker_new(const struct sg_breaker_policy *policy);
struct sg_breaker *sg_breaker_free(struct sg_breaker *breaker);

// Takes over what another has seen.
void sg_breaker_copy(struct sg_breaker *breaker, const struct sg_breaker *other);

// Is it open at this moment (and its action refuses)?
bool sg_breaker_refuses(struct sg_breaker *breaker, int64_t now_ns);

// A request comes, a charge is made, or a call is refused. Returns whether it trips by this.
bool sg_breaker_sees(struct sg_breaker *breaker, uint64_t fingerprint, int64_t now_ns);
bool sg_breaker_spends(struct sg_breaker *breaker, const struct sg_charge *charge, int64_t now_ns);
bool sg_breaker_sees_refusal(struct sg_breaker *breaker, int64_t now_ns);
