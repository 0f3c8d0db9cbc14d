// SPDX-License-Identifier: Apache-2.0
// Gemini's, Ollama's and Cohere's own wire formats: what a request allows, what an answer says was
// used.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/readers.h"

enum content { BODY, SSE, LINES };

struct row {
	const char *name;
	const struct sg_api *api;
	const char *request;
	enum content content;
	bool cut;
	unsigned status; // 0: 200
	const char *body;
	enum sg_exchange_state state;
	bool bad_evidence;
	int64_t input, output, read, reasoning, searches, audio_input, image_output, search_units;
};

#define GEMINI	  .api = &sg_api_gemini_generate
#define OLLAMA	  .api = &sg_api_ollama
#define COHERE	  .api = &sg_api_cohere_chat
#define SETTLED	  .state = SG_EXCHANGE_SETTLED
#define ESTIMATED .state = SG_EXCHANGE_ESTIMATED
#define BAD	  .state = SG_EXCHANGE_ESTIMATED, .bad_evidence = true

#define STOP  "\"candidates\":[{\"finishReason\":\"STOP\"}]"
#define GOING "\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]"
#define USED(prompt, output, total)                                                                \
	"\"usageMetadata\":{\"promptTokenCount\":" prompt ",\"candidatesTokenCount\":" output      \
	",\"totalTokenCount\":" total "}"

#define VERSION "\"modelVersion\":\"gemini-3-pro\""
#define EVENT(what, prompt, output, total)                                                         \
	"data: {" what "," USED(prompt, output, total) "," VERSION "}\r\n\r\n"

