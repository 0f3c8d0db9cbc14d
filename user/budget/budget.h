// SPDX-License-Identifier: Apache-2.0
// One budget at work: its policy, what was spent in its window, what is held. A budget of one agent
// is used under its account's lock, a shared one under its own as well (after the account's, and in
// the order of the engine's list). Nothing here allocates. Used by the engine only.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "budget/breaker.h"
#include "budget/engine.h"
#include "budget/policy.h"
#include "budget/window.h"

struct sg_budget {
	struct sg_budget_policy policy;
	struct sg_breaker *breaker; // NULL: none
	bool loaded;		    // the window has what the ledger knows
	uint64_t waiting;	    // workers that wait for a hold to end, a bit each
	int64_t would_refuse;	    // calls that passed, of one that only tells
	uint8_t alerted;	    // alerts whose percentage is reached and told, a bit each
	int64_t alerted_ns[SG_MAX_ALERTS]; // when each was told last

	// shared ones
	struct sg_budget *next;
	unsigned order;			     // in the list
	char resolved_label[SG_LABEL_BYTES]; // "team=red"
	unsigned users;			     // accounts that have it
	pthread_mutex_t lock;

	// What every call writes is on one line of the cache, and a bucket on another: workers that
	// share a budget wait for lines more than for its lock.
	_Alignas(64) struct sg_charge held; // of the calls in flight that it counts
	struct sg_window window;	    // begins with its sum
};

_Static_assert(offsetof(struct sg_budget, window.buckets) % 64 == 0, "a bucket is a line");

// What is asked of a budget: a hold for a call, or more of one that is out.
struct sg_ask {
	struct sg_charge hold;
	bool is_more;	      // only what is asked more of can refuse
	uint64_t fingerprint; // of the request's body; 0: not known
	int64_t now_ns;
};

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

// Advances the window, and judges.
struct sg_verdict sg_budget_judge(struct sg_budget *budget, const struct sg_ask *ask);

// Does it never refuse (soft_alert, observe)?
bool sg_budget_only_tells(const struct sg_budget *budget);

// Which of two refusals is told: one that no other call's end undoes; then that of a money cap
// (docs/budgets.md).
bool sg_verdict_outweighs(const struct sg_verdict *verdict, const struct sg_verdict *other);

void sg_budget_fill_refusal(
	const struct sg_verdict *verdict, const struct sg_ask *ask, struct sg_refusal *refusal);

// Could its sum be kept with this hold on top? What is held is taken back exactly, so the sum may
// not stop at the top.
bool sg_budget_can_keep(const struct sg_budget *budget, const struct sg_charge *hold);

// What is left of every cap, beside `held`; lowers *room.
void sg_budget_lower_room(
	const struct sg_budget *budget, const struct sg_charge *held, struct sg_room *room);

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
