// SPDX-License-Identifier: Apache-2.0
// What is told to an evaluator, what its answers mean, and what becomes of a request by them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include <cmocka.h>

#include "evaluator/evaluator.h"

// ---- Messages ----

static json_t *written(enum sg_hook hook, const struct sg_hook_call *call)
{
	struct sg_buf out = { .data = NULL };
	json_t *object;

	assert_int_equal(sg_hook_write(hook, call, &out), 0);
	object = json_loadb((const char *)sg_buf_head(&out), sg_buf_length(&out), 0, NULL);
	assert_non_null(object);
	sg_buf_release(&out);
	return object;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void test_a_request_is_told_with_its_members(void **state)
{
	static const char body[] = "{\"model\":\"gpt-4o\",\"temperature\":0.7}";
	const struct sg_hook_call call = { .agent = "writer",
		.api = "chat",
		.model = "gpt-4o",
		.stream = true,
		.rules_path = "/rules.json",
		.rules_digest = "sha256:1",
		.request = body,
		.request_length = strlen(body) };
	json_t *object = written(SG_HOOK_GATE_REQUEST, &call);

	(void)state;
	assert_string_equal(text(object, "agent_id"), "writer");
	assert_string_equal(text(object, "format"), "openai");
	assert_string_equal(text(object, "mode"), "plain");
	assert_true(json_is_true(json_object_get(object, "stream")));
	assert_string_equal(text(object, "model"), "gpt-4o");
	assert_string_equal(text(json_object_get(object, "rules"), "digest"), "sha256:1");
	assert_string_equal(text(json_object_get(object, "request"), "model"), "gpt-4o");
	assert_null(json_object_get(object, "request_body"));
	json_decref(object);
}

static void test_an_answer_is_told_as_text(void **state)
{
	json_t *headers = json_pack("{s:[s]}", "Content-Type", "application/json");
	const struct sg_hook_call call = { .agent = "a",
		.api = "messages",
		.model = "claude-opus-5",
		.request = "{}",
		.request_length = 2,
		.status = 200,
		.headers = headers,
		.response = "{\"a\":\"\xc3\xa9\"}",
		.response_length = 10 };
	json_t *object = written(SG_HOOK_GATE_RESPONSE, &call);

	(void)state;
	assert_string_equal(text(object, "format"), "anthropic");
	assert_string_equal(text(object, "request_body"), "{}");
	assert_string_equal(text(object, "response_body"), "{\"a\":\"\xc3\xa9\"}");
	assert_int_equal(json_integer_value(json_object_get(object, "response_status")), 200);
	assert_non_null(
		json_object_get(json_object_get(object, "response_header"), "Content-Type"));
	assert_null(json_object_get(object, "request"));
	json_decref(object);
	json_decref(headers);
}

static void test_what_is_no_text_is_not_told(void **state)
{
	json_t *headers = json_object();
	const struct sg_hook_call call = { .agent = "a",
		.api = "chat",
		.model = "m",
		.request = "{}",
		.request_length = 2,
		.headers = headers,
		.response = "\x1f\x8b\x08",
		.response_length = 3 };
	struct sg_buf out = { .data = NULL };

	(void)state;
	assert_int_equal(sg_hook_write(SG_HOOK_SCORE, &call, &out), -EILSEQ);
	sg_buf_release(&out);
	json_decref(headers);
}

// ---- Verdicts ----

static void test_verdicts(void **state)
{
	static const struct {
		enum sg_hook hook;
		const char *answer;
		int result;
		enum sg_verdict_kind kind;
		const char *reason;
	} rows[] = {
		{ SG_HOOK_GATE_REQUEST, "{}", 0, SG_VERDICT_ALLOW, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":\"\"}", 0, SG_VERDICT_ALLOW, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":\"allow\",\"reason\":null}", 0,
			SG_VERDICT_ALLOW, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":\"deny\",\"reason\":\"no\"}", 0,
			SG_VERDICT_DENY, "no" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":\"amend\"}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":\"Deny\"}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"verdict\":true}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "[]", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"tool_filter\":{\"mode\":\"some\"}}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_REQUEST, "{\"tool_filter\":{\"mode\":\"deny_list\",\"tools\":[1]}}",
			-EBADMSG, 0, "" },
		{ SG_HOOK_DECORATE, "{\"messages_patch\":[1]}", -EBADMSG, 0, "" },
		{ SG_HOOK_DECORATE, "{\"system_patch\":[]}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_RESPONSE, "{\"verdict\":\"amend\"}", -EBADMSG, 0, "" },
		{ SG_HOOK_GATE_RESPONSE, "{\"verdict\":\"amend\",\"amended_body\":\"x\"}", 0,
			SG_VERDICT_AMEND, "" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_verdict verdict;
		struct sg_error error = { "" };
		int r = sg_verdict_read(
			rows[i].hook, rows[i].answer, strlen(rows[i].answer), &verdict, &error);

		assert_int_equal(r, rows[i].result);
		if (r < 0) {
			assert_string_not_equal(error.text, "");
			continue;
		}
		assert_int_equal(verdict.kind, rows[i].kind);
		assert_string_equal(verdict.reason, rows[i].reason);
		sg_verdict_done(&verdict);
	}
}

static void test_an_amended_body_is_text_or_json(void **state)
{
	static const char *const answers[] = {
		"{\"verdict\":\"amend\",\"amended_body\":\"{\\\"a\\\":1}\"}",
		"{\"verdict\":\"amend\",\"amended_body\":{\"a\": 1}}",
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(answers); i++) {
		struct sg_verdict verdict;
		struct sg_error error;

		assert_int_equal(sg_verdict_read(SG_HOOK_GATE_RESPONSE, answers[i],
					 strlen(answers[i]), &verdict, &error),
			0);
		assert_string_equal(verdict.amended, "{\"a\":1}");
		sg_verdict_done(&verdict);
	}
}

// ---- Patches ----

static const struct {
	const char *api, *answer, *before, *after; // after NULL: -ENOTSUP
	enum sg_hook hook;
} patches[] = {
	{ "chat", "{\"tool_filter\":{\"mode\":\"allow_list\",\"tools\":[\"a\"]}}",
		"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},"
		"{\"type\":\"function\",\"function\":{\"name\":\"b\"}}],\"n\":1}",
		"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}],\"n\":"
		"1}",
		SG_HOOK_GATE_REQUEST },
	{ "chat", "{\"tool_filter\":{\"mode\":\"deny_list\",\"tools\":[\"a\"]}}",
		"{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}],"
		"\"tool_choice\":\"auto\",\"parallel_tool_calls\":true,\"n\":1}",
		"{\"n\":1}", SG_HOOK_GATE_REQUEST },
	{ "messages", "{\"tool_filter\":{\"mode\":\"deny_list\",\"tools\":[\"b\"]}}",
		"{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"tool_choice\":{\"type\":"
		"\"tool\",\"name\":\"b\"}}",
		"{\"tools\":[{\"name\":\"a\"}]}", SG_HOOK_GATE_REQUEST },
	{ "responses", "{\"tool_filter\":{\"mode\":\"deny_list\",\"tools\":[\"web_search\"]}}",
		"{\"tools\":[{\"type\":\"web_search\"},{\"type\":\"function\",\"name\":"
		"\"f\"}]}",
		"{\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}", SG_HOOK_GATE_REQUEST },
	// Two spellings of the same member: neither passes the filter.
	{ "generate", "{\"tool_filter\":{\"mode\":\"deny_list\",\"tools\":[\"b\"]}}",
		"{\"tools\":[{\"function_declarations\":[{\"name\":\"a\"},{\"name\":\"b\"}]"
		"},{\"functionDeclarations\":[{\"name\":\"b\"}]}],\"tool_config\":{}}",
		"{\"tools\":[{\"function_declarations\":[{\"name\":\"a\"}]}]}",
		SG_HOOK_GATE_REQUEST },
	{ "generate", "{\"tool_filter\":{\"mode\":\"allow_list\",\"tools\":[\"a\"]}}",
		"{\"tools\":[{\"googleSearch\":{}},{\"functionDeclarations\":[{\"name\":"
		"\"a\"}]}]}",
		"{\"tools\":[{\"functionDeclarations\":[{\"name\":\"a\"}]}]}",
		SG_HOOK_GATE_REQUEST },
	{ "chat", "{\"tool_filter\":{\"mode\":\"allow_list\"}}", "{\"n\":1}", "{\"n\":1}",
		SG_HOOK_GATE_REQUEST },
	{ "chat", "{\"messages_patch\":[{\"role\":\"system\",\"content\":\"p\"}]}",
		"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
		"\"system\",\"content\":\"p\"}]}",
		SG_HOOK_DECORATE },
	{ "chat", "{\"system_patch\":\"p\"}", "{\"messages\":[]}",
		"{\"messages\":[{\"role\":\"system\",\"content\":\"p\"}]}", SG_HOOK_DECORATE },
	{ "messages", "{\"system_patch\":\"p\"}", "{\"system\":\"base\",\"messages\":[]}",
		"{\"system\":\"base\\n\\np\",\"messages\":[]}", SG_HOOK_DECORATE },
	{ "messages", "{\"system_patch\":\"p\"}", "{\"messages\":[]}",
		"{\"messages\":[],\"system\":\"p\"}", SG_HOOK_DECORATE },
	{ "messages", "{\"system_patch\":\"p\"}",
		"{\"system\":[{\"type\":\"text\",\"text\":\"base\"}]}",
		"{\"system\":[{\"type\":\"text\",\"text\":\"base\"},{\"type\":\"text\","
		"\"text\":\"p\"}]}",
		SG_HOOK_DECORATE },
	{ "responses",
		"{\"messages_patch\":[{\"role\":\"developer\",\"content\":\"p\"}],"
		"\"system_patch\":\"s\"}",
		"{\"input\":\"hi\"}",
		"{\"input\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
		"\"developer\",\"content\":\"p\"}],\"instructions\":\"s\"}",
		SG_HOOK_DECORATE },
	{ "generate", "{\"system_patch\":\"p\"}",
		"{\"system_instruction\":{\"parts\":[{\"text\":\"base\"}]}}",
		"{\"system_instruction\":{\"parts\":[{\"text\":\"base\"},{\"text\":\"p\"}]}"
		"}",
		SG_HOOK_DECORATE },
	{ "generate", "{\"system_patch\":\"p\"}", "{}",
		"{\"systemInstruction\":{\"parts\":[{\"text\":\"p\"}]}}", SG_HOOK_DECORATE },
	// Signed, or without a place for it
	{ "converse", "{\"system_patch\":\"p\"}", "{}", NULL, SG_HOOK_DECORATE },
	{ "embeddings", "{\"system_patch\":\"p\"}", "{}", NULL, SG_HOOK_DECORATE },
	{ "chat", "{\"system_patch\":\"p\"}", "{}", NULL, SG_HOOK_DECORATE },
};

static void test_patches(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(patches); i++) {
		struct sg_verdict verdict;
		struct sg_error error = { "" };
		char *body = NULL;
		size_t length = 0;
		int r;

		assert_int_equal(sg_verdict_read(patches[i].hook, patches[i].answer,
					 strlen(patches[i].answer), &verdict, &error),
			0);
		assert_true(sg_verdict_patches(&verdict));
		r = sg_request_patch(patches[i].api, patches[i].before, strlen(patches[i].before),
			&verdict, &body, &length);
		if (patches[i].after) {
			assert_int_equal(r, 0);
			assert_string_equal(body, patches[i].after);
			assert_int_equal(length, strlen(body));
		} else {
			assert_int_equal(r, -ENOTSUP);
		}
		free(body);
		sg_verdict_done(&verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_told_with_its_members),
		cmocka_unit_test(test_an_answer_is_told_as_text),
		cmocka_unit_test(test_what_is_no_text_is_not_told),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_an_amended_body_is_text_or_json),
		cmocka_unit_test(test_patches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
