// SPDX-License-Identifier: Apache-2.0
// Our own answers: a whole HTTP response each, in the shape that the provider's SDKs know, with the
// object that says which budget refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "http/h1.h"
#include "provider/refusal.h"

#define NOW (INT64_C(1793836800) * SG_NS_PER_SEC) // Thu, 05 Nov 2026 00:00:00 GMT

struct rendered {
	struct sg_buf bytes;
	struct sg_h1_head head;
	unsigned status;
	json_t *body;
};

static const struct sg_refusal money_refusal = { .money = true,
	.budget = "daily",
	.behavior = SG_HARD_STOP,
	.limit_nanousd = 500000000,
	.spent_nanousd = 480000000,
	.held_nanousd = 5000000,
	.requests = 7,
	.unknown_cost_requests = 1,
	.window_ns = 86400 * SG_NS_PER_SEC,
	.resets_in_ns = 3600 * SG_NS_PER_SEC };

static struct sg_answer answer_for(const char *provider, const struct sg_refusal *refusal)
{
	return (struct sg_answer){ .kind = SG_ANSWER_BUDGET,
		.provider = provider ? sg_provider_by_name(provider) : NULL,
		.stainless = true,
		.refusal = refusal,
		.agent = "writer",
		.wall_ns = NOW };
}

static void render(const struct sg_answer *answer, struct rendered *rendered)
{
	const char *reason;
	size_t length;
	int head;

	memset(rendered, 0, sizeof(*rendered));
	assert_int_equal(sg_answer_render(answer, &rendered->bytes, &rendered->status), 0);
	length = sg_buf_length(&rendered->bytes);
	head = sg_h1_parse_head(SG_H1_RESPONSE, answer->head_request,
		(const char *)sg_buf_head(&rendered->bytes), length, &rendered->head, &reason);
	assert_true(head > 0);
	assert_int_equal(rendered->head.status, rendered->status);
	if (answer->head_request) {
		assert_int_equal(length, head);
		return;
	}
	assert_int_equal(rendered->head.framing, SG_H1_LENGTH);
	assert_int_equal(rendered->head.content_length, length - (size_t)head);
	rendered->body = json_loadb((const char *)sg_buf_head(&rendered->bytes) + head,
		length - (size_t)head, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(rendered->body);
}

static void release(struct rendered *rendered)
{
	json_decref(rendered->body);
	sg_buf_release(&rendered->bytes);
}

static void header_is(const struct rendered *rendered, const char *name, const char *expected)
{
	const struct sg_h1_header *header = sg_h1_find(&rendered->head, name);

	if (!expected) {
		assert_null(header);
		return;
	}
	assert_non_null(header);
	assert_int_equal(header->value.length, strlen(expected));
	assert_memory_equal(header->value.data, expected, strlen(expected));
}

static const char *text_at(const struct rendered *rendered, const char *object, const char *key)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(rendered->body, object), key));

	return text ? text : "nothing";
}

static void openai_gets_its_quota_error(void **state)
{
	struct sg_answer answer = answer_for("openai", &money_refusal);
	struct rendered rendered;

	(void)state;
	render(&answer, &rendered);
	assert_int_equal(rendered.status, 429);
	header_is(&rendered, "content-type", "application/json");
	header_is(&rendered, "x-should-retry", "false");
	header_is(&rendered, "retry-after", NULL);
	header_is(&rendered, "date", "Thu, 05 Nov 2026 00:00:00 GMT");
	header_is(&rendered, "connection", NULL);
	assert_string_equal(text_at(&rendered, "error", "type"), "insufficient_quota");
	assert_string_equal(text_at(&rendered, "error", "code"), "insufficient_quota");
	assert_true(
		json_is_null(json_object_get(json_object_get(rendered.body, "error"), "param")));
	release(&rendered);
	// Others would retry a 429 (providers.md, 6a).
	answer.stainless = false;
	render(&answer, &rendered);
	assert_int_equal(rendered.status, 402);
	release(&rendered);
}

