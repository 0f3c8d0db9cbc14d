// SPDX-License-Identifier: Apache-2.0
// Google's older `predict`: pictures, which are billed by the piece, and embeddings, whose answers
// count their tokens. Fields: the provider's API reference, models.predict.
#include <string.h>

#include "base/money.h"
#include "provider/api.h"

#define DEFAULT_SAMPLES 4

enum request_node { INSTANCES = 1, INSTANCE, PARAMETERS, SAMPLES };

static const struct sg_json_path request_paths[] = {
	[INSTANCES - 1] = { SG_JSON_ROOT, "instances", 0 },
	[INSTANCE - 1] = { INSTANCES, NULL, 0 },
	[PARAMETERS - 1] = { SG_JSON_ROOT, "parameters", 0 },
	[SAMPLES - 1] = { PARAMETERS, "sampleCount", 0 },
};

// Null is the default, also behind another.
static void on_samples(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->type == SG_JSON_NULL && reader->max_fallback < DEFAULT_SAMPLES)
		reader->max_fallback = DEFAULT_SAMPLES;
	sg_request_multiplier(value, &reader->max_fallback);
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == INSTANCE)
		reader->facts.messages += !value->end;
	else if (value->node == SAMPLES)
		on_samples(reader, value);
}

static bool is_embedding(const struct sg_request_facts *facts)
{
	return strstr(facts->model, "embed") || strstr(facts->model, "gecko");
}

static void finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;
	int64_t samples = reader->max_fallback >= 0 ? reader->max_fallback : DEFAULT_SAMPLES;
	int64_t images;

	facts->max_output = 0;
	if (is_embedding(facts)) {
		sg_request_set_inputs(facts, facts->messages);
		return;
	}
	if (__builtin_mul_overflow(samples, facts->messages ? facts->messages : 1, &images))
		images = SG_COUNT_MAX;
	facts->units.images = images;
}

enum response_node { PREDICTIONS = 1, PREDICTION, EMBEDDINGS, STATISTICS, TOKENS };

static const struct sg_json_path response_paths[] = {
	[PREDICTIONS - 1] = { SG_JSON_ROOT, "predictions", 0 },
	[PREDICTION - 1] = { PREDICTIONS, NULL, 0 },
	[EMBEDDINGS - 1] = { PREDICTION, "embeddings", 0 },
	[STATISTICS - 1] = { EMBEDDINGS, "statistics", 0 },
	[TOKENS - 1] = { STATISTICS, "token_count", 0 },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (value->node == PREDICTIONS && !value->end) {
		sg_usage_reset(usage);
		reader->produced = true;
	} else if (value->node == PREDICTION) {
		usage->units.images += !value->end;
	} else if (value->node == TOKENS) {
		int64_t count = 0;

		sg_response_count(reader, value, &count);
		reader->usage_seen = true;
		usage->input_tokens =
			sg_money_add(usage->input_tokens < 0 ? 0 : usage->input_tokens, count);
	}
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (reader->usage_seen) {
		usage->units.images = 0;
		usage->output_tokens = 0;
	} else if (reader->produced && reader->complete && !is_embedding(reader->facts)) {
		sg_response_settle_by_units(reader);
	}
}

const struct sg_api sg_api_gemini_predict = {
	.name = "predict",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = finish_request,
	SG_READS_BOTH(response_paths, on_response),
	.finish_response = finish_response,
	.dialect = SG_DIALECT_GOOGLE,
};
