// SPDX-License-Identifier: Apache-2.0
// Counts the tokens of text as OpenAI's models do: byte pairs merged by rank within pieces that a
// pattern splits off. The vocabularies are built in. Pure, no allocation; any thread, one owner a
// counter. The text is untrusted: time is linear in it, but for the logarithm of a piece's length.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A longer piece (a run of letters, of blanks) is counted by its bytes, which are never fewer than
// its tokens.
#define SG_TOKEN_PIECE_BYTES 1024

struct sg_vocabulary;

extern const struct sg_vocabulary sg_vocabulary_o200k, sg_vocabulary_cl100k;

// The one that the text of OpenAI's model is billed by. NULL: not known.
const struct sg_vocabulary *sg_vocabulary_of_model(const char *model);

// "o200k_base", as others call it; NULL: there is none of that name.
const struct sg_vocabulary *sg_vocabulary_by_name(const char *name);

struct sg_token_counter {
	const struct sg_vocabulary *vocabulary;
	int64_t tokens;	   // of the pieces that have ended
	bool is_overlong;  // the piece is longer than what is kept of it
	uint8_t last;	   // byte of it
	size_t start, end; // of what is kept
	size_t enough;	   // kept bytes at which it is worth to look for a piece's end again
	uint8_t kept[SG_TOKEN_PIECE_BYTES];
};

void sg_token_counter_init(
	struct sg_token_counter *counter, const struct sg_vocabulary *vocabulary);

// Text in any pieces, torn code points too. What is no UTF-8 counts three tokens a byte: it is sent
// on as a replacement character.
void sg_token_counter_feed(struct sg_token_counter *counter, const char *bytes, size_t length);

// The text ends here, and another one may begin. What is counted now is exact, but for pieces that
// were too long.
void sg_token_counter_end_text(struct sg_token_counter *counter);

// So far: what has no end yet by its bytes.
static inline int64_t sg_token_counter_bound(const struct sg_token_counter *counter)
{
	return counter->tokens + (int64_t)(counter->end - counter->start);
}
