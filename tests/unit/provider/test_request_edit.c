// SPDX-License-Identifier: Apache-2.0
// Asking for usage in the agent's place: the least change of the body, which a full parser reads as
// the same request with stream_options.include_usage true.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void apply(const char *body, const struct sg_request_edit *edit, char *out, size_t size)
{
	size_t length = strlen(body);

	assert_true(edit->offset + edit->remove <= length);
	assert_true(edit->text_length <= sizeof(edit->text));
	assert_true(length + edit->text_length < size);
	memcpy(out, body, edit->offset);
	memcpy(out + edit->offset, edit->text, edit->text_length);
	strcpy(out + edit->offset + edit->text_length, body + edit->offset + edit->remove);
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
	struct sg_request_edit edit;
	char edited[512];

	read_request(feeder, &sg_api_openai_chat, row->body, &facts, &edit);
	assert_true(facts.is_object);
	if (!row->edited) {
		assert_int_equal(
			facts.include_usage, facts.stream ? SG_USAGE_ASKED : SG_USAGE_NOT_NEEDED);
		return;
	}
	assert_int_equal(facts.include_usage, SG_USAGE_TO_ADD);
	apply(row->body, &edit, edited, sizeof(edited));
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
	struct sg_request_edit edit;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++) {
		read_request(&feeder, others[i], "{\"stream\":true}", &facts, &edit);
		assert_true(facts.stream);
		assert_int_equal(facts.include_usage, SG_USAGE_NOT_NEEDED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_is_asked_for_with_the_least_change),
		cmocka_unit_test(other_formats_are_left_alone),
	};

	return cmocka_run_group_tests_name("request_edit", tests, NULL, NULL);
}
