// SPDX-License-Identifier: Apache-2.0
// From a request's bytes to its hold: never less than what the provider may bill for it, in the
// shapes that one context window, or the bytes, do not bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "lib/builtin_prices.h"
#include "lib/readers.h"

#define WALL_NS (INT64_C(1800000000) * SG_NS_PER_SEC) // 2027

// 400 bytes, which are 100 tokens and may be 399.
#define TEN(text) text text text text text text text text text text
#define TEXT	  TEN(TEN("abc "))
#define WORDS	  "\"" TEXT "\""

static const struct row {
	const char *what;
	const char *provider, *model;
	const struct sg_api *api;
	const char *head, *item; // the item so many times, with commas between
	int count;
	const char *tail;
	int64_t input, searches; // what the provider counts
} rows[] = {
	{ "embeddings", "openai", "text-embedding-3-large", &sg_api_openai_embeddings,
		"{\"input\":[", WORDS, 2000, "]}", 200000, 0 },
	{ "embeddings of token numbers", "openai", "text-embedding-3-large",
		&sg_api_openai_embeddings, "{\"input\":[", "[" TEN(TEN("1,")) "1]", 2000, "]}",
		202000, 0 },
	{ "Mistral's embeddings", "mistral", "mistral-embed", &sg_api_openai_embeddings,
		"{\"input\":[", WORDS, 2000, "]}", 200000, 0 },
	{ "Gemini's embeddings by OpenAI's path", "gemini", "gemini-embedding-001",
		&sg_api_openai_embeddings, "{\"input\":[", WORDS, 100, "]}", 10000, 0 },
	{ "embeddings in a shape that is not read", "openai", "text-embedding-3-large",
		&sg_api_openai_embeddings, "{\"inputs\":[", WORDS, 2000, "]}", 200000, 0 },
	{ "embeddings of pictures", "openai", "text-embedding-3-large", &sg_api_openai_embeddings,
		"{\"input\":[", "{\"image_url\":\"u\"}", 3, "]}", 3 * 8191, 0 },
	{ "a list of prompts", "openai", "gpt-3.5-turbo-instruct", &sg_api_openai_completions,
		"{\"max_tokens\":1,\"prompt\":[", "\"" TEN(TEXT) "\"", 20, "]}", 20000, 0 },
	{ "each document is read with the query", "mistral", "mistral-embed",
		&sg_api_openai_embeddings, "{\"query\":" WORDS ",\"documents\":[", "\"a\"", 1000,
		"]}", 101000, 0 },
	{ "a score", "mistral", "mistral-embed", &sg_api_openai_embeddings,
		"{\"text_1\":[" WORDS "],\"text_2\":[", "\"a\"", 1000, "]}", 101000, 0 },
	{ "Cohere's embeddings", "cohere", "embed-english-v3.0", &sg_api_cohere_embed,
		"{\"texts\":[", WORDS, 96, "]}", 9600, 0 },
	{ "Cohere's pictures", "cohere", "embed-english-v3.0", &sg_api_cohere_embed,
		"{\"images\":[", "\"data:image/png;base64,AA\"", 3, "]}", 3 * 1024, 0 },
	{ "a document is counted with the query", "cohere", "rerank-v3.5", &sg_api_cohere_rerank,
		"{\"query\":" WORDS ",\"documents\":[", "\"" TEXT TEXT "\"", 99, "]}", 0, 2 },
	{ "Gemini's batch", "gemini", "gemini-embedding-001", &sg_api_gemini_embed,
		"{\"requests\":[", "{\"content\":{\"parts\":[{\"text\":\"" TEN(TEXT) "\"}]}}", 100,
		"]}", 100000, 0 },
	{ "Vertex's instances", "vertex", "gemini-embedding-001", &sg_api_gemini_predict,
		"{\"instances\":[", "{\"content\":\"" TEN(TEXT) "\"}", 20, "]}", 20000, 0 },
	{ "Cohere's embeddings at Bedrock", "bedrock", "cohere.embed-english-v3",
		&sg_api_bedrock_invoke, "{\"texts\":[", WORDS, 96, "]}", 9600, 0 },
#define GEMINI	  "gemini", "gemini-2.5-pro", &sg_api_gemini_generate
#define FILE_PART "{\"fileData\":{\"fileUri\":\"u\",\"mimeType\":\"video/mp4\"}}"
	{ "one content in place of a list", GEMINI, "{\"contents\":{\"parts\":[", FILE_PART, 1,
		"]}}", 1000000, 0 },
	{ "one part in place of a list", GEMINI, "{\"contents\":[{\"parts\":", FILE_PART, 1, "}]}",
		1000000, 0 },
	{ "one part of the system", GEMINI, "{\"systemInstruction\":{\"parts\":", FILE_PART, 1,
		"}}", 1000000, 0 },
	{ "media that a function gives", GEMINI,
		"{\"contents\":[{\"parts\":[{\"functionResponse\":{\"parts\":[", FILE_PART, 1,
		"]}}]}]}", 1000000, 0 },
	{ "the same, one part, in snake case", GEMINI,
		"{\"contents\":[{\"parts\":[{\"function_response\":{\"parts\":", FILE_PART, 1,
		"}}]}]}", 1000000, 0 },
	{ "a part of a later kind", GEMINI, "{\"contents\":[{\"parts\":[{\"laterData\":", FILE_PART,
		1, "}]}]}", 1000000, 0 },
	{ "one tool in place of a list", GEMINI, "{\"tools\":", "{\"googleSearch\":{}}", 1, "}",
		2000000, 1 },
#define GEMINI_3 "gemini", "gemini-3-pro-preview", &sg_api_gemini_generate
	{ "many queries of one prompt", GEMINI_3, "{\"tools\":[", "{\"googleSearch\":{}}", 1, "]}",
		11000000, 100 },
	{ "the same, in a list of lists", GEMINI_3, "{\"tools\":[[", "{\"google_search\":{}}", 1,
		"]]}", 11000000, 100 },
#define INTERACTION "gemini", "gemini-2.5-pro", &sg_api_gemini_interactions
#define VIDEO	    "{\"type\":\"video\",\"uri\":\"u\"}"
	{ "an interaction of one object", INTERACTION, "{\"input\":", VIDEO, 1, "}", 1000000, 0 },
	{ "an interaction's function result", INTERACTION,
		"{\"input\":[{\"type\":\"function_result\",\"result\":[", VIDEO, 1, "]}]}", 1000000,
		0 },
	{ "media without a type", INTERACTION, "{\"input\":[", "{\"uri\":\"u\"}", 1, "]}", 1000000,
		0 },
	{ "an interaction that goes on from another, in camel case", INTERACTION,
		"{\"previousInteractionId\":", "\"i\"", 1, "}", 1000000, 0 },
	{ "an interaction's stored context, in camel case", INTERACTION,
		"{\"cachedContent\":", "\"c\"", 1, "}", 1000000, 0 },
	{ "an interaction's one tool", INTERACTION, "{\"tools\":", "{\"type\":\"google_search\"}",
		1, "}", 2000000, 1 },
};

