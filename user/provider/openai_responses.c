// SPDX-License-Identifier: Apache-2.0
// OpenAI responses. Fields: the provider's API reference, POST /v1/responses.
#include <stdio.h>
#include <string.h>

#include "provider/api.h"

// ---- Request ----

enum request_node {
	MODEL = 1,
	MAX_OUTPUT_TOKENS,
	STREAM,
	BACKGROUND,
	SERVICE_TIER,
	INPUT,
	ITEM,
	ITEM_TYPE,
	CONTENT,
	PART,
	PART_TYPE,
	PREVIOUS_RESPONSE_ID,
	CONVERSATION,
	PROMPT,
	TOOLS,
	TOOL,
	TOOL_TYPE,
	MAX_TOOL_CALLS,
	ITEM_OUTPUT,
	OUTPUT_PART,
	OUTPUT_PART_TYPE,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model" },
	[MAX_OUTPUT_TOKENS - 1] = { SG_JSON_ROOT, "max_output_tokens" },
	[STREAM - 1] = { SG_JSON_ROOT, "stream" },
	[BACKGROUND - 1] = { SG_JSON_ROOT, "background" },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier" },
	[INPUT - 1] = { SG_JSON_ROOT, "input" },
	[ITEM - 1] = { INPUT, NULL },
	[ITEM_TYPE - 1] = { ITEM, "type" },
	[CONTENT - 1] = { ITEM, "content" },
	[PART - 1] = { CONTENT, NULL },
	[PART_TYPE - 1] = { PART, "type" },
	[PREVIOUS_RESPONSE_ID - 1] = { SG_JSON_ROOT, "previous_response_id" },
	[CONVERSATION - 1] = { SG_JSON_ROOT, "conversation" },
	[PROMPT - 1] = { SG_JSON_ROOT, "prompt" },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools" },
	[TOOL - 1] = { TOOLS, NULL },
	[TOOL_TYPE - 1] = { TOOL, "type" },
	[MAX_TOOL_CALLS - 1] = { SG_JSON_ROOT, "max_tool_calls" },
	[ITEM_OUTPUT - 1] = { ITEM, "output" },
	[OUTPUT_PART - 1] = { ITEM_OUTPUT, NULL },
	[OUTPUT_PART_TYPE - 1] = { OUTPUT_PART, "type" },
};

static void take_window(struct sg_request_facts *facts, const char *reason)
{
	facts->context_window = true;
	sg_request_add_reason(facts, reason);
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static void on_part_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char *const texts[] = { "input_text", "output_text", "refusal", "text",
		"summary_text", "reasoning_text", NULL };

	if (value->type != SG_JSON_STRING || is_one_of(value->text, texts))
		return;
	if (strcmp(value->text, "input_image") == 0)
		facts->images++;
	take_window(facts, strcmp(value->text, "input_image") == 0  ? "image_url"
			   : strcmp(value->text, "input_file") == 0 ? "file"
								    : "unknown_part");
}

// Tools that the agent runs itself are text; all others run at the provider and feed the model what
// no byte here bounds.
static void on_tool_type(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const own[] = { "function", "custom", "local_shell", "shell",
		"apply_patch", "namespace", NULL };

	if (value->type != SG_JSON_STRING || is_one_of(value->text, own))
		return;
	reader->hosted_tools = true;
	take_window(&reader->facts, strcmp(value->text, "mcp") == 0 ? "mcp" : "hosted_tools");
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case MODEL:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, facts->model, sizeof(facts->model));
		break;
	case MAX_OUTPUT_TOKENS:
		reader->max_primary = -1;
		if (given && sg_json_count(value, &reader->max_primary) < 0)
			reader->max_primary = -1;
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case BACKGROUND:
		facts->background = value->type == SG_JSON_TRUE;
		break;
	case SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, facts->service_tier, sizeof(facts->service_tier));
		break;
	case ITEM:
		facts->messages += !value->end;
		break;
	case ITEM_TYPE:
		if (value->type == SG_JSON_STRING && strcmp(value->text, "item_reference") == 0)
			take_window(facts, "item_reference");
		break;
	case PART_TYPE:
	case OUTPUT_PART_TYPE:
		on_part_type(facts, value);
		break;
	case PREVIOUS_RESPONSE_ID:
		if (given)
			take_window(facts, "previous_response_id");
		break;
	case CONVERSATION:
		if (given)
			take_window(facts, "conversation");
		break;
	case PROMPT:
		if (given)
			take_window(facts, "prompt");
		break;
	case TOOL:
		facts->tools = true;
		break;
	case TOOL_TYPE:
		on_tool_type(reader, value);
		break;
	case MAX_TOOL_CALLS:
		reader->max_tool_calls = 0;
		if (given && sg_json_count(value, &reader->max_tool_calls) < 0)
			reader->max_tool_calls = 0;
		break;
	default:
		break;
	}
}

// Each turn of a hosted tool's loop is a model call of its own; without a limit there is no bound.
static void finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	if (!reader->hosted_tools)
		return;
	if (reader->max_tool_calls > 0) {
		facts->tool_turns = reader->max_tool_calls;
	} else {
		facts->unbounded = true;
		sg_request_add_reason(facts, "no_max_tool_calls");
	}
}

// ---- Response: the object itself, or inside an event ----

enum response_node {
	R_ID = 1,
	R_MODEL,
	R_STATUS,
	R_SERVICE_TIER,
	R_USAGE,
	R_INPUT_TOKENS,
	R_OUTPUT_TOKENS,
	R_INPUT_DETAILS,
	R_CACHED,
	R_CACHE_WRITE,
	R_OUTPUT_DETAILS,
	R_REASONING,
	R_OUTPUT,
	R_ITEM,
	R_CONTENT,
	R_PART,
	R_TEXT,
	R_ARGUMENTS,
	RESPONSE_NODES,
	// events only
	E_RESPONSE = RESPONSE_NODES,
	E_TYPE,
	E_DELTA,
};

