// SPDX-License-Identifier: Apache-2.0
// The price table: which entry a name finds on which day, what a file may say, and what must hold
// for every entry that is built in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "lib/price_file.h"
#include "provider/price.h"
#include "provider/price_table.h"

static struct sg_price_table *builtin;

static int load_builtin(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	if (sg_price_table_builtin(&builtin, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	return 0;
}

static int free_builtin(void **state)
{
	(void)state;
	builtin = sg_price_table_free(builtin);
	return 0;
}

static int64_t day(const char *text)
{
	struct tm date = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%d", &date));
	return timegm(&date) * SG_NS_PER_SEC;
}

static void test_names(void **state)
{
	static const struct {
		const char *provider, *model, *found; // NULL: unknown
	} rows[] = {
		{ "openai", "gpt-4o", "gpt-4o" },
		{ "openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06" },
		{ "openai", "gpt-4o-2031-01-31", "gpt-4o" },
		{ "openai", "gpt-4o-20310131", "gpt-4o" },
		{ "openai", "gpt-4o-latest", "gpt-4o" },
		{ "openai", "gpt-4o-mini-2031-01-31", "gpt-4o-mini" },
		{ "openai", "gpt-5.1-chat-latest", "gpt-5.1-chat-latest" },
		{ "openai", "o4-mini-2025-04-16", "o4-mini-2025-04-16" },
		{ "anthropic", "claude-opus-5", "claude-opus-5" },
		{ "anthropic", "claude-opus-5-20310131", "claude-opus-5" },
		{ "anthropic", "claude-sonnet-4-0", "claude-sonnet-4-0" },
		{ "anthropic", "claude-3-7-sonnet-latest", "claude-3-7-sonnet-latest" },
		// nothing else is guessed
		{ "openai", "gpt-4o-minimal", NULL },
		{ "openai", "gpt-4o-mini-high", NULL },
		{ "openai", "gpt-4o-", NULL },
		{ "openai", "gpt-4o-2024-08-6", NULL },
		{ "openai", "gpt-4o-2031-01-31-2031-01-31", NULL }, // one date is taken off
		{ "openai", "gpt-4o-2024-08-06-latest", "gpt-4o-2024-08-06" },
		{ "openai", "gpt-4o-2024-O8-06", NULL },
		{ "openai", "GPT-4o", NULL },
		{ "openai", "gpt-", NULL },
		{ "openai", "", NULL },
		{ "openai", "-latest", NULL },
		{ "openai", "-2024-08-06", NULL },
		{ "openai", "ft:gpt-4o-mini-2024-07-18:org::id", NULL },
		{ "openai", "ft:gpt-4o-mini-2024-07-18", NULL },
		{ "openai", "claude-opus-5", NULL },
		{ "anthropic", "gpt-4o", NULL },
		{ "nobody", "gpt-4o", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct sg_price *price =
			sg_price_find(builtin, rows[i].provider, rows[i].model, day("2026-11-24"));

		if (!price != !rows[i].found || (price && strcmp(price->model, rows[i].found) != 0))
			fail_msg("%s/%s: found %s, expected %s", rows[i].provider, rows[i].model,
				price ? price->model : "none",
				rows[i].found ? rows[i].found : "none");
	}
}

// A call of a thousand input tokens, on each day at its own price.
static void case_73_each_day_has_its_own_price(void **state)
{
	static const char text[] =
		"{\"models\": ["
		"{\"provider\": \"openai\", \"model\": \"m\", \"from\": \"2030-02-01\", "
		"\"input\": \"2\", \"output\": \"2\", \"context_window\": 9, \"max_output\": 9},"
		"{\"provider\": \"openai\", \"model\": \"m\", \"from\": \"2030-01-01\", "
		"\"input\": \"1\", \"output\": \"1\", \"context_window\": 9, \"max_output\": 9}]}";
	const struct {
		int64_t wall_ns, input; // 0: no price yet
	} rows[] = {
		{ day("2030-01-01") - 1, 0 },
		{ day("2030-01-01"), 1000000 },
		{ day("2030-02-01") - 1, 1000000 },
		{ day("2030-02-01"), 2000000 },
		{ INT64_MAX, 2000000 },
	};
	const struct sg_provider *openai = sg_provider_by_name("openai");
	const struct sg_outcome outcome = { .state = SG_EXCHANGE_SETTLED,
		.usage.input_tokens = 1000 };
	struct sg_price_table *table = NULL;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(price_file_load(text, &table, &error), 0);
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct sg_price *price = sg_price_find(table, "openai", "m", rows[i].wall_ns);
		struct sg_charge charge = { 0 };
		int r = sg_price_cost(table, openai, "m", &outcome, rows[i].wall_ns, &charge);

		assert_int_equal(price ? price->input : 0, rows[i].input);
		assert_int_equal(r, price ? 0 : -ENOENT);
		assert_int_equal(charge.nanousd, rows[i].input);
	}
	sg_price_table_free(table);
	// The built-in table has such a day too.
	assert_int_equal(
		sg_price_find(builtin, "anthropic", "claude-sonnet-5", day("2026-09-01") - 1)
			->input,
		2000000);
	assert_int_equal(
		sg_price_find(builtin, "anthropic", "claude-sonnet-5", day("2026-09-01"))->input,
		3000000);
}

#define ENTRY(more)                                                                                \
	"{\"models\": [{\"provider\": \"openai\", \"model\": \"mine\", \"input\": \"1\", "         \
	"\"output\": \"4\", \"context_window\": 1000, \"max_output\": 100" more "}]}"

static void test_classes_left_out(void **state)
{
	struct sg_price_table *table = NULL;
	struct sg_error error = { "" };
	const struct sg_price *price;

	(void)state;
	assert_int_equal(price_file_load(ENTRY(", \"cache_write\": \"1.25\", \"long_context\": "
					       "{\"above\": 500, \"input\": \"2\"}"),
				 &table, &error),
		0);
	price = sg_price_find(table, "openai", "mine", 0);
	assert_non_null(price);
	assert_int_equal(price->cache_read, 1000000);	  // as input
	assert_int_equal(price->cache_write_1h, 1250000); // as the other write
	assert_int_equal(price->audio_input, 1000000);
	assert_int_equal(price->audio_output, 4000000);
	assert_int_equal(price->long_context_above, 500);
	assert_int_equal(price->long_input, 2000000);
	assert_int_equal(price->long_output, 4000000);
	assert_int_equal(price->long_cache_write_1h, 1250000);
	assert_int_equal(price->flex, SG_PRICE_ONE);
	assert_int_equal(price->fast, SG_PRICE_ONE);
	assert_int_equal(price->web_search, 0);
	assert_false(price->always_searches);
	sg_price_table_free(table);
}

static void test_file_is_put_over(void **state)
{
	static const char text[] =
		"{\"models\": [{\"provider\": \"openai\", \"model\": \"gpt-4o\", \"input\": \"7\", "
		"\"output\": \"8\", \"context_window\": 1000, \"max_output\": 100}]}";
	struct sg_price_table *table = NULL;
	struct sg_error error = { "" };

	(void)state;
	assert_int_equal(price_file_load(text, &table, &error), 0);
	assert_int_equal(sg_price_find(table, "openai", "gpt-4o", 0)->input, 7000000);
	assert_int_equal(sg_price_find(table, "openai", "gpt-4o-mini", 0)->input, 150000);
	assert_int_equal(table->count, builtin->count);
	sg_price_table_free(table);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "line " },
		{ "[]", "there is no list \"models\"" },
		{ "{\"models\": [{}]}", "models[0]" },
		{ "{\"models\": [{\"provider\": \"openai\", \"model\": \"\"}]}", "models[0]" },
		{ "{\"models\": [{\"provider\": \"openai\", \"model\": \"mine\"}]}",
			"openai/mine: input is missing" },
		{ ENTRY(", \"cache_read\": 0.1"), "cache_read must be a decimal number in quotes" },
		{ ENTRY(", \"cache_read\": \"-1\""), "cache_read must be" },
		{ ENTRY(", \"cache_read\": \"1e400\""), "cache_read must be" },
		{ ENTRY(", \"cache_read\": \"NaN\""), "cache_read must be" },
		{ ENTRY(", \"cache_read\": \"0.0000001\""), "cache_read must be" },
		{ ENTRY(", \"cache_read\": \"50000.000001\""), "cache_read is out of range" },
		{ ENTRY(", \"cache_raed\": \"1\""), "unknown key \"cache_raed\"" },
		{ ENTRY(", \"long_context\": {\"input\": \"1\"}"), "above must be" },
		{ ENTRY(", \"long_context\": {\"above\": 9, \"inptu\": \"1\"}"),
			"unknown key \"inptu\"" },
		{ ENTRY(", \"priority\": \"0\""), "priority is out of range" },
		{ ENTRY(", \"priority\": \"17\""), "priority is out of range" },
		{ ENTRY(", \"from\": \"2026-9-1x\""), "from must be a date" },
		{ ENTRY(", \"from\": 20260901"), "from must be a date" },
		{ ENTRY(", \"long_context\": {\"above\": 1073741825}"), "above must be" },
		{ ENTRY(", \"long_context\": {\"above\": -1}"), "above must be" },
		{ ENTRY(", \"max_output\": 5"), "line " }, // twice
		{ "{\"models\": [{\"provider\": \"openai\", \"model\": \"mine\", \"input\": "
		  "\"1\", \"output\": \"1\", \"context_window\": 0, \"max_output\": 1}]}",
			"context_window must be" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_price_table *table = NULL;
		struct sg_error error = { "" };

		assert_true(price_file_load(rows[i].text, &table, &error) < 0);
		assert_null(table);
		if (!strstr(error.text, rows[i].says) || !strstr(error.text, "spendgate-prices-"))
			fail_msg("%s\nsays: %s\nexpected: file name and %s", rows[i].text,
				error.text, rows[i].says);
	}
}

static size_t undated_length(const char *model)
{
	size_t length = strlen(model);

	if (length > 9 && strspn(model + length - 8, "0123456789") == 8)
		return length - 9;
	if (length > 11 && model[length - 3] == '-' && model[length - 6] == '-' &&
		strspn(model + length - 10, "0123456789-") == 10)
		return length - 11;
	return 0;
}

// A call asked of gpt-4o is answered, and billed, as gpt-4o-2024-08-06: what one of the names has
// to pay, the other must have too.
static void check_family(const struct sg_price *price)
{
	char undated[SG_MODEL_BYTES] = "";
	const struct sg_price *other;

	memcpy(undated, price->model, undated_length(price->model));
	other = sg_price_find(builtin, price->provider, undated, day("2026-11-24"));
	if (!other)
		return;
	if ((price->priority == SG_PRICE_ONE) != (other->priority == SG_PRICE_ONE) ||
		(price->fast == SG_PRICE_ONE) != (other->fast == SG_PRICE_ONE) ||
		(price->geo_us == SG_PRICE_ONE) != (other->geo_us == SG_PRICE_ONE) ||
		!price->web_search != !other->web_search)
		fail_msg("%s and %s have not the same tiers", price->model, other->model);
}

// Makes or reads pictures or sound: nothing is searched for, and some have no price of tokens.
static bool is_of_media(const struct sg_price *price)
{
	return strstr(price->model, "image") || strstr(price->model, "transcribe") ||
	       strstr(price->model, "tts") || (price->pieces && !price->input);
}

static void test_builtin_entries(void **state)
{
	(void)state;
	assert_true(builtin->count > 100);
	for (size_t i = 0; i < builtin->count; i++) {
		const struct sg_price *price = &builtin->prices[i];
		bool anthropic = strcmp(price->provider, "anthropic") == 0;
		bool own = anthropic || strcmp(price->provider, "openai") == 0;
		bool embeds = !price->output;

		if ((price->input <= 0 && !price->web_search && !price->pieces) ||
			(own && !embeds && price->output < price->input) ||
			price->cache_read > price->input || price->cache_write < price->input ||
			price->max_output > price->context_window ||
			(own && !price->web_search && !is_of_media(price)) ||
			price->flex > SG_PRICE_ONE || price->batch > SG_PRICE_ONE ||
			price->priority < SG_PRICE_ONE || price->fast < SG_PRICE_ONE)
			fail_msg("%s/%s: implausible", price->provider, price->model);
		if (anthropic && (price->cache_write_1h != 2 * price->input ||
					 price->batch * 2 != SG_PRICE_ONE))
			fail_msg("%s: a 1-hour write is twice the input, a batch half",
				price->model);
		if (own && price->long_context_above &&
			(price->long_input <= price->input || price->long_output <= price->output ||
				price->long_context_above >= price->context_window))
			fail_msg("%s: the long tier is no dearer", price->model);
		check_family(price);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(case_73_each_day_has_its_own_price),
		cmocka_unit_test(test_classes_left_out),
		cmocka_unit_test(test_file_is_put_over),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_builtin_entries),
	};

	return cmocka_run_group_tests(tests, load_builtin, free_builtin);
}
