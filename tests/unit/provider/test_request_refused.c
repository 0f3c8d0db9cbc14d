// SPDX-License-Identifier: Apache-2.0
// Requests that two readers could take for different ones, or that are none: refused, with the
// place.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/readers.h"

static const struct sg_api *const apis[] = { &sg_api_openai_chat, &sg_api_openai_responses,
	&sg_api_anthropic_messages };

static void a_body_that_is_no_object_is_refused_with_its_place(void **state)
{
	static const char *const bodies[] = { "", "null", "[]", "\"{}\"", "{", "{}{}", "{\"a\":01}",
		"{\"model\":\"x\",}", "--x\r\nContent-Disposition: form-data\r\n" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(apis); i++)
		for (size_t k = 0; k < SG_ARRAY_SIZE(bodies); k++) {
			struct feeder feeder = { FEED_WHOLE, 0 };
			struct sg_request_facts facts;
			struct sg_request_edits edits;

			read_request(&feeder, apis[i], bodies[k], &facts, &edits);
			assert_false(facts.is_object);
			assert_non_null(strstr(facts.malformed, "not one JSON object"));
		}
}

// Some decoders fold the case of names, others do not: the limit would be of the one, the bill of
// the other.
static const struct {
	const struct sg_api *api;
	const char *body, *name; // NULL: it is read
} case_rows[] = {
	{ &sg_api_openai_chat, "{\"max_tokens\":1,\"MAX_TOKENS\":30000}", "max_tokens" },
	{ &sg_api_openai_chat, "{\"max_tokens\":1,\"N\":8}", "n" },
	{ &sg_api_openai_chat, "{\"max_to\\u212aens\":30000}", "max_tokens" },
	{ &sg_api_openai_chat, "{\"max_token\xc5\xbf\":30000}", "max_tokens" },
	{ &sg_api_openai_chat, "{\"messages\":[{\"Content\":[]}]}", "content" },
	{ &sg_api_ollama, "{\"options\":{\"num_Predict\":-1}}", "num_predict" },
	{ &sg_api_cohere_chat, "{\"Max_tokens\":30000}", "max_tokens" },
	{ &sg_api_gemini_generate, "{\"generationconfig\":{}}", "generationConfig" },
	{ &sg_api_gemini_generate, "{\"generationConfig\":{\"MaxOutputTokens\":9}}",
		"maxOutputTokens" },
	// What nobody looks for may be named as it likes, and a value is no name.
	{ &sg_api_openai_chat, "{\"max_tokens\":1,\"MAX-TOKENS\":2,\"max_tokens_\":3,\"M\":4}",
		NULL },
	{ &sg_api_openai_chat, "{\"model\":\"MAX_TOKENS\",\"metadata\":{\"Max_tokens\":1}}", NULL },
	{ &sg_api_openai_chat,
		"{\"tools\":[{\"type\":\"function\",\"function\":{\"parameters\":{\"properties\":"
		"{\"Model\":{},\"N\":{},\"Content\":{}}}}}]}",
		NULL },
	{ &sg_api_anthropic_messages,
		"{\"tools\":[{\"name\":\"f\",\"input_schema\":{\"properties\":{\"Type\":{}}}}],"
		"\"messages\":[{\"content\":[{\"type\":\"tool_use\",\"input\":{\"Type\":1,"
		"\"MAX_TOKENS\":1}}]}]}",
		NULL },
};

static void run_case(struct feeder *feeder, const void *context)
{
	const size_t i = *(const size_t *)context;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	char quoted[64];

	read_request(feeder, case_rows[i].api, case_rows[i].body, &facts, &edits);
	assert_int_equal(facts.is_object, !case_rows[i].name);
	if (!case_rows[i].name)
		return;
	snprintf(quoted, sizeof(quoted), "\"%s\"", case_rows[i].name);
	assert_non_null(strstr(facts.malformed, quoted));
}

static void a_name_in_another_case_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(case_rows); i++) {
		print_message("%s\n", case_rows[i].body);
		feed_all(run_case, &i);
	}
}

// A form's fields are read by servers in ways of their own: the first of two, or the last.
static void a_form_that_may_be_two_is_refused(void **state)
{
#define PART(name, more) "--x\r\nContent-Disposition: form-data; name=\"" name "\"" more "\r\n\r\n"
	static const struct {
		const char *body, *malformed; // NULL: it is read
	} rows[] = {
		{ PART("model", "") "m\r\n" PART("n", "") "2\r\n--x--", NULL },
		{ PART("n", "") "2\r\n" PART("n", "") "1\r\n--x--", "there twice" },
		{ PART("n", "") "2\r\n" PART("n[]", "") "1\r\n--x--", "there twice" },
		{ PART("Model", "") "m\r\n--x--", "\"model\"" },
		{ PART("image[]", "; filename=a") "\r\n" PART(
			  "image[]", "; filename=b") "\r\n--x--",
			NULL },
		{ PART("tag", "") "1\r\n" PART("Tag", "") "1\r\n" PART("tag", "") "1\r\n--x--",
			NULL },
	};
	static const char type[] = "multipart/form-data; boundary=x";
	const struct sg_route route = { .kind = SG_ROUTE_METERED, .api = &sg_api_openai_images };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_request_reader *reader;
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		print_message("%s\n", rows[i].body);
		assert_int_equal(sg_request_reader_new(&route,
					 (struct sg_str){ type, sizeof(type) - 1 }, &reader),
			0);
		assert_int_equal(
			sg_request_reader_feed(reader, rows[i].body, strlen(rows[i].body)), 0);
		sg_request_reader_finish(reader, &facts, &edits);
		assert_null(sg_request_reader_free(reader));
		assert_int_equal(facts.is_object, !rows[i].malformed);
		if (rows[i].malformed)
			assert_non_null(strstr(facts.malformed, rows[i].malformed));
	}
#undef PART
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_that_is_no_object_is_refused_with_its_place),
		cmocka_unit_test(a_name_in_another_case_is_refused),
		cmocka_unit_test(a_form_that_may_be_two_is_refused),
	};

	return cmocka_run_group_tests_name("request_refused", tests, NULL, NULL);
}
