// SPDX-License-Identifier: Apache-2.0
// config.json: what the shim changes, what it leaves alone, and what it refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "runc/oci.h"

static int parse(const char *text, json_t **ret_config, struct sg_error *error)
{
	return sg_oci_parse(text, strlen(text), "config.json", ret_config, error);
}

static void test_changes(void **state)
{
	static const char whole[] = "{\"process\": {\"args\": [\"sh\"], \"env\": [\"A=1\", "
				    "\"AB=2\", \"A=3\"]}, \"root\": {\"path\": \"r\"}, "
				    "\"mounts\": [{\"destination\": \"/proc\"}], \"hooks\": "
				    "{\"createRuntime\": [{\"path\": \"/net\"}], "
				    "\"poststop\": []}, \"x\": [1.5, null]}";
	static const char expected[] =
		"{\"process\": {\"args\": [\"sh\"], \"env\": [\"A=1\", \"AB=2\", \"A=3\", "
		"\"B=/x\"]}, \"root\": {\"path\": \"r\"}, "
		"\"mounts\": [{\"destination\": \"/proc\"}, {\"destination\": \"/in\", \"type\": "
		"\"bind\", \"source\": \"/out\", "
		"\"options\": [\"bind\", \"ro\", \"nosuid\", \"nodev\", \"rprivate\"]}], "
		"\"hooks\": {\"createRuntime\": "
		"[{\"path\": \"/net\"}, {\"path\": \"/shim\", \"args\": [\"hook\"], \"timeout\": "
		"60}], \"poststop\": []}, \"x\": [1.5, null]}";
	json_t *config = NULL, *wanted = json_loads(expected, 0, NULL);
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(parse(whole, &config, &error), 0);
	assert_string_equal(sg_oci_variable(config, "A"), "1");
	assert_string_equal(sg_oci_variable(config, "AB"), "2");
	assert_null(sg_oci_variable(config, "B"));
	assert_int_equal(sg_oci_add_variable(config, "B", "/x"), 0);
	assert_int_equal(sg_oci_add_mount(config, "/out", "/in"), 0);
	assert_int_equal(sg_oci_add_hook(config, "/shim", json_pack("[s]", "hook"), 60), 0);
	assert_true(json_equal(config, wanted));
	json_decref(config);
	json_decref(wanted);
}

static void test_nothing_there(void **state)
{
	json_t *config = NULL;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(
		parse("{\"process\": {}, \"root\": {\"path\": \"r\"}}", &config, &error), 0);
	assert_null(sg_oci_variable(config, "A"));
	assert_int_equal(sg_oci_add_variable(config, "A", "1"), 0);
	assert_int_equal(sg_oci_add_mount(config, "/out", "/in"), 0);
	assert_int_equal(sg_oci_add_hook(config, "/shim", json_array(), 60), 0);
	assert_string_equal(sg_oci_variable(config, "A"), "1");
	json_decref(config);
}

static void test_refused(void **state)
{
#define GOOD "\"process\": {}, \"root\": {\"path\": \"r\"}"
	static const struct {
		const char *text;
		const char *sentence;
	} cases[] = {
		{ "", "config.json:1:0: '[' or '{' expected" },
		{ "[]", "config.json: must be an object" },
		{ "{}", "config.json: process: must be an object" },
		{ "{\"process\": {}}", "config.json: root.path: must be a string" },
		{ "{\"process\": {\"env\": {}}, \"root\": {\"path\": \"r\"}}",
			"process.env: must be an array" },
		{ "{\"process\": {\"env\": [1]}, \"root\": {\"path\": \"r\"}}",
			"process.env[0]: must be a string" },
		{ "{" GOOD ", \"mounts\": {}}", "mounts: must be an array" },
		{ "{" GOOD ", \"mounts\": [{}]}", "mounts[0].destination: must be a string" },
		{ "{" GOOD ", \"hooks\": []}", "hooks: must be an object" },
		{ "{" GOOD ", \"hooks\": {\"createRuntime\": {}}}",
			"hooks.createRuntime: must be an array" },
		{ "{" GOOD ", \"annotations\": {\"a\": 1}}", "annotations: a: must be a string" },
		{ "{" GOOD ", \"process\": {}}", "duplicate object key" },
		{ "{" GOOD "} {}", "end of file expected" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_error error = { "" };
		json_t *config = NULL;

		assert_int_equal(parse(cases[i].text, &config, &error), -EBADMSG);
		if (!strstr(error.text, cases[i].sentence))
			fail_msg("%s: %s", cases[i].text, error.text);
		assert_null(config);
	}
}

// A bundle that is started again is as it was before the first time; what others put in stays.
static void test_again(void **state)
{
	static const char text[] =
		"{" GOOD ", \"hooks\": {\"createRuntime\": [{\"path\": \"/theirs\"}]}, \"mounts\": "
		"[{\"destination\": \"/a\", \"source\": \"/run/spendgate/trust-not\"}]}";
	struct sg_error error = { "" };
	json_t *config = NULL, *before;

	(void)state;
	assert_int_equal(parse(text, &config, &error), 0);
	before = json_deep_copy(config);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sg_oci_add_hook(config, "/usr/bin/spendgate-runc",
					 json_pack("[s, s]", "spendgate-runc", "hook"), 60),
			0);
		assert_int_equal(
			sg_oci_add_mount(config, "/run/spendgate/trust/merged/x", "/b"), 0);
	}
	assert_false(json_equal(config, before));
	sg_oci_remove_own(config, "spendgate-runc", "/run/spendgate/trust");
	assert_true(json_equal(config, before));
	json_decref(before);
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
