// SPDX-License-Identifier: Apache-2.0
// Cases 1 to 12 of docs/budgets.md as pod files have them, and what of YAML is read.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compile/pod.h"
#include "compile/yaml.h"

#define SERVICE(budget)                                                                            \
	"services:\n  analyst:\n    image: analyst:latest\n    x-claw:\n      budget:\n" budget

static json_t *compile(const char *text)
{
	struct sg_error error = { "" };
	json_t *agents = NULL;

	if (sg_pod_compile(text, strlen(text), &agents, &error) < 0)
		fail_msg("%s\n%s", error.text, text);
	return agents;
}

static void assert_budget(const char *text, const char *agent, const char *expected)
{
	json_t *agents = compile(text), *wanted = expected ? json_loads(expected, 0, NULL) : NULL;
	json_t *budget = json_object_get(json_object_get(agents, agent), "budget");

	assert_non_null(json_object_get(agents, agent));
	if (expected ? !json_equal(budget, wanted) : budget != NULL)
		fail_msg("%s, not %s", json_dumps(budget, JSON_ENCODE_ANY),
			expected ? expected : "none");
	json_decref(agents);
	json_decref(wanted);
}

static void assert_refused(const char *text, const char *reason)
{
	struct sg_error error = { "" };
	json_t *agents = NULL;

	assert_int_equal(sg_pod_compile(text, strlen(text), &agents, &error), -EINVAL);
	if (strncmp(error.text, reason, strlen(reason)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", error.text, reason);
	if (!strstr(error.text, "line "))
		fail_msg("%s: no place is named", error.text);
}

static void cases_1_and_2_a_whole_budget(void **state)
{
	(void)state;
	assert_budget(
		SERVICE("        limit-usd: 1.25\n        max-requests: 12\n        window: 1h\n"
			"        behavior: hard_stop\n"),
		"analyst",
		"{\"limit_usd\": \"1.25\", \"max_requests\": 12, \"window\": \"1h\", \"behavior\": "
		"\"hard_stop\"}");
	assert_budget(SERVICE("        limit_usd: 0.5\n        window: 30m\n"), "analyst",
		"{\"limit_usd\": \"0.5\", \"window\": \"30m\", \"behavior\": \"hard_stop\"}");
	assert_budget(SERVICE("        requests: 3\n        window: 1.5h\n        behavior: "
			      "soft_alert\n"),
		"analyst",
		"{\"max_requests\": 3, \"window\": \"1h30m\", \"behavior\": \"soft_alert\"}");
	assert_budget(SERVICE("        limit-usd: \"1e-6\"\n        window: 7d\n"), "analyst",
		"{\"limit_usd\": \"0.000001\", \"window\": \"7d\", \"behavior\": \"hard_stop\"}");
}

static void cases_3_to_8_the_error_texts(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ SERVICE("        window: 1h\n"),
			"at least one of limit-usd or max-requests is required" },
		{ SERVICE("        {}\n"),
			"at least one of limit-usd or max-requests is required" },
		{ SERVICE("        limit-usd: 0\n        window: 1h\n"), "limit-usd must be > 0" },
		{ SERVICE("        limit-usd: -1\n        window: 1h\n"), "limit-usd must be > 0" },
		{ SERVICE("        limit-usd: .nan\n        window: 1h\n"),
			"limit-usd must be > 0" },
		{ SERVICE("        limit-usd: [1]\n        window: 1h\n"),
			"limit-usd must be > 0" },
		{ SERVICE("        max-requests: 0\n        window: 1h\n"),
			"max-requests must be > 0" },
		{ SERVICE("        max-requests: 1.5\n        window: 1h\n"),
			"max-requests must be > 0" },
		{ SERVICE("        max-requests: 9007199254740993\n        window: 1h\n"),
			"max-requests must be at most 2^53" },
		{ SERVICE("        max-requests: 99999999999999999999\n        window: 1h\n"),
			"max-requests must be at most 2^53" },
		{ SERVICE("        limit-usd: 1\n"), "window is required" },
		{ SERVICE("        limit-usd: 1\n        window: \"\"\n"), "window is required" },
		{ SERVICE("        limit-usd: 1\n        window: soon\n"),
			"window must be a positive duration" },
		{ SERVICE("        limit-usd: 1\n        window: -1h\n"),
			"window must be a positive duration" },
		{ SERVICE("        limit-usd: 1\n        window: 0s\n"),
			"window must be a positive duration" },
		{ SERVICE("        limit-usd: 1\n        window: 5\n"),
			"window must be a positive duration" },
		{ SERVICE("        limit-usd: 1\n        window: 1h\n        behavior: magic\n"),
			"unknown behavior \"magic\": must be one of rate_limit, hard_stop, "
			"soft_alert" },
		{ SERVICE("        limit-usd: 1\n        window: 1h\n        limits: 2\n"),
			"unknown key \"limits\"" },
	};
	char reason[256];

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		snprintf(reason, sizeof(reason), "service \"analyst\": parse budget: %s",
			rows[i].reason);
		assert_refused(rows[i].text, reason);
	}
	assert_refused("x-claw:\n  budget-defaults: {limit-usd: 0, window: 1h}\nservices: {}\n",
		"x-claw: parse budget-defaults: limit-usd must be > 0");
}

