// SPDX-License-Identifier: Apache-2.0
// What usage costs, by hand-computed cases; and what is charged where usage is not all known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/money.h"
#include "lib/price_file.h"

// Prices with which every class, tier and fee shows in the sum.
static const char prices[] =
	"{\"models\": ["
	"{\"provider\": \"anthropic\", \"model\": \"wide\", \"input\": \"3\", \"output\": \"15\","
	" \"cache_read\": \"0.3\", \"cache_write\": \"3.75\", \"cache_write_1h\": \"6\","
	" \"long_context\": {\"above\": 200000, \"input\": \"6\", \"output\": \"22.5\","
	"  \"cache_read\": \"0.6\", \"cache_write\": \"7.5\", \"cache_write_1h\": \"12\"},"
	" \"web_search_per_1k\": \"10\", \"batch\": \"0.5\", \"geo_us\": \"1.1\", \"fast\": \"6\","
	" \"context_window\": 1000000, \"max_output\": 64000},"
	"{\"provider\": \"anthropic\", \"model\": \"fine\", \"input\": \"0.0001\","
	" \"output\": \"0.0001\", \"batch\": \"0.5\", \"context_window\": 1000000,"
	" \"max_output\": 64000},"
	"{\"provider\": \"anthropic\", \"model\": \"dear\", \"input\": \"1000\","
	" \"output\": \"50000\", \"context_window\": 1000000, \"max_output\": 64000},"
	"{\"provider\": \"openai\", \"model\": \"speaks\", \"input\": \"2.5\", \"output\": \"10\","
	" \"cache_read\": \"1.25\", \"audio_input\": \"40\", \"audio_output\": \"80\","
	" \"flex\": \"0.5\", \"priority\": \"1.7\", \"context_window\": 128000,"
	" \"max_output\": 16384},"
	"{\"provider\": \"openai\", \"model\": \"seeks\", \"input\": \"1\", \"output\": \"1\","
	" \"web_search_per_1k\": \"50\", \"always_searches\": true, \"flex\": \"0.5\","
	" \"context_window\": 1000, \"max_output\": 1000},"
	"{\"provider\": \"openai\", \"model\": \"near\", \"input\": \"0.1\", \"output\": \"0.1\","
	" \"web_search_per_1k\": \"10\", \"regional\": \"1.1\", \"context_window\": 1000,"
	" \"max_output\": 1000},"
	"{\"provider\": \"gemini\", \"model\": \"draws\", \"input\": \"1\", \"output\": \"10\","
	" \"audio_input\": \"1.5\", \"audio_output\": \"12\", \"image_output\": \"100\","
	" \"long_context\": {\"above\": 1000, \"input\": \"2\", \"output\": \"15\"},"
	" \"context_window\": 10000, \"max_output\": 1000},"
	"{\"provider\": \"azure\", \"model\": \"cheap\", \"input\": \"1\", \"output\": \"1\","
	" \"context_window\": 1000, \"max_output\": 1000},"
	"{\"provider\": \"azure\", \"model\": \"dear\", \"input\": \"3\", \"output\": \"3\","
	" \"context_window\": 1000, \"max_output\": 1000},"
	"{\"provider\": \"azure\", \"model\": \"*\", \"input\": \"9\", \"output\": \"9\","
	" \"context_window\": 1000, \"max_output\": 1000}]}";

static struct sg_price_table *table;

