// SPDX-License-Identifier: Apache-2.0
// What an answer says was used: disjoint classes, what is no evidence, what is torn, what is free.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "lib/readers.h"

struct row {
	const char *name;
	const struct sg_api *api;
	const char *request; // NULL: {}
	unsigned status;     // 0: 200
	bool stream;
	bool cut;
	const char *body;
	enum sg_exchange_state state;
	bool bad_evidence;
	int64_t input, output; // of a settled call
	int64_t read, write, write_1h, reasoning, searches;
	int64_t visible;
};

#define CHAT	  .api = &sg_api_openai_chat
#define RESPONSES .api = &sg_api_openai_responses
#define ANTHROPIC .api = &sg_api_anthropic_messages
#define SETTLED	  .state = SG_EXCHANGE_SETTLED
#define ESTIMATED .state = SG_EXCHANGE_ESTIMATED
#define BAD	  .state = SG_EXCHANGE_ESTIMATED, .bad_evidence = true
#define FREE	  .state = SG_EXCHANGE_ERROR_FREE

#define CHAT_USAGE(prompt, completion)                                                             \
	"{\"choices\":[],\"usage\":{\"prompt_tokens\":" prompt                                     \
	",\"completion_tokens\":" completion "}}"

static const struct row chat_rows[] = {
	{ "usage", CHAT, .body = CHAT_USAGE("10", "5"), SETTLED, .input = 10, .output = 5 },
	{ "cached and written are in prompt_tokens", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":5,"
			"\"prompt_tokens_details\":{\"cached_tokens\":60,\"cache_write_tokens\":30}"
			","
			"\"completion_tokens_details\":{\"reasoning_tokens\":4}}}",
		SETTLED, .input = 10, .output = 5, .read = 60, .write = 30, .reasoning = 4 },
	{ "null details", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,"
			"\"prompt_tokens_details\":null,\"completion_tokens_details\":{\"reasoning_"
			"tokens\":null}}}",
		SETTLED, .input = 1, .output = 2 },
	{ "as text", CHAT, .body = CHAT_USAGE("\"10\"", "\"5\""), SETTLED, .input = 10,
		.output = 5 },
	{ "12.0", CHAT, .body = CHAT_USAGE("12.0", "5"), SETTLED, .input = 12, .output = 5 },
	{ "the last of duplicates", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9},"
			"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
		SETTLED, .input = 1, .output = 2 },
	{ "the last of duplicates is null", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9},\"usage\":null}",
		ESTIMATED },
	{ "usage of something else", CHAT,
		.body = "{\"choices\":[{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}]}",
		ESTIMATED },
	{ "-1", CHAT, .body = CHAT_USAGE("-1", "5"), BAD },
	{ "12.5", CHAT, .body = CHAT_USAGE("12.5", "5"), BAD },
	{ "1e400", CHAT, .body = CHAT_USAGE("1e400", "5"), BAD },
	{ "over 2^53", CHAT, .body = CHAT_USAGE("9007199254740993", "5"), BAD },
	{ "\"NaN\"", CHAT, .body = CHAT_USAGE("\"NaN\"", "5"), BAD },
	{ "false", CHAT, .body = CHAT_USAGE("10", "false"), BAD },
	{ "usage is text", CHAT, .body = "{\"usage\":\"none\"}", BAD },
	{ "more cached than there is", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,"
			"\"prompt_tokens_details\":{\"cached_tokens\":2}}}",
		BAD },
	{ "more reasoning than output", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,"
			"\"completion_tokens_details\":{\"reasoning_tokens\":2}}}",
		BAD },
	{ "a count is missing", CHAT, .body = "{\"usage\":{\"prompt_tokens\":10}}", ESTIMATED },
	{ "no usage", CHAT, .body = "{\"choices\":[{\"message\":{\"content\":\"a\\u00e4\"}}]}",
		ESTIMATED, .visible = 3 },
	{ "empty", CHAT, .body = "", ESTIMATED },
	{ "no JSON", CHAT, .body = "<html>", ESTIMATED },
	{ "a torn body is no evidence", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}", .cut = true,
		ESTIMATED },
	{ "nor where its end was announced", CHAT,
		.body = "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}", ESTIMATED },
	{ "400", CHAT, .status = 400, .body = "{\"error\":{\"message\":\"m\"}}", FREE },
	{ "500 without a body", CHAT, .status = 500, .body = "", FREE },
	{ "500 with usage", CHAT, .status = 500, .body = CHAT_USAGE("10", "5"), SETTLED,
		.input = 10, .output = 5 },
	{ "200 with an error", CHAT, .body = "{\"error\":{\"message\":\"m\"}}", FREE },
	{ "200 with \"error\": null", CHAT, .body = "{\"error\":null}", ESTIMATED },
	{ "stream", CHAT, .stream = true,
		.body = "data: {\"choices\":[{\"delta\":{\"content\":\"ab\",\"reasoning_content\":"
			"\"c\"}}],\"usage\":null,\"obfuscation\":\"xxxx\"}\n\n"
			"data: "
			"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":"
			"\"{}\"}}]}}]}\n\n"
			"data: " CHAT_USAGE("10", "5") "\n\ndata: [DONE]\n\n",
		SETTLED, .input = 10, .output = 5, .visible = 5 },
	{ "running usage: the last counts", CHAT, .stream = true,
		.body = "data: "
			"{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":"
			"1}}\n\ndata: " CHAT_USAGE("10", "5") "\n\ndata: {\"usage\":null}\n\n",
		SETTLED, .input = 10, .output = 5 },
	{ "stream without usage", CHAT, .stream = true,
		.body = "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}\n\ndata: "
			"[DONE]\n\n",
		ESTIMATED, .visible = 2 },
	{ "cut behind the usage", CHAT, .stream = true, .cut = true,
		.body = "data: " CHAT_USAGE("10", "5") "\n\n", SETTLED, .input = 10, .output = 5 },
	{ "cut in the usage", CHAT, .stream = true, .cut = true,
		.body = "data: "
			"{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"
			"\"prompt_tokens_details\":{\"cached_tok",
		BAD },
	{ "cut in a later usage", CHAT, .stream = true, .cut = true,
		.body = "data: " CHAT_USAGE("10", "5") "\n\ndata: {\"usage\":{\"prompt_tokens\":1,"
						       "\"completion_tokens\":1,",
		BAD },
	{ "bad, then good", CHAT, .stream = true,
		.body = "data: " CHAT_USAGE("-1", "5") "\n\ndata: " CHAT_USAGE("10", "5") "\n\n",
		SETTLED, .input = 10, .output = 5 },
	{ "error first", CHAT, .stream = true, .body = "data: {\"error\":{\"message\":\"m\"}}\n\n",
		FREE },
	{ "error later", CHAT, .stream = true,
		.body = "data: {\"choices\":[{}]}\n\ndata: {\"error\":{\"message\":\"m\"}}\n\n",
		ESTIMATED },
	{ "client gone before anything", CHAT, .stream = true, .cut = true, .body = "", ESTIMATED },
};

