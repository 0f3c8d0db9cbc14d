// SPDX-License-Identifier: Apache-2.0
// OpenAI responses, the answer. Fields: the provider's API reference, POST /v1/responses.
#include <string.h>

#include "provider/live_session.h"
#include "provider/openai_responses.h"

// Of any part of what a clean end of a stream repeats.
#define MARK_MAX_BYTES (1u << 20)

// The object itself, or inside an event.
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
	R_ITEM_TYPE,
	R_ACTION,
	R_ACTION_TYPE,
	R_COST,
	R_COST_TOTAL,
	R_COST_TICKS,
	R_COST_DETAILS,
	R_COST_UPSTREAM,
	R_OWN_KEY,
	R_ERROR,
	R_ERROR_CODE,
	R_CONTAINER,
	R_ENVIRONMENT,
	R_ENVIRONMENT_CONTAINER,
	RESPONSE_NODES,
	// events only
	E_RESPONSE = RESPONSE_NODES,
	E_TYPE,
	E_DELTA,
	E_ITEM,
	E_ITEM_TYPE,
	E_ACTION,
	E_ACTION_TYPE,
	E_SEQUENCE,
	E_OUTPUT_INDEX,
	E_CONTENT_INDEX,
	E_CONTAINER,
	E_ENVIRONMENT,
	E_ENVIRONMENT_CONTAINER,
};

// The rows of a response object that is `base`.
#define RESPONSE_PATHS(base)                                                                       \
	[R_ID - 1] = { base, "id", 0 }, [R_MODEL - 1] = { base, "model", 0 },                      \
		[R_STATUS - 1] = { base, "status", 0 },                                            \
		[R_SERVICE_TIER - 1] = { base, "service_tier", 0 },                                \
		[R_USAGE - 1] = { base, "usage", 0 },                                              \
		[R_INPUT_TOKENS - 1] = { R_USAGE, "input_tokens", 0 },                             \
		[R_OUTPUT_TOKENS - 1] = { R_USAGE, "output_tokens", 0 },                           \
		[R_INPUT_DETAILS - 1] = { R_USAGE, "input_tokens_details", 0 },                    \
		[R_CACHED - 1] = { R_INPUT_DETAILS, "cached_tokens", 0 },                          \
		[R_CACHE_WRITE - 1] = { R_INPUT_DETAILS, "cache_write_tokens", 0 },                \
		[R_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details", 0 },                  \
		[R_REASONING - 1] = { R_OUTPUT_DETAILS, "reasoning_tokens", 0 },                   \
		[R_OUTPUT - 1] = { base, "output", 0 }, [R_ITEM - 1] = { R_OUTPUT, NULL, 0 },      \
		[R_CONTENT - 1] = { R_ITEM, "content", 0 }, [R_PART - 1] = { R_CONTENT, NULL, 0 }, \
		[R_TEXT - 1] = { R_PART, "text", 0 },                                              \
		[R_ARGUMENTS - 1] = { R_ITEM, "arguments", 0 },                                    \
		[R_ITEM_TYPE - 1] = { R_ITEM, "type", 0 },                                         \
		[R_ACTION - 1] = { R_ITEM, "action", 0 },                                          \
		[R_ACTION_TYPE - 1] = { R_ACTION, "type", 0 },                                     \
		[R_COST - 1] = { R_USAGE, "cost", 0 },                                             \
		[R_COST_TOTAL - 1] = { R_COST, "total_cost", 0 },                                  \
		[R_COST_TICKS - 1] = { R_USAGE, "cost_in_usd_ticks", 0 },                          \
		[R_COST_DETAILS - 1] = { R_USAGE, "cost_details", 0 },                             \
		[R_COST_UPSTREAM - 1] = { R_COST_DETAILS, "upstream_inference_cost", 0 },          \
		[R_OWN_KEY - 1] = { R_USAGE, "is_byok", 0 }, [R_ERROR - 1] = { base, "error", 0 }, \
		[R_ERROR_CODE - 1] = { R_ERROR, "code", 0 },                                       \
		[R_CONTAINER - 1] = { R_ITEM, "container_id", 0 },                                 \
		[R_ENVIRONMENT - 1] = { R_ITEM, "environment", 0 },                                \
		[R_ENVIRONMENT_CONTAINER - 1] = { R_ENVIRONMENT, "container_id", R_CONTAINER }

static const struct sg_json_path body_paths[] = { RESPONSE_PATHS(SG_JSON_ROOT) };

static const struct sg_json_path event_paths[] = {
	RESPONSE_PATHS(E_RESPONSE),
	[E_RESPONSE - 1] = { SG_JSON_ROOT, "response", 0 },
	[E_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[E_DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },
	[E_ITEM - 1] = { SG_JSON_ROOT, "item", 0 },
	[E_ITEM_TYPE - 1] = { E_ITEM, "type", 0 },
	[E_ACTION - 1] = { E_ITEM, "action", 0 },
	[E_ACTION_TYPE - 1] = { E_ACTION, "type", 0 },
	[E_SEQUENCE - 1] = { SG_JSON_ROOT, "sequence_number", 0 },
	[E_OUTPUT_INDEX - 1] = { SG_JSON_ROOT, "output_index", 0 },
	[E_CONTENT_INDEX - 1] = { SG_JSON_ROOT, "content_index", 0 },
	[E_CONTAINER - 1] = { E_ITEM, "container_id", 0 },
	[E_ENVIRONMENT - 1] = { E_ITEM, "environment", 0 },
	[E_ENVIRONMENT_CONTAINER - 1] = { E_ENVIRONMENT, "container_id", E_CONTAINER },
};

// A web search costs a fee for each query; opening a page that it found costs none. A search in
// files costs one a call. A picture costs what the dearest kind does: its tokens are not in usage.
static void count_search(const struct sg_response_reader *reader, struct sg_searches *searches)
{
	searches->web += reader->item_is_search && !reader->item_is_no_query;
	searches->file += reader->item_is_file_search;
	searches->pictures += reader->item_is_picture;
}

// A session of a container, however often code ran in it.
static void on_container(const struct sg_json_value *value, struct sg_searches *searches)
{
	if (value->type != SG_JSON_STRING || strcmp(searches->container, value->text) == 0)
		return;
	sg_value_copy(value, searches->container, sizeof(searches->container));
	searches->containers++;
}

static void on_output_item(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (!value->end)
		sg_response_begin_item(reader);
	else
		count_search(reader, &reader->output_searches);
}

static void on_price(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->node == R_COST)
		sg_response_stated_price(reader, value, SG_TRAIT_COST);
	else if (value->node == R_COST_TOTAL)
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TOTAL);
	else if (value->node == R_COST_TICKS)
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TICKS);
	else if (value->node == R_COST_UPSTREAM)
		sg_response_price(reader, value, 0, &reader->upstream_picousd);
	else if (value->node == R_OWN_KEY)
		reader->own_key = value->type == SG_JSON_TRUE;
}

