// SPDX-License-Identifier: Apache-2.0
// `spendgate tokens`
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "spendgate/exit.h"
#include "tokens/tokens.h"

struct options {
	const char *model;
	const struct sg_vocabulary *vocabulary;
	int first; // file; argc: none
};

static const struct argp_option option_table[] = {
	{ "model", 'm', "MODEL", 0,
		"as which of OpenAI's models, or vocabularies (default: gpt-4o)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'm':
		options->model = argument;
		return 0;
	case ARGP_KEY_ARGS:
		options->first = state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, "[FILE...]",
	"Counts the tokens of each file (or of what comes in), as OpenAI's models do.", NULL, NULL,
	NULL };

static int count(const struct options *options, FILE *file, const char *name)
{
	struct sg_token_counter counter;
	char bytes[65536];
	size_t n;

	sg_token_counter_init(&counter, options->vocabulary);
	while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
		sg_token_counter_feed(&counter, bytes, n);
	if (ferror(file)) {
		fprintf(stderr, "spendgate: %s: %s\n", name ? name : "input", strerror(errno));
		return SG_EXIT_DATA;
	}
	sg_token_counter_end_text(&counter);
	printf("%lld%s%s\n", (long long)counter.tokens, name ? " " : "", name ? name : "");
	return SG_EXIT_OK;
}

static int count_file(const struct options *options, const char *name)
{
	FILE *file = fopen(name, "rb");
	int code;

	if (!file) {
		fprintf(stderr, "spendgate: %s: %s\n", name, strerror(errno));
		return SG_EXIT_DATA;
	}
	code = count(options, file, name);
	fclose(file);
	return code;
}

int sg_cli_tokens(int argc, char **argv)
{
	struct options options = { "gpt-4o", NULL, argc };
	int code = SG_EXIT_OK;

	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	options.vocabulary = sg_vocabulary_by_name(options.model);
	if (!options.vocabulary)
		options.vocabulary = sg_vocabulary_of_model(options.model);
	if (!options.vocabulary) {
		fprintf(stderr,
			"spendgate: no vocabulary is known for model \"%s\": its tokens are "
			"bounded by bytes\n",
			options.model);
		return SG_EXIT_DATA;
	}
	if (options.first == argc)
		return count(&options, stdin, NULL);
	for (int i = options.first; i < argc && code == SG_EXIT_OK; i++)
		code = count_file(&options, argv[i]);
	return code;
}
