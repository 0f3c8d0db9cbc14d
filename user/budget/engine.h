// SPDX-License-Identifier: Apache-2.0
// The budget engine: hold before dispatch, settle after. Owns the accounts (one per agent name),
// the budgets that they share, the memory-mapped hold journal and the SQLite ledger behind it
// (<state>/holds.journal, <state>/ledger.db), with one writer thread.
//
// Rules (docs/operators: budgets):
//  - A call takes a hold (an upper bound of its cost) on every budget that counts it: its agent's,
//  those of the agent's labels and of the host; all or none, in one atomic step.
//    spent + held + hold > limit is refused; spent >= limit is refused.
//  - A hold is in the journal before sg_hold_take returns, and leaves it only when its record is in
//  the ledger: kill -9 at any
//    point loses no spend. At open, dangling holds are charged in full and written to the ledger as
//    "recovered"; slots that were settled but not yet in the ledger are written with their settled
//    amounts; deferred ones are held again.
//  - Settle and release are idempotent. What is uncertain is never refunded.
//
// Threads: open and close: one, alone. account_set, set_budgets, status: any. hold_take, settle,
// release: the worker whose number is given (each worker has its own region of the journal and its
// own queue to the writer; accounts are shared, each under its own lock, and so are budgets of more
// than one agent: no lock is everybody's).
//
// What was spent before the start is read at an agent's first call, by the worker that has it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/charge.h"
#include "base/error.h"
#include "budget/policy.h"

struct sg_engine;
struct sg_account;

// There may be room for what worker `worker` waits for: it asks again. Called on the thread of the
// call that made room, without a lock held; only after something was told to wait, once each time.
typedef void (*sg_room_fn)(void *context, unsigned worker);

enum sg_budget_event_kind {
	SG_EVENT_ALERT,	  // a percentage of a cap is reached: once a window
	SG_EVENT_BREAKER, // the breaker tripped
};

// Something that an operator wants to know of a budget. A plain value, but for `why` (static).
struct sg_budget_event {
	enum sg_budget_event_kind kind;
	int64_t at_ns;			  // wall
	char agent[SG_BUDGET_NAME_BYTES]; // whose call it was
	char budget[SG_BUDGET_NAME_BYTES];
	enum sg_scope scope;
	char label[SG_LABEL_BYTES]; // of scope label
	char window[64];
	unsigned percent;	       // of an alert
	enum sg_breaker_action action; // of a breaker
	const char *why; // of a breaker: "spend_slope", "identical_requests", "refusals"
	int64_t limit_nanousd, max_requests, max_tokens; // 0: none
	int64_t spent_nanousd, requests, tokens;	 // within the window
};

// Called by the ledger's writer thread, without a lock held, soon after it happened. Each event is
// also a line of the log.
typedef void (*sg_event_fn)(void *context, const struct sg_budget_event *event);

struct sg_engine_options {
	const char *state_directory;   // exists, writable by the caller
	unsigned workers;	       // 1 to 64
	bool sync_before_dispatch;     // `durability: power`: fdatasync the journal before a hold
				       // counts
	int64_t (*monotonic_ns)(void); // NULL: sg_clock_boot_ns; a seam for tests
	int64_t (*wall_ns)(void);      // NULL: sg_clock_wall_ns
	sg_room_fn on_room;	       // NULL: nobody waits, so nothing may (may_wait)
	void *on_room_context;
	sg_event_fn on_event; // NULL: the log has them
	void *on_event_context;
	int64_t retention_ns; // how long calls are kept in the ledger; 0: for ever
};

// Opens (creating when missing), recovers the journal, starts the writer. Takes an exclusive lock
// on the state directory
// (-EBUSY: another enforcer has it). A torn journal or ledger is recovered or refused with the
// remedy, never ignored.
int sg_engine_open(const struct sg_engine_options *options, struct sg_engine **ret_engine,
	struct sg_error *error) SG_WUNRES;

// Writes everything settled to the ledger and stops the writer. Holds still out stay in the
// journal. Accepts NULL.
struct sg_engine *sg_engine_close(struct sg_engine *engine);

// Waits until everything settled so far is committed (tests, shutdown of an agent).
void sg_engine_flush(struct sg_engine *engine);

// Creates the account of an agent name, or changes its policy live; usage is never reset, holds in
// flight move to the new budgets. Budgets of scope label and host are everybody's, whoever's policy
// they stand in: they hold as long as a policy has them, as it was set last. *ret_account is owned
// by the engine and valid until it is closed.
int sg_account_set(struct sg_engine *engine, const char *agent, const struct sg_policy *policy,
	struct sg_account **ret_account, struct sg_error *error) SG_WUNRES;

