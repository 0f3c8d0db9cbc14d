// SPDX-License-Identifier: Apache-2.0
// What Bedrock bills dearer, or apart, than its tokens' price has no bound: asked for in the body,
// or by a header.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/readers.h"
#include "provider/price.h"

#define CONVERSE "/model/amazon.nova-2-lite-v1:0/converse"
#define INVOKE	 "/model/anthropic.claude-opus-4-6-v1/invoke"
#define STREAM	 "/model/anthropic.claude-opus-4-6-v1/invoke-with-response-stream"
#define LATENCY	 "X-Amzn-Bedrock-PerformanceConfig-Latency"
#define TIER	 "X-Amzn-Bedrock-Service-Tier"

static const struct row {
	const char *path, *name, *value, *body;
	const char *reasons; // "": it is bounded
} rows[] = {
	{ INVOKE, LATENCY, "optimized", "{\"max_tokens\":1}", "latency" },
	{ STREAM, LATENCY, "OPTIMIZED", "{\"max_tokens\":1}", "latency" },
	{ INVOKE, LATENCY, "standard", "{\"max_tokens\":1}", "" },
	{ INVOKE, "x-amzn-bedrock-guardrailidentifier", "g", "{}", "guardrail" },
	{ STREAM, "X-Amzn-Bedrock-GuardrailVersion", "1", "{}", "guardrail" },
	{ INVOKE, TIER, "priority", "{}", "service_tier" },
	{ INVOKE, TIER, "later", "{}", "service_tier" },
	{ INVOKE, TIER, "default", "{}", "" },
	{ STREAM, TIER, "flex", "{}", "" },
	{ INVOKE, "X-Amzn-Bedrock-Trace", "ENABLED", "{}", "" },
	{ CONVERSE, LATENCY, "optimized", "{}", "latency" },
	{ CONVERSE, "", "", "{\"performanceConfig\":{\"latency\":\"optimized\"}}", "latency" },
	// tools of the provider's
	{ CONVERSE, "", "",
		"{\"toolConfig\":{\"tools\":[{\"systemTool\":{\"name\":\"nova_grounding\"}}]}}",
		"hosted_tools" },
	{ CONVERSE, "", "",
		"{\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\"}},"
		"{\"cachePoint\":{\"type\":\"default\"}}],\"toolChoice\":{\"auto\":{}}}}",
		"" },
	// what converse hands on
	{ CONVERSE, "", "",
		"{\"additionalModelRequestFields\":{\"thinking\":{\"type\":\"enabled\","
		"\"budget_tokens\":1024},\"top_k\":5,\"anthropic_beta\":[\"b\"]}}",
		"" },
	{ CONVERSE, "", "",
		"{\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":20}}}", "" },
	{ CONVERSE, "", "",
		"{\"additionalModelRequestFields\":{\"inferenceConfig\":{\"maxTokens\":30000}}}",
		"additional_model_fields" },
	{ CONVERSE, "", "", "{\"additionalModelRequestFields\":{\"max_tokens\":30000}}",
		"additional_model_fields" },
	{ CONVERSE, "", "", "{\"additionalModelRequestFields\":{\"mcp_servers\":[]}}",
		"additional_model_fields" },
	{ CONVERSE, "", "",
		"{\"additionalModelRequestFields\":{\"tools\":[{\"type\":\"web_search_20250305\"}]}"
		"}",
		"hosted_tools" },
	// tools of Anthropic's that the agent itself runs
	{ INVOKE, "", "",
		"{\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"},{\"type\":"
		"\"text_editor_20250728\"},{\"type\":\"computer_20250124\"},{\"type\":\"custom\"}]"
		"}",
		"" },
	{ CONVERSE, "", "",
		"{\"additionalModelRequestFields\":{\"tools\":[{\"type\":\"bash_20250124\"}]}}",
		"" },
	{ INVOKE, "", "", "{\"tools\":[{\"type\":\"web_search_20250305\"}]}", "hosted_tools" },
};

static void what_costs_more_is_not_bounded_by_tokens(void **state)
{
	static const char host[] = "bedrock-runtime.us-east-1.amazonaws.com";
	const struct sg_provider *provider = sg_provider_by_host(host, strlen(host));

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct sg_route route = sg_provider_route(provider, (struct sg_str){ "POST", 4 },
			(struct sg_str){ row->path, strlen(row->path) }, false);
		struct sg_request_reader *reader;
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		assert_int_equal(route.kind, SG_ROUTE_METERED);
		assert_int_equal(
			sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
		sg_request_reader_header(reader, (struct sg_str){ row->name, strlen(row->name) },
			(struct sg_str){ row->value, strlen(row->value) });
		assert_int_equal(sg_request_reader_feed(reader, row->body, strlen(row->body)), 0);
		sg_request_reader_finish(reader, &facts, &edits);
		assert_null(sg_request_reader_free(reader));
		assert_true(facts.is_object);
		if (facts.unbounded != (*row->reasons != 0) ||
			strcmp(facts.reasons, row->reasons) != 0)
			fail_msg("%s %s: %s %s: \"%s\"", row->path, row->body, row->name,
				row->value, facts.reasons);
	}
}

// No price of the table's is that of the tier: nothing bounds it.
static void priority_is_not_held_at_the_plain_price(void **state)
{
	static const struct {
		const char *body;
		int result;
	} tiers[] = {
		{ "{\"serviceTier\":{\"type\":\"priority\"}}", -ERANGE },
		{ "{\"service_tier\":\"priority\"}", -ERANGE },
		{ "{\"additionalModelRequestFields\":{\"service_tier\":\"priority\"}}", -ERANGE },
		{ "{\"serviceTier\":{\"type\":\"later\"}}", -ERANGE },
		{ "{\"serviceTier\":{\"type\":\"flex\"}}", 0 },
		{ "{\"serviceTier\":{\"type\":\"default\"}}", 0 },
		{ "{}", 0 },
	};
	struct feeder whole = { FEED_WHOLE, 0 };
	struct sg_price_table *table;
	struct sg_error error;

	(void)state;
	assert_int_equal(sg_price_table_builtin(&table, &error), 0);
	for (size_t i = 0; i < SG_ARRAY_SIZE(tiers); i++) {
		struct sg_request_facts facts;
		struct sg_request_edits edits;
		struct sg_charge bound;

		print_message("%s\n", tiers[i].body);
		read_request(&whole, &sg_api_bedrock_converse, tiers[i].body, &facts, &edits);
		strcpy(facts.model, "amazon.nova-2-lite-v1:0");
		assert_int_equal(
			sg_price_bound(table, sg_provider_by_name("bedrock"), &facts, 0, &bound),
			tiers[i].result);
		assert_string_equal(facts.reasons, tiers[i].result ? "service_tier" : "");
	}
	assert_null(sg_price_table_free(table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_costs_more_is_not_bounded_by_tokens),
		cmocka_unit_test(priority_is_not_held_at_the_plain_price),
	};

	return cmocka_run_group_tests_name("bedrock_request", tests, NULL, NULL);
}
