// SPDX-License-Identifier: Apache-2.0
// A streaming JSON scanner (RFC 8259) for a few wanted paths: fed in any pieces, no allocation,
// strings skipped many bytes at a time. The whole text is checked for grammar; what is not wanted
// is not kept. One owner; any thread.
//
// Differences to a full parser: bytes of strings are not checked for UTF-8; depth is limited to
// SG_JSON_MAX_DEPTH; a UTF-8 byte order mark before the text is skipped.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define SG_JSON_MAX_DEPTH  256
#define SG_JSON_TEXT_BYTES 192 // of a wanted string or number that are kept
#define SG_JSON_ROOT	   0
#define SG_JSON_UNWANTED   (-1)

// A row: inside `parent`, the member `key` (NULL: any element of an array; "*": any member that no
// other row names) is node = index of the row + 1, or `same_as` where that is given: one table for
// an object that may stand in two places. Node 0 is the root.
struct sg_json_path {
	int parent;
	const char *key;
	int same_as; // node; 0: its own
};

enum sg_json_type {
	SG_JSON_OBJECT,
	SG_JSON_ARRAY,
	SG_JSON_STRING,
	SG_JSON_NUMBER,
	SG_JSON_TRUE,
	SG_JSON_FALSE,
	SG_JSON_NULL,
};

struct sg_json_value {
	int node;
	enum sg_json_type type;
	bool end;	  // objects and arrays are told twice: at their begin and at their end
	const char *text; // strings (escapes decoded) and numbers (as written): the first bytes,
			  // NUL-terminated
	size_t length;	  // of text
	uint64_t decoded_length; // of the whole string in UTF-8 bytes
	uint64_t characters;	 // the same in code points, where they are counted
	uint64_t offset;	 // of the first byte of the value in the text
	uint64_t end_offset;	 // one past its last byte; of an object or array only at its end
};

typedef void (*sg_json_fn)(void *context, const struct sg_json_value *value);

// Bytes of a wanted string, escapes decoded, in any pieces, before it is told as a value.
typedef void (*sg_json_text_fn)(void *context, const char *bytes, size_t length);

enum sg_json_state {
	SG_JSON_VALUE,	    // a value must follow
	SG_JSON_FIRST_ITEM, // a value or ]
	SG_JSON_FIRST_KEY,  // a key or }
	SG_JSON_KEY,	    // a key must follow
	SG_JSON_COLON,
	SG_JSON_AFTER, // comma, or the end of the container
	SG_JSON_IN_STRING,
	SG_JSON_ESCAPE,
	SG_JSON_UNICODE,
	SG_JSON_IN_NUMBER,
	SG_JSON_IN_LITERAL,
	SG_JSON_DONE, // only white space may follow
	SG_JSON_FAILED,
};

enum sg_json_number {
	SG_JSON_SIGN,
	SG_JSON_ZERO,
	SG_JSON_DIGITS,
	SG_JSON_POINT,
	SG_JSON_FRACTION,
	SG_JSON_EXPONENT,
	SG_JSON_EXPONENT_SIGN,
	SG_JSON_EXPONENT_DIGITS,
};

struct sg_json_index;

struct sg_json_scan {
	const struct sg_json_index *index;
	sg_json_fn on_value;
	sg_json_text_fn on_text; // set after init; NULL: nobody wants whole strings
	void *context;
	enum sg_json_state state;
	enum sg_json_number number;
	bool in_key;
	bool counts_characters; // of wanted strings: set after init
	// Set after init: a key that is a wanted one but for its case is no text that all decoders
	// read alike, and fails; other_case is the wanted one then.
	bool needs_exact_case;
	const char *other_case;
	uint8_t bom_matched;
	uint8_t unicode_digits;
	uint16_t unicode;
	uint16_t high_surrogate;
	const char *literal; // what is left of true, false, null
	enum sg_json_type literal_type;
	int node; // of the value that comes or is being read
	unsigned depth;
	uint64_t offset; // of the next byte
	uint64_t value_offset;
	uint64_t decoded_length;
	uint64_t characters;
	size_t text_length;
	char text[SG_JSON_TEXT_BYTES + 1];
	struct {
		int16_t node;
		bool is_array;
	} stack[SG_JSON_MAX_DEPTH];
};

// `paths` must live as long as the program.
void sg_json_scan_init(struct sg_json_scan *scan, const struct sg_json_path *paths,
	size_t path_count, sg_json_fn on_value, void *context);

// Returns 0 or -EBADMSG (no JSON; sticks).
int sg_json_scan_feed(struct sg_json_scan *scan, const char *bytes, size_t length);

// End of text. Returns 0 when it was one whole value, else -EBADMSG.
int sg_json_scan_finish(struct sg_json_scan *scan) SG_WUNRES;

// A count: a whole number from 0 to 2^53 ("12", "12.0", "1.2e1"), also when it was given as a
// string. Returns 0, or -ERANGE for anything else (negative, fraction, NaN, too large).
int sg_json_count(const struct sg_json_value *value, int64_t *ret_count) SG_WUNRES;
