// SPDX-License-Identifier: Apache-2.0
// Whose a host is, and what a path costs: a POST that is in no table is never free.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
	assert_string_equal(name_of("openai.com"), "none");
	assert_string_equal(name_of("xapi.openai.com"), "none");
	assert_string_equal(name_of("api.openai.com.evil.net"), "none");
	assert_string_equal(name_of("api.openai.com.."), "none");
	assert_string_equal(name_of(""), "none");
	assert_string_equal(name_of("."), "none");
}

static void every_listed_host_is_a_known_one(void **state)
{
	unsigned count = 0;

	(void)state;
	for (const char *host; (host = sg_provider_host(count)); count++)
		assert_non_null(sg_provider_by_host(host, strlen(host)));
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
	{ "openai", "POST", "/v1/responses", "responses" },
	{ "anthropic", "POST", "/v1/messages", "messages" },
	{ "anthropic", "POST", "/v1/messages?beta=true", "messages" },
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
	{ "openai", "POST", "/v1/threads/t/runs", "unknown" },
	{ "openai", "POST", "/v1/embeddings", "unknown" },
	{ "openai", "POST", "/v1/images/generations", "unknown" },
	{ "openai", "POST", "/v1/batches", "unknown" },
	{ "openai", "POST", "/v1/responses/compact", "unknown" },
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
	{ "anthropic", "POST", "/v1/messages/batches", "unknown" },
	{ "anthropic", "POST", "/v1/complete", "unknown" },
	{ "anthropic", "POST", "/v1/sessions", "unknown" },
	{ "anthropic", "POST", "/v1/chat/completions", "unknown" },
};

static const char *route_name(const struct row *row, bool upgrade)
{
	struct sg_route route = sg_provider_route(sg_provider_by_name(row->provider),
		(struct sg_str){ row->method, strlen(row->method) },
		(struct sg_str){ row->path, strlen(row->path) }, upgrade);

	if (route.kind == SG_ROUTE_METERED)
		return sg_api_name(route.api);
	return route.kind == SG_ROUTE_FREE ? "free" : "unknown";
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_their_regions),
		cmocka_unit_test(every_listed_host_is_a_known_one),
		cmocka_unit_test(paths_go_where_the_table_says),
		cmocka_unit_test(upgrades_are_refused),
		cmocka_unit_test(a_path_that_is_too_long_is_unknown),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
