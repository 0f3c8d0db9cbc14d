// SPDX-License-Identifier: Apache-2.0
// The policy of running agents: precedence of the layers, what is refused, what is kept, what the
// audit log says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/control.h"

#define NOON (INT64_C(1795694400) * SG_NS_PER_SEC) // 2026-11-26T12:00:00Z

static char directory[64];
static int64_t now_ns;
static struct sg_engine *engine;
static struct sg_audit *audit;
static struct sg_control *control;

static int64_t wall_ns(void)
{
	return __atomic_load_n(&now_ns, __ATOMIC_SEQ_CST);
}

static void open_control(void)
{
	struct sg_control_options options = {
		.engine = engine, .audit = audit, .state_directory = directory, .wall_ns = wall_ns
	};
	struct sg_error error = { "" };

	if (sg_control_new(&options, &control, &error) < 0)
		fail_msg("%s", error.text);
}

static int set_up(void **state)
{
	struct sg_engine_options options = { .state_directory = directory, .workers = 1 };
	struct sg_error error = { "" };
	char path[128];

	(void)state;
	strcpy(directory, "/tmp/spendgate-control-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	now_ns = NOON;
	snprintf(path, sizeof(path), "%s/audit.jsonl", directory);
	if (sg_engine_open(&options, &engine, &error) < 0 || sg_audit_open(path, &audit) < 0)
		return -1;
	open_control();
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	control = sg_control_free(control);
	audit = sg_audit_close(audit);
	engine = sg_engine_close(engine);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static void restart(void)
{
	control = sg_control_free(control);
	open_control();
}

static int start_agent(const char *name, const char *budgets, struct sg_error *error)
{
	json_t *list = json_loads(budgets, 0, NULL);
	struct sg_account *account;
	int r = sg_control_register(control, name, "", list, &account, error);

	json_decref(list);
	return r;
}

static void started(const char *name, const char *budgets)
{
	struct sg_error error = { "" };

	if (start_agent(name, budgets, &error) < 0)
		fail_msg("%s", error.text);
}

static void file(const char *agent, const char *layer, const char *text)
{
	json_t *message = json_pack("{s:b, s:[{s:s, s:s, s:s, s:s*}]}", "complete", 0, "files",
		"agent", agent, "layer", layer, "path", layer, "text", text);

	sg_control_take_files(control, message);
	json_decref(message);
}

static int set(const char *agent, const char *override, struct sg_error *error)
{
	json_t *object = json_loads(override, 0, NULL), *answer = NULL;
	int r = sg_control_set(control, "test", agent, object, &answer, error);

	json_decref(object);
	json_decref(answer);
	return r;
}

static void assert_set(const char *agent, const char *override)
{
	struct sg_error error = { "" };

	if (set(agent, override, &error) < 0)
		fail_msg("%s", error.text);
}

// The one budget that is in force, by a field.
static json_int_t requests_of(const char *agent)
{
	struct sg_error error = { "" };
	json_t *shown = NULL;
	json_int_t number;

	if (sg_control_show(control, agent, &shown, &error) < 0)
		fail_msg("%s", error.text);
	number = json_integer_value(json_object_get(
		json_array_get(json_object_get(json_array_get(json_object_get(shown, "agents"), 0),
				       "budgets"),
			0),
		"max_requests"));
	json_decref(shown);
	return number;
}

static size_t count_events(const char *event)
{
	json_t *lines = sg_audit_tail(audit, 1000, NULL), *line;
	size_t index, count = 0;

	json_array_foreach(lines, index, line)
	{
		if (strcmp(json_string_value(json_object_get(line, "event")), event) == 0)
			count++;
	}
	json_decref(lines);
	return count;
}

static void the_stronger_layer_wins(void **state)
{
	struct sg_error error = { "" };
	json_t *answer = NULL;

	(void)state;
	file("a", "metadata",
		"{\"agent_id\": \"a\", \"budget\": {\"max_requests\": 1, \"window\": \"1h\"}}");
	started("a", "[]");
	assert_int_equal(requests_of("a"), 1);
	started("a", "[{\"max_requests\": 2, \"window\": \"2h\"}]");
	assert_int_equal(requests_of("a"), 2);
	file("a", "compiled_override", "{\"max_requests\": 3}");
	assert_int_equal(requests_of("a"), 3);
	assert_set("a", "{\"max_requests\": 6}");
	file("a", "governance", "{\"max_requests\": 5}");
	file("a", "override", "{\"max_requests\": 4}");
	assert_int_equal(requests_of("a"), 6);
	assert_int_equal(sg_control_remove(control, "test", "a", NULL, NULL, &answer, &error), 0);
	json_decref(answer);
	assert_int_equal(requests_of("a"), 5);
	file("a", "governance", NULL);
	assert_int_equal(requests_of("a"), 4);
	file("a", "override", NULL);
	assert_int_equal(requests_of("a"), 3);
}

// Whose names are made up has nothing to take back, and leaves the table's room to others.
static void names_that_are_only_asked_for_take_no_room(void **state)
{
	json_t *answer = NULL;
	struct sg_error error = { "" };
	char name[32];

	(void)state;
	for (int i = 0; i < 66000; i++) {
		snprintf(name, sizeof(name), "made-up-%d", i);
		assert_int_equal(
			sg_control_remove(control, "test", name, NULL, NULL, &answer, &error),
			-ENOENT);
	}
	assert_int_equal(
		sg_control_remove(control, "test", "a/b", NULL, NULL, &answer, &error), -EINVAL);
	assert_set("real", "{\"max_requests\": 6}");
}

static void a_bad_file_leaves_the_last_good_one(void **state)
{
	json_t *errors;

	(void)state;
	started("a", "[{\"max_requests\": 9, \"window\": \"1h\"}]");
	file("a", "governance", "{\"max_requests\": 1}");
	file("a", "governance", "{\"max_requests\": 0}");
	file("a", "governance", "{\"max_requests\": 0}"); // the same mistake is told once
	assert_int_equal(requests_of("a"), 1);
	assert_int_equal(count_events("override_rejected"), 1);
	restart();
	started("a", "[{\"max_requests\": 9, \"window\": \"1h\"}]");
	assert_int_equal(requests_of("a"), 1);
	file("a", "governance",
		"{\"max_requests\": null}"); // good by itself, but no policy with the others
	assert_int_equal(requests_of("a"), 1);
	errors = sg_control_errors(control, "a");
	assert_int_equal(json_array_size(errors), 1);
	json_decref(errors);
	file("a", "governance", "{\"max_requests\": 2}");
	assert_int_equal(requests_of("a"), 2);
	errors = sg_control_errors(control, "a");
	assert_int_equal(json_array_size(errors), 0);
	json_decref(errors);
}

static void a_complete_reading_ends_what_it_does_not_name(void **state)
{
	json_t *nothing = json_pack("{s:b, s:[]}", "complete", 1, "files");

	(void)state;
	started("a", "[{\"max_requests\": 9, \"window\": \"1h\"}]");
	file("a", "governance", "{\"max_requests\": 1}");
	assert_int_equal(requests_of("a"), 1);
	sg_control_take_files(control, nothing);
	assert_int_equal(requests_of("a"), 9);
	json_decref(nothing);
}

static void live_overrides_are_kept_and_expire(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	assert_set("a", "{\"max_requests\": 3, \"reason\": \"kept\"}");
	assert_set("a", "{\"max_requests\": 5, \"expires\": \"1h\"}");
	restart();
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	assert_int_equal(requests_of("a"), 5);
	__atomic_store_n(&now_ns, NOON + 3599 * SG_NS_PER_SEC, __ATOMIC_SEQ_CST);
	sg_control_expire(control);
	assert_int_equal(requests_of("a"), 5);
	__atomic_store_n(&now_ns, NOON + 3600 * SG_NS_PER_SEC, __ATOMIC_SEQ_CST);
	sg_control_expire(control);
	assert_int_equal(requests_of("a"), 3);
	assert_int_equal(count_events("budget_expired"), 1);
	// What expires while nobody runs
	assert_set("a", "{\"max_requests\": 7, \"expires\": \"1h\"}");
	__atomic_store_n(&now_ns, NOON + 9000 * SG_NS_PER_SEC, __ATOMIC_SEQ_CST);
	restart();
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	assert_int_equal(requests_of("a"), 3);
	assert_int_equal(
		set("a", "{\"max_requests\": 7, \"expires\": \"2026-11-26T12:00:00Z\"}", &error),
		-EINVAL);
	assert_non_null(strstr(error.text, "in the past"));
}

static void a_refused_change_changes_nothing(void **state)
{
	static const char *const bad[] = { "{}", "{\"max_requests\": 0}", "{\"reason\": \"none\"}",
		"{\"by\": \"me\", \"max_requests\": 4}", "[]",
		"{\"max_requests\": 4, \"expires\": \"soon\"}",
		"{\"name\": \"other\", \"max_requests\": 4}" };
	struct sg_error error = { "" };

	(void)state;
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	for (size_t i = 0; i < SG_ARRAY_SIZE(bad); i++)
		if (set("a", bad[i], &error) != -EINVAL)
			fail_msg("%s", bad[i]);
	assert_int_equal(set("../a", "{\"max_requests\": 4}", &error), -EINVAL);
	assert_int_equal(requests_of("a"), 1);
	assert_int_equal(count_events("budget_changed"), 0);
	restart();
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	assert_int_equal(requests_of("a"), 1);
}

static void an_agent_whose_layers_make_no_policy_does_not_start(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	assert_set("a", "{\"max_requests\": 4}"); // no window: it may come from the agent
	assert_int_equal(start_agent("a", "[]", &error), -EINVAL);
	assert_non_null(strstr(error.text, "window is required"));
	assert_int_equal(
		start_agent("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]", &error), 0);
	assert_int_equal(requests_of("a"), 4);
}

static void the_audit_line_says_who_what_before_and_after(void **state)
{
	json_t *lines, *line;

	(void)state;
	started("a", "[{\"max_requests\": 1, \"window\": \"1h\"}]");
	assert_set("a", "{\"max_requests\": 2, \"reason\": \"more\"}");
	lines = sg_audit_tail(audit, 1, "a");
	line = json_array_get(lines, 0);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "budget_changed");
	assert_string_equal(json_string_value(json_object_get(line, "who")), "test");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(line, "change"), "reason")),
		"more");
	assert_int_equal(
		json_integer_value(json_object_get(
			json_array_get(json_object_get(line, "before"), 0), "max_requests")),
		1);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_array_get(json_object_get(line, "after"), 0), "max_requests")),
		2);
	assert_int_equal(strlen(json_string_value(json_object_get(line, "at"))), 24);
	json_decref(lines);
}

