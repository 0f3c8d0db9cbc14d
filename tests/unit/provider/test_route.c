// SPDX-License-Identifier: Apache-2.0
// Whose a host is, and what a path costs: a POST that is in no table is never free.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "provider/provider.h"

static const char *name_of(const char *host)
{
	const struct sg_provider *provider = sg_provider_by_host(host, strlen(host));

	return provider ? sg_provider_name(provider) : "none";
}

static void hosts_and_their_regions(void **state)
{
	(void)state;
	assert_string_equal(name_of("api.openai.com"), "openai");
	assert_string_equal(name_of("API.OpenAI.com"), "openai");
	assert_string_equal(name_of("eu.api.openai.com"), "openai");
	assert_string_equal(name_of("api.openai.com."), "openai");
	assert_string_equal(name_of("api.anthropic.com"), "anthropic");
	assert_string_equal(name_of("aws-external-anthropic.us-west-2.api.aws"), "anthropic");
	assert_string_equal(name_of("aws-external-anthropic.api.aws"), "none");
	assert_string_equal(name_of("api.groq.com"), "groq");
	assert_string_equal(name_of("api.deepseek.com"), "deepseek");
	assert_string_equal(name_of("api.mistral.ai"), "mistral");
	assert_string_equal(name_of("api.eu.mistral.ai"), "mistral");
	assert_string_equal(name_of("api..mistral.ai"), "none");
	assert_string_equal(name_of("api.a.b.mistral.ai"), "none");
	assert_string_equal(name_of("api.together.ai"), "together");
	assert_string_equal(name_of("api.together.xyz"), "together");
	assert_string_equal(name_of("api.fireworks.ai"), "fireworks");
	assert_string_equal(name_of("openrouter.ai"), "openrouter");
	assert_string_equal(name_of("api.perplexity.ai"), "perplexity");
	assert_string_equal(name_of("us-east-1.api.x.ai"), "xai");
	assert_string_equal(name_of("acme.openai.azure.com"), "azure");
	assert_string_equal(name_of("generativelanguage.googleapis.com"), "gemini");
	assert_string_equal(name_of("us-central1-aiplatform.googleapis.com"), "vertex");
	assert_string_equal(name_of("aiplatform.googleapis.com"), "vertex");
	assert_string_equal(name_of("aiplatform.eu.rep.googleapis.com"), "vertex");
	assert_string_equal(name_of("generativelanguage.mtls.googleapis.com"), "gemini");
	assert_string_equal(name_of("europe-west4-aiplatform.mtls.googleapis.com"), "vertex");
	assert_string_equal(name_of("aiplatform.mtls.googleapis.com"), "vertex");
	assert_string_equal(name_of("bedrock.us-east-1.amazonaws.com"), "bedrock");
	assert_string_equal(name_of("bedrock-fips.us-east-1.amazonaws.com"), "bedrock");
	assert_string_equal(name_of("-aiplatform.googleapis.com"), "none");
	assert_string_equal(name_of("storage.googleapis.com"), "none");
	assert_string_equal(name_of("bedrock-runtime.us-east-1.amazonaws.com"), "bedrock");
	assert_string_equal(name_of("bedrock-runtime-fips.us-east-1.amazonaws.com"), "bedrock");
	assert_string_equal(
		name_of("vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com"), "bedrock");
	assert_string_equal(name_of("s3.us-east-1.amazonaws.com"), "none");
	assert_string_equal(name_of("api.cohere.com"), "cohere");
	assert_string_equal(name_of("acme.services.ai.azure.com"), "azure");
	assert_string_equal(name_of("openai.com"), "none");
	assert_string_equal(name_of("xapi.openai.com"), "none");
	assert_string_equal(name_of("api.openai.com.evil.net"), "none");
	assert_string_equal(name_of("api.openai.com.."), "none");
	assert_string_equal(name_of(""), "none");
	assert_string_equal(name_of("."), "none");
}

static bool is_region(const char *host)
{
	return sg_provider_is_region(host, strlen(host));
}

