// SPDX-License-Identifier: Apache-2.0
#include "compile/pod.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/money.h"
#include "budget/policy.h"
#include "compile/yaml.h"

#define MAX_REPLICAS 10000

static int fail_at(const struct sg_yaml_node *node, const char *problem, struct sg_error *error)
{
	return sg_error_set(
		error, -EINVAL, "%s (line %u, column %u)", problem, node->line, node->column);
}

// ---- Durations as Go has them ----

static const struct {
	const char *letters;
	int64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 },
	{ "\xce\xbcs", 1000 },
	{ "ms", SG_NS_PER_MS },
	{ "s", SG_NS_PER_SEC },
	{ "m", 60 * SG_NS_PER_SEC },
	{ "h", 3600 * SG_NS_PER_SEC },
};

// One "1.5h"; *text moves on.
static int take_part(const char **text, int64_t *total_ns)
{
	const char *number = *text, *rest;
	char digits[32], *end;
	size_t length = strspn(number, "0123456789.");
	double value;

	if (!length || length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, number, length);
	digits[length] = 0;
	value = strtod(digits, &end);
	if (*end || strcmp(digits, ".") == 0)
		return -EINVAL;
	rest = number + length;
	for (size_t i = 0; i < SG_ARRAY_SIZE(units); i++) {
		size_t letters = strlen(units[i].letters);

		if (strncmp(rest, units[i].letters, letters) != 0 ||
			isalpha((unsigned char)rest[letters]))
			continue;
		value *= (double)units[i].ns;
		if (value > 9e18 || __builtin_add_overflow(*total_ns, (int64_t)value, total_ns))
			return -EINVAL;
		*text = rest + letters;
		return 0;
	}
	return -EINVAL;
}

// The window as the daemon reads it; what only Go writes so ("1.5h") is written anew.
static int parse_window(const char *text, char *out, size_t size)
{
	int64_t total_ns = 0;
	int r = 0;

	if (sg_window_parse(text, &total_ns) == 0 && strlen(text) < size) {
		strcpy(out, text);
		return 0;
	}
	total_ns = 0;
	if (*text == '+')
		text++;
	do {
		r = take_part(&text, &total_ns);
	} while (r == 0 && *text);
	if (r < 0 || total_ns < SG_NS_PER_MS || total_ns % SG_NS_PER_MS)
		return -EINVAL;
	sg_window_format(total_ns, SG_NO_CALENDAR, out, size);
	return 0;
}

// ---- Fields ----

static const char *trim(const char *text, char *out, size_t size)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		length--;
	snprintf(out, size, "%.*s", (int)length, text);
	return out;
}

static int parse_money(
	const struct sg_yaml_node *node, int64_t *ret_nanousd, struct sg_error *error)
{
	int r = node->kind == SG_YAML_SCALAR
			? sg_money_parse(node->text, strlen(node->text), 9, ret_nanousd)
			: -EINVAL;

	if (r == -ERANGE)
		return fail_at(node,
			"limit-usd must have at most 9 decimal places and be below 9000000000",
			error);
	return r < 0 || *ret_nanousd <= 0 ? fail_at(node, "limit-usd must be > 0", error) : 0;
}

static int parse_count(const struct sg_yaml_node *node, int64_t *ret_count, struct sg_error *error)
{
	const char *text = node->kind == SG_YAML_SCALAR ? node->text : "";
	size_t digits = strspn(text, "0123456789");

	if (!digits || text[digits] || !text[strspn(text, "0")])
		return fail_at(node, "max-requests must be > 0", error);
	*ret_count = strtoll(text, NULL, 10); // stops at its largest, which is more
	if (*ret_count > INT64_C(1) << 53)
		return fail_at(node, "max-requests must be at most 2^53", error);
	return 0;
}

typedef int (*number_fn)(
	const struct sg_yaml_node *node, int64_t *ret_number, struct sg_error *error);

// A field with several names, which must agree. *ret_number is 0 when none of them is there.
static int parse_spellings(const struct sg_yaml_node *budget, const char *const *names,
	number_fn parse, int64_t *ret_number, struct sg_error *error)
{
	const char *first = NULL;
	char problem[128];

	*ret_number = 0;
	for (; *names; names++) {
		const struct sg_yaml_node *node = sg_yaml_get(budget, *names);
		int64_t number = 0;
		int r = node && !sg_yaml_is_null(node) ? parse(node, &number, error) : 0;

		if (r < 0)
			return r;
		if (first && number && number != *ret_number) {
			snprintf(problem, sizeof(problem),
				"%s and %s cannot both be set to different values", first, *names);
			return fail_at(node, problem, error);
		}
		if (number) {
			first = *names;
			*ret_number = number;
		}
	}
	return 0;
}