#define RESPONSE(status, usage)                                                                    \
	"{\"id\":\"resp_1\",\"status\":\"" status "\",\"output\":[],\"usage\":" usage "}"
#define TOKENS(input, output) "{\"input_tokens\":" input ",\"output_tokens\":" output "}"
#define EVENT(type, members)  "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define SEARCH(action)	      "{\"type\":\"web_search_call\",\"action\":{\"type\":\"" action "\"}}"

static const struct row responses_rows[] = {
	{ "completed", RESPONSES, .body = RESPONSE("completed", TOKENS("10", "5")), SETTLED,
		.input = 10, .output = 5 },
	{ "details", RESPONSES,
		.body = RESPONSE("completed", "{\"input_tokens\":10,\"input_tokens_details\":{"
					      "\"cached_tokens\":4,\"cache_"
					      "write_tokens\":1},\"output_tokens\":5,\"output_"
					      "tokens_details\":{\"reasoning_"
					      "tokens\":2}}"),
		SETTLED, .input = 5, .output = 5, .read = 4, .write = 1, .reasoning = 2 },
	{ "queued in the background", RESPONSES, .request = "{\"background\":true}",
		.body = RESPONSE("queued", "null"), .state = SG_EXCHANGE_PENDING },
	{ "queued, though not asked to be", RESPONSES, .body = RESPONSE("queued", "null"),
		ESTIMATED },
	{ "failed without usage", RESPONSES, .body = RESPONSE("failed", "null"), ESTIMATED },
	{ "500", RESPONSES, .status = 500, .body = "{\"error\":{}}", FREE },
	{ "searches", RESPONSES,
		.body = "{\"output\":[" SEARCH("search") "," SEARCH("open_page") "," SEARCH(
			"search") ",{\"type\":\"web_search_call\"},{\"type\":\"message\"}],"
				  "\"usage\":" TOKENS("1", "2") "}",
		SETTLED, .input = 1, .output = 2, .searches = 3 },
	{ "stream", RESPONSES, .stream = true,
		.body = EVENT("response.created", ",\"response\":" RESPONSE("in_progress", "null"))
			EVENT("response.output_text.delta", ",\"delta\":\"abc\"")
				EVENT("response.completed",
					",\"response\":" RESPONSE("completed", TOKENS("10", "5"))),
		SETTLED, .input = 10, .output = 5, .visible = 3 },
	{ "incomplete", RESPONSES, .stream = true,
		.body = EVENT("response.incomplete",
			",\"response\":" RESPONSE("incomplete", TOKENS("10", "5"))),
		SETTLED, .input = 10, .output = 5 },
	{ "failed with usage", RESPONSES, .stream = true,
		.body = EVENT(
			"response.failed", ",\"response\":" RESPONSE("failed", TOKENS("10", "5"))),
		SETTLED, .input = 10, .output = 5 },
	{ "stream failed without usage", RESPONSES, .stream = true,
		.body = EVENT("response.failed", ",\"response\":" RESPONSE("failed", "null")),
		ESTIMATED },
	{ "error event first", RESPONSES, .stream = true, .body = EVENT("error", ",\"code\":\"c\""),
		FREE },
	{ "cut in progress", RESPONSES, .stream = true, .cut = true,
		.body = EVENT("response.created", ",\"response\":" RESPONSE("in_progress", "null")),
		ESTIMATED },
	{ "goes on in the background", RESPONSES, .request = "{\"background\":true}",
		.stream = true, .cut = true,
		.body = EVENT("response.created", ",\"response\":" RESPONSE("in_progress", "null")),
		.state = SG_EXCHANGE_PENDING },
	{ "cut in the last event", RESPONSES, .stream = true, .cut = true,
		.body = "event: response.completed\ndata: {\"type\":\"response.completed\","
			"\"response\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":5,",
		BAD },
	{ "searches of a stream, listed at its end", RESPONSES, .stream = true,
		.body = EVENT("response.output_item.done", ",\"item\":" SEARCH("search"))
			EVENT("response.completed",
				",\"response\":{\"output\":[" SEARCH(
					"search") "],\"usage\":" TOKENS("1", "2") "}"),
		SETTLED, .input = 1, .output = 2, .searches = 1 },
	{ "searches of a stream, told one by one only", RESPONSES, .stream = true,
		.body = EVENT("response.output_item.added", ",\"item\":" SEARCH("search")) EVENT(
			"response.output_item.done", ",\"item\":" SEARCH("search"))
			EVENT("response.output_item.done", ",\"item\":" SEARCH("search")) EVENT(
				"response.output_item.done", ",\"item\":" SEARCH("find_in_page"))
				EVENT("response.completed",
					",\"response\":" RESPONSE("completed", TOKENS("1", "2"))),
		SETTLED, .input = 1, .output = 2, .searches = 2 },
};

