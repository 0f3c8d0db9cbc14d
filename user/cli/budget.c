// SPDX-License-Identifier: Apache-2.0
// `spendgate budget set|add|show|rm`: the limits of running agents, changed live.
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/caller.h"
#include "cli/cli.h"
#include "cli/start.h"
#include "spendgate/exit.h"

enum verb { VERB_SET, VERB_ADD, VERB_REMOVE, VERB_SHOW };

struct options {
	enum verb verb;
	const char *agent, *amount;
	json_t *override; // what is set
	bool json;
};

enum {
	KEY_LIMIT = 256,
	KEY_REQUESTS,
	KEY_TOKENS,
	KEY_INPUT,
	KEY_OUTPUT,
	KEY_WINDOW,
	KEY_BEHAVIOR,
	KEY_EXPIRES,
	KEY_REASON,
	KEY_FIELD
};

static const struct argp_option set_options[] = {
	{ "budget", 'b', "NAME", 0, "which budget, where the agent has several", 0 },
	{ "limit-usd", KEY_LIMIT, "X", 0, "the most that providers may bill", 0 },
	{ "max-requests", KEY_REQUESTS, "N", 0, "the most calls", 0 },
	{ "max-tokens", KEY_TOKENS, "N", 0, "the most tokens, input and output together", 0 },
	{ "max-input-tokens", KEY_INPUT, "N", 0, "the most input tokens", 0 },
	{ "max-output-tokens", KEY_OUTPUT, "N", 0, "the most output tokens", 0 },
	{ "window", KEY_WINDOW, "W", 0, "window of the caps: 90s, 1h30m, 24h, 7d, lifetime", 0 },
	{ "behavior", KEY_BEHAVIOR, "B", 0, "hard_stop, rate_limit or soft_alert", 0 },
	{ "field", KEY_FIELD, "KEY=VALUE", 0,
		"any field of a budget, as in the configuration; null takes the field away", 0 },
	{ "expires", KEY_EXPIRES, "WHEN", 0,
		"ends after this time (2h), or at it (2026-11-24T08:30:00Z)", 0 },
	{ "reason", KEY_REASON, "TEXT", 0, "for the audit log", 0 },
	{ "json", 'j', NULL, 0, "answer as JSON", 0 },
	{ 0 },
};

static const struct argp_option add_options[] = {
	{ "budget", 'b', "NAME", 0, "which budget, where the agent has several", 0 },
	{ "expires", KEY_EXPIRES, "WHEN", 0,
		"ends after this time (2h), or at it (2026-11-24T08:30:00Z)", 0 },
	{ "reason", KEY_REASON, "TEXT", 0, "for the audit log", 0 },
	{ "json", 'j', NULL, 0, "answer as JSON", 0 },
	{ 0 },
};

static const struct argp_option remove_options[] = {
	{ "budget", 'b', "NAME", 0, "only what was set for this budget", 0 },
	{ "reason", KEY_REASON, "TEXT", 0, "for the audit log", 0 },
	{ "json", 'j', NULL, 0, "answer as JSON", 0 },
	{ 0 },
};

static const struct argp_option show_options[] = {
	{ "json", 'j', NULL, 0, "as JSON, with the layers that the budgets come from", 0 },
	{ 0 },
};

// ---- Options ----

static const char *field_of(int key)
{
	switch (key) {
	case 'b':
		return "name";
	case KEY_LIMIT:
		return "limit_usd";
	case KEY_WINDOW:
		return "window";
	case KEY_BEHAVIOR:
		return "behavior";
	case KEY_EXPIRES:
		return "expires";
	case KEY_REASON:
		return "reason";
	case KEY_REQUESTS:
		return "max_requests";
	case KEY_TOKENS:
		return "max_tokens";
	case KEY_INPUT:
		return "max_input_tokens";
	case KEY_OUTPUT:
		return "max_output_tokens";
	default:
		return NULL;
	}
}

static bool is_count(int key)
{
	return key == KEY_REQUESTS || key == KEY_TOKENS || key == KEY_INPUT || key == KEY_OUTPUT;
}