// The budgets of scope label and host that stand in no agent's policy, all of them, live.
int sg_engine_set_budgets(struct sg_engine *engine, const struct sg_budget_policy *budgets,
	unsigned count, struct sg_error *error) SG_WUNRES;

// What is known of the call before it is sent; copied into the journal and the ledger (cut to fit).
struct sg_call {
	const char *provider;
	const char *model; // as requested
	const char *api;   // "chat", "responses", "messages"
	bool may_wait;	   // for room that other calls hold, in place of a refusal
	uint64_t
		fingerprint; // of the request, for breakers (sg_account_wants_fingerprint); 0: none
};

struct sg_hold {
	struct sg_account *account; // NULL: nothing held
	uint64_t call_id;
	uint32_t worker;
	uint32_t slot;
	struct sg_charge bound;
	uint64_t budgets; // of the account that count it, a bit each, as of `generation`
	uint32_t generation;
};

// Some of an account's budgets, a bit each, as of one generation of them.
struct sg_budget_set {
	uint64_t budgets;
	uint32_t generation;
};

// Have both one in common? Where they can't be compared they may have.
static inline bool sg_budget_sets_meet(struct sg_budget_set a, struct sg_budget_set b)
{
	return a.generation != b.generation || (a.budgets & b.budgets) != 0;
}

// Why a call was refused, for the answer on the wire. A plain value.
struct sg_refusal {
	bool money; // budget_exceeded, else rate_limited
	char budget[SG_BUDGET_NAME_BYTES];
	enum sg_scope scope;
	char label[SG_LABEL_BYTES]; // of scope label: "team=red"
	enum sg_behavior behavior;
	bool observed;		 // the budget only says so, the call is held
	bool breaker;		 // its breaker is open
	int64_t limit_nanousd;	 // 0: none
	int64_t max_requests;	 // 0: none
	int64_t max_concurrency; // 0: none
	int64_t spent_nanousd;	 // within the window
	int64_t held_nanousd;
	int64_t requests;
	int64_t unknown_cost_requests; // charged by estimate
	int64_t in_flight;
	int64_t window_ns;
	enum sg_calendar calendar;
	int64_t resets_in_ns; // until enough of the window has passed for any room; -1: never by
			      // itself
	int64_t forgets_in_ns; // until anything of the window is forgotten; INT64_MAX: nothing is
	bool only_held;	       // it would fit, were no other call in flight
	struct sg_budget_set objecting; // with -EAGAIN: all that have no room for it now
	enum sg_on_tight on_tight;	// of the budget
	int64_t wait_ns;
};

// Returns 0 (held), -EDQUOT (refused; *ret_refusal is filled), -ENOBUFS (the journal region is
// full of calls in flight, or the ledger can't be written: refuse, fail closed), -EINVAL (a bound
// below zero), or -EIO (what was spent can't be read). A budget of soft_alert or mode observe never
// refuses: *ret_soft_alert is set when one would have, with *ret_refusal.
// -EAGAIN, for a call that may wait: it does not fit only because of what other calls hold, so it
// is no refusal yet (*ret_refusal is what it would be). on_room is called for its worker when a
// hold ends, however soon; it then asks again. Nothing is to be undone when it gives up waiting.
int sg_hold_take(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_hold *ret_hold,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert) SG_WUNRES;

// Raises a hold that is out by `more` (its requests do not count): on every budget or on none, and
// in the journal before it returns 0. Otherwise the hold stays as it was: -EDQUOT with the refusal,
// -EAGAIN as above when `may_wait`, -ENOBUFS, -EINVAL or -EIO as above. A cap of which nothing more
// is asked never refuses.
int sg_hold_top_up(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *more,
	bool may_wait, struct sg_refusal *ret_refusal) SG_WUNRES;

// May the call be ended for want of room: does every budget that could refuse say SG_TIGHT_CUT?
bool sg_hold_may_cut(const struct sg_hold *hold);

// Do others wait for room that this hold, among others, takes?
bool sg_hold_is_waited_for(const struct sg_engine *engine, const struct sg_hold *hold);

// Lowers a hold that is out to `bound`, of which no unit is above what is held: what it gives back
// is room for others. After a crash the call is charged by the bound that it was taken with.
void sg_hold_lower(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound);

// `more`, of the same account, goes on as a part of `hold`: what it holds is held by that from here
// on, and no other call gets it meanwhile. Returns 0, or -ENOBUFS (more than can be counted: both
// stay as they are).
int sg_hold_join(struct sg_engine *engine, struct sg_hold *hold, struct sg_hold *more) SG_WUNRES;