static void regions_are_told_from_the_plain_host(void **state)
{
	(void)state;
	assert_true(is_region("eu.api.openai.com"));
	assert_true(is_region("us.API.openai.com."));
	assert_true(is_region("us-east-1.api.x.ai"));
	assert_false(is_region("api.openai.com"));
	assert_false(is_region("api.openai.com."));
	assert_false(is_region("api.x.ai"));
	assert_false(is_region("euapi.openai.com"));
	assert_false(is_region("other.example"));
	assert_false(is_region("aws-external-anthropic.us-west-2.api.aws"));
	assert_false(is_region(""));
}

static void every_listed_host_is_a_known_one(void **state)
{
	unsigned count = 0;

	(void)state;
	for (; sg_provider_host(count); count++)
		assert_null(strchr(sg_provider_host(count), '*'));
	assert_true(count >= 2);
	assert_non_null(sg_provider_by_name("openai"));
	assert_non_null(sg_provider_by_name("anthropic"));
	assert_null(sg_provider_by_name("nobody"));
}

struct row {
	const char *provider, *method, *path;
	const char *expected; // "free", "unknown", or the wire format's name
};

static const struct row rows[] = {
	{ "openai", "POST", "/v1/chat/completions", "chat" },
	{ "openai", "POST", "/v1/chat/completions?x=1", "chat" },
	{ "openai", "POST", "/v1/chat/completions/", "chat" },
	{ "openai", "POST", "//v1//chat/completions", "chat" },
	{ "openai", "POST", "/v1/%63hat/completions", "chat" },
	{ "openai", "POST", "/v1/skills/..;/chat/completions", "unknown" },
	{ "openai", "POST", "/v1/skills/.;x=1/chat/completions", "unknown" },
	{ "openai", "POST", "/v1/skills/%2e%2e;/chat/completions", "unknown" },
	{ "openai", "POST", "/v1/skills/..", "unknown" },
	{ "openai", "POST", "/v1/skills/...", "free" },
	{ "bedrock", "GET", "/foundation-models", "free" },
	{ "bedrock", "POST", "/model-invocation-job", "amount" },
	{ "bedrock", "POST", "/guardrails", "free" },
	{ "openai", "POST", "/v1/responses", "responses" },
	{ "anthropic", "POST", "/v1/messages", "messages" },
	{ "anthropic", "POST", "/v1/messages?beta=true", "messages" },
	{ "openai", "POST", "/v1/completions", "completions" },
	{ "openai", "POST", "/v1/embeddings", "embeddings" },
	{ "groq", "POST", "/openai/v1/chat/completions", "chat" },
	{ "groq", "POST", "/v1/chat/completions", "unknown" },
	{ "deepseek", "POST", "/chat/completions", "chat" },
	{ "deepseek", "POST", "/v1/chat/completions", "chat" },
	{ "deepseek", "POST", "/beta/completions", "completions" },
	{ "deepseek", "POST", "/anthropic/v1/messages", "messages" },
	{ "mistral", "POST", "/v1/chat/completions", "chat" },
	{ "mistral", "POST", "/v1/fim/completions", "completions" },
	{ "mistral", "POST", "/v1/ocr", "ocr" },
	{ "mistral", "POST", "/v1/moderations", "embeddings" },
	{ "together", "POST", "/v1/completions", "completions" },
	{ "together", "POST", "/v1/images/generations", "images" },
	{ "fireworks", "POST", "/inference/v1/chat/completions", "chat" },
	{ "openrouter", "POST", "/api/v1/chat/completions", "chat" },
	{ "openrouter", "POST", "/api/v1/presets/p/chat/completions", "unknown" },
	{ "openrouter", "POST", "/api/v1/presets/p/messages", "unknown" },
	{ "openrouter", "POST", "/api/v1/presets/p/responses", "unknown" },
	{ "perplexity", "POST", "/chat/completions", "chat" },
	{ "perplexity", "POST", "/search", "amount" },
	{ "xai", "POST", "/v1/responses", "responses" },
	{ "azure", "POST", "/openai/v1/chat/completions", "chat" },
	{ "azure", "POST", "/openai/deployments/prod/chat/completions?api-version=1", "chat" },
	{ "azure", "POST", "/openai/deployments/a/b/chat/completions", "unknown" },
	{ "gemini", "POST", "/v1beta/models/gemini-2.5-pro:generateContent", "generate" },
	{ "gemini", "POST", "/v1beta/models/g:streamGenerateContent?alt=sse", "generate" },
	{ "gemini", "POST", "/v1/models/g%3AgenerateContent", "generate" },
	{ "gemini", "POST", "/v1beta/models/g:embedContent", "embed" },
	{ "gemini", "POST", "/v1beta/models/g:countTokens", "free" },
	{ "gemini", "POST", "/v1beta/models/g:predict", "predict" },
	{ "gemini", "POST", "/v1beta/models/:generateContent", "unknown" },
	{ "gemini", "POST", "/v1beta/tunedModels/g:generateContent", "generate" },
	{ "gemini", "POST", "/v1beta/cachedContents", "amount" },
	{ "gemini", "POST", "/v1beta/openai/chat/completions", "chat" },
	{ "gemini", "POST", "/upload/v1beta/files", "free" },
	{ "gemini", "POST", "/google.ai.generativelanguage.v1.GenerativeService/GenerateContent",
		"unknown" },
	{ "vertex", "POST", "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
		"generate" },
	{ "vertex", "POST",
		"/v1/projects/p/locations/l/publishers/anthropic/models/c@1:streamRawPredict",
		"messages" },
	{ "vertex", "POST",
		"/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
		"free" },
	{ "vertex", "POST", "/v1/projects/p/locations/l/publishers/google/models/g:predict",
		"predict" },
	{ "vertex", "POST", "/v1/projects/p/locations/l/batchPredictionJobs", "amount" },
	{ "bedrock", "POST", "/model/us.anthropic.claude%3A0/converse", "converse" },
	{ "bedrock", "POST", "/model/arn%3Aaws%3Abedrock%3Ax%2Fabc/converse-stream", "converse" },
	{ "bedrock", "POST", "/model/m/invoke", "invoke" },
	{ "bedrock", "POST", "/model/m/count-tokens", "free" },
	{ "bedrock", "POST", "/model/m/invoke-with-response-stream", "invoke_stream" },
	{ "bedrock", "POST", "/model/a/b/invoke", "unknown" },
	{ "bedrock", "POST", "/model/a%2Finvoke", "unknown" },
	{ "bedrock", "POST", "/guardrail/g/version/1/apply", "amount" },
	{ "bedrock", "POST", "/async-invoke", "amount" },
	{ "cohere", "POST", "/v2/chat", "cohere_chat" },
	{ "cohere", "POST", "/v2/rerank", "cohere_rerank" },
	{ "cohere", "POST", "/v1/chat", "cohere_v1" },
	{ "cohere", "POST", "/v1/tokenize", "free" },
	{ "ollama", "POST", "/api/chat", "ollama" },
	{ "ollama", "POST", "/api/embed", "ollama_embed" },
	{ "ollama", "POST", "/v1/chat/completions", "chat" },
	{ "ollama", "POST", "/api/pull", "free" },
	{ "ollama", "POST", "/api/web_search", "amount" },
	{ "compatible", "POST", "/v1/completions", "completions" },
	{ "compatible", "POST", "/tokenize", "free" },
	{ "compatible", "POST", "/pooling", "embeddings" },
	// Free of charge.
	{ "openai", "GET", "/v1/models", "free" },
	{ "openai", "GET", "/v1/chat/completions", "free" },
	{ "openai", "HEAD", "/", "free" },
	{ "openai", "DELETE", "/v1/responses/r", "free" },
	{ "openai", "OPTIONS", "*", "free" },
	{ "openai", "POST", "/v1/moderations", "free" },
	{ "openai", "POST", "/v1/responses/input_tokens", "free" },
	{ "openai", "POST", "/v1/responses/r_1/cancel", "free" },
	{ "openai", "POST", "/v1/conversations/c_1/items", "free" },
	{ "anthropic", "POST", "/v1/messages/count_tokens", "free" },
	{ "anthropic", "POST", "/v1/messages/batches/b_1/cancel", "free" },
	// Costs money and is not metered, or is not understood.
	{ "openai", "POST", "/v1/threads/t/runs", "run" },
	{ "openai", "GET", "/v1/responses/resp_1", "poll" },
	{ "openai", "GET", "/v1/responses/resp_1?stream=true", "poll" },
	{ "openai", "GET", "/v1/responses/resp_1/input_items", "free" },
	{ "openai", "HEAD", "/v1/responses/resp_1", "free" },
	{ "openai", "DELETE", "/v1/responses/resp_1", "free" },
	{ "openai", "GET", "/v1/batches/b", "poll" },
	{ "openai", "GET", "/v1/threads/t/runs/r", "poll" },
	{ "anthropic", "GET", "/v1/messages/batches/b", "free" },
	{ "anthropic", "GET", "/v1/messages/batches/b/results", "poll" },
	{ "azure", "GET", "/openai/v1/responses/r", "poll" },
	{ "gemini", "GET", "/v1beta/interactions/i", "poll" },
	{ "perplexity", "GET", "/async/chat/completions/a", "poll" },
	{ "openai", "POST", "/v1/images/edits", "images" },
	{ "openai", "POST", "/v1/audio/speech", "speech" },
	{ "openai", "POST", "/v1/audio/translations", "transcription" },
	{ "openai", "POST", "/v1/fine_tuning/jobs", "amount" },
	{ "openai", "POST", "/v1/fine_tuning/jobs/j/cancel", "free" },
	{ "openai", "POST", "/v1/videos", "amount" },
	{ "openai", "POST", "/v1/images/generations", "images" },
	{ "openai", "POST", "/v1/batches", "batch" },
	{ "openai", "POST", "/v1/responses/compact", "compaction" },
	{ "openai", "POST", "/v1/responses//cancel", "unknown" },
	{ "openai", "POST", "/v1/responses/a/b/cancel", "unknown" },
	{ "openai", "POST", "/v1/conversations/../chat/completions", "unknown" },
	{ "openai", "POST", "/v1/conversations/%2e%2e/chat/completions", "unknown" },
	{ "openai", "POST", "/v1/conversations/%2E%2E", "unknown" },
	{ "openai", "POST", "/v1/conversations/..%2fchat/completions", "unknown" },
	{ "openai", "POST", "/v1/conversations/..%5cchat", "unknown" },
	{ "openai", "POST", "/v1/conversations/..\\chat", "unknown" },
	{ "openai", "POST", "/v1/conversations/%252e%252e/chat", "unknown" },
	{ "openai", "POST", "/v1/conversations/./x", "unknown" },
	{ "openai", "POST", "/v1/conversations/%00", "unknown" },
	{ "openai", "POST", "/v1/conversations/%zz", "unknown" },
	{ "openai", "POST", "/v1/conversations/%2", "unknown" },
	{ "openai", "POST", "/v1/conversationsx", "unknown" },
	{ "openai", "POST", "/V1/moderations", "unknown" },
	{ "openai", "POST", "v1/moderations", "unknown" },
	{ "openai", "POST", "", "unknown" },
	{ "openai", "POST", "?/v1/moderations", "unknown" },
	{ "openai", "PUT", "/v1/chat/completions", "unknown" },
	{ "openai", "PATCH", "/v1/responses", "unknown" },
	{ "openai", "post", "/v1/moderations", "unknown" },
	{ "openai", "TRACE", "/v1/models", "unknown" },
	{ "openai", "POST", "/v1/messages", "unknown" },
	{ "anthropic", "POST", "/v1/messages/batches", "batch" },
	{ "anthropic", "POST", "/v1/complete", "complete" },
	{ "anthropic", "POST", "/v1/sessions", "amount" },
	{ "anthropic", "POST", "/v1/chat/completions", "unknown" },
};

