// SPDX-License-Identifier: Apache-2.0
// One agent's account: the budgets that its calls must fit, its own and those that it shares, and
// what is in flight. Used by the engine only.
//
// Locks: the account's own (which its own budgets are under too), then those of the shared budgets
// in the order of `budgets`, which is that of the engine's list. Who changes what is shared takes
// every account's. Workers that have a portion of the account (portion.h) take holds of it without
// the account's lock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "base/lock.h"
#include "budget/budget.h"
#include "budget/engine.h"
#include "budget/policy.h"
#include "budget/portion.h"

#define SG_MAX_SHARED 32 // that one agent may have; with its own: a bit each of a word

enum sg_account_trait {
	SG_HAS_BUDGETS = 1 << 0,
	SG_MAY_CLAMP = 1 << 1,
	SG_MAY_CUT = 1 << 2,
	SG_WANTS_FINGERPRINT = 1 << 3,
};

struct sg_account {
	// One line of the cache, which is all that a hold needs of it: workers that share an
	// account wait for each other's lines more than for its lock.
	_Alignas(64) struct sg_lock lock;
	bool loaded;	 // totals and windows have what the ledger knows
	bool unreadable; // the ledger could not be read, as was logged
	uint8_t count, own_count;
	uint32_t generation; // of `budgets`
	uint32_t label_set;
	uint64_t choosy;	    // the budgets that count some calls only, a bit each
	struct sg_budget **budgets; // own ones (owned) first, then shared ones (the engine's)
	struct sg_charge held;	    // of all calls in flight, and in portions

	_Alignas(64) struct sg_charge spent; // since the account was first seen
	int64_t refused, estimated;
	uint64_t portioned;	   // the workers that have a portion, a bit each
	int64_t portions_until_ns; // monotonic: of all portions that there are

	// What its budgets ask of every call: read without the lock, of a line that seldom changes.
	_Alignas(64) _Atomic unsigned traits; // enum sg_account_trait
	char name[SG_BUDGET_NAME_BYTES];
	UT_hash_handle hh; // by name, of the engine
	char labels[SG_LABELS_BYTES];
	unsigned definition_count; // of shared budgets in its policy, in the order they were set
	struct sg_budget_policy *definitions;
	uint64_t defined_at;
	struct sg_portion portions[]; // a worker each
};

int sg_account_new(const char *name, unsigned workers, struct sg_account **ret_account) SG_WUNRES;
struct sg_account *sg_account_free(struct sg_account *account);

// A budget with a breaker where the policy has one. NULL: out of memory.
struct sg_budget *sg_budget_new(const struct sg_budget_policy *policy);
struct sg_budget *sg_budget_free(struct sg_budget *budget);

// ---- All under the account's lock ----

// Takes back the portions of all workers: what is held and spent is exact then, for as long as the
// lock is kept and none is given.
void sg_account_take_back(struct sg_account *account);

// A worker that was just granted `hold` is given a portion for more calls like it, in place of the
// one that it has, where there is much room in every budget.
void sg_account_give_portion(
	struct sg_account *account, unsigned worker, const struct sg_charge *hold, int64_t now_ns);

// Before anything is counted at `now_ns`: what was spent in a slice of time that is over comes
// first.
static inline void sg_account_pass_time(struct sg_account *account, int64_t now_ns)
{
	if (account->portioned && now_ns >= account->portions_until_ns)
		sg_account_take_back(account);
}

// Its lock, for who needs to know exactly what is held and spent.
static inline void sg_account_lock_whole(struct sg_account *account)
{
	sg_lock_take(&account->lock);
	sg_account_take_back(account);
}

// Its budgets are others now, or what they count is.
void sg_account_budgets_changed(struct sg_account *account);

// Which of its budgets count a call, a bit each.
uint64_t sg_account_find_budgets(
	const struct sg_account *account, const char *provider, const char *model);

// All its budgets, a bit each.
static inline uint64_t sg_account_all_budgets(const struct sg_account *account)
{
	return (UINT64_C(1) << account->count) - 1;
}

static inline uint64_t sg_account_budgets_for(
	const struct sg_account *account, const char *provider, const char *model)
{
	return account->choosy ? sg_account_find_budgets(account, provider, model)
			       : sg_account_all_budgets(account);
}

// The lines of its budgets, all at once: otherwise each is waited for when its turn comes.
static inline void sg_account_expect_budgets(const struct sg_account *account)
{
	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget *budget = account->budgets[i];

		__builtin_prefetch(&budget->policy);
		__builtin_prefetch(&budget->loaded);
		__builtin_prefetch(&budget->held, 1);
		__builtin_prefetch(&budget->window.estimated);
	}
}

// Locks or unlocks the shared ones among `mask`.
static inline void sg_account_lock_shared(const struct sg_account *account, uint64_t mask)
{
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i)
			sg_lock_take(&account->budgets[i]->lock);
}

static inline void sg_account_unlock_shared(const struct sg_account *account, uint64_t mask)
{
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i)
			sg_lock_give(&account->budgets[i]->lock);
}

// The next four with the shared budgets of `mask` locked.

// Does what is asked fit every budget of `mask`? Takes portions back before it says no. Returns 0,
// or -EDQUOT with the refusal.
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
