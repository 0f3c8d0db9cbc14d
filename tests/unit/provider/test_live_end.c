// SPDX-License-Identifier: Apache-2.0
// Turns of a WebSocket session that are ended before their end: counted as they are said, and
// closed with messages that the SDK takes for an answer at its limit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "provider/live.h"

#define STR(text) ((struct sg_str){ text, strlen(text) })

static const struct sg_stream_totals totals = { .input_tokens = 9, .output_tokens = 4 };

static struct sg_live *open_session(bool may_end)
{
	const struct sg_provider *openai = sg_provider_by_name("openai");
	const struct sg_route route =
		sg_provider_route(openai, STR("GET"), STR("/v1/responses"), true);
	const struct sg_live_options options = {
		.route = &route, .may_end = may_end, .provider = openai, .own_host = true
	};
	struct sg_live *live;

	assert_int_equal(sg_live_new(&options, &live), 0);
	return live;
}

static void ask(struct sg_live *live, const char *model)
{
	struct sg_live_demand demand;
	char text[256];

	snprintf(text, sizeof(text),
		"{\"type\":\"response.create\",\"model\":\"%s\",\"input\":\"a\"}", model);
	sg_live_ask(live, text, strlen(text));
	sg_live_ask_end(live, &demand);
	assert_int_equal(demand.need, SG_LIVE_TURN);
}

// In pieces of `step` bytes.
static enum sg_live_kind tell(struct sg_live *live, const char *text, size_t step)
{
	size_t length = strlen(text);
	struct sg_live_news news;

	for (size_t at = 0; at < length; at += step)
		sg_live_tell(live, text + at, length - at < step ? length - at : step);
	sg_live_tell_end(live, &news);
	return news.kind;
}

static void say(struct sg_live *live, const char *delta, size_t step)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,"
		"\"content_index\":0,\"delta\":\"%s\",\"sequence_number\":4}",
		delta);
	assert_int_equal(tell(live, text, step), SG_LIVE_NO_NEWS);
}

static void begin(struct sg_live *live, size_t step)
{
	assert_int_equal(tell(live,
				 "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\","
				 "\"status\":\"in_progress\",\"model\":\"gpt-4o\",\"output\":[]},"
				 "\"sequence_number\":0}",
				 step),
		SG_LIVE_BEGUN);
	assert_int_equal(
		tell(live,
			"{\"type\":\"response.output_item.added\",\"output_index\":0,"
			"\"item\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\","
			"\"content\":[]},\"sequence_number\":2}",
			step),
		SG_LIVE_NO_NEWS);
}

// The last line; the others are looked at as they go by.
static json_t *last_message(struct sg_buf *out)
{
	const char *line = (const char *)sg_buf_head(out), *end;
	size_t left = sg_buf_length(out);
	json_t *message = NULL;

	for (; left && (end = memchr(line, '\n', left)); line = end + 1) {
		json_decref(message);
		message = json_loadb(line, (size_t)(end - line), 0, NULL);
		assert_non_null(message);
		left -= (size_t)(end - line) + 1;
	}
	assert_int_equal(left, 0);
	return message;
}

static const char *text_at(const json_t *message, const char *key)
{
	return json_string_value(json_object_get(message, key));
}

static void a_turn_ends_between_its_messages(void **state)
{
	(void)state;
	for (size_t step = 1; step < 300; step = step * 3 + 1) {
		struct sg_live *live = open_session(true);
		const struct sg_response_reader *reader = sg_live_answer(live);
		struct sg_buf out = { 0 };
		json_t *message, *response, *item;

		ask(live, "gpt-4o");
		begin(live, step);
		say(live, "Hello there, ", step);
		say(live, "\\\"quoted\\\" world", step);
		// By its tokens, not by its 27 bytes.
		assert_in_range(sg_response_reader_visible_tokens(reader), 5, 12);
		assert_false(sg_response_reader_hides_output(reader));
		assert_true(sg_response_reader_can_end(reader));
		assert_int_equal(sg_live_end(live, &totals, &out), 0);
		message = last_message(&out);
		assert_string_equal(text_at(message, "type"), "response.incomplete");
		response = json_object_get(message, "response");
		assert_string_equal(text_at(response, "id"), "r1");
		assert_string_equal(text_at(response, "status"), "incomplete");
		item = json_array_get(json_object_get(response, "output"), 0);
		assert_string_equal(
			text_at(json_array_get(json_object_get(item, "content"), 0), "text"),
			"Hello there, \"quoted\" world");
		assert_int_equal(json_integer_value(json_object_get(
					 json_object_get(response, "usage"), "output_tokens")),
			4);
		json_decref(message);
		sg_buf_release(&out);
		sg_live_free(live);
	}
}

static void the_next_turn_is_counted_anew(void **state)
{
	static const char done[] = "{\"type\":\"response.completed\",\"response\":{\"id\":\"r1\","
				   "\"status\":\"completed\",\"model\":\"gpt-4o\",\"usage\":{"
				   "\"input_tokens\":9,\"output_tokens\":7}}}";
	struct sg_live *live = open_session(true);
	const struct sg_response_reader *reader = sg_live_answer(live);
	struct sg_buf out = { 0 };

	(void)state;
	ask(live, "gpt-4o");
	begin(live, 1000);
	say(live, "one two three four five six seven eight", 1000);
	// A model that counts in another way is asked for meanwhile: what comes next is bound by
	// bytes.
	ask(live, "gpt-3.5-turbo");
	assert_in_range(sg_response_reader_visible_tokens(reader), 8, 15);
	assert_int_equal(tell(live, done, 1000), SG_LIVE_ENDED);
	assert_int_equal(sg_live_end(live, &totals, &out), -95); // -ENOTSUP: there is none
	begin(live, 1000);
	assert_int_equal(sg_response_reader_visible_tokens(reader), 0);
	say(live, "one two", 1000);
	assert_int_equal(sg_response_reader_visible_tokens(reader), 7);
	sg_buf_release(&out);
	sg_live_free(live);
}

static void a_message_that_is_too_long_to_be_kept_has_no_end(void **state)
{
	const size_t length = (1u << 20) + 100;
	struct sg_live *live = open_session(true);
	char *text = malloc(length + 200);

	(void)state;
	assert_non_null(text);
	ask(live, "gpt-4o");
	begin(live, 1000);
	strcpy(text, "{\"type\":\"response.output_text.delta\",\"delta\":\"");
	memset(text + strlen(text), 'x', length);
	strcpy(text + 46 + length, "\"}");
	assert_int_equal(tell(live, text, 4096), SG_LIVE_NO_NEWS);
	assert_true(sg_response_reader_hides_output(sg_live_answer(live)));
	assert_false(sg_response_reader_can_end(sg_live_answer(live)));
	assert_true(sg_response_reader_visible_tokens(sg_live_answer(live)) >= (int64_t)length);
	free(text);
	sg_live_free(live);
	live = open_session(false);
	assert_null(sg_live_answer(live));
	sg_live_free(live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_turn_ends_between_its_messages),
		cmocka_unit_test(the_next_turn_is_counted_anew),
		cmocka_unit_test(a_message_that_is_too_long_to_be_kept_has_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