static int check_keys(const struct sg_yaml_node *budget, struct sg_error *error)
{
	static const char *const known[] = { "limit-usd", "limit_usd", "max-requests",
		"max_requests", "requests", "window", "behavior" };
	char problem[128];

	for (size_t i = 0; i < budget->count; i++) {
		size_t j = 0;

		while (j < SG_ARRAY_SIZE(known) && strcmp(known[j], budget->keys[i]) != 0)
			j++;
		if (j < SG_ARRAY_SIZE(known))
			continue;
		snprintf(problem, sizeof(problem), "unknown key \"%.60s\"", budget->keys[i]);
		return fail_at(budget->items[i], problem, error);
	}
	return 0;
}

// A scalar's text without blanks around it; "" where it is not there.
static int take_text(const struct sg_yaml_node *budget, const char *key, char *out, size_t size,
	struct sg_error *error)
{
	const struct sg_yaml_node *node = sg_yaml_get(budget, key);
	char problem[64];

	*out = 0;
	if (!node || sg_yaml_is_null(node))
		return 0;
	snprintf(problem, sizeof(problem), "%s must be a text", key);
	if (node->kind != SG_YAML_SCALAR)
		return fail_at(node, problem, error);
	trim(node->text, out, size);
	return 0;
}

static int check_behavior(
	const struct sg_yaml_node *budget, const char *behavior, struct sg_error *error)
{
	char problem[160];

	for (int i = SG_HARD_STOP; i <= SG_SOFT_ALERT; i++)
		if (strcmp(behavior, sg_behavior_name((enum sg_behavior)i)) == 0)
			return 0;
	snprintf(problem, sizeof(problem),
		"unknown behavior \"%.60s\": must be one of rate_limit, hard_stop, soft_alert",
		behavior);
	return fail_at(sg_yaml_get(budget, "behavior"), problem, error);
}

static json_t *make_budget(
	int64_t nanousd, int64_t requests, const char *window, const char *behavior)
{
	json_t *budget = json_object();

	if (nanousd)
		json_object_set_new(budget, "limit_usd", sg_money_json(nanousd));
	if (requests)
		json_object_set_new(budget, "max_requests", json_integer(requests));
	json_object_set_new(budget, "window", json_string(window));
	json_object_set_new(budget, "behavior", json_string(behavior));
	return budget;
}

static int parse_budget(
	const struct sg_yaml_node *node, json_t **ret_budget, struct sg_error *error)
{
	static const char *const limits[] = { "limit-usd", "limit_usd", NULL };
	static const char *const counts[] = { "max-requests", "max_requests", "requests", NULL };
	char asked[64] = "", window[64], behavior[64] = "";
	int64_t nanousd = 0, requests = 0;
	int r = node->kind == SG_YAML_MAPPING ? check_keys(node, error)
					      : fail_at(node, "must be a mapping", error);

	if (r == 0)
		r = parse_spellings(node, limits, parse_money, &nanousd, error);
	if (r == 0)
		r = parse_spellings(node, counts, parse_count, &requests, error);
	if (r == 0 && !nanousd && !requests)
		r = fail_at(node, "at least one of limit-usd or max-requests is required", error);
	if (r == 0)
		r = take_text(node, "window", asked, sizeof(asked), error);
	if (r == 0 && !*asked)
		r = fail_at(node, "window is required", error);
	if (r == 0 && parse_window(asked, window, sizeof(window)) < 0)
		r = fail_at(
			sg_yaml_get(node, "window"), "window must be a positive duration", error);
	if (r == 0)
		r = take_text(node, "behavior", behavior, sizeof(behavior), error);
	if (r == 0 && !*behavior)
		strcpy(behavior, sg_behavior_name(SG_HARD_STOP));
	else if (r == 0)
		r = check_behavior(node, behavior, error);
	if (r == 0)
		*ret_budget = make_budget(nanousd, requests, window, behavior);
	return r;
}

// ---- Services ----

static int take_replicas(
	const struct sg_yaml_node *claw, int64_t *ret_count, struct sg_error *error)
{
	const struct sg_yaml_node *node = sg_yaml_get(claw, "count");
	struct sg_error unused = { "" };

	*ret_count = 1;
	if (!node || sg_yaml_is_null(node))
		return 0;
	if (parse_count(node, ret_count, &unused) < 0 || *ret_count > MAX_REPLICAS)
		return fail_at(node, "count must be a number from 1 to 10000", error);
	return 0;
}

static int check_name(const struct sg_yaml_node *node, const char *name, struct sg_error *error)
{
	struct sg_error unused;

	// Room for the number of a replica.
	if (strlen(name) < SG_BUDGET_NAME_BYTES - 6 && sg_name_check("agent", name, &unused) == 0)
		return 0;
	return fail_at(node, "its name must have 1 to 57 letters, digits, '.', '_' or '-'", error);
}

static int add_agent(json_t *agents, const char *agent, const char *pod, const char *service,
	const json_t *budget, const struct sg_yaml_node *node, struct sg_error *error)
{
	if (json_object_get(agents, agent))
		return fail_at(node, "a replica of another service has this name", error);
	return json_object_set_new(agents, agent,
		       json_pack("{s:s, s:s*, s:s, s:O*}", "agent_id", agent, "pod", pod, "service",
			       service, "budget", budget)) < 0
		       ? sg_error_set(error, -ENOMEM, "out of memory")
		       : 0;
}

