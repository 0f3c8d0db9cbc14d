// SPDX-License-Identifier: Apache-2.0
// Changes of a request's body, as a short list, applied while it is sent: the body itself is never
// copied. A plain value; any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

#define SG_REQUEST_EDITS 4

// Put `text` in place of `remove` bytes at `offset`. Offsets are of the decoded body.
struct sg_request_edit {
	uint64_t offset;
	uint64_t remove;
	char text[80];
	size_t text_length;
};

// In the order of their offsets; none overlaps another.
struct sg_request_edits {
	unsigned count;
	struct sg_request_edit list[SG_REQUEST_EDITS];
};

// Adds one in its place; of two at one offset the first added comes first. Returns 0 or -ENOSPC.
int sg_request_edits_add(struct sg_request_edits *edits, uint64_t offset, uint64_t remove,
	const char *text) SG_WUNRES;

// The length of the edited body.
uint64_t sg_request_edits_length(const struct sg_request_edits *edits, uint64_t body_length);

// What stands at an offset of the edited body: the text of an edit, or bytes of the body.
struct sg_request_piece {
	const char *text;     // NULL: of the body,
	uint64_t body_offset; // from here on
	uint64_t length;      // UINT64_MAX: up to the body's end
};

struct sg_request_piece sg_request_edits_at(const struct sg_request_edits *edits, uint64_t offset);