static const char *route_name(const struct row *row, bool upgrade)
{
	struct sg_route route = sg_provider_route(sg_provider_by_name(row->provider),
		(struct sg_str){ row->method, strlen(row->method) },
		(struct sg_str){ row->path, strlen(row->path) }, upgrade);

	if (route.kind == SG_ROUTE_METERED)
		return sg_api_name(route.api);
	return route.kind == SG_ROUTE_FREE   ? "free"
	       : route.kind == SG_ROUTE_POLL ? "poll"
					     : "unknown";
}

static void paths_go_where_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const char *got = route_name(&rows[i], false);

		if (strcmp(got, rows[i].expected) != 0)
			fail_msg("%s %s: expected %s, got %s", rows[i].method, rows[i].path,
				rows[i].expected, got);
	}
}

static void upgrades_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		assert_string_equal(route_name(&rows[i], true), "unknown");
}

// What the answer of a call leaves out may be what it cost.
static void parameters_that_filter_an_answer(void **state)
{
	static const struct {
		const char *provider, *query;
		bool filters;
	} queries[] = {
		{ "gemini", "", false },
		{ "gemini", "?", false },
		{ "gemini", "?key=fields&alt=sse", false },
		{ "gemini", "?fieldsx=a&xfields=a&field=a&ct=a", false },
		{ "gemini", "?fields=candidates", true },
		{ "gemini", "?fields", true },
		{ "gemini", "?alt=sse&$fields=candidates", true },
		{ "gemini", "?&%24fields=a", true },
		{ "gemini", "?%66i%65lds=a", true },
		{ "gemini", "?fields%00=a", false },
		{ "gemini", "?fields%", false },
		{ "gemini", "?$ct=application/x-protobuf", true },
		{ "vertex", "?fields=a", true },
		{ "openai", "?fields=a", false },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(queries); i++) {
		const struct sg_provider *provider = sg_provider_by_name(queries[i].provider);
		char path[128];
		struct sg_route route;

		snprintf(
			path, sizeof(path), "/v1beta/models/g:generateContent%s", queries[i].query);
		route = sg_provider_route(provider, (struct sg_str){ "POST", 4 },
			(struct sg_str){ path, strlen(path) }, false);
		if (route.filters_answer != queries[i].filters)
			fail_msg("%s %s", queries[i].provider, path);
	}
	assert_true(sg_provider_header_filters(
		sg_provider_by_name("gemini"), (struct sg_str){ "X-Goog-FieldMask", 16 }));
	assert_false(sg_provider_header_filters(
		sg_provider_by_name("gemini"), (struct sg_str){ "X-Goog-Api-Key", 14 }));
}

