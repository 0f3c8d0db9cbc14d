// SPDX-License-Identifier: Apache-2.0
#include "budget/journal_before.h"

#include <stddef.h>
#include <string.h>

struct slot_before {
	uint32_t state;
	uint32_t checksum;
	uint64_t call_id;
	int64_t at_ns;
	struct sg_charge bound;
	char agent[SG_SLOT_AGENT_BYTES];
	char provider[SG_SLOT_PROVIDER_BYTES];
	char api[SG_SLOT_API_BYTES];
	char model[SG_SLOT_MODEL_BYTES];
	struct sg_charge charge;
	int64_t settled_at_ns;
	int64_t cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens;
	uint32_t http_status;
	uint8_t estimated, aborted, cut, reserved;
	char settled_model[SG_SLOT_MODEL_BYTES];
	uint32_t settled_checksum;
	uint32_t label_set;
	int64_t held_nanousd;
};

_Static_assert(sizeof(struct slot_before) == SG_SLOT_BYTES_BEFORE, "as it was on disk");

static uint32_t checksum(const struct slot_before *slot, size_t start, size_t end)
{
	uint64_t first = 1, second = 0;

	for (size_t at = start; at < end; at += sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, (const char *)slot + at, sizeof(word));
		first += word;
		second += first;
	}
	first ^= second << 32 | second >> 32;
	return (uint32_t)(first ^ first >> 32);
}

static bool is_whole(const struct slot_before *slot)
{
	return slot->checksum == checksum(slot, offsetof(struct slot_before, call_id),
					 offsetof(struct slot_before, charge)) +
					 slot->label_set * 2654435761u;
}

static bool is_settled_whole(const struct slot_before *slot)
{
	return slot->settled_checksum == checksum(slot, offsetof(struct slot_before, charge),
						 offsetof(struct slot_before, settled_checksum));
}

static void copy_settled(const struct slot_before *before, struct sg_slot *slot)
{
	slot->settled_at_ns = before->settled_at_ns;
	slot->cache_read_tokens = before->cache_read_tokens;
	slot->cache_write_tokens = before->cache_write_tokens;
	slot->cache_write_1h_tokens = before->cache_write_1h_tokens;
	slot->reasoning_tokens = before->reasoning_tokens;
	slot->http_status = (uint16_t)before->http_status;
	slot->estimated = before->estimated & 1;
	slot->aborted = before->aborted & 1;
	slot->cut = before->cut & 1;
	sg_slot_set_settled_model(slot, before->settled_model);
}

static void take_over(const struct slot_before *before, bool with_raises, struct sg_slot *slot)
{
	const bool settled = before->state == SG_SLOT_SETTLED;
	struct sg_slot_names names;

	slot->call_id = before->call_id;
	slot->at_ns = before->at_ns;
	slot->bound = before->bound;
	slot->label_set = before->label_set;
	// Of version 2, what an earlier call was charged stands where a raise would.
	slot->charge = settled || with_raises ? before->charge : before->bound;
	slot->held_nanousd = with_raises ? before->held_nanousd : before->bound.nanousd;
	sg_slot_set_names(
		slot, before->agent, before->provider, before->api, before->model, &names);
	sg_slot_hold(slot);
	if (settled) {
		copy_settled(before, slot);
		sg_slot_settle(slot);
		slot->settled_checksum ^= !is_settled_whole(before);
	}
	slot->checksum ^= !is_whole(before);
	atomic_store_explicit(&slot->state, before->state, memory_order_relaxed);
}

void sg_slots_take_over(const void *before, bool with_raises, struct sg_slot *slots)
{
	for (unsigned i = 0; i < SG_SLOTS_BEFORE; i++) {
		struct slot_before slot;

		memcpy(&slot, (const char *)before + (size_t)i * sizeof(slot), sizeof(slot));
		if (slot.state != SG_SLOT_FREE && slot.state != SG_SLOT_FILLING)
			take_over(&slot, with_raises, &slots[i]);
	}
}
