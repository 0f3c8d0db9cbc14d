// SPDX-License-Identifier: Apache-2.0
// `spendgate ledger export`: every call. `spendgate report`: what was spent, in groups.
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ledger.h"
#include "cli/rows.h"
#include "spendgate/exit.h"

struct options {
	struct sg_ledger_options ledger;
	enum sg_rows_format format;
	char by[128]; // of a report: columns
};

static const struct argp_option export_options[] = {
	SG_LEDGER_ARGP_OPTIONS{ "format", 'f', "FORMAT", 0, "csv (default) or jsonl", 0 }, { 0 }
};

static const struct argp_option report_options[] = {
	SG_LEDGER_ARGP_OPTIONS{ "by", 'b', "KEYS", 0,
		"agent (default), model, team, day, provider, or several: team,day", 0 },
	{ "format", 'f', "FORMAT", 0, "table (default), csv or jsonl", 0 }, { 0 }
};

// A list of known columns, as SQL takes it.
static int take_keys(char *out, size_t size, const char *text)
{
	static const char *const known[] = { "agent", "model", "team", "day", "provider" };

	if (strlen(text) >= size)
		return -EINVAL;
	strcpy(out, text);
	for (;;) {
		size_t length = strcspn(text, ","), i = 0;

		while (i < SG_ARRAY_SIZE(known) &&
			(strlen(known[i]) != length || strncmp(known[i], text, length) != 0))
			i++;
		if (i == SG_ARRAY_SIZE(known))
			return -EINVAL;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	if (key == 'f') {
		if (sg_rows_format(argument, &options->format) < 0)
			argp_error(state, "\"%s\" is no format", argument);
		return 0;
	}
	if (key == 'b') {
		if (take_keys(options->by, sizeof(options->by), argument) < 0)
			argp_error(state,
				"--by \"%s\": must be agent, model, team, day, provider, with "
				"commas between",
				argument);
		return 0;
	}
	return sg_ledger_take_option(&options->ledger, key, argument);
}

static const struct argp export_argp = { export_options, parse_option, NULL,
	"Prints every call of the ledger, the oldest first, while the daemon goes on "
	"(docs/reports.md).",
	NULL, NULL, NULL };
static const struct argp report_argp = { report_options, parse_option, NULL,
	"Sums up what was spent. Dollars are exact; days are UTC's.", NULL, NULL, NULL };

static int print(const struct options *options, const char *columns, const char *tail)
{
	struct sg_error error = { "" };
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	int r = sg_ledger_query(&options->ledger, columns, tail, &db, &statement, &error);

	if (r == 0) {
		r = sg_rows_print(statement, options->format, stdout);
		if (r == -EIO)
			sg_ledger_query_failed(db, &error);
		else if (r < 0)
			sg_error_set(&error, r, "standard output: %s", strerror(-r));
		sqlite3_finalize(statement);
		sqlite3_close(db);
	}
	if (r < 0)
		fprintf(stderr, "spendgate: %s\n", error.text);
	return r == 0	      ? SG_EXIT_OK
	       : r == -EINVAL ? SG_EXIT_USAGE
	       : r == -ENOSPC ? SG_EXIT_CANTCREAT
			      : SG_EXIT_FAILED;
}

int sg_cli_ledger(int argc, char **argv)
{
	struct options options = { .format = SG_ROWS_CSV };
	bool help = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0);

	argp_err_exit_status = SG_EXIT_USAGE;
	if (argc < 2 || strcmp(argv[1], "export") != 0) {
		fprintf(help ? stdout : stderr,
			"Usage: spendgate ledger export [OPTION...]\n\nPrints every call of the "
			"ledger. "
			"`spendgate ledger export --help` tells the options.\n");
		return help ? SG_EXIT_OK : SG_EXIT_USAGE;
	}
	argp_parse(&export_argp, argc - 1, sg_cli_descend(argv), 0, NULL, &options);
	return print(&options,
		"call_id, at_ns, agent, team, provider, api, model, requested_model, state, "
		"http_status, input, output, "
		"cache_read, cache_write, cache_write_1h, reasoning, nanousd, hold_nanousd, "
		"aborted, cut",
		"ORDER BY at_ns, call_id");
}

int sg_cli_report(int argc, char **argv)
{
	struct options options = { .format = SG_ROWS_TABLE, .by = "agent" };
	char columns[512], tail[512];

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&report_argp, argc, argv, 0, NULL, &options);
	snprintf(columns, sizeof(columns),
		"%s, count(*) AS calls, sum(state <> 'settled') AS estimated, sum(input) AS input, "
		"sum(output) AS output, "
		"sum(nanousd) AS nanousd",
		options.by);
	snprintf(tail, sizeof(tail), "GROUP BY %s ORDER BY %s", options.by, options.by);
	return print(&options, columns, tail);
}