static void a_path_may_name_the_model(void **state)
{
	static const char path[] = "/openai/deployments/prod%2D4o/chat/completions";
	struct sg_route route = sg_provider_route(sg_provider_by_name("azure"),
		(struct sg_str){ "POST", 4 }, (struct sg_str){ path, strlen(path) }, false);

	(void)state;
	assert_string_equal(route.model, "prod-4o");
	route = sg_provider_route(sg_provider_by_name("openai"), (struct sg_str){ "POST", 4 },
		(struct sg_str){ "/v1/chat/completions", 20 }, false);
	assert_string_equal(route.model, "");
}

static void a_configuration_adds_providers(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[{}]",
		"[{\"name\":\"openai\",\"hosts\":[\"llm.example\"]}]",
		"[{\"name\":\"New\",\"hosts\":[\"llm.example\"]}]",
		"[{\"name\":\"new\"}]",
		"[{\"name\":\"new\",\"hosts\":[\"llm\"]}]",
		"[{\"name\":\"new\",\"hosts\":[\"api.openai.com\"]}]",
		"[{\"name\":\"new\",\"hosts\":[\"*.example\"]}]",
		"[{\"name\":\"new\",\"hosts\":[\"llm.example\"],\"prefix\":\"v1\"}]",
		"[{\"name\":\"new\",\"hosts\":[\"llm.example\"],\"prefix\":\"/v1/\"}]",
		"[{\"name\":\"new\",\"hosts\":[\"llm.example\"],\"price\":1}]",
	};
	struct row row = { "new", "POST", "/api/v2/chat/completions", "chat" };
	struct sg_error error = { "" };
	json_t *list;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(bad); i++) {
		list = json_loads(bad[i], 0, NULL);
		if (sg_providers_configure(list, &error) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		json_decref(list);
		assert_string_not_equal(error.text, "");
	}
	list = json_loads(
		"[{\"name\":\"new\",\"hosts\":[\"llm.example\"],\"prefix\":\"/api/v2\"}]", 0, NULL);
	assert_int_equal(sg_providers_configure(list, &error), 0);
	json_decref(list);
	assert_string_equal(name_of("llm.example"), "new");
	assert_string_equal(name_of("eu.llm.example"), "new");
	assert_string_equal(route_name(&row, false), "chat");
	row.path = "/v1/chat/completions";
	assert_string_equal(route_name(&row, false), "unknown");
}

