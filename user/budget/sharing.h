// SPDX-License-Identifier: Apache-2.0
// A change of what accounts share, for its own files only: sharing_plan.c makes it ready, shared.c
// makes it.
#pragma once

#include "budget/engine_state.h"

// What an account is to share.
struct sg_sharing_plan {
	struct sg_account *account;
	struct sg_budget *budgets[SG_MAX_SHARED];
	unsigned count;
};

// A budget that exists, as its definition wants it now.
struct sg_renewal {
	struct sg_budget *budget, *renewed;
};

struct sg_sharing {
	struct sg_budget_policy *definitions;
	uint64_t *defined_at;
	unsigned definition_count;
	struct sg_sharing_plan *plans;
	unsigned plan_count;
	struct sg_budget *fresh; // made for this, not in the engine's list yet
	struct sg_renewal *renewals;
	unsigned renewal_count;
	bool of_all; // accounts; else of one that no worker knows, by the engine's definitions
};
