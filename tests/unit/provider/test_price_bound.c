// SPDX-License-Identifier: Apache-2.0
// A hold is an upper bound: by hand-computed cases, and by random calls on every built-in model
// whose usage stays within what the request admits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/random.h>

#include "base/clock.h"
#include "lib/price_file.h"
#include "provider/price_table.h"

#define TRIALS_PER_ENTRY 400

static const char prices[] =
	"{\"models\": ["
	"{\"provider\": \"anthropic\", \"model\": \"wide\", \"input\": \"3\", \"output\": \"15\","
	" \"cache_read\": \"0.3\", \"cache_write\": \"3.75\", \"cache_write_1h\": \"6\","
	" \"long_context\": {\"above\": 200000, \"input\": \"6\", \"output\": \"22.5\","
	"  \"cache_read\": \"0.6\", \"cache_write\": \"7.5\", \"cache_write_1h\": \"12\"},"
	" \"web_search_per_1k\": \"10\", \"fast\": \"6\", \"context_window\": 1000000,"
	" \"max_output\": 64000},"
	"{\"provider\": \"anthropic\", \"model\": \"placed\", \"input\": \"3\","
	" \"output\": \"15\", \"geo_us\": \"1.1\", \"context_window\": 1000000,"
	" \"max_output\": 64000},"
	"{\"provider\": \"openai\", \"model\": \"small\", \"input\": \"2\", \"output\": \"8\","
	" \"cache_write\": \"2.5\", \"flex\": \"0.5\", \"priority\": \"1.75\", \"regional\": "
	"\"1.1\","
	" \"context_window\": 10000, \"max_output\": 1000},"
	"{\"provider\": \"openai\", \"model\": \"hears\", \"input\": \"4\", \"output\": \"16\","
	" \"audio_input\": \"32\", \"audio_output\": \"64\", \"context_window\": 10000,"
	" \"max_output\": 1000},"
	"{\"provider\": \"openai\", \"model\": \"seeks\", \"input\": \"2\", \"output\": \"8\","
	" \"web_search_per_1k\": \"50\", \"always_searches\": true, \"context_window\": 10000,"
	" \"max_output\": 1000},"
	"{\"provider\": \"openai\", \"model\": \"rises\", \"input\": \"2\", \"output\": \"8\","
	" \"context_window\": 10000, \"max_output\": 1000},"
	"{\"provider\": \"openai\", \"model\": \"rises\", \"from\": \"2030-01-01\","
	" \"input\": \"4\", \"output\": \"16\", \"context_window\": 10000,"
	" \"max_output\": 1000}]}";

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

