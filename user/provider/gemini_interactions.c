// SPDX-License-Identifier: Apache-2.0
// Gemini's interactions: a model's turn, or an agent at the provider's. Whole, as events, or in the
// background with a GET for its end. Fields: the provider's SDK, interactions.create;
// its JSON takes each name in snake case and in camel case.
#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "provider/gemini.h"

enum request_node {
	MODEL = 1,
	AGENT,
	STREAM,
	BACKGROUND,
	PREVIOUS,
	CONFIG,
	MAX_TOKENS,
	INPUT,
	ITEM,
	ITEM_TYPE,
	CONTENT,
	PART,
	PART_TYPE,
	TOOLS,
	TOOL,
	TOOL_TYPE,
	CACHED,
	SERVICE_TIER,
	// media, wherever they stand
	ITEM_URI,
	ITEM_DATA,
	PART_URI,
	PART_DATA,
	// what a function gave
	RESULT,
	PART_RESULT,
	RESULT_ITEM,
	RESULT_ITEMS,
	ONE_TOOL_TYPE,
	PREVIOUS_CAMEL,
	CONFIG_CAMEL,
	MAX_TOKENS_CAMEL,
	CACHED_CAMEL,
	SERVICE_TIER_CAMEL,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[AGENT - 1] = { SG_JSON_ROOT, "agent", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[BACKGROUND - 1] = { SG_JSON_ROOT, "background", 0 },
	[PREVIOUS - 1] = { SG_JSON_ROOT, "previous_interaction_id", 0 },
	[CONFIG - 1] = { SG_JSON_ROOT, "generation_config", 0 },
	[MAX_TOKENS - 1] = { CONFIG, "max_output_tokens", 0 },
	[INPUT - 1] = { SG_JSON_ROOT, "input", 0 },
	[ITEM - 1] = { INPUT, NULL, 0 },
	[ITEM_TYPE - 1] = { ITEM, "type", 0 },
	[CONTENT - 1] = { ITEM, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_TYPE - 1] = { PART, "type", ITEM_TYPE },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[TOOL_TYPE - 1] = { TOOL, "type", 0 },
	[CACHED - 1] = { SG_JSON_ROOT, "cached_content", 0 },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier", 0 },
	[ITEM_URI - 1] = { ITEM, "uri", 0 },
	[ITEM_DATA - 1] = { ITEM, "data", ITEM_URI },
	[PART_URI - 1] = { PART, "uri", ITEM_URI },
	[PART_DATA - 1] = { PART, "data", ITEM_URI },
	[RESULT - 1] = { ITEM, "result", 0 },
	[PART_RESULT - 1] = { PART, "result", RESULT },
	[RESULT_ITEM - 1] = { RESULT, NULL, PART },
	[RESULT_ITEMS - 1] = { RESULT, "items", CONTENT },
	[ONE_TOOL_TYPE - 1] = { TOOLS, "type", TOOL_TYPE },
	[PREVIOUS_CAMEL - 1] = { SG_JSON_ROOT, "previousInteractionId", PREVIOUS },
	[CONFIG_CAMEL - 1] = { SG_JSON_ROOT, "generationConfig", CONFIG },
	[MAX_TOKENS_CAMEL - 1] = { CONFIG, "maxOutputTokens", MAX_TOKENS },
	[CACHED_CAMEL - 1] = { SG_JSON_ROOT, "cachedContent", CACHED },
	[SERVICE_TIER_CAMEL - 1] = { SG_JSON_ROOT, "serviceTier", SERVICE_TIER },
};

static void on_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char *const texts[] = { "text", "thought", "function_call", "function_result",
		"user_input", "model_output", NULL };

	if (value->type == SG_JSON_STRING && !sg_is_one_of(value->text, texts))
		sg_request_take_window(facts, "media_part");
}

// Of a tool that runs at the provider.
static void on_tool(struct sg_request_reader *reader, const char *type)
{
	static const char *const known[] = { "google_search", "google_maps", "code_execution",
		"url_context", "file_search", "computer_use", "mcp_server", NULL };
	struct sg_request_facts *facts = &reader->facts;

	facts->searches_web = facts->searches_web || strcmp(type, "google_search") == 0;
	facts->searches_maps = facts->searches_maps || strcmp(type, "google_maps") == 0;
	facts->uses_for_a_fee = facts->searches_web || facts->searches_maps;
	sg_gemini_take_tool(reader, sg_is_one_of(type, known));
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case AGENT:
		if (given) {
			facts->unbounded = true;
			sg_request_take_window(facts, "agent");
		}
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case BACKGROUND:
		facts->background = value->type == SG_JSON_TRUE;
		break;
	case PREVIOUS:
		if (given)
			sg_request_take_window(facts, "previous_interaction_id");
		break;
	case CACHED:
		if (given)
			sg_request_take_window(facts, "cached_content");
		break;
	case CONFIG:
		sg_request_limit_object(reader, value);
		break;
	case MAX_TOKENS:
		sg_request_largest_limit(reader, value);
		break;
	case ITEM:
		facts->messages += !value->end;
		break;
	case INPUT:
	case CONTENT:
		// One object in place of a list.
		if (given && value->type == SG_JSON_OBJECT)
			sg_request_take_window(facts, "media_part");
		break;
	case ITEM_URI:
		if (given)
			sg_request_take_window(facts, "media_part");
		break;
	case ITEM_TYPE:
		on_type(facts, value);
		break;
	case TOOL:
		facts->tools = true;
		break;
	case TOOL_TYPE:
		if (strcmp(value->text, "function") == 0)
			break;
		on_tool(reader, value->text);
		break;
	case SERVICE_TIER:
		sg_gemini_take_tier(facts, value);
		break;
	default:
		break;
	}
}

