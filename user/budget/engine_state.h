// SPDX-License-Identifier: Apache-2.0
// What the engine consists of, for its own files only: engine.c, accounts.c and shared.c (control),
// hold.c, settle.c, refused.c, in_flight.c and usage.c (workers), deferred.c and events.c (both; of
// these the writer too).
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "budget/account.h"
#include "budget/engine.h"
#include "budget/events.h"
#include "budget/free_slots.h"
#include "budget/journal.h"
#include "budget/ledger.h"
#include "budget/writer.h"

// A call id is unique over all time: the number of the open, the worker, and a counter (19 days of
// 10,000 calls a second).
#define EPOCH_SHIFT  40
#define WORKER_SHIFT 34
#define COUNTER_MASK ((UINT64_C(1) << WORKER_SHIFT) - 1)

// A worker's part of the journal.
struct region {
	_Alignas(64) uint64_t counter; // of call ids
	struct sg_free_slots free;
};

// What is out, by its slot, on a line of its own: under its account's lock or that of its worker's
// portion, but for the question whose it is.
struct in_flight {
	_Alignas(64) struct sg_account *_Atomic account; // NULL: nothing
	struct sg_charge bound;
};

struct zone {
	struct zone *next;
	char name[SG_TIMEZONE_BYTES];
	struct sg_timezone *timezone;
};

struct sg_engine {
	int64_t (*monotonic_ns)(void);
	// The wall clock is read once: a step of it neither opens nor doubles a window.
	int64_t wall_minus_monotonic_ns;
	sg_room_fn on_room;
	void *on_room_context;
	bool sync_before_dispatch;
	unsigned workers;
	int64_t retention_ns;
	int64_t prune_at_ns; // the writer's
	int lock_fd;
	struct sg_journal journal;
	pthread_mutex_t reader_lock;
	struct sg_ledger *reader; // under reader_lock; the writer has its own connection
	struct sg_writer *writer;
	struct sg_events events;
	pthread_mutex_t control_lock; // before all other locks; what follows is under it
	struct sg_account *accounts;  // hash by name
	struct sg_budget *shared;     // list, in the order in which their locks are taken
	unsigned definition_count;    // of shared budgets, in no agent's policy
	struct sg_budget_policy *definitions;
	uint64_t defined_at, definitions_set; // counts what was set, so that the last holds
	unsigned effective_count;	      // all definitions of shared budgets, without doubles
	struct sg_budget_policy *effective;
	uint64_t *effective_at; // when each was set
	struct zone *zones;
	struct in_flight in_flight[SG_JOURNAL_SLOTS];
	struct region regions[SG_MAX_WORKERS];
};

static inline int64_t sg_engine_wall_ns(const struct sg_engine *engine, int64_t monotonic_ns)
{
	return monotonic_ns + engine->wall_minus_monotonic_ns;
}

// ---- refused.c ----

// Tells the workers of a mask that there may be room. Without a lock.
void sg_engine_tell_room(const struct sg_engine *engine, uint64_t waiting);

// Makes an event of the account's known; the time is `now_ns`.
void sg_engine_tell(struct sg_engine *engine, const struct sg_account *account, int64_t now_ns,
	struct sg_budget_event *event);

// ---- in_flight.c ----

// Under the account's lock or its portion's: the hold is out, or no longer.
static inline void sg_engine_put_out(struct sg_engine *engine, const struct sg_hold *hold)
{
	struct in_flight *out = &engine->in_flight[hold->slot];

	out->bound = hold->bound;
	atomic_store_explicit(&out->account, hold->account, memory_order_relaxed);
}

// In flight there is more now.
static inline void sg_engine_raise_out(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *more)
{
	sg_charge_add(&hold->bound, more);
	engine->in_flight[hold->slot].bound = hold->bound;
}

static inline void sg_engine_take_in(struct sg_engine *engine, const struct sg_hold *hold)
{
	atomic_store_explicit(&engine->in_flight[hold->slot].account, NULL, memory_order_relaxed);
}

// The budgets have changed: of `account`, under its lock with no portion given, the own ones; of
// all (NULL), under everyone's, the shared ones. What is in flight is held by them, which hold
// nothing yet.
void sg_engine_hold_again(struct sg_engine *engine, const struct sg_account *account);

// Under the account's lock: the budgets that hold a call now, a bit each.
uint64_t sg_engine_budgets_of(const struct sg_engine *engine, const struct sg_hold *hold);

// ---- settle.c ----

// The hold is `bound` from here on, of which no unit is more; who waits for what is given back is
// told.
void sg_hold_set_bound(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound);

// ---- deferred.c ----

// What an earlier process left deferred is held again, in accounts that have no policy yet. Returns
// 0 or -errno.
int sg_deferred_restore(struct sg_engine *engine, struct sg_error *error) SG_WUNRES;

// ---- usage.c: what the ledger knows ----

// Under the account's lock: its totals, and the windows of its own budgets. Returns 0 or -errno.
int sg_usage_load_account(
	struct sg_engine *engine, struct sg_account *account, int64_t now_ns) SG_WUNRES;

// Under the budget's lock (its account's for one that is not shared, whose `subject` is the
// agent's): its window. What was settled must be in the ledger. Returns 0 or -errno.
int sg_usage_load_budget(struct sg_engine *engine, struct sg_budget *budget, const char *subject,
	int64_t now_ns) SG_WUNRES;

// Under their locks: the shared budgets of `mask` that are not loaded yet. Returns 0 or -errno.
int sg_usage_load_shared(struct sg_engine *engine, struct sg_account *account, uint64_t mask,
	int64_t now_ns) SG_WUNRES;

// The same of one, under its lock.
int sg_usage_load_one_shared(
	struct sg_engine *engine, struct sg_budget *budget, int64_t now_ns) SG_WUNRES;

// ---- accounts.c ----

// A time zone for as long as the engine is open. Control thread.
int sg_engine_timezone(struct sg_engine *engine, const char *name,
	const struct sg_timezone **ret_timezone, struct sg_error *error) SG_WUNRES;

// Can the ledger tell what was spent in the windows of these budgets? Returns 0 or -EINVAL.
int sg_engine_check_windows(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error) SG_WUNRES;

// ---- shared.c ----

// Which budgets the accounts are to share, and what there is of them.
struct sg_sharing;

// Made ready, by the definitions and the labels that there are now: of every account, or of `only`
// one that no worker knows yet, whose definitions are in force already. Returns 0 or -errno;
// nothing is changed yet.
int sg_sharing_plan(struct sg_engine *engine, struct sg_account *only,
	struct sg_sharing **ret_sharing, struct sg_error *error) SG_WUNRES;
struct sg_sharing *sg_sharing_free(struct sg_sharing *sharing);

// The locks of all accounts that it changes, always in the same order.
void sg_sharing_lock(const struct sg_engine *engine, const struct sg_sharing *sharing);
void sg_sharing_unlock(const struct sg_engine *engine, const struct sg_sharing *sharing);

// With all of these locks: the change. Returns the workers that wait for room in what it changed.
uint64_t sg_sharing_use(struct sg_engine *engine, struct sg_sharing *sharing);

// Are all of these definitions in force, whichever was set last?
bool sg_engine_has_definitions(
	const struct sg_engine *engine, const struct sg_budget_policy *definitions, unsigned count);
