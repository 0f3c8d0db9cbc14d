// SPDX-License-Identifier: Apache-2.0
// Reads one HTTP/1.1 answer from pieces: enough to know where it ends and how long its body is.
// Answers without a length end with the connection. No memory of its own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MAX_LINE 512

enum answer_state {
	ANSWER_STATUS_LINE,
	ANSWER_FIELDS,
	ANSWER_BODY_BY_LENGTH,
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK_DATA,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_BODY_TO_CLOSE,
	ANSWER_COMPLETE,
	ANSWER_MALFORMED,
};

struct answer {
	enum answer_state state;
	unsigned status;
	bool chunked;
	bool has_length;
	bool close;	     // the server will close the connection
	uint64_t remaining;  // of the body or of the current chunk
	uint64_t body_bytes; // payload that has come
	size_t line_length;
	char line[ANSWER_MAX_LINE];
};

void answer_begin(struct answer *answer);

// Takes all `length` bytes; the state tells what they did. Bytes after the end are malformed, since
// the client never pipelines.
void answer_read(struct answer *answer, const char *data, size_t length);

// The connection has ended in good order.
void answer_end(struct answer *answer);