enum response_node {
	R_ID = 1,
	R_STATUS,
	R_MODEL,
	R_USAGE,
	R_INPUT,
	R_CACHED,
	R_OUTPUT,
	R_THOUGHT,
	R_TOOL_USE,
	R_TOTAL,
	R_TOOL_COUNTS,
	R_TOOL_COUNT,
	R_COUNT,
	R_TOOL_TYPE,
	R_TYPE,
	R_EVENT_TYPE,
	R_INTERACTION,
	R_I_ID,
	R_I_STATUS,
	R_I_MODEL,
	R_I_USAGE,
	R_ERROR,
	R_SERVICE_TIER,
};

static const struct sg_json_path response_paths[] = {
	[R_ID - 1] = { SG_JSON_ROOT, "id", 0 },
	[R_STATUS - 1] = { SG_JSON_ROOT, "status", 0 },
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_INPUT - 1] = { R_USAGE, "total_input_tokens", 0 },
	[R_CACHED - 1] = { R_USAGE, "total_cached_tokens", 0 },
	[R_OUTPUT - 1] = { R_USAGE, "total_output_tokens", 0 },
	[R_THOUGHT - 1] = { R_USAGE, "total_thought_tokens", 0 },
	[R_TOOL_USE - 1] = { R_USAGE, "total_tool_use_tokens", 0 },
	[R_TOTAL - 1] = { R_USAGE, "total_tokens", 0 },
	[R_TOOL_COUNTS - 1] = { R_USAGE, "grounding_tool_count", 0 },
	[R_TOOL_COUNT - 1] = { R_TOOL_COUNTS, NULL, 0 },
	[R_COUNT - 1] = { R_TOOL_COUNT, "count", 0 },
	[R_TOOL_TYPE - 1] = { R_TOOL_COUNT, "type", 0 },
	[R_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[R_EVENT_TYPE - 1] = { SG_JSON_ROOT, "event_type", R_TYPE },
	[R_INTERACTION - 1] = { SG_JSON_ROOT, "interaction", 0 },
	[R_I_ID - 1] = { R_INTERACTION, "id", R_ID },
	[R_I_STATUS - 1] = { R_INTERACTION, "status", R_STATUS },
	[R_I_MODEL - 1] = { R_INTERACTION, "model", R_MODEL },
	[R_I_USAGE - 1] = { R_INTERACTION, "usage", R_USAGE },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[R_SERVICE_TIER - 1] = { R_USAGE, "service_tier", 0 },
};

static void on_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->end || value->type == SG_JSON_NULL)
		return;
	sg_response_begin_usage(reader, value);
	reader->tool_prompt = reader->done_searches = 0;
	reader->total_tokens = -1;
}

// Begin and end of {"type", "count"}.
static void on_tool_count(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	int64_t *maps = &reader->outcome.usage.maps_requests;

	if (!value->end) {
		reader->part.kind = 'S';
		reader->part.count = 0;
	} else if (reader->part.kind == 'M') {
		*maps = sg_money_add(*maps, reader->part.count);
	} else {
		reader->done_searches = sg_money_add(reader->done_searches, reader->part.count);
	}
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	static const char *const unfinished[] = { "queued", "in_progress", "pending", NULL };
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	switch ((enum response_node)value->node) {
	case R_ID:
		sg_value_copy(value, outcome->pending_id, sizeof(outcome->pending_id));
		break;
	case R_STATUS:
		outcome->state =
			value->type == SG_JSON_STRING && sg_is_one_of(value->text, unfinished)
				? SG_EXCHANGE_PENDING
				: SG_EXCHANGE_SETTLED;
		break;
	case R_MODEL:
		sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_USAGE:
		on_usage(reader, value);
		break;
	case R_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_CACHED:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case R_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_THOUGHT:
		sg_response_count(reader, value, &usage->reasoning_tokens);
		break;
	case R_TOOL_USE:
		sg_response_count(reader, value, &reader->tool_prompt);
		break;
	case R_TOTAL:
		sg_response_count(reader, value, &reader->total_tokens);
		break;
	case R_TOOL_COUNT:
		on_tool_count(reader, value);
		break;
	case R_COUNT:
		sg_response_count(reader, value, &reader->part.count);
		break;
	case R_TOOL_TYPE:
		reader->part.kind = strstr(value->text, "maps") ? 'M' : 'S';
		break;
	case R_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case R_SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
			sg_gemini_on_tier(usage, value->text);
		break;
	case R_ERROR:
		reader->failed_early = reader->failed_early || value->type == SG_JSON_OBJECT;
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	bool ends = strncmp(reader->event_type, "interaction.complete", 20) == 0;

	reader->produced = reader->produced || strncmp(reader->event_type, "error", 5) != 0;
	reader->final = reader->final || (ends && reader->event_usage);
	reader->stream_ended = reader->stream_ended || ends;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (outcome->state == SG_EXCHANGE_PENDING &&
		(!reader->facts->background || reader->is_stream || reader->usage_seen))
		outcome->state = SG_EXCHANGE_SETTLED;
	if (outcome->state != SG_EXCHANGE_PENDING)
		outcome->pending_id[0] = 0;
	if (!reader->usage_seen || outcome->usage.input_tokens < 0)
		return;
	sg_gemini_count_output(reader);
	sg_gemini_count_searches(reader);
}

const struct sg_api sg_api_gemini_interactions = {
	.name = "interactions",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = sg_gemini_finish_request,
	SG_READS_BOTH(response_paths, on_response),
	.end_event = end_event,
	.on_header = sg_gemini_on_header,
	.finish_response = finish_response,
	.end_mark = "[DONE]",
	.dialect = SG_DIALECT_GOOGLE,
};
