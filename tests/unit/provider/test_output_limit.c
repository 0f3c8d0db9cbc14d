// SPDX-License-Identifier: Apache-2.0
// Which member of a request its provider takes for the output's limit. One that it ignores bounds
// nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/feed.h"
#include "provider/api.h"

struct row {
	const char *host, *path, *body;
	int64_t max_output; // -1: the model's own maximum
};

static const struct row rows[] = {
	// The newer name is OpenAI's, and of those that took it up.
	{ "api.openai.com", "/v1/chat/completions", "{\"max_completion_tokens\":7}", 7 },
	{ "api.groq.com", "/openai/v1/chat/completions", "{\"max_completion_tokens\":7}", 7 },
	{ "openrouter.ai", "/api/v1/chat/completions", "{\"max_completion_tokens\":7}", 7 },
	{ "bedrock-mantle.us-east-1.api.aws", "/openai/v1/chat/completions",
		"{\"max_completion_tokens\":7}", 7 },
	{ "api.deepseek.com", "/chat/completions", "{\"max_completion_tokens\":7}", -1 },
	{ "api.deepseek.com", "/chat/completions", "{\"max_completion_tokens\":7,\"max_tokens\":9}",
		9 },
	{ "api.mistral.ai", "/v1/chat/completions", "{\"max_completion_tokens\":7}", -1 },
	// Both at once: the larger.
	{ "api.openai.com", "/v1/chat/completions",
		"{\"max_completion_tokens\":7,\"max_tokens\":90}", 90 },
	{ "api.x.ai", "/v1/chat/completions", "{\"max_tokens\":7}", -1 },
	// Completions end by themselves at 16 tokens with some, and at the model's maximum with
	// others.
	{ "api.openai.com", "/v1/completions", "{}", 16 },
	{ "api.mistral.ai", "/v1/fim/completions", "{}", -1 },
	{ "api.deepseek.com", "/beta/completions", "{}", -1 },
	{ "api.together.xyz", "/v1/completions", "{}", -1 },
	{ "api.x.ai", "/v1/completions", "{\"max_tokens\":7}", -1 },
	// Converse knows its own name alone, a model of invoke that of its maker.
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-opus-4-6-v1/converse",
		"{\"max_tokens\":1,\"max_gen_len\":1}", -1 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-opus-4-6-v1/converse",
		"{\"max_tokens\":1,\"inferenceConfig\":{\"maxTokens\":9}}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com",
		"/model/us.meta.llama3-1-70b-instruct-v1/invoke", "{\"max_tokens\":1}", -1 },
	{ "bedrock-runtime.us-east-1.amazonaws.com",
		"/model/us.meta.llama3-1-70b-instruct-v1/invoke",
		"{\"max_tokens\":1,\"max_gen_len\":9}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.nova-pro-v1/invoke",
		"{\"max_tokens\":1,\"inferenceConfig\":{\"maxTokens\":9}}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-opus-4-6-v1/invoke",
		"{\"max_tokens\":9,\"inferenceConfig\":{\"maxTokens\":1}}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/mistral.mistral-large-2402-v1/invoke",
		"{\"max_tokens\":9}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-opus-4-6-v1/converse",
		"{\"max_completion_tokens\":1}", -1 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude-opus-4-6-v1/converse",
		"{\"inferenceConfig\":{\"max_new_tokens\":1}}", -1 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.nova-pro-v1/invoke",
		"{\"max_completion_tokens\":90,\"inferenceConfig\":{\"max_new_tokens\":9}}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/openai.gpt-oss-120b-1/invoke",
		"{\"max_completion_tokens\":9}", 9 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/mistral.mistral-large-2402-v1/invoke",
		"{\"max_completion_tokens\":9}", -1 },
	// Named twice, the last of them may be the one that is heeded.
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.nova-pro-v1/converse",
		"{\"inferenceConfig\":{\"maxTokens\":1,\"maxTokens\":null}}", -1 },
	// With the highest effort Nova 2 heeds no limit.
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.nova-2-lite-v1/converse",
		"{\"additionalModelRequestFields\":{\"reasoningConfig\":{\"type\":\"enabled\","
		"\"maxReasoningEffort\":\"high\"}},\"inferenceConfig\":{\"maxTokens\":9}}",
		131072 },
};

