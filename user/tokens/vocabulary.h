// SPDX-License-Identifier: Apache-2.0
// Pieces and their tokens. Not for other modules.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokens/table.h"

// The length of the piece that the text begins with; 0: its end can't be told without what follows.
// `is_end`: nothing follows. *ret_is_valid is false for a byte that is no UTF-8, a piece of its
// own.
typedef size_t (*sg_split_fn)(const uint8_t *text, size_t length, bool is_end, bool *ret_is_valid);

size_t sg_split_o200k(const uint8_t *text, size_t length, bool is_end, bool *ret_is_valid);
size_t sg_split_cl100k(const uint8_t *text, size_t length, bool is_end, bool *ret_is_valid);

struct sg_vocabulary {
	const char *name;
	const struct sg_token_table *table;
	sg_split_fn split;
};

// How many tokens a piece is, of 1 to SG_TOKEN_PIECE_BYTES bytes.
unsigned sg_merge_count(const struct sg_token_table *table, const uint8_t *piece, size_t length);
