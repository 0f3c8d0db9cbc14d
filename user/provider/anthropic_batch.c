// SPDX-License-Identifier: Apache-2.0
// Anthropic's message batches: their creation tells no usage, the list of their results does, a
// line a call; and legacy text completions, which tell none at all.
#include <string.h>

#include "provider/anthropic.h"

// ---- The answer of the creation ----

enum created_node { C_ID = 1 };

static const struct sg_json_path created_paths[] = { [C_ID - 1] = { SG_JSON_ROOT, "id", 0 } };

static void on_created(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->node == C_ID)
		sg_value_copy(
			value, reader->outcome.pending_id, sizeof(reader->outcome.pending_id));
}

// ---- Results ----

enum result_node {
	RESULT = SHARED_NODES,
	RESULT_TYPE,
	RESULT_MESSAGE,
};

static const struct sg_json_path result_paths[] = {
	SG_ANTHROPIC_PATHS(RESULT_MESSAGE, RESULT_MESSAGE),
	[RESULT - 1] = { SG_JSON_ROOT, "result", 0 },
	[RESULT_TYPE - 1] = { RESULT, "type", 0 },
	[RESULT_MESSAGE - 1] = { RESULT, "message", 0 },
};

static void begin_message(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	sg_usage_reset(usage);
	usage->model[0] = usage->inference_geo[0] = 0;
	reader->cache_creation = 0;
	reader->event_usage = false;
}

static void on_result(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	// A batch has no advisors of its own: iterations are in the totals.
	if (value->node < I_ITEM && value->node != U_ITERATIONS &&
		sg_anthropic_on_usage(reader, value->node, value))
		return;
	switch (value->node) {
	case R_MODEL:
		sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_USAGE:
		reader->event_usage = value->type == SG_JSON_OBJECT;
		break;
	case I_TYPE:
		if (strcmp(value->text, "message") != 0)
			reader->outcome.bad_evidence = true;
		break;
	case RESULT:
		if (!value->end)
			begin_message(reader);
		break;
	case RESULT_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	default:
		break;
	}
}

// Only what succeeded is billed.
static void end_result(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	// What has no result is none: the answer of the creation, or of somebody in between.
	if (!reader->event_type[0])
		return;
	reader->usage_seen = true;
	if (strcmp(reader->event_type, "succeeded") != 0)
		return;
	sg_anthropic_split_creation(reader, usage, reader->cache_creation);
	if (!usage->inference_geo[0] && reader->facts->asks_us)
		strcpy(usage->inference_geo, "us");
	if (!reader->event_usage || usage->input_tokens < 0 || usage->output_tokens < 0)
		reader->outcome.bad_evidence = true;
	else
		sg_response_add_line(reader, usage);
}

static void sum_results(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	begin_message(reader);
	usage->input_tokens = usage->output_tokens = 0;
	for (unsigned i = 0; i < outcome->line_count; i++) {
		struct sg_usage *line = &outcome->lines[i];

		usage->input_tokens += line->input_tokens;
		usage->output_tokens += line->output_tokens;
		usage->cache_read_tokens += line->cache_read_tokens;
		usage->cache_write_tokens += line->cache_write_tokens;
		usage->cache_write_1h_tokens += line->cache_write_1h_tokens;
		usage->reasoning_tokens += line->reasoning_tokens;
		usage->web_search_requests += line->web_search_requests;
		strcpy(line->service_tier, "batch");
	}
	// One model at one place: its line is the sum.
	if (outcome->line_count == 1) {
		*usage = outcome->lines[0];
		outcome->line_count = 0;
	}
	reader->final = reader->complete && reader->usage_seen;
}

static void finish(struct sg_response_reader *reader)
{
	strcpy(reader->outcome.usage.service_tier, "batch");
	if (reader->is_stream)
		sum_results(reader);
	else if (reader->status < 300)
		reader->outcome.state = SG_EXCHANGE_PENDING;
	strcpy(reader->outcome.usage.service_tier, "batch");
}

const struct sg_api sg_api_anthropic_batch = {
	.name = "batch",
	.request_paths = sg_anthropic_batch_paths,
	.request_path_count = SG_ANTHROPIC_BATCH_PATHS,
	.on_request = sg_anthropic_on_batch_request,
	.finish_request = sg_anthropic_finish_batch_request,
	.body_paths = created_paths,
	.body_path_count = SG_ARRAY_SIZE(created_paths),
	.on_body = on_created,
	.event_paths = result_paths,
	.event_path_count = SG_ARRAY_SIZE(result_paths),
	.on_event = on_result,
	.end_event = end_result,
	.tells_lines = true,
	.finish_response = finish,
	.dialect = SG_DIALECT_ANTHROPIC,
};

// ---- Text completions ----

enum complete_node { MODEL = 1, MAX_TOKENS, STREAM };

static const struct sg_json_path complete_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[MAX_TOKENS - 1] = { SG_JSON_ROOT, "max_tokens_to_sample", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
};

static void on_complete_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == MODEL)
		sg_request_set_model(&reader->facts, value);
	else if (value->node == MAX_TOKENS)
		sg_request_limit(value, -1, &reader->max_primary);
	else if (value->node == STREAM)
		reader->facts.stream = value->type == SG_JSON_TRUE;
}

enum completed_node { D_COMPLETION = 1, D_MODEL, D_ERROR };

static const struct sg_json_path completed_paths[] = {
	[D_COMPLETION - 1] = { SG_JSON_ROOT, "completion", 0 },
	[D_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[D_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
};

static void on_completed(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (value->node == D_COMPLETION) {
		reader->produced = true;
		sg_response_text(reader, value);
	} else if (value->node == D_MODEL) {
		sg_value_copy(value, usage->model, sizeof(usage->model));
	} else if (value->node == D_ERROR) {
		reader->failed_early = true;
	}
}

const struct sg_api sg_api_anthropic_complete = {
	.name = "complete",
	.request_paths = complete_paths,
	.request_path_count = SG_ARRAY_SIZE(complete_paths),
	.on_request = on_complete_request,
	.body_paths = completed_paths,
	.body_path_count = SG_ARRAY_SIZE(completed_paths),
	.on_body = on_completed,
	.event_paths = completed_paths,
	.event_path_count = SG_ARRAY_SIZE(completed_paths),
	.on_event = on_completed,
	.dialect = SG_DIALECT_ANTHROPIC,
};