static void read_facts(const struct row *row, struct sg_request_facts *facts)
{
	const struct sg_provider *provider = sg_provider_by_host(row->host, strlen(row->host));
	struct sg_route route;
	struct sg_request_reader *reader;
	struct sg_request_edits edits;

	assert_non_null(provider);
	route = sg_provider_route(provider, (struct sg_str){ "POST", 4 },
		(struct sg_str){ row->path, strlen(row->path) }, false);
	assert_int_equal(route.kind, SG_ROUTE_METERED);
	assert_int_equal(sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
	assert_int_equal(sg_request_reader_feed(reader, row->body, strlen(row->body)), 0);
	sg_request_reader_finish(reader, facts, &edits);
	assert_null(sg_request_reader_free(reader));
}

// max_output: turns, -1 none.
static const struct row tool_rows[] = {
#define TOOLS "{\"tools\":[{\"type\":\"web_search\"}],\"max_tool_calls\":2}"
	{ "api.openai.com", "/v1/responses", TOOLS, 2 },
	{ "r.openai.azure.com", "/openai/v1/responses", TOOLS, 2 },
	{ "api.x.ai", "/v1/responses", TOOLS, -1 },
	{ "api.groq.com", "/openai/v1/responses", TOOLS, -1 },
	{ "openrouter.ai", "/api/v1/responses", TOOLS, -1 },
#define USES "{\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":2}],\"max_tokens\":1}"
	{ "api.anthropic.com", "/v1/messages", USES, 2 },
	{ "openrouter.ai", "/api/v1/messages", USES, -1 },
	// The larger of two.
	{ "api.anthropic.com", "/v1/messages",
		"{\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":9,\"max_uses\":2}]}",
		9 },
	{ "api.openai.com", "/v1/responses",
		"{\"max_tool_calls\":9,\"max_tool_calls\":2,\"tools\":[{\"type\":\"mcp\"}]}", 9 },
	// Google's searches, by the name that OpenAI has for its own, and others' that cost extra.
	{ "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions",
		"{\"web_search_options\":{}}", -1 },
	{ "openrouter.ai", "/api/v1/chat/completions", "{\"web_search_options\":{}}", -1 },
	{ "api.openai.com", "/v1/chat/completions", "{\"web_search_options\":{}}", 0 },
	// Tools of Google's own, with a fee that no table has.
	{ "us-central1-aiplatform.googleapis.com",
		"/v1/projects/p/locations/l/publishers/google/models/"
		"gemini-2.5-pro:generateContent",
		"{\"tools\":[{\"enterpriseWebSearch\":{}}]}", -1 },
	{ "generativelanguage.googleapis.com", "/v1beta/interactions",
		"{\"tools\":[{\"type\":\"retrieval\"}]}", -1 },
	// Pictures in embeddings, whose fee no answer tells.
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.titan-embed-image-v1/invoke",
		"{\"inputImage\":\"AA\"}", -1 },
	{ "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.titan-embed-image-v1/invoke",
		"{\"inputText\":\"a\"}", 0 },
};

static void what_loops_at_the_provider_has_a_limit_or_no_bound(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(tool_rows); i++) {
		const struct row *row = &tool_rows[i];
		struct sg_request_facts facts;

		read_facts(row, &facts);
		if ((facts.unbounded ? -1 : facts.tool_turns) != row->max_output)
			fail_msg("%s%s %s: %lld", row->host, row->path, row->body,
				(long long)(facts.unbounded ? -1 : facts.tool_turns));
	}
}

static void only_what_the_provider_heeds_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct sg_request_facts facts;

		read_facts(row, &facts);
		if (facts.max_output != row->max_output)
			fail_msg("%s%s %s: %lld", row->host, row->path, row->body,
				(long long)facts.max_output);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_provider_heeds_bounds),
		cmocka_unit_test(what_loops_at_the_provider_has_a_limit_or_no_bound),
	};

	return cmocka_run_group_tests_name("output_limit", tests, NULL, NULL);
}