#define DEFAULTS                                                                                   \
	"x-claw:\n  pod: fleet\n  budget-defaults:\n    limit-usd: 2\n    max-requests: 5\n    "   \
	"window: 1h\n"

static void cases_9_to_11_defaults(void **state)
{
	static const char pod[] =
		DEFAULTS "services:\n"
			 "  inherits:\n    x-claw: {agent: ./AGENTS.md}\n"
			 "  replaces:\n    x-claw: {budget: {max-requests: 1, window: 2h}}\n"
			 "  without:\n    x-claw: {budget: null}\n"
			 "  tilde:\n    x-claw:\n      budget:\n"
			 "  database:\n    image: postgres\n";
	json_t *agents;

	(void)state;
	assert_budget(pod, "inherits",
		"{\"limit_usd\": \"2\", \"max_requests\": 5, \"window\": \"1h\", \"behavior\": "
		"\"hard_stop\"}");
	assert_budget(pod, "replaces",
		"{\"max_requests\": 1, \"window\": \"2h\", \"behavior\": \"hard_stop\"}");
	assert_budget(pod, "without", NULL);
	assert_budget(pod, "tilde", NULL);
	agents = compile(pod);
	assert_null(json_object_get(agents, "database"));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(agents, "inherits"), "pod")),
		"fleet");
	json_decref(agents);
	assert_refused(DEFAULTS "services:\n  empty:\n    x-claw: {budget: {}}\n",
		"service \"empty\": parse budget: at least one of limit-usd or max-requests is "
		"required");
}

static void case_12_two_spellings(void **state)
{
	(void)state;
	assert_refused(SERVICE("        limit-usd: 1\n        limit_usd: 2\n        window: 1h\n"),
		"service \"analyst\": parse budget: limit-usd and limit_usd cannot both be set to "
		"different values");
	assert_refused(
		SERVICE("        max_requests: 1\n        requests: 2\n        window: 1h\n"),
		"service \"analyst\": parse budget: max_requests and requests cannot both be set "
		"to different values");
	assert_budget(SERVICE("        limit-usd: 1\n        limit_usd: 1.0\n        window: 1h\n"),
		"analyst",
		"{\"limit_usd\": \"1\", \"window\": \"1h\", \"behavior\": \"hard_stop\"}");
}

static void each_replica_has_a_cap_of_its_own(void **state)
{
	static const char pod[] =
		"services:\n  trader:\n    x-claw: {count: 3, budget: {requests: 1, window: 1h}}\n";
	json_t *agents = compile(pod);

	(void)state;
	assert_int_equal(json_object_size(agents), 3);
	json_decref(agents);
	assert_budget(pod, "trader-2",
		"{\"max_requests\": 1, \"window\": \"1h\", \"behavior\": \"hard_stop\"}");
	assert_refused("services:\n  a: {x-claw: {count: 0}}\n",
		"service \"a\": count must be a number from 1 to 10000");
	assert_refused("services:\n  ../a: {x-claw: {}}\n", "service \"../a\": its name");
	assert_refused("services:\n  a-0: {x-claw: {}}\n  a: {x-claw: {count: 2}}\n",
		"service \"a\": a replica of another service has this name");
}

