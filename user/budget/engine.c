// SPDX-License-Identifier: Apache-2.0
#include "budget/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "budget/account.h"
#include "budget/journal.h"
#include "budget/ledger.h"
#include "budget/writer.h"

#define MAX_WORKERS 64

// A worker's part of the journal, searched from where the last free slot was found: slots come free
// in about the order in which they were taken.
struct region {
	_Alignas(64) uint32_t first;
	uint32_t count;
	uint32_t next;
	uint64_t counter; // of call ids
};

struct sg_engine {
	int64_t (*monotonic_ns)(void);
	int64_t (*wall_ns)(void);
	bool sync_before_dispatch;
	unsigned workers;
	int lock_fd;
	struct sg_journal journal;
	struct sg_ledger *reader; // for the control thread; the writer has its own connection
	struct sg_writer *writer;
	struct sg_account *accounts;
	struct region regions[MAX_WORKERS];
};

// ---- Recovery ----

// What an earlier process left: held slots are charged in full, settled ones as they were settled.
static int recover_slot(struct sg_ledger *ledger, const struct sg_slot *slot, uint32_t state)
{
	if (!sg_slot_is_whole(slot)) {
		sg_log(SG_LOG_ERROR, "torn_slot",
			"call=%llu effect=\"a call at a loss of power can't be charged: look at "
			"the provider's bill\"",
			(unsigned long long)slot->call_id);
		return 0;
	}
	if (state == SG_SLOT_HELD)
		sg_log(SG_LOG_WARN, "recovered",
			"agent=%s call=%llu model=%s effect=\"charged in full\"", slot->agent,
			(unsigned long long)slot->call_id, slot->model);
	return sg_ledger_add(ledger, slot, state == SG_SLOT_HELD);
}

static int recover(struct sg_engine *engine, struct sg_ledger *ledger, struct sg_error *error)
{
	int r = sg_ledger_begin(ledger);

	for (uint32_t i = 0; r == 0 && i < SG_JOURNAL_SLOTS; i++) {
		struct sg_slot *slot = &engine->journal.slots[i];
		uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);

		if (state == SG_SLOT_HELD || state == SG_SLOT_SETTLED)
			r = recover_slot(ledger, slot, state);
	}
	if (r == 0)
		r = sg_ledger_commit(ledger);
	if (r < 0) {
		sg_error_set(error, r, "the hold journal can't be moved into the ledger: %s",
			sg_ledger_error(ledger));
		sg_ledger_rollback(ledger);
		return r;
	}
	// A slot that was being filled was never dispatched.
	for (uint32_t i = 0; i < SG_JOURNAL_SLOTS; i++)
		atomic_store_explicit(
			&engine->journal.slots[i].state, SG_SLOT_FREE, memory_order_release);
	return 0;
}

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

	for (unsigned i = 0; i < engine->workers; i++)
		engine->regions[i] =
			(struct region){ .first = i * share, .count = share, .next = 0 };
}

static int open_files(
	struct sg_engine *engine, const struct sg_engine_options *options, struct sg_error *error)
{
	char path[PATH_MAX];
	struct sg_ledger *ledger = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/holds.journal", options->state_directory);
	r = sg_journal_open(path, &engine->journal, error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/ledger.db", options->state_directory);
	r = sg_ledger_open(path, options->sync_before_dispatch, &ledger, error);
	if (r == 0)
		r = recover(engine, ledger, error);
	if (r == 0)
		r = sg_ledger_open(path, false, &engine->reader, error);
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
	r = lock_directory(engine, options->state_directory, error);
	if (r == 0)
		r = open_files(engine, options, error);
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
	sg_writer_flush(engine->writer);
}

// ---- Accounts ----

struct replay {
	struct sg_engine *engine;
	struct sg_window *window;
	struct sg_charge totals;
	int64_t estimated;
};

// A row of the ledger at its place in the window: wall time is anchored to the monotonic clock.
static void replay_row(
	void *context, int64_t at_ns, const struct sg_charge *charge, int64_t estimated)
{
	struct replay *replay = context;
	int64_t now_ns = replay->engine->monotonic_ns(), age_ns = replay->engine->wall_ns() - at_ns;

	// The clock may have been set back between two runs: what is in the future then counts as
	// spent now.
	sg_window_add(replay->window, age_ns > 0 ? now_ns - age_ns : now_ns, charge, estimated);
}

static void take_totals(
	void *context, int64_t at_ns SG_UNUSED, const struct sg_charge *charge, int64_t estimated)
{
	struct replay *replay = context;

	replay->totals = *charge;
	replay->estimated = estimated;
}

static int read_window(
	struct sg_engine *engine, const char *agent, int64_t window_ns, struct sg_window *window)
{
	struct replay replay = { .engine = engine, .window = window };
	int64_t since_ns = window_ns ? engine->wall_ns() - window_ns : INT64_MIN;
	int r;

