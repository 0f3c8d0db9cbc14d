// SPDX-License-Identifier: Apache-2.0
#include "provider/json_scan.h"

#include <errno.h>
#include <string.h>

#include "base/money.h"
#include "provider/json_index.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const unsigned char bom[3] = { 0xef, 0xbb, 0xbf };

void sg_json_scan_init(struct sg_json_scan *scan, const struct sg_json_path *paths,
	size_t path_count, sg_json_fn on_value, void *context)
{
	memset(scan, 0, offsetof(struct sg_json_scan, text));
	scan->index = sg_json_index_of(paths, path_count);
	scan->on_value = on_value;
	scan->context = context;
	// Without memory nothing is understood, and the call is refused.
	scan->state = scan->index ? SG_JSON_VALUE : SG_JSON_FAILED;
}

// ---- Nodes ----

// Node of the member whose key was just read. A key that is longer than what is kept is none of
// ours.
static int find_member(const struct sg_json_scan *scan, int parent)
{
	size_t length = scan->decoded_length == scan->text_length ? scan->text_length : SIZE_MAX;

	return sg_json_find_member(scan->index, parent, scan->text, length);
}

static int find_element(const struct sg_json_scan *scan, int parent)
{
	return sg_json_find_element(scan->index, parent);
}

static void tell(struct sg_json_scan *scan, enum sg_json_type type, bool end, int node)
{
	struct sg_json_value value = { .node = node,
		.type = type,
		.end = end,
		.text = scan->text,
		.length = scan->text_length,
		.decoded_length = scan->decoded_length,
		.characters = scan->characters,
		.offset = scan->value_offset,
		.end_offset = scan->offset };

	if (node == SG_JSON_UNWANTED)
		return;
	scan->text[scan->text_length] = 0;
	scan->on_value(scan->context, &value);
}

// Of a key that no row names (or "*" does): would a decoder that folds case take it for one?
static bool is_in_other_case(struct sg_json_scan *scan, int parent)
{
	if (scan->needs_exact_case && parent != SG_JSON_UNWANTED &&
		scan->node == scan->index->children[parent].any &&
		scan->decoded_length == scan->text_length)
		scan->other_case = sg_json_find_in_other_case(
			scan->index, parent, scan->text, scan->text_length);
	return scan->other_case;
}

// ---- Containers ----

static enum sg_json_state open_container(struct sg_json_scan *scan, bool is_array)
{
	if (scan->depth == SG_JSON_MAX_DEPTH)
		return SG_JSON_FAILED;
	scan->text_length = 0;
	scan->decoded_length = 0;
	tell(scan, is_array ? SG_JSON_ARRAY : SG_JSON_OBJECT, false, scan->node);
	scan->stack[scan->depth].node = (int16_t)scan->node;
	scan->stack[scan->depth].is_array = is_array;
	scan->depth++;
	if (is_array)
		scan->node = find_element(scan, scan->node);
	return is_array ? SG_JSON_FIRST_ITEM : SG_JSON_FIRST_KEY;
}

static enum sg_json_state after_value(const struct sg_json_scan *scan)
{
	return scan->depth ? SG_JSON_AFTER : SG_JSON_DONE;
}

static enum sg_json_state close_container(struct sg_json_scan *scan, bool is_array)
{
	if (!scan->depth || scan->stack[scan->depth - 1].is_array != is_array)
		return SG_JSON_FAILED;
	scan->depth--;
	scan->node = scan->stack[scan->depth].node;
	scan->text_length = 0;
	scan->decoded_length = 0;
	tell(scan, is_array ? SG_JSON_ARRAY : SG_JSON_OBJECT, true, scan->node);
	return after_value(scan);
}

static enum sg_json_state next_item(struct sg_json_scan *scan)
{
	if (!scan->stack[scan->depth - 1].is_array)
		return SG_JSON_KEY;
	scan->node = find_element(scan, scan->stack[scan->depth - 1].node);
	return SG_JSON_VALUE;
}

// ---- Strings ----

static void start_string(struct sg_json_scan *scan, bool in_key)
{
	scan->in_key = in_key;
	scan->text_length = 0;
	scan->characters = 0;
	scan->decoded_length = 0;
	scan->high_surrogate = 0;
}

static bool keeps_text(const struct sg_json_scan *scan)
{
	return scan->in_key || scan->node != SG_JSON_UNWANTED;
}

// All bytes but those that go on with a code point.
static uint64_t count_characters(const char *bytes, size_t length)
{
	uint64_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += ((unsigned char)bytes[i] & 0xc0) != 0x80;
	return count;
}

