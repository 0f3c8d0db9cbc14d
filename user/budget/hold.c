// SPDX-License-Identifier: Apache-2.0
// Hold before dispatch, settle after: the path of every call.
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/money.h"
#include "budget/engine_state.h"

// What one call may be charged in any unit; above it, or below zero, is no evidence
// (docs/budgets.md, decision 5).
#define CHARGE_MAX (INT64_C(1) << 53)

static bool take_slot(struct sg_engine *engine, unsigned worker, uint32_t *ret_index)
{
	struct region *region = &engine->regions[worker];

	if (sg_writer_take_back(engine->writer, worker, ret_index))
		return true;
	if (!region->free_count)
		return false;
	*ret_index = region->free[--region->free_count];
	return true;
}

// Calls are coming faster than the ledger takes them: they wait for it, since nobody is refused
// while there is room. What calls in flight hold, no waiting frees.
static bool wait_for_slot(struct sg_engine *engine, unsigned worker, uint32_t *ret_index)
{
	return sg_writer_is_behind(engine->writer, worker) &&
	       sg_writer_flush(engine->writer) == 0 && take_slot(engine, worker, ret_index);
}

static void give_slot(struct sg_engine *engine, unsigned worker, uint32_t index)
{
	struct region *region = &engine->regions[worker];

	region->free[region->free_count++] = index;
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
	sg_slot_raise(slot, bound);
	copy_name(slot->agent, sizeof(slot->agent), account->name);
	copy_name(slot->provider, sizeof(slot->provider), call->provider);
	copy_name(slot->api, sizeof(slot->api), call->api);
	copy_name(slot->model, sizeof(slot->model), call->model);
	sg_slot_hold(slot);
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

// Under the lock: that a call waits, and that room was made, are told in the order in which they
// are so. No room goes by unseen.
static int hold_or_wait(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	struct sg_ask *ask, bool may_wait, struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	int r;

	pthread_mutex_lock(&account->lock);
	ask->now_ns = engine->monotonic_ns();
	r = sg_account_hold(account, ask, ret_refusal, ret_soft_alert);
	if (r == -EDQUOT && ret_refusal->only_held && may_wait && engine->on_room) {
		account->waiting |= UINT64_C(1) << worker;
		r = -EAGAIN;
	}
	pthread_mutex_unlock(&account->lock);
	return r;
}

static uint64_t take_waiting(struct sg_account *account)
{
	uint64_t waiting = account->waiting;

	account->waiting = 0;
	return waiting;
}

static void tell_room(const struct sg_engine *engine, uint64_t waiting)
{
	for (; waiting; waiting &= waiting - 1)
		engine->on_room(engine->on_room_context, (unsigned)__builtin_ctzll(waiting));
}

int sg_hold_take(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_hold *ret_hold,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	struct sg_ask ask = { .hold = *bound };
	uint32_t index;
	int r;

	ask.hold.requests = 1;
	if (!is_countable(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	if (!take_slot(engine, worker, &index) && !wait_for_slot(engine, worker, &index))
		return -ENOBUFS;
	r = hold_or_wait(
		engine, worker, account, &ask, call->may_wait, ret_refusal, ret_soft_alert);
	if (r < 0) {
		give_slot(engine, worker, index);
		return r;
	}
	*ret_hold = (struct sg_hold){ .account = account,
		.call_id = next_call_id(engine, worker),
		.worker = worker,
		.slot = index,
		.bound = ask.hold };
	fill_slot(
		engine, &engine->journal.slots[index], account, call, &ask.hold, ret_hold->call_id);
	if (engine->sync_before_dispatch &&
		sg_journal_sync(&engine->journal, &engine->journal.slots[index]) < 0) {
		sg_hold_release(engine, ret_hold);
		return -EIO;
	}
	return 0;
}

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

static void fill_settled(struct sg_engine *engine, struct sg_slot *slot, const struct sg_hold *hold,
	const struct sg_settlement *settlement)
{
	slot->estimated = choose_charge(hold, settlement, &slot->charge);
	slot->settled_at_ns = engine->wall_ns();
	slot->cache_read_tokens = settlement->cache_read_tokens;
	slot->cache_write_tokens = settlement->cache_write_tokens;
	slot->cache_write_1h_tokens = settlement->cache_write_1h_tokens;
	slot->reasoning_tokens = settlement->reasoning_tokens;
	slot->http_status = settlement->http_status;
	slot->aborted = settlement->aborted_by_agent;
	slot->cut = settlement->cut_by_upstream;
	copy_name(slot->settled_model, sizeof(slot->settled_model), settlement->model);
}

void sg_hold_settle(
	struct sg_engine *engine, struct sg_hold *hold, const struct sg_settlement *settlement)
{
	struct sg_account *account = hold->account;
	struct sg_slot *slot;
	uint64_t waiting;

	if (!account)
		return;
	slot = &engine->journal.slots[hold->slot];
	fill_settled(engine, slot, hold, settlement);
	sg_slot_settle(slot);
	if (slot->charge.nanousd > hold->bound.nanousd)
		sg_log(SG_LOG_ERROR, "bill_above_hold",
			"agent=%s call=%llu model=%s hold_nanousd=%lld bill_nanousd=%lld",
			account->name, (unsigned long long)hold->call_id, slot->model,
			(long long)hold->bound.nanousd, (long long)slot->charge.nanousd);
	pthread_mutex_lock(&account->lock);
	sg_account_unhold(account, &hold->bound);
	sg_account_spend(account, &slot->charge, slot->estimated, engine->monotonic_ns());
	// Under the lock: whoever has it finds every call that was spent either with the writer or
	// in the ledger.
	sg_writer_push(engine->writer, hold->worker, hold->slot);
	waiting = take_waiting(account);
	pthread_mutex_unlock(&account->lock);
	tell_room(engine, waiting);
	*hold = (struct sg_hold){ .account = NULL };
}

// Takes back what was held of an account, and tells those who wait for it.
static void unhold(
	struct sg_engine *engine, struct sg_account *account, const struct sg_charge *charge)
{
	uint64_t waiting;

	pthread_mutex_lock(&account->lock);
	sg_account_unhold(account, charge);
	waiting = take_waiting(account);
	pthread_mutex_unlock(&account->lock);
	tell_room(engine, waiting);
}

int sg_hold_top_up(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *more,
	bool may_wait, struct sg_refusal *ret_refusal)
{
	struct sg_slot *slot = &engine->journal.slots[hold->slot];
	struct sg_ask ask = { .hold = *more, .is_more = true };
	struct sg_charge raised = hold->bound;
	bool soft_alert;
	int r;

	ask.hold.requests = 0;
	if (!hold->account || !is_countable(&ask.hold, SG_MONEY_MAX))
		return -EINVAL;
	r = hold_or_wait(
		engine, hold->worker, hold->account, &ask, may_wait, ret_refusal, &soft_alert);
	if (r < 0)
		return r;
	sg_charge_add(&raised, &ask.hold);
	sg_slot_raise(slot, &raised);
	if (engine->sync_before_dispatch && sg_journal_sync(&engine->journal, slot) < 0) {
		sg_slot_raise(slot, &hold->bound);
		unhold(engine, hold->account, &ask.hold);
		return -EIO;
	}
	hold->bound = raised;
	return 0;
}

bool sg_hold_may_cut(const struct sg_hold *hold)
{
	bool may_cut;

	if (!hold->account)
		return false;
	pthread_mutex_lock(&hold->account->lock);
	may_cut = sg_account_may_cut(hold->account);
	pthread_mutex_unlock(&hold->account->lock);
	return may_cut;
}

void sg_hold_lower(struct sg_engine *engine, struct sg_hold *hold, const struct sg_charge *bound)
{
	struct sg_charge freed = hold->bound;

	if (!hold->account)
		return;
	sg_charge_subtract(&freed, bound);
	freed.requests = 0;
	hold->bound.nanousd = bound->nanousd;
	hold->bound.input_tokens = bound->input_tokens;
	hold->bound.output_tokens = bound->output_tokens;
	sg_slot_raise(&engine->journal.slots[hold->slot], &hold->bound);
	unhold(engine, hold->account, &freed);
}

void sg_hold_release(struct sg_engine *engine, struct sg_hold *hold)
{
	if (!hold->account)
		return;
	unhold(engine, hold->account, &hold->bound);
	atomic_store_explicit(
		&engine->journal.slots[hold->slot].state, SG_SLOT_FREE, memory_order_release);
	give_slot(engine, hold->worker, hold->slot);
	*hold = (struct sg_hold){ .account = NULL };
}
