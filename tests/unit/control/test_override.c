// SPDX-License-Identifier: Apache-2.0
// Overrides: what may stand in one, how layers are merged, how live ones are kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "control/override.h"

#define NOON (INT64_C(1795694400) * SG_NS_PER_SEC) // 2026-11-26T12:00:00Z

static json_t *list_of(const char *text)
{
	struct sg_error error = { "" };
	json_t *list = NULL;

	if (sg_override_parse_text(text, strlen(text), &list, &error) < 0)
		fail_msg("%s: %s", text, error.text);
	return list;
}

// The first budget in force, as compact JSON in the order of its keys.
static void assert_merged(const char *const *layers, size_t count, const char *expected)
{
	json_t *lists[8] = { NULL }, *budgets = NULL, *wanted = json_loads(expected, 0, NULL);
	struct sg_error error = { "" };
	struct sg_policy policy;

	for (size_t i = 0; i < count; i++)
		lists[i] = layers[i] ? list_of(layers[i]) : NULL;
	if (sg_override_merge(
		    (const json_t *const *)lists, count, NOON, &budgets, &policy, &error) < 0)
		fail_msg("%s", error.text);
	if (!json_equal(budgets, wanted))
		fail_msg("%s, not %s", json_dumps(budgets, JSON_COMPACT), expected);
	for (size_t i = 0; i < count; i++)
		json_decref(lists[i]);
	json_decref(budgets);
	json_decref(wanted);
}

#define MERGED(expected, ...)                                                                      \
	do {                                                                                       \
		const char *const layers[] = { __VA_ARGS__ };                                      \
		assert_merged(layers, SG_ARRAY_SIZE(layers), expected);                            \
	} while (0)

static void fields_are_merged_one_by_one(void **state)
{
	(void)state;
	MERGED("[{\"name\": \"budget-1\", \"limit_usd\": 5, \"window\": \"1h\", \"max_requests\": "
	       "7}]",
		"{\"limit_usd\": 1, \"window\": \"1h\"}", "{\"max_requests\": 9}", NULL,
		"{\"max_requests\": 7, \"limit_usd\": 5}");
	// null takes a field away
	MERGED("[{\"name\": \"budget-1\", \"window\": \"1h\", \"max_requests\": 9}]",
		"{\"limit_usd\": 1, \"window\": \"1h\"}",
		"{\"max_requests\": 9, \"limit_usd\": null}");
	// a layer may be no policy by itself
	MERGED("[{\"name\": \"budget-1\", \"window\": \"1h\", \"max_requests\": 9}]",
		"{\"max_requests\": 9}", "{\"window\": \"1h\"}");
	// by name, and new ones
	MERGED("[{\"name\": \"a\", \"max_requests\": 1, \"window\": \"2h\"}, {\"name\": \"b\", "
	       "\"max_tokens\": 5, "
	       "\"window\": \"lifetime\"}]",
		"[{\"name\": \"a\", \"max_requests\": 1, \"window\": \"1h\"}]",
		"{\"budgets\": [{\"name\": \"b\", \"max_tokens\": 5, \"window\": \"lifetime\"}, "
		"{\"name\": \"a\", "
		"\"window\": \"2h\"}]}");
}

static void sums_are_exact_and_expire(void **state)
{
	(void)state;
	MERGED("[{\"name\": \"budget-1\", \"limit_usd\": \"0.30000000\", \"window\": \"1h\"}]",
		"{\"limit_usd\": \"0.30000000\", \"window\": \"1h\"}",
		"{\"add_usd\": 5, \"expires\": \"2026-11-26T12:00:00Z\"}");
	MERGED("[{\"name\": \"budget-1\", \"limit_usd\": \"0.3\", \"window\": \"1h\"}]",
		"{\"limit_usd\": 0.1, \"window\": \"1h\"}",
		"{\"add_usd\": \"0.2\", \"expires\": \"2026-11-26T13:00:01+01:00\"}");
	MERGED("[{\"name\": \"budget-1\", \"limit_usd\": \"0.4\", \"window\": \"1h\"}]",
		"{\"limit_usd\": 0.1, \"window\": \"1h\"}", "{\"add_usd\": 0.2}",
		"{\"add_usd\": 0.1}");
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{ "{\"limit_usd\": 0}", "limit-usd must be > 0" },
		{ "{\"limit_usd\": \"NaN\"}", "limit-usd must be > 0" },
		{ "{\"max_requests\": -1}", "max-requests must be > 0" },
		{ "{\"window\": \"soon\"}", "window must be a positive duration" },
		{ "{\"behavior\": \"magic\"}", "unknown behavior \"magic\"" },
		{ "{\"limit\": 1}", "unknown key \"limit\"" },
		{ "{\"add_usd\": -1}", "add_usd must be > 0" },
		{ "{\"add_usd\": 1, \"limit_usd\": 2}", "only one of them" },
		{ "{\"max_requests\": 1, \"expires\": \"tomorrow\"}", "expires: must be a time" },
		{ "{\"max_requests\": 1, \"expires\": \"2026-11-26T12:00:00\"}",
			"expires: must be a time" },
		{ "{\"max_requests\": 1, \"reason\": 5}", "reason: must be a text" },
		{ "{\"max_requests\": 1, \"max_requests\": 2}", "duplicate object key" },
		{ "{\"budgets\": [], \"max_requests\": 2}", "no other key" },
		{ "[5]", "must be an object" },
		{ "\"x\"", "" },
		{ "{\"max_requests\": 1", "line 1" },
		{ "", "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_error error = { "" };
		json_t *list = NULL;

		assert_int_equal(
			sg_override_parse_text(rows[i].text, strlen(rows[i].text), &list, &error),
			-EINVAL);
		if (!strstr(error.text, rows[i].reason))
			fail_msg("%s: %s", rows[i].text, error.text);
	}
}

