// SPDX-License-Identifier: Apache-2.0
// The keys of a budget: each is read into the policy by a function of its own. Used by policy.c
// only.
#pragma once

#include <stdbool.h>

#include "budget/policy.h"

struct sg_policy_parser {
	struct sg_budget_policy *budget;
	const char *key;   // as it was written
	const char *shown; // as errors name it
	bool has_window, has_timezone;
	struct sg_error *error;
};

// Returns 0, or -EINVAL with a sentence that names the key.
int sg_policy_read_field(
	struct sg_policy_parser *parser, const char *key, const json_t *value) SG_WUNRES;
