// SPDX-License-Identifier: Apache-2.0
#include "budget/usage.h"

#include <errno.h>
#include <stdlib.h>

struct replay {
	const struct sg_usage_time *now;
	struct sg_window *window;
	struct sg_charge totals;
	int64_t estimated;
};

static void replay_row(
	void *context, int64_t at_ns, const struct sg_charge *charge, int64_t estimated)
{
	struct replay *replay = context;
	int64_t age_ns = replay->now->wall_ns - at_ns;

	// The clock may have been set back between two runs: what is in the future then counts as
	// spent now.
	sg_window_add(replay->window, replay->now->monotonic_ns - (age_ns > 0 ? age_ns : 0), charge,
		estimated);
}

static void take_totals(
	void *context, int64_t at_ns SG_UNUSED, const struct sg_charge *charge, int64_t estimated)
{
	struct replay *replay = context;

	replay->totals = *charge;
	replay->estimated = estimated;
}

int sg_usage_read_totals(struct sg_ledger *ledger, struct sg_account *account)
{
	struct replay replay = { .now = NULL };
	int r = sg_ledger_read(ledger, account->name, INT64_MIN, take_totals, &replay);

	if (r < 0)
		return r;
	account->spent = replay.totals;
	account->calls = replay.totals.requests;
	account->estimated = replay.estimated;
	return 0;
}

static int read_window(struct sg_ledger *ledger, const char *agent, const struct sg_usage_time *now,
	struct sg_window *window)
{
	struct replay replay = { .now = now, .window = window };
	int r;

	if (window->length_ns)
		return sg_ledger_read(
			ledger, agent, now->wall_ns - window->length_ns, replay_row, &replay);
	r = sg_ledger_read(ledger, agent, INT64_MIN, take_totals, &replay);
	if (r == 0)
		sg_window_add(window, now->monotonic_ns, &replay.totals, replay.estimated);
	return r;
}

static const struct sg_window *kept_window(const struct sg_account *account, int64_t length_ns)
{
	for (unsigned i = 0; i < account->policy.count; i++)
		if (account->windows[i].length_ns == length_ns)
			return &account->windows[i];
	return NULL;
}

bool sg_usage_needs_ledger(const struct sg_account *account, const struct sg_policy *policy)
{
	for (unsigned i = 0; i < policy->count; i++)
		if (!kept_window(account, policy->budgets[i].window_ns))
			return true;
	return false;
}

int sg_usage_make_windows(struct sg_ledger *ledger, const struct sg_account *account,
	const struct sg_policy *policy, const struct sg_usage_time *now,
	struct sg_window **ret_windows)
{
	struct sg_window *windows = calloc(policy->count ? policy->count : 1, sizeof(*windows));
	int r = 0;

	if (!windows)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < policy->count; i++) {
		const struct sg_window *kept = kept_window(account, policy->budgets[i].window_ns);

		if (kept) {
			windows[i] = *kept;
			continue;
		}
		sg_window_init(&windows[i], policy->budgets[i].window_ns);
		r = read_window(ledger, account->name, now, &windows[i]);
	}
	if (r < 0) {
		free(windows);
		return r;
	}
	*ret_windows = windows;
	return 0;
}
