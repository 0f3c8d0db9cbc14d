// SPDX-License-Identifier: Apache-2.0
#include "api/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/metrics.h"
#include "base/clock.h"
#include "control/override.h"

#define MAX_AUDIT_LINES 10000
#define DEFAULT_LINES	100

struct call {
	const struct sg_api_options *options;
	const struct sg_api_request *request;
	const struct sg_principal *principal;
	const char *agent; // of the path, or of the body
	struct sg_api_answer *answer;
};

// ---- Answers ----

// Takes `body`.
static void answer_json(struct call *call, unsigned status, json_t *body)
{
	call->answer->status = status;
	call->answer->type = "application/json";
	call->answer->text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
}

static void answer_error(struct call *call, unsigned status, const char *text)
{
	answer_json(call, status, json_pack("{s:s}", "error", text));
}

static void answer_failure(struct call *call, int r, const struct sg_error *error)
{
	answer_error(call,
		r == -EINVAL   ? 400
		: r == -ENOENT ? 404
		: r == -ENOSPC ? 409
			       : 500,
		error->text);
}

static void note_denied(const struct call *call, enum sg_verb verb, const char *detail)
{
	char who[80];

	snprintf(who, sizeof(who), "api:%s", sg_principal_name(call->principal));
	sg_audit_write(call->options->audit, "api_denied", false,
		json_pack("{s:s, s:s, s:s*, s:s}", "who", who, "verb", sg_verb_name(verb), "agent",
			call->agent, "detail", detail));
}

// Anybody may come without a token, as often as he likes: a line a second, since the disk is the
// ledger's, too.
static void note_stranger(const struct call *call, enum sg_verb verb)
{
	struct sg_api_strangers *strangers = call->options->strangers;
	int64_t now_ns = sg_clock_monotonic_ns();

	if (strangers->told_ns && now_ns - strangers->told_ns < SG_NS_PER_SEC) {
		strangers->since++;
		return;
	}
	sg_audit_write(call->options->audit, "api_denied", false,
		json_pack("{s:s, s:s, s:s*, s:s, s:i}", "who", "api", "verb", sg_verb_name(verb),
			"agent", call->agent, "detail", "no valid token", "not_told",
			(int)strangers->since));
	*strangers = (struct sg_api_strangers){ .told_ns = now_ns };
}

// ---- Rights ----

static bool is_allowed(struct call *call, enum sg_verb verb)
{
	if (!call->principal) {
		note_stranger(call, verb);
		answer_error(call, 401, "invalid bearer token");
		return false;
	}
	if (!sg_principal_may(call->principal, verb)) {
		note_denied(call, verb, "verb denied");
		answer_error(call, 403, "principal is not allowed to perform this action");
		return false;
	}
	return true;
}

static bool is_in_scope(struct call *call, enum sg_verb verb, const char *problem)
{
	if (sg_principal_covers(call->principal, call->agent))
		return true;
	note_denied(call, verb, problem);
	answer_error(call, 403, problem);
	return false;
}

// ---- Reading ----

// Agents out of scope are left out of lists.
static void keep_covered(const struct call *call, json_t *agents, const char *key)
{
	for (size_t i = json_array_size(agents); i-- > 0;) {
		const char *name =
			json_string_value(json_object_get(json_array_get(agents, i), key));

		if (!name || !sg_principal_covers(call->principal, name))
			json_array_remove(agents, i);
	}
}

static json_t *covered_status(const struct call *call)
{
	json_t *status = call->options->status(call->options->context);

	keep_covered(call, json_object_get(status, "agents"), "name");
	return status;
}

static void get_status(struct call *call)
{
	if (is_allowed(call, SG_VERB_STATUS))
		answer_json(call, 200, covered_status(call));
}

static void get_metrics(struct call *call)
{
	struct sg_buf out = { 0 };
	json_t *status;

	if (!is_allowed(call, SG_VERB_METRICS))
		return;
	status = covered_status(call);
	call->answer->status = 200;
	call->answer->type = "text/plain; version=0.0.4; charset=utf-8";
	if (status && sg_metrics_render(status, &out) == 0)
		call->answer->text = strndup((const char *)sg_buf_head(&out), sg_buf_length(&out));
	sg_buf_release(&out);
	json_decref(status);
}

