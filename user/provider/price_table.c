// SPDX-License-Identifier: Apache-2.0
// Loading the dated price table (docs/prices.md) and finding a model in it.
#include "provider/price_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/money.h"

extern const char sg_builtin_prices[];
extern const size_t sg_builtin_prices_length;

#define FILE_LIMIT (16u << 20)

// USD per 1,000,000 tokens to pico-dollars a token: six digits.
#define PER_MILLION_DIGITS 6
#define MULTIPLIER_DIGITS  6

struct loading {
	const json_t *model;
	const char *place; // provider/model, for the sentence
	struct sg_error *error;
};

// ---- One entry ----

static int read_decimal(const struct loading *loading, const json_t *object, const char *key,
	int digits, int64_t otherwise, int64_t *ret_value)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (!value) {
		*ret_value = otherwise;
		return 0;
	}
	if (!text || sg_money_parse(text, strlen(text), digits, ret_value) < 0)
		return sg_error_set(loading->error, -EINVAL,
			"%s: %s must be a decimal number in quotes", loading->place, key);
	return 0;
}

static int read_required(const struct loading *loading, const char *key, int64_t *ret_value)
{
	if (!json_object_get(loading->model, key))
		return sg_error_set(
			loading->error, -EINVAL, "%s: %s is missing", loading->place, key);
	return read_decimal(loading, loading->model, key, PER_MILLION_DIGITS, 0, ret_value);
}

static int read_count(
	const struct loading *loading, const json_t *object, const char *key, int64_t *ret_value)
{
	const json_t *value = json_object_get(object, key);

	*ret_value = json_integer_value(value);
	if (!json_is_integer(value) || *ret_value <= 0 || *ret_value > INT64_C(1) << 40)
		return sg_error_set(loading->error, -EINVAL, "%s: %s must be a positive number",
			loading->place, key);
	return 0;
}

static int read_date(const struct loading *loading, int64_t *ret_ns)
{
	const char *text = json_string_value(json_object_get(loading->model, "from"));
	struct tm date = { 0 };
	const char *end;

	*ret_ns = INT64_MIN;
	if (!json_object_get(loading->model, "from"))
		return 0;
	end = text ? strptime(text, "%Y-%m-%d", &date) : NULL;
	if (!end || *end)
		return sg_error_set(loading->error, -EINVAL,
			"%s: from must be a date as 2026-09-01", loading->place);
	*ret_ns = timegm(&date) * SG_NS_PER_SEC;
	return 0;
}

static int read_long_context(const struct loading *loading, struct sg_price *price)
{
	const json_t *tier = json_object_get(loading->model, "long_context");
	const struct {
		const char *key;
		int64_t otherwise, *value;
	} parts[] = {
		{ "input", price->input, &price->long_input },
		{ "output", price->output, &price->long_output },
		{ "cache_read", price->cache_read, &price->long_cache_read },
		{ "cache_write", price->cache_write, &price->long_cache_write },
		{ "cache_write_1h", price->cache_write_1h, &price->long_cache_write_1h },
	};
	int r = 0;

	if (!tier)
		return 0;
	r = read_count(loading, tier, "above", &price->long_context_above);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(parts); i++)
		r = read_decimal(loading, tier, parts[i].key, PER_MILLION_DIGITS,
			parts[i].otherwise, parts[i].value);
	return r;
}

static int read_prices(const struct loading *loading, struct sg_price *price)
{
	int r = read_required(loading, "input", &price->input);

	if (r == 0)
		r = read_required(loading, "output", &price->output);
	if (r == 0)
		r = read_decimal(loading, loading->model, "cache_read", PER_MILLION_DIGITS,
			price->input, &price->cache_read);
	if (r == 0)
		r = read_decimal(loading, loading->model, "cache_write", PER_MILLION_DIGITS,
			price->input, &price->cache_write);
	if (r == 0)
		r = read_decimal(loading, loading->model, "cache_write_1h", PER_MILLION_DIGITS,
			price->cache_write, &price->cache_write_1h);
	if (r == 0)
		r = read_decimal(loading, loading->model, "audio_input", PER_MILLION_DIGITS,
			price->input, &price->audio_input);
	if (r == 0)
		r = read_decimal(loading, loading->model, "audio_output", PER_MILLION_DIGITS,
			price->output, &price->audio_output);
	if (r == 0)
		r = read_decimal(
			loading, loading->model, "web_search_per_1k", 6, 0, &price->web_search);
	return r == 0 ? read_long_context(loading, price) : r;
}

static int read_multipliers(const struct loading *loading, struct sg_price *price)
{
	const struct {
		const char *key;
		int64_t *value;
	} parts[] = { { "flex", &price->flex }, { "priority", &price->priority },
		{ "batch", &price->batch }, { "geo_us", &price->geo_us },
		{ "fast", &price->fast } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(parts); i++)
		r = read_decimal(loading, loading->model, parts[i].key, MULTIPLIER_DIGITS,
			SG_PRICE_ONE, parts[i].value);
	return r;
}

static int read_model(const json_t *model, struct sg_price *price, struct sg_error *error)
{
	const char *provider = json_string_value(json_object_get(model, "provider"));
	const char *name = json_string_value(json_object_get(model, "model"));
	char place[SG_MODEL_BYTES + 32];
	struct loading loading = { model, place, error };
	int r;

	if (!provider || !name || strlen(provider) >= sizeof(price->provider) ||
		strlen(name) >= sizeof(price->model))
		return sg_error_set(error, -EINVAL,
			"an entry without provider or model, or with one that is too long");
	strcpy(price->provider, provider);
	strcpy(price->model, name);
	snprintf(place, sizeof(place), "%s/%s", provider, name);
	r = read_date(&loading, &price->from_ns);
	if (r == 0)
		r = read_prices(&loading, price);
	if (r == 0)
		r = read_multipliers(&loading, price);
	if (r == 0)
		r = read_count(&loading, model, "context_window", &price->context_window);
	if (r == 0)
		r = read_count(&loading, model, "max_output", &price->max_output);
	return r;
}