// In all of them the body has 1,000 bytes and one message, and is so bound by 1,320 tokens, and the
// output by 100, unless the row says other.
static const struct {
	const char *what, *provider;
	struct sg_request_facts facts;
	int64_t input, output, nanousd;
} cases[] = {
	// 1,320 x 2.5 + 100 x 8
	{ "plain; writes come by themselves", "openai", { .model = "small" }, 1320, 100, 4100000 },
	{ "no limit", "openai", { .model = "small", .max_output = -1 }, 1320, 1000, 11300000 },
	{ "a limit above the table's", "openai", { .model = "small", .max_output = 2000 }, 1320,
		2000, 19300000 },
	{ "a limit above the window", "openai", { .model = "small", .max_output = INT64_MAX }, 1320,
		10000, 83300000 },
	{ "choices", "openai", { .model = "small", .choices = 3 }, 1320, 300, 5700000 },
	{ "choices below one", "openai", { .model = "small", .choices = -5 }, 1320, 100, 4100000 },
	{ "a prediction", "openai", { .model = "small", .prediction_bytes = 40 }, 1320, 140,
		4420000 },
	{ "tools", "openai", { .model = "small", .tools = true }, 2820, 100, 7850000 },
	{ "texts that were counted", "openai",
		{ .model = "small", .text_bytes = 800, .text_tokens = 200 }, 720, 100, 2600000 },
	{ "no more than the window", "openai", { .model = "small", .body_bytes = 50000 }, 10000,
		100, 25800000 },
	{ "a body beyond counting", "openai",
		{ .model = "small", .body_bytes = INT64_MAX, .messages = INT64_MAX }, 10000, 100,
		25800000 },
	{ "what bytes do not bound", "openai", { .model = "small", .context_window = true }, 10000,
		100, 25800000 },
	{ "a session's own bound", "openai",
		{ .model = "small", .context_window = true, .known_input = 3000 }, 3256, 100,
		8940000 },
	// 2,256 x 4 + 1,000 x 32 + 100 x 64
	{ "of which some may be sound", "openai",
		{ .model = "hears",
			.context_window = true,
			.known_input = 3000,
			.known_sound = 1000 },
		3256, 100, 47424000 },
	{ "a session's own bound, above the window", "openai",
		{ .model = "small", .context_window = true, .known_input = INT64_MAX }, 10000, 100,
		25800000 },
	{ "may become priority", "openai", { .model = "small", .service_tier = "auto" }, 1320, 100,
		7175000 },
	{ "priority", "openai", { .model = "small", .service_tier = "priority" }, 1320, 100,
		7175000 },
	{ "a region's host", "openai", { .model = "small", .regional = true }, 1320, 100, 4510000 },
	{ "a region's host at priority", "openai",
		{ .model = "small", .regional = true, .service_tier = "priority" }, 1320, 100,
		7892500 },
	{ "a model with one price everywhere", "openai", { .model = "rises", .regional = true },
		1320, 100, 3440000 },
	{ "flex may fall back", "openai", { .model = "small", .service_tier = "flex" }, 1320, 100,
		4100000 },
	{ "of two models the dearer", "openai", { .model = "small", .other_model = "hears" }, 1320,
		100, 48640000 },
	{ "whichever is named last", "openai", { .model = "hears", .other_model = "small" }, 1320,
		100, 48640000 },
	// 20,000 x 2 + 200 x 8 and seven searches
	{ "queries of a turn", "openai", { .model = "seeks", .tool_turns = 1, .tool_queries = 6 },
		20000, 200, 391600000 },
	{ "each turn reads the window", "openai",
		{ .model = "small", .tools = true, .tool_turns = 2 }, 30000, 300, 77400000 },
	// 1,320 x 2 + 100 x 8 + a search
	{ "a search model", "openai", { .model = "seeks" }, 1320, 100, 53440000 },
	{ "search and turns", "openai", { .model = "seeks", .tool_turns = 1, .searches_web = true },
		20000, 200, 141600000 },
	// 1,320 x 3 + 100 x 15
	{ "no writes unless asked for", "anthropic", { .model = "wide" }, 1320, 100, 5460000 },
	{ "writes", "anthropic", { .model = "wide", .cache_write = true }, 1320, 100, 6450000 },
	{ "1-hour writes", "anthropic",
		{ .model = "wide", .cache_write = true, .cache_write_1h = true }, 1320, 100,
		9420000 },
	{ "fast", "anthropic", { .model = "wide", .fast = true }, 1320, 100, 32760000 },
	{ "the place may be set elsewhere", "anthropic", { .model = "placed" }, 1320, 100,
		6006000 },
	{ "at the long-context border", "anthropic", { .model = "wide", .body_bytes = 199680 },
		200000, 100, 601500000 },
	{ "over it", "anthropic", { .model = "wide", .body_bytes = 199681 }, 200001, 100,
		1202256000 },
};

static void test_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct sg_request_facts facts = cases[i].facts;
		struct sg_charge bound;

		facts.body_bytes = facts.body_bytes ? facts.body_bytes : 1000;
		facts.messages = facts.messages ? facts.messages : 1;
		facts.max_output = facts.max_output ? facts.max_output : 100;
		facts.choices = facts.choices ? facts.choices : 1;
		assert_int_equal(sg_price_bound(table, sg_provider_by_name(cases[i].provider),
					 &facts, 0, &bound),
			0);
		if (bound.nanousd != cases[i].nanousd || bound.input_tokens != cases[i].input ||
			bound.output_tokens != cases[i].output || bound.requests != 1)
			fail_msg("%s: %lld, %lld in, %lld out", cases[i].what,
				(long long)bound.nanousd, (long long)bound.input_tokens,
				(long long)bound.output_tokens);
	}
}

