// SPDX-License-Identifier: Apache-2.0
// The control API without its HTTP: who may do what, bad bodies, the reference's endpoint with its
// words, metrics.
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

#include "api/requests.h"

// SHA-256 of "token-of-the-operator", "token-of-the-watcher".
#define OPERATOR "42d15df5de5d5fbbd5ac1d0e6ad02ec12fd1c6d7fdf6cb4b9d1a1f64a9d10bd4"

static char directory[64];
static struct sg_engine *engine;
static struct sg_audit *audit;
static struct sg_control *control;
static struct sg_principals *principals;

static json_t *status(void *context)
{
	return json_loads(context, 0, NULL);
}

static char two_agents[] = "{\"agents\": [{\"name\": \"writer-1\", \"spent_usd\": \"0.5\", "
			   "\"held_usd\": \"0\", \"calls\": 3, \"refused\": 1, "
			   "\"budgets\": [{\"name\": \"b\\\"1\", \"limit_usd\": \"1\", "
			   "\"spent_usd\": \"0.5\", \"requests\": 3}]}, "
			   "{\"name\": \"writer-1\", \"spent_usd\": \"0.5\"}, {\"name\": "
			   "\"other\", \"spent_usd\": \"9\"}], \"redirect\": "
			   "{\"redirected\": 7}, \"webhook\": {\"lost\": 2}}";

static void hash_of(const char *token, char *out);

static json_t *principal(const char *name, const char *token, const char *verbs, const char *agents)
{
	char hash[65];

	hash_of(token, hash);
	return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "token_sha256", hash, "verbs",
		json_loads(verbs, 0, NULL), "agents", json_loads(agents, 0, NULL));
}

