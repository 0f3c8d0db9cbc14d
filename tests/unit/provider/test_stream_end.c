// SPDX-License-Identifier: Apache-2.0
// A stream that is ended by us, in every format: whatever was read of it, only whole events have
// passed, and what follows closes all that is open.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/readers.h"
#include "tokens/tokens.h"

#define SSE    "text/event-stream"
#define NDJSON "application/x-ndjson"

static const struct sg_stream_totals totals = { 11, 5, INT64_C(1790000000) * 1000000000 };

struct row {
	const struct sg_api *api;
	const char *type;
	enum sg_include_usage usage;
	int64_t choices;
	const char *whole; // events that were read
	const char *torn;  // and the begin of another, which must not pass
	const char *end;   // what we say; NULL: it can't be ended here
	int64_t visible;
};

#define CHUNK "data: {\"id\":\"c1\",\"created\":7,\"model\":\"m\",\"choices\":"
#define OURS                                                                                       \
	"data: "                                                                                   \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\","       \
	"\"choices\":"

static const struct row rows[] = {
	{ &sg_api_openai_chat, SSE, SG_USAGE_TO_ADD, 1,
		CHUNK "[{\"index\":0,\"delta\":{\"content\":\"N\\u00edl\"}}]}\n\n",
		CHUNK "[{\"index\":0,\"del",
		OURS
		"[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n"
		"data: [DONE]\n\n",
		4 },
	{ &sg_api_openai_chat, SSE, SG_USAGE_ASKED, 1,
		CHUNK "[{\"delta\":{\"content\":\"a\"}}]}\n\n", "data: ",
		OURS
		"[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}],"
		"\"usage\":null}\n\n" OURS
		"[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5,\"total_tokens\":16}}"
		"\n\ndata: [DONE]\n\n",
		1 },
	// Two of three choices have not come to their ends.
	{ &sg_api_openai_chat, SSE, SG_USAGE_NOT_NEEDED, 3,
		CHUNK "[{\"finish_reason\":\"stop\",\"index\":1},{\"index\":2}]}\n\n", "",
		OURS
		"[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]}"
		"\n\n" OURS
		"[{\"index\":2,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n"
		"data: [DONE]\n\n",
		0 },
	{ &sg_api_openai_chat, SSE, SG_USAGE_NOT_NEEDED, 1,
		CHUNK "[{\"delta\":{\"reasoning_content\":\"ab\",\"tool_calls\":[{\"function\":{"
		      "\"arguments\":\"{\\\"\"}}]}}]}\n\n",
		": keep-al",
		OURS
		"[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n"
		"data: [DONE]\n\n",
		4 },
	{ &sg_api_openai_chat, SSE, SG_USAGE_NOT_NEEDED, 1, "", CHUNK "[{\"delta", NULL, 0 },
	{ &sg_api_openai_chat, SSE, SG_USAGE_NOT_NEEDED, 1,
		CHUNK "[{\"index\":900,\"delta\":{}}]}\n\n", "", NULL, 0 },
	{ &sg_api_openai_completions, SSE, SG_USAGE_NOT_NEEDED, 1,
		CHUNK "[{\"index\":0,\"text\":\"ab\"}]}\n\n", "",
		"data: {\"id\":\"c1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\","
		"\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":"
		"\"length\"}]}"
		"\n\ndata: [DONE]\n\n",
		2 },
	{ &sg_api_anthropic_messages, SSE, SG_USAGE_NOT_NEEDED, 1,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{"
		"\"input_tokens\":3,\"output_tokens\":1}}}\n\n"
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
		"\"content_block\":{\"type\":\"text\"}}\n\n"
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
		"\"content_block\":{\"type\":\"tool_use\"}}\n\n"
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,"
		"\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}}\n\n",
		"event: content_block_delta\ndata: {\"type\":\"con",
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
		"event: message_delta\ndata: "
		"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
		"\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n"
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		3 },
	{ &sg_api_gemini_generate, SSE, SG_USAGE_NOT_NEEDED, 1,
		"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Ni\"}]},\"index\":0}],"
		"\"modelVersion\":\"m\"}\r\n\r\n",
		"data: {\"cand",
		"data: "
		"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
		"\"finishReason\":\"MAX_TOKENS\",\"index\":0}],\"usageMetadata\":{"
		"\"promptTokenCount\":11,"
		"\"candidatesTokenCount\":5,\"totalTokenCount\":16},\"modelVersion\":\"m\"}"
		"\r\n\r\n",
		2 },
	{ &sg_api_cohere_chat, SSE, SG_USAGE_NOT_NEEDED, 1,
		"event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"x\"}\n\n"
		"event: content-start\ndata: {\"type\":\"content-start\",\"index\":0}\n\n"
		"event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{"
		"\"message\":{\"content\":{\"text\":\"Nile\"}}}}\n\n",
		"event: content-d",
		"event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n"
		"event: message-end\ndata: {\"type\":\"message-end\",\"id\":\"x\",\"delta\":{"
		"\"finish_reason\":\"MAX_TOKENS\",\"usage\":{\"billed_units\":{\"input_tokens\":11,"
		"\"output_tokens\":5},\"tokens\":{\"input_tokens\":11,\"output_tokens\":5}}}}\n\n"
		"data: [DONE]\n\n",
		4 },
	{ &sg_api_cohere_chat, SSE, SG_USAGE_NOT_NEEDED, 1,
		"data: {\"type\":\"message-start\",\"id\":\"x\"}\n\n"
		"data: {\"type\":\"tool-call-start\",\"index\":2}\n\n",
		"",
		"event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":2}\n\n"
		"event: message-end\ndata: {\"type\":\"message-end\",\"id\":\"x\",\"delta\":{"
		"\"finish_reason\":\"MAX_TOKENS\",\"usage\":{\"billed_units\":{\"input_tokens\":11,"
		"\"output_tokens\":5},\"tokens\":{\"input_tokens\":11,\"output_tokens\":5}}}}\n\n"
		"data: [DONE]\n\n",
		0 },
	{ &sg_api_ollama, NDJSON, SG_USAGE_NOT_NEEDED, 1,
		"{\"model\":\"m\",\"message\":{\"content\":\"ab\"},\"done\":false}\n",
		"{\"model\":",
		"{\"model\":\"m\",\"created_at\":\"2026-09-21T14:13:20.000Z\",\"done\":true,"
		"\"done_reason\":\"length\",\"prompt_eval_count\":11,\"eval_count\":5,\"message\":{"
		"\"role\":\"assistant\",\"content\":\"\"}}\n",
		2 },
	{ &sg_api_ollama, NDJSON, SG_USAGE_NOT_NEEDED, 1,
		"{\"model\":\"m\",\"response\":\"ab\",\"done\":false}\n", "",
		"{\"model\":\"m\",\"created_at\":\"2026-09-21T14:13:20.000Z\",\"done\":true,"
		"\"done_reason\":\"length\",\"prompt_eval_count\":11,\"eval_count\":5,\"response\":"
		"\"\"}\n",
		2 },
	// What has come to its own end is not ended again.
	{ &sg_api_openai_chat, SSE, SG_USAGE_NOT_NEEDED, 1,
		CHUNK "[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", "", NULL,
		0 },
};

