// SPDX-License-Identifier: Apache-2.0
// `spendgate status`
#include <argp.h>
#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "spendgate/exit.h"

static const struct argp_option option_table[] = {
	{ "json", 'j', NULL, 0, "as JSON, with everything", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument SG_UNUSED, struct argp_state *state)
{
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	*(bool *)state->input = true;
	return 0;
}

static const struct argp argp = { option_table, parse_option, NULL,
	"Shows the agents of the running spendgated: budgets, spent, held, calls, refused.", NULL,
	NULL, NULL };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void print_agent(const json_t *agent)
{
	const json_t *budgets = json_object_get(agent, "budgets");
	size_t count = json_array_size(budgets);
	char name[128];

	snprintf(name, sizeof(name), "%s%s", text_of(agent, "name"),
		json_is_true(json_object_get(agent, "cut")) ? " (cut)" : "");
	for (size_t i = 0; i < (count ? count : 1); i++) {
		const json_t *budget = count ? json_array_get(budgets, i) : agent;

		printf("%-20s %-12s %-10s %12s %12s %12s %8lld %8lld\n", i ? "" : name,
			count ? text_of(budget, "name") : "(none)", text_of(budget, "window"),
			text_of(budget, "limit_usd"), text_of(budget, "spent_usd"),
			text_of(budget, "held_usd"),
			(long long)json_integer_value(json_object_get(agent, "calls")),
			(long long)json_integer_value(json_object_get(agent, "refused")));
	}
}

// A budget of several agents has a line of its own: its calls are those of all of them.
static void print_shared(const json_t *budget)
{
	const char *label = json_string_value(json_object_get(budget, "label"));

	printf("%-20s %-12s %-10s %12s %12s %12s %8lld %8s\n", label ? label : "(host)",
		text_of(budget, "name"), text_of(budget, "window"), text_of(budget, "limit_usd"),
		text_of(budget, "spent_usd"), text_of(budget, "held_usd"),
		(long long)json_integer_value(json_object_get(budget, "requests")), "-");
}

static void print_table(const json_t *status)
{
	size_t index;
	json_t *agent, *budget;

	printf("%-20s %-12s %-10s %12s %12s %12s %8s %8s\n", "AGENT", "BUDGET", "WINDOW",
		"LIMIT USD", "SPENT USD", "HELD USD", "CALLS", "REFUSED");
	json_array_foreach(json_object_get(status, "agents"), index, agent)
	{
		print_agent(agent);
	}
	json_array_foreach(json_object_get(status, "budgets"), index, budget)
	{
		print_shared(budget);
	}
}

int sg_cli_status(int argc, char **argv)
{
	bool as_json = false;
	json_t *status;
	int code;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &as_json);
	code = sg_start_ask(json_pack("{s:s}", "op", "status"), SG_EXIT_UNAVAILABLE, &status);
	if (code != SG_EXIT_OK)
		return code;
	if (as_json) {
		json_object_del(status, "ok");
		json_dumpf(status, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		print_table(status);
	}
	json_decref(status);
	return SG_EXIT_OK;
}
