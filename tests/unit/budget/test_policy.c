// SPDX-License-Identifier: Apache-2.0
// Cases 1 to 8 and 12 of docs/budgets.md: what a policy may say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "budget/policy.h"

static int parse(const char *json, struct sg_policy *policy, struct sg_error *error)
{
	json_t *budgets = json_loads(json, 0, NULL);
	int r;

	assert_non_null(budgets);
	r = sg_policy_parse(budgets, policy, error);
	json_decref(budgets);
	return r;
}

static void case_1_and_2_a_whole_policy(void **state)
{
	struct sg_policy policy;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(parse("[{\"limit_usd\": 1.25, \"max_requests\": 12, \"window\": \"1h\"}]",
				 &policy, &error),
		0);
	assert_int_equal(policy.count, 1);
	assert_int_equal(policy.budgets[0].limit_nanousd, 1250000000);
	assert_int_equal(policy.budgets[0].max_requests, 12);
	assert_int_equal(policy.budgets[0].window_ns, 3600 * SG_NS_PER_SEC);
	assert_int_equal(policy.budgets[0].behavior, SG_HARD_STOP);
	assert_int_equal(policy.budgets[0].on_tight, SG_TIGHT_DENY);
	assert_int_equal(policy.budgets[0].wait_ns, 60 * SG_NS_PER_SEC);
}

static void what_becomes_of_a_call_that_does_not_fit(void **state)
{
	struct sg_policy policy;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(parse("[{\"max_requests\": 1, \"window\": \"1h\", \"on_tight\": \"cut\", "
			       "\"wait\": \"1m30s\"}, {\"max_requests\": 1, \"window\": \"1h\", "
			       "\"on_tight\": "
			       "\"clamp\", \"wait\": \"0s\"}]",
				 &policy, &error),
		0);
	assert_int_equal(policy.budgets[0].on_tight, SG_TIGHT_CUT);
	assert_int_equal(policy.budgets[0].wait_ns, 90 * SG_NS_PER_SEC);
	assert_int_equal(policy.budgets[1].on_tight, SG_TIGHT_CLAMP);
	assert_int_equal(policy.budgets[1].wait_ns, 0);
}

static void money_is_read_exactly(void **state)
{
	static const struct {
		const char *json;
		int64_t nanousd;
	} rows[] = {
		{ "0.00005", 50000 },
		{ "\"0.00005\"", 50000 },
		{ "0.1", 100000000 },
		{ "1", 1000000000 },
		{ "0.000000001", 1 },
		{ "123456.789", 123456789000000 },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_policy policy;
		struct sg_error error = { "" };
		char text[128];

		snprintf(text, sizeof(text), "[{\"limit_usd\": %s, \"window\": \"lifetime\"}]",
			rows[i].json);
		assert_int_equal(parse(text, &policy, &error), 0);
		assert_int_equal(policy.budgets[0].limit_nanousd, rows[i].nanousd);
	}
}

