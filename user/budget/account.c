// SPDX-License-Identifier: Apache-2.0
#include "budget/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sg_budget *sg_budget_new(const struct sg_budget_policy *policy)
{
	struct sg_budget *budget = aligned_alloc(64, sizeof(*budget));

	if (!budget)
		return NULL;
	memset(budget, 0, offsetof(struct sg_budget, window.buckets));
	sg_budget_init(budget, policy);
	if (sg_breaker_watches(&policy->breaker)) {
		budget->breaker = sg_breaker_new(&policy->breaker);
		if (!budget->breaker)
			return sg_budget_free(budget);
	}
	return budget;
}

struct sg_budget *sg_budget_free(struct sg_budget *budget)
{
	if (!budget)
		return NULL;
	sg_breaker_free(budget->breaker);
	free(budget);
	return NULL;
}

int sg_account_new(const char *name, unsigned workers, struct sg_account **ret_account)
{
	size_t bytes = sizeof(struct sg_account) + workers * sizeof(struct sg_portion);
	struct sg_account *account;

	if (strlen(name) >= sizeof(account->name))
		return -ENAMETOOLONG;
	account = aligned_alloc(_Alignof(struct sg_account), bytes);
	if (!account)
		return -ENOMEM;
	memset(account, 0, bytes);
	for (unsigned i = 0; i < workers; i++)
		atomic_init(&account->portions[i].until_ns, INT64_MIN);
	strcpy(account->name, name);
	*ret_account = account;
	return 0;
}

struct sg_account *sg_account_free(struct sg_account *account)
{
	for (unsigned i = 0; i < account->own_count; i++)
		sg_budget_free(account->budgets[i]);
	free(account->budgets);
	free(account->definitions);
	free(account);
	return NULL;
}

void sg_account_budgets_changed(struct sg_account *account)
{
	unsigned traits = account->count ? SG_HAS_BUDGETS : 0;

	account->generation++;
	account->choosy = 0;
	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget_policy *policy = &account->budgets[i]->policy;

		if (policy->models[0] || policy->providers[0])
			account->choosy |= UINT64_C(1) << i;
		if (policy->on_tight != SG_TIGHT_DENY)
			traits |= SG_MAY_CLAMP;
		if (policy->on_tight == SG_TIGHT_CUT)
			traits |= SG_MAY_CUT;
		if (policy->breaker.identical_requests)
			traits |= SG_WANTS_FINGERPRINT;
	}
	atomic_store_explicit(&account->traits, traits, memory_order_release);
}

uint64_t sg_account_find_budgets(
	const struct sg_account *account, const char *provider, const char *model)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < account->count; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(account->choosy & bit) ||
			sg_budget_policy_counts(&account->budgets[i]->policy, provider, model))
			mask |= bit;
	}
	return mask;
}

// The account's own sum is that of all its calls: where it can be kept, so can each budget's of
// this agent.
static bool can_keep(const struct sg_account *account, uint64_t mask, const struct sg_charge *hold)
{
	if (!sg_held_can_keep(&account->held, hold))
		return false;
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i && !sg_held_can_keep(&account->budgets[i]->held, hold))
			return false;
	return true;
}

int sg_account_hold(struct sg_account *account, uint64_t mask, const struct sg_charge *hold)
{
	if (!can_keep(account, mask, hold)) {
		sg_account_take_back(account);
		if (!can_keep(account, mask, hold))
			return -ENOBUFS;
	}
	sg_held_add(&account->held, hold);
	for (; mask; mask &= mask - 1)
		sg_held_add(&account->budgets[__builtin_ctzll(mask)]->held, hold);
	return 0;
}

static int judge(struct sg_account *account, uint64_t mask, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, uint64_t *ret_telling, uint64_t *ret_objecting)
{
	struct sg_verdict refusing = { .budget = NULL };

	*ret_telling = *ret_objecting = 0;
	for (; mask; mask &= mask - 1) {
		struct sg_budget *budget = account->budgets[__builtin_ctzll(mask)];
		struct sg_verdict verdict;

		sg_window_advance(&budget->window, ask->now_ns);
		if (sg_budget_has_room(budget, ask))
			continue;
		verdict = sg_budget_judge(budget, ask);
		if (!verdict.budget)
			continue;
		if (sg_budget_only_tells(budget)) {
			*ret_telling |= mask & -mask;
			sg_budget_fill_refusal(&verdict, ask, ret_refusal);
			continue;
		}
		*ret_objecting |= mask & -mask;
		if (sg_verdict_outweighs(&verdict, &refusing))
			refusing = verdict;
	}
	if (!refusing.budget)
		return 0;
	sg_budget_fill_refusal(&refusing, ask, ret_refusal);
	return -EDQUOT;
}

int sg_account_judge(struct sg_account *account, uint64_t mask, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, uint64_t *ret_telling, uint64_t *ret_objecting)
{
	int r;

	sg_account_pass_time(account, ask->now_ns);
	r = judge(account, mask, ask, ret_refusal, ret_telling, ret_objecting);
	if ((r == 0 && !*ret_telling) || !account->portioned)
		return r;
	sg_account_take_back(account);
	return judge(account, mask, ask, ret_refusal, ret_telling, ret_objecting);
}

void sg_account_unhold(struct sg_account *account, uint64_t mask, const struct sg_charge *bound)
{
	sg_charge_subtract(&account->held, bound);
	for (; mask; mask &= mask - 1)
		sg_charge_subtract(&account->budgets[__builtin_ctzll(mask)]->held, bound);
}

uint64_t sg_account_take_waiting(struct sg_account *account, uint64_t mask)
{
	uint64_t waiting = 0;

	for (; mask; mask &= mask - 1) {
		struct sg_budget *budget = account->budgets[__builtin_ctzll(mask)];

		if (budget->waiting) {
			waiting |= budget->waiting;
			budget->waiting = 0;
		}
	}
	return waiting;
}

static bool has_trait(const struct sg_account *account, enum sg_account_trait trait)
{
	return atomic_load_explicit(&account->traits, memory_order_acquire) & trait;
}

bool sg_account_has_budgets(const struct sg_account *account)
{
	return has_trait(account, SG_HAS_BUDGETS);
}

bool sg_account_may_clamp(const struct sg_account *account)
{
	return has_trait(account, SG_MAY_CLAMP);
}

bool sg_account_may_cut(const struct sg_account *account)
{
	return has_trait(account, SG_MAY_CUT);
}

bool sg_account_wants_fingerprint(const struct sg_account *account)
{
	return has_trait(account, SG_WANTS_FINGERPRINT);
}