static void anchors_and_merge_keys(void **state)
{
	static const char pod[] =
		"x-small: &small\n  limit-usd: 1\n  window: 1h\n"
		"services:\n"
		"  alias:\n    x-claw:\n      budget: *small\n"
		"  merged:\n    x-claw:\n      budget:\n        <<: *small\n        limit-usd: 3\n"
		"  list:\n    x-claw:\n      budget:\n        <<: [{window: 2h}, *small]\n";

	(void)state;
	assert_budget(pod, "alias",
		"{\"limit_usd\": \"1\", \"window\": \"1h\", \"behavior\": \"hard_stop\"}");
	assert_budget(pod, "merged",
		"{\"limit_usd\": \"3\", \"window\": \"1h\", \"behavior\": \"hard_stop\"}");
	assert_budget(pod, "list",
		"{\"limit_usd\": \"1\", \"window\": \"2h\", \"behavior\": \"hard_stop\"}");
}

static void what_is_not_read_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ "services:\n  a: !custom {}\n", "line 2, column 6: tags (!) are not supported" },
		{ "services: {}\n---\nservices: {}\n", "line 2, column 1: a second document" },
		{ "services:\n  a: 1\n  a: 2\n", "line 3, column 3: this key is here twice" },
		{ "services:\n  [a]: 1\n", "line 2, column 3: a key must be a text" },
		{ "services:\n  a: *nothing\n", "line 2, column 6: an alias of an anchor" },
		{ "services: &s\n  a: *s\n", "line 2, column 6: an alias of an anchor" },
		{ "services:\n  <<: 5\n", "line 2, column 3: <<: must be a mapping" },
		{ "services:\n\ta: 1\n",
			"line 2, column 1: found character that cannot start any token" },
		{ "services: {\n", "line 2, column 1:" },
	};
	struct sg_error error = { "" };
	json_t *agents = NULL;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		assert_refused(rows[i].text, rows[i].reason);
	assert_int_equal(sg_pod_compile("", 0, &agents, &error), -EINVAL);
	assert_string_equal(error.text, "services: must be a mapping of services");
}

static void bombs_are_refused(void **state)
{
	struct sg_error error = { "" };
	json_t *agents = NULL;
	char deep[1024], *text = calloc(1, 1 << 20);
	size_t used = 0;

	(void)state;
	memset(deep, '[', sizeof(deep));
	assert_int_equal(sg_pod_compile(deep, sizeof(deep), &agents, &error), -EINVAL);
	assert_non_null(strstr(error.text, "nested too deep"));
	// Each level doubles the one before: aliases are not copied.
	used += (size_t)sprintf(text, "a0: &a0 [x]\n");
	for (int i = 1; i < 60; i++)
		used += (size_t)sprintf(
			text + used, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
	strcpy(text + used, "services: {}\n");
	json_decref(compile(text));
	free(text);
}

static void metadata_is_rendered_in_plain_decimals(void **state)
{
	json_t *agents = compile(SERVICE(
		"        limit-usd: 0.00005\n        max-requests: 10\n        window: 1h\n"));
	char *text = sg_pod_render(json_object_get(agents, "analyst"));

	(void)state;
	assert_string_equal(text,
		"{\n  \"agent_id\": \"analyst\",\n  \"service\": \"analyst\",\n  \"budget\": {\n   "
		" \"limit_usd\": "
		"0.00005,\n    \"max_requests\": 10,\n    \"window\": \"1h\",\n    \"behavior\": "
		"\"hard_stop\"\n  }\n}\n");
	free(text);
	json_decref(agents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_1_and_2_a_whole_budget),
		cmocka_unit_test(cases_3_to_8_the_error_texts),
		cmocka_unit_test(cases_9_to_11_defaults),
		cmocka_unit_test(case_12_two_spellings),
		cmocka_unit_test(each_replica_has_a_cap_of_its_own),
		cmocka_unit_test(anchors_and_merge_keys),
		cmocka_unit_test(what_is_not_read_is_refused_with_its_place),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(metadata_is_rendered_in_plain_decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
