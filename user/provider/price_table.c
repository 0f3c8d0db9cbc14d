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
#include "base/json.h"
#include "base/money.h"

extern const char sg_builtin_prices[];
extern const size_t sg_builtin_prices_length;

#define FILE_LIMIT (16u << 20)

// Far above any price, and low enough that no product in price_cost.c passes 128 bits.
#define MAX_PER_MILLION (INT64_C(50000) * 1000000)
#define MAX_MULTIPLIER	(16 * (int64_t)SG_PRICE_ONE)
#define MAX_COUNT	(INT64_C(1) << 30)

struct loading {
	const json_t *model;
	const char *place; // provider/model, for the sentence
	struct sg_error *error;
};

// ---- One entry ----

static int read_decimal(const struct loading *loading, const json_t *object, const char *key,
	int64_t minimum, int64_t maximum, int64_t *ret_value)
{
	const char *text = json_string_value(json_object_get(object, key));

	// All of them have six digits: USD per million to pico-dollars a token, USD per thousand
	// searches to nano-dollars a search, multipliers to millionths.
	if (!text || sg_money_parse(text, strlen(text), 6, ret_value) < 0)
		return sg_error_set(loading->error, -EINVAL,
			"%s: %s must be a decimal number in quotes, as \"2.5\"", loading->place,
			key);
	if (*ret_value < minimum || *ret_value > maximum)
		return sg_error_set(
			loading->error, -EINVAL, "%s: %s is out of range", loading->place, key);
	return 0;
}

// Decimal members in the order of a table: one that is left out is what another says.
struct part {
	const char *key;
	const int64_t *otherwise; // NULL: needed
	int64_t *value;
};

static int read_parts(const struct loading *loading, const json_t *object, const struct part *parts,
	size_t count, int64_t minimum, int64_t maximum)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (json_object_get(object, parts[i].key))
			r = read_decimal(
				loading, object, parts[i].key, minimum, maximum, parts[i].value);
		else if (parts[i].otherwise)
			*parts[i].value = *parts[i].otherwise;
		else
			r = sg_error_set(loading->error, -EINVAL, "%s: %s is missing",
				loading->place, parts[i].key);
	}
	return r;
}

