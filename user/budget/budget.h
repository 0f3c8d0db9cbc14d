// SPDX-License-Identifier: Apache-2.0
// One budget at work: its policy, what was spent in its window, what is held. A budget of one agent
// is used under its account's lock, a shared one under its own as well (after the account's, and in
// the order of the engine's list). Nothing here allocates. Used by the engine only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/lock.h"
#include "budget/breaker.h"
#include "budget/caps.h"
#include "budget/engine.h"
#include "budget/policy.h"
#include "budget/window.h"

// What calls only read, what they write and what they leave alone are on lines of the cache of
// their own: workers that share a budget wait for lines more than for its lock.
struct sg_budget {
	_Alignas(64) struct sg_budget_policy policy; // begins with what calls read
	int64_t would_refuse;			     // calls that passed, of one that only tells
	int64_t alerted_ns[SG_MAX_ALERTS];	     // when each was told last
	uint8_t alerted; // alerts whose percentage is reached and told, a bit each

	// shared ones
	struct sg_budget *next;
	unsigned order;			     // in the list
	char resolved_label[SG_LABEL_BYTES]; // "team=red"
	unsigned users;			     // accounts that have it

	_Alignas(64) struct sg_lock lock; // of a shared one
	bool loaded;			  // the window has what the ledger knows
	struct sg_breaker *breaker;	  // NULL: none
	uint64_t waiting;		  // workers that wait for a hold to end, a bit each

	_Alignas(64) struct sg_charge held; // of the calls in flight that it counts
	struct sg_window window;	    // begins with its sum
};

_Static_assert(offsetof(struct sg_budget, window.buckets) % 64 == 0, "a bucket is a line");

// One budget's answer.
struct sg_verdict {
	struct sg_budget *budget; // NULL: it has no objection
	bool money;		  // its money cap is in the way
	bool only_held;		  // it would fit, were nothing else in flight
	bool concurrency;	  // too many calls in flight
	bool tripped;		  // the breaker
};

// Of a budget that is all zeros, but for its buckets.
void sg_budget_init(struct sg_budget *budget, const struct sg_budget_policy *policy);

// The window has what the ledger knows: what it reached before is not told again.
void sg_budget_is_loaded(struct sg_budget *budget);

// A window that a policy asks for, still empty. `timezone` is borrowed.
void sg_budget_init_window(struct sg_window *window, const struct sg_budget_policy *policy,
	const struct sg_timezone *zone, int64_t wall_minus_monotonic_ns, int64_t now_ns);

// Judges, where the window was advanced.
struct sg_verdict sg_budget_judge(struct sg_budget *budget, const struct sg_ask *ask);

// Is there surely no objection? What most calls need to know.
static inline bool sg_budget_has_room(const struct sg_budget *budget, const struct sg_ask *ask)
{
	const struct sg_charge *spent = &budget->window.sum;

	return !budget->breaker && !budget->policy.max_concurrency &&
	       !sg_money_is_over(&budget->policy, spent, &budget->held, ask) &&
	       !sg_counts_are_over(&budget->policy, spent, &budget->held, ask);
}

// Does it never refuse (soft_alert, observe)?
static inline bool sg_budget_only_tells(const struct sg_budget *budget)
{
	return budget->policy.observe || budget->policy.behavior == SG_SOFT_ALERT;
}

// Which of two refusals is told: one that no other call's end undoes; then that of a money cap
// (docs/budgets.md).
bool sg_verdict_outweighs(const struct sg_verdict *verdict, const struct sg_verdict *other);

void sg_budget_fill_refusal(
	const struct sg_verdict *verdict, const struct sg_ask *ask, struct sg_refusal *refusal);

// Could the sum of what is held be kept with this hold on top? What is held is taken back exactly,
// so the sum may not stop at the top.
static inline bool sg_held_can_keep(const struct sg_charge *held, const struct sg_charge *hold)
{
	return hold->nanousd <= INT64_MAX - held->nanousd &&
	       hold->input_tokens <= INT64_MAX - held->input_tokens &&
	       hold->output_tokens <= INT64_MAX - held->output_tokens;
}

// What is left of every cap, beside `held`; lowers *room.
void sg_budget_lower_room(
	const struct sg_budget *budget, const struct sg_charge *held, struct sg_room *room);

// Is it the one that is called so? A scope of labels has one a label.
static inline bool sg_budget_is(
	const struct sg_budget *budget, enum sg_scope scope, const char *name, const char *label)
{
	return budget->policy.scope == scope && strcmp(budget->policy.name, name) == 0 &&
	       strcmp(budget->resolved_label, label) == 0;
}

// Is there anything that a charge could make known?
static inline bool sg_budget_is_watched(const struct sg_budget *budget)
{
	return budget->policy.alert_count || budget->breaker;
}

// Counts charges in a budget that is not watched; `estimated` of them are so.
static inline void sg_budget_count(
	struct sg_budget *budget, const struct sg_charge *charge, int64_t estimated, int64_t now_ns)
{
	sg_window_advance(&budget->window, now_ns);
	sg_window_add(&budget->window, now_ns, charge, estimated);
}

// Counts a charge. Fills *ret_events with what is to be told (alerts, a breaker that tripped), and
// returns how many there are.
#define SG_MAX_EVENTS (SG_MAX_ALERTS + 1)
unsigned sg_budget_spend(struct sg_budget *budget, const struct sg_charge *charge, bool estimated,
	int64_t now_ns, struct sg_budget_event *ret_events);

// What is told of a breaker that tripped.
void sg_budget_tripped(
	const struct sg_budget *budget, const char *why, struct sg_budget_event *event);

// When, seen from now, enough of the window has passed that the same would fit, were nothing else
// in flight. -1: never.
int64_t sg_budget_resets_in_ns(const struct sg_budget *budget, const struct sg_ask *ask);
