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
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_agent),
		cmocka_unit_test(test_annotations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
