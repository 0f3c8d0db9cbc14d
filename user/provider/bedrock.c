// SPDX-License-Identifier: Apache-2.0
// Bedrock's converse (whole and as frames) and invoke (whole): the answer. Of invoke the model's
// maker decides the body: usage is taken from it where it is Claude's, else from the headers that
// Bedrock adds.
#include <string.h>

#include "base/money.h"
#include "provider/bedrock.h"

enum response_node {
	USAGE = 1,
	INPUT,
	OUTPUT,
	CACHE_READ,
	CACHE_WRITE,
	CACHE_DETAILS,
	DETAIL,
	DETAIL_TTL,
	DETAIL_COUNT,
	TIER,
	TIER_TYPE,
	DELTA,
	DELTA_TEXT,
	CLAUDE_INPUT,
	CLAUDE_OUTPUT,
	CLAUDE_READ,
	CLAUDE_WRITE,
	CLAUDE_CREATION,
	CLAUDE_1H,
	BLOCK_INDEX,
	DELTA_CALL,
	DELTA_CALL_INPUT,
	DELTA_REASONING,
	// of the makers who have no usage
	FAMILY_INPUT,
	FAMILY_OUTPUT,
	TITAN_INPUT,
	TITAN_RESULTS,
	TITAN_RESULT,
	TITAN_OUTPUT,
	NOVA_READ,
	NOVA_WRITE,
	// of the makers who speak OpenAI's API: what was cached is in their input
	OPENAI_INPUT,
	OPENAI_OUTPUT,
	OPENAI_DETAILS,
	OPENAI_CACHED,
};

static const struct sg_json_path response_paths[] = {
	[USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[INPUT - 1] = { USAGE, "inputTokens", 0 },
	[OUTPUT - 1] = { USAGE, "outputTokens", 0 },
	[CACHE_READ - 1] = { USAGE, "cacheReadInputTokens", 0 },
	[CACHE_WRITE - 1] = { USAGE, "cacheWriteInputTokens", 0 },
	[CACHE_DETAILS - 1] = { USAGE, "cacheDetails", 0 },
	[DETAIL - 1] = { CACHE_DETAILS, NULL, 0 },
	[DETAIL_TTL - 1] = { DETAIL, "ttl", 0 },
	[DETAIL_COUNT - 1] = { DETAIL, "inputTokens", 0 },
	[TIER - 1] = { SG_JSON_ROOT, "serviceTier", 0 },
	[TIER_TYPE - 1] = { TIER, "type", 0 },
	[DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },
	[DELTA_TEXT - 1] = { DELTA, "text", 0 },
	[CLAUDE_INPUT - 1] = { USAGE, "input_tokens", INPUT },
	[CLAUDE_OUTPUT - 1] = { USAGE, "output_tokens", OUTPUT },
	[CLAUDE_READ - 1] = { USAGE, "cache_read_input_tokens", CACHE_READ },
	[CLAUDE_WRITE - 1] = { USAGE, "cache_creation_input_tokens", CACHE_WRITE },
	[CLAUDE_CREATION - 1] = { USAGE, "cache_creation", 0 },
	[CLAUDE_1H - 1] = { CLAUDE_CREATION, "ephemeral_1h_input_tokens", 0 },
	[BLOCK_INDEX - 1] = { SG_JSON_ROOT, "contentBlockIndex", 0 },
	[DELTA_CALL - 1] = { DELTA, "toolUse", 0 },
	[DELTA_CALL_INPUT - 1] = { DELTA_CALL, "input", DELTA_TEXT },
	[DELTA_REASONING - 1] = { DELTA, "reasoningContent", 0 },
	[FAMILY_INPUT - 1] = { SG_JSON_ROOT, "prompt_token_count", 0 },
	[FAMILY_OUTPUT - 1] = { SG_JSON_ROOT, "generation_token_count", 0 },
	[TITAN_INPUT - 1] = { SG_JSON_ROOT, "inputTextTokenCount", FAMILY_INPUT },
	[TITAN_RESULTS - 1] = { SG_JSON_ROOT, "results", 0 },
	[TITAN_RESULT - 1] = { TITAN_RESULTS, NULL, 0 },
	[TITAN_OUTPUT - 1] = { TITAN_RESULT, "tokenCount", 0 },
	[NOVA_READ - 1] = { USAGE, "cacheReadInputTokenCount", CACHE_READ },
	[NOVA_WRITE - 1] = { USAGE, "cacheWriteInputTokenCount", CACHE_WRITE },
	[OPENAI_INPUT - 1] = { USAGE, "prompt_tokens", INPUT },
	[OPENAI_OUTPUT - 1] = { USAGE, "completion_tokens", OUTPUT },
	[OPENAI_DETAILS - 1] = { USAGE, "prompt_tokens_details", 0 },
	[OPENAI_CACHED - 1] = { OPENAI_DETAILS, "cached_tokens", 0 },
};

static void on_detail(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!value->end) {
		reader->part.count = 0;
		reader->part.kind = 0;
	} else if (reader->part.kind == '1') {
		usage->cache_write_1h_tokens =
			sg_money_add(usage->cache_write_1h_tokens, reader->part.count);
	}
}

