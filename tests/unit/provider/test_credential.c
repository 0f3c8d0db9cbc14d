// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "provider/credential.h"

#define KEY "sk-real-1"

static struct sg_h1_head parse(const char *text)
{
	struct sg_h1_head head;
	const char *reason = "";

	assert_int_equal(sg_h1_parse_head(SG_H1_REQUEST, false, text, strlen(text), &head, &reason),
		strlen(text));
	return head;
}

// `lines`: what follows "HTTP/1.1\r\nHost: h\r\n".
static void check(const char *provider, const char *target, const char *lines,
	const char *want_target, const char *want_lines)
{
	struct sg_credential credential = { sg_provider_by_name(provider), KEY, false };
	struct sg_buf out = { .data = NULL };
	struct sg_h1_head head;
	char text[1024], want[1024];
	int r;

	snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, lines);
	snprintf(want, sizeof(want), "POST %s HTTP/1.1\r\nHost: h\r\n%s", want_target, want_lines);
	head = parse(text);
	assert_int_equal(sg_credential_start_line(&credential, &head, &out), 0);
	for (size_t i = 0; i < head.header_count; i++) {
		r = sg_credential_header(&credential, &head.headers[i], &out);
		assert_in_range(r, 0, 1);
		if (r == 0)
			assert_int_equal(sg_buf_append(&out, head.headers[i].line.data,
						 head.headers[i].line.length),
				0);
	}
	assert_int_equal(sg_credential_end(&credential, &out), 0);
	assert_int_equal(sg_buf_append(&out, "", 1), 0);
	assert_string_equal((const char *)sg_buf_head(&out), want);
	sg_buf_release(&out);
}

static void the_key_stands_where_the_agent_had_its_own(void **state)
{
	(void)state;
	check("openai", "/v1/x", "A: 1\r\nAuthorization: Bearer old\r\nB: 2\r\n", "/v1/x",
		"A: 1\r\nAuthorization: Bearer " KEY "\r\nB: 2\r\n");
	check("anthropic", "/v1/x", "X-Api-Key: old\r\n", "/v1/x", "X-Api-Key: " KEY "\r\n");
	check("azure", "/openai/x", "api-key: old\r\n", "/openai/x", "api-key: " KEY "\r\n");
	check("azure", "/openai/x", "authorization: Bearer old\r\n", "/openai/x",
		"authorization: Bearer " KEY "\r\n");
	check("gemini", "/v1beta/x", "x-goog-api-key: old\r\n", "/v1beta/x",
		"x-goog-api-key: " KEY "\r\n");
	for (const char *const *name = (const char *const[]){ "cohere", "mistral", "groq", "xai",
		     "openrouter", "together", "fireworks", "perplexity", "deepseek", "bedrock",
		     "ollama", NULL };
		*name; name++)
		check(*name, "/v1/x", "authorization: Bearer old\r\n", "/v1/x",
			"authorization: Bearer " KEY "\r\n");
}

static void no_other_key_leaves(void **state)
{
	(void)state;
	check("openai", "/v1/x",
		"authorization: Bearer one\r\nx-api-key: two\r\nauthorization: Bearer "
		"three\r\napi-key: 4\r\n",
		"/v1/x", "authorization: Bearer " KEY "\r\n");
	check("anthropic", "/v1/x", "authorization: Bearer old\r\nA: 1\r\n", "/v1/x",
		"A: 1\r\nx-api-key: " KEY "\r\n");
	check("anthropic", "/v1/x", "authorization: Bearer old\r\nx-api-key: old\r\n", "/v1/x",
		"x-api-key: " KEY "\r\n");
}

static void the_usual_header_is_added(void **state)
{
	(void)state;
	check("openai", "/v1/x", "A: 1\r\n", "/v1/x", "A: 1\r\nauthorization: Bearer " KEY "\r\n");
	check("anthropic", "/v1/x", "", "/v1/x", "x-api-key: " KEY "\r\n");
	check("gemini", "/v1/x", "", "/v1/x", "x-goog-api-key: " KEY "\r\n");
	check("azure", "/v1/x", "", "/v1/x", "api-key: " KEY "\r\n");
}

static void the_query_loses_its_key_only(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "/v1/x?key=old", "/v1/x" },
		{ "/v1/x?alt=sse&key=old", "/v1/x?alt=sse" },
		{ "/v1/x?key=old&alt=sse", "/v1/x?alt=sse" },
		{ "/v1/x?a=1&KEY=old&b=2&key", "/v1/x?a=1&b=2" },
		{ "/v1/x?monkey=1&keys=2", "/v1/x?monkey=1&keys=2" },
		{ "/v1/x?", "/v1/x?" },
		{ "https://h/v1/x?key=old&a", "https://h/v1/x?a" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++)
		check("gemini", cases[i].from, "", cases[i].to, "x-goog-api-key: " KEY "\r\n");
	check("openai", "/v1/x?key=mine", "", "/v1/x?key=mine",
		"authorization: Bearer " KEY "\r\n");
}

static void a_key_among_the_protocols_is_left_out(void **state)
{
	(void)state;
	check("openai", "/v1/realtime",
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.old, beta.v1\r\n",
		"/v1/realtime",
		"Sec-WebSocket-Protocol: realtime, beta.v1\r\nauthorization: Bearer " KEY "\r\n");
	check("openai", "/v1/realtime", "sec-websocket-protocol: openai-insecure-api-key.old\r\n",
		"/v1/realtime", "authorization: Bearer " KEY "\r\n");
}

static bool is_signed(const char *text)
{
	struct sg_h1_head head = parse(text);

	return sg_credential_is_signed(&head);
}

static void signed_requests_are_known(void **state)
{
	(void)state;
	assert_true(is_signed("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256 "
			      "Credential=a\r\n\r\n"));
	assert_true(is_signed("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: "
			      "AWS4-ECDSA-P256-SHA256 Credential=a\r\n\r\n"));
	assert_true(is_signed("POST /?a=1&X-Amz-Signature=abc HTTP/1.1\r\nHost: h\r\n\r\n"));
	assert_true(is_signed("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
			      "a\r\nAuthorization: AWS4-HMAC-SHA256 b\r\n\r\n"));
	assert_false(is_signed("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
			       "AWS4-\r\nx-amz-date: 1\r\n\r\n"));
	assert_false(is_signed("POST /X-Amz-Signature HTTP/1.1\r\nHost: h\r\n\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_stands_where_the_agent_had_its_own),
		cmocka_unit_test(no_other_key_leaves),
		cmocka_unit_test(the_usual_header_is_added),
		cmocka_unit_test(the_query_loses_its_key_only),
		cmocka_unit_test(a_key_among_the_protocols_is_left_out),
		cmocka_unit_test(signed_requests_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
