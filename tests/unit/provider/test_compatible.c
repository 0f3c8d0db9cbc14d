// SPDX-License-Identifier: Apache-2.0
// OpenAI's API as others speak it: what they add to usage, the prices that they state themselves,
// and whom these are believed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/readers.h"
#include "provider/price.h"

struct row {
	const char *name, *provider, *path, *request, *body;
	bool stream, cut, foreign; // foreign: not from the provider's own host
	enum sg_exchange_state state;
	int64_t input, output, read, reasoning;
	int64_t picousd; // -1: none stated
};

#define SETTLED	  .state = SG_EXCHANGE_SETTLED
#define ESTIMATED .state = SG_EXCHANGE_ESTIMATED

#define USAGE(more) "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5" more "}}"
#define CHUNK(finish, usage)                                                                       \
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":" finish "}]" usage "}\n\n"
#define RUNNING(output) ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":" output "}"

static const struct row rows[] = {
	{ "groq's own usage", "groq", "/openai/v1/chat/completions", .stream = true,
		.body = CHUNK("null", ",\"x_groq\":{\"id\":\"r\"}")
			CHUNK("\"stop\"", ",\"x_groq\":{\"usage\":{\"prompt_tokens\":10,"
					  "\"completion_tokens\":5}}"),
		SETTLED, .input = 10, .output = 5, .picousd = -1 },
	{ "groq's own error", "groq", "/openai/v1/chat/completions", .stream = true,
		.body = "data: {\"x_groq\":{\"error\":\"over capacity\"},\"error\":{}}\n\n",
		.state = SG_EXCHANGE_ERROR_FREE, .picousd = -1 },
	{ "deepseek's cache hits", "deepseek", "/chat/completions",
		.body = "\n\n" USAGE(
			",\"prompt_cache_hit_tokens\":8,\"prompt_cache_miss_tokens\":2"),
		SETTLED, .input = 2, .output = 5, .read = 8, .picousd = -1 },
	{ "running usage", "perplexity", "/chat/completions", .stream = true,
		.body = CHUNK("null", RUNNING("1")) CHUNK("null", RUNNING("3"))
			CHUNK("\"stop\"", RUNNING("5")),
		SETTLED, .input = 10, .output = 5, .picousd = -1 },
	{ "running usage that was cut is no end", "perplexity", "/chat/completions", .stream = true,
		.cut = true, .body = CHUNK("null", RUNNING("1")) CHUNK("null", RUNNING("3")),
		ESTIMATED, .picousd = -1 },
	{ "nor where one of two choices has ended", "vllm", "/v1/chat/completions",
		.request = "{\"n\":2}", .stream = true, .cut = true,
		.body = CHUNK("\"stop\"", RUNNING("3")), ESTIMATED, .picousd = -1 },
	{ "reasoning beside the completion", "xai", "/v1/chat/completions",
		.body = USAGE(",\"total_tokens\":35,\"completion_tokens_details\":"
			      "{\"reasoning_tokens\":20},\"cost_in_usd_ticks\":6730001"),
		SETTLED, .input = 10, .output = 25, .reasoning = 20, .picousd = 673000100 },
	{ "a total that is none", "xai", "/v1/chat/completions",
		.body = USAGE(",\"total_tokens\":3"), SETTLED, .input = 10, .output = 5,
		.picousd = -1 },
	{ "a total means nothing elsewhere", "groq", "/openai/v1/chat/completions",
		.body = USAGE(",\"total_tokens\":35"), SETTLED, .input = 10, .output = 5,
		.picousd = -1 },
	{ "openrouter's price", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":3.1e-06"), SETTLED, .input = 10, .output = 5,
		.picousd = 3100000 },
	{ "a binary fraction's noise", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":0.42439300000000002"), SETTLED, .input = 10, .output = 5,
		.picousd = INT64_C(424393000000) },
	{ "free", "openrouter", "/api/v1/chat/completions", .body = USAGE(",\"cost\":0"), SETTLED,
		.input = 10, .output = 5, .picousd = 0 },
	{ "with a key of one's own", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":0.001,\"is_byok\":true,\"cost_details\":"
			      "{\"upstream_inference_cost\":0.02}"),
		SETTLED, .input = 10, .output = 5, .picousd = INT64_C(21000000000) },
	{ "from a host that is not openrouter's", "openrouter", "/api/v1/chat/completions",
		.foreign = true, .body = USAGE(",\"cost\":0"), SETTLED, .input = 10, .output = 5,
		.picousd = -1 },
	{ "a price means nothing elsewhere", "together", "/v1/chat/completions",
		.body = USAGE(",\"cost\":0,\"cost_in_usd_ticks\":0"), SETTLED, .input = 10,
		.output = 5, .picousd = -1 },
	{ "a negative price", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":-1"), ESTIMATED, .picousd = -1 },
	{ "a price in quotes", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":\"0\""), ESTIMATED, .picousd = -1 },
	{ "a price beyond measure", "openrouter", "/api/v1/chat/completions",
		.body = USAGE(",\"cost\":1e60"), ESTIMATED, .picousd = -1 },
	{ "no price at last", "openrouter", "/api/v1/chat/completions",
		.body = "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":0},"
			"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}",
		SETTLED, .input = 10, .output = 5, .picousd = -1 },
	{ "responses with ticks", "xai", "/v1/responses",
		.body = "{\"status\":\"completed\",\"usage\":{\"input_tokens\":10,\"output_"
			"tokens\":"
			"5,\"cost_in_usd_ticks\":318319000}}",
		SETTLED, .input = 10, .output = 5, .picousd = INT64_C(31831900000) },
	{ "embeddings", "openai", "/v1/embeddings",
		.body = "{\"usage\":{\"prompt_tokens\":10,\"total_tokens\":10}}", SETTLED,
		.input = 10, .picousd = -1 },
};

