// SPDX-License-Identifier: Apache-2.0
// Hold before dispatch, settle after: the path of every call.
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/money.h"
#include "budget/engine_state.h"

// What one call may be charged in any unit; above it, or below zero, is no evidence
// (docs/budgets.md).
#define CHARGE_MAX (INT64_C(1) << 53)

// Brings a line of the cache near, to be written: compilers would bring it to be read where the
// processor is not named, and the first write to it would wait for the others that have it.
static void expect_line(const void *at)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
	__builtin_prefetch(at, 1);
#endif
}

// What a call will write.
static void expect_slot(const struct sg_engine *engine, uint32_t index)
{
	const struct sg_slot *slot = &engine->journal.slots[index];

	for (size_t at = 0; at < sizeof(*slot) / 2; at += 64)
		expect_line((const char *)slot + at);
	expect_line(&engine->in_flight[index]);
}

// A few at a time, and more than calls take.
static void collect_slots(struct sg_engine *engine, unsigned worker)
{
	uint32_t slot;

	for (int i = 0; i < 2 && sg_writer_take_back(engine->writer, worker, &slot); i++)
		sg_free_slots_put(&engine->regions[worker].free, slot);
}

static bool take_slot(struct sg_engine *engine, unsigned worker, uint32_t *ret_index)
{
	struct sg_free_slots *free_slots = &engine->regions[worker].free;
	uint32_t next;

	collect_slots(engine, worker);
	if (!sg_free_slots_take(free_slots, ret_index))
		return false;
	if (sg_free_slots_peek(free_slots, &next))
		expect_slot(engine, next);
	return true;
}

// Calls are coming faster than the ledger takes them: they wait for it, since nobody is refused
// while there is room. What calls in flight hold, no waiting frees.
static bool wait_for_slot(struct sg_engine *engine, unsigned worker, uint32_t *ret_index)
{
	return sg_writer_is_behind(engine->writer, worker) &&
	       sg_writer_await_slot(engine->writer, worker, ret_index);
}

static void give_slot(struct sg_engine *engine, unsigned worker, uint32_t index)
{
	sg_free_slots_put(&engine->regions[worker].free, index);
}