static void layers_that_make_no_policy_are_refused(void **state)
{
	static const struct {
		const char *base, *override, *reason;
	} rows[] = {
		{ "[]", "{\"max_requests\": 5}", "window is required" },
		{ "[]", "{\"add_usd\": 5, \"window\": \"1h\"}", "there is no limit_usd to add to" },
		{ "{\"max_requests\": 5, \"window\": \"1h\"}", "{\"max_requests\": null}",
			"at least one of" },
		{ "[{\"name\": \"a\", \"max_requests\": 1, \"window\": \"1h\"}, {\"name\": \"b\", "
		  "\"max_requests\": 1, \"window\": \"1h\"}]",
			"{\"max_requests\": 5}", "name one of them (a, b)" },
		{ "{\"limit_usd\": \"8999999999\", \"window\": \"1h\"}",
			"{\"add_usd\": \"8999999999\"}", "the sum is too large" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		json_t *lists[2] = { list_of(rows[i].base), list_of(rows[i].override) },
		       *budgets = NULL;
		struct sg_error error = { "" };
		struct sg_policy policy;

		assert_int_equal(sg_override_merge((const json_t *const *)lists, 2, NOON, &budgets,
					 &policy, &error),
			-EINVAL);
		if (!strstr(error.text, rows[i].reason))
			fail_msg("%s: %s", rows[i].override, error.text);
		json_decref(lists[0]);
		json_decref(lists[1]);
	}
}

static void append(json_t *list, const char *text)
{
	assert_int_equal(sg_override_append(list, json_loads(text, 0, NULL)), 0);
}

static void assert_list(json_t *list, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL);

	if (!json_equal(list, wanted))
		fail_msg("%s, not %s", json_dumps(list, JSON_COMPACT), expected);
	json_decref(wanted);
}

static void kept_lists_say_only_what_counts(void **state)
{
	json_t *list = json_array();

	(void)state;
	append(list, "{\"limit_usd\": \"1\"}");
	append(list, "{\"max_requests\": 5}");
	append(list, "{\"limit_usd\": \"2\"}"); // hides the first
	assert_list(list, "[{\"max_requests\": 5}, {\"limit_usd\": \"2\"}]");
	append(list, "{\"add_usd\": \"0.1\"}"); // folded
	append(list, "{\"add_usd\": \"0.2\"}");
	assert_list(list, "[{\"max_requests\": 5}, {\"limit_usd\": \"2.3\"}]");
	// A temporary one hides nothing for good.
	append(list, "{\"limit_usd\": \"9\", \"expires\": \"2026-11-26T13:00:00Z\"}");
	assert_list(list, "[{\"max_requests\": 5}, {\"limit_usd\": \"2.3\"}, {\"limit_usd\": "
			  "\"9\", \"expires\": "
			  "\"2026-11-26T13:00:00Z\"}]");
	append(list, "{\"limit_usd\": \"3\"}");
	assert_list(list, "[{\"max_requests\": 5}, {\"limit_usd\": \"3\"}]");
	append(list,
		"{\"name\": \"b\", \"limit_usd\": \"4\", \"window\": \"1h\"}"); // another budget
	assert_int_equal(json_array_size(list), 3);
	json_decref(list);
}

static void a_kept_list_has_an_end(void **state)
{
	json_t *list = json_array();
	int r = 0;

	(void)state;
	for (int i = 0; i < 1000 && r == 0; i++)
		r = sg_override_append(list,
			json_pack("{s:s, s:s}", "add_usd", "1", "expires", "2026-11-26T13:00:00Z"));
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(json_array_size(list), 64);
	json_decref(list);
}

static void times(void **state)
{
	int64_t at_ns;

	(void)state;
	assert_int_equal(sg_override_parse_time("2026-11-26T12:00:00Z", &at_ns), 0);
	assert_int_equal(at_ns, NOON);
	assert_int_equal(sg_override_parse_time("2026-11-26T12:00:00.5Z", &at_ns), 0);
	assert_int_equal(sg_override_parse_time("2026-11-26T07:00:00-05:00", &at_ns), 0);
	assert_int_equal(at_ns, NOON);
	assert_int_equal(sg_override_parse_time("2026-11-26T17:30:00+0530", &at_ns), 0);
	assert_int_equal(at_ns, NOON);
	assert_int_equal(sg_override_parse_time("2026-11-26", &at_ns), -EINVAL);
	assert_int_equal(sg_override_parse_time("2026-11-26T12:00:00Zx", &at_ns), -EINVAL);
	assert_int_equal(sg_override_parse_time("2026-11-26T12:00:00+99:00", &at_ns), -EINVAL);
	assert_int_equal(sg_override_parse_time("9999-11-26T12:00:00Z", &at_ns), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_merged_one_by_one),
		cmocka_unit_test(sums_are_exact_and_expire),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(layers_that_make_no_policy_are_refused),
		cmocka_unit_test(kept_lists_say_only_what_counts),
		cmocka_unit_test(a_kept_list_has_an_end),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
