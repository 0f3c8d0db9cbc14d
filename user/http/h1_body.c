// SPDX-License-Identifier: Apache-2.0
// Body framing (RFC 9112, 6 and 7.1).
#include <errno.h>
#include <string.h>

#include "http/h1.h"

#define MAX_SIZE_DIGITS	    16
#define MAX_EXTENSION_BYTES 4096
#define MAX_TRAILER_BYTES   16384

#define INVALID (-1)

void sg_h1_body_init(struct sg_h1_body *body, const struct sg_h1_head *head)
{
	*body = (struct sg_h1_body){ .framing = head->framing, .state = SG_H1_BODY_DONE };
	switch (head->framing) {
	case SG_H1_NO_BODY:
		break;
	case SG_H1_LENGTH:
		body->remaining = head->content_length;
		if (body->remaining > 0)
			body->state = SG_H1_BODY_DATA;
		break;
	case SG_H1_CHUNKED:
		body->state = SG_H1_BODY_CHUNK_SIZE;
		break;
	case SG_H1_UNTIL_CLOSE:
		body->state = SG_H1_BODY_DATA;
		break;
	}
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

// RFC 9110, 5.6.2.
static bool is_token_character(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_text_character(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static int add_size_digit(struct sg_h1_body *body, unsigned char c)
{
	int digit = hex_value(c);

	if (digit >= 0) {
		if (++body->line_bytes > MAX_SIZE_DIGITS)
			return INVALID;
		body->remaining = body->remaining << 4 | (unsigned)digit;
		body->size_digits = true;
		return SG_H1_BODY_CHUNK_SIZE;
	}
	if (!body->size_digits)
		return INVALID;
	body->line_bytes = 0;
	if (c == ';')
		return SG_H1_BODY_CHUNK_EXTENSION;
	return c == '\r' ? SG_H1_BODY_CHUNK_SIZE_LF : INVALID;
}

// The transition function: the state after the byte `c` of framing, or INVALID.
static int next_state(struct sg_h1_body *body, unsigned char c)
{
	if (body->state >= SG_H1_BODY_TRAILER_START && ++body->trailer_bytes > MAX_TRAILER_BYTES)
		return INVALID;
	switch (body->state) {
	case SG_H1_BODY_CHUNK_SIZE:
		return add_size_digit(body, c);
	case SG_H1_BODY_CHUNK_EXTENSION:
		if (c == '\r')
			return SG_H1_BODY_CHUNK_SIZE_LF;
		return is_text_character(c) && ++body->line_bytes <= MAX_EXTENSION_BYTES
			       ? SG_H1_BODY_CHUNK_EXTENSION
			       : INVALID;
	case SG_H1_BODY_CHUNK_SIZE_LF:
		body->line_bytes = 0;
		body->size_digits = false;
		if (c != '\n')
			return INVALID;
		return body->remaining > 0 ? SG_H1_BODY_DATA : SG_H1_BODY_TRAILER_START;
	case SG_H1_BODY_CHUNK_CR:
		return c == '\r' ? SG_H1_BODY_CHUNK_LF : INVALID;
	case SG_H1_BODY_CHUNK_LF:
		return c == '\n' ? SG_H1_BODY_CHUNK_SIZE : INVALID;
	case SG_H1_BODY_TRAILER_START:
		if (c == '\r')
			return SG_H1_BODY_END_LF;
		return is_token_character(c) ? SG_H1_BODY_TRAILER_NAME : INVALID;
	case SG_H1_BODY_TRAILER_NAME:
		if (c == ':')
			return SG_H1_BODY_TRAILER;
		return is_token_character(c) ? SG_H1_BODY_TRAILER_NAME : INVALID;
	case SG_H1_BODY_TRAILER:
		if (c == '\r')
			return SG_H1_BODY_TRAILER_LF;
		return is_text_character(c) ? SG_H1_BODY_TRAILER : INVALID;
	case SG_H1_BODY_TRAILER_LF:
		return c == '\n' ? SG_H1_BODY_TRAILER_START : INVALID;
	case SG_H1_BODY_END_LF:
		return c == '\n' ? SG_H1_BODY_DONE : INVALID;
	case SG_H1_BODY_DATA:
	case SG_H1_BODY_DONE:
		break;
	}
	return INVALID;
}

// Takes a run of payload; returns its length.
static size_t take_payload(struct sg_h1_body *body, size_t length)
{
	if (body->framing == SG_H1_UNTIL_CLOSE)
		return length;
	if (length < body->remaining) {
		body->remaining -= length;
		return length;
	}
	length = (size_t)body->remaining;
	body->remaining = 0;
	body->state = body->framing == SG_H1_CHUNKED ? SG_H1_BODY_CHUNK_CR : SG_H1_BODY_DONE;
	return length;
}

ssize_t sg_h1_body_feed(
	struct sg_h1_body *body, const char *data, size_t length, struct sg_str *ret_payload)
{
	size_t at = 0;

	*ret_payload = (struct sg_str){ data, 0 };
	while (at < length && body->state != SG_H1_BODY_DONE) {
		int next;

		if (body->state == SG_H1_BODY_DATA) {
			size_t taken = take_payload(body, length - at);

			*ret_payload = (struct sg_str){ data + at, taken };
			return (ssize_t)(at + taken);
		}
		next = next_state(body, (unsigned char)data[at]);
		if (next == INVALID)
			return -EBADMSG;
		body->state = (enum sg_h1_body_state)next;
		at++;
	}
	return (ssize_t)at;
}

int sg_h1_keep_trailers(
	const struct sg_h1_body *body, const char *end, uint32_t length, struct sg_buf *lines)
{
	bool last = sg_h1_body_is_done(body);

	if (!length)
		return 0;
	if (last && length >= 2)
		return sg_buf_append(lines, end - length, length - 2);
	if (last) // its CR was kept
		lines->end--;
	return last ? 0 : sg_buf_append(lines, end - length, length);
}
