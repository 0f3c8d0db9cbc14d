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
#include "budget/engine_state.h"
#include "budget/recovery.h"
#include "budget/usage.h"

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
		struct region *region = &engine->regions[i];

		*region = (struct region){ .free = &engine->free_slots[i * share],
			.free_count = share };
		for (uint32_t j = 0; j < share; j++)
			region->free[j] = (i + 1) * share - 1 - j; // the first is taken first
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
	r = sg_recovery_run(&engine->journal, ledger, error);
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
	r = sg_writer_start(&engine->journal, ledger, engine->workers, &engine->writer);
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
	engine->workers = options->workers < 1		   ? 1
			  : options->workers > MAX_WORKERS ? MAX_WORKERS
							   : options->workers;
	engine->sync_before_dispatch = options->sync_before_dispatch;
	engine->monotonic_ns =
		options->monotonic_ns ? options->monotonic_ns : sg_clock_monotonic_ns;
	engine->wall_ns = options->wall_ns ? options->wall_ns : sg_clock_wall_ns;
	engine->on_room = options->on_room;
	engine->on_room_context = options->on_room_context;
	r = lock_directory(engine, options->state_directory, error);
	if (r == 0)
		r = open_files(engine, options->state_directory, error);
	if (r < 0) {
		sg_engine_close(engine);
		return r;
	}
	*ret_engine = engine;
	return 0;
}

struct sg_engine *sg_engine_close(struct sg_engine *engine)
{
	struct sg_account *account, *next;

	if (!engine)
		return NULL;
	sg_writer_stop(engine->writer);
	sg_ledger_close(engine->reader);
	sg_journal_close(&engine->journal);
	for (account = engine->accounts; account; account = next) {
		next = account->next;
		sg_account_free(account);
	}
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

// ---- Accounts ----

static struct sg_account *find_account(const struct sg_engine *engine, const char *agent)
{
	struct sg_account *account = engine->accounts;

	while (account && strcmp(account->name, agent) != 0)
		account = account->next;
	return account;
}

static int apply_policy(
	struct sg_engine *engine, struct sg_account *account, const struct sg_policy *policy)
{
	const struct sg_usage_time now = { engine->monotonic_ns(), engine->wall_ns() };
	struct sg_window *windows;
	int r = sg_usage_make_windows(engine->reader, account, policy, &now, &windows);

	if (r < 0)
		return r;
	free(account->windows);
	account->windows = windows;
	account->policy = *policy;
	return 0;
}

static int make_account(struct sg_engine *engine, const char *agent, const struct sg_policy *policy,
	struct sg_account **ret_account, struct sg_error *error)
{
	struct sg_account *account;
	int r = sg_account_new(agent, &account);

	if (r < 0)
		return sg_error_set(error, r, "%s", strerror(-r));
	r = sg_usage_read_totals(engine->reader, account);
	if (r == 0)
		r = apply_policy(engine, account, policy);
	if (r < 0) {
		sg_account_free(account);
		return sg_ledger_explain(engine->reader, r, error);
	}
	account->next = engine->accounts;
	engine->accounts = account;
	*ret_account = account;
	return 0;
}

static int change_account(struct sg_engine *engine, struct sg_account *account,
	const struct sg_policy *policy, struct sg_error *error)
{
	int r = 0;

	// Under the lock, so that no call is settled between the flush and the reading; the writer
	// does not need it.
	pthread_mutex_lock(&account->lock);
	if (sg_usage_needs_ledger(account, policy)) {
		r = sg_writer_flush(engine->writer);
		if (r < 0)
			sg_error_set(error, r,
				"the ledger can't be written, so what was spent in another window "
				"is not known "
				"(event=ledger_failed in the log has the reason); the budgets are "
				"unchanged");
	}
	if (r == 0) {
		r = apply_policy(engine, account, policy);
		if (r < 0)
			sg_ledger_explain(engine->reader, r, error);
	}
	pthread_mutex_unlock(&account->lock);
	return r;
}

int sg_account_set(struct sg_engine *engine, const char *agent, const struct sg_policy *policy,
	struct sg_account **ret_account, struct sg_error *error)
{
	struct sg_account *account = find_account(engine, agent);
	int r = account ? change_account(engine, account, policy, error)
			: make_account(engine, agent, policy, &account, error);

	if (r < 0)
		return sg_error_prefix(error, r, "agent %s: ", agent);
	*ret_account = account;
	return 0;
}

bool sg_account_is_exhausted(
	struct sg_engine *engine, struct sg_account *account, struct sg_refusal *ret_refusal)
{
	const struct sg_ask least = { .hold.requests = 1, .now_ns = engine->monotonic_ns() };
	bool soft_alert;
	int r;

	pthread_mutex_lock(&account->lock);
	r = sg_account_hold(account, &least, ret_refusal, &soft_alert);
	if (r == 0)
		sg_account_unhold(account, &least.hold);
	pthread_mutex_unlock(&account->lock);
	return r == -EDQUOT && !ret_refusal->only_held;
}

void sg_account_room(struct sg_engine *engine, struct sg_account *account,
	const struct sg_call *call SG_UNUSED, struct sg_room *ret_now, struct sg_room *ret_at_rest)
{
	static const struct sg_charge nothing;
	int64_t now_ns = engine->monotonic_ns();

	pthread_mutex_lock(&account->lock);
	sg_account_room_beside(account, &account->held, now_ns, ret_now);
	sg_account_room_beside(account, &nothing, now_ns, ret_at_rest);
	pthread_mutex_unlock(&account->lock);
}

json_t *sg_account_status(struct sg_engine *engine, struct sg_account *account)
{
	return sg_account_describe(account, engine->monotonic_ns(), engine->wall_ns());
}