static int load(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	if (price_file_load(prices, &table, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return -1;
	}
	return 0;
}

static int unload(void **state)
{
	(void)state;
	table = sg_price_table_free(table);
	return 0;
}

struct cost_case {
	const char *what, *provider;
	struct sg_usage usage;
	int64_t nanousd;
};

static const struct cost_case cases[] = {
	{ "nothing", "anthropic", { .model = "wide" }, 0 },
	// 1,000 x 3 + 100 x 15 micro-dollars
	{ "plain", "anthropic", { .model = "wide", .input_tokens = 1000, .output_tokens = 100 },
		4500000 },
	{ "reasoning is a part of output", "anthropic",
		{ .model = "wide",
			.input_tokens = 1000,
			.output_tokens = 100,
			.reasoning_tokens = 90 },
		4500000 },
	// 100,000 x 0.3 + 50,000 x 3.75 + 10 x 15
	{ "cache read and write", "anthropic",
		{ .model = "wide",
			.cache_read_tokens = 100000,
			.cache_write_tokens = 50000,
			.output_tokens = 10 },
		217650000 },
	{ "1-hour write", "anthropic", { .model = "wide", .cache_write_1h_tokens = 1000 },
		6000000 },
	{ "unknown counters are none", "anthropic",
		{ .model = "wide",
			.input_tokens = -1,
			.output_tokens = 2,
			.cache_read_tokens = -1,
			.cache_write_tokens = -1,
			.cache_write_1h_tokens = -1,
			.audio_input_tokens = -1,
			.audio_output_tokens = -1,
			.web_search_requests = -1 },
		30000 },
	// 1,001 x 2 + 10 x 15: sound is no cheaper than text there
	{ "sound over the long-context border", "gemini",
		{ .model = "draws",
			.input_tokens = 1001,
			.audio_input_tokens = 1001,
			.output_tokens = 10,
			.audio_output_tokens = 10 },
		2152000 },
	{ "sound below it", "gemini", // 1,000 x 1.5 + 10 x 12
		{ .model = "draws",
			.input_tokens = 1000,
			.audio_input_tokens = 1000,
			.output_tokens = 10,
			.audio_output_tokens = 10 },
		1620000 },
	{ "at the long-context border", "anthropic",
		{ .model = "wide", .input_tokens = 200000, .output_tokens = 2 }, 600030000 },
	// 200,001 x 6 + 2 x 22.5: all of it, not the part above
	{ "over the long-context border", "anthropic",
		{ .model = "wide", .input_tokens = 200001, .output_tokens = 2 }, 1200051000 },
	// 1 x 6 + 199,998 x 0.6 + 1 x 7.5 + 1 x 12
	{ "all classes of input count for the border", "anthropic",
		{ .model = "wide",
			.input_tokens = 1,
			.cache_read_tokens = 199998,
			.cache_write_tokens = 1,
			.cache_write_1h_tokens = 1 },
		120024300 },
	{ "output does not count for the border", "anthropic",
		{ .model = "wide", .input_tokens = 200000, .output_tokens = 64000 }, 1560000000 },
	{ "batch", "anthropic",
		{ .model = "wide",
			.service_tier = "batch",
			.input_tokens = 1000,
			.output_tokens = 100 },
		2250000 },
	{ "fast in the US", "anthropic", // x 6.6
		{ .model = "wide",
			.speed = "fast",
			.inference_geo = "us",
			.input_tokens = 1000,
			.output_tokens = 100 },
		29700000 },
	{ "elsewhere, standard, at standard speed", "anthropic",
		{ .model = "wide",
			.speed = "standard",
			.service_tier = "standard",
			.inference_geo = "global",
			.input_tokens = 1000,
			.output_tokens = 100 },
		4500000 },
	{ "fees are not halved", "anthropic", // 0.5 x 3,000 + 3 x 10,000
		{ .model = "wide",
			.service_tier = "batch",
			.input_tokens = 1000,
			.web_search_requests = 3 },
		31500000 },
	// 100 pico-dollars a token
	{ "rounded up", "anthropic", { .model = "fine", .input_tokens = 1 }, 1 },
	{ "rounded up once", "anthropic",
		{ .model = "fine", .input_tokens = 1, .output_tokens = 1 }, 1 },
	{ "a whole nano-dollar stays", "anthropic",
		{ .model = "fine", .input_tokens = 5, .output_tokens = 5 }, 1 },
	{ "and a trace more does not", "anthropic",
		{ .model = "fine", .input_tokens = 6, .output_tokens = 5 }, 2 },
	{ "rounded after the tier", "anthropic",
		{ .model = "fine",
			.service_tier = "batch",
			.input_tokens = 10,
			.output_tokens = 11 },
		2 },
	// 40 x 2.5 + 60 x 40 + 10 x 10 + 40 x 80
	{ "audio parts", "openai",
		{ .model = "speaks",
			.input_tokens = 100,
			.audio_input_tokens = 60,
			.output_tokens = 50,
			.audio_output_tokens = 40 },
		5800000 },
	{ "more audio than input is all of it", "openai",
		{ .model = "speaks", .input_tokens = 10, .audio_input_tokens = 60 }, 400000 },
	{ "priority", "openai", // 1.7 x (1,000 x 2.5 + 1,000 x 1.25)
		{ .model = "speaks",
			.service_tier = "priority",
			.input_tokens = 1000,
			.cache_read_tokens = 1000 },
		6375000 },
	{ "flex", "openai", { .model = "speaks", .service_tier = "flex", .output_tokens = 1000 },
		5000000 },
	{ "a tier without a price of its own", "openai",
		{ .model = "speaks", .service_tier = "scale", .output_tokens = 1000 }, 10000000 },
	// 2.5 x 1,000 x 0.1: more than any tier that is known
	{ "a dearer tier without a price of its own", "openai",
		{ .model = "near", .service_tier = "priority", .input_tokens = 1000 }, 250000 },
	{ "a tier that nobody knows, of a model that has a dearer one", "openai",
		{ .model = "speaks", .service_tier = "turbo", .output_tokens = 1000 }, 17000000 },
	{ "Anthropic's priority was paid beforehand", "anthropic",
		{ .model = "wide", .service_tier = "priority", .input_tokens = 1000 }, 3000000 },
	{ "a dated form", "openai", { .model = "speaks-2030-01-01", .output_tokens = 1000 },
		10000000 },
	{ "a search model searches unasked", "openai", // 0.5 x 2 + 50,000
		{ .model = "seeks", .service_tier = "flex", .input_tokens = 2 }, 50001000 },
	{ "and is not charged twice", "openai",
		{ .model = "seeks", .input_tokens = 2, .web_search_requests = 1 }, 50002000 },
	// 10^-3 dollars a token; the ledger's largest amount is 9 x 10^18
	{ "just fits", "anthropic", { .model = "dear", .input_tokens = 9000000000000 },
		SG_MONEY_MAX },
	{ "fits with room", "anthropic", { .model = "dear", .input_tokens = 8999999999999 },
		8999999999999000000 },
	{ "stops at the largest amount", "anthropic",
		{ .model = "dear", .input_tokens = 9000000000001 }, SG_MONEY_MAX },
	{ "the largest counters", "anthropic",
		{ .model = "dear",
			.speed = "fast",
			.input_tokens = SG_COUNT_MAX,
			.cache_read_tokens = SG_COUNT_MAX,
			.cache_write_tokens = SG_COUNT_MAX,
			.cache_write_1h_tokens = SG_COUNT_MAX,
			.output_tokens = SG_COUNT_MAX,
			.web_search_requests = SG_COUNT_MAX },
		SG_MONEY_MAX },
	{ "counters beyond evidence", "anthropic",
		{ .model = "dear", .input_tokens = INT64_MAX, .output_tokens = INT64_MAX },
		SG_MONEY_MAX },
};

static void test_costs(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_outcome outcome = { .usage = cases[i].usage };
		struct sg_charge charge;

		assert_int_equal(sg_price_cost(table, sg_provider_by_name(cases[i].provider), "",
					 &outcome, 0, &charge),
			0);
		if (charge.nanousd != cases[i].nanousd)
			fail_msg("%s: %lld, expected %lld", cases[i].what,
				(long long)charge.nanousd, (long long)cases[i].nanousd);
		assert_int_equal(charge.requests, 1);
	}
}

