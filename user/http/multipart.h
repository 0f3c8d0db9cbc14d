// SPDX-License-Identifier: Apache-2.0
// multipart/form-data (RFC 7578) read from a stream of body bytes, whatever their borders: each
// part is told once, at its end, with its first bytes. Strict in headers: what two readers could
// take for two forms (a parameter that is there twice, an escape in a name, a header that goes on
// in a second line, a part that is coded) is no form. Pure; bounded memory; one owner; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "http/h1.h"

#define SG_FORM_MAX_BOUNDARY 70 // RFC 2046, 5.1.1
#define SG_FORM_VALUE_BYTES  192
#define SG_FORM_NAME_BYTES   64

struct sg_form_part {
	const char *name;  // of the field; "" when it has none, or one that is too long to be ours
	bool is_file;	   // it has a file name
	const char *value; // its first bytes, NUL-terminated
	size_t length;	   // of value
	uint64_t bytes;	   // of the whole part
};

typedef void (*sg_form_fn)(void *context, const struct sg_form_part *part);
typedef void (*sg_form_data_fn)(void *context, const char *bytes, size_t length);

enum sg_form_state {
	SG_FORM_PREAMBLE,
	SG_FORM_DELIMITER_END, // behind a boundary: "--", or blanks and the end of the line
	SG_FORM_HEADER,
	SG_FORM_BODY,
	SG_FORM_EPILOGUE,
	SG_FORM_FAILED,
};

struct sg_form {
	enum sg_form_state state;
	sg_form_fn on_part;
	sg_form_data_fn on_file_data; // NULL: not wanted; set after init
	void *context;
	char delimiter[SG_FORM_MAX_BOUNDARY + 5]; // CRLF, two dashes, boundary
	size_t delimiter_length;
	size_t matched;	 // bytes of the delimiter
	size_t implied;	 // of these, what stands in for the end of the line before: no data
	size_t dashes;	 // behind a boundary
	char line[2048]; // the header that is being read
	size_t line_length;
	bool line_cut;	   // it does not fit
	bool after_return; // its last byte was a CR
	bool has_disposition;
	bool has_name;
	char name[SG_FORM_NAME_BYTES];
	bool is_file;
	char value[SG_FORM_VALUE_BYTES + 1];
	size_t value_length;
	uint64_t bytes;
};

// Is it a form, by its Content-Type?
bool sg_form_is(struct sg_str content_type);

// Returns 0, or -EBADMSG: not one boundary that could be one.
int sg_form_init(struct sg_form *form, struct sg_str content_type, sg_form_fn on_part,
	void *context) SG_WUNRES;

// Returns 0 or -EBADMSG (no form; sticks).
int sg_form_feed(struct sg_form *form, const char *bytes, size_t length);

// Returns 0 when the closing boundary was there, else -EBADMSG.
int sg_form_finish(const struct sg_form *form) SG_WUNRES;