// What the body of some makers' models tells: it counts where no header does.
static void on_family(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	int64_t count = 0;

	if (value->node == OPENAI_CACHED) {
		sg_response_count(reader, value, &reader->cache_hit_tokens);
	} else if (value->node == FAMILY_INPUT) {
		sg_response_count(reader, value, &reader->body_counts[0]);
	} else if (value->node == FAMILY_OUTPUT) {
		sg_response_count(reader, value, &reader->body_counts[1]);
	} else if (value->node == TITAN_OUTPUT) {
		sg_response_count(reader, value, &count);
		reader->body_counts[1] = sg_money_add(
			reader->body_counts[1] < 0 ? 0 : reader->body_counts[1], count);
	}
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case USAGE:
		if (value->end || value->type == SG_JSON_NULL)
			break;
		sg_usage_reset(usage);
		reader->outcome.bad_evidence = value->type != SG_JSON_OBJECT;
		reader->usage_seen = reader->event_usage = true;
		break;
	case INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case CACHE_READ:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case CACHE_WRITE:
		sg_response_count(reader, value, &usage->cache_write_tokens);
		break;
	case DETAIL:
		on_detail(reader, value);
		break;
	case DETAIL_TTL:
		reader->part.kind = strcmp(value->text, "1h") == 0 ? '1' : '5';
		break;
	case DETAIL_COUNT:
		sg_response_count(reader, value, &reader->part.count);
		break;
	case CLAUDE_1H:
		sg_response_count(reader, value, &usage->cache_write_1h_tokens);
		break;
	case TIER_TYPE:
		if (value->type == SG_JSON_STRING && strcmp(value->text, "default") != 0)
			sg_value_copy(value, usage->service_tier, sizeof(usage->service_tier));
		break;
	case DELTA_TEXT:
		sg_response_text(reader, value);
		break;
	case DELTA_REASONING:
		reader->hides_output = true;
		break;
	case BLOCK_INDEX:
		if (sg_json_count(value, &reader->mark.index) < 0)
			reader->mark.lost = true;
		break;
	default:
		on_family(reader, value);
		break;
	}
}

// Frames: usage comes last, in one of its own.
static void mark_blocks(struct sg_stream_mark *mark, const char *type)
{
	mark->begun = true;
	// A block of text has no start of its own.
	if (strcmp(type, "contentBlockStart") == 0 || strcmp(type, "contentBlockDelta") == 0)
		sg_index_set_put(mark, &mark->open, mark->index, true);
	else if (strcmp(type, "contentBlockStop") == 0)
		sg_index_set_put(mark, &mark->open, mark->index, false);
}

static void end_event(struct sg_response_reader *reader)
{
	if (reader->mark.kept)
		mark_blocks(&reader->mark, reader->event_type);
	reader->produced = true;
	reader->final = reader->final || reader->event_usage;
}

static void on_header(struct sg_response_reader *reader, struct sg_str name, struct sg_str text)
{
	static const char *const names[] = { "x-amzn-bedrock-input-token-count",
		"x-amzn-bedrock-output-token-count", "x-amzn-bedrock-cache-read-input-token-count",
		"x-amzn-bedrock-cache-write-input-token-count" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++)
		if (sg_header_is(name, names[i]))
			sg_response_header_count(reader, text, &reader->header_counts[i]);
}

static void take_headers(struct sg_response_reader *reader)
{
	const int64_t *counts = reader->header_counts;
	struct sg_usage *usage = &reader->outcome.usage;

	usage->input_tokens = counts[0];
	usage->output_tokens = counts[1] < 0 && reader->facts->max_output == 0 ? 0 : counts[1];
	usage->cache_read_tokens = counts[2] > 0 ? counts[2] : 0;
	usage->cache_write_tokens = counts[3] > 0 ? counts[3] : 0;
	reader->usage_seen = reader->by_headers = true;
}

static void take_body(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	usage->input_tokens = reader->body_counts[0];
	usage->output_tokens = reader->body_counts[1];
	if (usage->output_tokens < 0 && reader->facts->max_output == 0)
		usage->output_tokens = 0;
	reader->usage_seen = true;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	bool told = reader->usage_seen && usage->input_tokens >= 0;

	if (!told && reader->header_counts[0] >= 0 && reader->status < 400)
		take_headers(reader);
	else if (!reader->usage_seen && reader->body_counts[0] >= 0 && reader->complete)
		take_body(reader);
	if (told && reader->cache_hit_tokens) {
		usage->cache_read_tokens = reader->cache_hit_tokens;
		sg_response_take_out_cached(reader);
	}
	// The sum of both kinds is told: what is not for an hour is the other.
	if (usage->cache_write_1h_tokens > usage->cache_write_tokens)
		reader->outcome.bad_evidence = true;
	else
		usage->cache_write_tokens -= usage->cache_write_1h_tokens;
}

#define BEDROCK_PARTS                                                                              \
	.request_paths = sg_bedrock_request_paths, .request_path_count = SG_BEDROCK_REQUEST_PATHS, \
	.on_request = sg_bedrock_on_request, .on_request_header = sg_bedrock_on_request_header,    \
	SG_READS_BOTH(response_paths, on_response), .end_event = end_event,                        \
	.on_header = on_header, .finish_response = finish_response, .dialect = SG_DIALECT_BEDROCK

const struct sg_api sg_api_bedrock_converse = {
	.name = "converse",
	BEDROCK_PARTS,
	.end_stream = sg_converse_end_stream,
};

const struct sg_api sg_api_bedrock_invoke = {
	.name = "invoke",
	BEDROCK_PARTS,
	.finish_request = sg_bedrock_finish_invoke_request,
};