// All but its state and its labels: a slot that is being filled was never dispatched.
static void fill_slot(struct sg_slot *slot, const struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_slot_names *ret_names)
{
	atomic_store_explicit(&slot->state, SG_SLOT_FILLING, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	slot->bound = *bound;
	sg_slot_raise(slot, bound);
	sg_slot_set_names(slot, account->name, call->provider, call->api, call->model, ret_names);
}

static uint64_t next_call_id(struct sg_engine *engine, unsigned worker)
{
	return engine->journal.epoch << EPOCH_SHIFT | (uint64_t)worker << WORKER_SHIFT |
	       (engine->regions[worker].counter++ & COUNTER_MASK);
}

static bool is_countable(const struct sg_charge *charge, int64_t limit)
{
	return charge->nanousd >= 0 && charge->nanousd <= limit && charge->input_tokens >= 0 &&
	       charge->input_tokens <= limit && charge->output_tokens >= 0 &&
	       charge->output_tokens <= limit;
}

// ---- What is out, under the account's lock ----

static struct sg_account *whose(const struct in_flight *out)
{
	return atomic_load_explicit(&out->account, memory_order_relaxed);
}

void sg_engine_put_out(struct sg_engine *engine, const struct sg_hold *hold)
{
	struct in_flight *out = &engine->in_flight[hold->slot];

	out->bound = hold->bound;
	atomic_store_explicit(&out->account, hold->account, memory_order_relaxed);
}

static void take_in(struct sg_engine *engine, const struct sg_hold *hold)
{
	atomic_store_explicit(&engine->in_flight[hold->slot].account, NULL, memory_order_relaxed);
}

// The budgets of an account that count the call in a slot.
static uint64_t budgets_for_slot(
	const struct sg_engine *engine, const struct sg_account *account, uint32_t index)
{
	struct sg_slot_names names = sg_slot_names(&engine->journal.slots[index]);

	return sg_account_budgets_for(account, names.provider, names.model);
}

void sg_engine_hold_again(struct sg_engine *engine, const struct sg_account *account)
{
	if (account && !account->held.requests)
		return;
	for (uint32_t slot = 0; slot < SG_JOURNAL_SLOTS; slot++) {
		const struct in_flight *out = &engine->in_flight[slot];
		const struct sg_account *owner = whose(out);
		uint64_t own, budgets;

		if (!owner || (account && owner != account))
			continue;
		own = (UINT64_C(1) << owner->own_count) - 1;
		budgets = budgets_for_slot(engine, owner, slot) & (account ? own : ~own);
		for (; budgets; budgets &= budgets - 1)
			sg_charge_add(&owner->budgets[__builtin_ctzll(budgets)]->held, &out->bound);
	}
}

// The budgets that hold a call now: a change of the policy may have moved it.
static uint64_t budgets_of(const struct sg_engine *engine, const struct sg_hold *hold)
{
	if (hold->generation == hold->account->generation)
		return hold->budgets;
	return budgets_for_slot(engine, hold->account, hold->slot);
}

static void let_wait(struct sg_account *account, uint64_t objecting, unsigned worker)
{
	for (; objecting; objecting &= objecting - 1)
		account->budgets[__builtin_ctzll(objecting)]->waiting |= UINT64_C(1) << worker;
}

void sg_engine_tell_room(const struct sg_engine *engine, uint64_t waiting)
{
	for (; waiting && engine->on_room; waiting &= waiting - 1)
		engine->on_room(engine->on_room_context, (unsigned)__builtin_ctzll(waiting));
}

// ---- Taking ----

struct asking {
	struct sg_engine *engine;
	struct sg_account *account;
	unsigned worker;
	uint64_t budgets;
	bool may_wait;
	struct sg_refusal *ret_refusal;
	bool *ret_soft_alert;
};

// Once a call: not when it waits and asks again, and not when it asks for more.
static void count_told(const struct asking *asking, const struct sg_ask *ask, uint64_t telling)
{
	for (; telling && !ask->is_more; telling &= telling - 1)
		asking->account->budgets[__builtin_ctzll(telling)]->would_refuse++;
}

// With every lock that is needed: that a call waits, and that room was made, are told in the order
// in which they are so. No room goes by unseen.
static int hold_or_wait(const struct asking *asking, const struct sg_ask *ask)
{
	struct sg_account *account = asking->account;
	uint64_t telling, objecting;
	int r;

	r = sg_usage_load_shared(asking->engine, account, asking->budgets, ask->now_ns);
	if (r < 0)
		return r;
	r = sg_account_judge(
		account, asking->budgets, ask, asking->ret_refusal, &telling, &objecting);
	*asking->ret_soft_alert = telling != 0;
	if (r == 0)
		r = sg_account_hold(account, asking->budgets, &ask->hold);
	if (r == 0)
		count_told(asking, ask, telling);
	if (r == -EDQUOT && asking->ret_refusal->only_held && asking->may_wait &&
		asking->engine->on_room) {
		let_wait(account, objecting, asking->worker);
		asking->ret_refusal->objecting =
			(struct sg_budget_set){ objecting, account->generation };
		r = -EAGAIN;
	}
	return r;
}

// A request that was admitted, for the breakers that look at what is asked.
static void show_breakers(const struct asking *asking, const struct sg_ask *ask)
{
	for (uint64_t left = asking->budgets; left; left &= left - 1) {
		struct sg_budget *budget = asking->account->budgets[__builtin_ctzll(left)];
		struct sg_budget_event event;

		if (!budget->breaker ||
			!sg_breaker_sees(budget->breaker, ask->fingerprint, ask->now_ns))
			continue;
		sg_budget_tripped(budget, "identical_requests", &event);
		sg_engine_tell(asking->engine, asking->account, ask->now_ns, &event);
	}
}

// Their lines, all at once: otherwise each is waited for when its turn comes.
static void expect_budgets(const struct sg_account *account)
{
	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget *budget = account->budgets[i];

		__builtin_prefetch(&budget->policy);
		__builtin_prefetch(&budget->loaded);
		__builtin_prefetch(&budget->held, 1);
		__builtin_prefetch(&budget->window.estimated);
	}
}

