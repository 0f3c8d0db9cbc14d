// SPDX-License-Identifier: Apache-2.0
#include "budget/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// Short critical sections: who waits spins a while before it sleeps.
static int init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;
	int r = -pthread_mutexattr_init(&attributes);

	if (r < 0)
		return r;
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
	r = -pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return r;
}

struct sg_budget *sg_budget_new(const struct sg_budget_policy *policy)
{
	const struct sg_breaker_policy *breaker = &policy->breaker;
	struct sg_budget *budget = aligned_alloc(64, sizeof(*budget));

	if (!budget)
		return NULL;
	memset(budget, 0, offsetof(struct sg_budget, window.buckets));
	sg_budget_init(budget, policy);
	if (init_lock(&budget->lock) < 0) {
		free(budget);
		return NULL;
	}
	if (breaker->nanousd_per_minute || breaker->identical_requests) {
		budget->breaker = sg_breaker_new(breaker);
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
	pthread_mutex_destroy(&budget->lock);
	free(budget);
	return NULL;
}

int sg_account_new(const char *name, struct sg_account **ret_account)
{
	struct sg_account *account;
	int r;

	if (strlen(name) >= sizeof(account->name))
		return -ENAMETOOLONG;
	account = aligned_alloc(64, sizeof(*account));
	if (!account)
		return -ENOMEM;
	memset(account, 0, sizeof(*account));
	strcpy(account->name, name);
	r = init_lock(&account->lock);
	if (r < 0) {
		free(account);
		return r;
	}
	*ret_account = account;
	return 0;
}

struct sg_account *sg_account_free(struct sg_account *account)
{
	for (unsigned i = 0; i < account->own_count; i++)
		sg_budget_free(account->budgets[i]);
	pthread_mutex_destroy(&account->lock);
	free(account->budgets);
	free(account->definitions);
	free(account);
	return NULL;
}

uint64_t sg_account_budgets_for(
	const struct sg_account *account, const char *provider, const char *model)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget_policy *policy = &account->budgets[i]->policy;

		if ((!policy->models[0] && !policy->providers[0]) ||
			sg_budget_policy_counts(policy, provider, model))
			mask |= UINT64_C(1) << i;
	}
	return mask;
}

void sg_account_lock_shared(const struct sg_account *account, uint64_t mask)
{
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i)
			pthread_mutex_lock(&account->budgets[i]->lock);
}

void sg_account_unlock_shared(const struct sg_account *account, uint64_t mask)
{
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i)
			pthread_mutex_unlock(&account->budgets[i]->lock);
}

static void add(struct sg_charge *held, const struct sg_charge *hold)
{
	held->nanousd += hold->nanousd;
	held->input_tokens += hold->input_tokens;
	held->output_tokens += hold->output_tokens;
	held->requests += hold->requests;
}

// The account's own sum is that of all its calls: where it can be kept, so can each budget's of
// this agent.
static bool can_keep(const struct sg_account *account, uint64_t mask, const struct sg_charge *hold)
{
	if (hold->nanousd > INT64_MAX - account->held.nanousd ||
		hold->input_tokens > INT64_MAX - account->held.input_tokens ||
		hold->output_tokens > INT64_MAX - account->held.output_tokens)
		return false;
	for (unsigned i = account->own_count; i < account->count; i++)
		if (mask & UINT64_C(1) << i && !sg_budget_can_keep(account->budgets[i], hold))
			return false;
	return true;
}

int sg_account_hold(struct sg_account *account, uint64_t mask, const struct sg_charge *hold)
{
	if (!can_keep(account, mask, hold))
		return -ENOBUFS;
	add(&account->held, hold);
	for (; mask; mask &= mask - 1)
		add(&account->budgets[__builtin_ctzll(mask)]->held, hold);
	return 0;
}

int sg_account_judge(struct sg_account *account, uint64_t mask, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, uint64_t *ret_telling, uint64_t *ret_objecting)
{
	struct sg_verdict refusing = { .budget = NULL };

	*ret_telling = *ret_objecting = 0;
	for (; mask; mask &= mask - 1) {
		struct sg_budget *budget = account->budgets[__builtin_ctzll(mask)];
		struct sg_verdict verdict = sg_budget_judge(budget, ask);

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

void sg_account_count_refused(struct sg_account *account)
{
	pthread_mutex_lock(&account->lock);
	account->refused++;
	pthread_mutex_unlock(&account->lock);
}

bool sg_account_has_budgets(struct sg_account *account)
{
	bool has;

	pthread_mutex_lock(&account->lock);
	has = account->count > 0;
	pthread_mutex_unlock(&account->lock);
	return has;
}

bool sg_account_may_clamp(struct sg_account *account)
{
	bool may = false;

	pthread_mutex_lock(&account->lock);
	for (unsigned i = 0; i < account->count; i++)
		may |= account->budgets[i]->policy.on_tight != SG_TIGHT_DENY;
	pthread_mutex_unlock(&account->lock);
	return may;
}

bool sg_account_wants_fingerprint(struct sg_account *account)
{
	bool wants = false;

	pthread_mutex_lock(&account->lock);
	for (unsigned i = 0; i < account->count; i++)
		wants |= account->budgets[i]->policy.breaker.identical_requests > 0;
	pthread_mutex_unlock(&account->lock);
	return wants;
}
