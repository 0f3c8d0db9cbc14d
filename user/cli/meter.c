// SPDX-License-Identifier: Apache-2.0
// `spendgate meter`
#include <argp.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/date.h"
#include "provider/meter.h"
#include "spendgate/exit.h"

struct options {
	const char *path, *prices, *at;
};

static const struct argp_option option_table[] = {
	{ "prices", 'p', "FILE", 0, "prices that are put over the built-in table", 0 },
	{ "at", 'a', "DATE", 0, "prices of this day, as 2026-11-24 (default: today)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'p':
		options->prices = argument;
		return 0;
	case 'a':
		options->at = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (options->path)
			argp_error(state, "one file at a time");
		options->path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->path)
			argp_error(state, "no file given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, "EXCHANGE.json",
	"Says what a recorded exchange with a provider counts and costs, as JSON "
	"(docs/exchange-format.md).",
	NULL, NULL, NULL };

int sg_cli_meter(int argc, char **argv)
{
	struct options options = { NULL, NULL, NULL };
	struct sg_meter_options meter = { .split = SG_METER_WHOLE };
	struct sg_price_table *table = NULL;
	struct sg_error error = { "" };
	json_t *exchange = NULL, *result = NULL;
	int r;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	r = sg_date_parse(options.at, &meter.wall_ns, &error);
	if (r == 0)
		r = sg_price_table_load(options.prices, &table, &error);
	if (r == 0) {
		exchange = sg_json_load(options.path, JSON_ALLOW_NUL, &error);
		r = exchange ? 0 : -EINVAL;
	}
	if (r == 0)
		r = sg_meter_exchange(exchange, table, &meter, &result, &error);
	if (r == 0) {
		json_dumpf(result, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		fprintf(stderr, "spendgate: %s\n", error.text);
	}
	json_decref(exchange);
	json_decref(result);
	sg_price_table_free(table);
	return r < 0 ? SG_EXIT_DATA : SG_EXIT_OK;
}
