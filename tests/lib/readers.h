// SPDX-License-Identifier: Apache-2.0
// Requests and answers through the readers of a wire format, in the cuts of a feeder.
#pragma once

#include <string.h>

#include "lib/feed.h"
#include "provider/api.h"

static inline void read_request_bytes(struct feeder *feeder, const struct sg_api *api,
	const char *body, size_t length, struct sg_request_facts *facts,
	struct sg_request_edits *edits)
{
	struct sg_route route = { .kind = SG_ROUTE_METERED,
		.api = api,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_TOOL_LIMIT };
	struct sg_request_reader *reader;

	memset(edits, 0, sizeof(*edits));
	assert_int_equal(sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		assert_int_equal(sg_request_reader_feed(reader, body + at, piece), 0);
	}
	sg_request_reader_finish(reader, facts, edits);
	assert_null(sg_request_reader_free(reader));
}

static inline void read_request(struct feeder *feeder, const struct sg_api *api, const char *body,
	struct sg_request_facts *facts, struct sg_request_edits *edits)
{
	read_request_bytes(feeder, api, body, strlen(body), facts, edits);
}

// `out` gets what a filter lets through; everything, where there is none.
static inline void read_response(struct feeder *feeder, const struct sg_response_options *options,
	const char *body, size_t length, bool complete, struct sg_buf *out,
	struct sg_outcome *outcome)
{
	struct sg_response_reader *reader;
	struct sg_buf *filtered;

	assert_int_equal(sg_response_reader_new(options, &reader), 0);
	filtered = sg_response_reader_is_filter(reader) ? out : NULL;
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		assert_int_equal(sg_response_reader_feed(reader, body + at, piece, filtered), 0);
	}
	assert_int_equal(sg_response_reader_finish(reader, complete, filtered, outcome), 0);
	assert_null(sg_response_reader_free(reader));
	if (!filtered)
		assert_int_equal(sg_buf_append(out, body, length), 0);
}
