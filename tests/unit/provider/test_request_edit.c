// SPDX-License-Identifier: Apache-2.0
// Asking for usage in the agent's place: the least change of the body, which a full parser reads as
// the same request with stream_options.include_usage true.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/readers.h"

struct row {
	const char *body;
	const char *edited; // NULL: nothing is to be added
};

static const struct row rows[] = {
	{ "{\"stream\":true}", "{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "\xef\xbb\xbf \n{ \"stream\":true}",
		"\xef\xbb\xbf \n{\"stream_options\":{\"include_usage\":true}, \"stream\":true}" },
	{ "{\"stream\":true,\"stream_options\":null}",
		"{\"stream\":true,\"stream_options\":{\"include_usage\":true}}" },
	{ "{\"stream_options\": {} ,\"stream\":true}",
		"{\"stream_options\": {\"include_usage\":true} ,\"stream\":true}" },
	{ "{\"stream_options\":{ },\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true },\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":false},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\" : null },\"stream\":true}",
		"{\"stream_options\":{\"include_usage\" : true },\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":\"true\"},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":{\"a\":[1]}},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":12},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_obfuscation\":false},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},"
		"\"stream\":true}" },
	{ "{\"stream_options\":{\"a\":{\"include_usage\":true}},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true,\"a\":{\"include_usage\":true}},"
		"\"stream\":true}" },
	{ "{\"stream_options\":\"x\",\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":[{\"include_usage\":true}],\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	{ "{\"stream_options\":7,\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream\":true}" },
	// The last of duplicate keys counts, and a key may be spelled with escapes.
	{ "{\"stream_options\":{\"include_usage\":true},\"stream_options\":{\"include_usage\":"
	  "false},"
	  "\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream_options\":{\"include_"
		"usage\":"
		"true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":true},\"stream_options\":{},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"stream_options\":{\"include_"
		"usage\":"
		"true},\"stream\":true}" },
	{ "{\"stream_options\":{\"include_usage\":true,\"include_usage\":false},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true,\"include_usage\":true},\"stream\":"
		"true}" },
	{ "{\"stream\\u005foptions\":{\"include\\u005fusage\":false},\"str\\u0065am\":true}",
		"{\"stream\\u005foptions\":{\"include\\u005fusage\":true},\"str\\u0065am\":true}" },
	{ "{\"x\":{\"stream_options\":{\"include_usage\":true}},\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"x\":{\"stream_options\":{\"include_"
		"usage\":true}},\"stream\":true}" },
	{ "{\"messages\":[\"\\\"stream_options\\\":{\"],\"stream\":true}",
		"{\"stream_options\":{\"include_usage\":true},\"messages\":[\"\\\"stream_"
		"options\\\":"
		"{\"],\"stream\":true}" },
	// Asked, or no stream.
	{ "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}", NULL },
	{ "{\"stream\":true,\"stream_options\":{},\"stream_options\":{\"include_usage\":true}}",
		NULL },
	{ "{\"stream\":false}", NULL },
	{ "{\"stream\":true,\"stream\":false}", NULL },
	{ "{}", NULL },
};

// As a sender does it: piece by piece.
static void apply(const char *body, const struct sg_request_edits *edits, char *out, size_t size)
{
	uint64_t length = strlen(body), edited = sg_request_edits_length(edits, length), at = 0;

	assert_true(edited < size);
	while (at < edited) {
		struct sg_request_piece piece = sg_request_edits_at(edits, at);
		uint64_t take = edited - at < piece.length ? edited - at : piece.length;

		assert_true(piece.length > 0);
		assert_true(piece.text || piece.body_offset + take <= length);
		memcpy(out + at, piece.text ? piece.text : body + piece.body_offset, take);
		at += take;
	}
	out[edited] = 0;
}

static void asks_for_usage(const char *text)
{
	json_t *root = json_loads(text[0] == '{' ? text : strchr(text, '{'), 0, NULL);

	assert_non_null(root);
	assert_true(json_is_true(
		json_object_get(json_object_get(root, "stream_options"), "include_usage")));
	json_decref(root);
}

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	char edited[512];

	read_request(feeder, &sg_api_openai_chat, row->body, &facts, &edits);
	assert_true(facts.is_object);
	if (!row->edited) {
		assert_int_equal(edits.count, 0);
		assert_int_equal(
			facts.include_usage, facts.stream ? SG_USAGE_ASKED : SG_USAGE_NOT_NEEDED);
		return;
	}
	assert_int_equal(facts.include_usage, SG_USAGE_TO_ADD);
	apply(row->body, &edits, edited, sizeof(edited));
	assert_string_equal(edited, row->edited);
	asks_for_usage(edited);
}

static void usage_is_asked_for_with_the_least_change(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(run_row, &rows[i]);
}

// Their streams tell it anyway.
static void other_formats_are_left_alone(void **state)
{
	static const struct sg_api *const others[] = { &sg_api_openai_responses,
		&sg_api_anthropic_messages };
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct sg_request_facts facts;
	struct sg_request_edits edits;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++) {
		read_request(&feeder, others[i], "{\"stream\":true}", &facts, &edits);
		assert_true(facts.stream);
		assert_int_equal(facts.include_usage, SG_USAGE_NOT_NEEDED);
	}
}

