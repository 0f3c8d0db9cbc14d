// SPDX-License-Identifier: Apache-2.0
// Both roles of the codec of HTTP/2 against each other, and frames made by hand.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "http/h2.h"

struct pair {
	struct sg_h2 *client, *server;
	size_t piece; // bytes given at once
};

static inline struct sg_h1_head parse(enum sg_h1_kind kind, const char *text)
{
	struct sg_h1_head head;
	const char *reason;

	assert_int_equal(
		sg_h1_parse_head(kind, false, text, strlen(text), &head, &reason), strlen(text));
	return head;
}

static inline void begin(struct pair *pair, size_t piece)
{
	*pair = (struct pair){ .piece = piece };
	assert_int_equal(sg_h2_new(SG_H2_CLIENT, &pair->client), 0);
	assert_int_equal(sg_h2_new(SG_H2_SERVER, &pair->server), 0);
}

static inline void end(struct pair *pair)
{
	sg_h2_free(pair->client);
	sg_h2_free(pair->server);
}

static inline size_t carry(struct sg_h2 *from, struct sg_h2 *to, size_t piece)
{
	struct sg_buf wire = { .data = NULL };
	size_t length;

	assert_int_equal(sg_h2_drain(from, &wire, SIZE_MAX), 0);
	length = sg_buf_length(&wire);
	for (size_t at = 0; at < length; at += piece)
		assert_int_equal(sg_h2_feed(to, sg_buf_head(&wire) + at,
					 length - at < piece ? length - at : piece, 0),
			0);
	sg_buf_release(&wire);
	return length;
}

static inline void exchange_bytes(struct pair *pair)
{
	while (carry(pair->client, pair->server, pair->piece) +
		carry(pair->server, pair->client, pair->piece))
		;
}

static inline struct sg_h2_stream *request(struct pair *pair, const char *text, bool ends)
{
	struct sg_h1_head head = parse(SG_H1_REQUEST, text);
	struct sg_h2_stream *stream;

	assert_int_equal(sg_h2_request(pair->client, &head, true, ends, pair, &stream), 0);
	exchange_bytes(pair);
	return stream;
}

static inline void assert_text(const struct sg_buf *buf, const char *text)
{
	assert_int_equal(sg_buf_length(buf), strlen(text));
	assert_memory_equal(sg_buf_head(buf), text, strlen(text));
}

static inline void put_frame(struct sg_buf *wire, uint8_t type, uint8_t flags, uint32_t id,
	const void *payload, size_t length)
{
	const uint8_t header[] = { (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,
		type, flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
		(uint8_t)id };

	assert_int_equal(sg_buf_append(wire, header, sizeof(header)), 0);
	assert_int_equal(sg_buf_append(wire, payload, length), 0);
}

// A literal field without indexing.
static inline void put_field(struct sg_buf *block, const char *name, const char *value)
{
	assert_int_equal(sg_buf_printf(block, "%c%c%s%c%s", 0x10, (int)strlen(name), name,
				 (int)strlen(value), value),
		0);
}