static int read_count(
	const struct loading *loading, const json_t *object, const char *key, int64_t *ret_value)
{
	const json_t *value = json_object_get(object, key);

	*ret_value = json_integer_value(value);
	if (!json_is_integer(value) || *ret_value <= 0 || *ret_value > MAX_COUNT)
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

static int refuse_unknown(
	const struct loading *loading, const json_t *object, const char *const *known)
{
	const char *key = sg_json_unknown_key(object, known);

	return key ? sg_error_set(loading->error, -EINVAL,
			     "%s: unknown key \"%.40s\": docs/prices.md has the keys",
			     loading->place, key)
		   : 0;
}

static int read_long_context(const struct loading *loading, struct sg_price *price)
{
	static const char *const known[] = { "above", "input", "output", "cache_read",
		"cache_write", "cache_write_1h", NULL };
	const json_t *tier = json_object_get(loading->model, "long_context");
	const struct part parts[] = {
		{ "input", &price->input, &price->long_input },
		{ "output", &price->output, &price->long_output },
		{ "cache_read", &price->cache_read, &price->long_cache_read },
		{ "cache_write", &price->cache_write, &price->long_cache_write },
		{ "cache_write_1h", &price->cache_write_1h, &price->long_cache_write_1h },
	};
	int r;

	if (!tier)
		return 0;
	r = refuse_unknown(loading, tier, known);
	if (r == 0)
		r = read_count(loading, tier, "above", &price->long_context_above);
	return r == 0 ? read_parts(loading, tier, parts, SG_ARRAY_SIZE(parts), 0, MAX_PER_MILLION)
		      : r;
}

static int read_prices(const struct loading *loading, struct sg_price *price)
{
	static const int64_t none = 0;
	const struct part parts[] = {
		{ "input", NULL, &price->input },
		{ "output", NULL, &price->output },
		{ "cache_read", &price->input, &price->cache_read },
		{ "cache_write", &price->input, &price->cache_write },
		{ "cache_write_1h", &price->cache_write, &price->cache_write_1h },
		{ "audio_input", &price->input, &price->audio_input },
		{ "audio_output", &price->output, &price->audio_output },
		{ "image_input", &price->input, &price->image_input },
		{ "image_output", &price->output, &price->image_output },
		{ "audio_cache_read", &price->cache_read, &price->audio_cache_read },
		{ "image_cache_read", &price->cache_read, &price->image_cache_read },
		{ "web_search_per_1k", &none, &price->web_search },
		{ "maps_per_1k", &none, &price->maps },
		{ "file_search_per_1k", &none, &price->file_search },
	};
	int r = read_parts(
		loading, loading->model, parts, SG_ARRAY_SIZE(parts), 0, MAX_PER_MILLION);

	price->always_searches = json_is_true(json_object_get(loading->model, "always_searches"));
	return r == 0 ? read_long_context(loading, price) : r;
}

static int read_multipliers(const struct loading *loading, struct sg_price *price)
{
	static const int64_t one = SG_PRICE_ONE;
	const struct part parts[] = { { "flex", &one, &price->flex },
		{ "priority", &one, &price->priority }, { "batch", &one, &price->batch },
		{ "geo_us", &one, &price->geo_us }, { "fast", &one, &price->fast },
		{ "regional", &one, &price->regional } };

	price->has_priority = json_object_get(loading->model, "priority") != NULL;
	return read_parts(loading, loading->model, parts, SG_ARRAY_SIZE(parts), 1, MAX_MULTIPLIER);
}

static int read_model(struct sg_price_table *table, const json_t *model, size_t index,
	struct sg_price *price, struct sg_error *error)
{
	static const char *const known[] = { "provider", "model", "from", "input", "output",
		"cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_output",
		"image_input", "image_output", "audio_cache_read", "image_cache_read",
		"long_context", "web_search_per_1k", "maps_per_1k", "file_search_per_1k",
		"always_searches", "context_window", "max_output", "flex", "priority", "batch",
		"geo_us", "fast", "regional", "per_image", "image_tokens", "per_million_characters",
		"per_1k_pages", "per_1k_annotated_pages", "per_audio_hour", "least_audio_ms",
		"per_container", NULL };
	const char *provider = json_string_value(json_object_get(model, "provider"));
	const char *name = json_string_value(json_object_get(model, "model"));
	char place[SG_MODEL_BYTES + 32];
	struct loading loading = { model, place, error };
	struct sg_price_pieces *pieces = NULL;
	int r;

	if (!provider || !name || strlen(provider) >= sizeof(price->provider) ||
		strlen(name) >= sizeof(price->model) || !*name)
		return sg_error_set(error, -EINVAL,
			"models[%zu]: \"provider\" and \"model\" must be names of at most %zu and "
			"%zu bytes",
			index, sizeof(price->provider) - 1, sizeof(price->model) - 1);
	strcpy(price->provider, provider);
	strcpy(price->model, name);
	snprintf(place, sizeof(place), "%s/%s", provider, name);
	r = refuse_unknown(&loading, model, known);
	if (r == 0)
		r = read_date(&loading, &price->from_ns);
	if (r == 0)
		r = read_prices(&loading, price);
	if (r == 0)
		r = read_multipliers(&loading, price);
	if (r == 0)
		r = read_count(&loading, model, "context_window", &price->context_window);
	if (r == 0)
		r = read_count(&loading, model, "max_output", &price->max_output);
	if (r == 0)
		r = sg_price_pieces_read(model, place, &pieces, error);
	if (r == 0 && pieces) {
		pieces->next = table->pieces;
		price->pieces = table->pieces = pieces;
	}
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

// The same entries in a row, the last that was read behind the others.
static int compare_entries(const void *a, const void *b)
{
	const struct sg_price *left = a, *right = b;
	int order = compare_prices(a, b);

	return order ? order
		     : (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

// Entries of the same provider, model and date: the last that was read counts.
static void sort_entries(struct sg_price_table *table)
{
	size_t kept = 0;

	qsort(table->prices, table->count, sizeof(*table->prices), compare_entries);
	for (size_t i = 0; i < table->count; i++) {
		if (kept && compare_prices(&table->prices[kept - 1], &table->prices[i]) == 0)
			kept--;
		table->prices[kept++] = table->prices[i];
	}
	table->count = kept;
}

// Adds the entries of a document.
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
		struct sg_price price = { .provider = "", .sequence = (unsigned)table->count };

		r = read_model(table, json_array_get(models, i), i, &price, error);
		if (r == 0)
			table->prices[table->count++] = price;
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
	sort_entries(table);
	*ret_table = table;
	return 0;
}

const struct sg_price_table *sg_price_table_take(const struct sg_price_table *table)
{
	if (table)
		atomic_fetch_add(&((struct sg_price_table *)table)->taken, 1);
	return table;
}

void sg_price_table_give_back(const struct sg_price_table *table)
{
	sg_price_table_free((struct sg_price_table *)table);
}

// Its owner is one of those that have it.
struct sg_price_table *sg_price_table_free(struct sg_price_table *table)
{
	if (table && atomic_fetch_sub(&table->taken, 1) == 0) {
		while (table->pieces) {
			struct sg_price_pieces *next = table->pieces->next;

			free(table->pieces);
			table->pieces = next;
		}
		free(table->prices);
		free(table);
	}
	return NULL;
}

size_t sg_price_table_count(const struct sg_price_table *table)
{
	return table->count;
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
			order = strncmp(price->model, model,
				length); // longer names are not before it
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
	// Vertex writes "claude-x@20250929".
	if (length > 9 && (end[-9] == '-' || end[-9] == '@') && all_digits(end - 8, 8))
		return length - 9;
	if (length > 7 && memcmp(end - 7, "-latest", 7) == 0)
		return length - 7;
	return 0;
}

static const struct sg_price *find_dated(const struct sg_price_table *table, const char *provider,
	const char *model, int64_t wall_ns)
{
	size_t length = strlen(model), undated = undated_length(model, length);
	const struct sg_price *price = find_exact(table, provider, model, length, wall_ns);

	return price || !undated ? price : find_exact(table, provider, model, undated, wall_ns);
}

// The same model by less of a name: without what a provider's other ways to call it, and its
// regions, put in front. NULL: there is no less.
static const char *shorter_name(const char *provider, const char *model)
{
	static const struct {
		const char *provider, *front;
	} fronts[] = { { "gemini", "models/" }, { "vertex", "google/" }, { "bedrock", "us." },
		{ "bedrock", "eu." }, { "bedrock", "apac." }, { "bedrock", "global." },
		{ "bedrock", "jp." }, { "bedrock", "au." }, { "bedrock", "ca." } };
	const char *last = strrchr(model, '/');

	for (size_t i = 0; i < SG_ARRAY_SIZE(fronts); i++)
		if (strcmp(provider, fronts[i].provider) == 0 &&
			strncmp(model, fronts[i].front, strlen(fronts[i].front)) == 0)
			return model + strlen(fronts[i].front);
	// Names of AWS say which model they are, but for profiles that a customer has made.
	return strcmp(provider, "bedrock") == 0 && last && strncmp(model, "arn:", 4) == 0 &&
			       (strstr(model, ":foundation-model/") ||
				       strstr(model, ":inference-profile/"))
		       ? last + 1
		       : NULL;
}

const struct sg_price *sg_price_find(const struct sg_price_table *table, const char *provider,
	const char *model, int64_t wall_ns)
{
	const struct sg_price *price = NULL;

	if (!*model)
		return NULL;
	for (const char *name = model; !price && name && *name; name = shorter_name(provider, name))
		price = find_dated(table, provider, name, wall_ns);
	// "*": what an operator says of all other models of a provider.
	return price ? price : find_exact(table, provider, "*", 1, wall_ns);
}