// ---- The output limit ----

struct limit_row {
	const struct sg_api *api;
	const char *body;
	const char *edited; // NULL: it can't be set
	unsigned more_traits;
};

#define CHAT  (&sg_api_openai_chat)
#define USAGE "\"stream_options\":{\"include_usage\":true},"

static const struct limit_row limit_rows[] = {
	{ CHAT, "{\"max_tokens\":4096}", "{\"max_tokens\":77}", 0 },
	{ CHAT, "{\"max_completion_tokens\" : 1e4 }", "{\"max_completion_tokens\" : 77 }", 0 },
	{ CHAT, "{\"max_tokens\":\"4096\",\"x\":1}", "{\"max_tokens\":77,\"x\":1}", 0 },
	{ CHAT, "{\"max_tokens\":{\"a\":[]},\"x\":1}", "{\"max_tokens\":77,\"x\":1}", 0 },
	{ CHAT, "{\"max_tokens\":null,\"max_completion_tokens\":9}",
		"{\"max_tokens\":null,\"max_completion_tokens\":77}", 0 },
	{ CHAT, "{\"max_tokens\":8,\"max_completion_tokens\":9}",
		"{\"max_tokens\":77,\"max_completion_tokens\":77}", 0 },
	{ CHAT, "{\"max_tokens\":null}", "{\"max_tokens\":77}", 0 },
	{ CHAT, "{\"x\":1}", "{\"max_tokens\":77,\"x\":1}", 0 },
	{ CHAT, "{\"x\":1}", "{\"max_completion_tokens\":77,\"x\":1}", SG_TRAIT_COMPLETION_LIMIT },
	{ CHAT, "{\"stream\":true}", "{" USAGE "\"max_tokens\":77,\"stream\":true}", 0 },
	{ CHAT, "{\"max_tokens\":1,\"stream_options\":{},\"stream\":true}",
		"{\"max_tokens\":77,\"stream_options\":{\"include_usage\":true},\"stream\":true}",
		0 },
	// Some read the first of two, others the last; and of some models the limit does not hold.
	{ CHAT, "{\"max_tokens\":1,\"max_tokens\":2}", NULL, 0 },
	{ CHAT, "{\"max_tokens\":1}", NULL, SG_TRAIT_LIMIT_LEAKS },
	{ CHAT, "{\"max_tokens\":1,\"plugins\":[{}]}", NULL, 0 },
	{ &sg_api_openai_completions, "{\"x\":1}", "{\"max_tokens\":77,\"x\":1}",
		SG_TRAIT_COMPLETION_LIMIT },
	{ &sg_api_openai_embeddings, "{\"x\":1}", NULL, 0 },
	{ &sg_api_openai_responses, "{\"max_output_tokens\":500}", "{\"max_output_tokens\":77}",
		0 },
	{ &sg_api_openai_responses, "{\"input\":\"\"}", "{\"max_output_tokens\":77,\"input\":\"\"}",
		0 },
	{ &sg_api_openai_responses, "{\"context_management\":[{}]}", NULL, 0 },
	{ &sg_api_anthropic_messages, "{\"max_tokens\":4096}", "{\"max_tokens\":77}", 0 },
	{ &sg_api_anthropic_messages, "{\"x\":1}", NULL, 0 }, // required: the call will fail
	{ &sg_api_gemini_generate, "{\"contents\":[]}",
		"{\"generationConfig\":{\"maxOutputTokens\":77},\"contents\":[]}", 0 },
	{ &sg_api_gemini_generate, "{\"generationConfig\":{}}",
		"{\"generationConfig\":{\"maxOutputTokens\":77}}", 0 },
	{ &sg_api_gemini_generate, "{\"generationConfig\": null }",
		"{\"generationConfig\": {\"maxOutputTokens\":77} }", 0 },
	{ &sg_api_gemini_generate, "{\"generation_config\":{ \"topK\":1}}",
		"{\"generation_config\":{\"maxOutputTokens\":77, \"topK\":1}}", 0 },
	{ &sg_api_gemini_generate, "{\"generationConfig\":{\"candidateCount\":2}}",
		"{\"generationConfig\":{\"maxOutputTokens\":77,\"candidateCount\":2}}", 0 },
	{ &sg_api_gemini_generate, "{\"generation_config\":{\"max_output_tokens\":1}}",
		"{\"generation_config\":{\"max_output_tokens\":77}}", 0 },
	{ &sg_api_gemini_generate,
		"{\"generationConfig\":{\"max_output_tokens\":1,\"maxOutputTokens\":1}}", NULL, 0 },
	{ &sg_api_gemini_generate, "{\"generationConfig\":{},\"generation_config\":{}}", NULL, 0 },
	{ &sg_api_cohere_chat, "{\"x\":1}", "{\"max_tokens\":77,\"x\":1}", 0 },
	{ &sg_api_ollama, "{\"options\":{\"num_predict\":-1}}",
		"{\"options\":{\"num_predict\":77}}", 0 },
	{ &sg_api_ollama, "{\"options\":{\"seed\":1}}",
		"{\"options\":{\"num_predict\":77,\"seed\":1}}", 0 },
	{ &sg_api_bedrock_converse, "{\"inferenceConfig\":{\"maxTokens\":9}}", NULL, 0 },
};