#define START(usage)                                                                               \
	EVENT("message_start", ",\"message\":{\"model\":\"claude-a\",\"usage\":" usage "}")
#define DELTA(reason, usage)                                                                       \
	EVENT("message_delta", ",\"delta\":{\"stop_reason\":" reason "},\"usage\":" usage)
#define STOP EVENT("message_stop", "")

static const struct row anthropic_rows[] = {
	{ "message", ANTHROPIC, .body = "{\"usage\":" TOKENS("10", "5") "}", SETTLED, .input = 10,
		.output = 5 },
	{ "cache classes are beside the input", ANTHROPIC,
		.body = "{\"usage\":{\"input_tokens\":10,\"output_tokens\":5,"
			"\"cache_read_input_tokens\":7,\"cache_creation_input_tokens\":9,"
			"\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,"
			"\"ephemeral_1h_input_tokens\":5}}}",
		SETTLED, .input = 10, .output = 5, .read = 7, .write = 4, .write_1h = 5 },
	{ "cache writes without their kinds", ANTHROPIC,
		.body = "{\"usage\":{\"input_tokens\":1,\"output_tokens\":1,"
			"\"cache_creation_input_tokens\":9}}",
		SETTLED, .input = 1, .output = 1, .write = 9 },
	{ "cache writes without their kinds, for an hour", ANTHROPIC,
		.request = "{\"cache_control\":{\"ttl\":\"1h\"}}",
		.body = "{\"usage\":{\"input_tokens\":1,\"output_tokens\":1,"
			"\"cache_creation_input_tokens\":9}}",
		SETTLED, .input = 1, .output = 1, .write_1h = 9 },
	{ "kinds that say less than their sum", ANTHROPIC,
		.body = "{\"usage\":{\"input_tokens\":1,\"output_tokens\":1,"
			"\"cache_creation\":{\"ephemeral_5m_input_tokens\":4,"
			"\"ephemeral_1h_input_tokens\":null},\"cache_creation_input_tokens\":9}}",
		SETTLED, .input = 1, .output = 1, .write = 4, .write_1h = 5 },
	{ "searches and thinking", ANTHROPIC,
		.body = "{\"usage\":{\"input_tokens\":1,\"output_tokens\":4,"
			"\"output_tokens_details\":{\"thinking_tokens\":3},"
			"\"server_tool_use\":{\"web_search_requests\":2}}}",
		SETTLED, .input = 1, .output = 4, .reasoning = 3, .searches = 2 },
	{ "-1", ANTHROPIC, .body = "{\"usage\":" TOKENS("-1", "5") "}", BAD },
	{ "529", ANTHROPIC, .status = 529, .body = "{\"type\":\"error\",\"error\":{}}", FREE },
	{ "stream: the last value that is not null", ANTHROPIC, .stream = true,
		.body = START(TOKENS("10", "1")) EVENT("content_block_delta",
			",\"delta\":{\"text\":\"ab\",\"thinking\":\"c\","
			"\"partial_json\":\"{}\"}")
			DELTA("\"end_turn\"", "{\"input_tokens\":null,\"output_tokens\":50}") STOP,
		SETTLED, .input = 10, .output = 50, .visible = 5 },
	{ "a delta may correct the input", ANTHROPIC, .stream = true,
		.body = START(TOKENS("10", "1")) DELTA("\"end_turn\"", TOKENS("12", "50")) STOP,
		SETTLED, .input = 12, .output = 50 },
	{ "no message_stop, but the final usage", ANTHROPIC, .stream = true, .cut = true,
		.body = START(TOKENS("10", "1")) DELTA("\"end_turn\"", TOKENS("10", "50")), SETTLED,
		.input = 10, .output = 50 },
	{ "a delta that does not stop is not final", ANTHROPIC, .stream = true, .cut = true,
		.body = START(TOKENS("10", "1")) DELTA("null", TOKENS("10", "50")), ESTIMATED },
	{ "cut before the delta", ANTHROPIC, .stream = true, .cut = true,
		.body = START(TOKENS("10", "1")), ESTIMATED },
	{ "cut in message_start", ANTHROPIC, .stream = true, .cut = true,
		.body = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"
			"\"usage\":{\"input_tokens\":10,\"cache_crea",
		BAD },
	{ "overloaded first", ANTHROPIC, .stream = true, .body = EVENT("error", ",\"error\":{}"),
		FREE },
	{ "overloaded later", ANTHROPIC, .stream = true,
		.body = START(TOKENS("10", "1")) EVENT("error", ",\"error\":{}"), ESTIMATED },
};