static void cases_3_to_8_and_12_bad_policies_name_the_place(void **state)
{
	static const struct {
		const char *json, *text;
	} rows[] = {
		{ "[{\"window\": \"1h\"}]",
			"budgets[0]: at least one of limit-usd or max-requests is required" },
		{ "[{\"limit_usd\": 0, \"window\": \"1h\"}]", "budgets[0]: limit-usd must be > 0" },
		{ "[{\"limit_usd\": -1, \"window\": \"1h\"}]",
			"budgets[0]: limit-usd must be > 0" },
		{ "[{\"limit_usd\": \"-1\", \"window\": \"1h\"}]",
			"budgets[0]: limit-usd must be > 0" },
		{ "[{\"limit_usd\": \"NaN\", \"window\": \"1h\"}]",
			"budgets[0]: limit-usd must be > 0: \"NaN\" is no number of dollars" },
		{ "[{\"limit_usd\": \"5 USD\", \"window\": \"1h\"}]",
			"budgets[0]: limit-usd must be > 0: \"5 USD\" is no number of dollars" },
		{ "[{\"limit_usd\": true, \"window\": \"1h\"}]",
			"budgets[0]: limit-usd must be > 0" },
		{ "[{\"max_requests\": 0, \"window\": \"1h\"}]",
			"budgets[0]: max-requests must be > 0" },
		{ "[{\"max_requests\": 9007199254740993, \"window\": \"1h\"}]",
			"budgets[0]: max-requests must be at most 2^53" },
		{ "[{\"max_requests\": 1}]", "budgets[0]: window is required" },
		{ "[{\"max_requests\": 1, \"window\": \"soon\"}]",
			"budgets[0]: window must be a positive duration" },
		{ "[{\"max_requests\": 1, \"window\": \"-1h\"}]",
			"budgets[0]: window must be a positive duration" },
		{ "[{\"max_requests\": 1, \"window\": \"0s\"}]",
			"budgets[0]: window must be a positive duration" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\", \"behavior\": \"magic\"}]",
			"budgets[0]: unknown behavior \"magic\": must be one of rate_limit, "
			"hard_stop, soft_alert" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\", \"on_tight\": \"trim\"}]",
			"budgets[0]: unknown on_tight \"trim\": must be one of deny, clamp, cut" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\", \"wait\": \"long\"}]",
			"budgets[0]: wait must be a duration, or 0s" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\", \"wait\": \"lifetime\"}]",
			"budgets[0]: wait must be a duration, or 0s" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\", \"limit\": 2}]",
			"budgets[0]: unknown key \"limit\"" },
		{ "[{\"max_requests\": 1, \"window\": \"1h\"}, {}]",
			"budgets[1]: at least one of limit-usd or max-requests is required" },
		{ "[{\"name\": \"a\", \"max_requests\": 1, \"window\": \"1h\"}, {\"name\": \"a\", "
		  "\"max_requests\": 1, \"window\": \"1h\"}]",
			"budgets[1]: name \"a\" is used twice" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_policy policy;
		struct sg_error error = { "" };

		assert_true(parse(rows[i].json, &policy, &error) < 0);
		assert_string_equal(error.text, rows[i].text);
	}
}

static void every_field_is_read(void **state)
{
	struct sg_policy policy;
	struct sg_error error = { "" };
	const struct sg_budget_policy *budget = &policy.budgets[0];

	(void)state;
	if (parse("[{\"name\": \"n\", \"limit_usd\": 1, \"max_concurrency\": 3, \"window\": "
		  "\"calendar:week\", \"timezone\": \"Europe/Berlin\", \"mode\": \"observe\", "
		  "\"scope\": \"label\", \"label\": \"team=red\", \"models\": [\"gpt-4o*\", "
		  "\"o3\"], \"providers\": [\"openai\"], \"alerts\": [50, 100], \"breaker\": "
		  "{\"usd_per_minute\": \"2\", \"times_baseline\": 10, \"identical_requests\": 5, "
		  "\"action\": \"freeze\", \"cooldown\": \"1m\"}}]",
		    &policy, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(budget->max_concurrency, 3);
	assert_int_equal(budget->calendar, SG_WEEK);
	assert_string_equal(budget->timezone, "Europe/Berlin");
	assert_true(budget->observe);
	assert_int_equal(budget->scope, SG_SCOPE_LABEL);
	assert_string_equal(budget->label, "team=red");
	assert_true(sg_budget_policy_counts(budget, "openai", "gpt-4o-mini"));
	assert_true(sg_budget_policy_counts(budget, "openai", "o3"));
	assert_false(sg_budget_policy_counts(budget, "openai", "o3-pro"));
	assert_false(sg_budget_policy_counts(budget, "azure", "o3"));
	assert_int_equal(budget->alert_count, 2);
	assert_int_equal(budget->alerts[1], 100);
	assert_int_equal(budget->breaker.nanousd_per_minute, 2000000000);
	assert_int_equal(budget->breaker.identical_requests, 5);
	assert_int_equal(budget->breaker.action, SG_BREAKER_FREEZE);
	assert_int_equal(budget->breaker.cooldown_ns, 60 * SG_NS_PER_SEC);
	assert_int_equal(parse("[{\"max_concurrency\": 1}]", &policy, &error), 0);
	// Case 12: two spellings of one cap may only say the same.
	assert_int_equal(parse("[{\"limit-usd\": 1, \"limit_usd\": \"1.0\", \"window\": \"1h\"}]",
				 &policy, &error),
		0);
}

static void bad_fields_name_the_place(void **state)
{
	static const char *const rows[][2] = {
		{ "\"limit-usd\": 1, \"limit_usd\": 2, \"window\": \"1h\"",
			"limit-usd is given twice, and differs" },
		{ "\"max_requests\": 1, \"window\": \"calendar:year\"",
			"window \"calendar:year\": must be calendar:hour, calendar:day, "
			"calendar:week or calendar:month" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"timezone\": \"UTC\"",
			"timezone needs a calendar window, as \"calendar:day\"" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"mode\": \"watch\"",
			"unknown mode \"watch\": must be enforce or observe" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"scope\": \"label\"",
			"scope label needs \"label\", as \"team=red\" or \"team\"" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"models\": []",
			"models must be a list of names or globs, as [\"gpt-4o*\"]" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"alerts\": [80, 50]",
			"alerts[1]: must be a percentage from 1 to 100, each larger than the one "
			"before" },
		{ "\"max_requests\": 1, \"window\": \"1h\", \"breaker\": {}",
			"breaker: usd_per_minute, identical_requests or refusals is required" },
		{ "\"max_concurrency\": 0", "max-concurrency must be > 0" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		char json[256], expected[256];
		struct sg_policy policy;
		struct sg_error error = { "" };

		snprintf(json, sizeof(json), "[{%s}]", rows[i][0]);
		snprintf(expected, sizeof(expected), "budgets[0]: %s", rows[i][1]);
		assert_true(parse(json, &policy, &error) < 0);
		assert_string_equal(error.text, expected);
	}
}

static void windows_are_read_and_written(void **state)
{
	static const char *const texts[] = { "90s", "1h30m", "24h", "7d", "lifetime", "500ms",
		"1d2h3m4s" };
	static const char *const canonical[] = { "1m30s", "1h30m", "1d", "7d", "lifetime", "500ms",
		"1d2h3m4s" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts); i++) {
		int64_t window_ns;
		char text[64];

		assert_int_equal(sg_window_parse(texts[i], &window_ns), 0);
		sg_window_format(window_ns, SG_NO_CALENDAR, text, sizeof(text));
		assert_string_equal(text, canonical[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_1_and_2_a_whole_policy),
		cmocka_unit_test(what_becomes_of_a_call_that_does_not_fit),
		cmocka_unit_test(money_is_read_exactly),
		cmocka_unit_test(cases_3_to_8_and_12_bad_policies_name_the_place),
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(bad_fields_name_the_place),
		cmocka_unit_test(windows_are_read_and_written),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