static void read_row(const struct row *row, struct sg_request_facts *facts)
{
	struct sg_route route = { .kind = SG_ROUTE_METERED, .api = row->api };
	struct sg_request_reader *reader;
	struct sg_request_edits edits;
	int r;

	strcpy(route.model, row->model);
	assert_int_equal(sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
	r = sg_request_reader_feed(reader, row->head, strlen(row->head));
	for (int i = 0; r == 0 && i < row->count; i++) {
		if (i)
			r = sg_request_reader_feed(reader, ",", 1);
		if (r == 0)
			r = sg_request_reader_feed(reader, row->item, strlen(row->item));
	}
	if (r == 0)
		r = sg_request_reader_feed(reader, row->tail, strlen(row->tail));
	assert_int_equal(r, 0);
	sg_request_reader_finish(reader, facts, &edits);
	assert_null(sg_request_reader_free(reader));
	assert_true(facts->is_object);
}

#define PNG "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"" TEN(TEN(TEN("AAAA"))) "\"}}"
#define PDF_DATA                                                                                   \
	"{\"inline_data\":{\"data\":\"" TEN("AAAA") "\",\"mime_type\":\"application/pdf\"}}"
#define PARTS "{\"contents\":[{\"parts\":["
#define CLAUDE_PNG                                                                                 \
	"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"" TEN(                     \
		TEN(TEN("AAAA"))) "\"}}"
#define CONVERSE_PNG                                                                               \
	"{\"image\":{\"format\":\"png\",\"source\":{\"bytes\":\"" TEN(TEN(TEN("AAAA"))) "\"}}}"
#define CONTENT "{\"messages\":[{\"content\":["
#define CLAUDE	"anthropic.claude-sonnet-4-5-20250929-v1:0"

// A picture is held for by its family's maximum, and its bytes are no text; what may have pages or
// frames takes the context window.
static const struct {
	const char *what;
	struct row row;
	int64_t least, most; // of the tokens held for
} pictures[] = {
	{ "Gemini", { "", GEMINI, PARTS, PNG, 2, "]}]}", 0, 0 }, 2 * 4128, 2 * 4541 + 700 },
	{ "Vertex",
		{ "", "vertex", "gemini-2.5-pro", &sg_api_gemini_generate, PARTS, PNG, 2, "]}]}", 0,
			0 },
		2 * 4128, 2 * 4541 + 700 },
	{ "at a resolution of its own",
		{ "", GEMINI,
			PARTS "{\"mediaResolution\":{\"level\":\"MEDIA_RESOLUTION_HIGH\"},\"text\":"
			      "\"a\"},",
			PNG, 1, "]}]}", 0, 0 },
		4128, 4541 + 700 },
	{ "a document", { "", GEMINI, PARTS PNG ",", PDF_DATA, 1, "]}]}", 0, 0 }, 1000000,
		INT64_MAX },
	{ "two names for what it is",
		{ "", GEMINI, PARTS,
			"{\"inlineData\":{\"mimeType\":\"image/png\",\"mime_type\":\"video/mp4\"}}",
			1, "]}]}", 0, 0 },
		1000000, INT64_MAX },
	{ "no name for what it is",
		{ "", GEMINI, PARTS, "{\"inlineData\":{\"data\":\"AA\"}}", 1, "]}]}", 0, 0 },
		1000000, INT64_MAX },
	{ "a model whose maximum is not known",
		{ "", "gemini", "gemini-embedding-2", &sg_api_gemini_generate, PARTS, PNG, 1,
			"]}]}", 0, 0 },
		8192, INT64_MAX },
	{ "Claude at Bedrock",
		{ "", "bedrock", CLAUDE, &sg_api_bedrock_invoke, CONTENT, CLAUDE_PNG, 2, "]}]}", 0,
			0 },
		2 * 4784, 2 * 5263 + 700 },
	{ "Claude by converse",
		{ "", "bedrock", CLAUDE, &sg_api_bedrock_converse, CONTENT, CONVERSE_PNG, 2, "]}]}",
			0, 0 },
		2 * 4784, 2 * 5263 + 700 },
	{ "a part that is no picture",
		{ "", "bedrock", CLAUDE, &sg_api_bedrock_invoke, CONTENT,
			"{\"type\":\"text\",\"source\":{\"data\":\"AA\"}}", 1, "]}]}", 0, 0 },
		200000, INT64_MAX },
	{ "another model of Bedrock's",
		{ "", "bedrock", "amazon.nova-pro-v1:0", &sg_api_bedrock_converse, CONTENT,
			CONVERSE_PNG, 1, "]}]}", 0, 0 },
		300000, INT64_MAX },
	{ "Claude at Vertex",
		{ "", "vertex", "claude-sonnet-4-5", &sg_api_anthropic_messages, CONTENT,
			CLAUDE_PNG, 2, "]}]}", 0, 0 },
		2 * 4784, 2 * 5263 + 700 },
};

static void a_picture_is_held_for_by_its_own_maximum(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(pictures); i++) {
		const struct row *row = &pictures[i].row;
		struct sg_request_facts facts;
		struct sg_charge hold;

		read_row(row, &facts);
		assert_int_equal(sg_price_bound(table, sg_provider_by_name(row->provider), &facts,
					 WALL_NS, &hold),
			0);
		if (hold.input_tokens < pictures[i].least || hold.input_tokens > pictures[i].most)
			fail_msg("%s: %lld", pictures[i].what, (long long)hold.input_tokens);
	}
}

