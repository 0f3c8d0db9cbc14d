// SPDX-License-Identifier: Apache-2.0
// The tokens of strings as they stand in JSON. Not for other modules.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "tokens/tokens.h"

// What a stream delivers: some texts, each in many strings. Pure; one owner.
struct sg_text_tokens {
	uint64_t source; // of the string before
	int64_t strings; // a token each, at least
	struct sg_token_counter counter;
};

// Returns NULL without memory.
struct sg_text_tokens *sg_text_tokens_new(const struct sg_vocabulary *vocabulary);

// From quote to quote. Another source than before, or an empty string, ends the text before.
void sg_text_tokens_add(
	struct sg_text_tokens *tokens, uint64_t source, const char *json, size_t length);

// Never less than are in it.
int64_t sg_text_tokens_bound(const struct sg_text_tokens *tokens);
