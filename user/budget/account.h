// SPDX-License-Identifier: Apache-2.0
// One agent's account: the budgets that its calls must fit, its own and those that it shares, and
// what is in flight. Used by the engine only.
//
// Locks: the account's own (which its own budgets are under too), then those of the shared budgets
// in the order of `budgets`, which is that of the engine's list. Who changes what is shared takes
// every account's.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "budget/budget.h"
#include "budget/engine.h"
#include "budget/policy.h"

#define SG_MAX_SHARED 32 // that one agent may have; with its own: a bit each of a word

struct sg_account {
	pthread_mutex_t lock;
	bool loaded;	 // totals and windows have what the ledger knows
	bool unreadable; // the ledger could not be read, as was logged
	uint32_t label_set;
	uint32_t generation; // of `budgets`
	unsigned count, own_count;
	struct sg_budget **budgets; // own ones (owned) first, then shared ones (the engine's)

	// A line of the cache.
	_Alignas(64) struct sg_charge held; // of all calls in flight
	struct sg_charge spent;		    // since the account was first seen

	int64_t refused, estimated;
	UT_hash_handle hh; // by name, of the engine
	char name[SG_BUDGET_NAME_BYTES];
	char labels[SG_LABELS_BYTES];
	unsigned definition_count; // of shared budgets in its policy, in the order they were set
	struct sg_budget_policy *definitions;
	uint64_t defined_at;
};

int sg_account_new(const char *name, struct sg_account **ret_account) SG_WUNRES;
struct sg_account *sg_account_free(struct sg_account *account);

// A budget with a breaker where the policy has one. NULL: out of memory.
struct sg_budget *sg_budget_new(const struct sg_budget_policy *policy);
struct sg_budget *sg_budget_free(struct sg_budget *budget);

// ---- All under the account's lock ----

// Which of its budgets count a call, a bit each.
uint64_t sg_account_budgets_for(
	const struct sg_account *account, const char *provider, const char *model);

// Locks or unlocks the shared ones among `mask`.
void sg_account_lock_shared(const struct sg_account *account, uint64_t mask);
void sg_account_unlock_shared(const struct sg_account *account, uint64_t mask);

// The next four with the shared budgets of `mask` locked.

// Does what is asked fit every budget of `mask`? Returns 0, or -EDQUOT with the refusal.
// *ret_objecting: the budgets that refuse. *ret_telling: those that would, were it theirs to
// refuse; *ret_refusal is that of one of them where nothing refuses.
int sg_account_judge(struct sg_account *account, uint64_t mask, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, uint64_t *ret_telling, uint64_t *ret_objecting) SG_WUNRES;

// Returns 0, or -ENOBUFS when the sum of all that is held could not be kept.
int sg_account_hold(
	struct sg_account *account, uint64_t mask, const struct sg_charge *hold) SG_WUNRES;
void sg_account_unhold(struct sg_account *account, uint64_t mask, const struct sg_charge *bound);

// The workers that wait for room in them, a bit each; none does then.
uint64_t sg_account_take_waiting(struct sg_account *account, uint64_t mask);

json_t *sg_account_describe(struct sg_account *account, int64_t now_ns, int64_t wall_ns);
json_t *sg_budget_describe(struct sg_budget *budget, int64_t now_ns, int64_t wall_ns);
