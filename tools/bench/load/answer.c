// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_begin(struct answer *answer)
{
	memset(answer, 0, offsetof(struct answer, line));
}

static enum answer_state status_line(struct answer *answer)
{
	if (strncmp(answer->line, "HTTP/1.", 7) != 0 || strlen(answer->line) < 12)
		return ANSWER_MALFORMED;
	answer->status = (unsigned)strtoul(answer->line + 9, NULL, 10);
	return ANSWER_FIELDS;
}

static enum answer_state after_head(struct answer *answer)
{
	if (answer->chunked)
		return ANSWER_CHUNK_SIZE;
	if (!answer->has_length)
		return ANSWER_BODY_TO_CLOSE;
	return answer->remaining ? ANSWER_BODY_BY_LENGTH : ANSWER_COMPLETE;
}

static enum answer_state field_line(struct answer *answer)
{
	const char *line = answer->line;

	if (*line == '\0')
		return after_head(answer);
	if (strncasecmp(line, "content-length:", 15) == 0) {
		answer->has_length = true;
		answer->remaining = strtoull(line + 15, NULL, 10);
	} else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
		answer->chunked = strcasestr(line + 18, "chunked") != NULL;
	} else if (strncasecmp(line, "connection:", 11) == 0) {
		answer->close = strcasestr(line + 11, "close") != NULL;
	}
	return ANSWER_FIELDS;
}

static enum answer_state chunk_size_line(struct answer *answer)
{
	char *end;

	answer->remaining = strtoull(answer->line, &end, 16);
	if (end == answer->line)
		return ANSWER_MALFORMED;
	return answer->remaining ? ANSWER_CHUNK_DATA : ANSWER_TRAILER;
}

static enum answer_state line_complete(struct answer *answer)
{
	switch (answer->state) {
	case ANSWER_STATUS_LINE:
		return status_line(answer);
	case ANSWER_FIELDS:
		return field_line(answer);
	case ANSWER_CHUNK_SIZE:
		return chunk_size_line(answer);
	case ANSWER_CHUNK_END:
		return *answer->line ? ANSWER_MALFORMED : ANSWER_CHUNK_SIZE;
	case ANSWER_TRAILER:
		return *answer->line ? ANSWER_TRAILER : ANSWER_COMPLETE;
	default:
		return ANSWER_MALFORMED;
	}
}

// Returns how many bytes were taken: up to the end of the line. Overlong lines are cut; what this
// client needs comes first in them.
static size_t read_line(struct answer *answer, const char *data, size_t length)
{
	const char *newline = memchr(data, '\n', length);
	size_t piece = newline ? (size_t)(newline - data) : length;
	size_t room = ANSWER_MAX_LINE - 1 - answer->line_length;
	size_t copied = piece < room ? piece : room;

	memcpy(answer->line + answer->line_length, data, copied);
	answer->line_length += copied;
	if (!newline)
		return piece;
	if (answer->line_length && answer->line[answer->line_length - 1] == '\r')
		answer->line_length--;
	answer->line[answer->line_length] = '\0';
	answer->line_length = 0;
	answer->state = line_complete(answer);
	return piece + 1;
}

static size_t read_body(struct answer *answer, size_t length)
{
	size_t piece = length < answer->remaining ? length : (size_t)answer->remaining;

	answer->remaining -= piece;
	answer->body_bytes += piece;
	if (answer->remaining == 0)
		answer->state =
			answer->state == ANSWER_CHUNK_DATA ? ANSWER_CHUNK_END : ANSWER_COMPLETE;
	return piece;
}

void answer_read(struct answer *answer, const char *data, size_t length)
{
	while (length) {
		size_t taken;

		switch (answer->state) {
		case ANSWER_BODY_BY_LENGTH:
		case ANSWER_CHUNK_DATA:
			taken = read_body(answer, length);
			break;
		case ANSWER_BODY_TO_CLOSE:
			answer->body_bytes += length;
			taken = length;
			break;
		case ANSWER_COMPLETE:
		case ANSWER_MALFORMED:
			answer->state = ANSWER_MALFORMED;
			return;
		default:
			taken = read_line(answer, data, length);
		}
		data += taken;
		length -= taken;
	}
}

void answer_end(struct answer *answer)
{
	if (answer->state != ANSWER_COMPLETE)
		answer->state =
			answer->state == ANSWER_BODY_TO_CLOSE ? ANSWER_COMPLETE : ANSWER_MALFORMED;
}