static void get_budgets(struct call *call)
{
	struct sg_error error = { "" };
	json_t *shown = NULL;
	int r;

	if (!is_allowed(call, SG_VERB_BUDGET_GET) ||
		(call->agent && !is_in_scope(call, SG_VERB_BUDGET_GET, "agent is out of scope")))
		return;
	r = sg_control_show(call->options->control, call->agent, &shown, &error);
	if (r < 0) {
		answer_failure(call, r, &error);
		return;
	}
	keep_covered(call, json_object_get(shown, "agents"), "agent");
	answer_json(call, 200, shown);
}

static void get_audit(struct call *call)
{
	const char *text = call->request->lines;
	char *end = NULL;
	long lines = text ? strtol(text, &end, 10) : DEFAULT_LINES;
	json_t *found;

	if (!is_allowed(call, SG_VERB_AUDIT))
		return;
	if ((text && (*end || end == text)) || lines < 1 || lines > MAX_AUDIT_LINES) {
		answer_error(call, 400, "lines must be a number from 1 to 10000");
		return;
	}
	found = sg_audit_tail(call->options->audit, (size_t)lines, call->request->agent);
	keep_covered(call, found, "agent");
	answer_json(call, 200, json_pack("{s:o?}", "lines", found));
}

// ---- Changing ----

static json_t *parse_body(struct call *call)
{
	json_t *body = json_loadb(
		call->request->body, call->request->length, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(body)) {
		json_decref(body);
		answer_error(call, 400, "invalid request body");
		return NULL;
	}
	return body;
}

