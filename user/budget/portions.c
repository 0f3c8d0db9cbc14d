// SPDX-License-Identifier: Apache-2.0
// The portions of an account that its workers have. All under the account's lock.
#include "budget/account.h"

// A portion is for so many calls like the one that it is given with: for fewer where less would be
// left to the others.
#define MOST_CALLS  1024
#define LEAST_CALLS 4
#define CALLS_RATIO 16
#define SHARES	    8 // a portion is one of so many that there is room for

// Whose multiples stay far from where sums end.
#define PORTIONED_MOST ((INT64_C(1) << 40) - 1)

static const struct sg_charge one_each = { 1, 1, 1, 1 };

// ---- Taking back ----

// What is held is what calls hold; what was spent is counted where it belongs.
static void count_spent(
	struct sg_account *account, const struct sg_charge *spent, int64_t estimated, int64_t at_ns)
{
	sg_charge_add(&account->spent, spent);
	account->estimated += estimated;
	for (unsigned i = 0; i < account->count; i++)
		sg_budget_count(account->budgets[i], spent, estimated, at_ns);
}

static void take_back_of(struct sg_account *account, unsigned worker)
{
	struct sg_portion *portion = &account->portions[worker];
	struct sg_charge held, spent;
	int64_t estimated, at_ns;

	if (!(account->portioned & UINT64_C(1) << worker))
		return;
	sg_latch_take(&portion->lock);
	atomic_store_explicit(&portion->until_ns, INT64_MIN, memory_order_relaxed);
	held = portion->left;
	spent = portion->spent;
	estimated = portion->estimated;
	at_ns = portion->newest_ns;
	sg_latch_give(&portion->lock);
	sg_held_add(&held, &one_each);
	sg_held_add(&held, &spent);
	sg_account_unhold(account, sg_account_all_budgets(account), &held);
	if (spent.requests)
		count_spent(account, &spent, estimated, at_ns);
	account->portioned &= ~(UINT64_C(1) << worker);
}

void sg_account_take_back(struct sg_account *account)
{
	for (uint64_t left = account->portioned; left; left &= left - 1)
		take_back_of(account, (unsigned)__builtin_ctzll(left));
}

// ---- Giving ----

// Where each call is counted alike by budgets of this agent alone, and nothing happens by a charge
// but that it is counted.
static bool may_be_portioned(const struct sg_account *account)
{
	if (account->choosy || account->own_count != account->count)
		return false;
	for (unsigned i = 0; i < account->count; i++)
		if (account->budgets[i]->waiting || sg_budget_is_watched(account->budgets[i]))
			return false;
	return true;
}

static struct sg_charge times(const struct sg_charge *hold, int64_t calls)
{
	return (struct sg_charge){ .nanousd = (hold->nanousd + 1) * calls,
		.input_tokens = (hold->input_tokens + 1) * calls,
		.output_tokens = (hold->output_tokens + 1) * calls,
		.requests = calls };
}

static bool has_room(const struct sg_account *account, const struct sg_charge *hold, int64_t now_ns)
{
	const struct sg_ask ask = { .hold = *hold, .now_ns = now_ns };

	for (unsigned i = 0; i < account->count; i++)
		if (!sg_budget_has_room(account->budgets[i], &ask))
			return false;
	return true;
}

// Returns how many calls a portion is for; 0: there is too little room.
static int64_t choose_calls(
	const struct sg_account *account, const struct sg_charge *hold, int64_t now_ns)
{
	for (int64_t calls = MOST_CALLS; calls >= LEAST_CALLS; calls /= CALLS_RATIO) {
		const struct sg_charge all = times(hold, calls * SHARES);

		if (has_room(account, &all, now_ns))
			return calls;
	}
	return 0;
}

static int64_t end_of_slices(const struct sg_account *account, int64_t now_ns)
{
	int64_t until_ns = INT64_MAX;

	for (unsigned i = 0; i < account->count; i++) {
		int64_t ends_ns = sg_window_slice_ends_ns(&account->budgets[i]->window, now_ns);

		if (ends_ns < until_ns)
			until_ns = ends_ns;
	}
	return until_ns;
}

static void put_portion(struct sg_account *account, unsigned worker, const struct sg_charge *held)
{
	struct sg_portion *portion = &account->portions[worker];

	sg_latch_take(&portion->lock);
	portion->label_set = account->label_set;
	portion->generation = account->generation;
	portion->budgets = sg_account_all_budgets(account);
	portion->left = *held;
	sg_charge_subtract(&portion->left, &one_each);
	portion->spent = (struct sg_charge){ 0 };
	portion->estimated = 0;
	atomic_store_explicit(&portion->until_ns, account->portions_until_ns, memory_order_relaxed);
	sg_latch_give(&portion->lock);
	account->portioned |= UINT64_C(1) << worker;
}

void sg_account_give_portion(
	struct sg_account *account, unsigned worker, const struct sg_charge *hold, int64_t now_ns)
{
	struct sg_charge held;
	int64_t calls;

	if (!may_be_portioned(account) || !sg_charge_is_within(hold, PORTIONED_MOST))
		return;
	take_back_of(account, worker);
	calls = choose_calls(account, hold, now_ns);
	if (!calls)
		return;
	held = times(hold, calls);
	if (sg_account_hold(account, sg_account_all_budgets(account), &held) < 0)
		return;
	if (!account->portioned)
		account->portions_until_ns = end_of_slices(account, now_ns);
	put_portion(account, worker, &held);
}