static struct sg_response_reader *open_reader(
	const struct row *row, const struct sg_request_facts *facts)
{
	struct sg_response_options options = { .api = row->api,
		.facts = facts,
		.status = 200,
		.content_type = { row->type, strlen(row->type) },
		.content_encoding = { "", 0 },
		.skim = true,
		.may_end = true,
		.remove_usage_chunk = row->usage == SG_USAGE_TO_ADD };
	struct sg_response_reader *reader;

	assert_int_equal(sg_response_reader_new(&options, &reader), 0);
	assert_true(sg_response_reader_is_filter(reader));
	return reader;
}

static void feed_text(struct feeder *feeder, struct sg_response_reader *reader, const char *text,
	size_t length, struct sg_buf *out)
{
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		assert_int_equal(sg_response_reader_feed(reader, text + at, piece, out), 0);
	}
}

static void check_text(const struct sg_buf *buf, const char *expected)
{
	assert_int_equal(sg_buf_length(buf), strlen(expected));
	if (*expected)
		assert_memory_equal(sg_buf_head(buf), expected, strlen(expected));
}

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	const struct sg_request_facts facts = { .is_object = true,
		.stream = true,
		.choices = row->choices,
		.include_usage = row->usage };
	struct sg_response_reader *reader = open_reader(row, &facts);
	struct sg_buf seen = { 0 }, end = { 0 };
	struct sg_outcome outcome;

	feed_text(feeder, reader, row->whole, strlen(row->whole), &seen);
	feed_text(feeder, reader, row->torn, strlen(row->torn), &seen);
	check_text(&seen, row->whole);
	assert_int_equal(sg_response_reader_visible_tokens(reader), row->visible);
	assert_int_equal(sg_response_reader_can_end(reader), row->end != NULL);
	assert_int_equal(sg_response_reader_end(reader, &totals, &end), row->end ? 0 : -ENOTSUP);
	check_text(&end, row->end ? row->end : "");
	assert_int_equal(sg_response_reader_finish(reader, false, NULL, &outcome), 0);
	sg_response_reader_free(reader);
	sg_buf_release(&seen);
	sg_buf_release(&end);
}

