// SPDX-License-Identifier: Apache-2.0
// What was spent before, read back from the ledger.
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "budget/engine_state.h"

// Rows carry wall time, windows run on the monotonic clock.
struct replay {
	struct sg_budget *budget;
	struct sg_window *window;
	int64_t now_ns, wall_ns;
};

static void replay_row(void *context, const struct sg_ledger_row *row)
{
	struct replay *replay = context;
	int64_t age_ns = replay->wall_ns - row->at_ns;

	if (!sg_budget_policy_counts(&replay->budget->policy, row->provider, row->model))
		return;
	// The clock may have been set back between two runs: what is in the future then counts as
	// spent now. What is told of since ever has no age.
	if (age_ns < 0 || !replay->window->length_ns)
		age_ns = 0;
	sg_window_add(replay->window, replay->now_ns - age_ns, &row->charge, row->estimated);
}

static void add_to_totals(void *context, const struct sg_ledger_row *row)
{
	struct sg_account *account = context;

	sg_charge_add(&account->spent, &row->charge);
	account->estimated += row->estimated;
}

// Under the reader's lock. The retention was shorter once than the window is now.
static void tell_when_short(struct sg_engine *engine, const struct sg_budget *budget,
	const char *subject, int64_t since_ns)
{
	int64_t pruned_ns = 0;
	char text[32];

	if (since_ns == INT64_MIN || sg_ledger_pruned_until(engine->reader, &pruned_ns) < 0 ||
		since_ns >= pruned_ns)
		return;
	sg_clock_format(pruned_ns, text, sizeof(text));
	sg_log(SG_LOG_WARN, "usage_forgotten",
		"budget=%s of=%s effect=\"what was spent before %s is not counted: the ledger "
		"forgot it\"",
		budget->policy.name, subject, text);
}

int sg_usage_load_budget(
	struct sg_engine *engine, struct sg_budget *budget, const char *subject, int64_t now_ns)
{
	struct replay replay = { .budget = budget,
		.window = &budget->window,
		.now_ns = now_ns,
		.wall_ns = sg_engine_wall_ns(engine, now_ns) };
	int64_t since_ns = sg_window_since(&budget->window, now_ns, replay.wall_ns);
	int r;

	pthread_mutex_lock(&engine->reader_lock);
	r = sg_ledger_read(engine->reader, subject, since_ns, sg_window_slice_ns(&budget->window),
		replay_row, &replay);
	if (r == 0)
		tell_when_short(engine, budget, subject, since_ns);
	pthread_mutex_unlock(&engine->reader_lock);
	if (r == 0)
		sg_budget_is_loaded(budget);
	return r;
}

// Once: a worker asks again with each call.
static int tell_unreadable(struct sg_engine *engine, struct sg_account *account, int r)
{
	struct sg_error error = { "" };

	if (account->unreadable)
		return -EIO;
	account->unreadable = true;
	pthread_mutex_lock(&engine->reader_lock);
	sg_ledger_explain(engine->reader, r, &error);
	pthread_mutex_unlock(&engine->reader_lock);
	sg_log(SG_LOG_ERROR, "usage_unreadable",
		"agent=%s reason=\"%s\" effect=\"its calls are refused\"", account->name,
		error.text);
	return -EIO;
}

static void forget_partly_read(struct sg_engine *engine, struct sg_budget *budget, int64_t now_ns)
{
	struct sg_window *window = &budget->window;

	sg_budget_init_window(
		window, &budget->policy, window->timezone, engine->wall_minus_monotonic_ns, now_ns);
}

int sg_usage_load_account(struct sg_engine *engine, struct sg_account *account, int64_t now_ns)
{
	char subject[SG_SUBJECT_BYTES];
	int r;

	if (account->loaded)
		return 0;
	sg_subject_of_agent(account->name, subject);
	account->spent = (struct sg_charge){ 0 };
	account->estimated = 0;
	pthread_mutex_lock(&engine->reader_lock);
	r = sg_ledger_read(engine->reader, subject, INT64_MIN, 0, add_to_totals, account);
	pthread_mutex_unlock(&engine->reader_lock);
	for (unsigned i = 0; r == 0 && i < account->own_count; i++) {
		forget_partly_read(engine, account->budgets[i], now_ns);
		r = sg_usage_load_budget(engine, account->budgets[i], subject, now_ns);
	}
	if (r < 0)
		return tell_unreadable(engine, account, r);
	account->loaded = true;
	account->unreadable = false;
	return 0;
}

int sg_usage_load_one_shared(struct sg_engine *engine, struct sg_budget *budget, int64_t now_ns)
{
	char subject[SG_SUBJECT_BYTES];
	int r = budget->loaded ? 0 : sg_writer_flush(engine->writer);

	if (r < 0 || budget->loaded)
		return r;
	if (budget->policy.scope == SG_SCOPE_HOST)
		sg_subject_of_host(subject);
	else
		sg_subject_of_label(budget->resolved_label, subject);
	forget_partly_read(engine, budget, now_ns);
	return sg_usage_load_budget(engine, budget, subject, now_ns);
}

int sg_usage_load_shared(
	struct sg_engine *engine, struct sg_account *account, uint64_t mask, int64_t now_ns)
{
	int r = 0;

	for (unsigned i = account->own_count; r == 0 && i < account->count; i++)
		if (mask & UINT64_C(1) << i)
			r = sg_usage_load_one_shared(engine, account->budgets[i], now_ns);
	return r < 0 ? tell_unreadable(engine, account, r) : 0;
}
