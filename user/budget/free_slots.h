// SPDX-License-Identifier: Apache-2.0
// Which slots of a worker's part of the journal are free. The lowest comes first: so many slots are
// in use, and so many pages of the journal become dirty, as calls need, and the next one lies
// beside the last. Used by the engine only; of its worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "budget/journal.h"

#define SG_SLOTS_A_WORD	 64
#define SG_SLOTS_A_GROUP (SG_SLOTS_A_WORD * 64)

_Static_assert(SG_JOURNAL_SLOTS % SG_SLOTS_A_GROUP == 0, "groups are whole");

struct sg_free_slots {
	uint64_t groups[SG_JOURNAL_SLOTS / SG_SLOTS_A_GROUP]; // the words that have any, a bit each
	uint64_t words[SG_JOURNAL_SLOTS / SG_SLOTS_A_WORD];
};

static inline void sg_free_slots_put(struct sg_free_slots *free_slots, uint32_t slot)
{
	uint32_t word = slot / SG_SLOTS_A_WORD;

	free_slots->words[word] |= UINT64_C(1) << slot % SG_SLOTS_A_WORD;
	free_slots->groups[slot / SG_SLOTS_A_GROUP] |= UINT64_C(1) << word % 64;
}

// The one that the next call will take. Returns false where none is free.
static inline bool sg_free_slots_peek(const struct sg_free_slots *free_slots, uint32_t *ret_slot)
{
	for (uint32_t group = 0; group < SG_JOURNAL_SLOTS / SG_SLOTS_A_GROUP; group++) {
		uint32_t word = group * 64;

		if (!free_slots->groups[group])
			continue;
		word += (uint32_t)__builtin_ctzll(free_slots->groups[group]);
		*ret_slot =
			word * SG_SLOTS_A_WORD + (uint32_t)__builtin_ctzll(free_slots->words[word]);
		return true;
	}
	return false;
}

static inline bool sg_free_slots_take(struct sg_free_slots *free_slots, uint32_t *ret_slot)
{
	uint32_t word;

	if (!sg_free_slots_peek(free_slots, ret_slot))
		return false;
	word = *ret_slot / SG_SLOTS_A_WORD;
	free_slots->words[word] &= free_slots->words[word] - 1;
	if (!free_slots->words[word])
		free_slots->groups[*ret_slot / SG_SLOTS_A_GROUP] &= ~(UINT64_C(1) << word % 64);
	return true;
}