static void test_counts_all_input(void **state)
{
	struct sg_outcome outcome = { .usage = { .model = "wide",
					      .input_tokens = 1,
					      .cache_read_tokens = 20,
					      .cache_write_tokens = 300,
					      .cache_write_1h_tokens = 4000,
					      .output_tokens = 50000 } };
	struct sg_charge charge;

	(void)state;
	assert_int_equal(
		sg_price_cost(table, sg_provider_by_name("anthropic"), "", &outcome, 0, &charge),
		0);
	assert_int_equal(charge.input_tokens, 4321);
	assert_int_equal(charge.output_tokens, 50000);
}

static void test_lines_have_their_own_models(void **state)
{
	struct sg_outcome outcome = {
		.usage = { .model = "wide", .input_tokens = 7, .output_tokens = 7 },
		.line_count = 3,
		.lines = { { .model = "wide", .input_tokens = 1 },
			{ .model = "fine", .input_tokens = 1 },
			{ .model = "fine", .output_tokens = 1 } }
	};
	struct sg_charge charge;

	(void)state;
	assert_int_equal(
		sg_price_cost(table, sg_provider_by_name("anthropic"), "", &outcome, 0, &charge),
		0);
	assert_int_equal(charge.nanousd, 3001); // 3,000 + 0.1 + 0.1, rounded up once
	assert_int_equal(charge.input_tokens, 7);
	outcome.lines[2].model[0] = 'x';
	assert_int_equal(
		sg_price_cost(table, sg_provider_by_name("anthropic"), "", &outcome, 0, &charge),
		-ENOENT);
}