static void keep_text(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	size_t room = SG_JSON_TEXT_BYTES - scan->text_length;

	if (scan->on_text && !scan->in_key)
		scan->on_text(scan->context, bytes, length);
	if (scan->counts_characters)
		scan->characters += count_characters(bytes, length);
	if (length > room)
		length = room;
	memcpy(scan->text + scan->text_length, bytes, length);
	scan->text_length += length;
}

static void add_text(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	scan->decoded_length += length;
	// Of a long text most is only counted.
	if (scan->text_length < SG_JSON_TEXT_BYTES || scan->on_text || scan->counts_characters)
		keep_text(scan, bytes, length);
}

static void add_code_point(struct sg_json_scan *scan, uint32_t point)
{
	char out[4];
	size_t length;

	if (!keeps_text(scan))
		return;
	if (point < 0x80) {
		out[0] = (char)point;
		length = 1;
	} else if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		length = 2;
	} else if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (point & 0x3f));
		length = 3;
	} else {
		out[0] = (char)(0xf0 | point >> 18);
		out[1] = (char)(0x80 | (point >> 12 & 0x3f));
		out[2] = (char)(0x80 | (point >> 6 & 0x3f));
		out[3] = (char)(0x80 | (point & 0x3f));
		length = 4;
	}
	add_text(scan, out, length);
}

// A surrogate without its partner counts as the replacement character, which is what decoders make
// of it.
static void flush_surrogate(struct sg_json_scan *scan)
{
	if (scan->high_surrogate)
		add_code_point(scan, 0xfffd);
	scan->high_surrogate = 0;
}

static void end_unicode(struct sg_json_scan *scan)
{
	uint32_t unit = scan->unicode;

	if (scan->high_surrogate && unit >= 0xdc00 && unit <= 0xdfff) {
		add_code_point(scan, 0x10000 + ((uint32_t)(scan->high_surrogate - 0xd800) << 10) +
					     (unit - 0xdc00));
		scan->high_surrogate = 0;
		return;
	}
	flush_surrogate(scan);
	if (unit >= 0xd800 && unit <= 0xdbff)
		scan->high_surrogate = (uint16_t)unit;
	else
		add_code_point(scan, unit >= 0xdc00 && unit <= 0xdfff ? 0xfffd : unit);
}

static enum sg_json_state end_string(struct sg_json_scan *scan)
{
	flush_surrogate(scan);
	if (scan->in_key) {
		scan->text[scan->text_length] = 0;
		scan->node = find_member(scan, scan->stack[scan->depth - 1].node);
		return is_in_other_case(scan, scan->stack[scan->depth - 1].node) ? SG_JSON_FAILED
										 : SG_JSON_COLON;
	}
	tell(scan, SG_JSON_STRING, false, scan->node);
	return after_value(scan);
}

// Bytes up to the next quote, backslash or control character.
static size_t plain_run(const char *bytes, size_t length)
{
	size_t i = 0;

#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'),
		      control = _mm_set1_epi8(0x1f);

	for (; i + 16 <= length; i += 16) {
		__m128i block = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i));
		__m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, quote),
						   _mm_cmpeq_epi8(block, backslash)),
			_mm_cmpeq_epi8(_mm_min_epu8(block, control), block));
		int mask = _mm_movemask_epi8(hit);

		if (mask)
			return i + (size_t)__builtin_ctz((unsigned)mask);
	}
#endif
	while (i < length && bytes[i] != '"' && bytes[i] != '\\' && (unsigned char)bytes[i] >= 0x20)
		i++;
	return i;
}

// What the byte behind a backslash stands for; 0: it is no such byte, or begins \uXXXX.
static const char escapes[256] = {
	['"'] = '"',
	['\\'] = '\\',
	['/'] = '/',
	['b'] = '\b',
	['f'] = '\f',
	['n'] = '\n',
	['r'] = '\r',
	['t'] = '\t',
};

static enum sg_json_state take_escape(struct sg_json_scan *scan, char c)
{
	const char *meaning = &escapes[(unsigned char)c];

	if (c == 'u') {
		scan->unicode = 0;
		scan->unicode_digits = 0;
		return SG_JSON_UNICODE;
	}
	if (!*meaning)
		return SG_JSON_FAILED;
	flush_surrogate(scan);
	if (keeps_text(scan))
		add_text(scan, meaning, 1);
	return SG_JSON_IN_STRING;
}

static enum sg_json_state take_hex(struct sg_json_scan *scan, char c)
{
	unsigned digit;

	if (c >= '0' && c <= '9')
		digit = (unsigned)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		digit = (unsigned)((c | 0x20) - 'a') + 10;
	else
		return SG_JSON_FAILED;
	scan->unicode = (uint16_t)(scan->unicode << 4 | digit);
	if (++scan->unicode_digits < 4)
		return SG_JSON_UNICODE;
	end_unicode(scan);
	return SG_JSON_IN_STRING;
}

