// SPDX-License-Identifier: Apache-2.0
// Bedrock's invoke-with-response-stream: events of the model's maker, each wrapped into a frame.
// The last one has Bedrock's own counts; Claude's events tell more (lifetimes of the cache) and
// count where they are there.
#include <string.h>

#include "provider/anthropic.h"
#include "provider/bedrock.h"

enum metric_node {
	METRICS = ANTHROPIC_EVENT_NODES,
	INPUT,
	OUTPUT,
	CACHE_READ,
	CACHE_WRITE,
};

static const struct sg_json_path event_paths[] = {
	SG_ANTHROPIC_EVENT_PATHS,
	[METRICS - 1] = { SG_JSON_ROOT, "amazon-bedrock-invocationMetrics", 0 },
	[INPUT - 1] = { METRICS, "inputTokenCount", 0 },
	[OUTPUT - 1] = { METRICS, "outputTokenCount", 0 },
	[CACHE_READ - 1] = { METRICS, "cacheReadInputTokenCount", 0 },
	[CACHE_WRITE - 1] = { METRICS, "cacheWriteInputTokenCount", 0 },
};

static void on_event(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->node < METRICS)
		sg_anthropic_on_event(reader, value);
	else if (value->node == METRICS)
		reader->metrics_seen = reader->metrics_seen || value->type == SG_JSON_OBJECT;
	else
		sg_response_count(reader, value, &reader->header_counts[value->node - INPUT]);
}

static void end_event(struct sg_response_reader *reader)
{
	reader->produced = true;
	sg_anthropic_end_event(reader);
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	const int64_t *counts = reader->header_counts;

	if (reader->metrics_seen && !reader->final) {
		usage->input_tokens = counts[0];
		usage->output_tokens = counts[1];
		usage->cache_read_tokens = counts[2] > 0 ? counts[2] : 0;
		usage->cache_write_tokens = counts[3] > 0 ? counts[3] : 0;
		reader->cache_creation = 0;
		reader->usage_seen = reader->final = true;
	}
	sg_anthropic_finish(reader);
}

const struct sg_api sg_api_bedrock_invoke_stream = {
	.name = "invoke_stream",
	.request_paths = sg_bedrock_request_paths,
	.request_path_count = SG_BEDROCK_REQUEST_PATHS,
	.on_request = sg_bedrock_on_request,
	.on_request_header = sg_bedrock_on_request_header,
	.finish_request = sg_bedrock_finish_invoke_request,
	.wraps_events = true,
	.body_paths = event_paths,
	.body_path_count = SG_ARRAY_SIZE(event_paths),
	.on_body = on_event,
	.event_paths = event_paths,
	.event_path_count = SG_ARRAY_SIZE(event_paths),
	.on_event = on_event,
	.end_event = end_event,
	.finish_response = finish_response,
	.dialect = SG_DIALECT_BEDROCK,
};