// How much one more call may hold of each unit; SG_MONEY_MAX where nothing caps it. A call that
// holds exactly this fits.
struct sg_room {
	int64_t nanousd;
	int64_t tokens; // input and output together
	int64_t input_tokens;
	int64_t output_tokens;
	int64_t requests;
};

// *ret_now: right now, beside all calls in flight. *ret_at_rest: were none in flight. Others may
// take it before the caller does.
void sg_account_room(struct sg_engine *engine, struct sg_account *account,
	const struct sg_call *call, struct sg_room *ret_now, struct sg_room *ret_at_rest);

// Which budgets count a call.
struct sg_budget_set sg_account_counting(struct sg_account *account, const struct sg_call *call);

// Would a call of any cost be refused right now (a budget at its limit)? For an early answer before
// a large body is read.
bool sg_account_is_exhausted(
	struct sg_engine *engine, struct sg_account *account, struct sg_refusal *ret_refusal);

enum sg_settle_state {
	SG_SETTLED,   // the provider reported usage
	SG_ESTIMATED, // no usable usage: charged by bound
};

// The record of a call, for the ledger. Strings are copied (cut to fit).
struct sg_settlement {
	enum sg_settle_state state;
	struct sg_charge charge; // what is charged
	const char *model;	 // as the provider says; NULL: as requested
	int64_t cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
		reasoning_tokens; // parts of charge
	unsigned http_status;	  // 0: none
	bool aborted_by_agent;
	bool cut_by_upstream;
};

// Settles: the hold goes, the charge is spent. The hold is emptied. A charge below zero or above
// 2^53 in any unit is no evidence: the hold is charged, logged as event=bad_charge. A charge above
// the hold is still charged in full and logged as event=bill_above_hold. No-op for an empty hold.
void sg_hold_settle(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_settlement *settlement);

// Gives the hold back: the provider billed nothing for certain. No-op for an empty hold.
void sg_hold_release(struct sg_engine *engine, struct sg_hold *hold);

// ---- Calls whose cost a later answer tells ----

// The call goes on at the provider, who names it `id` (not empty, at most 127 bytes): the hold
// stays out, also over a restart, until it is settled or released. On the hold's own worker.
void sg_hold_defer(
	struct sg_engine *engine, const struct sg_hold *hold, const char *id, uint16_t flags);

// A call that an earlier process deferred. Strings are valid during the visit.
struct sg_deferred_hold {
	struct sg_hold hold; // the visitor's from now on
	const char *provider, *api, *model, *id;
	uint16_t flags;
	int64_t at_ns; // wall time of the hold
};
typedef int (*sg_deferred_hold_fn)(void *context, const struct sg_deferred_hold *call);

// Once, before any call of this process. Returns 0, or what a visit returned that was not 0.
int sg_engine_each_deferred(
	struct sg_engine *engine, sg_deferred_hold_fn visit, void *context) SG_WUNRES;

// A call was refused (status); `refusal`: by a budget, whose breaker may count it. NULL: by none.
void sg_account_refused(
	struct sg_engine *engine, struct sg_account *account, const struct sg_refusal *refusal);

// Is there any budget that its calls must fit (its own, or one that it shares)?
bool sg_account_has_budgets(const struct sg_account *account);

// Does any of these budgets end streams at the cap (cut)?
bool sg_account_may_cut(const struct sg_account *account);

// Does any of these budgets lower the output limit of calls that do not fit (clamp, cut)?
bool sg_account_may_clamp(const struct sg_account *account);

// Does a breaker look at what is asked? Then sg_call.fingerprint is wanted.
bool sg_account_wants_fingerprint(const struct sg_account *account);

// {"name", "labels"?, "budgets": [as below, its own and those that it shares], "spent_usd" (since
// the account was first seen), "held_usd", "calls", "refused", "estimated"}. New reference, NULL on
// -ENOMEM.
json_t *sg_account_status(struct sg_engine *engine, struct sg_account *account);

// The budgets that agents share: [{"name", "scope", "label"?, "behavior", "mode"?, "limit_usd"?,
// "max_requests"?, "max_tokens"?, ..., "window", "timezone"?, "spent_usd", "held_usd", "requests",
// "tokens", "in_flight", "would_refuse"?, "breaker_open"?, "resets_at"?, "unreadable"?}]. New
// reference, NULL on -ENOMEM.
json_t *sg_engine_budgets_status(struct sg_engine *engine);