static void test_what_has_no_bound(void **state)
{
	const struct sg_provider *openai = sg_provider_by_name("openai");
	struct sg_request_facts facts = { .model = "small", .max_output = 1, .choices = 1 };
	struct sg_charge bound;

	(void)state;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), 0);
	facts.unbounded = true;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.unbounded = false;
	facts.tool_turns = SG_COUNT_MAX;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.tool_turns = 0;
	facts.choices = 100001; // no provider makes as many: a lower number would be no bound
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.choices = 1;
	// A dearer tier has a bound where it has a price.
	strcpy(facts.service_tier, "later");
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), 0);
	strcpy(facts.model, "rises");
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	strcpy(facts.service_tier, "priority");
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	strcpy(facts.service_tier, "auto");
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), 0);
	strcpy(facts.model, "small");
	facts.searches_files = true; // for a fee that the entry does not have
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.searches_files = false;
	strcpy(facts.other_model, "unknown"); // either may answer
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.other_model[0] = 0;
	facts.searches_web = true;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	strcpy(facts.model, "seeks");
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), 0);
	strcpy(facts.model, "small");
	facts.searches_web = false;
	facts.units.images = SG_COUNT_MAX;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ERANGE);
	facts.units.images = 0;
	facts.model[0] = 'x';
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ENOENT);
	facts.model[0] = 0;
	assert_int_equal(sg_price_bound(table, openai, &facts, 0, &bound), -ENOENT);
}

// A call of the last hour before a rise may end, and be billed, after it.
static void test_price_may_rise_meanwhile(void **state)
{
	const int64_t rise = INT64_C(1893456000) * SG_NS_PER_SEC; // 2030-01-01
	const struct {
		int64_t wall_ns, nanousd;
	} rows[] = {
		{ rise - 3601 * SG_NS_PER_SEC, 256 * 2000 + 8000 },
		{ rise - 3600 * SG_NS_PER_SEC, 256 * 4000 + 16000 },
		{ rise, 256 * 4000 + 16000 },
	};
	const struct sg_request_facts facts = { .model = "rises", .max_output = 1, .choices = 1 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_charge bound;

		assert_int_equal(sg_price_bound(table, sg_provider_by_name("openai"), &facts,
					 rows[i].wall_ns, &bound),
			0);
		assert_int_equal(bound.nanousd, rows[i].nanousd);
	}
}

// ---- Random calls ----

static uint64_t seed;