static void test_a_region_has_its_price(void **state)
{
	const struct sg_provider *provider = sg_provider_by_name("openai");
	const struct sg_request_facts facts = { .model = "near" };
	const struct sg_charge bound = { .nanousd = 1000000, .output_tokens = 100, .requests = 1 };
	struct sg_outcome outcome = {
		.usage = { .model = "near", .input_tokens = 1000, .web_search_requests = 1 }
	};
	struct sg_charge charge;

	(void)state;
	assert_int_equal(sg_price_cost(table, provider, "near", &outcome, 0, &charge), 0);
	assert_int_equal(charge.nanousd, 10100000); // 1,000 x 0.1 and a search of 10,000
	outcome.regional = true;
	assert_int_equal(sg_price_cost(table, provider, "near", &outcome, 0, &charge), 0);
	assert_int_equal(charge.nanousd, 10110000); // the fee is everywhere the same
	// cut: 110 of input, 100 x 0.11 of output
	outcome.usage.web_search_requests = 0;
	sg_price_estimate(table, provider, &facts, &outcome, &bound, 0, &charge);
	assert_int_equal(charge.nanousd, 121000);
}

static void test_a_guess_is_told(void **state)
{
	static const struct {
		const char *provider, *model, *tier;
		bool stated, guesses;
	} rows[] = {
		{ "openai", "near", "priority", false, true },
		{ "openai", "near", "turbo", false, true },
		{ "openai", "near", "priority", true, false },
		{ "openai", "near", "flex", false, false },
		{ "openai", "near", "", false, false },
		{ "openai", "speaks", "priority", false, false },
		{ "openai", "never-heard-of", "priority", false, false },
		{ "anthropic", "wide", "priority", false, false },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_outcome outcome = { .provider_priced = rows[i].stated };

		strcpy(outcome.usage.model, rows[i].model);
		strcpy(outcome.usage.service_tier, rows[i].tier);
		assert_int_equal(sg_price_guesses_tier(table, sg_provider_by_name(rows[i].provider),
					 rows[i].model, &outcome, 0),
			rows[i].guesses);
	}
}

static void test_whose_price(void **state)
{
	const struct sg_provider *provider = sg_provider_by_name("anthropic");
	struct sg_outcome outcome = { .usage = { .input_tokens = 1000 } };
	struct sg_charge charge;

	(void)state;
	// the request's where the answer names none, or none that is known
	assert_int_equal(sg_price_cost(table, provider, "wide", &outcome, 0, &charge), 0);
	assert_int_equal(charge.nanousd, 3000000);
	strcpy(outcome.usage.model, "never-heard-of");
	assert_int_equal(sg_price_cost(table, provider, "wide", &outcome, 0, &charge), 0);
	assert_int_equal(charge.nanousd, 3000000);
	strcpy(outcome.usage.model, "dear");
	assert_int_equal(sg_price_cost(table, provider, "wide", &outcome, 0, &charge), 0);
	assert_int_equal(charge.nanousd, 1000000000);
	outcome.usage.model[0] = 0;
	assert_int_equal(sg_price_cost(table, provider, "what", &outcome, 0, &charge), -ENOENT);
	assert_int_equal(
		sg_price_cost(table, sg_provider_by_name("openai"), "wide", &outcome, 0, &charge),
		-ENOENT);
}