static void read_row(
	struct feeder *feeder, const struct row *row, bool skim, struct sg_outcome *outcome)
{
	const char *type = row->stream ? "text/event-stream; charset=utf-8" : "application/json";
	struct feeder whole = { FEED_WHOLE, 0 };
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_response_options options = { .api = row->api,
		.facts = &facts,
		.status = row->status ? row->status : 200,
		.content_type = { type, strlen(type) },
		.content_encoding = { "", 0 },
		.skim = skim };
	struct sg_buf out = { 0 };

	read_request(&whole, row->api, row->request ? row->request : "{}", &facts, &edits);
	read_response(feeder, &options, row->body, strlen(row->body), !row->cut, &out, outcome);
	sg_buf_release(&out);
}

static void compare(const struct row *row, const struct sg_outcome *outcome)
{
	const struct sg_usage *usage = &outcome->usage;

	assert_int_equal(outcome->state, row->state);
	assert_int_equal(outcome->bad_evidence, row->bad_evidence);
	if (row->state != SG_EXCHANGE_SETTLED)
		return;
	assert_int_equal(usage->source, row->stream ? SG_SOURCE_SSE : SG_SOURCE_BODY);
	assert_int_equal(usage->input_tokens, row->input);
	assert_int_equal(usage->output_tokens, row->output);
	assert_int_equal(usage->cache_read_tokens, row->read);
	assert_int_equal(usage->cache_write_tokens, row->write);
	assert_int_equal(usage->cache_write_1h_tokens, row->write_1h);
	assert_int_equal(usage->reasoning_tokens, row->reasoning);
	assert_int_equal(usage->web_search_requests, row->searches);
}

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	struct sg_outcome outcome;

	read_row(feeder, row, false, &outcome);
	compare(row, &outcome);
	assert_int_equal(outcome.visible_output_bytes, row->visible);
	// Live traffic is only skimmed, and must settle the same.
	read_row(feeder, row, true, &outcome);
	compare(row, &outcome);
}

