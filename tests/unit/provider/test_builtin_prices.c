// SPDX-License-Identifier: Apache-2.0
// The built-in table where its catalogs have errors and gaps: what the importer's rules make of
// them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "lib/builtin_prices.h"

#define SUMMER_2026 (INT64_C(1785000000) * SG_NS_PER_SEC)
#define AUTUMN_2026 (INT64_C(1790000000) * SG_NS_PER_SEC)

// Pico-dollars a token, which are micro-dollars a million.
#define USD 1000000

static const struct sg_price *find(const char *provider, const char *model, int64_t wall_ns)
{
	const struct sg_price *price = sg_price_find(table, provider, model, wall_ns);

	print_message("%s/%s\n", provider, model);
	assert_non_null(price);
	return price;
}

// Who sells a model of Anthropic's raises its price on the same day.
static void a_price_rises_wherever_the_model_is_sold(void **state)
{
	(void)state;
	assert_int_equal(find("anthropic", "claude-sonnet-5", SUMMER_2026)->input, 2 * USD);
	assert_int_equal(find("azure", "claude-sonnet-5", SUMMER_2026)->input, 2 * USD);
	assert_int_equal(find("anthropic", "claude-sonnet-5", AUTUMN_2026)->input, 3 * USD);
	assert_int_equal(find("azure", "claude-sonnet-5", AUTUMN_2026)->input, 3 * USD);
	assert_int_equal(find("azure", "claude-sonnet-5", AUTUMN_2026)->output, 15 * USD);
	// A region's price.
	assert_int_equal(find("vertex", "claude-sonnet-5", AUTUMN_2026)->input, 33 * USD / 10);
	assert_int_equal(
		find("vertex", "claude-sonnet-5@default", AUTUMN_2026)->output, 165 * USD / 10);
}

static void cache_writes_of_claude_cost_the_same_everywhere(void **state)
{
	static const char *const sellers[][2] = { { "anthropic", "claude-sonnet-5" },
		{ "azure", "claude-sonnet-5" }, { "vertex", "claude-sonnet-5" },
		{ "bedrock", "anthropic.claude-sonnet-5" },
		{ "bedrock", "global.anthropic.claude-sonnet-5-v1:0" },
		{ "openrouter", "anthropic/claude-sonnet-5" } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(sellers); i++) {
		const struct sg_price *price = find(sellers[i][0], sellers[i][1], AUTUMN_2026);

		assert_true(price->cache_write * 4 >= price->input * 5);
		assert_true(price->cache_write_1h >= price->input * 2);
	}
}

static void searches_of_claude_have_a_fee_everywhere(void **state)
{
	static const char *const sellers[][2] = { { "anthropic", "claude-opus-4-6" },
		{ "azure", "claude-opus-4-6" }, { "vertex", "claude-opus-4-6" } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(sellers); i++)
		assert_int_equal(
			find(sellers[i][0], sellers[i][1], AUTUMN_2026)->web_search, 10 * USD);
}

static void the_priority_tier_of_the_newest_is_dearer(void **state)
{
	(void)state;
	assert_int_equal(find("openai", "gpt-5.5", AUTUMN_2026)->priority, SG_PRICE_ONE * 5 / 2);
	assert_int_equal(
		find("openai", "gpt-5.5-2026-04-23", AUTUMN_2026)->priority, SG_PRICE_ONE * 5 / 2);
}

// Whatever it stands for today.
static void a_name_without_a_number_costs_as_the_dearest(void **state)
{
	static const char *const names[][2] = { { "gemini-pro-latest", "gemini-2.5-pro" },
		{ "gemini-pro-latest", "gemini-3.1-pro-preview" },
		{ "gemini-flash-latest", "gemini-3.5-flash" },
		{ "gemini-flash-latest", "gemini-3.6-flash" },
		{ "gemini-flash-lite-latest", "gemini-3.1-flash-lite" } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		const struct sg_price *name = find("gemini", names[i][0], AUTUMN_2026);
		const struct sg_price *model = find("gemini", names[i][1], AUTUMN_2026);

		assert_true(name->input >= model->input);
		assert_true(name->output >= model->output);
		assert_true(name->long_output >= model->long_output);
		assert_true(name->max_output < name->context_window);
	}
}

static void what_the_catalogs_have_as_nothing_or_as_text(void **state)
{
	const struct sg_price *speaks = find("gemini", "gemini-2.5-pro-preview-tts", AUTUMN_2026);
	const struct sg_price *price;

	(void)state;
	assert_int_equal(speaks->output, 20 * USD);
	assert_int_equal(speaks->audio_output, 20 * USD);
	price = find("gemini", "gemini-robotics-er-1.5-preview", AUTUMN_2026);
	assert_int_equal(price->cache_read, price->input);
	price = find("mistral", "voxtral-small-24b-2507", AUTUMN_2026);
	assert_non_null(price->pieces);
	assert_int_equal(price->pieces->audio_hour, 240000);
	price = find("cohere", "embed-multilingual-light-v3.0", AUTUMN_2026);
	assert_int_equal(price->input, USD / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_price_rises_wherever_the_model_is_sold),
		cmocka_unit_test(cache_writes_of_claude_cost_the_same_everywhere),
		cmocka_unit_test(searches_of_claude_have_a_fee_everywhere),
		cmocka_unit_test(the_priority_tier_of_the_newest_is_dearer),
		cmocka_unit_test(a_name_without_a_number_costs_as_the_dearest),
		cmocka_unit_test(what_the_catalogs_have_as_nothing_or_as_text),
	};

	return cmocka_run_group_tests_name(
		"builtin_prices", tests, load_builtin_prices, free_prices);
}