static void run_limit_row(struct feeder *feeder, const void *context)
{
	const struct limit_row *row = context;
	struct sg_route route = { .kind = SG_ROUTE_METERED,
		.api = row->api,
		.traits = SG_TRAIT_ASK_USAGE | row->more_traits };
	struct sg_request_reader *reader;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	size_t length = strlen(row->body);
	char edited[512];

	assert_int_equal(sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
	for (size_t at = 0, piece; at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		assert_int_equal(sg_request_reader_feed(reader, row->body + at, piece), 0);
	}
	sg_request_reader_finish(reader, &facts, &edits);
	assert_int_equal(facts.can_limit, row->edited != NULL);
	assert_int_equal(sg_request_reader_limit(reader, 77, &edits), row->edited ? 0 : -ENOTSUP);
	if (row->edited) {
		apply(row->body, &edits, edited, sizeof(edited));
		assert_string_equal(edited, row->edited);
	}
	sg_request_reader_free(reader);
}

static void the_output_limit_is_set_in_one_way_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(limit_rows); i++) {
		print_message("%s %s\n", limit_rows[i].api->name, limit_rows[i].body);
		feed_all(run_limit_row, &limit_rows[i]);
	}
}

// Below its thinking budget Anthropic refuses a limit.
static void a_limit_has_a_least_value(void **state)
{
	struct feeder feeder = { FEED_WHOLE, 0 };
	struct sg_request_facts facts;
	struct sg_request_edits edits;

	(void)state;
	read_request(&feeder, &sg_api_anthropic_messages,
		"{\"max_tokens\":4096,\"thinking\":{\"budget_tokens\":1024}}", &facts, &edits);
	assert_int_equal(facts.least_limit, 1025);
	read_request(&feeder, CHAT, "{}", &facts, &edits);
	assert_int_equal(facts.least_limit, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_is_asked_for_with_the_least_change),
		cmocka_unit_test(other_formats_are_left_alone),
		cmocka_unit_test(the_output_limit_is_set_in_one_way_only),
		cmocka_unit_test(a_limit_has_a_least_value),
	};

	return cmocka_run_group_tests_name("request_edit", tests, NULL, NULL);
}
