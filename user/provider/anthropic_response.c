// SPDX-License-Identifier: Apache-2.0
// Anthropic messages, the answer. Fields: the provider's API reference, POST /v1/messages.
#include <stdio.h>
#include <string.h>

#include "provider/anthropic.h"

// A message, or events with a message or usage in them.

enum response_node {
	R_MODEL = 1,
	R_CONTENT,
	R_PART,
	R_TEXT,
	R_THINKING,
	R_USAGE,
	U_INPUT,
	U_OUTPUT,
	U_CACHE_READ,
	U_CACHE_CREATION,
	U_CREATION,
	U_CREATION_5M,
	U_CREATION_1H,
	U_OUTPUT_DETAILS,
	U_THINKING,
	U_SERVER_TOOLS,
	U_WEB_SEARCH,
	U_SERVICE_TIER,
	U_SPEED,
	U_GEO,
	U_ITERATIONS,
	I_ITEM,
	I_TYPE,
	I_MODEL,
	I_INPUT,
	I_OUTPUT,
	I_CACHE_READ,
	I_CACHE_CREATION,
	I_CREATION,
	I_CREATION_5M,
	I_CREATION_1H,
	SHARED_NODES,
	// body only
	B_ERROR = SHARED_NODES,
	// events only
	E_TYPE = SHARED_NODES,
	E_MESSAGE,
	E_MESSAGE_USAGE,
	E_DELTA,
	E_DELTA_TEXT,
	E_DELTA_THINKING,
	E_DELTA_JSON,
	E_STOP_REASON,
	// usage inside message_start: the same members again, under another parent
	M_INPUT,
	M_OUTPUT,
	M_CACHE_READ,
	M_CACHE_CREATION,
	M_CREATION,
	M_CREATION_5M,
	M_CREATION_1H,
	M_SERVICE_TIER,
	M_SPEED,
	M_GEO,
	E_INDEX,
	E_BLOCK,
	E_BLOCK_TYPE,
};