static void no_bill_is_over_its_hold(void **state)
{
	bool over = false;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct sg_provider *provider = sg_provider_by_name(row->provider);
		struct sg_outcome outcome = { .usage = { .input_tokens = row->input,
						      .web_search_requests = row->searches } };
		struct sg_request_facts facts;
		struct sg_charge hold, bill;

		read_row(row, &facts);
		assert_int_equal(
			sg_price_cost(table, provider, row->model, &outcome, WALL_NS, &bill), 0);
		assert_int_equal(sg_price_bound(table, provider, &facts, WALL_NS, &hold), 0);
		if (bill.nanousd <= hold.nanousd && bill.input_tokens <= hold.input_tokens)
			continue;
		print_error("%s: hold %lld, bill %lld\n", row->what, (long long)hold.nanousd,
			(long long)bill.nanousd);
		over = true;
	}
	assert_false(over);
}

// What is text is held by its bytes, in all shapes that the documents show.
static void text_takes_no_window(void **state)
{
	static const struct row texts[] = {
		{ "", GEMINI, "{\"contents\":[{\"parts\":[",
			"{\"text\":\"a\",\"thoughtSignature\":\"a\"},{\"functionCall\":{\"args\":{"
			"\"a\":[1]}}},{\"functionResponse\":{\"response\":{\"a\":[1]},\"parts\":[]}"
			"},{\"executableCode\":{\"code\":\"a\"}}",
			1, "]}],\"tools\":{\"functionDeclarations\":[]}}", 0, 0 },
		{ "", "mistral", "mistral-embed", &sg_api_openai_embeddings, "{\"input\":[[",
			"{\"role\":\"user\",\"content\":\"a\"}", 1, "]]}", 0, 0 },
		{ "", INTERACTION, "{\"input\":[",
			"{\"type\":\"function_result\",\"result\":[{\"type\":\"text\"}]},"
			"{\"type\":\"function_result\",\"result\":{\"a\":1}}",
			1, "]}", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts); i++) {
		struct sg_request_facts facts;

		read_row(&texts[i], &facts);
		assert_false(facts.context_window);
		assert_int_equal(facts.tool_turns, 0);
	}
}

