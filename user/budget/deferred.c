// SPDX-License-Identifier: Apache-2.0
// Calls whose cost a later answer tells: their holds outlive the process.
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "budget/engine_state.h"

// What is lost with the machine is charged by the hold, as it was before.
static void sync_slot(struct sg_engine *engine, const struct sg_hold *hold)
{
	if (engine->sync_before_dispatch &&
		sg_journal_sync(&engine->journal, &engine->journal.slots[hold->slot]) < 0)
		sg_log(SG_LOG_WARN, "not_synced", "call=%llu", (unsigned long long)hold->call_id);
}

void sg_hold_defer(
	struct sg_engine *engine, const struct sg_hold *hold, const char *id, uint16_t flags)
{
	sg_slot_defer(&engine->journal.slots[hold->slot], id, flags);
	sync_slot(engine, hold);
}

int sg_hold_join(struct sg_engine *engine, struct sg_hold *hold, struct sg_hold *more)
{
	struct sg_account *account = hold->account;
	struct sg_charge added = more->bound;
	uint64_t budgets;
	int r;

	added.requests = 0;
	sg_lock_take(&account->lock);
	budgets = sg_engine_budgets_of(engine, hold);
	sg_account_lock_shared(account, budgets);
	r = sg_account_hold(account, budgets, &added);
	sg_account_unlock_shared(account, budgets);
	if (r == 0) {
		sg_engine_raise_out(engine, hold, &added);
		sg_slot_raise(&engine->journal.slots[hold->slot], &hold->bound);
	}
	sg_lock_give(&account->lock);
	if (r < 0)
		return r;
	sync_slot(engine, hold);
	sg_hold_release(engine, more);
	return 0;
}

static bool is_deferred(const struct sg_engine *engine, uint32_t index)
{
	return atomic_load_explicit(&engine->journal.slots[index].state, memory_order_acquire) ==
	       SG_SLOT_DEFERRED;
}

static struct sg_hold hold_of(
	const struct sg_engine *engine, uint32_t index, struct sg_account *account)
{
	const struct sg_slot *slot = &engine->journal.slots[index];

	return (struct sg_hold){ .account = account,
		.call_id = slot->call_id,
		.worker = index / (SG_JOURNAL_SLOTS / engine->workers),
		.slot = index,
		.bound = sg_slot_bound(slot),
		// Of no policy that was: which budgets count it is looked up.
		.generation = account->generation - 1 };
}

// Its agent may not come back: until it does, the account has its labels and no budget of its own.
static int restore(struct sg_engine *engine, uint32_t index, struct sg_error *error)
{
	const struct sg_slot *slot = &engine->journal.slots[index];
	struct sg_policy policy = { .count = 0 };
	struct sg_account *account;
	struct sg_hold hold;
	int r = sg_ledger_labels(
		engine->reader, slot->label_set, policy.labels, sizeof(policy.labels));

	if (r < 0)
		return sg_ledger_explain(engine->reader, r, error);
	r = sg_account_set(engine, sg_slot_names(slot).agent, &policy, &account, error);
	if (r < 0)
		return r;
	hold = hold_of(engine, index, account);
	sg_lock_take(&account->lock);
	// Before it can be settled. What can't be read is told, and found again by each call.
	(void)!sg_usage_load_account(engine, account, engine->monotonic_ns());
	sg_engine_put_out(engine, &hold);
	sg_charge_add(&account->held, &hold.bound);
	sg_lock_give(&account->lock);
	return 0;
}

int sg_deferred_restore(struct sg_engine *engine, struct sg_error *error)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < SG_JOURNAL_SLOTS; i++)
		if (is_deferred(engine, i))
			r = restore(engine, i, error);
	return r;
}

static int show(struct sg_engine *engine, uint32_t index, sg_deferred_hold_fn visit, void *context)
{
	const struct sg_slot *slot = &engine->journal.slots[index];
	const struct sg_slot_names names = sg_slot_names(slot);
	struct sg_account *account;
	struct sg_deferred_hold found = { .provider = names.provider,
		.api = names.api,
		.model = names.model,
		.id = sg_slot_deferred_id(slot),
		.flags = slot->http_status,
		.at_ns = slot->at_ns };

	pthread_mutex_lock(&engine->control_lock);
	HASH_FIND_STR(engine->accounts, names.agent, account);
	pthread_mutex_unlock(&engine->control_lock);
	if (!account)
		return -ENOENT; // can't be: it was made when the slot was restored
	found.hold = hold_of(engine, index, account);
	return visit(context, &found);
}

int sg_engine_each_deferred(struct sg_engine *engine, sg_deferred_hold_fn visit, void *context)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < SG_JOURNAL_SLOTS; i++)
		if (is_deferred(engine, i))
			r = show(engine, i, visit, context);
	return r;
}
