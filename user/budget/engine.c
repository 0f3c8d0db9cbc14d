// SPDX-License-Identifier: Apache-2.0
#include "budget/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/money.h"
#include "budget/engine_state.h"
#include "budget/recovery.h"

#define PRUNE_INTERVAL_NS (60 * SG_NS_PER_SEC)

// ---- Opening ----

static int lock_directory(struct sg_engine *engine, const char *directory, struct sg_error *error)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock", directory);
	engine->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (engine->lock_fd < 0)
		return sg_error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (flock(engine->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return sg_error_set(error, -EBUSY, "%s is in use by another enforcer", directory);
	return 0;
}

static void divide_journal(struct sg_engine *engine)
{
	uint32_t share = SG_JOURNAL_SLOTS / engine->workers;

	for (unsigned i = 0; i < engine->workers; i++) {
		for (uint32_t slot = i * share; slot < (i + 1) * share; slot++)
			if (atomic_load(&engine->journal.slots[slot].state) == SG_SLOT_FREE)
				sg_free_slots_put(&engine->regions[i].free, slot);
	}
}

static unsigned ledger_flags(const struct sg_engine *engine, const char *path)
{
	unsigned flags = engine->sync_before_dispatch ? SG_LEDGER_FULL_SYNC : 0;

	if (engine->journal.machine_went_down)
		flags |= SG_LEDGER_CHECK;
	if (!engine->journal.ledger_expected)
		return flags;
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return flags | SG_LEDGER_EXPECTED;
	// The remedy for a damaged ledger is to move it aside, so this was meant.
	sg_log(SG_LOG_WARN, "ledger_gone",
		"path=%s effect=\"a new one is made: budgets forget what was spent\"", path);
	return flags;
}

static int open_ledger(struct sg_engine *engine, const char *path, struct sg_ledger **ret_ledger,
	struct sg_error *error)
{
	struct sg_ledger *ledger;
	uint64_t last_call = 0;
	int r = sg_ledger_open(path, ledger_flags(engine, path), &ledger, error);

	if (r < 0)
		return r;
	r = sg_recovery_run(&engine->journal, SG_JOURNAL_SLOTS / engine->workers * engine->workers,
		ledger, error);
	if (r == 0) {
		r = sg_ledger_last_call(ledger, &last_call);
		if (r < 0)
			sg_ledger_explain(ledger, r, error);
	}
	if (r == 0) {
		r = sg_journal_begin(&engine->journal, last_call >> EPOCH_SHIFT);
		if (r < 0)
			sg_error_set(
				error, r, "the hold journal can't be written: %s", strerror(-r));
	}
	if (r < 0)
		sg_ledger_close(ledger);
	else
		*ret_ledger = ledger;
	return r;
}

// The writer's thread, with nothing else to do.
static void after_pass(void *context, struct sg_ledger *ledger)
{
	struct sg_engine *engine = context;
	int64_t now_ns;
	int r;

	sg_events_deliver(&engine->events);
	if (!engine->retention_ns || !ledger)
		return;
	now_ns = engine->monotonic_ns();
	if (now_ns < engine->prune_at_ns)
		return;
	r = sg_ledger_prune(ledger, sg_engine_wall_ns(engine, now_ns) - engine->retention_ns);
	if (r < 0)
		sg_log(SG_LOG_WARN, "ledger_not_pruned", "reason=\"%s\"", sg_ledger_error(ledger));
	engine->prune_at_ns = r > 0 ? now_ns : now_ns + PRUNE_INTERVAL_NS;
}

static int open_files(struct sg_engine *engine, const char *directory, struct sg_error *error)
{
	char path[PATH_MAX];
	struct sg_ledger *ledger;
	int r;

	snprintf(path, sizeof(path), "%s/holds.journal", directory);
	r = sg_journal_open(path, &engine->journal, error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/ledger.db", directory);
	r = open_ledger(engine, path, &ledger, error);
	if (r < 0)
		return r;
	r = sg_ledger_open(path, SG_LEDGER_EXPECTED, &engine->reader, error);
	if (r < 0) {
		sg_ledger_close(ledger);
		return r;
	}
	divide_journal(engine);
	r = sg_writer_start(
		&engine->journal, ledger, engine->workers, after_pass, engine, &engine->writer);
	return r < 0 ? sg_error_set(
			       error, r, "the ledger's writer can't be started: %s", strerror(-r))
		     : 0;
}

int sg_engine_open(const struct sg_engine_options *options, struct sg_engine **ret_engine,
	struct sg_error *error)
{
	struct sg_engine *engine = aligned_alloc(64, (sizeof(*engine) + 63) / 64 * 64);
	int r;

	if (!engine)
		return sg_error_set(error, -ENOMEM, "out of memory");
	memset(engine, 0, sizeof(*engine));
	engine->lock_fd = engine->journal.fd = -1;
	engine->workers = options->workers < 1		      ? 1
			  : options->workers > SG_MAX_WORKERS ? SG_MAX_WORKERS
							      : options->workers;
	engine->sync_before_dispatch = options->sync_before_dispatch;
	engine->monotonic_ns = options->monotonic_ns ? options->monotonic_ns : sg_clock_boot_ns;
	engine->wall_minus_monotonic_ns =
		(options->wall_ns ? options->wall_ns : sg_clock_wall_ns)() - engine->monotonic_ns();
	engine->retention_ns = options->retention_ns;
	pthread_mutex_init(&engine->control_lock, NULL);
	pthread_mutex_init(&engine->reader_lock, NULL);
	sg_events_init(&engine->events, options->on_event, options->on_event_context);
	engine->on_room = options->on_room;
	engine->on_room_context = options->on_room_context;
	r = lock_directory(engine, options->state_directory, error);
	if (r == 0)
		r = open_files(engine, options->state_directory, error);
	if (r == 0)
		r = sg_deferred_restore(engine, error);
	if (r < 0) {
		sg_engine_close(engine);
		return r;
	}
	*ret_engine = engine;
	return 0;
}

static void free_accounts(struct sg_engine *engine)
{
	struct sg_account *account, *next;

	HASH_ITER(hh, engine->accounts, account, next)
	{
		HASH_DEL(engine->accounts, account);
		sg_account_free(account);
	}
}

static void free_lists(struct sg_engine *engine)
{
	while (engine->shared) {
		struct sg_budget *next = engine->shared->next;

		sg_budget_free(engine->shared);
		engine->shared = next;
	}
	while (engine->zones) {
		struct zone *next = engine->zones->next;

		sg_timezone_free(engine->zones->timezone);
		free(engine->zones);
		engine->zones = next;
	}
	free(engine->definitions);
	free(engine->effective);
	free(engine->effective_at);
}

struct sg_engine *sg_engine_close(struct sg_engine *engine)
{
	if (!engine)
		return NULL;
	sg_writer_stop(engine->writer);
	sg_events_destroy(&engine->events);
	sg_ledger_close(engine->reader);
	sg_journal_close(&engine->journal);
	free_accounts(engine);
	free_lists(engine);
	pthread_mutex_destroy(&engine->reader_lock);
	pthread_mutex_destroy(&engine->control_lock);
	if (engine->lock_fd >= 0)
		close(engine->lock_fd);
	free(engine);
	return NULL;
}

void sg_engine_flush(struct sg_engine *engine)
{
	// What could not be written was logged, and stays in the journal.
	(void)sg_writer_flush(engine->writer);
}

// ---- Questions ----

bool sg_account_is_exhausted(
	struct sg_engine *engine, struct sg_account *account, struct sg_refusal *ret_refusal)
{
	const struct sg_ask least = { .hold.requests = 1, .now_ns = engine->monotonic_ns() };
	uint64_t budgets, telling, objecting;
	int r;

	sg_lock_take(&account->lock);
	r = sg_usage_load_account(engine, account, least.now_ns);
	// Which model is asked for is not known yet: only what counts any call can tell.
	budgets = sg_account_budgets_for(account, "", "");
	sg_account_lock_shared(account, budgets);
	if (r == 0)
		r = sg_usage_load_shared(engine, account, budgets, least.now_ns);
	if (r == 0)
		r = sg_account_judge(account, budgets, &least, ret_refusal, &telling, &objecting);
	sg_account_unlock_shared(account, budgets);
	sg_lock_give(&account->lock);
	return r == -EDQUOT && !ret_refusal->only_held;
}

// What can't be read leaves no room, as the call itself will find.
static void find_room(struct sg_account *account, uint64_t budgets, int64_t now_ns,
	struct sg_room *ret_now, struct sg_room *ret_at_rest)
{
	static const struct sg_charge nothing;

	for (; budgets; budgets &= budgets - 1) {
		struct sg_budget *budget = account->budgets[__builtin_ctzll(budgets)];

		if (sg_budget_only_tells(budget))
			continue;
		sg_window_advance(&budget->window, now_ns);
		sg_budget_lower_room(budget, &budget->held, ret_now);
		sg_budget_lower_room(budget, &nothing, ret_at_rest);
	}
}

void sg_account_room(struct sg_engine *engine, struct sg_account *account,
	const struct sg_call *call, struct sg_room *ret_now, struct sg_room *ret_at_rest)
{
	static const struct sg_room everything = { SG_MONEY_MAX, SG_MONEY_MAX, SG_MONEY_MAX,
		SG_MONEY_MAX, SG_MONEY_MAX };
	int64_t now_ns = engine->monotonic_ns();
	uint64_t budgets;
	int r;

	*ret_now = *ret_at_rest = everything;
	sg_account_lock_whole(account);
	r = sg_usage_load_account(engine, account, now_ns);
	budgets = sg_account_budgets_for(account, call->provider, call->model);
	sg_account_lock_shared(account, budgets);
	if (r == 0)
		r = sg_usage_load_shared(engine, account, budgets, now_ns);
	if (r == 0)
		find_room(account, budgets, now_ns, ret_now, ret_at_rest);
	else
		*ret_now = *ret_at_rest = (struct sg_room){ 0 };
	sg_account_unlock_shared(account, budgets);
	sg_lock_give(&account->lock);
}

struct sg_budget_set sg_account_counting(struct sg_account *account, const struct sg_call *call)
{
	struct sg_budget_set set;

	sg_lock_take(&account->lock);
	set.budgets = sg_account_budgets_for(account, call->provider, call->model);
	set.generation = account->generation;
	sg_lock_give(&account->lock);
	return set;
}

json_t *sg_account_status(struct sg_engine *engine, struct sg_account *account)
{
	int64_t now_ns = engine->monotonic_ns();
	json_t *status;
	int r;

	sg_account_lock_whole(account);
	r = sg_usage_load_account(engine, account, now_ns);
	sg_account_lock_shared(account, UINT64_MAX);
	if (r == 0)
		r = sg_usage_load_shared(engine, account, UINT64_MAX, now_ns);
	sg_account_unlock_shared(account, UINT64_MAX);
	status = sg_account_describe(account, now_ns, sg_engine_wall_ns(engine, now_ns));
	if (status && r < 0)
		json_object_set_new(status, "unreadable", json_true());
	sg_lock_give(&account->lock);
	return status;
}

json_t *sg_engine_budgets_status(struct sg_engine *engine)
{
	int64_t now_ns = engine->monotonic_ns();
	json_t *list = json_array();

	pthread_mutex_lock(&engine->control_lock);
	for (struct sg_budget *budget = engine->shared; list && budget; budget = budget->next) {
		json_t *described;
		int r;

		sg_lock_take(&budget->lock);
		r = sg_usage_load_one_shared(engine, budget, now_ns);
		described = sg_budget_describe(budget, now_ns, sg_engine_wall_ns(engine, now_ns));
		sg_lock_give(&budget->lock);
		if (described && r < 0)
			json_object_set_new(described, "unreadable", json_true());
		json_array_append_new(list, described);
	}
	pthread_mutex_unlock(&engine->control_lock);
	return list;
}
