// SPDX-License-Identifier: Apache-2.0
// A vocabulary as it lies in the program: made by tools/vocabulary at build time, read-only.
// Not for other modules.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SG_TOKEN_MAGIC 0x4b545347 // "GSTK"

// A slot: the token's rank, and above it some bits of its hash.
#define SG_TOKEN_RANK_BITS 18
#define SG_TOKEN_NONE	   UINT32_MAX // an empty slot, or no token

struct sg_token_table {
	uint32_t magic;
	uint32_t token_count; // the rank of a token is its number
	uint32_t slot_count;  // a power of two, more than the tokens
	uint32_t longest;     // token, in bytes
	// Behind it: slots[slot_count], starts[token_count + 1], bytes[]
	uint32_t slots[];
};

static inline uint64_t sg_token_hash(const uint8_t *bytes, size_t length)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = length * factor, word;

	for (; length >= 8; bytes += 8, length -= 8) {
		memcpy(&word, bytes, 8);
		hash = (hash ^ word) * factor;
		hash ^= hash >> 29;
	}
	word = 0;
	for (size_t i = 0; i < length; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	hash = (hash ^ word) * factor;
	return hash ^ hash >> 32;
}

static inline uint32_t sg_token_slot(uint64_t hash, uint32_t rank)
{
	return (uint32_t)(hash >> 50) << SG_TOKEN_RANK_BITS | rank;
}

// ---- Classes of code points, as the patterns that split text know them ----

enum sg_text_class {
	SG_TEXT_OTHER,
	SG_TEXT_UPPER,	 // Lu, Lt
	SG_TEXT_LOWER,	 // Ll
	SG_TEXT_LETTER,	 // Lm, Lo
	SG_TEXT_MARK,	 // M
	SG_TEXT_NUMBER,	 // N
	SG_TEXT_SPACE,	 // White_Space
	SG_TEXT_NEWLINE, // CR, LF: of White_Space, too
	SG_TEXT_INVALID, // no UTF-8
};

// Two stages: the block of a code point, then its class in there, one a byte.
#define SG_TEXT_BLOCK	    256
#define SG_TEXT_BLOCK_COUNT (0x110000 / SG_TEXT_BLOCK)

struct sg_text_classes {
	uint8_t blocks[SG_TEXT_BLOCK_COUNT];
	uint8_t classes[][SG_TEXT_BLOCK];
};

extern const struct sg_token_table sg_token_table_o200k, sg_token_table_cl100k;
extern const struct sg_text_classes sg_text_classes;