// Where in the event stands what the stream's end would have to repeat.
static bool on_place(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_stream_mark *mark = &reader->mark;
	int r = 0;

	switch (value->node) {
	case E_RESPONSE:
	case E_ITEM:
		if (!value->end)
			mark->place = value->offset;
		mark->place_end = value->end_offset;
		return true;
	case E_DELTA:
		if (value->type == SG_JSON_STRING)
			reader->event_delta_bytes = (int64_t)value->decoded_length;
		// Without its quotes.
		mark->place = value->offset + 1;
		mark->place_end = value->end_offset - 1;
		return true;
	case E_SEQUENCE:
		r = sg_json_count(value, &mark->sequence);
		break;
	case E_OUTPUT_INDEX:
		r = sg_json_count(value, &mark->item_index);
		break;
	case E_CONTENT_INDEX:
		r = sg_json_count(value, &mark->part_index);
		break;
	default:
		return false;
	}
	mark->lost = mark->lost || r < 0;
	return true;
}

static bool on_count(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t *counts[] = {
		[R_INPUT_TOKENS] = &usage->input_tokens,
		[R_OUTPUT_TOKENS] = &usage->output_tokens,
		[R_CACHED] = &usage->cache_read_tokens,
		[R_CACHE_WRITE] = &usage->cache_write_tokens,
		[R_REASONING] = &usage->reasoning_tokens,
	};

	if ((size_t)value->node >= SG_ARRAY_SIZE(counts) || !counts[value->node])
		return false;
	sg_response_count(reader, value, counts[value->node]);
	return true;
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	static const char *const unfinished[] = { "queued", "in_progress", NULL };
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	switch (value->node) {
	case R_ID:
		sg_value_copy(value, outcome->pending_id, sizeof(outcome->pending_id));
		break;
	case R_MODEL:
		if (value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_STATUS:
		outcome->state =
			value->type == SG_JSON_STRING && sg_is_one_of(value->text, unfinished)
				? SG_EXCHANGE_PENDING
				: SG_EXCHANGE_SETTLED;
		break;
	case R_SERVICE_TIER:
		sg_value_copy(value, usage->service_tier, sizeof(usage->service_tier));
		break;
	case R_USAGE:
		if (!value->end && (value->type != SG_JSON_NULL || !reader->is_stream))
			sg_response_begin_usage(reader, value);
		break;
	case R_OUTPUT:
		if (!value->end)
			reader->output_searches = (struct sg_searches){ 0 };
		break;
	case R_ITEM:
		on_output_item(reader, value);
		break;
	case R_ITEM_TYPE:
	case E_ITEM_TYPE:
		reader->item_is_search = strcmp(value->text, "web_search_call") == 0;
		reader->item_is_file_search = strcmp(value->text, "file_search_call") == 0;
		reader->item_is_picture = strcmp(value->text, "image_generation_call") == 0;
		reader->hides_output =
			reader->hides_output || strcmp(value->text, "reasoning") == 0;
		break;
	case R_CONTAINER:
		on_container(value, &reader->output_searches);
		break;
	case E_CONTAINER:
		on_container(value, &reader->events_searches);
		break;
	case R_ACTION_TYPE:
	case E_ACTION_TYPE:
		reader->item_is_no_query = strcmp(value->text, "search") != 0;
		break;
	case R_ERROR_CODE:
		reader->filtered = sg_response_is_filter_code(value);
		break;
	case R_TEXT:
	case R_ARGUMENTS:
		if (!reader->is_stream)
			sg_response_text(reader, value);
		break;
	case E_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	default:
		if (!on_count(reader, value) && !on_place(reader, value))
			on_price(reader, value);
		break;
	}
}

static void keep(struct sg_response_reader *reader, struct sg_buf *buf)
{
	struct sg_stream_mark *mark = &reader->mark;
	size_t length = mark->place_end > mark->place ? mark->place_end - mark->place : 0;

	if (sg_buf_length(buf) + length > MARK_MAX_BYTES ||
		sg_buf_append(buf, reader->event_data + mark->place, length) < 0)
		mark->lost = true;
}

static void clear(struct sg_buf *buf)
{
	sg_buf_consume(buf, sg_buf_length(buf));
}

// Keeps what a clean end repeats: the response as it was created, the items that are done, and what
// was said of the open one.
static void mark_event(struct sg_response_reader *reader, const char *type)
{
	static const char *const texts[] = { "response.output_text.delta",
		"response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
		NULL };
	struct sg_stream_mark *mark = &reader->mark;

	if (strcmp(type, "response.created") == 0) {
		mark->begun = true;
		clear(&mark->response);
		keep(reader, &mark->response);
	} else if (strcmp(type, "response.output_item.added") == 0) {
		clear(&mark->item);
		clear(&mark->text);
		keep(reader, &mark->item);
	} else if (sg_is_one_of(type, texts)) {
		keep(reader, &mark->text);
		mark->lost = mark->lost || mark->part_index > 0;
	} else if (strcmp(type, "response.output_item.done") == 0) {
		if (sg_buf_length(&mark->items) && sg_buf_append(&mark->items, ",", 1) < 0)
			mark->lost = true;
		keep(reader, &mark->items);
		clear(&mark->item);
		clear(&mark->text);
	}
}

static void see_delta(struct sg_response_reader *reader)
{
	const struct sg_stream_mark *mark = &reader->mark;
	uint64_t source = (uint64_t)mark->item_index << 32 ^ (uint64_t)mark->part_index;

	if (!reader->event_delta_bytes)
		return;
	reader->outcome.visible_output_bytes += reader->event_delta_bytes;
	sg_response_see(reader, source, mark->place - 1, mark->place_end + 1);
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;
	size_t length = strlen(type);

	if (reader->mark.kept)
		mark_event(reader, type);
	if (strstr(type, "reasoning"))
		reader->hides_output = true;

	reader->produced = reader->produced || strncmp(type, "response.", 9) == 0;
	if (length > 6 && strcmp(type + length - 6, ".delta") == 0)
		see_delta(reader);
	if (strcmp(type, "response.output_item.done") == 0)
		count_search(reader, &reader->events_searches);
	if (strcmp(type, "response.completed") == 0 || strcmp(type, "response.incomplete") == 0 ||
		strcmp(type, "response.failed") == 0) {
		reader->final = reader->usage_seen;
		reader->stream_ended = true;
	} else if (strcmp(type, "error") == 0) {
		reader->failed_early = true;
	}
}

static enum sg_event_weight weigh(const struct sg_sse_event *event)
{
	return sg_event_name_ends(event, ".delta") ? SG_EVENT_FILLER : SG_EVENT_COUNTS;
}

static int64_t more_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;

	// The last event lists all output, unless the caller's settings leave it out.
	usage->web_search_requests =
		more_of(reader->output_searches.web, reader->events_searches.web);
	usage->file_search_requests =
		more_of(reader->output_searches.file, reader->events_searches.file);
	usage->units.containers =
		more_of(reader->output_searches.containers, reader->events_searches.containers);
	if (usage->units.containers)
		memcpy(usage->kind, reader->facts->kind, sizeof(usage->kind));
	usage->units.images =
		more_of(reader->output_searches.pictures, reader->events_searches.pictures);
	// A background answer goes on without its stream, and is settled by a later poll; another
	// one that was cut in progress is not.
	if (outcome->state == SG_EXCHANGE_PENDING &&
		(!reader->facts->background || reader->usage_seen || reader->failed_early))
		outcome->state = SG_EXCHANGE_SETTLED;
	if (outcome->state != SG_EXCHANGE_PENDING)
		outcome->pending_id[0] = 0;
	sg_response_take_out_cached(reader);
	sg_response_add_upstream_price(reader);
	if (usage->output_tokens >= 0 && usage->reasoning_tokens > usage->output_tokens)
		outcome->bad_evidence = true;
}

