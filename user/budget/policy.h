// SPDX-License-Identifier: Apache-2.0
// Budgets as they are parsed from configuration. Plain values; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"
#include "budget/calendar.h"

#define SG_POLICY_MAX_BUDGETS	16
#define SG_BUDGET_NAME_BYTES	64
#define SG_LABEL_BYTES		128
#define SG_LABELS_BYTES		256
#define SG_MODEL_GLOBS_BYTES	256
#define SG_PROVIDER_GLOBS_BYTES 128
#define SG_MAX_ALERTS		8
#define SG_WINDOW_LIFETIME	INT64_C(0)

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

// Whose calls a budget counts.
enum sg_scope { SG_SCOPE_AGENT, SG_SCOPE_LABEL, SG_SCOPE_HOST };

enum sg_breaker_action { SG_BREAKER_DENY, SG_BREAKER_FREEZE, SG_BREAKER_CUT, SG_BREAKER_ALERT };

// Trips when spending runs away, the same request comes again and again, or calls are refused. 0:
// not watched.
struct sg_breaker_policy {
	int64_t nanousd_per_minute;
	int64_t times_baseline; // and that many times the mean minute of the hour before
	int64_t identical_requests;
	int64_t refusals; // within a minute
	int64_t cooldown_ns;
	enum sg_breaker_action action;
};

// Is there anything that it watches?
static inline bool sg_breaker_watches(const struct sg_breaker_policy *breaker)
{
	return breaker->nanousd_per_minute || breaker->identical_requests || breaker->refusals;
}

// A cap of 0 means: not capped.
struct sg_budget_policy {
	// What every call is held against: a line of the cache.
	int64_t limit_nanousd;
	int64_t max_requests;
	int64_t max_tokens; // input and output together
	int64_t max_input_tokens;
	int64_t max_output_tokens;
	int64_t max_concurrency; // calls in flight
	enum sg_behavior behavior;
	enum sg_on_tight on_tight;
	unsigned alert_count;
	bool observe; // decides and says so, and refuses nothing

	char name[SG_BUDGET_NAME_BYTES];
	int64_t window_ns; // rolling; SG_WINDOW_LIFETIME: never resets, or `calendar`
	enum sg_calendar calendar;
	char timezone[SG_TIMEZONE_BYTES]; // of the calendar; "" is UTC
	int64_t wait_ns;		  // 0: not at all
	enum sg_scope scope;
	char label[SG_LABEL_BYTES]; // of SG_SCOPE_LABEL: "team=red", or "team": each team its own
	// Globs, each ended by a NUL, the last by two. Empty: every call counts.
	char models[SG_MODEL_GLOBS_BYTES];
	char providers[SG_PROVIDER_GLOBS_BYTES];
	uint8_t alerts[SG_MAX_ALERTS]; // percent, ascending
	struct sg_breaker_policy breaker;
};

struct sg_policy {
	unsigned count; // 0: no budget, everything is metered and passes
	struct sg_budget_policy budgets[SG_POLICY_MAX_BUDGETS];
	char labels[SG_LABELS_BYTES]; // of the agent: "project=x,team=red", sorted; "": none
};

// Parses a JSON array of budget objects; docs/budgets.md has the keys. At least one cap; each > 0
// and <= 2^53; unknown keys are errors. Texts as in docs: "limit-usd must be > 0", "window is
// required", ..., prefixed by "budgets[N]: ". The labels stay empty. Returns 0 or -EINVAL.
int sg_policy_parse(
	const json_t *budgets, struct sg_policy *ret_policy, struct sg_error *error) SG_WUNRES;

// The budgets that agents share, of scope label or host, however many; freed by the caller. Returns
// 0, -EINVAL or -ENOMEM.
int sg_shared_budgets_parse(const json_t *budgets, struct sg_budget_policy **ret_budgets,
	unsigned *ret_count, struct sg_error *error) SG_WUNRES;

// An object of labels and a team (either NULL) to policy.labels. Keys and values are made of
// letters, digits, '.', '_' and '-'. Returns 0 or -EINVAL.
int sg_labels_parse(const json_t *labels, const char *team, char *out, size_t size,
	struct sg_error *error) SG_WUNRES;

// A name that is remembered by, and that files and folders are named after: of an agent, a team, a
// profile (`what`, for the sentence). Returns 0 or -EINVAL.
int sg_name_check(const char *what, const char *name, struct sg_error *error) SG_WUNRES;

// Do both say the same, member by member?
bool sg_budget_policy_is_same(
	const struct sg_budget_policy *a, const struct sg_budget_policy *b) SG_WUNRES;

// Does the budget count a call of this provider for this model?
bool sg_budget_policy_counts(
	const struct sg_budget_policy *budget, const char *provider, const char *model);

// "1h30m" and kin to nanoseconds; "lifetime" to SG_WINDOW_LIFETIME. Returns 0 or -EINVAL.
int sg_window_parse(const char *text, int64_t *ret_ns) SG_WUNRES;

// The shortest exact text for a window ("1h30m", "calendar:day", "lifetime"). `size` >= 64.
void sg_window_format(int64_t window_ns, enum sg_calendar calendar, char *out, size_t size);

const char *sg_behavior_name(enum sg_behavior behavior);
const char *sg_on_tight_name(enum sg_on_tight on_tight);
const char *sg_scope_name(enum sg_scope scope);
const char *sg_breaker_action_name(enum sg_breaker_action action);