// A value that is JSON is taken as such, any other is a text: mode=observe, alerts=[50, 90].
static int set_field(json_t *override, char *argument)
{
	char *value = strchr(argument, '=');
	json_t *json;

	if (!value || value == argument)
		return ARGP_ERR_UNKNOWN;
	*value++ = 0;
	json = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	json_object_set_new(override, argument, json ? json : json_string(value));
	return 0;
}

static void take_argument(struct options *options, char *argument, struct argp_state *state)
{
	if (!options->agent)
		options->agent = argument;
	else if (options->verb == VERB_ADD && !options->amount)
		options->amount = argument;
	else if (options->verb == VERB_REMOVE && !json_object_get(options->override, "name"))
		json_object_set_new(options->override, "name", json_string(argument));
	else
		argp_error(state, "\"%s\": one argument too many", argument);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;

	if (key == 'j') {
		options->json = true;
		return 0;
	}
	if (key == KEY_FIELD) {
		if (set_field(options->override, argument) != 0)
			argp_error(state, "--field: must be KEY=VALUE");
		return 0;
	}
	if (is_count(key)) {
		long long number = strtoll(argument, &end, 10);

		if (*end || end == argument)
			argp_error(state, "\"%s\" is no number", argument);
		json_object_set_new(options->override, field_of(key), json_integer(number));
		return 0;
	}
	if (field_of(key)) {
		json_object_set_new(options->override, field_of(key), json_string(argument));
		return 0;
	}
	if (key == ARGP_KEY_ARG) {
		take_argument(options, argument, state);
		return 0;
	}
	if (key == ARGP_KEY_END && options->verb != VERB_SHOW && !options->agent)
		argp_error(state, "no agent given");
	if (key == ARGP_KEY_END && options->verb == VERB_ADD && !options->amount)
		argp_error(state, "no amount given");
	return ARGP_ERR_UNKNOWN;
}

static const struct {
	const char *name;
	struct argp argp;
} verbs[] = {
	[VERB_SET] = { "set", { set_options, parse_option, "AGENT",
				      "Changes the limits of an agent from its next call on. What "
				      "it has spent stays "
				      "counted. Kept over restarts, until `spendgate budget rm`.",
				      NULL, NULL, NULL } },
	[VERB_ADD] = { "add",
		{ add_options, parse_option, "AGENT USD",
			"Adds to the dollars that an agent may spend.", NULL, NULL, NULL } },
	[VERB_REMOVE] = { "rm",
		{ remove_options, parse_option, "AGENT [BUDGET]",
			"Takes back what `set` and `add` have changed.", NULL, NULL, NULL } },
	[VERB_SHOW] = { "show", { show_options, parse_option, "[AGENT]",
					"Shows the budgets in force, and files that are refused.",
					NULL, NULL, NULL } },
};

// ---- Asking ----

static json_t *make_request(const struct options *options)
{
	char who[SG_CALLER_BYTES];

	sg_caller_describe(who, sizeof(who));
	if (options->verb == VERB_SHOW)
		return json_pack("{s:s, s:s, s:s*}", "op", "budget", "verb", "show", "agent",
			options->agent);
	if (options->verb == VERB_REMOVE)
		return json_pack("{s:s, s:s, s:s, s:s, s:O*, s:O*}", "op", "budget", "verb",
			"remove", "agent", options->agent, "who", who, "budget",
			json_object_get(options->override, "name"), "reason",
			json_object_get(options->override, "reason"));
	if (options->amount)
		json_object_set_new(options->override, "add_usd", json_string(options->amount));
	return json_pack("{s:s, s:s, s:s, s:s, s:O}", "op", "budget", "verb", "set", "agent",
		options->agent, "who", who, "override", options->override);
}

// ---- Printing ----

static void print_value(const json_t *value)
{
	char *text =
		json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	printf("%s", json_is_string(value) ? json_string_value(value) : text ? text : "?");
	free(text);
}

static void print_budget(const json_t *budget)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)budget, key, value)
	{
		if (strcmp(key, "name") == 0)
			continue;
		printf("  %s=", key);
		print_value(value);
	}
}

