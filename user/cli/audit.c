// SPDX-License-Identifier: Apache-2.0
// `spendgate audit`: the newest lines of the audit log.
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "spendgate/exit.h"

struct options {
	long lines;
	const char *agent;
};

static const struct argp_option option_table[] = {
	{ "lines", 'n', "N", 0, "the newest N (default 100, at most 10000)", 0 },
	{ "agent", 'a', "NAME", 0, "only those of this agent", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	char *end;

	switch (key) {
	case 'n':
		options->lines = strtol(argument, &end, 10);
		if (*end || options->lines < 1)
			argp_error(state, "\"%s\" is no number of lines", argument);
		return 0;
	case 'a':
		options->agent = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, NULL,
	"Shows who changed which limit, what was refused, and alerts, as JSON lines "
	"(docs/control.md).",
	NULL, NULL, NULL };

int sg_cli_audit(int argc, char **argv)
{
	struct options options = { 100, NULL };
	struct sg_daemon daemon = { -1 };
	struct sg_error error = { "" };
	json_t *request, *answer = NULL, *line;
	size_t index;
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	request = json_pack("{s:s, s:s, s:I, s:s*}", "op", "budget", "verb", "audit", "lines",
		(json_int_t)options.lines, "agent", options.agent);
	r = sg_start_open(&daemon, false, NULL, &error);
	if (r == 0)
		r = sg_daemon_ask(&daemon, request, NULL, 0, &answer, &error);
	json_decref(request);
	sg_daemon_close(&daemon);
	if (r < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		return r == -EPERM	 ? SG_EXIT_NOPERM
		       : r == -EREMOTEIO ? SG_EXIT_FAILED
					 : SG_EXIT_UNAVAILABLE;
	}
	json_array_foreach(json_object_get(answer, "lines"), index, line)
	{
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	}
	json_decref(answer);
	return SG_EXIT_OK;
}