static int add_replicas(json_t *agents, int64_t count, const char *pod, const char *service,
	const json_t *budget, const struct sg_yaml_node *node, struct sg_error *error)
{
	char agent[SG_BUDGET_NAME_BYTES + 24];
	int r = 0;

	if (count == 1)
		return add_agent(agents, service, pod, service, budget, node, error);
	for (int64_t i = 0; r == 0 && i < count; i++) {
		snprintf(agent, sizeof(agent), "%s-%lld", service, (long long)i);
		r = add_agent(agents, agent, pod, service, budget, node, error);
	}
	return r;
}

static int compile_service(json_t *agents, const char *pod, const json_t *defaults,
	const char *name, const struct sg_yaml_node *claw, struct sg_error *error)
{
	const struct sg_yaml_node *own = sg_yaml_get(claw, "budget");
	json_t *budget = NULL;
	int64_t count = 1;
	int r = check_name(claw, name, error);

	if (r == 0 && claw->kind != SG_YAML_MAPPING)
		r = fail_at(claw, "x-claw must be a mapping", error);
	if (r == 0)
		r = take_replicas(claw, &count, error);
	if (r == 0 && own && !sg_yaml_is_null(own)) {
		r = parse_budget(own, &budget, error);
		if (r < 0)
			sg_error_prefix(error, r, "parse budget: ");
	} else if (!own) {
		budget = json_incref((json_t *)defaults);
	}
	if (r == 0)
		r = add_replicas(agents, count, pod, name, budget, claw, error);
	json_decref(budget);
	return r < 0 ? sg_error_prefix(error, r, "service \"%s\": ", name) : 0;
}

static int compile_pod(const struct sg_yaml_node *root, json_t *agents, struct sg_error *error)
{
	const struct sg_yaml_node *claw = sg_yaml_get(root, "x-claw"),
				  *services = sg_yaml_get(root, "services");
	const struct sg_yaml_node *defaults = sg_yaml_get(claw, "budget-defaults");
	const struct sg_yaml_node *pod = sg_yaml_get(claw, "pod");
	json_t *budget = NULL;
	int r = 0;

	if (!root || root->kind != SG_YAML_MAPPING || !services ||
		services->kind != SG_YAML_MAPPING)
		return sg_error_set(error, -EINVAL, "services: must be a mapping of services");
	if (defaults && !sg_yaml_is_null(defaults)) {
		r = parse_budget(defaults, &budget, error);
		if (r < 0)
			sg_error_prefix(error, r, "x-claw: parse budget-defaults: ");
	}
	for (size_t i = 0; r == 0 && i < services->count; i++) {
		const struct sg_yaml_node *of_service = sg_yaml_get(services->items[i], "x-claw");

		if (of_service && !sg_yaml_is_null(of_service)) // any other is no agent
			r = compile_service(agents,
				pod && pod->kind == SG_YAML_SCALAR ? pod->text : NULL, budget,
				services->keys[i], of_service, error);
	}
	json_decref(budget);
	return r;
}

int sg_pod_compile(const char *text, size_t length, json_t **ret_agents, struct sg_error *error)
{
	struct sg_yaml_document *document = NULL;
	const struct sg_yaml_node *root;
	json_t *agents;
	int r = sg_yaml_parse(text, length, &document, &root, error);

	if (r < 0)
		return r;
	agents = json_object();
	r = agents ? compile_pod(root, agents, error)
		   : sg_error_set(error, -ENOMEM, "out of memory");
	sg_yaml_free(document);
	if (r < 0) {
		json_decref(agents);
		return r;
	}
	*ret_agents = agents;
	return 0;
}

// ---- Rendering ----

static int render_object(struct sg_buf *out, const json_t *object, const char *indent)
{
	const char *key, *comma = "";
	json_t *value;
	int r = sg_buf_printf(out, "{");

	json_object_foreach((json_t *)object, key, value)
	{
		bool dollars = strcmp(key, "limit_usd") == 0 && json_is_string(value);
		char *text = dollars ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		json_t *quoted = json_string(key);
		char *name = json_dumps(quoted, JSON_ENCODE_ANY);

		if (r == 0)
			r = sg_buf_printf(out, "%s\n%s  %s: ", comma, indent, name ? name : "\"\"");
		if (r == 0 && strcmp(key, "budget") == 0 && json_is_object(value))
			r = render_object(out, value, "  ");
		else if (r == 0)
			r = sg_buf_printf(out, "%s",
				dollars ? json_string_value(value)
				: text	? text
					: "null");
		json_decref(quoted);
		comma = ",";
		free(text);
		free(name);
	}
	return r == 0 ? sg_buf_printf(out, "\n%s}", indent) : r;
}

char *sg_pod_render(const json_t *metadata)
{
	struct sg_buf out = { 0 };
	char *text = NULL;

	if (render_object(&out, metadata, "") == 0 && sg_buf_append(&out, "\n", 1) == 0)
		text = strndup((const char *)sg_buf_head(&out), sg_buf_length(&out));
	sg_buf_release(&out);
	return text;
}
