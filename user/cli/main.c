// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "spendgate/exit.h"
#include "spendgate/version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *description;
} commands[] = {
	{ "run", sg_cli_run, "run a command as an agent with a spending limit" },
	{ "status", sg_cli_status, "agents, budgets, spent, held, calls, refused" },
	{ "reload", sg_cli_reload, "let the running spendgated read its configuration again" },
	{ "attach", sg_cli_attach, "make a running container or cgroup an agent" },
	{ "detach", sg_cli_detach, "end that" },
	{ "budget", sg_cli_budget, "change the limits of running agents, live" },
	{ "cut", sg_cli_cut, "end an agent's connections, and let it make no more" },
	{ "resume", sg_cli_resume, "let an agent go on that was cut off, or frozen" },
	{ "audit", sg_cli_audit, "who changed which limit, what was refused" },
	{ "ledger", sg_cli_ledger, "every call of the ledger, as CSV or JSON lines" },
	{ "report", sg_cli_report, "what was spent, by agent, model, team, day" },
	{ "token", sg_cli_token, "a token for the control API" },
	{ "compile", sg_cli_compile, "the budgets of a pod file, for the daemon" },
	{ "docker", sg_cli_docker, "make an engine's labelled containers agents" },
	{ "meter", sg_cli_meter, "what a recorded exchange counts and costs" },
	{ "tokens", sg_cli_tokens, "how many tokens a text is, as OpenAI's models count" },
	{ "price", sg_cli_price, "the price of a model, or the cost of usage" },
};

static int usage(FILE *out, int code)
{
	fprintf(out,
		"Usage: spendgate COMMAND [OPTION...]\n\nA hard spending limit for AI agents.\n\n");
	for (size_t i = 0; i < SG_ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].description);
	fprintf(out,
		"\n`spendgate COMMAND --help` tells the options, `spendgate --version` "
		"the version. Exit codes: 0 done; 1 "
		"failed; 64 usage; 65 bad input; "
		"69 kernel or daemon not available; 73 disk full; 77 not root; 78 configuration "
		"refused. `run` gives its command's "
		"own status.\n");
	return code;
}

// What was printed may be a bill: a part of it must not pass for the whole.
static int finish(int code)
{
	bool failed;

	errno = EIO; // of a write that failed before
	failed = fflush(stdout) != 0 || ferror(stdout);
	if (code != SG_EXIT_OK || !failed)
		return code;
	fprintf(stderr, "spendgate: standard output: %s\n", strerror(errno));
	return SG_EXIT_CANTCREAT;
}

char **sg_cli_descend(char **argv)
{
	static char name[64] = "spendgate";
	size_t length = strlen(name);

	snprintf(name + length, sizeof(name) - length, " %s", argv[1]);
	argv[1] = name;
	return argv + 1;
}

int main(int argc, char **argv)
{
	if (sg_fd_fill_standard() < 0)
		return SG_EXIT_INTERNAL;
	if (argc < 2)
		return usage(stderr, SG_EXIT_USAGE);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0 ||
		strcmp(argv[1], "help") == 0)
		return finish(usage(stdout, SG_EXIT_OK));
	if (strcmp(argv[1], "--version") == 0) {
		printf("spendgate %s\n", SG_VERSION);
		return finish(SG_EXIT_OK);
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return finish(commands[i].run(argc - 1, sg_cli_descend(argv)));
	fprintf(stderr, "spendgate: unknown command \"%s\"\n", argv[1]);
	return usage(stderr, SG_EXIT_USAGE);
}
