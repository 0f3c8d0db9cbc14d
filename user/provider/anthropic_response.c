// SPDX-License-Identifier: Apache-2.0
// Anthropic messages, the answer. Fields: the provider's API reference, POST /v1/messages.
#include <stdio.h>
#include <string.h>

#include "provider/anthropic.h"

// A message, or events with a message or usage in them.
enum body_node { B_ERROR = SHARED_NODES };

static const struct sg_json_path body_paths[] = {
	SG_ANTHROPIC_PATHS(SG_JSON_ROOT, SG_JSON_ROOT),
	[B_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
};

static const struct sg_json_path event_paths[] = { SG_ANTHROPIC_EVENT_PATHS };

// Where message_start's usage members are the same as those of a body or a message_delta.
static int same_member(int node)
{
	static const int members[] = { U_INPUT, U_OUTPUT, U_CACHE_READ, U_CACHE_CREATION,
		U_CREATION, U_CREATION_5M, U_CREATION_1H, U_SERVICE_TIER, U_SPEED, U_GEO };

	return node >= M_INPUT && node <= M_GEO ? members[node - M_INPUT] : node;
}

// The total of cache writes, where it is more than its two kinds say: the rest is of the kind that
// was asked for, of the dearer one where both are in use.
void sg_anthropic_split_creation(
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
	if (!value->end) {
		sg_usage_reset(&reader->line);
		reader->line.model[0] = 0;
		reader->line_cache_creation = 0;
		return;
	}
	sg_anthropic_split_creation(reader, &reader->line, reader->line_cache_creation);
	sg_response_add_line(reader, &reader->line);
}

static void on_iteration_type(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	static const char *const apart[] = { "advisor_message", "compaction", "fallback_message" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(apart); i++)
		if (strcmp(value->text, apart[i]) == 0)
			reader->line_by_iterations = true;
}

// What others than Anthropic state themselves.
static void on_price(struct sg_response_reader *reader, int node, const struct sg_json_value *value)
{
	if (node == U_COST)
		sg_response_stated_price(reader, value, SG_TRAIT_COST);
	else if (node == U_COST_TICKS)
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TICKS);
	else if (node == U_COST_UPSTREAM)
		sg_response_price(reader, value, 0, &reader->upstream_picousd);
	else if (node == U_OWN_KEY)
		reader->own_key = value->type == SG_JSON_TRUE;
}

// Members of usage: the last non-null value of each counts, deltas are cumulative (rule 5).
bool sg_anthropic_on_usage(
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
	case U_COST:
	case U_COST_TICKS:
	case U_COST_UPSTREAM:
	case U_OWN_KEY:
		on_price(reader, node, value);
		return true;
	default:
		return false;
	}
}

static void on_body(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (sg_anthropic_on_usage(reader, value->node, value))
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

void sg_anthropic_on_event(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (sg_anthropic_on_usage(reader, same_member(value->node), value))
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

void sg_anthropic_end_event(struct sg_response_reader *reader)
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

static enum sg_event_weight weigh(const struct sg_sse_event *event)
{
	return sg_event_name_ends(event, "content_block_delta") ? SG_EVENT_FILLER : SG_EVENT_COUNTS;
}

// Advisors, compactions and fallbacks are not in the top level: then the iterations alone are
// priced (rule 5).
void sg_anthropic_finish(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;

	sg_anthropic_split_creation(reader, &outcome->usage, reader->cache_creation);
	if (reader->line_by_iterations && outcome->line_count)
		sg_response_sum_lines(outcome);
	else
		outcome->line_count = 0;
	sg_response_add_upstream_price(reader);
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
	.on_event = sg_anthropic_on_event,
	.end_event = sg_anthropic_end_event,
	.end_stream = sg_anthropic_end_stream,
	.finish_response = sg_anthropic_finish,
	.weigh = weigh,
	.dialect = SG_DIALECT_ANTHROPIC,
};
