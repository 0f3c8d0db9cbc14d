// SPDX-License-Identifier: Apache-2.0
// What is billed by the piece, from the built-in table; the sums are done by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/builtin_prices.h"
#include "lib/readers.h"

#define DAY_NS (INT64_C(1790000000) * 1000000000)

struct row {
	const char *provider, *model;
	struct sg_units units;
	const char *kind;
	int64_t nanousd;
};

static const struct row rows[] = {
	{ "openai", "dall-e-3", { .images = 2 }, "hd/1792x1024", 240000000 },
	{ "openai", "dall-e-3", { .images = 1 }, "standard/1024x1024", 40000000 },
	// Not in the list: the dearest.
	{ "openai", "dall-e-3", { .images = 1 }, "standard/auto", 120000000 },
	{ "openai", "tts-1", { .characters = 18 }, "", 270000 },
	{ "openai", "whisper-1", { .milliseconds = 1500 }, "", 150000 },
	// Ten seconds at least: 0.110988 x 10 / 3,600, rounded up.
	{ "groq", "whisper-large-v3", { .milliseconds = 1 }, "", 308300 },
	{ "mistral", "mistral-ocr-2512", { .pages = 29 }, "", 58000000 },
	{ "mistral", "mistral-ocr-2512", { .pages = 2 }, SG_KIND_ANNOTATED, 10000000 },
	{ "gemini", "imagen-4.0-generate-001", { .images = 4 }, "", 160000000 },
};

static void used_and_held_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		const struct sg_provider *provider = sg_provider_by_name(row->provider);
		struct sg_outcome outcome = { .usage.units = row->units };
		struct sg_request_facts facts = { .units = row->units, .choices = 1 };
		struct sg_charge charge;

		strcpy(outcome.usage.kind, row->kind);
		strcpy(facts.kind, row->kind);
		strcpy(facts.model, row->model);
		assert_int_equal(
			sg_price_cost(table, provider, row->model, &outcome, DAY_NS, &charge), 0);
		if (charge.nanousd != row->nanousd)
			fail_msg("%s %s: %lld", row->model, row->kind, (long long)charge.nanousd);
		assert_int_equal(sg_price_bound(table, provider, &facts, DAY_NS, &charge), 0);
		assert_int_equal(charge.nanousd, row->nanousd);
	}
}

// Its price of tokens is no price: a call that tells tokens must not be free.
static void tokens_of_a_model_by_the_piece_have_no_price(void **state)
{
	const struct sg_provider *openai = sg_provider_by_name("openai");
	struct sg_outcome outcome = { .usage = { .input_tokens = 5, .output_tokens = 5 } };
	struct sg_request_facts facts = { .model = "whisper-1", .choices = 1 };
	struct sg_charge charge;

	(void)state;
	assert_int_equal(
		sg_price_cost(table, openai, "whisper-1", &outcome, DAY_NS, &charge), -ENOENT);
	assert_int_equal(sg_price_bound(table, openai, &facts, DAY_NS, &charge), -ENOENT);
}

// What is told and has no price is no bill of nothing: the hold is charged.
static void units_without_a_price_are_charged_by_the_hold(void **state)
{
	static const struct {
		const char *provider, *model;
		struct sg_usage usage;
	} told[] = {
		{ "gemini", "gemini-3-pro-image-preview", { .units.images = 1 } },
		{ "azure", "gpt-image-1", { .units.images = 1 } },
		{ "azure", "gpt-4o-transcribe", { .units.milliseconds = 9000 } },
		{ "azure", "gpt-4o-mini-tts", { .units.characters = 9000 } },
		{ "groq", "llama-3.3-70b-versatile",
			{ .input_tokens = 9, .output_tokens = 9, .units.milliseconds = 9000 } },
		{ "groq", "llama-3.3-70b-versatile",
			{ .input_tokens = 9, .output_tokens = 9, .units.containers = 1 } },
		{ "openai", "dall-e-3", { .units.characters = 9 } },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(told); i++) {
		const struct sg_provider *provider = sg_provider_by_name(told[i].provider);
		const struct sg_charge hold = {
			.nanousd = 900000000, .input_tokens = 9, .output_tokens = 9, .requests = 1
		};
		struct sg_outcome outcome = { .usage = told[i].usage };
		struct sg_request_facts facts = { .choices = 1 };
		struct sg_charge charge;

		print_message("%s\n", told[i].model);
		strcpy(facts.model, told[i].model);
		assert_int_equal(
			sg_price_cost(table, provider, told[i].model, &outcome, DAY_NS, &charge),
			-ENOENT);
		sg_price_estimate(table, provider, &facts, &outcome, &hold, DAY_NS, &charge);
		assert_int_equal(charge.nanousd, hold.nanousd);
	}
}