static struct sg_route route_of(const struct row *row)
{
	return sg_provider_route(sg_provider_by_name(row->provider), (struct sg_str){ "POST", 4 },
		(struct sg_str){ row->path, strlen(row->path) }, false);
}

static void read_facts(const struct row *row, struct sg_request_facts *facts)
{
	struct sg_route route = route_of(row);
	const char *request = row->request ? row->request : "{}";
	struct sg_request_reader *reader;
	struct sg_request_edits edits;

	assert_int_equal(route.kind, SG_ROUTE_METERED);
	assert_int_equal(sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
	assert_int_equal(sg_request_reader_feed(reader, request, strlen(request)), 0);
	sg_request_reader_finish(reader, facts, &edits);
	sg_request_reader_free(reader);
}

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	const char *type = row->stream ? "text/event-stream" : "application/json";
	struct sg_route route = route_of(row);
	struct sg_request_facts facts;
	struct sg_response_options options = { .api = route.api,
		.facts = &facts,
		.status = 200,
		.content_type = { type, strlen(type) },
		.content_encoding = { "", 0 },
		.own_host = !row->foreign };
	struct sg_outcome outcome;

	read_facts(row, &facts);
	for (int skim = 0; skim < 2; skim++) {
		struct sg_buf out = { 0 };

		options.skim = skim;
		read_response(
			feeder, &options, row->body, strlen(row->body), !row->cut, &out, &outcome);
		sg_buf_release(&out);
		assert_int_equal(outcome.state, row->state);
		if (row->state != SG_EXCHANGE_SETTLED)
			continue;
		assert_int_equal(outcome.usage.input_tokens, row->input);
		assert_int_equal(outcome.usage.output_tokens, row->output);
		assert_int_equal(outcome.usage.cache_read_tokens, row->read);
		assert_int_equal(outcome.usage.reasoning_tokens, row->reasoning);
		assert_int_equal(outcome.provider_priced, row->picousd >= 0);
		if (outcome.provider_priced)
			assert_int_equal(outcome.provider_picousd, row->picousd);
	}
}

static void what_others_add(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].name);
		feed_all(run_row, &rows[i]);
	}
}

static void a_stated_price_is_the_bill(void **state)
{
	struct sg_outcome outcome = { .state = SG_EXCHANGE_SETTLED,
		.usage = { .model = "nobody/knows-it", .input_tokens = 10, .output_tokens = 5 },
		.provider_priced = true,
		.provider_picousd = 3100001 };
	struct sg_price_table *table;
	struct sg_error error = { "" };
	struct sg_charge charge;

	(void)state;
	assert_int_equal(sg_price_table_builtin(&table, &error), 0);
	assert_int_equal(
		sg_price_cost(table, sg_provider_by_name("openrouter"), "x", &outcome, 0, &charge),
		0);
	assert_int_equal(charge.nanousd, 3101); // rounded up, as every call
	assert_int_equal(charge.output_tokens, 5);
	outcome.provider_priced = false;
	assert_true(sg_price_cost(table, sg_provider_by_name("openrouter"), "x", &outcome, 0,
			    &charge) < 0);
	sg_price_table_free(table);
}