static void streams_end_as_their_sdks_expect(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		print_message("%s %s\n", rows[i].api->name, rows[i].whole);
		feed_all(run_row, &rows[i]);
	}
}

// ---- OpenAI's responses: everything said so far is repeated at the end ----

#define CREATED                                                                                    \
	"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,"     \
	"\"response\":{\"id\":\"r\",\"status\":\"in_progress\",\"model\":\"m\",\"output\":[],"     \
	"\"incomplete_details\":null,\"usage\":null}}\n\n"
#define DELTA(kind, text)                                                                          \
	"data: {\"type\":\"response." kind ".delta\",\"sequence_number\":7,\"output_index\":1,"    \
	"\"content_index\":0,\"delta\":\"" text "\"}\n\n"

static json_t *last_event(const struct sg_buf *end)
{
	char *text = strndup((const char *)sg_buf_head(end), sg_buf_length(end));
	char *data = NULL;
	json_t *event;

	assert_non_null(text);
	for (char *at = text; (at = strstr(at, "data: ")); at += 6)
		data = at + 6;
	assert_non_null(data);
	event = json_loads(data, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(event);
	free(text);
	return event;
}

static json_t *end_responses(struct feeder *feeder, const char *stream)
{
	static const struct row row = { .api = &sg_api_openai_responses, .type = SSE };
	const struct sg_request_facts facts = { .is_object = true, .stream = true, .choices = 1 };
	struct sg_response_reader *reader = open_reader(&row, &facts);
	struct sg_buf seen = { 0 }, end = { 0 };
	json_t *event;

	feed_text(feeder, reader, stream, strlen(stream), &seen);
	assert_int_equal(sg_response_reader_end(reader, &totals, &end), 0);
	event = last_event(&end);
	assert_string_equal(
		json_string_value(json_object_get(event, "type")), "response.incomplete");
	sg_response_reader_free(reader);
	sg_buf_release(&seen);
	sg_buf_release(&end);
	return event;
}

static const json_t *output_item(const json_t *event, size_t index)
{
	return json_array_get(json_object_get(json_object_get(event, "response"), "output"), index);
}

static void a_message_is_closed_with_its_text(struct feeder *feeder, const void *context)
{
	json_t *event = end_responses(feeder, CREATED
		"data: {\"type\":\"response.output_item.done\",\"item\":{\"id\":\"rs\",\"type\":"
		"\"web_search_call\"}}\n\n"
		"data: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{"
		"\"id\":\"i\",\"type\":\"message\",\"content\":[]}}\n\n" DELTA(
			"output_text", "Danube \\\"a") DELTA("output_text", "\\u00e9"));
	const json_t *item = output_item(event, 1), *part;
	const json_t *response = json_object_get(event, "response");

	(void)context;
	assert_string_equal(json_string_value(json_object_get(response, "status")), "incomplete");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(response, "incomplete_details"), "reason")),
		"max_output_tokens");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(response, "usage"), "total_tokens")),
		16);
	assert_string_equal(json_string_value(json_object_get(output_item(event, 0), "id")), "rs");
	assert_string_equal(json_string_value(json_object_get(item, "status")), "incomplete");
	part = json_array_get(json_object_get(item, "content"), 0);
	assert_string_equal(json_string_value(json_object_get(part, "text")), "Danube \"a\xc3\xa9");
	// created 0, delta 7, then text, part, item, and the last
	assert_int_equal(json_integer_value(json_object_get(event, "sequence_number")), 11);
	json_decref(event);
}

static void a_call_is_closed_with_its_arguments(struct feeder *feeder, const void *context)
{
	json_t *event = end_responses(feeder, CREATED
		"data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{"
		"\"id\":\"i\",\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}}"
		"\n\n" DELTA("function_call_arguments", "{\\\"x\\\":"));
	const json_t *item = output_item(event, 0);

	(void)context;
	assert_string_equal(json_string_value(json_object_get(item, "arguments")), "{\"x\":");
	assert_string_equal(json_string_value(json_object_get(item, "name")), "f");
	json_decref(event);
}

static void responses_repeat_what_was_said(void **state)
{
	(void)state;
	feed_all(a_message_is_closed_with_its_text, NULL);
	feed_all(a_call_is_closed_with_its_arguments, NULL);
}

