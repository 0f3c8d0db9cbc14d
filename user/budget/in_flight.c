// SPDX-License-Identifier: Apache-2.0
// The calls in flight, and which budgets hold them.
#include "budget/engine_state.h"

static struct sg_account *whose(const struct in_flight *out)
{
	return atomic_load_explicit(&out->account, memory_order_relaxed);
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

// A change of the policy may have moved it.
uint64_t sg_engine_budgets_of(const struct sg_engine *engine, const struct sg_hold *hold)
{
	if (hold->generation == hold->account->generation)
		return hold->budgets;
	return budgets_for_slot(engine, hold->account, hold->slot);
}
