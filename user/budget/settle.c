// SPDX-License-Identifier: Apache-2.0
// The end of holds: settled by what the call cost, given back, in part or as a whole.
#include <stdatomic.h>

#include "base/cache_line.h"
#include "base/log.h"
#include "budget/engine_state.h"

// What one call may be charged in any unit; above it, or below zero, is no evidence
// (docs/budgets.md).
#define CHARGE_MAX (INT64_C(1) << 53)

// What is charged: the hold where the settlement is no evidence. Returns whether it is by estimate.
// Evidence only is put into the slot, which at any instruction may be all that is left.
static bool choose_charge(const struct sg_hold *hold, const struct sg_settlement *settlement,
	struct sg_charge *ret_charge)
{
	bool estimated = settlement->state == SG_ESTIMATED;
	struct sg_charge charge = settlement->charge;

	if (!sg_charge_is_within(&charge, CHARGE_MAX)) {
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
	uint64_t budgets = sg_engine_budgets_of(engine, hold);
	uint64_t waiting;

	sg_account_pass_time(account, now_ns);
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

// Returns false where the worker has no portion, or less of one left than the call was above its
// hold.
static bool settle_in_portion(struct sg_engine *engine, const struct sg_hold *hold,
	const struct sg_slot *slot, int64_t now_ns)
{
	struct sg_portion *portion = &hold->account->portions[hold->worker];
	bool settled;

	if (!sg_portion_enter(portion, now_ns))
		return false;
	settled = sg_portion_give(portion, &hold->bound, &slot->charge);
	if (settled) {
		sg_portion_spend(portion, &slot->charge, slot->estimated, now_ns);
		sg_engine_take_in(engine, hold);
		sg_writer_push(engine->writer, hold->worker, hold->slot); // as in spend()
	}
	sg_portion_leave(portion);
	return settled;
}

static void settle_in_account(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_slot *slot, int64_t now_ns)
{
	struct sg_account *account = hold->account;
	uint64_t waiting;

	sg_lock_take(&account->lock);
	sg_account_expect_budgets(account);
	sg_engine_take_in(engine, hold);
	sg_charge_add(&account->spent, &slot->charge);
	if (slot->estimated)
		account->estimated++;
	waiting = spend(engine, hold, slot, now_ns);
	sg_lock_give(&account->lock);
	sg_engine_tell_room(engine, waiting);
}

void sg_hold_settle(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_settlement *settlement)
{
	struct sg_account *account = hold->account;
	struct sg_slot *slot;
	int64_t now_ns;

	if (!account)
		return;
	sg_expect_line(&account->portions[hold->worker]);
	slot = &engine->journal.slots[hold->slot];
	now_ns = engine->monotonic_ns();
	fill_settled(engine, slot, hold, settlement, now_ns);
	sg_slot_settle(slot);
	if (slot->charge.nanousd > hold->bound.nanousd)
		sg_log(SG_LOG_ERROR, "bill_above_hold",
			"agent=%s call=%llu model=%s hold_nanousd=%lld bill_nanousd=%lld",
			account->name, (unsigned long long)hold->call_id, sg_slot_names(slot).model,
			(long long)hold->bound.nanousd, (long long)slot->charge.nanousd);
	if (!settle_in_portion(engine, hold, slot, now_ns))
		settle_in_account(engine, hold, slot, now_ns);
	*hold = (struct sg_hold){ .account = NULL };
}

// ---- Giving back ----

// What is in flight is `bound`; NULL: it is not any longer.
static void set_out(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound)
{
	if (bound)
		engine->in_flight[hold->slot].bound = hold->bound = *bound;
	else
		sg_engine_take_in(engine, hold);
}

static bool give_to_portion(struct sg_engine *engine, struct sg_hold *hold,
	const struct sg_charge *freed, const struct sg_charge *bound)
{
	struct sg_portion *portion = &hold->account->portions[hold->worker];

	if (!sg_portion_enter(portion, INT64_MIN))
		return false;
	sg_held_add(&portion->left, freed);
	set_out(engine, hold, bound);
	sg_portion_leave(portion);
	return true;
}

// Who waits for it is told.
static void give_to_account(struct sg_engine *engine, struct sg_hold *hold,
	const struct sg_charge *freed, const struct sg_charge *bound)
{
	struct sg_account *account = hold->account;
	uint64_t budgets, waiting;

	sg_lock_take(&account->lock);
	budgets = sg_engine_budgets_of(engine, hold);
	sg_account_lock_shared(account, budgets);
	sg_account_unhold(account, budgets, freed);
	waiting = sg_account_take_waiting(account, budgets);
	sg_account_unlock_shared(account, budgets);
	set_out(engine, hold, bound);
	sg_lock_give(&account->lock);
	sg_engine_tell_room(engine, waiting);
}

void sg_hold_set_bound(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound)
{
	struct sg_charge freed = hold->bound;

	sg_charge_subtract(&freed, bound);
	if (!give_to_portion(engine, hold, &freed, bound))
		give_to_account(engine, hold, &freed, bound);
}

void sg_hold_release(struct sg_engine *engine, struct sg_hold *hold)
{
	const struct sg_charge freed = hold->bound;

	if (!hold->account)
		return;
	if (!give_to_portion(engine, hold, &freed, NULL))
		give_to_account(engine, hold, &freed, NULL);
	atomic_store_explicit(
		&engine->journal.slots[hold->slot].state, SG_SLOT_FREE, memory_order_release);
	sg_free_slots_put(&engine->regions[hold->worker].free, hold->slot);
	*hold = (struct sg_hold){ .account = NULL };
}
