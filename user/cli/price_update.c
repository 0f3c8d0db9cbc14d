// SPDX-License-Identifier: Apache-2.0
// `spendgate price update`
#include <argp.h>
#include <errno.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/cli.h"
#include "cli/start.h"
#include "provider/price.h"
#include "spendgate/exit.h"

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	const char **path = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*path)
			argp_error(state, "one file at a time");
		*path = argument;
		return 0;
	case ARGP_KEY_END:
		if (!*path)
			argp_error(state, "no file given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { NULL, parse_option, "FILE",
	"Gives a running spendgated new prices (docs/prices.md): checked as a whole, in force for "
	"the next call, "
	"also after a restart. Calls in flight are billed by the table that they began with or the "
	"new one, never by a part. On an error the prices stay as they were.\v"
	"Exit codes: 0 done; 65 the file was refused; 69 spendgated is not running; 77 not root.",
	NULL, NULL, NULL };

static int read_document(const char *path, json_t **ret_document, struct sg_error *error)
{
	struct sg_price_table *table = NULL;
	json_error_t where;
	int r = sg_price_table_load(path, &table, error);

	sg_price_table_free(table);
	if (r < 0)
		return r;
	*ret_document = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
	return *ret_document
		       ? 0
		       : sg_error_set(error, -EINVAL, "%s:%d: %s", path, where.line, where.text);
}

int sg_cli_price_update(int argc, char **argv)
{
	struct sg_error error = { "" };
	json_t *document = NULL, *answer = NULL;
	const char *path = NULL;
	int code;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &path);
	if (read_document(path, &document, &error) < 0) {
		fprintf(stderr, "spendgate: %s\n", error.text);
		return SG_EXIT_DATA;
	}
	code = sg_start_ask(json_pack("{s:s, s:o}", "op", "prices", "document", document),
		SG_EXIT_DATA, &answer);
	json_decref(answer);
	return code;
}