// Each input is cut at its context window, which bounds the list as well as its bytes do.
static void many_inputs_fill_no_more_than_their_windows(void **state)
{
	const struct row row = { "", "gemini", "gemini-embedding-001", &sg_api_gemini_embed,
		"{\"requests\":[", "{\"content\":{\"parts\":[{\"text\":\"" TEN(TEN(TEXT)) "\"}]}}",
		3, "]}", 0, 0 };
	struct sg_request_facts facts;
	struct sg_charge hold;

	(void)state;
	read_row(&row, &facts);
	assert_int_equal(
		sg_price_bound(table, sg_provider_by_name("gemini"), &facts, WALL_NS, &hold), 0);
	assert_int_equal(hold.input_tokens, 3 * 2048);
}

// Whatever limit the request has: of the largest size a picture takes 2,520 tokens.
static void a_picture_is_held_for_as_a_whole(void **state)
{
	const struct row row = { "", "gemini", "gemini-3-pro-image", &sg_api_gemini_generate,
		"{\"generationConfig\":{\"maxOutputTokens\":", "1", 1, "}}", 0, 0 };
	const struct sg_provider *provider = sg_provider_by_name(row.provider);
	const struct sg_outcome outcome = {
		.usage = { .input_tokens = 1, .output_tokens = 2520, .image_output_tokens = 2520 }
	};
	struct sg_request_facts facts;
	struct sg_charge hold, bill;

	(void)state;
	read_row(&row, &facts);
	assert_int_equal(sg_price_cost(table, provider, row.model, &outcome, WALL_NS, &bill), 0);
	assert_int_equal(sg_price_bound(table, provider, &facts, WALL_NS, &hold), 0);
	assert_true(bill.nanousd <= hold.nanousd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_bill_is_over_its_hold),
		cmocka_unit_test(a_picture_is_held_for_by_its_own_maximum),
		cmocka_unit_test(text_takes_no_window),
		cmocka_unit_test(many_inputs_fill_no_more_than_their_windows),
		cmocka_unit_test(a_picture_is_held_for_as_a_whole),
	};

	return cmocka_run_group_tests_name("hold", tests, load_builtin_prices, free_prices);
}