static const json_t *usage_of(const json_t *agent, const char *name)
{
	size_t index;
	json_t *budget;

	json_array_foreach(
		json_object_get(json_object_get(agent, "usage"), "budgets"), index, budget)
	{
		const char *its = json_string_value(json_object_get(budget, "name"));

		if (its && strcmp(its, name) == 0)
			return budget;
	}
	return NULL;
}

static void print_agent(const json_t *agent)
{
	const char *name = json_string_value(json_object_get(agent, "agent"));
	size_t index;
	json_t *item;

	if (!json_array_size(json_object_get(agent, "budgets")))
		printf("%s: %s\n", name,
			json_is_true(json_object_get(agent, "started"))
				? "no budget: metered, not limited"
				: "has not started yet");
	json_array_foreach(json_object_get(agent, "budgets"), index, item)
	{
		const char *budget = json_string_value(json_object_get(item, "name"));
		const json_t *usage = usage_of(agent, budget);

		printf("%s %s:", name, budget);
		print_budget(item);
		if (usage)
			printf("  spent_usd=%s  held_usd=%s  requests=%lld",
				json_string_value(json_object_get(usage, "spent_usd")),
				json_string_value(json_object_get(usage, "held_usd")),
				(long long)json_integer_value(json_object_get(usage, "requests")));
		putchar('\n');
	}
	json_array_foreach(json_object_get(agent, "errors"), index, item)
	{
		const char *source = json_string_value(json_object_get(item, "source"));

		printf("%s: REFUSED %s: %s (the last good policy stays in force)\n", name,
			source ? source : "", json_string_value(json_object_get(item, "error")));
	}
}

static void print_change(const json_t *answer)
{
	const char *name = json_string_value(json_object_get(answer, "agent"));
	static const char *const sides[] = { "before", "after" };

	if (!json_is_true(json_object_get(answer, "started"))) {
		printf("%s has not started yet: this is in force when it does\n", name);
		return;
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(sides); i++) {
		size_t index;
		json_t *budget;

		json_array_foreach(json_object_get(answer, sides[i]), index, budget)
		{
			printf("%-6s %s %s:", sides[i], name,
				json_string_value(json_object_get(budget, "name")));
			print_budget(budget);
			putchar('\n');
		}
	}
}

static void print_answer(const struct options *options, json_t *answer)
{
	size_t index;
	json_t *agent;

	if (options->json) {
		json_object_del(answer, "ok");
		json_dumpf(answer, stdout, JSON_INDENT(1));
		putchar('\n');
	} else if (options->verb == VERB_SHOW) {
		json_array_foreach(json_object_get(answer, "agents"), index, agent)
		{
			print_agent(agent);
		}
	} else {
		print_change(answer);
	}
}

static int usage(FILE *out, int code)
{
	fprintf(out, "Usage: spendgate budget set AGENT [OPTION...]\n"
		     "       spendgate budget add AGENT USD [OPTION...]\n"
		     "       spendgate budget rm AGENT [BUDGET]\n"
		     "       spendgate budget show [AGENT]\n\n"
		     "The limits of agents, changed while they run (docs/control.md). `spendgate "
		     "budget VERB --help` "
		     "tells the options.\n");
	return code;
}

static int perform(struct options *options)
{
	json_t *answer = NULL;
	int code = sg_start_ask(make_request(options), SG_EXIT_FAILED, &answer);

	if (code == SG_EXIT_OK)
		print_answer(options, answer);
	json_decref(answer);
	return code;
}

int sg_cli_budget(int argc, char **argv)
{
	struct options options = { .override = json_object() };
	size_t i = 0;
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	while (argc > 1 && i < SG_ARRAY_SIZE(verbs) && strcmp(argv[1], verbs[i].name) != 0)
		i++;
	if (argc < 2 || i == SG_ARRAY_SIZE(verbs)) {
		bool help =
			argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);

		json_decref(options.override);
		return help ? usage(stdout, SG_EXIT_OK) : usage(stderr, SG_EXIT_USAGE);
	}
	options.verb = (enum verb)i;
	argp_parse(&verbs[i].argp, argc - 1, sg_cli_descend(argv), 0, NULL, &options);
	r = perform(&options);
	json_decref(options.override);
	return r;
}
