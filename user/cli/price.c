// SPDX-License-Identifier: Apache-2.0
// `spendgate price`
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "cli/cli.h"
#include "cli/date.h"
#include "provider/price.h"
#include "spendgate/exit.h"

struct options {
	const char *provider, *model, *at, *usage, *prices;
};

enum { KEY_USAGE_FILE = 256, KEY_PRICES, KEY_AT };

static const struct argp_option option_table[] = {
	{ "provider", 'p', "PROVIDER", 0, "openai, anthropic, ... (docs/providers.md)", 0 },
	{ "model", 'm', "MODEL", 0, "as the provider names it", 0 },
	{ "at", KEY_AT, "DATE", 0, "price of this day, as 2026-11-24 (default: today)", 0 },
	{ "usage", KEY_USAGE_FILE, "FILE", 0,
		"JSON with token counts (input_tokens, cache_read_tokens, output_tokens, ...): say "
		"its cost",
		0 },
	{ "prices", KEY_PRICES, "FILE", 0, "prices that are put over the built-in table", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'p':
		options->provider = argument;
		return 0;
	case 'm':
		options->model = argument;
		return 0;
	case KEY_AT:
		options->at = argument;
		return 0;
	case KEY_USAGE_FILE:
		options->usage = argument;
		return 0;
	case KEY_PRICES:
		options->prices = argument;
		return 0;
	case ARGP_KEY_END:
		if (!options->provider || !options->model)
			argp_error(state, "--provider and --model are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { option_table, parse_option, NULL,
	"Prints the price of a model in USD per million tokens as JSON, or the exact cost of "
	"usage. `spendgate price update FILE` gives a running spendgated new prices.",
	NULL, NULL, NULL };

// All numbers of a price have six decimal digits: pico-dollars a token are micro-dollars a million,
// nano-dollars a search are micro-dollars a thousand, multipliers are in millionths.
static void set_decimal(json_t *object, const char *key, int64_t millionths)
{
	char text[32];

	sg_money_format_pico(millionths * 1000000, text, sizeof(text));
	json_object_set_new(object, key, json_string(text));
}

static void set_long_context(json_t *object, const struct sg_price *price)
{
	if (!price->long_context_above)
		return;
	json_object_set_new(object, "long_context_above", json_integer(price->long_context_above));
	set_decimal(object, "long_input", price->long_input);
	set_decimal(object, "long_cache_read", price->long_cache_read);
	set_decimal(object, "long_cache_write", price->long_cache_write);
	set_decimal(object, "long_cache_write_1h", price->long_cache_write_1h);
	set_decimal(object, "long_output", price->long_output);
}

static void set_multipliers(json_t *object, const struct sg_price *price)
{
	const struct {
		const char *key;
		int64_t value;
	} parts[] = { { "flex", price->flex }, { "priority", price->priority },
		{ "batch", price->batch }, { "geo_us", price->geo_us }, { "fast", price->fast },
		{ "regional", price->regional } };

	for (size_t i = 0; i < SG_ARRAY_SIZE(parts); i++)
		if (parts[i].value != SG_PRICE_ONE)
			set_decimal(object, parts[i].key, parts[i].value);
}

static json_t *describe(const struct sg_price *price)
{
	json_t *object = json_pack("{s:s, s:s, s:s}", "provider", price->provider, "model",
		price->model, "unit", "USD per 1,000,000 tokens");
	char date[32];

	if (price->from_ns > 0) {
		sg_clock_format(price->from_ns, date, sizeof(date));
		json_object_set_new(object, "from", json_stringn(date, 10));
	}
	set_decimal(object, "input", price->input);
	set_decimal(object, "cache_read", price->cache_read);
	set_decimal(object, "cache_write", price->cache_write);
	set_decimal(object, "cache_write_1h", price->cache_write_1h);
	set_decimal(object, "output", price->output);
	if (price->audio_input != price->input)
		set_decimal(object, "audio_input", price->audio_input);
	if (price->audio_output != price->output)
		set_decimal(object, "audio_output", price->audio_output);
	if (price->audio_cache_read != price->cache_read)
		set_decimal(object, "audio_cache_read", price->audio_cache_read);
	if (price->image_cache_read != price->cache_read)
		set_decimal(object, "image_cache_read", price->image_cache_read);
	set_long_context(object, price);
	if (price->web_search)
		set_decimal(object, "web_search_per_1k", price->web_search);
	if (price->maps)
		set_decimal(object, "maps_per_1k", price->maps);
	if (price->file_search)
		set_decimal(object, "file_search_per_1k", price->file_search);
	set_multipliers(object, price);
	json_object_set_new(object, "context_window", json_integer(price->context_window));
	json_object_set_new(object, "max_output", json_integer(price->max_output));
	return object;
}

// ---- Usage: the token counts of an exchange, as docs/exchange-format.md names them ----

static int read_usage_count(const json_t *usage, const char *key, int64_t *ret_count,
	unsigned *seen, struct sg_error *error)
{
	const json_t *value = json_object_get(usage, key);

	*ret_count = json_integer_value(value);
	*seen += value != NULL;
	if (value && (!json_is_integer(value) || *ret_count < 0 || *ret_count > SG_COUNT_MAX))
		return sg_error_set(error, -EINVAL, "%s: must be a whole number of tokens", key);
	return 0;
}

static void read_usage_text(const json_t *usage, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(usage, key));

	snprintf(out, size, "%s", text ? text : "");
}

static int read_usage(const json_t *object, struct sg_usage *usage, struct sg_error *error)
{
	const struct {
		const char *key;
		int64_t *value;
	} counts[] = {
		{ "input_tokens", &usage->input_tokens },
		{ "cache_read_tokens", &usage->cache_read_tokens },
		{ "cache_write_tokens", &usage->cache_write_tokens },
		{ "cache_write_1h_tokens", &usage->cache_write_1h_tokens },
		{ "output_tokens", &usage->output_tokens },
		{ "audio_input_tokens", &usage->audio_input_tokens },
		{ "audio_output_tokens", &usage->audio_output_tokens },
		{ "audio_cache_read_tokens", &usage->audio_cache_read_tokens },
		{ "image_cache_read_tokens", &usage->image_cache_read_tokens },
		{ "web_search_requests", &usage->web_search_requests },
		{ "maps_requests", &usage->maps_requests },
		{ "file_search_requests", &usage->file_search_requests },
	};
	unsigned seen = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(counts); i++)
		r = read_usage_count(object, counts[i].key, counts[i].value, &seen, error);
	if (r == 0 && !seen)
		return sg_error_set(error, -EINVAL,
			"no token counts: give an object with input_tokens, output_tokens, ...");
	read_usage_text(object, "service_tier", usage->service_tier, sizeof(usage->service_tier));
	read_usage_text(object, "speed", usage->speed, sizeof(usage->speed));
	read_usage_text(
		object, "inference_geo", usage->inference_geo, sizeof(usage->inference_geo));
	return r;
}