static const struct row rows[] = {
	{ "gemini", GEMINI, .body = "{" STOP "," USED("10", "5", "15") "}", SETTLED, .input = 10,
		.output = 5 },
	{ "no output", GEMINI,
		.body = "{\"promptFeedback\":{\"blockReason\":\"OTHER\"},\"usageMetadata\":"
			"{\"promptTokenCount\":10,\"totalTokenCount\":10}}",
		SETTLED, .input = 10 },
	{ "no total", GEMINI,
		.body = "{\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":5,"
			"\"thoughtsTokenCount\":7}}",
		SETTLED, .input = 10, .output = 12, .reasoning = 7 },
	{ "pictures and sound", GEMINI,
		.body = "{\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":9,"
			"\"totalTokenCount\":19,\"promptTokensDetails\":[{\"modality\":\"AUDIO\","
			"\"tokenCount\":4},{\"tokenCount\":6,\"modality\":\"TEXT\"}],"
			"\"candidatesTokensDetails\":[{\"tokenCount\":8,\"modality\":\"IMAGE\"}]}}",
		SETTLED, .input = 10, .output = 9, .audio_input = 4, .image_output = 8 },
	{ "a total below the prompt", GEMINI, .body = "{" USED("10", "5", "3") "}", BAD },
	{ "more cached than there is", GEMINI,
		.body = "{\"usageMetadata\":{\"promptTokenCount\":10,\"cachedContentTokenCount\":"
			"11,"
			"\"totalTokenCount\":11}}",
		BAD },
	{ "a count that is none", GEMINI, .body = "{" USED("-1", "5", "3") "}", BAD },
	{ "a stream", GEMINI, .content = SSE,
		.body = "data: {" GOING "," USED(
			"10", "1", "11") "}\r\n\r\n"
					 "data: {" STOP "," USED("10", "5", "15") "}\r\n\r\n",
		SETTLED, .input = 10, .output = 5 },
	{ "a stream that was cut", GEMINI, .content = SSE, .cut = true,
		.body = "data: {" GOING "," USED("10", "1", "11") "}\r\n\r\n", ESTIMATED },
	{ "a stream that ended without an end", GEMINI, .content = SSE,
		.body = "data: {" GOING "," USED("10", "1", "11") "}\r\n\r\n", ESTIMATED },
	{ "totals in mid-answer are the last ones told", GEMINI, .content = SSE,
		.body = EVENT(GOING, "10", "1", "11") EVENT(GOING, "10", "2", "12")
			EVENT(GOING, "10", "4", "14") "data: {" STOP "," VERSION "}\r\n\r\n",
		SETTLED, .input = 10, .output = 4 },
	{ "searches in mid-answer count", GEMINI, .content = SSE,
		.body = EVENT(GOING, "10", "1", "11") EVENT(
			"\"candidates\":[{\"groundingMetadata\":{\"webSearchQueries\":[\"a\","
			"\"b\"]}}]",
			"10", "2", "12") EVENT(GOING, "10", "3", "13") EVENT(STOP, "10", "4", "14"),
		SETTLED, .input = 10, .output = 4, .searches = 2 },
	{ "one of two that ends in mid-answer has ended", GEMINI, .content = SSE, .cut = true,
		.request = "{\"generationConfig\":{\"candidateCount\":2}}",
		.body = EVENT(GOING, "10", "1", "11") EVENT(STOP, "10", "2", "12")
			EVENT(GOING, "10", "3", "13") EVENT(STOP, "10", "4", "14"),
		SETTLED, .input = 10, .output = 4 },
	{ "one of two has ended", GEMINI,
		.request = "{\"generationConfig\":{\"candidateCount\":2}}", .content = SSE,
		.cut = true, .body = "data: {" STOP "," USED("10", "1", "11") "}\r\n\r\n",
		ESTIMATED },
	{ "an array", GEMINI,
		.body = "[{" GOING "," USED("10", "1", "11") "}\n,\r\n{" STOP
							     "," USED("10", "5", "15") "}]",
		SETTLED, .input = 10, .output = 5 },
	{ "an array that was cut", GEMINI, .cut = true,
		.body = "[{" GOING "," USED("10", "1", "11") "},", ESTIMATED },
	{ "an array with an error", GEMINI, .status = 429, .body = "[{\"error\":{\"code\":429}}]",
		.state = SG_EXCHANGE_ERROR_FREE },
	{ "searched, before 3", GEMINI,
		.body = "{\"modelVersion\":\"gemini-2.5-pro\",\"candidates\":[{"
			"\"groundingMetadata\":"
			"{\"webSearchQueries\":[\"a\",\"b\"]}}]," USED("10", "5", "15") "}",
		SETTLED, .input = 10, .output = 5, .searches = 1 },
	{ "searched, from 3 on", GEMINI,
		.body = "{\"modelVersion\":\"gemini-3-pro\",\"candidates\":[{\"groundingMetadata\":"
			"{\"webSearchQueries\":[\"a\",\"b\"]}}]," USED("10", "5", "15") "}",
		SETTLED, .input = 10, .output = 5, .searches = 2 },
	{ "converse", .api = &sg_api_bedrock_converse,
		.body = "{\"usage\":{\"inputTokens\":10,\"outputTokens\":5,"
			"\"cacheReadInputTokens\":7}}",
		SETTLED, .input = 10, .output = 5, .read = 7 },
	{ "converse: more written for an hour than in all", .api = &sg_api_bedrock_converse,
		.body = "{\"usage\":{\"inputTokens\":10,\"outputTokens\":5,"
			"\"cacheWriteInputTokens\":1,\"cacheDetails\":[{\"ttl\":\"1h\","
			"\"inputTokens\":2}]}}",
		BAD },
	{ "invoke without any usage", .api = &sg_api_bedrock_invoke,
		.body = "{\"generation\":\"a\"}", ESTIMATED },
	{ "ollama", OLLAMA, .content = LINES,
		.body = "{\"model\":\"m\",\"done\":false}\n\n{\"model\":\"m\",\"done\":true,"
			"\"prompt_eval_count\":10,\"eval_count\":5}\n",
		SETTLED, .input = 10, .output = 5 },
	{ "without the last line's end", OLLAMA, .content = LINES,
		.body = "{\"done\":true,\"prompt_eval_count\":10,\"eval_count\":5}", SETTLED,
		.input = 10, .output = 5 },
	{ "cut within a line", OLLAMA, .content = LINES, .cut = true,
		.body = "{\"model\":\"m\",\"done\":false}\n{\"done\":true,\"prompt_eval_count\":"
			"10,",
		BAD },
	{ "cut before the end", OLLAMA, .content = LINES, .cut = true,
		.body = "{\"model\":\"m\",\"done\":false}\n", ESTIMATED },
	{ "an error first", OLLAMA, .content = LINES, .body = "{\"error\":\"no\"}\n",
		.state = SG_EXCHANGE_ERROR_FREE },
	{ "an error later", OLLAMA, .content = LINES,
		.body = "{\"model\":\"m\",\"done\":false}\n{\"error\":\"no\"}\n", ESTIMATED },
	{ "cohere: what is billed, not what was read", COHERE,
		.body = "{\"usage\":{\"billed_units\":{\"input_tokens\":5,\"output_tokens\":9},"
			"\"tokens\":{\"input_tokens\":71,\"output_tokens\":10}}}",
		SETTLED, .input = 5, .output = 9 },
	{ "cohere: a stream", COHERE, .content = SSE,
		.body = "event: content-delta\ndata: {\"type\":\"content-delta\"}\n\ndata: "
			"{\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":"
			"{\"input_tokens\":5,\"output_tokens\":9}}}}\n\ndata: [DONE]\n\n",
		SETTLED, .input = 5, .output = 9 },
	{ "cohere: cut", COHERE, .content = SSE, .cut = true,
		.body = "data: {\"type\":\"content-delta\"}\n\n", ESTIMATED },
	{ "cohere: a count that is none", COHERE,
		.body = "{\"usage\":{\"billed_units\":{\"input_tokens\":-5,\"output_tokens\":9}}}",
		BAD },
	{ "cohere: an embedding", .api = &sg_api_cohere_embed,
		.body = "{\"meta\":{\"billed_units\":{\"input_tokens\":2,\"image_tokens\":3}}}",
		SETTLED, .input = 5 },
	{ "cohere: a rerank", .api = &sg_api_cohere_rerank,
		.body = "{\"meta\":{\"billed_units\":{\"search_units\":2}}}", SETTLED,
		.search_units = 2 },
};

