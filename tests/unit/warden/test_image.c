// SPDX-License-Identifier: Apache-2.0
// What an image may ask for by labels of its own: tighter, never looser.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "warden/definition.h"
#include "warden/image.h"

#define CONFIG                                                                                     \
	"\"profiles\": {\"small\": {\"unknown_model\": \"price_as:gpt-4o\", \"budgets\": "         \
	"[{\"name\": \"small\", \"limit_usd\": \"1\", \"window\": \"24h\"}]}, \"free\": {}}"
#define TIGHTEN "{" CONFIG "}"
#define TRUSTED "{" CONFIG ", \"image_labels\": \"trusted\"}"
#define OPEN	"{" CONFIG ", \"egress\": \"host\", \"unknown_model\": \"allow\"}"

// Single quotes stand for double ones.
static json_t *object(const char *text)
{
	char copy[2048];
	json_t *value;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(copy, 0, NULL);
	if (!value)
		fail_msg("%s: no JSON", text);
	return value;
}

static int define(const char *config_text, const char *request_text, json_t **ret_definition,
	struct sg_error *error)
{
	json_t *config = object(config_text), *request = object(request_text), *judged = NULL;
	int r = sg_image_apply(config, request, &judged, error);

	if (r == 0)
		r = sg_definition_make(config, judged, 7, ret_definition, error);
	json_decref(judged);
	json_decref(config);
	json_decref(request);
	return r;
}

static void expect(const char *config, const char *request, const char *expected)
{
	json_t *definition = NULL, *wanted = object(expected), *value;
	struct sg_error error = { "" };
	const char *key;

	if (define(config, request, &definition, &error) < 0)
		fail_msg("%s: %s", request, error.text);
	assert_null(json_object_get(definition, "image"));
	json_object_foreach(wanted, key, value)
	{
		json_t *is = json_object_get(definition, key);

		if (json_is_null(value) ? is != NULL : !json_equal(is, value)) {
			json_dumpf(definition, stderr, JSON_INDENT(1));
			fail_msg("%s: %s", request, key);
		}
	}
	json_decref(definition);
	json_decref(wanted);
}

static void test_tighter(void **state)
{
	(void)state;
	// One budget more, under its own name: that of the container stays as it was given.
	expect(TIGHTEN,
		"{'name': 'a', 'budgets': [{'name': 'container', 'limit_usd': '5'}], 'image': "
		"{'budget': {'limit_usd': '9', 'window': '90s', 'behavior': 'soft_alert'}}}",
		"{'budgets': [{'name': 'container', 'limit_usd': '5', 'window': 'lifetime'}, "
		"{'name': 'image', 'limit_usd': '9', 'window': '90s', 'behavior': 'soft_alert'}]}");
	expect(TIGHTEN,
		"{'name': 'a', 'profile': 'small', 'image': {'budget': {'max_requests': 3}}}",
		"{'budgets': [{'name': 'small', 'limit_usd': '1', 'window': '24h'}, {'name': "
		"'image', 'max_requests': 3, 'window': 'lifetime'}], 'unknown_model': "
		"'price_as:gpt-4o'}");
	expect(OPEN, "{'name': 'a', 'image': {'egress': 'agent', 'unknown_model': 'deny'}}",
		"{'egress': 'agent', 'unknown_model': 'deny', 'budgets': []}");
	expect(TIGHTEN, "{'name': 'a', 'profile': 'small', 'image': {'unknown_model': 'deny'}}",
		"{'unknown_model': 'deny'}");
	// What holds anyway may be said.
	expect(OPEN,
		"{'name': 'a', 'team': 't', 'image': {'name': 'a', 'team': 't', 'egress': 'host', "
		"'unknown_model': 'allow'}}",
		"{'name': 'a', 'team': 't', 'egress': 'host', 'unknown_model': 'allow'}");
	expect(TIGHTEN, "{'name': 'a', 'image': {'egress': 1}}", "{'egress': null}"); // no text
	expect(TIGHTEN,
		"{'name': 'a', 'profile': 'small', 'image': {'profile': 'small', 'egress': "
		"'agent', 'unknown_model': 'price_as:gpt-4o'}}",
		"{'profile': 'small', 'egress': 'agent', 'unknown_model': 'price_as:gpt-4o'}");
}