// ---- Bedrock's frames: ours are read as theirs are ----

struct frame_log {
	char text[512];
};

static void log_frame(void *context, const struct sg_frame *frame)
{
	struct frame_log *log = context;
	size_t used = strlen(log->text);

	snprintf(log->text + used, sizeof(log->text) - used, "%s %.*s\n", frame->type,
		(int)frame->payload_length, frame->payload);
}

// ---- Tokens of what was seen ----

struct tokens_row {
	const struct sg_api *api;
	const char *stream;
	int64_t choices, bytes, tokens;
};

#define SAID(json) "data: {\"choices\":[{\"index\":0,\"delta\":" json "}]}\n\n"
#define CALL(index, json)                                                                          \
	SAID("{\"tool_calls\":[{\"index\":" index ",\"function\":{\"arguments\":" json "}}]}")
#define OUTPUT(item, text)                                                                         \
	"data: {\"type\":\"response.output_text.delta\",\"output_index\":" item                    \
	",\"content_index\":0,\"delta\":" text "}\n\n"

static const struct tokens_row tokens_rows[] = {
	// A word that has not ended is its bytes.
	{ &sg_api_openai_chat, SAID("{\"content\":\"Hello\"}"), 1, 5, 5 },
	{ &sg_api_openai_chat, SAID("{\"content\":\"Hel\"}") SAID("{\"content\":\"lo wor\"}"), 1, 9,
		1 + 4 },
	{ &sg_api_openai_chat, SAID("{\"content\":\"Hello\"}") SAID("{\"content\":\"\"}"), 1, 5,
		1 },
	// Escapes are what they stand for: " snowman \u2603" is as in UTF-8.
	{ &sg_api_openai_chat,
		SAID("{\"content\":\"a\\n\\\"b\\\" \\u2603 \\ud83d\\ude00!\"}")
			SAID("{\"content\":\"\"}"),
		1, 15, 9 },
	// The arguments of each tool are a text, and each string is a token at least.
	{ &sg_api_openai_chat,
		CALL("0", "\"\"") CALL("0", "\"{}\"") CALL("1", "\"\"") CALL("1", "\"{}\"")
			CALL("2", "\"\""),
		1, 4, 2 },
	{ &sg_api_openai_chat,
		SAID("{\"content\":\"H\"}") SAID("{\"content\":\"e\"}")
			SAID("{\"content\":\"llo\"}") SAID("{\"content\":\" \"}")
				SAID("{\"tool_calls\":[]}"),
		1, 6, 4 },
	// Of two answers at once the texts are torn.
	{ &sg_api_openai_chat, SAID("{\"content\":\"Hello world and all\"}"), 2, 19, 19 },
	{ &sg_api_openai_responses,
		OUTPUT("0", "\"Hello\\n\"") OUTPUT("1", "\"wor\"") OUTPUT("1", "\"ld!\""), 1, 12,
		3 + 1 },
};

static void run_tokens(struct feeder *feeder, const void *context)
{
	const struct tokens_row *row = context;

	for (int with = 0; with < 2; with++) {
		const struct sg_request_facts facts = {
			.is_object = true, .stream = true, .choices = row->choices
		};
		const struct sg_response_options options = { .api = row->api,
			.facts = &facts,
			.status = 200,
			.content_type = { "text/event-stream", 17 },
			.content_encoding = { "", 0 },
			.may_end = true,
			.vocabulary = with ? &sg_vocabulary_o200k : NULL };
		struct sg_response_reader *reader;
		struct sg_buf seen = { 0 };

		assert_int_equal(sg_response_reader_new(&options, &reader), 0);
		feed_text(feeder, reader, row->stream, strlen(row->stream), &seen);
		assert_int_equal(
			sg_response_reader_visible_tokens(reader), with ? row->tokens : row->bytes);
		sg_response_reader_free(reader);
		sg_buf_release(&seen);
	}
}

static void what_was_seen_is_counted_in_tokens(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(tokens_rows); i++) {
		print_message("%s", tokens_rows[i].stream);
		feed_all(run_tokens, &tokens_rows[i]);
	}
}