// Whatever a model, or a deployment of it, is called: its entry tells what it is billed by.
static void the_entry_and_not_the_name_tells_what_is_billed(void **state)
{
	static const struct {
		const struct sg_api *api;
		const char *body, *provider, *price;
		bool by_tokens;
	} requests[] = {
		{ &sg_api_openai_images, "{\"model\":\"mine\"}", "azure", "gpt-image-1", true },
		{ &sg_api_openai_images, "{\"model\":\"mine\"}", "gemini",
			"gemini-3-pro-image-preview", true },
		{ &sg_api_openai_images, "{\"model\":\"mine\"}", "openai", "dall-e-3", false },
		{ &sg_api_openai_speech, "{\"model\":\"mine\",\"input\":\"a\"}", "azure",
			"gpt-4o-mini-tts", true },
		{ &sg_api_openai_speech, "{\"model\":\"gpt-mine\",\"input\":\"a\"}", "openai",
			"tts-1", false },
		{ &sg_api_openai_transcription, "{\"model\":\"mine\"}", "azure",
			"gpt-4o-transcribe", true },
		{ &sg_api_openai_transcription, "{\"model\":\"mine\"}", "openai", "whisper-1",
			false },
	};
	struct feeder whole = { FEED_WHOLE, 0 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(requests); i++) {
		const struct sg_provider *provider = sg_provider_by_name(requests[i].provider);
		struct sg_request_facts facts;
		struct sg_request_edits edits;
		struct sg_charge hold;

		print_message("%s\n", requests[i].price);
		read_request(&whole, requests[i].api, requests[i].body, &facts, &edits);
		strcpy(facts.model, requests[i].price);
		assert_int_equal(sg_price_bound(table, provider, &facts, DAY_NS, &hold), 0);
		assert_int_equal(hold.output_tokens > 0, requests[i].by_tokens);
		assert_true(hold.nanousd > 0);
	}
}

// 40 USD a million: what the guide says of each size, and the largest where it is not known.
static void a_picture_of_a_model_by_tokens_is_held_for_by_its_kind(void **state)
{
	static const struct {
		const char *kind;
		int64_t output;
	} kinds[] = { { "low/1024x1024", 272 }, { "high/1024x1536", 6240 }, { "auto/auto", 6240 },
		{ "medium/auto", 1584 } };
	const struct sg_provider *openai = sg_provider_by_name("openai");

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(kinds); i++) {
		struct sg_request_facts facts = { .model = "gpt-image-1",
			.choices = 2,
			.max_output = -1,
			.units.images = 2,
			.partial_images = 1 };
		struct sg_charge charge;

		strcpy(facts.kind, kinds[i].kind);
		assert_int_equal(sg_price_bound(table, openai, &facts, DAY_NS, &charge), 0);
		assert_int_equal(charge.output_tokens, 2 * (kinds[i].output + 100));
	}
}

// Half, and no more input than that of all its calls.
static void a_batch_is_held_for_by_its_calls(void **state)
{
	const struct sg_provider *anthropic = sg_provider_by_name("anthropic");
	struct sg_request_facts facts = { .model = "claude-opus-5",
		.choices = 1,
		.max_output = 300,
		.messages = 2,
		.body_bytes = 100 };
	struct sg_charge one, batch;

	(void)state;
	assert_int_equal(sg_price_bound(table, anthropic, &facts, DAY_NS, &one), 0);
	facts.batch = true;
	facts.calls = 2;
	assert_int_equal(sg_price_bound(table, anthropic, &facts, DAY_NS, &batch), 0);
	assert_int_equal(batch.input_tokens, one.input_tokens + 256);
	assert_int_equal(batch.output_tokens, 300);
	assert_true(batch.nanousd < one.nanousd);
	facts.context_window = true;
	assert_int_equal(sg_price_bound(table, anthropic, &facts, DAY_NS, &batch), 0);
	assert_int_equal(batch.input_tokens % 2, 0);
	assert_true(batch.input_tokens >= 2 * 200000);
}

// A session costs by the container's memory; where it has no price, there is no bound.
static void a_container_is_a_fee_beside_the_tokens(void **state)
{
	const struct sg_provider *openai = sg_provider_by_name("openai"),
				 *groq = sg_provider_by_name("groq");
	struct sg_request_facts facts = { .model = "gpt-5", .choices = 1, .kind = "4g" };
	struct sg_charge without, with;

	(void)state;
	assert_int_equal(sg_price_bound(table, openai, &facts, DAY_NS, &without), 0);
	facts.units.containers = 3;
	assert_int_equal(sg_price_bound(table, openai, &facts, DAY_NS, &with), 0);
	assert_int_equal(with.nanousd - without.nanousd, 360000000);
	strcpy(facts.kind, "unknown");
	assert_int_equal(sg_price_bound(table, openai, &facts, DAY_NS, &with), 0);
	assert_int_equal(with.nanousd - without.nanousd, INT64_C(5760000000));
	strcpy(facts.model, "llama-3.3-70b-versatile");
	assert_int_equal(sg_price_bound(table, groq, &facts, DAY_NS, &with), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(used_and_held_for),
		cmocka_unit_test(tokens_of_a_model_by_the_piece_have_no_price),
		cmocka_unit_test(units_without_a_price_are_charged_by_the_hold),
		cmocka_unit_test(the_entry_and_not_the_name_tells_what_is_billed),
		cmocka_unit_test(a_picture_of_a_model_by_tokens_is_held_for_by_its_kind),
		cmocka_unit_test(a_batch_is_held_for_by_its_calls),
		cmocka_unit_test(a_container_is_a_fee_beside_the_tokens),
	};

	return cmocka_run_group_tests_name("price_pieces", tests, load_builtin_prices, free_prices);
}