static void compare(const struct row *row, const struct sg_outcome *outcome)
{
	const struct sg_usage *usage = &outcome->usage;

	assert_int_equal(outcome->state, row->state);
	assert_int_equal(outcome->bad_evidence, row->bad_evidence);
	if (row->state != SG_EXCHANGE_SETTLED)
		return;
	assert_int_equal(usage->input_tokens, row->input);
	assert_int_equal(usage->output_tokens, row->output);
	assert_int_equal(usage->cache_read_tokens, row->read);
	assert_int_equal(usage->reasoning_tokens, row->reasoning);
	assert_int_equal(usage->web_search_requests, row->searches);
	assert_int_equal(usage->audio_input_tokens, row->audio_input);
	assert_int_equal(usage->image_output_tokens, row->image_output);
	assert_int_equal(usage->search_units, row->search_units);
}

static void run_row(struct feeder *feeder, const void *context)
{
	static const char *const types[] = { [BODY] = "application/json; charset=UTF-8",
		[SSE] = "text/event-stream",
		[LINES] = "application/x-ndjson" };
	const struct row *row = context;
	struct feeder whole = { FEED_WHOLE, 0 };
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_response_options options = { .api = row->api,
		.facts = &facts,
		.status = row->status ? row->status : 200,
		.content_type = { types[row->content], strlen(types[row->content]) },
		.content_encoding = { "", 0 } };
	struct sg_outcome outcome;

	read_request(&whole, row->api, row->request ? row->request : "{}", &facts, &edits);
	for (int skim = 0; skim < 2; skim++) {
		struct sg_buf out = { 0 };

		options.skim = skim;
		read_response(
			feeder, &options, row->body, strlen(row->body), !row->cut, &out, &outcome);
		sg_buf_release(&out);
		compare(row, &outcome);
	}
}

static void answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].name);
		feed_all(run_row, &rows[i]);
	}
}