// ---- Numbers ----

// As written: a number is no text.
static void add_digit(struct sg_json_scan *scan, char c)
{
	if (!keeps_text(scan))
		return;
	scan->decoded_length++;
	if (scan->text_length < SG_JSON_TEXT_BYTES)
		scan->text[scan->text_length++] = c;
}

// Returns the next part of the number, or -1 when `c` is no part of it.
static int next_number_part(enum sg_json_number part, char c)
{
	bool digit = c >= '0' && c <= '9', exponent = c == 'e' || c == 'E';

	switch (part) {
	case SG_JSON_SIGN:
		return c == '0' ? SG_JSON_ZERO : digit ? SG_JSON_DIGITS : -1;
	case SG_JSON_ZERO:
		return c == '.' ? SG_JSON_POINT : exponent ? SG_JSON_EXPONENT : -1;
	case SG_JSON_DIGITS:
		return digit	  ? SG_JSON_DIGITS
		       : c == '.' ? SG_JSON_POINT
		       : exponent ? SG_JSON_EXPONENT
				  : -1;
	case SG_JSON_POINT:
		return digit ? SG_JSON_FRACTION : -1;
	case SG_JSON_FRACTION:
		return digit ? SG_JSON_FRACTION : exponent ? SG_JSON_EXPONENT : -1;
	case SG_JSON_EXPONENT:
		return digit		      ? SG_JSON_EXPONENT_DIGITS
		       : c == '+' || c == '-' ? SG_JSON_EXPONENT_SIGN
					      : -1;
	case SG_JSON_EXPONENT_SIGN:
	case SG_JSON_EXPONENT_DIGITS:
		return digit ? SG_JSON_EXPONENT_DIGITS : -1;
	}
	return -1;
}

static bool number_is_whole(enum sg_json_number part)
{
	return part == SG_JSON_ZERO || part == SG_JSON_DIGITS || part == SG_JSON_FRACTION ||
	       part == SG_JSON_EXPONENT_DIGITS;
}

static enum sg_json_state end_number(struct sg_json_scan *scan)
{
	if (!number_is_whole(scan->number))
		return SG_JSON_FAILED;
	tell(scan, SG_JSON_NUMBER, false, scan->node);
	return after_value(scan);
}

// ---- Bytes ----

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static enum sg_json_state start_literal(
	struct sg_json_scan *scan, const char *rest, enum sg_json_type type)
{
	scan->literal = rest;
	scan->literal_type = type;
	return SG_JSON_IN_LITERAL;
}

static enum sg_json_state start_value(struct sg_json_scan *scan, char c)
{
	scan->value_offset = scan->offset;
	switch (c) {
	case '{':
		return open_container(scan, false);
	case '[':
		return open_container(scan, true);
	case '"':
		start_string(scan, false);
		return SG_JSON_IN_STRING;
	case 't':
		return start_literal(scan, "rue", SG_JSON_TRUE);
	case 'f':
		return start_literal(scan, "alse", SG_JSON_FALSE);
	case 'n':
		return start_literal(scan, "ull", SG_JSON_NULL);
	default:
		break;
	}
	scan->number = SG_JSON_SIGN;
	start_string(scan, false);
	if (c != '-') {
		int part = next_number_part(SG_JSON_SIGN, c);

		if (part < 0)
			return SG_JSON_FAILED;
		scan->number = (enum sg_json_number)part;
	}
	add_digit(scan, c);
	return SG_JSON_IN_NUMBER;
}

static enum sg_json_state take_literal(struct sg_json_scan *scan, char c)
{
	if (c != *scan->literal)
		return SG_JSON_FAILED;
	if (*++scan->literal)
		return SG_JSON_IN_LITERAL;
	scan->text_length = 0;
	scan->decoded_length = 0;
	scan->offset++; // the value ends behind this byte
	tell(scan, scan->literal_type, false, scan->node);
	scan->offset--;
	return after_value(scan);
}