static void usage_is_never_reset(void **state)
{
	struct sg_call call = { .provider = "openai", .model = "m", .api = "chat" };
	struct sg_charge bound = { .nanousd = 5 };
	struct sg_settlement settlement = { .state = SG_SETTLED, .charge = bound };
	struct sg_hold spent = { .account = NULL }, held = { .account = NULL },
		       refused = { .account = NULL };
	struct sg_refusal refusal;
	struct sg_account *account;
	struct sg_error error = { "" };
	bool soft;

	(void)state;
	assert_int_equal(sg_control_register(control, "u", "", NULL, &account, &error), 0);
	assert_false(sg_account_has_budgets(account));
	assert_int_equal(
		sg_hold_take(engine, 0, account, &call, &bound, &spent, &refusal, &soft), 0);
	sg_hold_settle(engine, &spent, &settlement);
	assert_int_equal(
		sg_hold_take(engine, 0, account, &call, &bound, &held, &refusal, &soft), 0);
	assert_set("u",
		"{\"limit_usd\": \"0.000000014\", \"window\": \"1h\"}"); // 5 spent, 5 in flight
	assert_true(sg_account_has_budgets(account));
	assert_int_equal(sg_hold_take(engine, 0, account, &call, &bound, &refused, &refusal, &soft),
		-EDQUOT);
	assert_set("u", "{\"limit_usd\": \"0.000000015\"}");
	assert_int_equal(
		sg_hold_take(engine, 0, account, &call, &bound, &refused, &refusal, &soft), 0);
	sg_hold_release(engine, &refused);
	sg_hold_settle(engine, &held, &settlement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_stronger_layer_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_bad_file_leaves_the_last_good_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_complete_reading_ends_what_it_does_not_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			live_overrides_are_kept_and_expire, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_refused_change_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_agent_whose_layers_make_no_policy_does_not_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_audit_line_says_who_what_before_and_after, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			names_that_are_only_asked_for_take_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(usage_is_never_reset, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