static void anthropic_gets_its_spend_limit_error(void **state)
{
	struct sg_answer answer = answer_for("anthropic", &money_refusal);
	struct rendered rendered;
	json_t *error;

	(void)state;
	render(&answer, &rendered);
	assert_int_equal(rendered.status, 429);
	assert_string_equal(json_string_value(json_object_get(rendered.body, "type")), "error");
	assert_true(json_is_string(json_object_get(rendered.body, "request_id")));
	assert_string_equal(text_at(&rendered, "error", "type"), "rate_limit_error");
	error = json_object_get(rendered.body, "error");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(error, "details"), "error_code")),
		"enforced_spend_limit_reached");
	release(&rendered);
	answer.stainless = false;
	render(&answer, &rendered);
	assert_int_equal(rendered.status, 402);
	assert_string_equal(text_at(&rendered, "error", "type"), "billing_error");
	release(&rendered);
}

static void the_budget_object_tells_which_and_until_when(void **state)
{
	static const char *const providers[] = { "openai", "anthropic", NULL };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(providers); i++) {
		struct sg_answer answer = answer_for(providers[i], &money_refusal);
		struct rendered rendered;
		json_t *expected =
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:s}", "name",
				"daily", "scope", "agent", "reason", "budget_exceeded", "behavior",
				"hard_stop", "limit_usd", "0.5", "reported_cost_usd", "0.48",
				"held_usd", "0.005", "requests", 7, "unknown_cost_requests", 1,
				"window", "1d", "resets_at", "2026-11-05T01:00:00.000Z");
		char *got;

		render(&answer, &rendered);
		got = json_dumps(json_object_get(rendered.body, "budget"), JSON_SORT_KEYS);
		print_message("%s\n", got);
		free(got);
		assert_true(json_equal(json_object_get(rendered.body, "budget"), expected));
		json_decref(expected);
		release(&rendered);
	}
}

static void the_message_tells_what_to_do(void **state)
{
	static const char *const words[] = { "writer", "daily", "$0.5", "$0.48", "1d",
		"insufficient_quota", "operator" };
	struct sg_answer answer = answer_for("openai", &money_refusal);
	struct rendered rendered;

	(void)state;
	render(&answer, &rendered);
	for (size_t i = 0; i < SG_ARRAY_SIZE(words); i++)
		assert_non_null(strstr(text_at(&rendered, "error", "message"), words[i]));
	release(&rendered);
}

static void a_cap_on_requests_has_no_money_limit(void **state)
{
	struct sg_refusal refusal = money_refusal;
	struct sg_answer answer = answer_for("openai", &refusal);
	struct rendered rendered;
	json_t *budget;

	(void)state;
	refusal.money = false;
	refusal.limit_nanousd = 0;
	refusal.max_requests = 7;
	refusal.resets_in_ns = -1;
	render(&answer, &rendered);
	budget = json_object_get(rendered.body, "budget");
	assert_null(json_object_get(budget, "limit_usd"));
	assert_null(json_object_get(budget, "resets_at"));
	assert_int_equal(json_integer_value(json_object_get(budget, "max_requests")), 7);
	assert_string_equal(text_at(&rendered, "budget", "reason"), "rate_limited");
	header_is(&rendered, "x-should-retry", "false");
	release(&rendered);
}

// Within a minute the SDK may wait for it; a code that some clients take for final must not be
// there then, and a longer Retry-After would be slept for without limit.
static void a_budget_that_refills_soon_may_be_retried(void **state)
{
	static const struct {
		int64_t in_ns;
		const char *retry_after; // NULL: final
	} cases[] = { { 0, "1" }, { 1, "1" }, { 59 * SG_NS_PER_SEC + 1, "60" },
		{ 60 * SG_NS_PER_SEC, "60" }, { 60 * SG_NS_PER_SEC + 1, NULL }, { -1, NULL },
		{ INT64_MAX / 2, NULL } };

	(void)state;
	for (size_t i = 0; i < 2 * SG_ARRAY_SIZE(cases); i++) {
		struct sg_refusal refusal = money_refusal;
		struct sg_answer answer = answer_for(i % 2 ? "openai" : "anthropic", &refusal);
		const char *retry_after = cases[i / 2].retry_after;
		struct rendered rendered;

		refusal.resets_in_ns = cases[i / 2].in_ns;
		answer.stainless = !retry_after;
		render(&answer, &rendered);
		assert_int_equal(rendered.status, 429);
		header_is(&rendered, "retry-after", retry_after);
		header_is(&rendered, "x-should-retry", retry_after ? NULL : "false");
		assert_int_equal(!memmem(sg_buf_head(&rendered.bytes),
					 sg_buf_length(&rendered.bytes), "quota", 5) &&
					 !json_object_get(json_object_get(rendered.body, "error"),
						 "details"),
			retry_after != NULL);
		release(&rendered);
	}
}

