// SPDX-License-Identifier: Apache-2.0
// Labels and the request that they make.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/labels.h"

#define ID "0123456789abcdef"

static int request_of(const char *labels, const char *name, const char *profile, json_t **ret,
	struct sg_error *error)
{
	struct sg_labels all = { .all = json_loads(labels, 0, NULL) };
	int r;

	assert_non_null(all.all);
	strcpy(all.name, name);
	r = sg_labels_request(&all, ID, profile, ret, error);
	sg_labels_release(&all);
	return r;
}

static void expect(const char *labels, const char *name, const char *profile, const char *expected)
{
	json_t *request = NULL, *wanted = json_loads(expected, 0, NULL);
	struct sg_error error = { "" };

	assert_non_null(wanted);
	assert_int_equal(request_of(labels, name, profile, &request, &error), 0);
	if (!json_equal(request, wanted)) {
		json_dumpf(request, stderr, JSON_INDENT(1));
		fail();
	}
	json_decref(request);
	json_decref(wanted);
}

static void test_requests(void **state)
{
	(void)state;
	expect("{\"spendgate.budget.limit-usd\": \"5\", \"spendgate.budget.window\": \"24h\", "
	       "\"other\": \"x\"}",
		"writer", NULL,
		"{\"op\": \"register\", \"name\": \"writer\", \"container\": \"" ID
		"\", \"budgets\": [{\"name\": \"container\", \"limit_usd\": \"5\", \"window\": "
		"\"24h\"}]}");
	expect("{\"spendgate.budget.max-requests\": \"-7\"}", "", NULL,
		"{\"op\": \"register\", \"name\": \"0123456789ab\", \"container\": \"" ID
		"\", \"budgets\": [{\"name\": \"container\", \"max_requests\": -7, \"window\": "
		"\"lifetime\"}]}");
	expect("{\"spendgate.agent\": \"a\", \"spendgate.team\": \"t\", \"spendgate.egress\": "
	       "\"host\", "
	       "\"spendgate.unknown-model\": \"allow\", \"spendgate.profile\": \"own\"}",
		"writer", "small",
		"{\"op\": \"register\", \"name\": \"a\", \"container\": \"" ID
		"\", \"team\": \"t\", \"egress\": \"host\", \"unknown_model\": \"allow\", "
		"\"profile\": \"own\"}");
	expect("{}", "writer", "small",
		"{\"op\": \"register\", \"name\": \"writer\", \"container\": \"" ID
		"\", \"profile\": \"small\"}");
	expect("{\"com.docker.compose.project\": \"p\", \"com.docker.compose.service\": \"s\", "
	       "\"com.docker.compose.container-number\": \"2\"}",
		"whatever", NULL,
		"{\"op\": \"register\", \"name\": \"p-s-2\", \"container\": \"" ID "\"}");
}

// `labels` and `image` as objects of strings; single quotes stand for double ones.
static void expect_of_image(const char *labels, const char *image, const char *expected)
{
	char copy[3][1024];
	const char *const texts[] = { labels, image, expected };
	struct sg_error error = { "" };
	struct sg_labels all = { .name = "n" };
	json_t *request = NULL, *wanted;

	for (int i = 0; i < 3; i++) {
		snprintf(copy[i], sizeof(copy[i]), "%s", texts[i]);
		for (char *c = copy[i]; *c; c++)
			if (*c == '\'')
				*c = '"';
	}
	all.all = json_loads(copy[0], 0, NULL);
	all.image = json_loads(copy[1], 0, NULL);
	wanted = json_loads(copy[2], 0, NULL);
	assert_true(all.all && all.image && wanted);
	assert_int_equal(sg_labels_request(&all, ID, NULL, &request, &error), 0);
	json_object_del(request, "op");
	json_object_del(request, "container");
	if (!json_equal(request, wanted)) {
		json_dumpf(request, stderr, JSON_INDENT(1));
		fail_msg("%s", labels);
	}
	json_decref(request);
	json_decref(wanted);
	sg_labels_release(&all);
}