static void run_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("%s\n", rows[i].name);
		feed_all(run_row, &rows[i]);
	}
}

static void chat(void **state)
{
	(void)state;
	run_rows(chat_rows, SG_ARRAY_SIZE(chat_rows));
}

static void responses(void **state)
{
	(void)state;
	run_rows(responses_rows, SG_ARRAY_SIZE(responses_rows));
}

static void anthropic(void **state)
{
	(void)state;
	run_rows(anthropic_rows, SG_ARRAY_SIZE(anthropic_rows));
}

static void a_pending_call_tells_its_id(void **state)
{
	struct feeder feeder = { FEED_BYTEWISE, 0 };
	struct row row = { RESPONSES, .request = "{\"background\":true}",
		.body = RESPONSE("queued", "null") };
	struct sg_outcome outcome;

	(void)state;
	read_row(&feeder, &row, true, &outcome);
	assert_string_equal(outcome.pending_id, "resp_1");
	row.body = RESPONSE("completed", TOKENS("1", "2"));
	read_row(&feeder, &row, true, &outcome);
	assert_string_equal(outcome.pending_id, "");
}

// ---- Lines: several models in one answer ----

#define ITERATION(type, model, input, output)                                                      \
	"{\"type\":\"" type "\",\"model\":\"" model "\",\"input_tokens\":" input                   \
	",\"output_tokens\":" output ",\"cache_creation\":{},\"cache_creation_input_tokens\":3}"

static void advisors_are_priced_apart(struct feeder *feeder, const void *end)
{
	struct row row = { ANTHROPIC, .stream = true };
	struct sg_outcome outcome;
	char body[2048];

	snprintf(body, sizeof(body), "%s%s%s", START(TOKENS("10", "1")),
		DELTA("\"end_turn\"",
			"{\"output_tokens\":50,\"iterations\":[" ITERATION("message", "claude-a",
				"10", "20") "," ITERATION("advisor_message", "claude-b", "30",
				"40") "," ITERATION("message", "claude-a", "1", "2") "]}"),
		(const char *)end);
	row.body = body;
	read_row(feeder, &row, false, &outcome);
	assert_int_equal(outcome.state, SG_EXCHANGE_SETTLED);
	assert_int_equal(outcome.line_count, 2);
	assert_string_equal(outcome.lines[0].model, "claude-a");
	assert_int_equal(outcome.lines[0].input_tokens, 11);
	assert_int_equal(outcome.lines[0].output_tokens, 22);
	assert_int_equal(outcome.lines[0].cache_write_tokens, 6);
	assert_string_equal(outcome.lines[1].model, "claude-b");
	assert_int_equal(outcome.lines[1].output_tokens, 40);
	assert_int_equal(outcome.usage.input_tokens, 41);
	assert_int_equal(outcome.usage.output_tokens, 62);
}

