// SPDX-License-Identifier: Apache-2.0
// Calls that go on behind their answer: batches and the runs of assistants. The POST tells an id, a
// later GET of that id what was used. What bounds them is elsewhere (a file, a thread): they are
// held at the operator's amount. Fields: the provider's API reference, POST /v1/batches and
// /v1/threads/ID/runs.
#include <string.h>

#include "provider/api.h"

enum request_node { MODEL = 1, MAX_COMPLETION, STREAM };

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[MAX_COMPLETION - 1] = { SG_JSON_ROOT, "max_completion_tokens", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
};

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == MODEL)
		sg_request_set_model(&reader->facts, value);
	else if (value->node == MAX_COMPLETION)
		sg_request_limit(value, -1, &reader->max_primary);
	else if (value->node == STREAM)
		reader->facts.stream = value->type == SG_JSON_TRUE;
}

static void finish_batch_request(struct sg_request_reader *reader)
{
	reader->facts.batch = reader->facts.unbounded = true;
	sg_request_add_reason(&reader->facts, "batch_file");
}

static void finish_run_request(struct sg_request_reader *reader)
{
	reader->facts.unbounded = true;
	sg_request_take_window(&reader->facts, "thread");
}

enum response_node {
	R_ID = 1,
	R_MODEL,
	R_STATUS,
	R_USAGE,
	R_INPUT,
	R_OUTPUT,
	R_INPUT_DETAILS,
	R_CACHED,
	R_OUTPUT_DETAILS,
	R_REASONING,
	R_PROMPT,
	R_COMPLETION,
	R_PROMPT_DETAILS,
	R_COMPLETION_DETAILS,
	R_COUNTS,
	R_COMPLETED,
	R_OBJECT,
	R_RESPONSE,
	R_RESPONSE_USAGE,
	R_COST,
	R_COST_TOTAL,
};

static const struct sg_json_path response_paths[] = {
	[R_ID - 1] = { SG_JSON_ROOT, "id", 0 },
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_STATUS - 1] = { SG_JSON_ROOT, "status", 0 },
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_INPUT - 1] = { R_USAGE, "input_tokens", 0 },
	[R_OUTPUT - 1] = { R_USAGE, "output_tokens", 0 },
	[R_INPUT_DETAILS - 1] = { R_USAGE, "input_tokens_details", 0 },
	[R_CACHED - 1] = { R_INPUT_DETAILS, "cached_tokens", 0 },
	[R_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details", 0 },
	[R_REASONING - 1] = { R_OUTPUT_DETAILS, "reasoning_tokens", 0 },
	[R_PROMPT - 1] = { R_USAGE, "prompt_tokens", R_INPUT },
	[R_COMPLETION - 1] = { R_USAGE, "completion_tokens", R_OUTPUT },
	[R_PROMPT_DETAILS - 1] = { R_USAGE, "prompt_tokens_details", R_INPUT_DETAILS },
	[R_COMPLETION_DETAILS - 1] = { R_USAGE, "completion_tokens_details", R_OUTPUT_DETAILS },
	[R_COUNTS - 1] = { SG_JSON_ROOT, "request_counts", 0 },
	[R_COMPLETED - 1] = { R_COUNTS, "completed", 0 },
	[R_OBJECT - 1] = { SG_JSON_ROOT, "object", 0 },
	// Perplexity's: the answer in a member of its own
	[R_RESPONSE - 1] = { SG_JSON_ROOT, "response", 0 },
	[R_RESPONSE_USAGE - 1] = { R_RESPONSE, "usage", R_USAGE },
	[R_COST - 1] = { R_USAGE, "cost", 0 },
	[R_COST_TOTAL - 1] = { R_COST, "total_cost", 0 },
};

static bool is_unfinished(const char *status)
{
	static const char *const words[] = { "validating", "in_progress", "finalizing",
		"cancelling", "queued", "requires_action", "CREATED", "IN_PROGRESS", "PENDING",
		NULL };

	return sg_is_one_of(status, words);
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	switch ((enum response_node)value->node) {
	case R_ID:
		sg_value_copy(value, outcome->pending_id, sizeof(outcome->pending_id));
		break;
	case R_MODEL:
		sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_STATUS:
		outcome->state = value->type == SG_JSON_STRING && is_unfinished(value->text)
					 ? SG_EXCHANGE_PENDING
					 : SG_EXCHANGE_SETTLED;
		reader->failed_early = strcmp(value->text, "failed") == 0;
		break;
	case R_USAGE:
		if (!value->end && value->type != SG_JSON_NULL)
			sg_response_begin_usage(reader, value);
		break;
	case R_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_CACHED:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case R_REASONING:
		sg_response_count(reader, value, &usage->reasoning_tokens);
		break;
	case R_COMPLETED:
		reader->produced = value->type != SG_JSON_NUMBER || strcmp(value->text, "0") != 0;
		break;
	case R_OBJECT:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case R_COST_TOTAL:
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TOTAL);
		break;
	default:
		break;
	}
}

// Of a run's stream: the run itself is told in some of the events.
static void end_event(struct sg_response_reader *reader)
{
	if (strcmp(reader->event_type, "thread.run") == 0 && reader->event_usage)
		reader->final = reader->outcome.state != SG_EXCHANGE_PENDING;
}

// An answer that tells usage is not pending, whatever its status says.
static void finish(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (reader->status >= 300 || reader->is_stream)
		outcome->state = SG_EXCHANGE_SETTLED;
	if (outcome->state != SG_EXCHANGE_PENDING)
		outcome->pending_id[0] = 0;
	// A whole that is all zeros before anything was done tells nothing yet.
	if (outcome->state == SG_EXCHANGE_PENDING)
		reader->usage_seen = false;
	sg_response_take_out_cached(reader);
}

// A batch is priced as one: half, at most providers.
static void finish_batch(struct sg_response_reader *reader)
{
	finish(reader);
	strcpy(reader->outcome.usage.service_tier, "batch");
}

#define DEFERRED_PARTS                                                                             \
	.request_paths = request_paths, .request_path_count = SG_ARRAY_SIZE(request_paths),        \
	.on_request = on_request, SG_READS_BOTH(response_paths, on_response),                      \
	.end_event = end_event, .end_mark = "[DONE]"

const struct sg_api sg_api_openai_batch = {
	.name = "batch",
	DEFERRED_PARTS,
	.finish_request = finish_batch_request,
	.finish_response = finish_batch,
};

const struct sg_api sg_api_openai_run = {
	.name = "run",
	DEFERRED_PARTS,
	.finish_request = finish_run_request,
	.finish_response = finish,
};