	sg_window_init(window, window_ns);
	r = sg_ledger_read(
		engine->reader, agent, since_ns, window_ns ? replay_row : take_totals, &replay);
	if (r == 0 && !window_ns)
		sg_window_add(window, engine->monotonic_ns(), &replay.totals, replay.estimated);
	return r;
}

// Usage is never reset by a change: a window of a length that was there is kept, another is read
// from the ledger.
static int make_windows(struct sg_engine *engine, struct sg_account *account,
	const struct sg_policy *policy, struct sg_window **ret_windows)
{
	struct sg_window *windows = calloc(policy->count ? policy->count : 1, sizeof(*windows));
	int r = 0;

	if (!windows)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < policy->count; i++) {
		const struct sg_window *same = NULL;

		for (unsigned j = 0; j < account->policy.count; j++)
			if (account->windows[j].length_ns == policy->budgets[i].window_ns)
				same = &account->windows[j];
		if (same)
			windows[i] = *same;
		else
			r = read_window(
				engine, account->name, policy->budgets[i].window_ns, &windows[i]);
	}
	if (r < 0) {
		free(windows);
		return r;
	}
	*ret_windows = windows;
	return 0;
}

static int find_or_make(
	struct sg_engine *engine, const char *agent, struct sg_account **ret_account)
{
	struct replay replay = { .engine = engine };
	struct sg_account *account = engine->accounts;
	int r;

	while (account && strcmp(account->name, agent) != 0)
		account = account->next;
	if (!account) {
		r = sg_account_new(agent, &account);
		if (r < 0)
			return r;
		r = sg_ledger_read(engine->reader, agent, INT64_MIN, take_totals, &replay);
		if (r < 0) {
			sg_account_free(account);
			return r;
		}
		account->spent = replay.totals;
		account->calls = replay.totals.requests;
		account->estimated = replay.estimated;
		account->next = engine->accounts;
		engine->accounts = account;
	}
	*ret_account = account;
	return 0;
}

int sg_account_set(struct sg_engine *engine, const char *agent, const struct sg_policy *policy,
	struct sg_account **ret_account, struct sg_error *error)
{
	struct sg_window *windows = NULL;
	struct sg_account *account;
	int r = find_or_make(engine, agent, &account);

	if (r == 0) {
		// Under the lock, so that no call is settled between the flush and the reading; the
		// writer does not need it.
		pthread_mutex_lock(&account->lock);
		sg_writer_flush(engine->writer);
		r = make_windows(engine, account, policy, &windows);
		if (r == 0) {
			free(account->windows);
			account->windows = windows;
			account->policy = *policy;
		}
		pthread_mutex_unlock(&account->lock);
	}
	if (r < 0)
		return sg_error_set(
			error, r, "agent %s: the ledger can't be read: %s", agent, strerror(-r));
	*ret_account = account;
	return 0;
}

bool sg_account_is_exhausted(
	struct sg_engine *engine, struct sg_account *account, struct sg_refusal *ret_refusal)
{
	static const struct sg_charge least = { .requests = 1 };
	bool soft_alert;
	int r;

	pthread_mutex_lock(&account->lock);
	r = sg_account_hold(account, &least, engine->monotonic_ns(), ret_refusal, &soft_alert);
	if (r == 0)
		sg_account_unhold(account, &least);
	pthread_mutex_unlock(&account->lock);
	return r < 0;
}

json_t *sg_account_status(struct sg_engine *engine, struct sg_account *account)
{
	return sg_account_describe(account, engine->monotonic_ns());
}

// ---- Calls ----

static struct sg_slot *find_slot(struct sg_engine *engine, unsigned worker, uint32_t *ret_index)
{
	struct region *region = &engine->regions[worker];

	for (uint32_t i = 0; i < region->count; i++) {
		uint32_t index = region->first + (region->next + i) % region->count;
		struct sg_slot *slot = &engine->journal.slots[index];

		if (atomic_load_explicit(&slot->state, memory_order_acquire) == SG_SLOT_FREE) {
			region->next = (region->next + i + 1) % region->count;
			*ret_index = index;
			return slot;
		}
	}
	return NULL;
}