// A deployment's name says nothing of the model, but its entry what the operator knows of it.
static void test_a_deployment_with_an_entry_is_charged_by_it(void **state)
{
	static const struct {
		const char *deployment, *answered;
		int64_t nanousd;
	} rows[] = {
		{ "dear", "cheap", 3000000 }, { "cheap", "dear", 3000000 },
		{ "cheap", "cheap", 1000000 }, { "dear", "never-heard-of", 9000000 },
		{ "never-heard-of", "cheap", 1000000 }, // "*" is no entry of its own
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_outcome outcome = { .usage = { .input_tokens = 1000 } };
		struct sg_charge charge;

		strcpy(outcome.usage.model, rows[i].answered);
		assert_int_equal(sg_price_cost(table, sg_provider_by_name("azure"),
					 rows[i].deployment, &outcome, 0, &charge),
			0);
		assert_int_equal(charge.nanousd, rows[i].nanousd);
	}
}

// Cut after its input was told: what was to come may have been a picture.
static void test_what_was_cut_may_have_been_the_dearest_output(void **state)
{
	const struct sg_charge bound = {
		.nanousd = 1000000000, .input_tokens = 100, .output_tokens = 500, .requests = 1
	};
	const struct sg_request_facts facts = { .model = "draws" };
	const struct sg_outcome outcome = { .usage = { .input_tokens = 100, .output_tokens = 5 } };
	struct sg_charge charge;

	(void)state;
	sg_price_estimate(
		table, sg_provider_by_name("gemini"), &facts, &outcome, &bound, 0, &charge);
	assert_int_equal(charge.nanousd, 100 * 1000 + 500 * 100000);
}

// The hold is 1,000,000,000; input is 3 micro-dollars a token, output 15 and at most 10,000.
static const struct {
	const char *what;
	struct sg_request_facts facts;
	struct sg_outcome outcome;
	int64_t nanousd;
} estimates[] = {
	{ "nothing is known", {}, { .usage = { .input_tokens = -1, .output_tokens = -1 } },
		1000000000 },
	{ "input is known", {}, // 1,000 x 3 + 10,000 x 15, and 1.1 as no place was told
		{ .usage = { .input_tokens = 1000, .output_tokens = 5 } }, 168300000 },
	{ "input and place are known", {},
		{ .usage = { .input_tokens = 1000, .output_tokens = 5, .inference_geo = "eu" } },
		153000000 },
	{ "asked to be fast, speed not told", { .fast = true },
		{ .usage = { .input_tokens = 1000, .output_tokens = 5, .inference_geo = "eu" } },
		918000000 },
	{ "the hold is the most", { .fast = true },
		{ .usage = { .input_tokens = 1000, .output_tokens = 5 } }, 1000000000 },
	{ "hosted tools may have gone on", { .tool_turns = 1 },
		{ .usage = { .input_tokens = 1000, .output_tokens = 5, .inference_geo = "eu" } },
		1000000000 },
	{ "evidence that is none", {},
		{ .bad_evidence = true, .usage = { .input_tokens = 1, .inference_geo = "eu" } },
		1000000000 },
	{ "more was told than held", {}, // 100,000 x 15
		{ .usage = { .output_tokens = 100000, .inference_geo = "eu" } }, 1500000000 },
};

static void test_estimates(void **state)
{
	const struct sg_charge bound = {
		.nanousd = 1000000000, .input_tokens = 5000, .output_tokens = 10000, .requests = 1
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(estimates); i++) {
		struct sg_request_facts facts = estimates[i].facts;
		struct sg_charge charge;

		strcpy(facts.model, "wide");
		sg_price_estimate(table, sg_provider_by_name("anthropic"), &facts,
			&estimates[i].outcome, &bound, 0, &charge);
		if (charge.nanousd != estimates[i].nanousd)
			fail_msg("%s: %lld, expected %lld", estimates[i].what,
				(long long)charge.nanousd, (long long)estimates[i].nanousd);
		assert_int_equal(charge.requests, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_counts_all_input),
		cmocka_unit_test(test_lines_have_their_own_models),
		cmocka_unit_test(test_a_region_has_its_price),
		cmocka_unit_test(test_a_guess_is_told),
		cmocka_unit_test(test_whose_price),
		cmocka_unit_test(test_a_deployment_with_an_entry_is_charged_by_it),
		cmocka_unit_test(test_what_was_cut_may_have_been_the_dearest_output),
		cmocka_unit_test(test_estimates),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