// ---- The table ----

static int compare_prices(const void *a, const void *b)
{
	const struct sg_price *left = a, *right = b;
	int order = strcmp(left->provider, right->provider);

	if (!order)
		order = strcmp(left->model, right->model);
	if (!order)
		order = (left->from_ns > right->from_ns) - (left->from_ns < right->from_ns);
	return order;
}

static bool same_entry(const struct sg_price *a, const struct sg_price *b)
{
	return compare_prices(a, b) == 0;
}

// Adds the entries of a document; one that is there already (same provider, model and date) is
// replaced.
static int add_document(
	struct sg_price_table *table, const char *text, size_t length, struct sg_error *error)
{
	json_error_t where;
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
	const json_t *models = json_object_get(root, "models");
	struct sg_price *larger;
	int r = 0;

	if (!json_is_array(models)) {
		r = root ? sg_error_set(error, -EINVAL, "there is no list \"models\"")
			 : sg_error_set(error, -EINVAL, "line %d: %s", where.line, where.text);
		json_decref(root);
		return r;
	}
	larger = realloc(
		table->prices, (table->count + json_array_size(models) + 1) * sizeof(*larger));
	if (!larger) {
		json_decref(root);
		return sg_error_set(error, -ENOMEM, "out of memory");
	}
	table->prices = larger;
	for (size_t i = 0; r == 0 && i < json_array_size(models); i++) {
		struct sg_price price = { .provider = "" };
		size_t at = 0;

		r = read_model(json_array_get(models, i), &price, error);
		while (at < table->count && !same_entry(&table->prices[at], &price))
			at++;
		if (r == 0)
			table->prices[at] = price;
		if (r == 0 && at == table->count)
			table->count++;
	}
	json_decref(root);
	return r;
}

int sg_price_table_builtin(struct sg_price_table **ret_table, struct sg_error *error)
{
	return sg_price_table_load(NULL, ret_table, error);
}

int sg_price_table_load(const char *path, struct sg_price_table **ret_table, struct sg_error *error)
{
	struct sg_price_table *table = calloc(1, sizeof(*table));
	char *text;
	size_t length;
	int r;

	if (!table)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = add_document(table, sg_builtin_prices, sg_builtin_prices_length, error);
	if (r < 0)
		sg_error_prefix(error, r, "built-in prices: ");
	if (r == 0 && path) {
		r = sg_fd_read_file(path, FILE_LIMIT, &text, &length);
		if (r < 0) {
			sg_error_set(error, r, "%s: %s", path, strerror(-r));
		} else {
			r = add_document(table, text, length, error);
			free(text);
			if (r < 0)
				sg_error_prefix(error, r, "%s: ", path);
		}
	}
	if (r < 0) {
		sg_price_table_free(table);
		return r;
	}
	qsort(table->prices, table->count, sizeof(*table->prices), compare_prices);
	*ret_table = table;
	return 0;
}

struct sg_price_table *sg_price_table_free(struct sg_price_table *table)
{
	if (table) {
		free(table->prices);
		free(table);
	}
	return NULL;
}

// ---- Finding ----

// First entry of {provider, model[0..length)}, or table->count.
static size_t lower_bound(
	const struct sg_price_table *table, const char *provider, const char *model, size_t length)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct sg_price *price = &table->prices[middle];
		int order = strcmp(price->provider, provider);

		if (!order)
			order = strncmp(price->model, model, length);
		if (!order && price->model[length])
			order = 1; // longer than what is looked for
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct sg_price *find_exact(const struct sg_price_table *table, const char *provider,
	const char *model, size_t length, int64_t wall_ns)
{
	const struct sg_price *found = NULL;

	for (size_t i = lower_bound(table, provider, model, length); i < table->count; i++) {
		const struct sg_price *price = &table->prices[i];

		if (strcmp(price->provider, provider) != 0 ||
			strncmp(price->model, model, length) != 0 || price->model[length])
			break;
		if (price->from_ns <= wall_ns)
			found = price; // the last that is in force
	}
	return found;
}

static bool all_digits(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

// Length of the name without "-2024-08-06", "-20250514" or "-latest"; 0 when it has none of these.
static size_t undated_length(const char *model, size_t length)
{
	const char *end = model + length;

	if (length > 11 && end[-11] == '-' && all_digits(end - 10, 4) && end[-6] == '-' &&
		all_digits(end - 5, 2) && end[-3] == '-' && all_digits(end - 2, 2))
		return length - 11;
	if (length > 9 && end[-9] == '-' && all_digits(end - 8, 8))
		return length - 9;
	if (length > 7 && memcmp(end - 7, "-latest", 7) == 0)
		return length - 7;
	return 0;
}

const struct sg_price *sg_price_find(const struct sg_price_table *table, const char *provider,
	const char *model, int64_t wall_ns)
{
	size_t length = strlen(model), undated;
	const struct sg_price *price =
		length ? find_exact(table, provider, model, length, wall_ns) : NULL;

	if (price || !length)
		return price;
	undated = undated_length(model, length);
	return undated ? find_exact(table, provider, model, undated, wall_ns) : NULL;
}