// Lines (a second model, a fallback) have the price of their own model each.
static int read_lines(const json_t *file, struct sg_outcome *outcome, struct sg_error *error)
{
	const json_t *lines = json_object_get(file, "lines"), *line;
	size_t i;
	int r = 0;

	if (json_array_size(lines) > SG_USAGE_MAX_LINES)
		return sg_error_set(
			error, -EINVAL, "lines: more than %d of them", SG_USAGE_MAX_LINES);
	json_array_foreach((json_t *)lines, i, line)
	{
		struct sg_usage *usage = &outcome->lines[i];

		r = read_usage(line, usage, error);
		if (r < 0)
			return sg_error_prefix(error, r, "lines[%zu]: ", i);
		read_usage_text(line, "model", usage->model, sizeof(usage->model));
		outcome->line_count++;
	}
	return r;
}

static int read_usage_file(const char *path, struct sg_outcome *outcome, struct sg_error *error)
{
	json_t *file = sg_json_load(path, JSON_REJECT_DUPLICATES, error);
	int r;

	if (!file)
		return -EINVAL;
	r = read_usage(file, &outcome->usage, error);
	if (r == 0)
		r = read_lines(file, outcome, error);
	json_decref(file);
	return r < 0 ? sg_error_prefix(error, r, "%s: ", path) : 0;
}

static int add_cost(const struct options *options, const struct sg_price_table *table,
	int64_t wall_ns, json_t *object, struct sg_error *error)
{
	struct sg_outcome outcome = { .state = SG_EXCHANGE_SETTLED };
	const struct sg_provider *provider = sg_provider_by_name(options->provider);
	struct sg_charge charge;
	char text[32];
	int r = read_usage_file(options->usage, &outcome, error);

	if (r < 0)
		return r;
	snprintf(outcome.usage.model, sizeof(outcome.usage.model), "%s", options->model);
	r = sg_price_cost(table, provider, options->model, &outcome, wall_ns, &charge);
	if (r < 0)
		return sg_error_set(error, r, "no price");
	sg_money_format(charge.nanousd, text, sizeof(text));
	json_object_set_new(object, "cost_usd", json_string(text));
	return 0;
}

static int unknown_provider(const char *name, struct sg_error *error)
{
	const struct sg_provider *known;

	sg_error_set(error, -EINVAL, "unknown provider \"%.80s\": must be one of", name);
	for (size_t i = 0; (known = sg_provider_at(i)); i++) {
		size_t length = strlen(error->text);

		snprintf(error->text + length, sizeof(error->text) - length, " %s",
			sg_provider_name(known));
	}
	return -EINVAL;
}

static int print_price(const struct options *options, const struct sg_price_table *table,
	int64_t wall_ns, struct sg_error *error)
{
	const struct sg_price *price;
	json_t *object;
	int r = 0;

	if (!sg_provider_by_name(options->provider))
		return unknown_provider(options->provider, error);
	price = sg_price_find(table, options->provider, options->model, wall_ns);
	if (!price)
		return sg_error_set(error, -ENOENT,
			"no price for model \"%s\" of %s: add it with --prices, or \"prices\" in "
			"the configuration",
			options->model, options->provider);
	object = describe(price);
	if (options->usage)
		r = add_cost(options, table, wall_ns, object, error);
	if (r == 0) {
		json_dumpf(object, stdout, JSON_INDENT(1));
		putchar('\n');
	}
	json_decref(object);
	return r;
}

int sg_cli_price(int argc, char **argv)
{
	struct options options = { NULL, NULL, NULL, NULL, NULL };
	struct sg_price_table *table = NULL;
	struct sg_error error = { "" };
	int64_t wall_ns;
	int r;

	if (argc > 1 && strcmp(argv[1], "update") == 0)
		return sg_cli_price_update(argc - 1, sg_cli_descend(argv));
	argp_err_exit_status = SG_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	r = sg_date_parse(options.at, &wall_ns, &error);
	if (r == 0)
		r = sg_price_table_load(options.prices, &table, &error);
	if (r == 0)
		r = print_price(&options, table, wall_ns, &error);
	if (r < 0)
		fprintf(stderr, "spendgate: %s\n", error.text);
	sg_price_table_free(table);
	return r < 0 ? SG_EXIT_DATA : SG_EXIT_OK;
}