static void lines_are_the_last_that_were_told(void **state)
{
	(void)state;
	feed_all(advisors_are_priced_apart, STOP);
	// A later null undoes nothing.
	feed_all(advisors_are_priced_apart,
		DELTA("\"end_turn\"", "{\"output_tokens\":50,\"iterations\":null}") STOP);
}

static void plain_iterations_are_not_lines(void **state)
{
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct row row = { ANTHROPIC,
		.body = "{\"usage\":{\"input_tokens\":10,\"output_tokens\":5,\"iterations\":"
			"[" ITERATION("message", "claude-a", "1", "1") "]}}" };
	struct sg_outcome outcome;

	(void)state;
	read_row(&feeder, &row, false, &outcome);
	assert_int_equal(outcome.line_count, 0);
	assert_int_equal(outcome.usage.input_tokens, 10);
}

// ---- Codings ----

static void read_coded(
	const char *coding, const char *body, size_t length, struct sg_outcome *outcome)
{
	struct sg_request_facts facts = { .is_object = true };
	struct sg_response_options options = { .api = &sg_api_openai_chat,
		.facts = &facts,
		.status = 200,
		.content_type = { "application/json", 16 },
		.content_encoding = { coding, strlen(coding) } };
	struct feeder feeder = { FEED_BYTEWISE, 0 };
	struct sg_buf out = { 0 };

	read_response(&feeder, &options, body, length, true, &out, outcome);
	sg_buf_release(&out);
}

static void a_coding_that_cannot_be_read_is_no_evidence(void **state)
{
	static const char *const codings[] = { "gzip", "compress", "gzip, br" };
	const char *body = CHAT_USAGE("10", "5");
	struct sg_outcome outcome;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(codings); i++) {
		read_coded(codings[i], body, strlen(body), &outcome);
		assert_int_equal(outcome.state, SG_EXCHANGE_ESTIMATED);
		assert_int_equal(outcome.usage.input_tokens, -1);
	}
}

// The usage came through whole, and then the checksum says that something in it was not as sent.
static void a_coding_that_fails_at_its_end_is_no_evidence(void **state)
{
	const char *body = CHAT_USAGE("10", "5");
	unsigned char coded[256];
	z_stream stream = { .next_in = (unsigned char *)body,
		.avail_in = (unsigned)strlen(body),
		.next_out = coded,
		.avail_out = sizeof(coded) };
	struct sg_outcome outcome;

	(void)state;
	assert_int_equal(
		deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	read_coded("gzip", (const char *)coded, stream.total_out, &outcome);
	assert_int_equal(outcome.state, SG_EXCHANGE_SETTLED);
	coded[stream.total_out - 8] ^= 1; // the CRC
	read_coded("gzip", (const char *)coded, stream.total_out, &outcome);
	assert_int_equal(outcome.state, SG_EXCHANGE_ESTIMATED);
	assert_int_equal(outcome.usage.input_tokens, -1);
	deflateEnd(&stream);
}

static void a_torn_body_leaves_the_input_unknown(void **state)
{
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct row row = { CHAT, .cut = true,
		.body = "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}" };
	struct sg_outcome outcome;

	(void)state;
	read_row(&feeder, &row, true, &outcome);
	assert_int_equal(outcome.usage.input_tokens, -1);
	assert_int_equal(outcome.usage.output_tokens, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat),
		cmocka_unit_test(responses),
		cmocka_unit_test(anthropic),
		cmocka_unit_test(a_pending_call_tells_its_id),
		cmocka_unit_test(lines_are_the_last_that_were_told),
		cmocka_unit_test(plain_iterations_are_not_lines),
		cmocka_unit_test(a_coding_that_cannot_be_read_is_no_evidence),
		cmocka_unit_test(a_coding_that_fails_at_its_end_is_no_evidence),
		cmocka_unit_test(a_torn_body_leaves_the_input_unknown),
	};

	return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