static const struct request_row {
	const struct sg_api *api;
	const char *body;
	int64_t max_output, choices, turns, search_units;
	bool window, stream, unbounded_output;
} requests[] = {
	{ GEMINI, .body = "{}", .max_output = -1, .choices = 1 },
	{ GEMINI, .body = "{\"generationConfig\":{\"maxOutputTokens\":7,\"candidateCount\":3}}",
		.max_output = 7, .choices = 3 },
	{ GEMINI, .body = "{\"generation_config\":{\"max_output_tokens\":7,\"candidate_count\":3}}",
		.max_output = 7, .choices = 3 },
	{ GEMINI, .body = "{\"contents\":[{\"parts\":[{\"text\":\"a\"},{\"functionCall\":{}}]}]}",
		.max_output = -1, .choices = 1 },
	{ GEMINI, .body = "{\"contents\":[{\"parts\":[{\"inline_data\":{\"data\":\"\"}}]}]}",
		.max_output = -1, .choices = 1, .window = true },
	{ GEMINI, .body = "{\"contents\":[{\"parts\":[{\"fileData\":{\"fileUri\":\"u\"}}]}]}",
		.max_output = -1, .choices = 1, .window = true },
	{ GEMINI, .body = "{\"system_instruction\":{\"parts\":[{\"file_data\":{}}]}}",
		.max_output = -1, .choices = 1, .window = true },
	{ GEMINI, .body = "{\"cachedContent\":\"c\"}", .max_output = -1, .choices = 1,
		.window = true },
	{ GEMINI, .body = "{\"tools\":[{\"functionDeclarations\":[]}]}", .max_output = -1,
		.choices = 1 },
	{ GEMINI, .body = "{\"tools\":[{\"google_search\":{}}]}", .max_output = -1, .choices = 1,
		.turns = 10, .window = true },
	// Each name in two spellings, of which the provider takes one.
	{ GEMINI,
		.body = "{\"generationConfig\":{\"maxOutputTokens\":90,\"max_output_tokens\":9,"
			"\"candidateCount\":3,\"candidate_count\":1}}",
		.max_output = 90, .choices = 3 },
	{ GEMINI,
		.body = "{\"generationConfig\":{\"maxOutputTokens\":90},"
			"\"generation_config\":{\"max_output_tokens\":9}}",
		.max_output = 90, .choices = 1 },
	{ GEMINI,
		.body = "{\"generationConfig\":{\"maxOutputTokens\":9,\"max_output_tokens\":9},"
			"\"generation_config\":{}}",
		.max_output = -1, .choices = 1 },
	{ GEMINI,
		.body = "{\"generation_config\":null,"
			"\"generationConfig\":{\"maxOutputTokens\":9}}",
		.max_output = -1, .choices = 1 },
	{ .api = &sg_api_gemini_interactions,
		.body = "{\"generationConfig\":{},"
			"\"generation_config\":{\"max_output_tokens\":9}}",
		.max_output = -1,
		.choices = 1 },
	{ OLLAMA, .body = "{\"options\":{\"num_predict\":9},\"options\":{}}", .max_output = -1,
		.choices = 1, .stream = true, .unbounded_output = true },
	{ .api = &sg_api_gemini_interactions,
		.body = "{\"generationConfig\":{\"maxOutputTokens\":90},"
			"\"generation_config\":{\"max_output_tokens\":9}}",
		.max_output = 90,
		.choices = 1 },
	{ .api = &sg_api_gemini_embed,
		.body = "{\"requests\":[{\"content\":{\"parts\":[]}}]}",
		.choices = 1 },
	{ OLLAMA, .body = "{}", .max_output = -1, .choices = 1, .stream = true,
		.unbounded_output = true },
	{ OLLAMA, .body = "{\"stream\":false,\"options\":{\"num_predict\":9}}", .max_output = 9,
		.choices = 1 },
	{ OLLAMA, .body = "{\"options\":{\"num_predict\":-1}}", .max_output = -1, .choices = 1,
		.stream = true, .unbounded_output = true },
	{ OLLAMA, .body = "{\"images\":[\"AA==\"],\"options\":{\"num_predict\":9}}",
		.max_output = 9, .choices = 1, .window = true, .stream = true },
	{ .api = &sg_api_bedrock_converse,
		.body = "{\"inferenceConfig\":{\"maxTokens\":9},\"messages\":[{\"content\":["
			"{\"text\":\"a\"}]}]}",
		.max_output = 9,
		.choices = 1 },
	{ .api = &sg_api_bedrock_converse,
		.body = "{\"messages\":[{\"content\":[{\"image\":{}}]}]}",
		.max_output = -1,
		.choices = 1,
		.window = true },
	{ .api = &sg_api_bedrock_invoke,
		.body = "{\"max_tokens\":9,\"max_gen_len\":11}",
		.max_output = 9,
		.choices = 1 },
	{ COHERE, .body = "{\"max_tokens\":9,\"stream\":true}", .max_output = 9, .choices = 1,
		.stream = true },
	{ COHERE, .body = "{\"messages\":[{\"content\":[{\"type\":\"image_url\"}]}]}",
		.max_output = -1, .choices = 1, .window = true },
	{ COHERE, .body = "{\"conversation_id\":\"c\"}", .max_output = -1, .choices = 1,
		.window = true },
	{ .api = &sg_api_cohere_rerank,
		.body = "{\"documents\":[\"a\",\"b\"]}",
		.choices = 1,
		.search_units = 1 },
};

static void what_requests_allow(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(requests); i++) {
		const struct request_row *row = &requests[i];
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		print_message("%s\n", row->body);
		read_request(&whole, row->api, row->body, &facts, &edits);
		assert_int_equal(facts.max_output, row->max_output);
		assert_int_equal(facts.choices, row->choices);
		assert_int_equal(facts.tool_turns, row->turns);
		assert_int_equal(facts.search_units, row->search_units);
		assert_int_equal(facts.context_window, row->window);
		assert_int_equal(facts.stream, row->stream);
		assert_int_equal(facts.unbounded_output, row->unbounded_output);
		assert_int_equal(facts.include_usage, SG_USAGE_NOT_NEEDED);
	}
}

static void a_rerank_of_many_documents(void **state)
{
	static char body[8000] = "{\"documents\":[1";
	struct feeder whole = { FEED_WHOLE, 0 };
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	size_t used = strlen(body);

	(void)state;
	for (int i = 0; i < 249; i++)
		used += (size_t)snprintf(body + used, sizeof(body) - used, ",1");
	snprintf(body + used, sizeof(body) - used, "]}");
	read_request(&whole, &sg_api_cohere_rerank, body, &facts, &edits);
	assert_int_equal(facts.search_units, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(what_requests_allow),
		cmocka_unit_test(a_rerank_of_many_documents),
	};

	return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