static int take(struct asking *asking, const struct sg_ask *ask, const struct sg_slot_names *names,
	struct sg_hold *hold)
{
	struct sg_engine *engine = asking->engine;
	struct sg_account *account = asking->account;
	struct sg_slot *slot = &engine->journal.slots[hold->slot];
	int r;

	sg_lock_take(&account->lock);
	expect_budgets(account);
	r = account->loaded ? 0 : sg_usage_load_account(engine, account, ask->now_ns);
	if (r == 0) {
		asking->budgets = sg_account_budgets_for(account, names->provider, names->model);
		sg_account_lock_shared(account, asking->budgets);
		r = hold_or_wait(asking, ask);
		if (r == 0 && ask->fingerprint)
			show_breakers(asking, ask);
		sg_account_unlock_shared(account, asking->budgets);
	}
	if (r == 0) {
		sg_engine_put_out(engine, hold);
		slot->label_set = account->label_set;
		hold->budgets = asking->budgets;
		hold->generation = account->generation;
	}
	sg_lock_give(&account->lock);
	return r;
}

int sg_hold_take(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_hold *ret_hold,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	struct sg_ask ask = { .hold = *bound, .fingerprint = call->fingerprint };
	struct sg_hold hold = { .account = account, .worker = worker };
	struct asking asking = { .engine = engine,
		.account = account,
		.worker = worker,
		.may_wait = call->may_wait,
		.ret_refusal = ret_refusal,
		.ret_soft_alert = ret_soft_alert };
	struct sg_slot_names names;
	struct sg_slot *slot;
	int r;

	ask.hold.requests = 1;
	if (!is_countable(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	expect_line(account);
	if (!take_slot(engine, worker, &hold.slot) && !wait_for_slot(engine, worker, &hold.slot))
		return -ENOBUFS;
	hold.bound = ask.hold;
	slot = &engine->journal.slots[hold.slot];
	fill_slot(slot, account, call, &ask.hold, &names);
	ask.now_ns = engine->monotonic_ns();
	slot->at_ns = sg_engine_wall_ns(engine, ask.now_ns);
	r = take(&asking, &ask, &names, &hold);
	if (r < 0) {
		atomic_store_explicit(&slot->state, SG_SLOT_FREE, memory_order_release);
		give_slot(engine, worker, hold.slot);
		return r;
	}
	hold.call_id = slot->call_id = next_call_id(engine, worker);
	sg_slot_hold(slot);
	*ret_hold = hold;
	if (engine->sync_before_dispatch && sg_journal_sync(&engine->journal, slot) < 0) {
		sg_hold_release(engine, ret_hold);
		return -EIO;
	}
	return 0;
}

// ---- Changing ----

// What is held of an account is `bound` from here on; who waits for what is given back is told.
static void set_bound(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound)
{
	struct sg_account *account = hold->account;
	struct sg_charge freed = hold->bound;
	uint64_t budgets, waiting;

	sg_charge_subtract(&freed, bound);
	sg_lock_take(&account->lock);
	budgets = budgets_of(engine, hold);
	sg_account_lock_shared(account, budgets);
	sg_account_unhold(account, budgets, &freed);
	waiting = sg_account_take_waiting(account, budgets);
	sg_account_unlock_shared(account, budgets);
	engine->in_flight[hold->slot].bound = hold->bound = *bound;
	sg_lock_give(&account->lock);
	sg_engine_tell_room(engine, waiting);
}

static int raise(struct asking *asking, const struct sg_ask *ask, struct sg_hold *hold)
{
	struct sg_account *account = asking->account;
	int r;

	sg_lock_take(&account->lock);
	asking->budgets = budgets_of(asking->engine, hold);
	sg_account_lock_shared(account, asking->budgets);
	r = hold_or_wait(asking, ask);
	sg_account_unlock_shared(account, asking->budgets);
	if (r == 0) {
		sg_charge_add(&hold->bound, &ask->hold);
		asking->engine->in_flight[hold->slot].bound = hold->bound;
	}
	sg_lock_give(&account->lock);
	return r;
}

int sg_hold_top_up(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *more,
	bool may_wait, struct sg_refusal *ret_refusal)
{
	struct sg_slot *slot = &engine->journal.slots[hold->slot];
	struct sg_ask ask = { .hold = *more, .is_more = true };
	const struct sg_charge before = hold->bound;
	bool soft_alert;
	struct asking asking = { .engine = engine,
		.account = hold->account,
		.worker = hold->worker,
		.may_wait = may_wait,
		.ret_refusal = ret_refusal,
		.ret_soft_alert = &soft_alert };
	int r;

	ask.hold.requests = 0;
	if (!hold->account || !is_countable(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	ask.now_ns = engine->monotonic_ns();
	r = raise(&asking, &ask, hold);
	if (r < 0)
		return r;
	sg_slot_raise(slot, &hold->bound);
	if (engine->sync_before_dispatch && sg_journal_sync(&engine->journal, slot) < 0) {
		sg_slot_raise(slot, &before);
		set_bound(engine, hold, &before);
		return -EIO;
	}
	return 0;
}

void sg_hold_lower(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound)
{
	struct sg_charge lower = *bound;

	if (!hold->account)
		return;
	lower.requests = hold->bound.requests;
	sg_slot_raise(&engine->journal.slots[hold->slot], &lower);
	set_bound(engine, hold, &lower);
}

bool sg_hold_is_waited_for(const struct sg_engine *engine, const struct sg_hold *hold)
{
	struct sg_account *account = hold->account;
	bool waited_for = false;
	uint64_t budgets;

	if (!account)
		return false;
	sg_lock_take(&account->lock);
	budgets = budgets_of(engine, hold);
	sg_account_lock_shared(account, budgets);
	for (uint64_t left = budgets; left; left &= left - 1)
		waited_for = waited_for || account->budgets[__builtin_ctzll(left)]->waiting;
	sg_account_unlock_shared(account, budgets);
	sg_lock_give(&account->lock);
	return waited_for;
}

bool sg_hold_may_cut(const struct sg_hold *hold)
{
	struct sg_account *account = hold->account;
	bool any = false, all = true;

	if (!account)
		return false;
	sg_lock_take(&account->lock);
	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget *budget = account->budgets[i];

		if (sg_budget_only_tells(budget))
			continue;
		any = true;
		all = all && budget->policy.on_tight == SG_TIGHT_CUT;
	}
	sg_lock_give(&account->lock);
	return any && all;
}

// ---- Settling ----

// What is charged: the hold where the settlement is no evidence. Returns whether it is by estimate.
// Evidence only is put into the slot, which at any instruction may be all that is left.
static bool choose_charge(const struct sg_hold *hold, const struct sg_settlement *settlement,
	struct sg_charge *ret_charge)
{
	bool estimated = settlement->state == SG_ESTIMATED;
	struct sg_charge charge = settlement->charge;

	if (!is_countable(&charge, CHARGE_MAX)) {
		if (!estimated)
			sg_log(SG_LOG_ERROR, "bad_charge",
				"agent=%s call=%llu effect=\"the hold is charged\"",
				hold->account->name, (unsigned long long)hold->call_id);
		charge = hold->bound;
		estimated = true;
	}
	charge.requests = 1;
	*ret_charge = charge;
	return estimated;
}

static void fill_settled(const struct sg_engine *engine, struct sg_slot *slot,
	const struct sg_hold *hold, const struct sg_settlement *settlement, int64_t now_ns)
{
	slot->estimated = choose_charge(hold, settlement, &slot->charge);
	slot->settled_at_ns = sg_engine_wall_ns(engine, now_ns);
	slot->cache_read_tokens = settlement->cache_read_tokens;
	slot->cache_write_tokens = settlement->cache_write_tokens;
	slot->cache_write_1h_tokens = settlement->cache_write_1h_tokens;
	slot->reasoning_tokens = settlement->reasoning_tokens;
	slot->http_status = (uint16_t)settlement->http_status;
	slot->aborted = settlement->aborted_by_agent;
	slot->cut = settlement->cut_by_upstream;
	sg_slot_set_settled_model(slot, settlement->model);
}

// Not in one with the rest, whose stack would be some kilobytes.
__attribute__((noinline)) static void spend_watched(struct sg_engine *engine,
	const struct sg_account *account, struct sg_budget *budget, const struct sg_slot *slot,
	int64_t now_ns)
{
	struct sg_budget_event events[SG_MAX_EVENTS];
	unsigned count = sg_budget_spend(budget, &slot->charge, slot->estimated, now_ns, events);

	for (unsigned i = 0; i < count; i++)
		sg_engine_tell(engine, account, now_ns, &events[i]);
}

// With every lock: the hold goes, the charge is spent. Returns the workers that wait for room.
static uint64_t spend(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_slot *slot, int64_t now_ns)
{
	struct sg_account *account = hold->account;
	uint64_t budgets = budgets_of(engine, hold);
	uint64_t waiting;

	sg_account_lock_shared(account, budgets);
	sg_account_unhold(account, budgets, &hold->bound);
	for (uint64_t left = budgets; left; left &= left - 1) {
		struct sg_budget *budget = account->budgets[__builtin_ctzll(left)];

		if (sg_budget_is_watched(budget))
			spend_watched(engine, account, budget, slot, now_ns);
		else
			sg_budget_count(budget, &slot->charge, slot->estimated, now_ns);
	}
	waiting = sg_account_take_waiting(account, budgets);
	// Under the locks: whoever has one finds every call that was spent either with the writer
	// or in the ledger.
	sg_writer_push(engine->writer, hold->worker, hold->slot);
	sg_account_unlock_shared(account, budgets);
	return waiting;
}

void sg_hold_settle(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_settlement *settlement)
{
	struct sg_account *account = hold->account;
	int64_t now_ns = engine->monotonic_ns();
	struct sg_slot *slot;
	uint64_t waiting;

	if (!account)
		return;
	expect_line(account);
	expect_line(&account->spent);
	slot = &engine->journal.slots[hold->slot];
	fill_settled(engine, slot, hold, settlement, now_ns);
	sg_slot_settle(slot);
	if (slot->charge.nanousd > hold->bound.nanousd)
		sg_log(SG_LOG_ERROR, "bill_above_hold",
			"agent=%s call=%llu model=%s hold_nanousd=%lld bill_nanousd=%lld",
			account->name, (unsigned long long)hold->call_id, sg_slot_names(slot).model,
			(long long)hold->bound.nanousd, (long long)slot->charge.nanousd);
	sg_lock_take(&account->lock);
	expect_budgets(account);
	take_in(engine, hold);
	sg_charge_add(&account->spent, &slot->charge);
	if (slot->estimated)
		account->estimated++;
	waiting = spend(engine, hold, slot, now_ns);
	sg_lock_give(&account->lock);
	sg_engine_tell_room(engine, waiting);
	*hold = (struct sg_hold){ .account = NULL };
}

void sg_hold_release(struct sg_engine *engine, struct sg_hold *hold)
{
	struct sg_account *account = hold->account;
	uint64_t budgets, waiting;

	if (!account)
		return;
	sg_lock_take(&account->lock);
	take_in(engine, hold);
	budgets = budgets_of(engine, hold);
	sg_account_lock_shared(account, budgets);
	sg_account_unhold(account, budgets, &hold->bound);
	waiting = sg_account_take_waiting(account, budgets);
	sg_account_unlock_shared(account, budgets);
	sg_lock_give(&account->lock);
	atomic_store_explicit(
		&engine->journal.slots[hold->slot].state, SG_SLOT_FREE, memory_order_release);
	give_slot(engine, hold->worker, hold->slot);
	sg_engine_tell_room(engine, waiting);
	*hold = (struct sg_hold){ .account = NULL };
}