static void a_path_that_is_too_long_is_unknown(void **state)
{
	char path[2000];
	struct row row = { "openai", "POST", path, "unknown" };

	(void)state;
	memset(path, 'a', sizeof(path));
	memcpy(path, "/v1/conversations/", 18);
	path[200] = 0;
	assert_string_equal(route_name(&row, false), "free");
	path[200] = 'a';
	path[sizeof(path) - 1] = 0;
	assert_string_equal(route_name(&row, false), "unknown");
}

// Only sessions of which every message is read; the model is in the query, or in the session.
static void upgrades(void **state)
{
	static const struct {
		const char *provider, *path, *api, *model;
	} sessions[] = {
		{ "openai", "/v1/realtime?model=gpt-realtime", "realtime", "gpt-realtime" },
		{ "openai", "/v1/realtime?a=b&model=gpt%2Drealtime&c", "realtime", "gpt-realtime" },
		{ "openai", "/v1/responses", "responses", "" },
		{ "azure", "/openai/v1/realtime?model=mine", "realtime", "mine" },
		{ "azure", "/openai/realtime?api-version=1&deployment=mine", "realtime", "mine" },
		{ "gemini",
			"/ws/google.ai.generativelanguage.v1beta.GenerativeService."
			"BidiGenerateContent?key=k",
			"live", "" },
		{ "gemini",
			"//ws/google.ai.generativelanguage.v1alpha.GenerativeService."
			"BidiGenerateContentConstrained?access_token=t",
			"live", "" },
		{ "vertex",
			"/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
			"live", "" },
	};
	static const struct {
		const char *provider, *method, *path;
	} refused[] = {
		{ "openai", "GET", "/v1/realtime" },
		{ "openai", "GET", "/v1/realtime?model=" },
		{ "openai", "GET", "/v1/realtime?model=a&model=b" },
		{ "openai", "GET", "/v1/realtime?model=a%00b" },
		{ "openai", "GET", "/v1/realtime?call_id=rtc_1" },
		{ "openai", "GET", "/v1/realtime?model=a&call_id=rtc_1" },
		{ "openai", "GET", "/v1/realtime?model=a&intent=transcription" },
		{ "openai", "GET", "/v1/realtime/calls?model=a" },
		{ "openai", "GET", "/v1/realtime/translations?model=a" },
		{ "openai", "POST", "/v1/realtime?model=a" },
		{ "openai", "GET", "/v1/chat/completions" },
		{ "azure", "GET", "/openai/realtime?model=a" },
		{ "anthropic", "GET", "/v1/messages" },
		{ "groq", "GET", "/openai/v1/realtime?model=a" },
		{ "gemini", "GET", "/ws/google.ai.generativelanguage.v1beta.Other.Bidi" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(sessions); i++) {
		struct sg_str path = { sessions[i].path, strlen(sessions[i].path) };
		struct sg_route route = sg_provider_route(sg_provider_by_name(sessions[i].provider),
			(struct sg_str){ "GET", 3 }, path, true);

		assert_int_equal(route.kind, SG_ROUTE_LIVE);
		assert_string_equal(sg_api_name(route.api), sessions[i].api);
		assert_string_equal(route.model, sessions[i].model);
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(refused); i++) {
		struct sg_str path = { refused[i].path, strlen(refused[i].path) };
		struct sg_str method = { refused[i].method, strlen(refused[i].method) };

		assert_int_equal(sg_provider_route(sg_provider_by_name(refused[i].provider), method,
					 path, true)
					 .kind,
			SG_ROUTE_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_their_regions),
		cmocka_unit_test(regions_are_told_from_the_plain_host),
		cmocka_unit_test(every_listed_host_is_a_known_one),
		cmocka_unit_test(paths_go_where_the_table_says),
		cmocka_unit_test(upgrades_are_refused),
		cmocka_unit_test(upgrades),
		cmocka_unit_test(parameters_that_filter_an_answer),
		cmocka_unit_test(a_path_may_name_the_model),
		cmocka_unit_test(a_configuration_adds_providers),
		cmocka_unit_test(a_path_that_is_too_long_is_unknown),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
