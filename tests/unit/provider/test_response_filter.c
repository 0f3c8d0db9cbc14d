// SPDX-License-Identifier: Apache-2.0
// The chunk that came because usage was asked for in the agent's place is taken out again; every
// other byte passes as it came, whatever the cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/readers.h"

#define USAGE "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}"

struct row {
	const char *before, *dropped, *after;
};

static const struct row rows[] = {
	{ "data: {\"choices\":[{}],\"usage\":null}\n\n", "data: " USAGE "\n\n",
		"data: [DONE]\n\n" },
	{ "data: {\"choices\":[{}]}\r\n\r\n", "data: " USAGE "\r\n\r\n", "data: [DONE]\r\n\r\n" },
	{ "data: {\"choices\":[{}]}\r\r", "data: " USAGE "\r\r", "data: [DONE]\r\r" },
	{ "", "data: " USAGE "\r\n\r\n", "" },
	{ "",
		"\xef\xbb\xbf"
		"data: " USAGE "\n\n",
		"" },
	{ ": hello\n\n", "event: x\ndata: {\"choices\":[],\ndata:\"usage\":{}}\n\n",
		"\n\ndata:\n\n" },
	{ "data: {}\n\n", "data: " USAGE, "" }, // the end of the stream ends the event
	{ "data: {}\n\n", "data: " USAGE "\n", "" },
	{ "data: {\"choices\":[{}],\"usage\":{}}\n\ndata: {\"usage\":{}}\n\n",
		"data: " USAGE "\n\n",
		"data: {\"choices\":[],\"usage\":null}\n\ndata: {\"choices\":[]}\n\n"
		"data: {\"choices\":null,\"usage\":{}}\n\ndata: "
		"{\"choices\":{},\"usage\":{}}\n\n" },
	{ "data: {\"choices\":[{\"choices\":[],\"usage\":{}}]}\n\n", "",
		"data: no JSON\n\ndata: " },
	{ "data: {\"choices\":[],\"choices\":[{}],\"usage\":{}}\n\n", "",
		"event: e\n\nunfinished" },
};

static void filter(
	struct feeder *feeder, const char *body, size_t length, bool skim, struct sg_buf *out)
{
	struct sg_request_facts facts = { .is_object = true, .stream = true };
	struct sg_response_options options = { .api = &sg_api_openai_chat,
		.facts = &facts,
		.status = 200,
		.content_type = { "text/event-stream", 17 },
		.content_encoding = { "", 0 },
		.skim = skim,
		.remove_usage_chunk = true };
	struct sg_outcome outcome;

	read_response(feeder, &options, body, length, true, out, &outcome);
}

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	char body[1024], expected[1024];

	snprintf(body, sizeof(body), "%s%s%s", row->before, row->dropped, row->after);
	snprintf(expected, sizeof(expected), "%s%s", row->before, row->after);
	for (int skim = 0; skim < 2; skim++) {
		struct sg_buf out = { 0 };

		filter(feeder, body, strlen(body), skim, &out);
		assert_int_equal(sg_buf_length(&out), strlen(expected));
		if (*expected)
			assert_memory_equal(sg_buf_head(&out), expected, strlen(expected));
		sg_buf_release(&out);
	}
}

static void one_chunk_goes_and_all_else_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		print_message("%s%s%s\n", rows[i].before, rows[i].dropped, rows[i].after);
		feed_all(run_row, &rows[i]);
	}
}

// An event of `length` bytes that would be the usage chunk.
static void run_length(struct feeder *feeder, const void *context)
{
	size_t length = *(const size_t *)context, head;
	char *body = malloc(length + 1);
	struct sg_buf out = { 0 };

	assert_non_null(body);
	head = (size_t)snprintf(body, length + 1, "data: {\"choices\":[],\"usage\":{},\"x\":\"");
	memset(body + head, 'x', length - head - 4);
	memcpy(body + length - 4, "\"}\n\n", 4);
	filter(feeder, body, length, true, &out);
	if (length <= 65536) {
		assert_int_equal(sg_buf_length(&out), 0);
	} else {
		assert_int_equal(sg_buf_length(&out), length);
		assert_memory_equal(sg_buf_head(&out), body, length);
	}
	sg_buf_release(&out);
	free(body);
}

static void what_is_too_long_to_be_it_passes(void **state)
{
	static const size_t lengths[] = { 65535, 65536, 65537, 200000 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(lengths); i++) {
		run_length(&(struct feeder){ FEED_WHOLE, 0 }, &lengths[i]);
		run_length(&(struct feeder){ FEED_BYTEWISE, 0 }, &lengths[i]);
		run_length(&(struct feeder){ FEED_RANDOM, feed_seed() }, &lengths[i]);
	}
}

// Nothing may be kept back longer than an event: the agent waits for it.
static void events_are_let_through_at_their_end(void **state)
{
	const char *event = "data: {\"choices\":[{}]}\n\n";
	struct sg_request_facts facts = { .is_object = true };
	struct sg_response_options options = { .api = &sg_api_openai_chat,
		.facts = &facts,
		.status = 200,
		.content_type = { "text/event-stream", 17 },
		.content_encoding = { "", 0 },
		.remove_usage_chunk = true };
	struct sg_response_reader *reader;
	struct sg_outcome outcome;
	struct sg_buf out = { 0 };

	(void)state;
	assert_int_equal(sg_response_reader_new(&options, &reader), 0);
	assert_true(sg_response_reader_is_filter(reader));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			sg_response_reader_feed(reader, event, strlen(event) - 1, &out), 0);
		assert_int_equal(sg_buf_length(&out), 0);
		assert_int_equal(sg_response_reader_feed(reader, "\n", 1, &out), 0);
		assert_int_equal(sg_buf_length(&out), strlen(event));
		sg_buf_consume(&out, strlen(event));
	}
	assert_false(sg_response_reader_is_complete(reader));
	assert_int_equal(sg_response_reader_feed(reader, "data: [DONE]\n\n", 14, &out), 0);
	assert_true(sg_response_reader_is_complete(reader));
	assert_int_equal(sg_response_reader_finish(reader, true, &out, &outcome), 0);
	assert_int_equal(sg_buf_length(&out), 14);
	sg_response_reader_free(reader);
	sg_buf_release(&out);
}

static bool is_filter(const char *type, const char *coding, bool remove)
{
	struct sg_request_facts facts = { .is_object = true };
	struct sg_response_options options = { .api = &sg_api_openai_chat,
		.facts = &facts,
		.status = 200,
		.content_type = { type, strlen(type) },
		.content_encoding = { coding, strlen(coding) },
		.remove_usage_chunk = remove };
	struct sg_response_reader *reader;
	bool filters;

	assert_int_equal(sg_response_reader_new(&options, &reader), 0);
	filters = sg_response_reader_is_filter(reader);
	sg_response_reader_free(reader);
	return filters;
}

static void only_plain_streams_are_filtered(void **state)
{
	(void)state;
	assert_true(is_filter("text/event-stream", "", true));
	assert_true(is_filter("Text/Event-Stream; charset=utf-8", "identity", true));
	assert_false(is_filter("text/event-stream", "", false));
	assert_false(is_filter("text/event-stream", "gzip", true));
	assert_false(is_filter("text/event-stream", "unknown", true));
	assert_false(is_filter("application/json", "", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_chunk_goes_and_all_else_stays),
		cmocka_unit_test(what_is_too_long_to_be_it_passes),
		cmocka_unit_test(events_are_let_through_at_their_end),
		cmocka_unit_test(only_plain_streams_are_filtered),
	};

	return cmocka_run_group_tests_name("response_filter", tests, NULL, NULL);
}
