// SPDX-License-Identifier: Apache-2.0
// The budgets of one agent, as parsed from configuration. A plain value; any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

#define SG_POLICY_MAX_BUDGETS 16
#define SG_BUDGET_NAME_BYTES  64
#define SG_WINDOW_LIFETIME    INT64_C(0)

enum sg_behavior { SG_HARD_STOP, SG_RATE_LIMIT, SG_SOFT_ALERT };

// What becomes of a call whose hold does not fit though something is left of the cap.
enum sg_on_tight {
	SG_TIGHT_DENY,
	SG_TIGHT_CLAMP, // its output limit is lowered to what fits
	SG_TIGHT_CUT,	// so too, and a stream holds what it has used so far and a slice; it is
			// ended when the next slice does not fit
};

// How long a call may wait for room that other calls hold, where the policy does not say.
#define SG_WAIT_NS (INT64_C(60) * 1000000000)

// A cap of 0 means: not capped.
struct sg_budget_policy {
	char name[SG_BUDGET_NAME_BYTES];
	int64_t limit_nanousd;
	int64_t max_requests;
	int64_t max_tokens; // input and output together
	int64_t max_input_tokens;
	int64_t max_output_tokens;
	int64_t window_ns; // rolling; SG_WINDOW_LIFETIME: never resets
	enum sg_behavior behavior;
	enum sg_on_tight on_tight;
	int64_t wait_ns; // 0: not at all
};

struct sg_policy {
	unsigned count; // 0: no budget, everything is metered and passes
	struct sg_budget_policy budgets[SG_POLICY_MAX_BUDGETS];
};

// Parses a JSON array of budget objects: {"name"?, "limit_usd"? (decimal string, or number),
// "max_requests"?, "max_tokens"?, "max_input_tokens"?, "max_output_tokens"?, "window" ("90s",
// "1h30m", "24h", "7d", "lifetime"), "behavior"?, "on_tight"? ("deny", "clamp", "cut"), "wait"?
// ("60s", "0s")}. At least one cap; each > 0 and <= 2^53; unknown keys are errors. Texts as in
// docs: "limit-usd must be > 0", "window is required", ..., prefixed by "budgets[N]: ". Returns 0
// or -EINVAL.
int sg_policy_parse(
	const json_t *budgets, struct sg_policy *ret_policy, struct sg_error *error) SG_WUNRES;

// "1h30m" and kin to nanoseconds; "lifetime" to SG_WINDOW_LIFETIME. Returns 0 or -EINVAL.
int sg_window_parse(const char *text, int64_t *ret_ns) SG_WUNRES;

// The shortest exact text for a window ("1h30m", "lifetime"). `size` >= 64.
void sg_window_format(int64_t window_ns, char *out, size_t size);

const char *sg_behavior_name(enum sg_behavior behavior);
const char *sg_on_tight_name(enum sg_on_tight on_tight);