static void name_principal(const struct call *call, char *out, size_t size)
{
	snprintf(out, size, "api:%s", sg_principal_name(call->principal));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

// Does an override speak of a budget that agents share? `budgets`: what it is merged with.
static bool is_about_shared(const json_t *override, const json_t *budgets)
{
	const char *name = text_of(override, "name");
	bool shared = sg_override_is_shared(override);
	size_t index;
	json_t *budget;

	json_array_foreach((json_t *)budgets, index, budget) shared =
		shared || (sg_override_is_shared(budget) &&
				  (!*name || strcmp(name, text_of(budget, "name")) == 0));
	return shared;
}

// Of the agent's live overrides those that a DELETE takes back.
static bool takes_back_shared(const struct call *call, const json_t *live, const json_t *budgets)
{
	const char *budget = call->request->budget;
	bool shared = false;
	size_t index;
	json_t *override;

	json_array_foreach((json_t *)live, index, override) shared =
		shared || ((!budget || strcmp(budget, text_of(override, "name")) == 0) &&
				  is_about_shared(override, budgets));
	return shared;
}

// A budget of scope label or host is everybody's whom it names: who is not for all agents changes
// none, by way of those that he is for. `override` NULL: what a DELETE takes back.
static bool may_change(struct call *call, const json_t *override)
{
	static const char problem[] = "the budget is shared with agents that are out of scope";
	struct sg_error error = { "" };
	json_t *shown = NULL, *agent, *budgets;
	bool shared;

	if (sg_principal_covers_all(call->principal))
		return true;
	// An agent that is not known yet has no budgets: *shown stays NULL.
	if (sg_control_show(call->options->control, call->agent, &shown, &error) == -ENOMEM) {
		answer_failure(call, -ENOMEM, &error);
		return false;
	}
	agent = json_array_get(json_object_get(shown, "agents"), 0);
	budgets = json_object_get(agent, "budgets");
	shared = override ? is_about_shared(override, budgets)
			  : takes_back_shared(call,
				    json_object_get(json_object_get(agent, "layers"), "live"),
				    budgets);
	json_decref(shown);
	if (shared) {
		note_denied(call, SG_VERB_BUDGET_SET, problem);
		answer_error(call, 403, problem);
	}
	return !shared;
}

// Which budgets an agent will have that has not started is not known yet: what a principal for some
// agents sets is for budgets of the agent's own. Takes `override`; NULL: out of memory.
static json_t *confine(const struct call *call, json_t *override)
{
	json_t *confined;

	if (sg_principal_covers_all(call->principal) || !json_is_object(override))
		return override;
	confined = json_copy(override); // others may show it as it came
	json_decref(override);
	if (json_object_set_new(confined, "own", json_true()) == 0)
		return confined;
	json_decref(confined);
	return NULL;
}

// Takes `override`. Returns whether it is in force.
static bool set_override(struct call *call, json_t *override, json_t **ret_answer)
{
	struct sg_error error = { "" };
	char who[80];
	int r;

	if (!may_change(call, override)) {
		json_decref(override);
		return false;
	}
	override = confine(call, override);
	if (!override) {
		answer_failure(call, -ENOMEM, &error);
		return false;
	}
	name_principal(call, who, sizeof(who));
	r = sg_control_set(call->options->control, who, call->agent, override, ret_answer, &error);
	json_decref(override);
	if (r < 0)
		answer_failure(call, r, &error);
	return r == 0;
}

static void put_budget(struct call *call)
{
	json_t *body, *answer = NULL;

	if (!is_allowed(call, SG_VERB_BUDGET_SET) ||
		!is_in_scope(call, SG_VERB_BUDGET_SET, "agent is out of scope"))
		return;
	body = parse_body(call);
	if (body && set_override(call, body, &answer))
		answer_json(call, 200, answer);
}

static void delete_budget(struct call *call)
{
	struct sg_error error = { "" };
	json_t *answer = NULL;
	char who[80];
	int r;

	if (!is_allowed(call, SG_VERB_BUDGET_SET) ||
		!is_in_scope(call, SG_VERB_BUDGET_SET, "agent is out of scope") ||
		!may_change(call, NULL))
		return;
	name_principal(call, who, sizeof(who));
	r = sg_control_remove(call->options->control, who, call->agent, call->request->budget, NULL,
		&answer, &error);
	if (r < 0)
		answer_failure(call, r, &error);
	else
		answer_json(call, 200, answer);
}

// ---- Stopping ----

// A body is not needed: {"reason"?}. Returns false when it is no such thing.
static bool read_reason(struct call *call, json_t **ret_body)
{
	const json_t *reason;

	*ret_body = NULL;
	if (!call->request->length)
		return true;
	*ret_body = parse_body(call);
	if (!*ret_body)
		return false;
	reason = json_object_get(*ret_body, "reason");
	if (json_object_size(*ret_body) == (reason ? 1 : 0) && (!reason || json_is_string(reason)))
		return true;
	answer_error(call, 400, "the body may have a reason, a text, and nothing else");
	json_decref(*ret_body);
	return false;
}

static void ask_for_cut(struct call *call, bool is_cut)
{
	const struct sg_api_options *options = call->options;
	struct sg_error error = { "" };
	char who[80];
	json_t *body;
	int r;

	if (!is_allowed(call, SG_VERB_CUT) ||
		!is_in_scope(call, SG_VERB_CUT, "agent is out of scope") ||
		!read_reason(call, &body))
		return;
	name_principal(call, who, sizeof(who));
	r = options->cut(options->context, is_cut, call->agent, who, text_of(body, "reason"));
	json_decref(body);
	if (r == -ENOENT)
		sg_error_set(&error, r, "there is no agent \"%.80s\"", call->agent);
	else if (r < 0)
		sg_error_set(&error, r, "spendgated can't be asked: %s", strerror(-r));
	if (r < 0)
		answer_failure(call, r, &error);
	else
		answer_json(
			call, 202, json_pack("{s:s, s:b}", "agent", call->agent, "cut", is_cut));
}

static void post_cut(struct call *call)
{
	ask_for_cut(call, true);
}

static void post_resume(struct call *call)
{
	ask_for_cut(call, false);
}

// ---- As the reference has it ----

static const char *check_fleet_caps(const json_t *body)
{
	const json_t *limit = json_object_get(body, "limit_usd"),
		     *requests = json_object_get(body, "max_requests");

	if ((!limit || json_is_null(limit)) && (!requests || json_is_null(requests)))
		return "at least one of limit_usd or max_requests is required";
	if (limit && !json_is_null(limit) && !json_is_number(limit))
		return "invalid request body";
	if (limit && !json_is_null(limit) && json_number_value(limit) <= 0)
		return "limit_usd must be positive";
	if (requests && !json_is_null(requests) && !json_is_integer(requests))
		return "invalid request body";
	if (requests && !json_is_null(requests) && json_integer_value(requests) <= 0)
		return "max_requests must be positive";
	return NULL;
}

// Returns what is wrong, in the reference's words, or NULL.
static const char *check_fleet_body(const json_t *body, char *scratch, size_t size)
{
	const char *claw = json_string_value(json_object_get(body, "claw_id"));
	const char *window = json_string_value(json_object_get(body, "window"));
	const json_t *behavior = json_object_get(body, "behavior");
	const char *problem;
	int64_t ns = 0;

	if (!claw || !*claw)
		return "governance target must not be empty";
	if (*claw == '.' || strpbrk(claw, "/\\")) {
		snprintf(scratch, size,
			*claw == '.'
				? "governance target \"%.80s\" must not start with '.'"
				: "governance target \"%.80s\" must be a single path component",
			claw);
		return scratch;
	}
	problem = check_fleet_caps(body);
	if (problem)
		return problem;
	if (!window || !*window)
		return "missing window";
	if (sg_window_parse(window, &ns) < 0)
		return "window must be a positive duration";
	if (behavior && !json_is_string(behavior))
		return "invalid request body";
	if (!json_string_length(behavior) ||
		strcmp(json_string_value(behavior), "rate_limit") == 0 ||
		strcmp(json_string_value(behavior), "hard_stop") == 0 ||
		strcmp(json_string_value(behavior), "soft_alert") == 0)
		return NULL;
	snprintf(scratch, size,
		"unknown behavior \"%.60s\": must be one of rate_limit, hard_stop, soft_alert",
		json_string_value(behavior));
	return scratch;
}

static json_t *fleet_override(const json_t *body)
{
	const char *behavior = json_string_value(json_object_get(body, "behavior"));
	const json_t *limit = json_object_get(body, "limit_usd"),
		     *requests = json_object_get(body, "max_requests");
	json_t *override = json_pack("{s:O, s:s}", "window", json_object_get(body, "window"),
		"behavior", behavior && *behavior ? behavior : "hard_stop");

	if (limit && !json_is_null(limit))
		json_object_set(override, "limit_usd", (json_t *)limit);
	if (requests && !json_is_null(requests))
		json_object_set(override, "max_requests", (json_t *)requests);
	return override;
}

static void post_fleet_budget(struct call *call)
{
	char scratch[256];
	json_t *body, *override = NULL, *answer = NULL;
	const char *problem;

	if (!is_allowed(call, SG_VERB_BUDGET_SET))
		return;
	body = parse_body(call);
	if (!body)
		return;
	problem = check_fleet_body(body, scratch, sizeof(scratch));
	call->agent = json_string_value(json_object_get(body, "claw_id"));
	if (problem)
		answer_error(call, 400, problem);
	else if (is_in_scope(call, SG_VERB_BUDGET_SET, "claw_id is out of scope"))
		override = fleet_override(body);
	if (override && set_override(call, json_incref(override), &answer))
		answer_json(call, 200,
			json_pack("{s:s, s:O}", "claw_id", call->agent, "budget", override));
	json_decref(answer);
	json_decref(override);
	json_decref(body);
}

static void get_health(struct call *call)
{
	answer_json(call, 200, json_pack("{s:b}", "ok", 1));
}

// ---- Routes ----

static const struct {
	const char *method, *path; // a path that ends with '/' takes an agent's name behind it
	void (*perform)(struct call *call);
} routes[] = {
	{ "GET", "/health", get_health },
	{ "GET", "/metrics", get_metrics },
	{ "GET", "/v1/status", get_status },
	{ "GET", "/v1/audit", get_audit },
	{ "GET", "/v1/budgets", get_budgets },
	{ "GET", "/v1/budgets/", get_budgets },
	{ "PATCH", "/v1/budgets/", put_budget },
	{ "DELETE", "/v1/budgets/", delete_budget },
	{ "POST", "/v1/cut/", post_cut },
	{ "POST", "/v1/resume/", post_resume },
	{ "POST", "/fleet/budget/set", post_fleet_budget },
};

static bool is_route(const char *pattern, const char *path, const char **ret_agent)
{
	size_t length = strlen(pattern);

	*ret_agent = NULL;
	if (pattern[length - 1] != '/')
		return strcmp(pattern, path) == 0;
	if (strncmp(pattern, path, length) != 0 || !path[length] || strchr(path + length, '/'))
		return false;
	*ret_agent = path + length;
	return true;
}

void sg_api_perform(const struct sg_api_options *options, const struct sg_principals *principals,
	const struct sg_api_request *request, struct sg_api_answer *ret_answer)
{
	struct call call = { .options = options,
		.request = request,
		.principal = sg_principals_find(principals, request->authorization),
		.answer = ret_answer };
	bool known = false;

	*ret_answer = (struct sg_api_answer){ .status = 500, .type = "application/json" };
	for (size_t i = 0; i < SG_ARRAY_SIZE(routes); i++) {
		if (!is_route(routes[i].path, request->path, &call.agent))
			continue;
		known = true;
		if (strcmp(routes[i].method, request->method) == 0) {
			routes[i].perform(&call);
			return;
		}
	}
	answer_error(
		&call, known ? 405 : 404, known ? "method not allowed" : "there is nothing here");
}