static void every_other_answer_has_its_status(void **state)
{
	static const struct {
		enum sg_answer_kind kind;
		unsigned status;
	} cases[] = { { SG_ANSWER_UNKNOWN_MODEL, 403 }, { SG_ANSWER_UNKNOWN_PATH, 403 },
		{ SG_ANSWER_UNBOUNDED, 403 }, { SG_ANSWER_BAD_BODY, 400 },
		{ SG_ANSWER_TOO_LARGE, 413 }, { SG_ANSWER_BAD_REQUEST, 400 },
		{ SG_ANSWER_MISDIRECTED, 421 }, { SG_ANSWER_UPSTREAM, 502 },
		{ SG_ANSWER_UNAVAILABLE, 503 } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_answer answer = answer_for("openai", NULL);
		struct rendered rendered;

		answer.kind = cases[i].kind;
		answer.detail = "the-detail";
		render(&answer, &rendered);
		assert_int_equal(rendered.status, cases[i].status);
		// A refusal is final; what may pass by itself is not.
		header_is(&rendered, "x-should-retry", cases[i].status < 500 ? "false" : NULL);
		assert_null(json_object_get(rendered.body, "budget"));
		assert_true(*text_at(&rendered, "error", "message"));
		release(&rendered);
	}
}

static void what_has_no_bound_gets_the_remedy_that_helps(void **state)
{
	static const char *const remedies[][2] = { { "audio_file,length_of_sound", "Opus in Ogg" },
		{ "mcp,no_max_tool_calls", "Set max_tool_calls" },
		{ "deep_research", "ask the operator" } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(remedies); i++) {
		struct sg_answer answer = answer_for("openai", NULL);
		struct rendered rendered;

		answer.kind = SG_ANSWER_UNBOUNDED;
		answer.detail = remedies[i][0];
		render(&answer, &rendered);
		assert_non_null(strstr(text_at(&rendered, "error", "message"), remedies[i][1]));
		release(&rendered);
	}
}

static void connection_and_head(void **state)
{
	struct sg_answer answer = answer_for("openai", &money_refusal);
	struct rendered rendered;

	(void)state;
	answer.close = true;
	render(&answer, &rendered);
	header_is(&rendered, "connection", "close");
	release(&rendered);
	answer.head_request = true;
	render(&answer, &rendered);
	release(&rendered);
}

// What an agent sent ends up in a string of the body and nowhere else, and is cut.
static void what_agents_send_stays_in_its_string(void **state)
{
	static const char *const hostile[] = { "\"},{\"x\":\"", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"\xff\xfe\x80", "\x01\x1f", "%s%n%d", "\xc3" };
	static const enum sg_answer_kind kinds[] = { SG_ANSWER_UNKNOWN_MODEL,
		SG_ANSWER_UNKNOWN_PATH, SG_ANSWER_UNBOUNDED, SG_ANSWER_BAD_BODY,
		SG_ANSWER_BAD_REQUEST, SG_ANSWER_UPSTREAM, SG_ANSWER_UNAVAILABLE };
	char detail[4096];

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(hostile) * SG_ARRAY_SIZE(kinds); i++) {
		struct sg_answer answer = answer_for(i % 2 ? "openai" : "anthropic", NULL);
		const char *part = hostile[i / SG_ARRAY_SIZE(kinds)];
		struct rendered rendered;
		size_t length = 0;

		while (length + strlen(part) < sizeof(detail) - 1) {
			memcpy(detail + length, part, strlen(part));
			length += strlen(part);
		}
		detail[length] = 0;
		answer.kind = kinds[i % SG_ARRAY_SIZE(kinds)];
		answer.detail = detail;
		answer.agent = detail;
		render(&answer, &rendered);
		assert_true(sg_buf_length(&rendered.bytes) < 8192);
		release(&rendered);
	}
}

