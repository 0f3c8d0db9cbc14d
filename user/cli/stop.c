// SPDX-License-Identifier: Apache-2.0
// `spendgate cut`, `spendgate resume`: an agent loses every network at once, and may go on.
#include <argp.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/caller.h"
#include "cli/cli.h"
#include "cli/start.h"
#include "spendgate/exit.h"

struct options {
	const char *agent, *reason;
};

static const struct argp_option option_table[] = {
	{ "reason", 'r', "TEXT", 0, "for the audit log", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'r':
		options->reason = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (options->agent)
			argp_error(state, "one agent is expected");
		options->agent = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->agent)
			argp_error(state, "the name of an agent is expected");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp cut_argp = { option_table, parse_option, "AGENT",
	"Cuts an agent off: its connections are ended at once, whatever they lead to, and it can "
	"make no "
	"new ones, send no datagram and receive none, until `spendgate resume`. Its processes go "
	"on. It "
	"stays so over restarts of spendgated; an agent of the same name that starts later is "
	"another "
	"one.",
	NULL, NULL, NULL };

static const struct argp resume_argp = { option_table, parse_option, "AGENT",
	"Lets an agent go on that `spendgate cut` or a breaker has cut off, or that a breaker has "
	"frozen. "
	"What a breaker refuses it goes on to refuse until its cooldown is over.",
	NULL, NULL, NULL };

static json_int_t count_of(const json_t *answer, const char *key)
{
	return json_integer_value(json_object_get(answer, key));
}

static int run(const char *op, const struct options *options)
{
	char who[SG_CALLER_BYTES];
	json_t *answer;
	int code;

	sg_caller_describe(who, sizeof(who));
	code = sg_start_ask(json_pack("{s:s, s:s, s:s, s:s*}", "op", op, "agent", options->agent,
				    "who", who, "reason", options->reason),
		SG_EXIT_FAILED, &answer);
	if (code != SG_EXIT_OK)
		return code;
	printf("%s: %lld agents", options->agent, (long long)count_of(answer, "agents"));
	if (json_object_get(answer, "connections"))
		printf(", %lld connections ended", (long long)count_of(answer, "connections"));
	putchar('\n');
	json_decref(answer);
	return SG_EXIT_OK;
}

static int parse_and_run(const struct argp *argp, const char *op, int argc, char **argv)
{
	struct options options = { .agent = NULL };

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(argp, argc, argv, 0, NULL, &options);
	return run(op, &options);
}

int sg_cli_cut(int argc, char **argv)
{
	return parse_and_run(&cut_argp, "cut", argc, argv);
}

int sg_cli_resume(int argc, char **argv)
{
	return parse_and_run(&resume_argp, "resume", argc, argv);
}