static int set_up(void **state)
{
	struct sg_engine_options options = { .state_directory = directory, .workers = 1 };
	struct sg_control_options control_options = { .state_directory = directory };
	struct sg_error error = { "" };
	json_t *list;
	char path[128];

	(void)state;
	strcpy(directory, "/tmp/spendgate-api-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/audit.jsonl", directory);
	if (sg_engine_open(&options, &engine, &error) < 0 || sg_audit_open(path, &audit) < 0)
		return -1;
	control_options.engine = engine;
	control_options.audit = audit;
	list = json_pack("[o, o, o]",
		principal(
			"owner", "token-of-the-owner-of-all", "[\"fleet.budget.set\"]", "[\"*\"]"),
		principal("operator", "token-of-the-operator",
			"[\"fleet.status\", \"fleet.query_metrics\", \"fleet.budget.get\", "
			"\"fleet.budget.set\", "
			"\"fleet.audit\", \"fleet.agent.cut\"]",
			"[\"writer-*\"]"),
		principal("watcher", "token-of-the-watcher", "[\"fleet.status\"]", "[\"*\"]"));
	if (sg_principals_parse(list, &principals, &error) < 0)
		fail_msg("%s", error.text);
	json_decref(list);
	return sg_control_new(&control_options, &control, &error);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	control = sg_control_free(control);
	audit = sg_audit_close(audit);
	engine = sg_engine_close(engine);
	principals = sg_principals_free(principals);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

static char cut_call[128]; // the last one

static int cut(void *context, bool is_cut, const char *agent, const char *who, const char *reason)
{
	(void)context;
	snprintf(cut_call, sizeof(cut_call), "%d %s %s %s", is_cut, agent, who, reason);
	return strcmp(agent, "writer-9") == 0 ? -ENOENT : 0;
}

static struct sg_api_strangers strangers;

static unsigned ask(
	const char *token, const char *method, const char *path, const char *body, char **ret_text)
{
	const struct sg_api_options options = { control, audit, status, cut, two_agents,
		&strangers };
	char header[128];
	struct sg_api_request request = { .method = method,
		.path = path,
		.authorization = token ? header : NULL,
		.body = body ? body : "",
		.length = body ? strlen(body) : 0 };
	struct sg_api_answer answer;

	snprintf(header, sizeof(header), "Bearer %s", token ? token : "");
	sg_api_perform(&options, principals, &request, &answer);
	assert_non_null(answer.text);
	*ret_text = answer.text;
	return answer.status;
}

static void assert_answer(const char *token, const char *method, const char *path, const char *body,
	unsigned wanted, const char *part)
{
	char *text;
	unsigned got = ask(token, method, path, body, &text);

	if (got != wanted || !strstr(text, part))
		fail_msg("%s %s %s: %u %s, not %u %s", method, path, body ? body : "", got, text,
			wanted, part);
	free(text);
}

static void who_has_no_token_is_nobody(void **state)
{
	static const char *const tokens[] = { NULL, "", "token-of-the-operatoR",
		"token-of-the-operator ", "token-of-the-operato", "short" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(tokens); i++) {
		assert_answer(tokens[i], "GET", "/v1/status", NULL, 401, "invalid bearer token");
		assert_answer(
			tokens[i], "POST", "/fleet/budget/set", "{}", 401, "invalid bearer token");
		assert_answer(tokens[i], "GET", "/metrics", NULL, 401, "invalid bearer token");
	}
	assert_answer(NULL, "GET", "/health", NULL, 200, "true");
	assert_answer(NULL, "GET", "/nothing", NULL, 404, "error");
	assert_answer(NULL, "PUT", "/v1/status", NULL, 405, "error");
}

static void verbs_and_scopes(void **state)
{
	json_t *lines;

	(void)state;
	assert_answer("token-of-the-watcher", "GET", "/v1/status", NULL, 200, "\"other\"");
	assert_answer(
		"token-of-the-watcher", "GET", "/v1/audit", NULL, 403, "principal is not allowed");
	assert_answer("token-of-the-watcher", "PATCH", "/v1/budgets/writer-1",
		"{\"max_requests\": 1}", 403, "principal is not allowed");
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/other",
		"{\"max_requests\": 1}", 403, "out of scope");
	assert_answer(
		"token-of-the-operator", "GET", "/v1/budgets/other", NULL, 403, "out of scope");
	assert_answer(
		"token-of-the-operator", "DELETE", "/v1/budgets/other", NULL, 403, "out of scope");
	assert_answer("token-of-the-operator", "POST", "/fleet/budget/set",
		"{\"claw_id\": \"other\", \"limit_usd\": 1, \"window\": \"1h\"}", 403,
		"claw_id is out of scope");
	assert_answer("token-of-the-watcher", "POST", "/fleet/budget/set",
		"{\"claw_id\": \"other\", \"limit_usd\": 1, \"window\": \"1h\"}", 403,
		"principal is not allowed");
	lines = sg_audit_tail(audit, 1, NULL);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(lines, 0), "who")), "api:watcher");
	json_decref(lines);
}

// Its one budget is the host's.
static void start_with_shared_budget(const char *agent)
{
	json_t *budgets = json_loads("[{\"name\": \"all\", \"scope\": \"host\", \"limit_usd\": 1, "
				     "\"window\": \"24h\"}]",
		0, NULL);
	struct sg_account *account;
	struct sg_error error = { "" };

	assert_int_equal(sg_control_register(control, agent, "", budgets, &account, &error), 0);
	json_decref(budgets);
}