// The rows of a response object that is `base`.
#define RESPONSE_PATHS(base)                                                                       \
	[R_ID - 1] = { base, "id" }, [R_MODEL - 1] = { base, "model" },                            \
		[R_STATUS - 1] = { base, "status" },                                               \
		[R_SERVICE_TIER - 1] = { base, "service_tier" },                                   \
		[R_USAGE - 1] = { base, "usage" },                                                 \
		[R_INPUT_TOKENS - 1] = { R_USAGE, "input_tokens" },                                \
		[R_OUTPUT_TOKENS - 1] = { R_USAGE, "output_tokens" },                              \
		[R_INPUT_DETAILS - 1] = { R_USAGE, "input_tokens_details" },                       \
		[R_CACHED - 1] = { R_INPUT_DETAILS, "cached_tokens" },                             \
		[R_CACHE_WRITE - 1] = { R_INPUT_DETAILS, "cache_write_tokens" },                   \
		[R_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details" },                     \
		[R_REASONING - 1] = { R_OUTPUT_DETAILS, "reasoning_tokens" },                      \
		[R_OUTPUT - 1] = { base, "output" }, [R_ITEM - 1] = { R_OUTPUT, NULL },            \
		[R_CONTENT - 1] = { R_ITEM, "content" }, [R_PART - 1] = { R_CONTENT, NULL },       \
		[R_TEXT - 1] = { R_PART, "text" }, [R_ARGUMENTS - 1] = { R_ITEM, "arguments" }

static const struct sg_json_path body_paths[] = { RESPONSE_PATHS(SG_JSON_ROOT) };

static const struct sg_json_path event_paths[] = {
	RESPONSE_PATHS(E_RESPONSE),
	[E_RESPONSE - 1] = { SG_JSON_ROOT, "response" },
	[E_TYPE - 1] = { SG_JSON_ROOT, "type" },
	[E_DELTA - 1] = { SG_JSON_ROOT, "delta" },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	switch (value->node) {
	case R_ID:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, outcome->pending_id, sizeof(outcome->pending_id));
		break;
	case R_MODEL:
		if (value->type == SG_JSON_STRING && value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_STATUS:
		if (value->type == SG_JSON_STRING &&
			(strcmp(value->text, "queued") == 0 ||
				strcmp(value->text, "in_progress") == 0))
			outcome->state = SG_EXCHANGE_PENDING;
		else
			outcome->state = SG_EXCHANGE_SETTLED;
		break;
	case R_SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, usage->service_tier, sizeof(usage->service_tier));
		break;
	case R_USAGE:
		if (value->end || (value->type == SG_JSON_NULL && reader->is_stream))
			break;
		sg_usage_reset(usage);
		outcome->bad_evidence =
			value->type != SG_JSON_OBJECT && value->type != SG_JSON_NULL;
		reader->usage_seen = value->type == SG_JSON_OBJECT;
		break;
	case R_INPUT_TOKENS:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_OUTPUT_TOKENS:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_CACHED:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case R_CACHE_WRITE:
		sg_response_count(reader, value, &usage->cache_write_tokens);
		break;
	case R_REASONING:
		sg_response_count(reader, value, &usage->reasoning_tokens);
		break;
	case R_TEXT:
	case R_ARGUMENTS:
		if (value->type == SG_JSON_STRING && !reader->is_stream)
			outcome->visible_output_bytes += (int64_t)value->decoded_length;
		break;
	case E_TYPE:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case E_DELTA:
		if (value->type == SG_JSON_STRING)
			reader->event_delta_bytes = (int64_t)value->decoded_length;
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;
	size_t length = strlen(type);

	reader->produced = reader->produced || strncmp(type, "response.", 9) == 0;
	if (length > 6 && strcmp(type + length - 6, ".delta") == 0)
		reader->outcome.visible_output_bytes += reader->event_delta_bytes;
	if (strcmp(type, "response.completed") == 0 || strcmp(type, "response.incomplete") == 0 ||
		strcmp(type, "response.failed") == 0) {
		reader->final = reader->usage_seen;
		reader->stream_ended = true;
	} else if (strcmp(type, "error") == 0) {
		reader->failed_early = true;
	}
}

static bool is_filler(const struct sg_sse_event *event)
{
	return event->name_length > 6 &&
	       memcmp(event->name + event->name_length - 6, ".delta", 6) == 0;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;
	int64_t cached = usage->cache_read_tokens + usage->cache_write_tokens;

	// A background answer is settled by a later poll; a stream that was cut in progress is not
	// one.
	if (outcome->state == SG_EXCHANGE_PENDING &&
		(!reader->facts->background || reader->is_stream || reader->usage_seen))
		outcome->state = SG_EXCHANGE_SETTLED;
	if (outcome->state != SG_EXCHANGE_PENDING)
		outcome->pending_id[0] = 0;
	if (usage->input_tokens >= 0) {
		if (cached > usage->input_tokens)
			outcome->bad_evidence = true;
		else
			usage->input_tokens -= cached;
	}
	if (usage->output_tokens >= 0 && usage->reasoning_tokens > usage->output_tokens)
		outcome->bad_evidence = true;
}

const struct sg_api sg_api_openai_responses = {
	.name = "responses",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = finish_request,
	.body_paths = body_paths,
	.body_path_count = SG_ARRAY_SIZE(body_paths),
	.on_body = on_response,
	.event_paths = event_paths,
	.event_path_count = SG_ARRAY_SIZE(event_paths),
	.on_event = on_response,
	.end_event = end_event,
	.finish_response = finish_response,
	.is_filler = is_filler,
};