// splitmix64: a printed seed gives the same calls.
static uint64_t draw(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

// 0..most, and often the most itself: that is where bounds break.
static int64_t up_to(int64_t most)
{
	return draw() % 4 == 0 ? most : (int64_t)(draw() % ((uint64_t)most + 1));
}

static bool toss(void)
{
	return draw() & 1;
}

static struct sg_request_facts random_request(const struct sg_price *price)
{
	static const char *const tiers[] = { "", "default", "auto", "priority", "flex" };
	struct sg_request_facts facts = { .max_output = toss() ? -1 : up_to(price->max_output),
		.choices = 1 + up_to(7),
		.body_bytes = up_to(toss() ? 2000 : 2 * price->context_window),
		.messages = up_to(50),
		.tools = toss(),
		.prediction_bytes = toss() ? 0 : up_to(2000),
		.fast = draw() % 4 == 0,
		.cache_write_1h = draw() % 4 == 0 };

	strcpy(facts.model, price->model);
	strcpy(facts.service_tier, tiers[draw() % SG_ARRAY_SIZE(tiers)]);
	facts.cache_write = facts.cache_write_1h || toss();
	if (draw() % 4 == 0) {
		facts.context_window = true;
		facts.tool_turns = up_to(5);
	} else if (draw() % 4 == 0) {
		facts.context_window = facts.images_only = true;
		facts.images = 1 + up_to(20);
	}
	return facts;
}

// Splits what is left between the parts.
static int64_t take(int64_t *left)
{
	int64_t part = up_to(*left);

	*left -= part;
	return part;
}

static void random_tier(const struct sg_request_facts *facts, struct sg_usage *usage)
{
	bool priority = strcmp(facts->service_tier, "priority") == 0 ||
			strcmp(facts->service_tier, "auto") == 0;
	const char *const answers[] = { "", "default", "flex", priority ? "priority" : "standard" };

	strcpy(usage->service_tier, answers[draw() % SG_ARRAY_SIZE(answers)]);
	if (facts->fast && toss())
		strcpy(usage->speed, "fast");
	if (toss())
		strcpy(usage->inference_geo, "us");
}

// What the provider may report of such a request, by the rules of docs/providers.md.
static struct sg_usage random_usage(
	const struct sg_price *price, const struct sg_request_facts *facts)
{
	bool anthropic = strcmp(price->provider, "anthropic") == 0;
	int64_t by_bytes =
		facts->body_bytes + 64 * facts->messages + 256 + (facts->tools ? 1500 : 0);
	// What the providers' own formulas give for a picture of any size, for some families.
	int64_t picture = anthropic					  ? 4784
			  : strncmp(price->model, "gpt-4o-mini", 11) == 0 ? 48169
			  : strncmp(price->model, "gpt-4o", 6) == 0	  ? 1445
			  : strcmp(price->model, "gpt-5") == 0		  ? 1190
									  : 0;
	int64_t pictures = facts->images_only ? facts->images * picture : 0;
	bool window = (facts->context_window && !facts->images_only) ||
		      by_bytes + pictures > price->context_window;
	int64_t input = up_to(
		(window ? price->context_window : by_bytes + pictures) * (1 + facts->tool_turns));
	int64_t asked = facts->max_output >= 0 ? facts->max_output : price->max_output;
	int64_t one = asked < price->context_window ? asked : price->context_window;
	int64_t predicted = facts->prediction_bytes < price->context_window
				    ? facts->prediction_bytes
				    : price->context_window;
	struct sg_usage usage = {
		.output_tokens =
			up_to((one * facts->choices + predicted) * (1 + facts->tool_turns)),
		.web_search_requests = up_to(facts->tool_turns),
	};

	usage.cache_read_tokens = take(&input);
	if (!anthropic || facts->cache_write)
		usage.cache_write_tokens = take(&input);
	if (anthropic && facts->cache_write_1h)
		usage.cache_write_1h_tokens = take(&input);
	usage.input_tokens = input;
	usage.audio_input_tokens = toss() ? 0 : up_to(input);
	usage.audio_output_tokens = toss() ? 0 : up_to(usage.output_tokens);
	random_tier(facts, &usage);
	if (toss())
		strcpy(usage.model, price->model);
	return usage;
}

static void try_call(const struct sg_price *price)
{
	const struct sg_provider *provider = sg_provider_by_name(price->provider);
	uint64_t repeat = seed;
	struct sg_request_facts facts = random_request(price);
	struct sg_outcome outcome = { .usage = random_usage(price, &facts) };
	int64_t wall_ns = (price->from_ns > 0 ? price->from_ns : INT64_C(1) << 60) -
			  up_to(2 * SG_NS_PER_SEC) + 1;
	struct sg_charge bound, cost;

	int r = sg_price_bound(table, provider, &facts, wall_ns, &bound);

	if (r == -ENOENT)
		return; // a moment before its first day
	if (r == -ERANGE && !price->has_priority && strcmp(facts.service_tier, "priority") == 0)
		return; // a tier without a price
	assert_int_equal(r, 0);
	assert_int_equal(sg_price_cost(table, provider, facts.model, &outcome,
				 wall_ns + up_to(3600 * SG_NS_PER_SEC), &cost),
		0);
	if (cost.nanousd > bound.nanousd || cost.input_tokens > bound.input_tokens ||
		cost.output_tokens > bound.output_tokens)
		fail_msg("%s, seed %llu: bill %lld over hold %lld", price->model,
			(unsigned long long)repeat, (long long)cost.nanousd,
			(long long)bound.nanousd);
}

static void test_no_bill_over_its_hold(void **state)
{
	(void)state;
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = 1;
	printf("random calls from seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < table->count; i++)
		for (int trial = 0; trial < TRIALS_PER_ENTRY; trial++)
			try_call(&table->prices[i]);
}

// A picture is no reason to hold the context window, whatever the body has of it; a file is.
static void test_pictures_have_a_bound_of_their_own(void **state)
{
	static const struct {
		bool images_only;
		const char *model;
		int64_t input;
	} rows[] = { { true, "gpt-4o", 1000 + 64 + 256 + 2 * 1589 }, { false, "gpt-4o", 128000 } };
	const struct sg_provider *provider = sg_provider_by_name("openai");

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_request_facts facts = { .context_window = true,
			.images_only = rows[i].images_only,
			.images = 2,
			.body_bytes = 51000,
			.image_bytes = 50000,
			.messages = 1,
			.max_output = 10,
			.choices = 1 };
		struct sg_charge bound;

		strcpy(facts.model, rows[i].model);
		assert_int_equal(
			sg_price_bound(table, provider, &facts, INT64_C(1) << 60, &bound), 0);
		assert_int_equal(bound.input_tokens, rows[i].input);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_what_has_no_bound),
		cmocka_unit_test(test_price_may_rise_meanwhile),
		cmocka_unit_test(test_no_bill_over_its_hold),
		cmocka_unit_test(test_pictures_have_a_bound_of_their_own),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