static void finish_compaction_request(struct sg_request_reader *reader)
{
	sg_responses_finish_request(reader);
	reader->facts.max_output = -1;
}

// Of the input: itself, what items say, the texts of their parts, and what tools have said.
static const struct sg_json_path text_paths[] = {
	{ SG_JSON_ROOT, "input", 0 },
	{ 1, NULL, 0 },
	{ 2, "content", 0 },
	{ 3, NULL, 0 },
	{ 4, "text", 0 },
	{ 2, "output", 3 },
	{ SG_JSON_ROOT, "instructions", 0 },
};

static const struct sg_limit_member limit = { .name = "max_output_tokens" };

// A conversation made shorter: a call of the model whose length no member limits, whole.
const struct sg_api sg_api_openai_compaction = {
	.name = "compaction",
	.request_paths = sg_responses_request_paths,
	.request_path_count = SG_RESPONSES_REQUEST_PATHS,
	.on_request = sg_responses_on_request,
	.finish_request = finish_compaction_request,
	SG_READS_BOTH(body_paths, on_response),
	.finish_response = finish_response,
};

const struct sg_api sg_api_openai_responses = {
	.name = "responses",
	.request_paths = sg_responses_request_paths,
	.request_path_count = SG_RESPONSES_REQUEST_PATHS,
	.on_request = sg_responses_on_request,
	.finish_request = sg_responses_finish_request,
	.limit = &limit,
	.text_paths = text_paths,
	.text_path_count = SG_ARRAY_SIZE(text_paths),
	.body_paths = body_paths,
	.body_path_count = SG_ARRAY_SIZE(body_paths),
	.on_body = on_response,
	.event_paths = event_paths,
	.event_path_count = SG_ARRAY_SIZE(event_paths),
	.on_event = on_response,
	.end_event = end_event,
	.end_stream = sg_responses_end_stream,
	.finish_response = finish_response,
	.weigh = weigh,
	.live = &sg_live_responses,
};