// The rows below a message at `base` whose usage is at `usage_base`.
#define SHARED_PATHS(base, usage_base)                                                             \
	[R_MODEL - 1] = { base, "model", 0 }, [R_CONTENT - 1] = { base, "content", 0 },            \
		   [R_PART - 1] = { R_CONTENT, NULL, 0 }, [R_TEXT - 1] = { R_PART, "text", 0 },    \
		   [R_THINKING - 1] = { R_PART, "thinking", 0 },                                   \
		   [R_USAGE - 1] = { usage_base, "usage", 0 },                                     \
		   [U_INPUT - 1] = { R_USAGE, "input_tokens", 0 },                                 \
		   [U_OUTPUT - 1] = { R_USAGE, "output_tokens", 0 },                               \
		   [U_CACHE_READ - 1] = { R_USAGE, "cache_read_input_tokens", 0 },                 \
		   [U_CACHE_CREATION - 1] = { R_USAGE, "cache_creation_input_tokens", 0 },         \
		   [U_CREATION - 1] = { R_USAGE, "cache_creation", 0 },                            \
		   [U_CREATION_5M - 1] = { U_CREATION, "ephemeral_5m_input_tokens", 0 },           \
		   [U_CREATION_1H - 1] = { U_CREATION, "ephemeral_1h_input_tokens", 0 },           \
		   [U_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details", 0 },               \
		   [U_THINKING - 1] = { U_OUTPUT_DETAILS, "thinking_tokens", 0 },                  \
		   [U_SERVER_TOOLS - 1] = { R_USAGE, "server_tool_use", 0 },                       \
		   [U_WEB_SEARCH - 1] = { U_SERVER_TOOLS, "web_search_requests", 0 },              \
		   [U_SERVICE_TIER - 1] = { R_USAGE, "service_tier", 0 },                          \
		   [U_SPEED - 1] = { R_USAGE, "speed", 0 },                                        \
		   [U_GEO - 1] = { R_USAGE, "inference_geo", 0 },                                  \
		   [U_ITERATIONS - 1] = { R_USAGE, "iterations", 0 },                              \
		   [I_ITEM - 1] = { U_ITERATIONS, NULL, 0 }, [I_TYPE - 1] = { I_ITEM, "type", 0 }, \
		   [I_MODEL - 1] = { I_ITEM, "model", 0 },                                         \
		   [I_INPUT - 1] = { I_ITEM, "input_tokens", 0 },                                  \
		   [I_OUTPUT - 1] = { I_ITEM, "output_tokens", 0 },                                \
		   [I_CACHE_READ - 1] = { I_ITEM, "cache_read_input_tokens", 0 },                  \
		   [I_CACHE_CREATION - 1] = { I_ITEM, "cache_creation_input_tokens", 0 },          \
		   [I_CREATION - 1] = { I_ITEM, "cache_creation", 0 },                             \
		   [I_CREATION_5M - 1] = { I_CREATION, "ephemeral_5m_input_tokens", 0 },           \
		   [I_CREATION_1H - 1] = { I_CREATION, "ephemeral_1h_input_tokens", 0 }

static const struct sg_json_path body_paths[] = {
	SHARED_PATHS(SG_JSON_ROOT, SG_JSON_ROOT),
	[B_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
};

static const struct sg_json_path event_paths[] = {
	SHARED_PATHS(E_MESSAGE, SG_JSON_ROOT),
	[E_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[E_MESSAGE - 1] = { SG_JSON_ROOT, "message", 0 },
	[E_MESSAGE_USAGE - 1] = { E_MESSAGE, "usage", 0 },
	[E_DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },
	[E_DELTA_TEXT - 1] = { E_DELTA, "text", 0 },
	[E_DELTA_THINKING - 1] = { E_DELTA, "thinking", 0 },
	[E_DELTA_JSON - 1] = { E_DELTA, "partial_json", 0 },
	[E_STOP_REASON - 1] = { E_DELTA, "stop_reason", 0 },
	[M_INPUT - 1] = { E_MESSAGE_USAGE, "input_tokens", 0 },
	[M_OUTPUT - 1] = { E_MESSAGE_USAGE, "output_tokens", 0 },
	[M_CACHE_READ - 1] = { E_MESSAGE_USAGE, "cache_read_input_tokens", 0 },
	[M_CACHE_CREATION - 1] = { E_MESSAGE_USAGE, "cache_creation_input_tokens", 0 },
	[M_CREATION - 1] = { E_MESSAGE_USAGE, "cache_creation", 0 },
	[M_CREATION_5M - 1] = { M_CREATION, "ephemeral_5m_input_tokens", 0 },
	[M_CREATION_1H - 1] = { M_CREATION, "ephemeral_1h_input_tokens", 0 },
	[M_SERVICE_TIER - 1] = { E_MESSAGE_USAGE, "service_tier", 0 },
	[M_SPEED - 1] = { E_MESSAGE_USAGE, "speed", 0 },
	[M_GEO - 1] = { E_MESSAGE_USAGE, "inference_geo", 0 },
	[E_INDEX - 1] = { SG_JSON_ROOT, "index", 0 },
	[E_BLOCK - 1] = { SG_JSON_ROOT, "content_block", 0 },
	[E_BLOCK_TYPE - 1] = { E_BLOCK, "type", 0 },
};

// Where message_start's usage members are the same as those of a body or a message_delta.
static int same_member(int node)
{
	static const int members[] = { U_INPUT, U_OUTPUT, U_CACHE_READ, U_CACHE_CREATION,
		U_CREATION, U_CREATION_5M, U_CREATION_1H, U_SERVICE_TIER, U_SPEED, U_GEO };

	return node >= M_INPUT && node <= M_GEO ? members[node - M_INPUT] : node;
}

// An unknown count (-1) of either stays unknown.
static int64_t add_counts(int64_t a, int64_t b)
{
	return a < 0 || b < 0 ? -1 : a + b;
}

static void add_usage(struct sg_usage *sum, const struct sg_usage *usage)
{
	sum->input_tokens = add_counts(sum->input_tokens, usage->input_tokens);
	sum->output_tokens = add_counts(sum->output_tokens, usage->output_tokens);
	sum->cache_read_tokens += usage->cache_read_tokens;
	sum->cache_write_tokens += usage->cache_write_tokens;
	sum->cache_write_1h_tokens += usage->cache_write_1h_tokens;
}

// The total of cache writes, where it is more than its two kinds say: the rest is of the kind that
// was asked for, of the dearer one where both are in use.
static void split_creation(
	const struct sg_response_reader *reader, struct sg_usage *usage, int64_t creation)
{
	int64_t split = usage->cache_write_tokens + usage->cache_write_1h_tokens;

	if (creation <= split)
		return;
	if (split || reader->facts->cache_write_1h)
		usage->cache_write_1h_tokens += creation - split;
	else
		usage->cache_write_tokens += creation - split;
}

static void on_iteration(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (!value->end) {
		sg_usage_reset(&reader->line);
		reader->line.model[0] = 0;
		reader->line_cache_creation = 0;
		return;
	}
	split_creation(reader, &reader->line, reader->line_cache_creation);
	for (unsigned i = 0; i < outcome->line_count; i++)
		if (strcmp(outcome->lines[i].model, reader->line.model) == 0) {
			add_usage(&outcome->lines[i], &reader->line);
			return;
		}
	if (outcome->line_count < SG_USAGE_MAX_LINES)
		outcome->lines[outcome->line_count++] = reader->line;
	else
		outcome->bad_evidence = true; // more models than can be priced: the hold is charged
}

static void on_iteration_type(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	static const char *const apart[] = { "advisor_message", "compaction", "fallback_message" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(apart); i++)
		if (strcmp(value->text, apart[i]) == 0)
			reader->line_by_iterations = true;
}

// Members of usage: the last non-null value of each counts, deltas are cumulative (rule 5).
static bool on_usage_member(
	struct sg_response_reader *reader, int node, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage, *line = &reader->line;

	switch (node) {
	case U_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		return true;
	case U_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		return true;
	case U_CACHE_READ:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		return true;
	case U_CACHE_CREATION:
		sg_response_count(reader, value, &reader->cache_creation);
		return true;
	case U_CREATION_5M:
		sg_response_count(reader, value, &usage->cache_write_tokens);
		return true;
	case U_CREATION_1H:
		sg_response_count(reader, value, &usage->cache_write_1h_tokens);
		return true;
	case U_THINKING:
		sg_response_count(reader, value, &usage->reasoning_tokens);
		return true;
	case U_WEB_SEARCH:
		sg_response_count(reader, value, &usage->web_search_requests);
		return true;
	case U_SERVICE_TIER:
		sg_value_copy(value, usage->service_tier, sizeof(usage->service_tier));
		return true;
	case U_SPEED:
		sg_value_copy(value, usage->speed, sizeof(usage->speed));
		return true;
	case U_GEO:
		sg_value_copy(value, usage->inference_geo, sizeof(usage->inference_geo));
		return true;
	case U_ITERATIONS:
		if (value->type == SG_JSON_ARRAY && !value->end) {
			reader->outcome.line_count = 0;
			reader->line_by_iterations = false;
		}
		return true;
	case I_ITEM:
		on_iteration(reader, value);
		return true;
	case I_TYPE:
		on_iteration_type(reader, value);
		return true;
	case I_MODEL:
		sg_value_copy(value, line->model, sizeof(line->model));
		return true;
	case I_INPUT:
		sg_response_count(reader, value, &line->input_tokens);
		return true;
	case I_OUTPUT:
		sg_response_count(reader, value, &line->output_tokens);
		return true;
	case I_CACHE_READ:
		sg_response_count(reader, value, &line->cache_read_tokens);
		return true;
	case I_CACHE_CREATION:
		sg_response_count(reader, value, &reader->line_cache_creation);
		return true;
	case I_CREATION_5M:
		sg_response_count(reader, value, &line->cache_write_tokens);
		return true;
	case I_CREATION_1H:
		sg_response_count(reader, value, &line->cache_write_1h_tokens);
		return true;
	default:
		return false;
	}
}

static void on_body(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (on_usage_member(reader, value->node, value))
		return;
	switch (value->node) {
	case R_MODEL:
		sg_value_copy(value, outcome->usage.model, sizeof(outcome->usage.model));
		break;
	case R_USAGE:
		reader->usage_seen = value->type == SG_JSON_OBJECT;
		break;
	case R_TEXT:
	case R_THINKING:
		sg_response_text(reader, value);
		break;
	case B_ERROR:
		reader->failed_early = true;
		break;
	default:
		break;
	}
}

static void on_event(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (on_usage_member(reader, same_member(value->node), value))
		return;
	switch (value->node) {
	case R_MODEL:
		sg_value_copy(value, outcome->usage.model, sizeof(outcome->usage.model));
		break;
	case R_USAGE:
	case E_MESSAGE_USAGE:
		if (value->type == SG_JSON_OBJECT)
			reader->usage_seen = reader->event_usage = true;
		break;
	case E_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case E_DELTA_TEXT:
	case E_DELTA_THINKING:
	case E_DELTA_JSON:
		sg_response_text(reader, value);
		break;
	case E_STOP_REASON:
		reader->event_stops = value->type == SG_JSON_STRING;
		break;
	case E_INDEX:
		if (sg_json_count(value, &reader->mark.index) < 0)
			reader->mark.lost = true;
		break;
	case E_BLOCK_TYPE:
		// What is shown of thinking is a summary, or nothing.
		if (strstr(value->text, "thinking"))
			reader->hides_output = true;
		break;
	default:
		break;
	}
}

static void mark_blocks(struct sg_stream_mark *mark, const char *type)
{
	if (strcmp(type, "message_start") == 0)
		mark->begun = true;
	else if (strcmp(type, "content_block_start") == 0)
		sg_index_set_put(mark, &mark->open, mark->index, true);
	else if (strcmp(type, "content_block_stop") == 0)
		sg_index_set_put(mark, &mark->open, mark->index, false);
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;

	if (reader->mark.kept)
		mark_blocks(&reader->mark, type);
	if (strcmp(type, "message_start") == 0)
		reader->produced = true;
	else if (strcmp(type, "message_delta") == 0)
		reader->final = reader->final || (reader->event_usage && reader->event_stops);
	else if (strcmp(type, "message_stop") == 0)
		reader->stream_ended = true;
	else if (strcmp(type, "error") == 0)
		reader->failed_early = true;
}

static bool is_filler(const struct sg_sse_event *event)
{
	static const char name[] = "content_block_delta";

	return event->name_length == sizeof(name) - 1 &&
	       memcmp(event->name, name, sizeof(name) - 1) == 0;
}

static void sum_lines(struct sg_outcome *outcome)
{
	struct sg_usage *usage = &outcome->usage;

	usage->input_tokens = usage->output_tokens = usage->cache_read_tokens =
		usage->cache_write_tokens = usage->cache_write_1h_tokens = 0;
	for (unsigned i = 0; i < outcome->line_count; i++) {
		struct sg_usage *line = &outcome->lines[i];

		if (!line->model[0])
			snprintf(line->model, sizeof(line->model), "%s",
				usage->model); // the model that was called
		snprintf(line->service_tier, sizeof(line->service_tier), "%s", usage->service_tier);
		snprintf(line->speed, sizeof(line->speed), "%s", usage->speed);
		snprintf(line->inference_geo, sizeof(line->inference_geo), "%s",
			usage->inference_geo);
		if (line->input_tokens < 0 || line->output_tokens < 0) {
			outcome->bad_evidence = true;
			return;
		}
		add_usage(usage, line);
	}
	outcome->lines[0].web_search_requests = usage->web_search_requests;
}

// Advisors, compactions and fallbacks are not in the top level: then the iterations alone are
// priced (rule 5).
static void finish_response(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;

	split_creation(reader, &outcome->usage, reader->cache_creation);
	if (reader->line_by_iterations && outcome->line_count)
		sum_lines(outcome);
	else
		outcome->line_count = 0;
	if (outcome->usage.output_tokens >= 0 &&
		outcome->usage.reasoning_tokens > outcome->usage.output_tokens)
		outcome->bad_evidence = true;
}

static const struct sg_limit_member limit = { .name = "max_tokens", .required = true };

const struct sg_api sg_api_anthropic_messages = {
	.name = "messages",
	.request_paths = sg_anthropic_request_paths,
	.request_path_count = SG_ANTHROPIC_REQUEST_PATHS,
	.on_request = sg_anthropic_on_request,
	.finish_request = sg_request_bound_compaction,
	.limit = &limit,
	.body_paths = body_paths,
	.body_path_count = SG_ARRAY_SIZE(body_paths),
	.on_body = on_body,
	.event_paths = event_paths,
	.event_path_count = SG_ARRAY_SIZE(event_paths),
	.on_event = on_event,
	.end_event = end_event,
	.end_stream = sg_anthropic_end_stream,
	.finish_response = finish_response,
	.is_filler = is_filler,
	.dialect = SG_DIALECT_ANTHROPIC,
};