static const struct {
	const char *provider;
	unsigned status;
	const char *message_at; // members, by dots, that hold the sentence
} dialects[] = {
	{ "mistral", 403, "message" },
	{ "openrouter", 402, "error.message" },
	{ "groq", 429, "error.message" },
	{ "gemini", 403, "error.message" },
	{ "cohere", 403, "message" },
	{ "bedrock", 400, "message" },
	{ "ollama", 402, "error" },
	{ "compatible", 429, "error.message" },
};

static const json_t *member_at(const json_t *object, const char *path)
{
	char name[32];

	while (object && *path) {
		size_t length = strcspn(path, ".");

		memcpy(name, path, length);
		name[length] = 0;
		object = json_object_get(object, name);
		path += length + (path[length] == '.');
	}
	return object;
}

static void each_provider_in_its_own_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(dialects); i++) {
		struct sg_answer answer = answer_for(dialects[i].provider, &money_refusal);
		struct rendered rendered;
		const char *message;

		render(&answer, &rendered);
		message = json_string_value(member_at(rendered.body, dialects[i].message_at));
		if (rendered.status != dialects[i].status || !message ||
			!strstr(message, "insufficient_quota"))
			fail_msg("%s: status %u", dialects[i].provider, rendered.status);
		assert_non_null(json_object_get(rendered.body, "budget"));
		release(&rendered);
	}
}

static void the_reference_s_plain_shape(void **state)
{
	struct sg_refusal refusal = money_refusal;
	struct sg_answer answer = answer_for("openai", &refusal);
	struct rendered rendered;
	json_t *error;

	(void)state;
	answer.plain = true;
	answer.stainless = false;
	render(&answer, &rendered);
	error = json_object_get(rendered.body, "error");
	assert_int_equal(rendered.status, 429);
	header_is(&rendered, "retry-after", "86400");
	header_is(&rendered, "x-should-retry", NULL);
	assert_string_equal(json_string_value(json_object_get(error, "type")), "budget_exceeded");
	assert_string_equal(json_string_value(json_object_get(error, "code")), "budget_exceeded");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(rendered.body, "budget"), "name")),
		"daily");
	release(&rendered);
	// Anthropic's has no code; what never resets tells no time.
	answer.provider = sg_provider_by_name("anthropic");
	refusal.money = false;
	refusal.window_ns = 0;
	refusal.resets_in_ns = -1;
	render(&answer, &rendered);
	error = json_object_get(rendered.body, "error");
	assert_int_equal(rendered.status, 429);
	header_is(&rendered, "retry-after", NULL);
	assert_string_equal(json_string_value(json_object_get(error, "type")), "rate_limited");
	release(&rendered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_provider_in_its_own_words),
		cmocka_unit_test(openai_gets_its_quota_error),
		cmocka_unit_test(anthropic_gets_its_spend_limit_error),
		cmocka_unit_test(the_budget_object_tells_which_and_until_when),
		cmocka_unit_test(the_message_tells_what_to_do),
		cmocka_unit_test(a_cap_on_requests_has_no_money_limit),
		cmocka_unit_test(a_budget_that_refills_soon_may_be_retried),
		cmocka_unit_test(every_other_answer_has_its_status),
		cmocka_unit_test(what_has_no_bound_gets_the_remedy_that_helps),
		cmocka_unit_test(connection_and_head),
		cmocka_unit_test(what_agents_send_stays_in_its_string),
		cmocka_unit_test(the_reference_s_plain_shape),
	};

	return cmocka_run_group_tests_name("refusal", tests, NULL, NULL);
}