static void run_frames(struct feeder *feeder, const void *context)
{
	static const struct row row = { .api = &sg_api_bedrock_converse,
		.type = "application/vnd.amazon.eventstream" };
	const struct sg_request_facts facts = { .is_object = true, .stream = true, .choices = 1 };
	struct sg_response_reader *reader = open_reader(&row, &facts);
	struct sg_buf stream = { 0 }, seen = { 0 }, end = { 0 };
	struct sg_frames frames = { { 0 } };
	struct frame_log log = { "" };
	size_t whole;

	(void)context;
	assert_int_equal(sg_frame_append(&stream, "messageStart", "{\"role\":\"assistant\"}"), 0);
	assert_int_equal(sg_frame_append(&stream, "contentBlockDelta",
				 "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Nile\"}}"),
		0);
	whole = sg_buf_length(&stream);
	assert_int_equal(sg_frame_append(&stream, "contentBlockDelta", "{}"), 0);
	feed_text(feeder, reader, (const char *)sg_buf_head(&stream), sg_buf_length(&stream) - 3,
		&seen);
	assert_int_equal(sg_buf_length(&seen), whole);
	assert_memory_equal(sg_buf_head(&seen), sg_buf_head(&stream), whole);
	assert_int_equal(sg_response_reader_visible_tokens(reader), 4);
	assert_int_equal(sg_response_reader_end(reader, &totals, &end), 0);
	assert_int_equal(sg_frames_feed(&frames, (const char *)sg_buf_head(&end),
				 sg_buf_length(&end), log_frame, &log),
		0);
	assert_string_equal(log.text,
		"contentBlockStop {\"contentBlockIndex\":0}\n"
		"messageStop {\"stopReason\":\"max_tokens\"}\n"
		"metadata {\"usage\":{\"inputTokens\":11,\"outputTokens\":5,\"totalTokens\":16},"
		"\"metrics\":{\"latencyMs\":0}}\n");
	sg_response_reader_free(reader);
	sg_frames_done(&frames);
	sg_buf_release(&stream);
	sg_buf_release(&seen);
	sg_buf_release(&end);
}

static void frames_end_with_frames(void **state)
{
	(void)state;
	feed_all(run_frames, NULL);
}

// ---- What can't be seen ----

static void hidden_reasoning_is_noticed(void **state)
{
	static const struct {
		const struct sg_api *api;
		const char *stream;
		bool hides;
	} streams[] = {
		{ &sg_api_anthropic_messages,
			"data: "
			"{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\"}}"
			"\n\n",
			false },
		{ &sg_api_anthropic_messages,
			"data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":"
			"\"redacted_thinking\"}}\n\n",
			true },
		{ &sg_api_openai_responses,
			"data: "
			"{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"reasoning\"}"
			"}"
			"\n\n",
			true },
		{ &sg_api_openai_responses,
			"data: "
			"{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\"}}"
			"\n\n",
			false },
		{ &sg_api_gemini_generate,
			"data: "
			"{\"candidates\":[{\"content\":{\"parts\":[{\"thought\":true}]}}]}\n\n",
			true },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(streams); i++) {
		const struct row row = { .api = streams[i].api, .type = SSE };
		const struct sg_request_facts facts = { .is_object = true, .choices = 1 };
		struct sg_response_reader *reader = open_reader(&row, &facts);
		struct feeder feeder = { FEED_WHOLE, 0 };
		struct sg_buf seen = { 0 };

		feed_text(&feeder, reader, streams[i].stream, strlen(streams[i].stream), &seen);
		assert_int_equal(sg_response_reader_hides_output(reader), streams[i].hides);
		sg_response_reader_free(reader);
		sg_buf_release(&seen);
	}
}

// An agent that leaves within an event: what was held for it goes nowhere.
static void an_unfinished_event_without_a_reader_is_dropped(void **state)
{
	static const char text[] = "data: {\"choices\":[{}]}\n\ndata: {\"choices\"";
	const struct sg_request_facts facts = { .is_object = true, .stream = true, .choices = 1 };
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct sg_buf seen = { 0 };
	struct sg_outcome outcome;
	struct sg_response_reader *reader = open_reader(&rows[0], &facts);

	(void)state;
	feed_text(&feeder, reader, text, strlen(text), &seen);
	assert_int_equal(sg_response_reader_finish(reader, false, NULL, &outcome), 0);
	assert_int_equal(outcome.state, SG_EXCHANGE_ESTIMATED);
	sg_response_reader_free(reader);
	sg_buf_release(&seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_seen_is_counted_in_tokens),
		cmocka_unit_test(streams_end_as_their_sdks_expect),
		cmocka_unit_test(responses_repeat_what_was_said),
		cmocka_unit_test(frames_end_with_frames),
		cmocka_unit_test(hidden_reasoning_is_noticed),
		cmocka_unit_test(an_unfinished_event_without_a_reader_is_dropped),
	};

	return cmocka_run_group_tests_name("stream_end", tests, NULL, NULL);
}