static const struct {
	const char *provider, *path, *request;
	int64_t max_output, choices;
	bool unbounded;
	enum sg_include_usage include_usage;
} requests[] = {
	{ "openai", "/v1/completions", "{\"prompt\":\"a\"}", 16, 1, false, SG_USAGE_NOT_NEEDED },
	{ "openai", "/v1/completions",
		"{\"prompt\":[\"a\",\"b\"],\"n\":2,\"best_of\":5,\"max_tokens\":7}", 7, 10, false,
		SG_USAGE_NOT_NEEDED },
	{ "openai", "/v1/completions", "{\"prompt\":[1,2,3],\"stream\":true}", 16, 1, false,
		SG_USAGE_TO_ADD },
	{ "openai", "/v1/completions", "{\"prompt\":[[1],[2,3],[4]]}", 16, 3, false,
		SG_USAGE_NOT_NEEDED },
	{ "openai", "/v1/embeddings", "{\"input\":[\"a\"],\"max_tokens\":9}", 0, 1, false,
		SG_USAGE_NOT_NEEDED },
	{ "xai", "/v1/chat/completions", "{\"max_tokens\":7,\"stream\":true}", -1, 1, false,
		SG_USAGE_NOT_NEEDED },
	{ "groq", "/openai/v1/chat/completions", "{\"max_tokens\":7,\"stream\":true}", 7, 1, false,
		SG_USAGE_NOT_NEEDED },
	{ "groq", "/openai/v1/chat/completions", "{\"tools\":[{\"type\":\"browser_search\"}]}", -1,
		1, true, SG_USAGE_NOT_NEEDED },
	{ "azure", "/openai/deployments/d/chat/completions", "{\"stream\":true}", -1, 1, false,
		SG_USAGE_TO_ADD },
	{ "openrouter", "/api/v1/chat/completions", "{\"models\":[\"a/b\"]}", -1, 1, true,
		SG_USAGE_NOT_NEEDED },
	{ "openrouter", "/api/v1/chat/completions", "{\"models\":[],\"plugins\":[]}", -1, 1, false,
		SG_USAGE_NOT_NEEDED },
	{ "openrouter", "/api/v1/chat/completions", "{\"plugins\":[{\"id\":\"web\"}]}", -1, 1, true,
		SG_USAGE_NOT_NEEDED },
	{ "xai", "/v1/chat/completions", "{\"search_parameters\":{}}", -1, 1, true,
		SG_USAGE_NOT_NEEDED },
	{ "perplexity", "/chat/completions", "{\"model\":\"sonar-deep-research\"}", -1, 1, true,
		SG_USAGE_NOT_NEEDED },
};

static void what_requests_allow(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(requests); i++) {
		struct row row = { .provider = requests[i].provider,
			.path = requests[i].path,
			.request = requests[i].request };
		struct sg_request_facts facts;

		print_message("%s %s\n", requests[i].path, requests[i].request);
		read_facts(&row, &facts);
		assert_int_equal(facts.max_output, requests[i].max_output);
		assert_int_equal(facts.choices, requests[i].choices);
		assert_int_equal(facts.unbounded, requests[i].unbounded);
		assert_int_equal(facts.include_usage, requests[i].include_usage);
	}
}

static void all_other_models(void **state)
{
	static const char text[] =
		"{\"models\":[{\"provider\":\"vllm\",\"model\":\"*\",\"input\":\"0\",\"output\":"
		"\"0\","
		"\"context_window\":32768,\"max_output\":32768},{\"provider\":\"vllm\",\"model\":"
		"\"big\",\"input\":\"1\",\"output\":\"2\",\"context_window\":9,\"max_output\":9}]}";
	char path[] = "/tmp/spendgate-prices-XXXXXX";
	struct sg_price_table *table;
	struct sg_error error = { "" };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(sg_price_table_load(path, &table, &error), 0);
	unlink(path);
	assert_int_equal(sg_price_find(table, "vllm", "Qwen/Qwen3-32B", 0)->context_window, 32768);
	assert_int_equal(sg_price_find(table, "vllm", "big-2026-01-01", 0)->context_window, 9);
	assert_null(sg_price_find(table, "compatible", "Qwen/Qwen3-32B", 0));
	assert_null(sg_price_find(table, "vllm", "", 0));
	sg_price_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_add),
		cmocka_unit_test(a_stated_price_is_the_bill),
		cmocka_unit_test(what_requests_allow),
		cmocka_unit_test(all_other_models),
	};

	return cmocka_run_group_tests_name("compatible", tests, NULL, NULL);
}
