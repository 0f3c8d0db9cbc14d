// SPDX-License-Identifier: Apache-2.0
// What changes the budgets of a running agent: override documents, and how layers of them are
// merged, field by field. Pure: JSON in, JSON out. Any thread.
//
// A document is one override, {"budgets": [override, ...]}, or a list of them. An override is
//   {"name"?: which budget; without it the only one,
//    any field of a budget (docs/budgets.md), null takes the field away,
//    "add_usd"?: added to the cap of the layers below, in place of "limit_usd",
//    "own"?: true leaves a budget that agents share as it is,
//    "expires"?: "2026-11-24T08:30:00Z", "reason"?: text, "by"?: text, "at"?: text}
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "budget/policy.h"

// Checks a document as far as it can be without the layers below: keys, values, dates. *ret_list is
// a new list of overrides. Returns 0, -EINVAL or -ENOMEM.
int sg_override_parse(const json_t *document, json_t **ret_list, struct sg_error *error) SG_WUNRES;

// The same from the bytes of a file.
int sg_override_parse_text(
	const char *text, size_t length, json_t **ret_list, struct sg_error *error) SG_WUNRES;

// "2026-11-24T08:30:00Z" (also with a fraction or an offset) to wall nanoseconds. Returns 0 or
// -EINVAL.
int sg_override_parse_time(const char *text, int64_t *ret_wall_ns) SG_WUNRES;

// When an override ends; INT64_MAX: never.
int64_t sg_override_expiry(const json_t *override);

// Is a budget, or what an override makes of one, of a scope that agents share?
bool sg_override_is_shared(const json_t *budget);

// Merges lists of overrides, the weakest first, into the list of budgets that is in force at
// `now_ns` (wall). NULL layers are skipped; what has expired counts for nothing. *ret_budgets is as
// sg_policy_parse takes it, and was parsed into *ret_policy. The sentence names the budget. Returns
// 0, -EINVAL or -ENOMEM.
int sg_override_merge(const json_t *const *layers, size_t count, int64_t now_ns,
	json_t **ret_budgets, struct sg_policy *ret_policy, struct sg_error *error) SG_WUNRES;

// Puts a further override on a list that is kept (live overrides of one agent): what it hides for
// good is dropped, sums that never expire are added up. Takes `override`. Returns 0, -ENOSPC (too
// many that expire) or -ENOMEM.
int sg_override_append(json_t *list, json_t *override) SG_WUNRES;
