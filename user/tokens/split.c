// SPDX-License-Identifier: Apache-2.0
// The patterns that split text into pieces, as functions: what a regular expression engine would
// find by going back is found by looking once. For each pattern its expression stands above it.
#include "tokens/vocabulary.h"

#define BIT(class) (1u << SG_TEXT_##class)

#define LETTERS	    (BIT(UPPER) | BIT(LOWER) | BIT(LETTER))
#define UPPERS	    (BIT(UPPER) | BIT(LETTER) | BIT(MARK))
#define LOWERS	    (BIT(LOWER) | BIT(LETTER) | BIT(MARK))
#define SPACES	    (BIT(SPACE) | BIT(NEWLINE))
#define SIGNS	    (BIT(OTHER) | BIT(MARK))
#define BEFORE_WORD (SIGNS | BIT(SPACE))

#define NO_MATCH SIZE_MAX

struct text {
	const uint8_t *bytes;
	size_t length;
	bool is_end;
	bool is_short; // what was looked at ends where more may follow
};

// A code point; its class as a bit, 0 at the end.
struct point {
	unsigned class;
	size_t length;
};

static unsigned continued(const uint8_t *bytes, size_t length)
{
	unsigned count = 1;

	while (count < length && (bytes[count] & 0xc0) == 0x80)
		count++;
	return count;
}

static struct point point_of(uint32_t code, size_t length)
{
	uint8_t block = sg_text_classes.blocks[code / SG_TEXT_BLOCK];

	return (struct point){ 1u << sg_text_classes.classes[block][code % SG_TEXT_BLOCK], length };
}

// Not of ASCII. RFC 3629: no surrogates, nothing longer than it needs to be.
static struct point long_point(struct text *text, const uint8_t *bytes, size_t left)
{
	static const struct point invalid = { BIT(INVALID), 1 };
	unsigned length = *bytes >= 0xf0   ? 4
			  : *bytes >= 0xe0 ? 3
					   : 2,
		 have = continued(bytes, left);
	uint32_t code = *bytes & (0xffu >> (length + 1));

	if (*bytes < 0xc2 || *bytes > 0xf4)
		return invalid;
	if (have < length) {
		if (have == left && !text->is_end) {
			text->is_short = true;
			return (struct point){ 0, 0 };
		}
		return invalid;
	}
	for (unsigned i = 1; i < length; i++)
		code = code << 6 | (bytes[i] & 0x3f);
	if ((length == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
		(length == 4 && (code < 0x10000 || code > 0x10ffff)))
		return invalid;
	return point_of(code, length);
}

static struct point look(struct text *text, size_t at)
{
	if (at == text->length) {
		text->is_short = text->is_short || !text->is_end;
		return (struct point){ 0, 0 };
	}
	if (text->bytes[at] < 0x80)
		return point_of(text->bytes[at], 1);
	return long_point(text, text->bytes + at, text->length - at);
}

// The end of a run of at most `most` code points of the classes.
static size_t run(struct text *text, size_t at, unsigned classes, unsigned most)
{
	struct point point;

	while (most-- && ((point = look(text, at)).class & classes))
		at += point.length;
	return at;
}

static uint8_t byte_at(struct text *text, size_t at)
{
	if (at < text->length)
		return text->bytes[at];
	text->is_short = text->is_short || !text->is_end;
	return 0;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d), where the long s is an s, too.
static size_t contraction(struct text *text, size_t at)
{
	uint8_t first, second;

	if (byte_at(text, at) != '\'')
		return at;
	first = byte_at(text, at + 1) | 0x20;
	if (first == 's' || first == 't' || first == 'm' || first == 'd')
		return at + 2;
	if (byte_at(text, at + 1) == 0xc5)
		return byte_at(text, at + 2) == 0xbf ? at + 3 : at;
	if (first != 'r' && first != 'v' && first != 'l')
		return at;
	second = byte_at(text, at + 2) | 0x20;
	return second == (first == 'l' ? 'l' : 'e') ? at + 3 : at;
}

// ---- o200k_base ----

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:...)?: where nothing lower follows
// the run, it gives back what is behind its last code point that is both.
static size_t lower_word(struct text *text, size_t at)
{
	size_t both = NO_MATCH, end;
	struct point point;

	for (; (point = look(text, at)).class & UPPERS; at += point.length)
		if (point.class & LOWERS)
			both = at + point.length;
	end = run(text, at, LOWERS, UINT32_MAX);
	if (end == at)
		end = both;
	return end == NO_MATCH ? NO_MATCH : contraction(text, end);
}

// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:...)?
static size_t upper_word(struct text *text, size_t at)
{
	size_t end = run(text, at, UPPERS, UINT32_MAX);

	return end == at ? NO_MATCH : contraction(text, run(text, end, LOWERS, UINT32_MAX));
}

// Either of them, with [^\r\n\p{L}\p{N}]? before it.
static size_t word(struct text *text, struct point first)
{
	size_t end = NO_MATCH;

	if (first.class & BEFORE_WORD)
		end = lower_word(text, first.length);
	if (end == NO_MATCH)
		end = lower_word(text, 0);
	if (end == NO_MATCH && (first.class & BEFORE_WORD))
		end = upper_word(text, first.length);
	return end == NO_MATCH ? upper_word(text, 0) : end;
}

// ---- What both have ----

//  ?[^\s\p{L}\p{N}]+[\r\n/]*
static size_t signs(struct text *text, bool takes_slash)
{
	size_t start = text->bytes[0] == ' ', end = run(text, start, SIGNS, UINT32_MAX);
	uint8_t byte;

	if (end == start)
		return NO_MATCH;
	while ((byte = byte_at(text, end)) == '\r' || byte == '\n' || (takes_slash && byte == '/'))
		end++;
	return end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
static size_t spaces(struct text *text)
{
	size_t at = 0, last = 0, newline = 0;
	struct point point;

	for (; (point = look(text, at)).class & SPACES; at += point.length) {
		last = at;
		if (point.class & BIT(NEWLINE))
			newline = at + point.length;
	}
	if (newline)
		return newline;
	return at == text->length || !last ? at : last;
}

static size_t settle(const struct text *text, size_t end)
{
	return text->is_short ? 0 : end;
}

static bool begins_invalid(const struct point *first, bool *ret_is_valid)
{
	*ret_is_valid = !(first->class & BIT(INVALID));
	return !*ret_is_valid;
}

size_t sg_split_o200k(const uint8_t *bytes, size_t length, bool is_end, bool *ret_is_valid)
{
	struct text text = { bytes, length, is_end, false };
	struct point first = look(&text, 0);
	size_t end;

	if (begins_invalid(&first, ret_is_valid))
		return 1;
	if (text.is_short)
		return 0;
	end = word(&text, first);
	if (end == NO_MATCH && (first.class & BIT(NUMBER)))
		end = run(&text, 0, BIT(NUMBER), 3);
	if (end == NO_MATCH)
		end = signs(&text, true);
	return settle(&text, end == NO_MATCH ? spaces(&text) : end);
}

// (?i:...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t sg_split_cl100k(const uint8_t *bytes, size_t length, bool is_end, bool *ret_is_valid)
{
	struct text text = { bytes, length, is_end, false };
	struct point first = look(&text, 0);
	size_t start, end;

	if (begins_invalid(&first, ret_is_valid))
		return 1;
	if (text.is_short)
		return 0;
	end = contraction(&text, 0);
	if (end)
		return settle(&text, end);
	start = first.class & BEFORE_WORD ? first.length : 0;
	end = run(&text, start, LETTERS, UINT32_MAX);
	if (end > start)
		return settle(&text, end);
	if (first.class & BIT(NUMBER))
		return settle(&text, run(&text, 0, BIT(NUMBER), 3));
	end = signs(&text, false);
	return settle(&text, end == NO_MATCH ? spaces(&text) : end);
}