static void test_looser(void **state)
{
	static const struct {
		const char *config;
		const char *request;
		const char *sentence;
	} cases[] = {
		{ TIGHTEN, "{'name': 'a', 'image': {'name': 'b'}}", "label spendgate.agent \"b\"" },
		{ TIGHTEN, "{'name': 'a', 'image': {'team': 't'}}", "label spendgate.team \"t\"" },
		{ TIGHTEN, "{'name': 'a', 'profile': 'small', 'image': {'profile': 'free'}}",
			"label spendgate.profile \"free\" is the image's own" },
		{ TIGHTEN, "{'name': 'a', 'image': {'egress': 'host'}}",
			"label spendgate.egress \"host\"" },
		{ OPEN, "{'name': 'a', 'egress': 'agent', 'image': {'egress': 'host'}}",
			"label spendgate.egress" },
		{ TIGHTEN, "{'name': 'a', 'image': {'unknown_model': 'allow'}}",
			"label spendgate.unknown-model \"allow\"" },
		{ TIGHTEN,
			"{'name': 'a', 'profile': 'small', 'image': {'unknown_model': "
			"'price_as:gpt-4o-mini'}}",
			"trust images with \"image_labels\": \"trusted\"" },
		{ OPEN, "{'name': 'a', 'image': {'unknown_model': 'price_as:gpt-4o'}}",
			"label spendgate.unknown-model" },
		// A window alone, beside the container's limit.
		{ TIGHTEN,
			"{'name': 'a', 'budgets': [{'name': 'container', 'limit_usd': '5'}], "
			"'image': {'budget': {'window': '1s'}}}",
			"spendgate.budget.* of the image, which make a budget beside the" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_error error = { "" };
		json_t *definition = NULL;

		if (define(cases[i].config, cases[i].request, &definition, &error) != -EINVAL)
			fail_msg("%s is taken", cases[i].request);
		if (!strstr(error.text, cases[i].sentence))
			fail_msg("%s: \"%s\"", cases[i].request, error.text);
		assert_null(definition);
	}
}

static void test_trusted(void **state)
{
	(void)state;
	expect(TRUSTED,
		"{'name': 'a', 'profile': 'small', 'image': {'name': 'b', 'team': 't', 'profile': "
		"'free', 'egress': 'host', 'unknown_model': 'allow'}}",
		"{'name': 'b', 'team': 't', 'profile': 'free', 'egress': 'host', 'unknown_model': "
		"'allow', 'budgets': []}");
	expect(TRUSTED,
		"{'name': 'a', 'budgets': [{'name': 'container', 'limit_usd': '5'}], 'image': "
		"{'budget': {'limit_usd': '9', 'window': '90s'}}}",
		"{'budgets': [{'name': 'container', 'limit_usd': '5', 'window': '90s'}]}");
	expect(TRUSTED, "{'name': 'a', 'image': {'budget': {'limit_usd': '9'}}}",
		"{'budgets': [{'name': 'container', 'limit_usd': '9', 'window': 'lifetime'}]}");
	expect(TRUSTED,
		"{'name': 'a', 'budgets': [{'name': 'container', 'limit_usd': '5', "
		"'window': '24h'}]}",
		"{'budgets': [{'name': 'container', 'limit_usd': '5', 'window': '24h'}]}");
}

// What an agent was registered with meets another configuration: a reload, or a start of the
// daemon.
static void expect_later(
	const char *before, const char *request_text, const char *after, const char *expected)
{
	json_t *config = object(before), *request = object(request_text), *judged = NULL;
	struct sg_error error = { "" };
	char *text;

	if (sg_image_apply(config, request, &judged, &error) < 0)
		fail_msg("%s: %s", request_text, error.text);
	assert_null(json_object_get(judged, "image"));
	text = json_dumps(judged, 0);
	assert_non_null(text);
	expect(after, text, expected);
	free(text);
	json_decref(judged);
	json_decref(request);
	json_decref(config);
}

static void test_later(void **state)
{
	(void)state;
	// What was said and held anyway does not outlive what held.
	expect_later(OPEN, "{'name': 'a', 'image': {'egress': 'host', 'unknown_model': 'allow'}}",
		TIGHTEN, "{'egress': null, 'unknown_model': null}");
	expect_later(TIGHTEN,
		"{'name': 'a', 'profile': 'small', 'image': {'unknown_model': 'price_as:gpt-4o'}}",
		"{'profiles': {'small': {'unknown_model': 'deny'}}}", "{'unknown_model': 'deny'}");
	// What was tighter, or is the tightest there is, stays.
	expect_later(TIGHTEN,
		"{'name': 'a', 'image': {'egress': 'agent', 'unknown_model': 'deny', 'budget': "
		"{'max_requests': 3}}}",
		OPEN,
		"{'egress': 'agent', 'unknown_model': 'deny', 'budgets': [{'name': 'image', "
		"'max_requests': 3, 'window': 'lifetime'}]}");
	// An agent that runs goes on as who it is when images are trusted no more.
	expect_later(TRUSTED, "{'name': 'a', 'image': {'name': 'b', 'egress': 'host'}}", TIGHTEN,
		"{'name': 'b', 'egress': 'host'}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tighter),
		cmocka_unit_test(test_looser),
		cmocka_unit_test(test_trusted),
		cmocka_unit_test(test_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
