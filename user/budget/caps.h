// SPDX-License-Identifier: Apache-2.0
// The caps of a budget against what was spent, is held, and is asked for. Plain values; used by the
// engine only, on the path of every call.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/charge.h"
#include "base/money.h"
#include "budget/policy.h"

// What is asked of a budget: a hold for a call, or more of one that is out.
struct sg_ask {
	struct sg_charge hold;
	bool is_more;	      // only what is asked more of can refuse
	uint64_t fingerprint; // of the request's body; 0: not known
	int64_t now_ns;
};

static inline int64_t sg_charge_tokens(const struct sg_charge *charge)
{
	return sg_money_add(charge->input_tokens, charge->output_tokens);
}

// One cap: what was spent, is held, and would be held on top, against its limit. 0: not capped.
static inline bool sg_cap_is_over(
	int64_t limit, int64_t spent, int64_t held, int64_t hold, bool is_more)
{
	if (!limit || (is_more && !hold))
		return false;
	return spent >= limit || hold > limit - spent || held > limit - spent - hold;
}

static inline bool sg_money_is_over(const struct sg_budget_policy *policy,
	const struct sg_charge *spent, const struct sg_charge *held, const struct sg_ask *ask)
{
	return sg_cap_is_over(policy->limit_nanousd, spent->nanousd, held->nanousd,
		ask->hold.nanousd, ask->is_more);
}

static inline bool sg_counts_are_over(const struct sg_budget_policy *policy,
	const struct sg_charge *spent, const struct sg_charge *held, const struct sg_ask *ask)
{
	const struct sg_charge *hold = &ask->hold;

	return sg_cap_is_over(policy->max_requests, spent->requests, held->requests, hold->requests,
		       ask->is_more) ||
	       sg_cap_is_over(policy->max_tokens, sg_charge_tokens(spent), sg_charge_tokens(held),
		       sg_charge_tokens(hold), ask->is_more) ||
	       sg_cap_is_over(policy->max_input_tokens, spent->input_tokens, held->input_tokens,
		       hold->input_tokens, ask->is_more) ||
	       sg_cap_is_over(policy->max_output_tokens, spent->output_tokens, held->output_tokens,
		       hold->output_tokens, ask->is_more);
}
