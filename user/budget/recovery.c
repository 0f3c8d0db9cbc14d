// SPDX-License-Identifier: Apache-2.0
#include "budget/recovery.h"

#include "base/log.h"

static void log_recovered(const struct sg_slot *slot, const char *why)
{
	const struct sg_slot_names names = sg_slot_names(slot);

	sg_log(SG_LOG_WARN, "recovered",
		"agent=%s call=%llu model=%s reason=\"%s\" effect=\"charged in full\"", names.agent,
		(unsigned long long)slot->call_id, names.model, why);
}

// Its end is told later. With another number of workers a few slots at the end are nobody's.
static bool goes_on(const struct sg_slot *slot, uint32_t index, uint32_t usable)
{
	return index < usable &&
	       atomic_load_explicit(&slot->state, memory_order_acquire) == SG_SLOT_DEFERRED &&
	       sg_slot_deferred_id(slot);
}

static int recover_slot(struct sg_ledger *ledger, const struct sg_slot *slot, uint32_t index)
{
	uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);

	// A slot that was being filled was never dispatched.
	if (state == SG_SLOT_FREE || state == SG_SLOT_FILLING)
		return 0;
	if (state > SG_SLOT_DEFERRED || !sg_slot_is_whole(slot)) {
		sg_log(SG_LOG_ERROR, "torn_slot",
			"slot=%u effect=\"a call at a loss of power can't be charged: look at the "
			"provider's bill\"",
			index);
		return 0;
	}
	if (state != SG_SLOT_SETTLED) {
		log_recovered(slot, "in flight when the enforcer ended");
		return sg_ledger_add(ledger, slot, true);
	}
	if (!sg_slot_is_settled_whole(slot)) {
		log_recovered(slot, "its settlement is torn");
		return sg_ledger_add(ledger, slot, true);
	}
	return sg_ledger_add(ledger, slot, false);
}

// A page on which nothing was stays clean.
static void free_slot(struct sg_slot *slot)
{
	if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SG_SLOT_FREE)
		atomic_store_explicit(&slot->state, SG_SLOT_FREE, memory_order_release);
}

int sg_recovery_run(const struct sg_journal *journal, uint32_t usable, struct sg_ledger *ledger,
	struct sg_error *error)
{
	int r = sg_ledger_begin(ledger);

	for (uint32_t i = 0; r == 0 && i < SG_JOURNAL_SLOTS; i++)
		if (!goes_on(&journal->slots[i], i, usable))
			r = recover_slot(ledger, &journal->slots[i], i);
	if (r == 0)
		r = sg_ledger_commit(ledger);
	if (r < 0) {
		sg_ledger_explain(ledger, r, error);
		sg_ledger_rollback(ledger);
		return sg_error_prefix(
			error, r, "the hold journal can't be moved into the ledger: ");
	}
	for (uint32_t i = 0; i < SG_JOURNAL_SLOTS; i++)
		if (!goes_on(&journal->slots[i], i, usable))
			free_slot(&journal->slots[i]);
	return 0;
}
