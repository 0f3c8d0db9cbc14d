// SPDX-License-Identifier: Apache-2.0
#include "tokens/tokens.h"

#include "tokens/vocabulary.h"

// Of a byte that is no UTF-8: the replacement character's bytes.
#define INVALID_TOKENS 3

#define SHORT_BYTES 64

void sg_token_counter_init(struct sg_token_counter *counter, const struct sg_vocabulary *vocabulary)
{
	counter->vocabulary = vocabulary;
	counter->tokens = 0;
	counter->is_overlong = false;
	counter->start = counter->end = 0;
	counter->enough = 0;
}

// Between two bytes that no pattern has in one piece: a blank comes behind a sign or a letter.
static bool is_border(uint8_t before, uint8_t byte)
{
	return byte == ' ' && before > ' ' && before < 0x7f;
}

// Counts the bytes of a piece that is too long, and of what follows, up to where one can't go on.
// Returns how many were taken.
static size_t pass_overlong(struct sg_token_counter *counter, const uint8_t *bytes, size_t length)
{
	size_t i = 0;

	for (; i < length && !is_border(counter->last, bytes[i]); i++)
		counter->last = bytes[i];
	counter->tokens += (int64_t)i;
	counter->is_overlong = i == length;
	return i;
}

static void begin_overlong(struct sg_token_counter *counter)
{
	counter->tokens += SG_TOKEN_PIECE_BYTES;
	counter->last = counter->kept[SG_TOKEN_PIECE_BYTES - 1];
	counter->is_overlong = true;
	counter->start = counter->end = 0;
}

static void take_pieces(struct sg_token_counter *counter, bool is_end)
{
	const struct sg_vocabulary *vocabulary = counter->vocabulary;
	bool is_valid;
	size_t left;

	while (counter->start < counter->end) {
		const uint8_t *text = counter->kept + counter->start;
		size_t piece =
			vocabulary->split(text, counter->end - counter->start, is_end, &is_valid);

		if (!piece)
			break;
		counter->tokens +=
			is_valid ? sg_merge_count(vocabulary->table, text, piece) : INVALID_TOKENS;
		counter->start += piece;
	}
	left = counter->end - counter->start;
	// What has not ended yet, and is no short word, is looked at again when it has doubled.
	counter->enough = left < SHORT_BYTES ? 0 : 2 * left;
	if (!left)
		counter->start = counter->end = 0;
}

static size_t keep(struct sg_token_counter *counter, const uint8_t *bytes, size_t length)
{
	size_t room = SG_TOKEN_PIECE_BYTES - counter->end, kept = counter->end - counter->start;

	if (room < length && counter->start) {
		memmove(counter->kept, counter->kept + counter->start, kept);
		counter->start = 0;
		counter->end = kept;
		room = SG_TOKEN_PIECE_BYTES - kept;
	}
	room = room < length ? room : length;
	memcpy(counter->kept + counter->end, bytes, room);
	counter->end += room;
	return room;
}

void sg_token_counter_feed(struct sg_token_counter *counter, const char *text, size_t length)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t taken;

	while (length) {
		if (counter->is_overlong) {
			taken = pass_overlong(counter, bytes, length);
		} else {
			taken = keep(counter, bytes, length);
			if (counter->end - counter->start >= counter->enough ||
				counter->end == SG_TOKEN_PIECE_BYTES)
				take_pieces(counter, false);
			if (counter->end - counter->start == SG_TOKEN_PIECE_BYTES)
				begin_overlong(counter);
		}
		bytes += taken;
		length -= taken;
	}
}

void sg_token_counter_end_text(struct sg_token_counter *counter)
{
	if (!counter->is_overlong)
		take_pieces(counter, true);
	counter->is_overlong = false;
}