// What agents share is not changed by way of one of them.
static void shared_budgets_are_for_who_is_for_all(void **state)
{
	static const char everybody[] =
		"{\"name\": \"all\", \"scope\": \"host\", \"limit_usd\": 9, "
		"\"window\": \"24h\"}";
	static const char *const bodies[] = { everybody,
		"{\"name\": \"red\", \"scope\": \"label\", \"label\": \"team=red\", "
		"\"limit_usd\": 9, \"window\": \"24h\"}",
		"{\"name\": \"all\", \"limit_usd\": 9}", "{\"name\": \"all\", \"scope\": null}",
		"{\"name\": \"all\", \"scope\": \"agent\"}", "{\"limit_usd\": 9}" };

	(void)state;
	start_with_shared_budget("writer-1");
	for (size_t i = 0; i < SG_ARRAY_SIZE(bodies); i++)
		assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1", bodies[i],
			403, "shared");
	assert_answer(
		"token-of-the-operator", "PATCH", "/v1/budgets/writer-9", everybody, 403, "shared");
	assert_answer("token-of-the-operator", "POST", "/fleet/budget/set",
		"{\"claw_id\": \"writer-1\", \"limit_usd\": 9, \"window\": \"1h\"}", 403, "shared");
	assert_answer("token-of-the-owner-of-all", "PATCH", "/v1/budgets/writer-1", everybody, 200,
		"\"limit_usd\":9");
	assert_answer(
		"token-of-the-operator", "DELETE", "/v1/budgets/writer-1", NULL, 403, "shared");
	// Beside it he sets what is the agent's own.
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1",
		"{\"name\": \"mine\", \"max_requests\": 3, \"window\": \"1h\"}", 200,
		"\"max_requests\":3");
	assert_answer("token-of-the-owner-of-all", "DELETE", "/v1/budgets/writer-1", NULL, 200,
		"\"limit_usd\":1");
}

// Nor ahead of its start, when it is not known yet what it will share.
static void what_is_set_ahead_is_the_agents_own(void **state)
{
	(void)state;
	assert_answer("token-of-the-owner-of-all", "PATCH", "/v1/budgets/writer-8",
		"{\"name\": \"all\", \"limit_usd\": 0.5}", 200, "\"started\":false");
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-8",
		"{\"name\": \"all\", \"limit_usd\": 9, \"own\": false}", 200, "\"started\":false");
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-8",
		"{\"name\": \"mine\", \"max_requests\": 3, \"window\": \"1h\"}", 200,
		"\"started\":false");
	start_with_shared_budget("writer-8");
	assert_answer("token-of-the-operator", "GET", "/v1/budgets/writer-8", NULL, 200,
		"\"limit_usd\":0.5");
	assert_answer("token-of-the-operator", "GET", "/v1/budgets/writer-8", NULL, 200,
		"\"max_requests\":3");
}

static void lists_show_only_what_is_in_scope(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(ask("token-of-the-operator", "GET", "/v1/status", NULL, &text), 200);
	assert_non_null(strstr(text, "writer-1"));
	assert_null(strstr(text, "other"));
	free(text);
	assert_int_equal(ask("token-of-the-operator", "GET", "/metrics", NULL, &text), 200);
	assert_non_null(strstr(text, "# TYPE spendgate_agent_spent_usd_total counter\n"
				     "spendgate_agent_spent_usd_total{agent=\"writer-1\"} 0.5\n#"));
	assert_non_null(strstr(
		text, "spendgate_budget_limit_usd{agent=\"writer-1\",budget=\"b\\\"1\"} 1\n"));
	assert_non_null(strstr(text, "spendgate_redirect_total{reason=\"redirected\"} 7\n"));
	assert_non_null(strstr(text, "\nspendgate_webhook_lost_total 2\n"));
	assert_null(strstr(text, "other"));
	free(text);
}

static void a_change_names_its_principal(void **state)
{
	json_t *lines;

	(void)state;
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1",
		"{\"max_requests\": 5, \"window\": \"1h\", \"reason\": \"r\"}", 200,
		"\"started\":false");
	assert_answer("token-of-the-operator", "GET", "/v1/budgets/writer-1", NULL, 200,
		"\"max_requests\":5");
	assert_answer(
		"token-of-the-operator", "GET", "/v1/audit", NULL, 200, "\"who\":\"api:operator\"");
	assert_answer("token-of-the-operator", "DELETE", "/v1/budgets/writer-1", NULL, 200,
		"\"agent\":\"writer-1\"");
	assert_answer("token-of-the-operator", "DELETE", "/v1/budgets/writer-1", NULL, 404,
		"no live override");
	assert_answer(
		"token-of-the-operator", "GET", "/v1/budgets/writer-9", NULL, 404, "no agent");
	lines = sg_audit_tail(audit, 100, "writer-1");
	assert_int_equal(json_array_size(lines), 2);
	json_decref(lines);
}

