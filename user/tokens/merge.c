// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding of one piece: of all neighbours that are a token together, those whose token
// has the lowest rank become one, the leftmost first, until none are. A heap finds them.
#include "tokens/tokens.h"
#include "tokens/vocabulary.h"

#define POSITION_BITS 10
_Static_assert(SG_TOKEN_PIECE_BYTES <= 1 << POSITION_BITS, "a position has its bits");
_Static_assert(SG_TOKEN_RANK_BITS + POSITION_BITS <= 32, "so have both");

// A part is known by the position of its first byte.
struct merge {
	const struct sg_token_table *table;
	const uint8_t *piece;
	size_t length, count; // of parts
	uint16_t next[SG_TOKEN_PIECE_BYTES], previous[SG_TOKEN_PIECE_BYTES];
	uint32_t rank[SG_TOKEN_PIECE_BYTES]; // of the part with its next
	size_t heap_length;
	uint32_t heap[3 * SG_TOKEN_PIECE_BYTES]; // rank, position; what is no more may be in it
};

static uint32_t rank_of(const struct sg_token_table *table, const uint8_t *bytes, size_t length)
{
	const uint32_t *starts = table->slots + table->slot_count;
	const uint8_t *texts = (const uint8_t *)(starts + table->token_count + 1);
	uint64_t hash;
	uint32_t slot;

	if (length > table->longest)
		return SG_TOKEN_NONE;
	hash = sg_token_hash(bytes, length);
	for (uint32_t at = (uint32_t)hash & (table->slot_count - 1);
		(slot = table->slots[at]) != SG_TOKEN_NONE;
		at = (at + 1) & (table->slot_count - 1)) {
		uint32_t rank = slot & ((1u << SG_TOKEN_RANK_BITS) - 1);

		if (slot == sg_token_slot(hash, rank) &&
			starts[rank + 1] - starts[rank] == length &&
			memcmp(texts + starts[rank], bytes, length) == 0)
			return rank;
	}
	return SG_TOKEN_NONE;
}

static void push(struct merge *merge, uint32_t key)
{
	size_t at = merge->heap_length++;

	for (; at && merge->heap[(at - 1) / 2] > key; at = (at - 1) / 2)
		merge->heap[at] = merge->heap[(at - 1) / 2];
	merge->heap[at] = key;
}

static uint32_t pop(struct merge *merge)
{
	uint32_t lowest = merge->heap[0], key = merge->heap[--merge->heap_length];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < merge->heap_length) {
		child += child + 1 < merge->heap_length &&
			 merge->heap[child + 1] < merge->heap[child];
		if (merge->heap[child] >= key)
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = key;
	return lowest;
}

static void rate(struct merge *merge, size_t at)
{
	size_t next = merge->next[at];

	merge->rank[at] = next == merge->length ? SG_TOKEN_NONE
						: rank_of(merge->table, merge->piece + at,
							  merge->next[next] - at);
	if (merge->rank[at] != SG_TOKEN_NONE)
		push(merge, merge->rank[at] << POSITION_BITS | (uint32_t)at);
}

static void join(struct merge *merge, size_t at)
{
	size_t gone = merge->next[at], next = merge->next[gone];

	merge->rank[gone] = SG_TOKEN_NONE;
	merge->next[at] = (uint16_t)next;
	if (next < merge->length)
		merge->previous[next] = (uint16_t)at;
	merge->count--;
	rate(merge, at);
	if (at)
		rate(merge, merge->previous[at]);
}

unsigned sg_merge_count(const struct sg_token_table *table, const uint8_t *piece, size_t length)
{
	struct merge merge;

	if (length == 1 || rank_of(table, piece, length) != SG_TOKEN_NONE)
		return 1;
	merge.table = table;
	merge.piece = piece;
	merge.length = merge.count = length;
	merge.heap_length = 0;
	for (size_t i = 0; i < length; i++) {
		merge.next[i] = (uint16_t)(i + 1);
		merge.previous[i] = (uint16_t)(i - 1);
	}
	for (size_t i = 0; i < length; i++)
		rate(&merge, i);
	while (merge.heap_length) {
		uint32_t key = pop(&merge);
		size_t at = key & ((1u << POSITION_BITS) - 1);

		if (merge.rank[at] == key >> POSITION_BITS)
			join(&merge, at);
	}
	return (unsigned)merge.count;
}