static void copy_name(char *out, size_t size, const char *text)
{
	size_t length = text ? strnlen(text, size - 1) : 0;

	memcpy(out, text ? text : "", length);
	memset(out + length, 0, size - length);
}

static void fill_slot(struct sg_engine *engine, struct sg_slot *slot,
	const struct sg_account *account, const struct sg_call *call, const struct sg_charge *bound,
	uint64_t call_id)
{
	atomic_store_explicit(&slot->state, SG_SLOT_FILLING, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	slot->call_id = call_id;
	slot->at_ns = engine->wall_ns();
	slot->bound = *bound;
	copy_name(slot->agent, sizeof(slot->agent), account->name);
	copy_name(slot->provider, sizeof(slot->provider), call->provider);
	copy_name(slot->api, sizeof(slot->api), call->api);
	copy_name(slot->model, sizeof(slot->model), call->model);
	sg_slot_hold(slot);
}

int sg_hold_take(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_hold *ret_hold,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	struct region *region = &engine->regions[worker];
	uint32_t index;
	struct sg_slot *slot = find_slot(engine, worker, &index);
	uint64_t call_id;
	int r;

	if (!slot)
		return -ENOBUFS;
	pthread_mutex_lock(&account->lock);
	r = sg_account_hold(account, bound, engine->monotonic_ns(), ret_refusal, ret_soft_alert);
	pthread_mutex_unlock(&account->lock);
	if (r < 0)
		return r;
	// Unique over all time: the open's number, the worker, and 34 bits of counter (19 days at
	// 10,000 calls a second).
	call_id = engine->journal.epoch << 40 | (uint64_t)worker << 34 |
		  (region->counter++ & 0x3ffffffffull);
	fill_slot(engine, slot, account, call, bound, call_id);
	*ret_hold = (struct sg_hold){ .account = account,
		.call_id = call_id,
		.worker = worker,
		.slot = index,
		.bound = *bound };
	if (engine->sync_before_dispatch) {
		r = sg_journal_sync(&engine->journal, slot);
		if (r < 0)
			sg_hold_release(engine, ret_hold);
	}
	return r < 0 ? -EIO : 0;
}

void sg_hold_settle(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_settlement *settlement)
{
	struct sg_account *account = hold->account;
	struct sg_slot *slot;
	bool estimated = settlement->state == SG_ESTIMATED;

	if (!account)
		return;
	slot = &engine->journal.slots[hold->slot];
	slot->charge = settlement->charge;
	slot->charge.requests = 1;
	slot->settled_at_ns = engine->wall_ns();
	slot->cache_read_tokens = settlement->cache_read_tokens;
	slot->cache_write_tokens = settlement->cache_write_tokens;
	slot->cache_write_1h_tokens = settlement->cache_write_1h_tokens;
	slot->reasoning_tokens = settlement->reasoning_tokens;
	slot->http_status = settlement->http_status;
	slot->estimated = estimated;
	slot->aborted = settlement->aborted_by_agent;
	slot->cut = settlement->cut_by_upstream;
	copy_name(slot->settled_model, sizeof(slot->settled_model), settlement->model);
	atomic_store_explicit(&slot->state, SG_SLOT_SETTLED, memory_order_release);
	pthread_mutex_lock(&account->lock);
	sg_account_unhold(account, &hold->bound);
	sg_account_spend(account, &slot->charge, estimated, engine->monotonic_ns());
	pthread_mutex_unlock(&account->lock);
	if (slot->charge.nanousd > hold->bound.nanousd)
		sg_log(SG_LOG_ERROR, "bill_above_hold",
			"agent=%s call=%llu model=%s hold_nanousd=%lld bill_nanousd=%lld",
			account->name, (unsigned long long)hold->call_id, slot->model,
			(long long)hold->bound.nanousd, (long long)slot->charge.nanousd);
	sg_writer_push(engine->writer, hold->worker, hold->slot);
	*hold = (struct sg_hold){ .account = NULL };
}

void sg_hold_release(struct sg_engine *engine, struct sg_hold *hold)
{
	struct sg_account *account = hold->account;

	if (!account)
		return;
	pthread_mutex_lock(&account->lock);
	sg_account_unhold(account, &hold->bound);
	pthread_mutex_unlock(&account->lock);
	atomic_store_explicit(
		&engine->journal.slots[hold->slot].state, SG_SLOT_FREE, memory_order_release);
	*hold = (struct sg_hold){ .account = NULL };
}