// What the image says is told apart, so that it can't change what the container was given.
static void test_of_image(void **state)
{
	(void)state;
	expect_of_image("{'spendgate.budget.limit-usd': '5', 'spendgate.budget.window': '1s', "
			"'spendgate.budget.behavior': 'soft_alert'}",
		"{'spendgate.budget.window': '1s', 'spendgate.budget.behavior': 'soft_alert'}",
		"{'name': 'n', 'budgets': [{'name': 'container', 'limit_usd': '5'}], 'image': "
		"{'budget': {'window': '1s', 'behavior': 'soft_alert'}}}");
	expect_of_image("{'spendgate.agent': 'a', 'spendgate.egress': 'host', 'spendgate.profile': "
			"'p', 'spendgate.team': 't', 'spendgate.unknown-model': 'allow'}",
		"{'spendgate.egress': 'host', 'spendgate.profile': 'p', 'spendgate.team': 't', "
		"'spendgate.unknown-model': 'allow', 'spendgate.agent': 'b'}",
		"{'name': 'a', 'image': {'egress': 'host', 'profile': 'p', 'team': 't', "
		"'unknown_model': 'allow'}}");
	// Compose gives its containers a number; images may have the rest of its name, or all.
	expect_of_image("{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's'}",
		"{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's'}",
		"{'name': 'n'}");
	expect_of_image("{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's', "
			"'com.docker.compose.container-number': '1'}",
		"{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's'}",
		"{'name': 'p-s-1'}");
	expect_of_image("{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's', "
			"'com.docker.compose.container-number': '1'}",
		"{'com.docker.compose.project': 'p', 'com.docker.compose.service': 's', "
		"'com.docker.compose.container-number': '1'}",
		"{'name': 'n'}");
}

// What somebody gives by hand is his, also where the image says the same.
static void test_added(void **state)
{
	struct sg_labels labels = { .all = json_pack("{s:s}", "spendgate.egress", "host"),
		.image = json_pack("{s:s}", "spendgate.egress", "host") };
	json_t *more = json_pack("{s:s}", "spendgate.egress", "host"), *request = NULL;
	struct sg_error error = { "" };

	(void)state;
	sg_labels_add(&labels, more);
	assert_int_equal(sg_labels_request(&labels, ID, NULL, &request, &error), 0);
	assert_string_equal(json_string_value(json_object_get(request, "egress")), "host");
	assert_null(json_object_get(request, "image"));
	json_decref(request);
	json_decref(more);
	sg_labels_release(&labels);
}

static void test_bad(void **state)
{
	static const struct {
		const char *labels;
		const char *sentence;
	} cases[] = {
		{ "{\"spendgate.\": \"x\"}", "label spendgate.: there is no such label" },
		{ "{\"spendgate.budget\": \"x\"}",
			"label spendgate.budget: there is no such label" },
		{ "{\"spendgate.budget.max-tokens\": \"\"}",
			"label spendgate.budget.max-tokens \"\": must be a whole number" },
		{ "{\"spendgate.budget.max-tokens\": \"1e3\"}", "must be a whole number" },
		{ "{\"spendgate.budget.max-tokens\": \"99999999999999999999\"}",
			"must be a whole number" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_error error = { "" };
		json_t *request = NULL;

		assert_int_equal(
			request_of(cases[i].labels, "writer", NULL, &request, &error), -EINVAL);
		assert_non_null(strstr(error.text, cases[i].sentence));
		assert_null(request);
	}
}

static void test_agent(void **state)
{
	static const struct {
		const char *labels;
		bool agent;
	} cases[] = { { "{}", false }, { "{\"spendgate\": \"1\"}", false },
		{ "{\"spendgates.x\": \"1\"}", false }, { "{\"spendgate.x\": \"1\"}", true } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_labels labels = { .all = json_loads(cases[i].labels, 0, NULL) };

		assert_int_equal(sg_labels_agent(&labels), cases[i].agent);
		sg_labels_release(&labels);
	}
}

// Annotations are read where there is no Docker.
static void test_annotations(void **state)
{
	json_t *config = json_loads("{\"root\": {\"path\": \"/nowhere/at/all\"}, \"annotations\": "
				    "{\"spendgate.agent\": \"podman\"}}",
		0, NULL);
	struct sg_error error = { "" };
	struct sg_labels labels;

	(void)state;
	assert_int_equal(sg_labels_read(config, ID, &labels, &error), 0);
	assert_true(sg_labels_agent(&labels));
	assert_string_equal(labels.name, "");
	sg_labels_release(&labels);
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_of_image),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_annotations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
