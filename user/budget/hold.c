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

int sg_hold_take(struct sg_engine *engine, unsigned worker, struct sg_account *account,
	const struct sg_call *call, const struct sg_charge *bound, struct sg_hold *ret_hold,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert)
{
	struct sg_charge hold = *bound;
	uint32_t index;
	int r;

	hold.requests = 1;
	if (!is_countable(&hold, SG_MONEY_MAX))
		return -EINVAL;
	if (!take_slot(engine, worker, &index) && !wait_for_slot(engine, worker, &index))
		return -ENOBUFS;
	pthread_mutex_lock(&account->lock);
	r = sg_account_hold(account, &hold, engine->monotonic_ns(), ret_refusal, ret_soft_alert);
	pthread_mutex_unlock(&account->lock);
	if (r < 0) {
		give_slot(engine, worker, index);
		return r;
	}
	*ret_hold = (struct sg_hold){ .account = account,
		.call_id = next_call_id(engine, worker),
		.worker = worker,
		.slot = index,
		.bound = hold };
	fill_slot(engine, &engine->journal.slots[index], account, call, &hold, ret_hold->call_id);
	if (engine->sync_before_dispatch &&
		sg_journal_sync(&engine->journal, &engine->journal.slots[index]) < 0) {
		sg_hold_release(engine, ret_hold);
		return -EIO;
	}
	return 0;
}

// What is charged: the hold where the settlement is no evidence. Returns whether it is by estimate.
static bool choose_charge(const struct sg_hold *hold, const struct sg_settlement *settlement,
	struct sg_charge *ret_charge)
{
	bool estimated = settlement->state == SG_ESTIMATED;

	*ret_charge = settlement->charge;
	if (!is_countable(&settlement->charge, CHARGE_MAX)) {
		if (!estimated)
			sg_log(SG_LOG_ERROR, "bad_charge",
				"agent=%s call=%llu effect=\"the hold is charged\"",
				hold->account->name, (unsigned long long)hold->call_id);
		*ret_charge = hold->bound;
		estimated = true;
	}
	ret_charge->requests = 1;
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
	pthread_mutex_unlock(&account->lock);
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
	give_slot(engine, hold->worker, hold->slot);
	*hold = (struct sg_hold){ .account = NULL };
}