// The one transition function: the state after a byte that is no part of a string's plain run.
static enum sg_json_state next_state(struct sg_json_scan *scan, char c)
{
	switch (scan->state) {
	case SG_JSON_FIRST_ITEM:
	case SG_JSON_VALUE:
		if (is_blank(c))
			return scan->state;
		if (c == ']' && scan->state == SG_JSON_FIRST_ITEM)
			break;
		return start_value(scan, c);
	case SG_JSON_FIRST_KEY:
	case SG_JSON_KEY:
		if (is_blank(c))
			return scan->state;
		if (c == '}' && scan->state == SG_JSON_FIRST_KEY)
			break;
		start_string(scan, true);
		return c == '"' ? SG_JSON_IN_STRING : SG_JSON_FAILED;
	case SG_JSON_COLON:
		return is_blank(c) ? SG_JSON_COLON : c == ':' ? SG_JSON_VALUE : SG_JSON_FAILED;
	case SG_JSON_AFTER:
		if (is_blank(c))
			return SG_JSON_AFTER;
		if (c == ',')
			return next_item(scan);
		break;
	case SG_JSON_ESCAPE:
		return take_escape(scan, c);
	case SG_JSON_UNICODE:
		return take_hex(scan, c);
	case SG_JSON_IN_LITERAL:
		return take_literal(scan, c);
	case SG_JSON_DONE:
		return is_blank(c) ? SG_JSON_DONE : SG_JSON_FAILED;
	case SG_JSON_IN_STRING:
	case SG_JSON_IN_NUMBER:
	case SG_JSON_FAILED:
		return SG_JSON_FAILED;
	}
	// The end of a container.
	if (c != ']' && c != '}')
		return SG_JSON_FAILED;
	scan->offset++;
	scan->state = close_container(scan, c == ']');
	scan->offset--;
	return scan->state;
}

// Is it an escape of one byte?
static bool is_escape(const char *bytes, size_t length)
{
	return length >= 2 && *bytes == '\\' && escapes[(unsigned char)bytes[1]];
}

// Bytes up to the end of the string, or to what is not plain and no escape of one byte.
static size_t pass_text(const char *bytes, size_t length)
{
	size_t at = 0;

	for (;;) {
		at += plain_run(bytes + at, length - at);
		if (!is_escape(bytes + at, length - at))
			return at;
		at += 2;
	}
}

static size_t take_text(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	size_t at = 0;

	for (;;) {
		size_t run = plain_run(bytes + at, length - at);
		bool escape = is_escape(bytes + at + run, length - at - run);

		if (run || escape)
			flush_surrogate(scan);
		if (run)
			add_text(scan, bytes + at, run);
		at += run;
		if (!escape)
			return at;
		add_text(scan, &escapes[(unsigned char)bytes[at + 1]], 1);
		at += 2;
	}
}

static size_t take_string(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	size_t at = keeps_text(scan) ? take_text(scan, bytes, length) : pass_text(bytes, length);

	scan->offset += at;
	if (at == length)
		return at;
	scan->offset++;
	if (bytes[at] == '"')
		scan->state = end_string(scan);
	else
		scan->state = bytes[at] == '\\' ? SG_JSON_ESCAPE : SG_JSON_FAILED;
	return at + 1;
}

static size_t take_number(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length) {
		int part = next_number_part(scan->number, bytes[i]);

		if (part < 0) {
			scan->state = end_number(scan);
			return i;
		}
		scan->number = (enum sg_json_number)part;
		add_digit(scan, bytes[i]);
		i++;
		scan->offset++;
	}
	return i;
}

// Before the text: a byte order mark is passed over.
static bool take_bom(struct sg_json_scan *scan, char c)
{
	if (scan->offset != scan->bom_matched || scan->bom_matched == sizeof(bom) ||
		(unsigned char)c != bom[scan->bom_matched])
		return false;
	scan->bom_matched++;
	scan->offset++;
	return true;
}

// The first bytes: is it one of a mark? A part of the mark only is no text.
static bool take_start(struct sg_json_scan *scan, char c)
{
	if (take_bom(scan, c))
		return true;
	if (scan->bom_matched % sizeof(bom))
		scan->state = SG_JSON_FAILED;
	return scan->state == SG_JSON_FAILED;
}

int sg_json_scan_feed(struct sg_json_scan *scan, const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length && scan->state != SG_JSON_FAILED) {
		if (scan->state == SG_JSON_IN_STRING) {
			i += take_string(scan, bytes + i, length - i);
		} else if (scan->state == SG_JSON_IN_NUMBER) {
			i += take_number(scan, bytes + i, length - i);
		} else if (scan->offset < sizeof(bom) && take_start(scan, bytes[i])) {
			i++;
		} else {
			scan->state = next_state(scan, bytes[i++]);
			scan->offset++;
		}
	}
	return scan->state == SG_JSON_FAILED ? -EBADMSG : 0;
}

int sg_json_scan_finish(struct sg_json_scan *scan)
{
	if (scan->state == SG_JSON_IN_NUMBER && !scan->depth)
		scan->state = end_number(scan);
	return scan->state == SG_JSON_DONE ? 0 : -EBADMSG;
}

int sg_json_count(const struct sg_json_value *value, int64_t *ret_count)
{
	int64_t count;

	if ((value->type != SG_JSON_NUMBER && value->type != SG_JSON_STRING) ||
		value->length != value->decoded_length ||
		sg_money_parse(value->text, value->length, 0, &count) < 0 ||
		count > INT64_C(1) << 53)
		return -ERANGE;
	*ret_count = count;
	return 0;
}
