// SPDX-License-Identifier: Apache-2.0
// Holds before dispatch: taken, raised and lowered.
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cache_line.h"
#include "base/money.h"
#include "budget/engine_state.h"

// What a call will write.
static void expect_slot(const struct sg_engine *engine, uint32_t index)
{
	const struct sg_slot *slot = &engine->journal.slots[index];

	for (size_t at = 0; at < sizeof(*slot) / 2; at += SG_CACHE_LINE)
		sg_expect_line((const char *)slot + at);
	sg_expect_line(&engine->in_flight[index]);
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

static void let_wait(struct sg_account *account, uint64_t objecting, unsigned worker)
{
	for (; objecting; objecting &= objecting - 1)
		account->budgets[__builtin_ctzll(objecting)]->waiting |= UINT64_C(1) << worker;
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

// Returns false where the worker has no portion, or too little of one left.
static bool take_of_portion(struct sg_engine *engine, const struct sg_ask *ask,
	struct sg_slot *slot, struct sg_hold *hold)
{
	struct sg_portion *portion = &hold->account->portions[hold->worker];
	bool taken;

	if (!sg_portion_enter(portion, ask->now_ns))
		return false;
	taken = sg_portion_take(portion, &ask->hold);
	if (taken) {
		sg_engine_put_out(engine, hold);
		slot->label_set = portion->label_set;
		hold->budgets = portion->budgets;
		hold->generation = portion->generation;
	}
	sg_portion_leave(portion);
	return taken;
}

static int take_of_account(struct asking *asking, const struct sg_ask *ask,
	const struct sg_slot_names *names, struct sg_slot *slot, struct sg_hold *hold)
{
	struct sg_engine *engine = asking->engine;
	struct sg_account *account = asking->account;
	int r;

	sg_expect_line(account);
	sg_lock_take(&account->lock);
	sg_account_expect_budgets(account);
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
		sg_account_give_portion(account, asking->worker, &ask->hold, ask->now_ns);
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
	if (!sg_charge_is_within(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	*ret_soft_alert = false;
	sg_expect_line(&account->portions[worker]);
	if (!take_slot(engine, worker, &hold.slot) && !wait_for_slot(engine, worker, &hold.slot))
		return -ENOBUFS;
	hold.bound = ask.hold;
	slot = &engine->journal.slots[hold.slot];
	fill_slot(slot, account, call, &ask.hold, &names);
	ask.now_ns = engine->monotonic_ns();
	slot->at_ns = sg_engine_wall_ns(engine, ask.now_ns);
	r = take_of_portion(engine, &ask, slot, &hold)
		    ? 0
		    : take_of_account(&asking, &ask, &names, slot, &hold);
	if (r < 0) {
		atomic_store_explicit(&slot->state, SG_SLOT_FREE, memory_order_release);
		sg_free_slots_put(&engine->regions[worker].free, hold.slot);
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

static bool raise_of_portion(
	struct sg_engine *engine, const struct sg_ask *ask, struct sg_hold *hold)
{
	struct sg_portion *portion = &hold->account->portions[hold->worker];
	bool taken;

	if (!sg_portion_enter(portion, ask->now_ns))
		return false;
	taken = sg_portion_take(portion, &ask->hold);
	if (taken)
		sg_engine_raise_out(engine, hold, &ask->hold);
	sg_portion_leave(portion);
	return taken;
}

static int raise_of_account(struct asking *asking, const struct sg_ask *ask, struct sg_hold *hold)
{
	struct sg_account *account = asking->account;
	int r;

	sg_lock_take(&account->lock);
	asking->budgets = sg_engine_budgets_of(asking->engine, hold);
	sg_account_lock_shared(account, asking->budgets);
	r = hold_or_wait(asking, ask);
	sg_account_unlock_shared(account, asking->budgets);
	if (r == 0)
		sg_engine_raise_out(asking->engine, hold, &ask->hold);
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
	if (!hold->account || !sg_charge_is_within(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	ask.now_ns = engine->monotonic_ns();
	r = raise_of_portion(engine, &ask, hold) ? 0 : raise_of_account(&asking, &ask, hold);
	if (r < 0)
		return r;
	sg_slot_raise(slot, &hold->bound);
	if (engine->sync_before_dispatch && sg_journal_sync(&engine->journal, slot) < 0) {
		sg_slot_raise(slot, &before);
		sg_hold_set_bound(engine, hold, &before);
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
	sg_hold_set_bound(engine, hold, &lower);
}

bool sg_hold_is_waited_for(const struct sg_engine *engine, const struct sg_hold *hold)
{
	struct sg_account *account = hold->account;
	bool waited_for = false;
	uint64_t budgets;

	// None is given while somebody waits.
	if (!account || sg_portion_is_given(&account->portions[hold->worker], INT64_MIN))
		return false;
	sg_lock_take(&account->lock);
	budgets = sg_engine_budgets_of(engine, hold);
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