static void bad_bodies(void **state)
{
	static const char *const bodies[] = { "", "x", "[]", "{\"max_requests\": 1",
		"{\"max_requests\": 1, \"max_requests\": 2}" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(bodies); i++) {
		assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1", bodies[i],
			400, "invalid request body");
		assert_answer("token-of-the-operator", "POST", "/fleet/budget/set", bodies[i], 400,
			"invalid request body");
	}
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1",
		"{\"max_requests\": 0}", 400, "max-requests must be > 0");
	assert_answer("token-of-the-operator", "PATCH", "/v1/budgets/writer-1", "{}", 400,
		"nothing to set");
}

static void the_endpoint_of_the_reference(void **state)
{
	static const struct {
		const char *body, *part;
	} rows[] = {
		{ "{}", "governance target must not be empty" },
		{ "{\"claw_id\": \".x\"}", "must not start with '.'" },
		{ "{\"claw_id\": \"a/b\"}", "must be a single path component" },
		{ "{\"claw_id\": \"writer-1\"}",
			"at least one of limit_usd or max_requests is required" },
		{ "{\"claw_id\": \"writer-1\", \"limit_usd\": 0}", "limit_usd must be positive" },
		{ "{\"claw_id\": \"writer-1\", \"limit_usd\": \"1\"}", "invalid request body" },
		{ "{\"claw_id\": \"writer-1\", \"max_requests\": -1}",
			"max_requests must be positive" },
		{ "{\"claw_id\": \"writer-1\", \"max_requests\": 1}", "missing window" },
		{ "{\"claw_id\": \"writer-1\", \"max_requests\": 1, \"window\": \"soon\"}",
			"window must be a positive duration" },
		{ "{\"claw_id\": \"writer-1\", \"max_requests\": 1, \"window\": \"1h\", "
		  "\"behavior\": \"magic\"}",
			"unknown behavior \\\"magic\\\": must be one of rate_limit, hard_stop, "
			"soft_alert" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		assert_answer("token-of-the-operator", "POST", "/fleet/budget/set", rows[i].body,
			400, rows[i].part);
	assert_answer("token-of-the-operator", "POST", "/fleet/budget/set",
		"{\"claw_id\": \"writer-1\", \"limit_usd\": 2.00, \"window\": \"1h\", "
		"\"behavior\": \"rate_limit\"}",
		200,
		"{\"claw_id\":\"writer-1\",\"budget\":{\"window\":\"1h\",\"behavior\":\"rate_"
		"limit\",\"limit_usd\":2.0}}");
	assert_answer("token-of-the-operator", "GET", "/v1/budgets/writer-1", NULL, 200,
		"\"by\":\"api:operator\"");
}

static void principals_are_checked(void **state)
{
	static const struct {
		const char *json, *reason;
	} rows[] = {
		{ "[]", "must be a list of 1 to" },
		{ "[5]", "principals[0]: must be an object" },
		{ "[{\"name\": \"a\", \"token\": \"x\"}]", "principals[0]: unknown key \"token\"" },
		{ "[{\"name\": \"a\", \"token_sha256\": \"abc\"}]",
			"must be 64 hexadecimal digits" },
		{ "[{\"name\": \"a\", \"token_sha256\": \"" OPERATOR "\"}]",
			"verbs must be a list" },
		{ "[{\"name\": \"a\", \"token_sha256\": \"" OPERATOR
		  "\", \"verbs\": [\"fleet.restart\"]}]",
			"unknown verb \"fleet.restart\"" },
		{ "[{\"name\": \"a\", \"token_sha256\": \"" OPERATOR
		  "\", \"verbs\": [\"fleet.status\"]}]",
			"agents must be a list" },
		{ "[{\"name\": \"a\", \"token_sha256\": \"" OPERATOR
		  "\", \"verbs\": [\"fleet.status\"], \"agents\": [\"*\"]}, {\"name\": \"b\", "
		  "\"token_sha256\": \"" OPERATOR
		  "\", \"verbs\": [\"fleet.status\"], \"claw_ids\": [\"*\"]}]",
			"principals[1]: its name or token is another's too" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		json_t *list = json_loads(rows[i].json, 0, NULL);
		struct sg_principals *parsed = NULL;
		struct sg_error error = { "" };

		assert_true(sg_principals_parse(list, &parsed, &error) < 0);
		if (!strstr(error.text, rows[i].reason))
			fail_msg("%s", error.text);
		json_decref(list);
	}
}

// coreutils as the judge of the hash.
static void hash_of(const char *token, char *out)
{
	char command[128];
	FILE *pipe;

	snprintf(command, sizeof(command), "printf %%s '%s' | sha256sum", token);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fread(out, 1, 64, pipe), 64);
	out[64] = 0;
	pclose(pipe);
}

static void agents_are_cut_off_and_go_on(void **state)
{
	static const char op[] = "token-of-the-operator";

	(void)state;
	assert_answer(op, "POST", "/v1/cut/writer-1", NULL, 202, "\"cut\":true");
	assert_string_equal(cut_call, "1 writer-1 api:operator ");
	assert_answer(op, "POST", "/v1/resume/writer-1", "{\"reason\": \"it is well\"}", 202,
		"\"cut\":false");
	assert_string_equal(cut_call, "0 writer-1 api:operator it is well");
	cut_call[0] = 0;
	assert_answer(op, "POST", "/v1/cut/writer-1", "{\"reason\": 7}", 400, "reason");
	assert_answer(op, "POST", "/v1/cut/writer-1", "{\"why\": \"\"}", 400, "reason");
	assert_answer(op, "POST", "/v1/cut/writer-1", "[]", 400, "invalid request body");
	assert_answer(op, "POST", "/v1/cut/other", NULL, 403, "out of scope");
	assert_answer("token-of-the-watcher", "POST", "/v1/cut/other", NULL, 403, "not allowed");
	assert_answer(op, "GET", "/v1/cut/writer-1", NULL, 405, "error");
	assert_string_equal(cut_call, "");
	assert_answer(op, "POST", "/v1/cut/writer-9", NULL, 404, "there is no agent");
}

// Who has no token can't fill the disk with lines about that.
static void strangers_are_a_line_a_second(void **state)
{
	json_t *lines;

	(void)state;
	strangers = (struct sg_api_strangers){ 0 };
	for (int i = 0; i < 50; i++)
		assert_answer(NULL, "GET", "/v1/status", NULL, 401, "invalid bearer token");
	strangers.told_ns -= 2000000000;
	assert_answer(NULL, "GET", "/v1/status", NULL, 401, "invalid bearer token");
	assert_answer("token-of-the-watcher", "GET", "/v1/audit", NULL, 403, "not allowed");
	assert_answer("token-of-the-watcher", "GET", "/v1/audit", NULL, 403, "not allowed");
	sg_audit_flush(audit);
	lines = sg_audit_tail(audit, 100, NULL);
	assert_int_equal(json_array_size(lines), 4);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(lines, 1), "not_told")), 49);
	json_decref(lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_has_no_token_is_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(verbs_and_scopes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			shared_budgets_are_for_who_is_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_set_ahead_is_the_agents_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			lists_show_only_what_is_in_scope, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_change_names_its_principal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_bodies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_endpoint_of_the_reference, set_up, tear_down),
		cmocka_unit_test_setup_teardown(agents_are_cut_off_and_go_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(strangers_are_a_line_a_second, set_up, tear_down),
		cmocka_unit_test(principals_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
