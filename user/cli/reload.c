// SPDX-License-Identifier: Apache-2.0
// `spendgate reload`
#include <argp.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "spendgate/exit.h"

static const struct argp argp = { NULL, NULL, NULL,
	"Lets the running spendgated read its configuration again: checked as a whole, in force "
	"for "
	"the next call of "
	"every agent, no connection dropped. On an error the configuration stays as it was.\v"
	"Exit codes: 0 done; 69 spendgated is not running; 77 not root; 78 the configuration was "
	"refused.",
	NULL, NULL, NULL };

int sg_cli_reload(int argc, char **argv)
{
	const char *restart;
	json_t *answer;
	int code;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	code = sg_start_ask(json_pack("{s:s}", "op", "reload"), SG_EXIT_CONFIG, &answer);
	if (code != SG_EXIT_OK)
		return code;
	restart = json_string_value(json_object_get(answer, "restart"));
	if (restart && *restart)
		printf("in force, but for these keys, which need a restart of spendgated: %s\n",
			restart);
	json_decref(answer);
	return SG_EXIT_OK;
}
