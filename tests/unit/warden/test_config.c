// SPDX-License-Identifier: Apache-2.0
// The configuration is checked as a whole, and an error names file and key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "warden/config.h"

static char path[64];

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/spendgate-config-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int load(const char *text, json_t **ret_config, struct sg_error *error)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return sg_config_load(path, true, ret_config, error);
}

static void test_good(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"user\": \"spendgate\", \"workers\": 64, \"durability\": \"power\", "
		"\"log_level\": "
		"\"debug\"}",
		"{\"unknown_model\": \"price_as:gpt-5\"}",
		"{\"unbounded\": \"deny\", \"unknown_path\": {\"hold_usd\": \"0.25\"}}",
		"{\"origins\": [{\"host\": \"api.openai.com\", \"address\": \"[::1]:443\"}]}",
		"{\"webhook\": {\"url\": \"https://[::1]:9/hook?key=1\", \"secret\": \"x\"}}",
		"{\"origins\": [{\"host\": \"llm.example\", \"address\": \"10.0.0.5:80\", "
		"\"provider\": "
		"\"openai\", \"plain\": true}]}",
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts); i++) {
		struct sg_error error = { "" };
		json_t *config = NULL;

		if (load(texts[i], &config, &error) < 0)
			fail_msg("%s: %s", texts[i], error.text);
		assert_true(json_is_object(config));
		json_decref(config);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		const char *place; // what the sentence must name
	} cases[] = {
		{ "{\"pricez\": 1}", "unknown key \"pricez\"" },
		{ "[]", "must be a JSON object" },
		{ "{\n \"workers\": 1,,}", ":2:" },
		{ "{\"workers\": 1, \"workers\": 2}", "duplicate" },
		{ "{\"workers\": 0}", "workers: " },
		{ "{\"workers\": 65}", "workers: " },
		{ "{\"workers\": \"2\"}", "workers: " },
		{ "{\"user\": 7}", "user: " },
		{ "{\"durability\": \"always\"}", "durability: " },
		{ "{\"log_level\": \"loud\"}", "log_level: " },
		{ "{\"refusal\": \"rude\"}", "refusal: " },
		{ "{\"image_labels\": \"any\"}", "image_labels: must be tighten or trusted" },
		{ "{\"unknown_model\": \"price_as:\"}", "unknown_model" },
		{ "{\"unknown_model\": 1}", "unknown_model: " },
		{ "{\"unbounded\": \"allow\"}", "unbounded: " },
		{ "{\"unbounded\": {\"hold_usd\": 2}}", "unbounded: " },
		{ "{\"unbounded\": {\"hold_usd\": \"0\"}}", "unbounded: " },
		{ "{\"unknown_path\": {\"hold_usd\": \"-1\"}}", "unknown_path: " },
		{ "{\"unknown_path\": {\"hold_usd\": \"1\", \"x\": 1}}", "unknown_path: " },
		{ "{\"prices\": \"prices.json\"}", "prices: must be an absolute path" },
		{ "{\"prices\": \"/nonexistent/prices.json\"}", "prices: " },
		{ "{\"origins\": {}}", "origins: " },
		{ "{\"origins\": [7]}", "origins[0]: " },
		{ "{\"origins\": [{\"host\": \"api.openai.com\", \"address\": \"1.2.3.4\"}]}",
			"origins[0] (api.openai.com): address" },
		{ "{\"origins\": [{\"host\": \"API.openai.com\", \"address\": \"1.2.3.4:5\"}]}",
			"origins[0]: host" },
		{ "{\"origins\": [{\"host\": \"llm.example\", \"address\": \"1.2.3.4:5\"}]}",
			"llm.example is no known provider" },
		{ "{\"origins\": [{\"host\": \"llm.example\", \"address\": \"1.2.3.4:5\", "
		  "\"provider\": \"acme\"}]}",
			"unknown provider" },
		{ "{\"webhook\": 7}", "webhook: must be an object" },
		{ "{\"webhook\": {\"url\": \"http://[::1]/\"}}", "webhook.secret: " },
		{ "{\"webhook\": {\"url\": \"//[::1]/\", \"secret\": \"x\"}}", "webhook.url: " },
		{ "{\"webhook\": {\"url\": \"http://[::1]/a b\", \"secret\": \"x\"}}",
			"webhook.url: " },
		{ "{\"webhook\": {\"url\": \"http://[::1]/\", \"timeout_ms\": 0}}",
			"webhook.timeout_ms: " },
		{ "{\"webhook\": {\"token\": \"x\"}}", "webhook: unknown key \"token\"" },
		{ "{\"policy\": {\"url\": \"http://[::1]/\", \"token\": \"a b\"}}",
			"policy.token: " },
		{ "{\"policy\": {\"url\": \"http://[::1]/\", \"token_file\": \"/nonexistent\"}}",
			"policy.token_file: /nonexistent" },
		{ "{\"origins\": [{\"host\": \"api.openai.com\", \"address\": \"1.2.3.4:5\", "
		  "\"tls\": "
		  "false}]}",
			"origins[0]: unknown key \"tls\"" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_error error = { "" };
		json_t *config = NULL;

		assert_true(load(cases[i].text, &config, &error) < 0);
		assert_null(config);
		if (!strstr(error.text, path) || !strstr(error.text, cases[i].place))
			fail_msg("%s: \"%s\" does not name %s", cases[i].text, error.text,
				cases[i].place);
	}
}

static void test_absent(void **state)
{
	struct sg_error error = { "" };
	json_t *config = NULL;

	(void)state;
	assert_int_equal(sg_config_load("/nonexistent/config.json", false, &config, &error), 0);
	assert_int_equal(json_object_size(config), 0);
	json_decref(config);
	assert_true(sg_config_load("/nonexistent/config.json", true, &config, &error) < 0);
	assert_non_null(strstr(error.text, "/nonexistent/config.json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
