// SPDX-License-Identifier: Apache-2.0
// OpenAI chat completions, the answer, as it is and as others have extended it; completions and
// embeddings have the same usage. A body and a stream's chunk have the same members.
#include <string.h>

#include "base/find.h"
#include "provider/openai_chat.h"

enum response_node {
	R_MODEL = 1,
	R_SERVICE_TIER,
	R_USAGE,
	R_PROMPT_TOKENS,
	R_COMPLETION_TOKENS,
	R_PROMPT_DETAILS,
	R_CACHED,
	R_CACHE_WRITE,
	R_AUDIO_IN,
	R_COMPLETION_DETAILS,
	R_REASONING,
	R_AUDIO_OUT,
	R_CHOICES,
	R_CHOICE,
	R_MESSAGE,
	R_DELTA,
	R_MESSAGE_CONTENT,
	R_MESSAGE_REFUSAL,
	R_MESSAGE_TOOLS,
	R_MESSAGE_TOOL,
	R_MESSAGE_FUNCTION,
	R_MESSAGE_ARGUMENTS,
	R_DELTA_CONTENT,
	R_DELTA_REFUSAL,
	R_DELTA_REASONING,
	R_DELTA_TOOLS,
	R_DELTA_TOOL,
	R_DELTA_FUNCTION,
	R_DELTA_ARGUMENTS,
	R_ERROR,
	R_TOTAL_TOKENS,
	R_CACHE_HIT,
	R_REASONING_APART,
	R_CITATION_TOKENS,
	R_COST,
	R_COST_TOTAL,
	R_COST_TICKS,
	R_COST_DETAILS,
	R_COST_UPSTREAM,
	R_OWN_KEY,
	R_X_GROQ,
	R_X_GROQ_USAGE,
	R_X_GROQ_ERROR,
	R_FINISH_REASON,
	R_TEXT,
	R_DELTA_REASONING_TEXT,
	R_ERROR_CODE,
	R_ID,
	R_CREATED,
	R_CHOICE_INDEX,
	R_OWN_TIER,
	R_AUDIO_SECONDS,
	// Groq: of a system of several models, each on its own
	R_BREAKDOWN,
	R_X_GROQ_BREAKDOWN,
	R_LINES,
	R_LINE,
	R_LINE_MODEL,
	R_LINE_USAGE,
	R_LINE_INPUT,
	R_LINE_OUTPUT,
	R_LINE_INPUT_DETAILS,
	R_LINE_CACHED,
	R_LINE_OUTPUT_DETAILS,
	R_LINE_REASONING,
	R_REQUEST_ID,
};

static const struct sg_json_path response_paths[] = {
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier", 0 },
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_PROMPT_TOKENS - 1] = { R_USAGE, "prompt_tokens", 0 },
	[R_COMPLETION_TOKENS - 1] = { R_USAGE, "completion_tokens", 0 },
	[R_PROMPT_DETAILS - 1] = { R_USAGE, "prompt_tokens_details", 0 },
	[R_CACHED - 1] = { R_PROMPT_DETAILS, "cached_tokens", 0 },
	[R_CACHE_WRITE - 1] = { R_PROMPT_DETAILS, "cache_write_tokens", 0 },
	[R_AUDIO_IN - 1] = { R_PROMPT_DETAILS, "audio_tokens", 0 },
	[R_COMPLETION_DETAILS - 1] = { R_USAGE, "completion_tokens_details", 0 },
	[R_REASONING - 1] = { R_COMPLETION_DETAILS, "reasoning_tokens", 0 },
	[R_AUDIO_OUT - 1] = { R_COMPLETION_DETAILS, "audio_tokens", 0 },
	[R_CHOICES - 1] = { SG_JSON_ROOT, "choices", 0 },
	[R_CHOICE - 1] = { R_CHOICES, NULL, 0 },
	[R_MESSAGE - 1] = { R_CHOICE, "message", 0 },
	[R_DELTA - 1] = { R_CHOICE, "delta", 0 },
	[R_MESSAGE_CONTENT - 1] = { R_MESSAGE, "content", 0 },
	[R_MESSAGE_REFUSAL - 1] = { R_MESSAGE, "refusal", 0 },
	[R_MESSAGE_TOOLS - 1] = { R_MESSAGE, "tool_calls", 0 },
	[R_MESSAGE_TOOL - 1] = { R_MESSAGE_TOOLS, NULL, 0 },
	[R_MESSAGE_FUNCTION - 1] = { R_MESSAGE_TOOL, "function", 0 },
	[R_MESSAGE_ARGUMENTS - 1] = { R_MESSAGE_FUNCTION, "arguments", 0 },
	[R_DELTA_CONTENT - 1] = { R_DELTA, "content", 0 },
	[R_DELTA_REFUSAL - 1] = { R_DELTA, "refusal", 0 },
	[R_DELTA_REASONING - 1] = { R_DELTA, "reasoning_content", 0 },
	[R_DELTA_TOOLS - 1] = { R_DELTA, "tool_calls", 0 },
	[R_DELTA_TOOL - 1] = { R_DELTA_TOOLS, NULL, 0 },
	[R_DELTA_FUNCTION - 1] = { R_DELTA_TOOL, "function", 0 },
	[R_DELTA_ARGUMENTS - 1] = { R_DELTA_FUNCTION, "arguments", 0 },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[R_TOTAL_TOKENS - 1] = { R_USAGE, "total_tokens", 0 },
	[R_CACHE_HIT - 1] = { R_USAGE, "prompt_cache_hit_tokens", 0 },
	[R_REASONING_APART - 1] = { R_USAGE, "reasoning_tokens", 0 },
	[R_CITATION_TOKENS - 1] = { R_USAGE, "citation_tokens", 0 },
	[R_COST - 1] = { R_USAGE, "cost", 0 },
	[R_COST_TOTAL - 1] = { R_COST, "total_cost", 0 },
	[R_COST_TICKS - 1] = { R_USAGE, "cost_in_usd_ticks", 0 },
	[R_COST_DETAILS - 1] = { R_USAGE, "cost_details", 0 },
	[R_COST_UPSTREAM - 1] = { R_COST_DETAILS, "upstream_inference_cost", 0 },
	[R_OWN_KEY - 1] = { R_USAGE, "is_byok", 0 },
	[R_X_GROQ - 1] = { SG_JSON_ROOT, "x_groq", 0 },
	[R_X_GROQ_USAGE - 1] = { R_X_GROQ, "usage", R_USAGE },
	[R_X_GROQ_ERROR - 1] = { R_X_GROQ, "error", R_ERROR },
	[R_FINISH_REASON - 1] = { R_CHOICE, "finish_reason", 0 },
	[R_TEXT - 1] = { R_CHOICE, "text", R_MESSAGE_CONTENT },
	[R_ERROR_CODE - 1] = { R_ERROR, "code", 0 },
	[R_ID - 1] = { SG_JSON_ROOT, "id", 0 },
	[R_CREATED - 1] = { SG_JSON_ROOT, "created", 0 },
	[R_CHOICE_INDEX - 1] = { R_CHOICE, "index", 0 },
	[R_DELTA_REASONING_TEXT - 1] = { R_DELTA, "reasoning", R_DELTA_REASONING },
	[R_OWN_TIER - 1] = { R_USAGE, "service_tier", R_SERVICE_TIER },
	[R_AUDIO_SECONDS - 1] = { R_USAGE, "prompt_audio_seconds", 0 },
	[R_BREAKDOWN - 1] = { SG_JSON_ROOT, "usage_breakdown", 0 },
	[R_X_GROQ_BREAKDOWN - 1] = { R_X_GROQ, "usage_breakdown", R_BREAKDOWN },
	[R_LINES - 1] = { R_BREAKDOWN, "models", 0 },
	[R_LINE - 1] = { R_LINES, NULL, 0 },
	[R_LINE_MODEL - 1] = { R_LINE, "model", 0 },
	[R_LINE_USAGE - 1] = { R_LINE, "usage", 0 },
	[R_LINE_INPUT - 1] = { R_LINE_USAGE, "prompt_tokens", 0 },
	[R_LINE_OUTPUT - 1] = { R_LINE_USAGE, "completion_tokens", 0 },
	[R_LINE_INPUT_DETAILS - 1] = { R_LINE_USAGE, "prompt_tokens_details", 0 },
	[R_LINE_CACHED - 1] = { R_LINE_INPUT_DETAILS, "cached_tokens", 0 },
	[R_LINE_OUTPUT_DETAILS - 1] = { R_LINE_USAGE, "completion_tokens_details", 0 },
	[R_LINE_REASONING - 1] = { R_LINE_OUTPUT_DETAILS, "reasoning_tokens", 0 },
	// xAI: of a call that is answered later
	[R_REQUEST_ID - 1] = { SG_JSON_ROOT, "request_id", 0 },
};

static void on_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->end)
		return;
	// The last of several counts alone: duplicate keys, or running usage in every chunk.
	sg_response_begin_usage(reader, value);
	reader->total_tokens = reader->upstream_picousd = -1;
	reader->cache_hit_tokens = 0;
	reader->own_key = false;
}

static void end_line(struct sg_response_reader *reader)
{
	struct sg_usage *line = &reader->line;

	if (line->input_tokens < line->cache_read_tokens || line->output_tokens < 0)
		reader->outcome.bad_evidence = true;
	else
		line->input_tokens -= line->cache_read_tokens;
	sg_response_add_line(reader, line);
}

// The models of one call, of which each has its own price.
static void on_line(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *line = &reader->line;

	switch ((enum response_node)value->node) {
	case R_LINES:
		if (!value->end)
			reader->outcome.line_count = 0;
		break;
	case R_LINE:
		if (value->end) {
			end_line(reader);
			break;
		}
		sg_usage_reset(line);
		line->model[0] = 0;
		break;
	case R_LINE_MODEL:
		sg_value_copy(value, line->model, sizeof(line->model));
		break;
	case R_LINE_INPUT:
		sg_response_count(reader, value, &line->input_tokens);
		break;
	case R_LINE_OUTPUT:
		sg_response_count(reader, value, &line->output_tokens);
		break;
	case R_LINE_CACHED:
		sg_response_count(reader, value, &line->cache_read_tokens);
		break;
	case R_LINE_REASONING:
		sg_response_count(reader, value, &line->reasoning_tokens);
		break;
	default:
		break;
	}
}

// Counts and prices that only some providers tell. What one of them does not use is not read: in
// another's answer it might mean another thing.
static void on_extension(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_TOTAL_TOKENS:
		sg_response_count(reader, value, &reader->total_tokens);
		break;
	case R_CACHE_HIT:
		sg_response_count(reader, value, &reader->cache_hit_tokens);
		break;
	case R_REASONING_APART:
		if (reader->facts->traits & SG_TRAIT_REASONING_APART)
			sg_response_count(reader, value, &usage->reasoning_apart_tokens);
		break;
	case R_CITATION_TOKENS:
		sg_response_count(reader, value, &usage->citation_tokens);
		break;
	case R_COST:
		sg_response_stated_price(reader, value, SG_TRAIT_COST);
		break;
	case R_COST_TOTAL:
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TOTAL);
		break;
	case R_COST_TICKS:
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TICKS);
		break;
	case R_COST_UPSTREAM:
		sg_response_price(reader, value, 0, &reader->upstream_picousd);
		break;
	case R_OWN_KEY:
		reader->own_key = value->type == SG_JSON_TRUE;
		break;
	case R_ERROR_CODE:
		reader->filtered = sg_response_is_filter_code(value);
		break;
	case R_FINISH_REASON:
		reader->finished_choices += value->type == SG_JSON_STRING;
		reader->mark.stops = value->type == SG_JSON_STRING;
		break;
	case R_AUDIO_SECONDS:
		sg_response_seconds(reader, value, &usage->units.milliseconds);
		break;
	case R_ID:
		sg_value_copy(value, reader->mark.id, sizeof(reader->mark.id));
		break;
	case R_REQUEST_ID:
		sg_value_copy(
			value, reader->outcome.pending_id, sizeof(reader->outcome.pending_id));
		break;
	case R_CREATED:
		(void)!sg_json_count(value, &reader->mark.created);
		break;
	case R_CHOICE_INDEX:
		if (sg_json_count(value, &reader->mark.index) < 0)
			reader->mark.lost = true;
		break;
	default:
		on_line(reader, value);
		break;
	}
}

// What a clean end of the stream must still close.
static void mark_choice(struct sg_stream_mark *mark, bool end)
{
	if (!end) {
		mark->index = 0;
		mark->stops = false;
		return;
	}
	mark->begun = true;
	sg_index_set_put(mark, &mark->open, mark->index, true);
	if (mark->stops)
		sg_index_set_put(mark, &mark->finished, mark->index, true);
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_MODEL:
		if (value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_SERVICE_TIER:
		sg_value_copy(value, usage->service_tier, sizeof(usage->service_tier));
		break;
	case R_USAGE:
		// A chunk's "usage": null says nothing; it must not undo an earlier one.
		if (value->type != SG_JSON_NULL || !reader->is_stream)
			on_usage(reader, value);
		break;
	case R_PROMPT_TOKENS:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_COMPLETION_TOKENS:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_CACHED:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case R_CACHE_WRITE:
		sg_response_count(reader, value, &usage->cache_write_tokens);
		break;
	case R_AUDIO_IN:
		sg_response_count(reader, value, &usage->audio_input_tokens);
		break;
	case R_REASONING:
		sg_response_count(reader, value, &usage->reasoning_tokens);
		break;
	case R_AUDIO_OUT:
		sg_response_count(reader, value, &usage->audio_output_tokens);
		break;
	case R_CHOICES:
		if (!value->end)
			reader->event_choices = value->type == SG_JSON_ARRAY ? 0 : -1;
		break;
	case R_CHOICE:
		if (!value->end)
			reader->event_choices++;
		if (reader->mark.kept)
			mark_choice(&reader->mark, value->end);
		reader->produced = true;
		break;
	case R_MESSAGE_CONTENT:
	case R_MESSAGE_REFUSAL:
	case R_MESSAGE_ARGUMENTS:
	case R_DELTA_CONTENT:
	case R_DELTA_REFUSAL:
	case R_DELTA_REASONING:
	case R_DELTA_ARGUMENTS:
		sg_response_text(reader, value);
		break;
	case R_ERROR:
		if (value->type == SG_JSON_OBJECT || value->type == SG_JSON_STRING)
			reader->failed_early = true;
		break;
	default:
		on_extension(reader, value);
		break;
	}
}

// Some tell running usage in every chunk: the last is the one behind the end of all choices.
static void end_event(struct sg_response_reader *reader)
{
	bool at_end =
		reader->event_choices <= 0 || reader->finished_choices >= reader->facts->choices;

	reader->final = reader->final || (reader->event_usage && at_end);
}

// A chunk without usage, or with "usage": null. In a text that the model wrote the quotes are
// escaped, so it is not mistaken for the key. A key that was spelled with escapes would be passed
// over, and the call charged by its hold.
static enum sg_event_weight weigh(const struct sg_sse_event *event)
{
	static const char key[] = "\"usage\"";
	// Without its first quote: a word that ends far from where it begins with a rare letter.
	static const char *const rare = key + 1;
	static const size_t rare_length = sizeof(key) - 2;
	const char *end = event->data + event->data_length;
	const char *at;

	if (event->data[0] != '{')
		return SG_EVENT_COUNTS; // [DONE]
	at = sg_find_word(event->data, end, rare, rare_length);
	if (!at)
		return SG_EVENT_FILLER;
	if (at[-1] != '"')
		return SG_EVENT_COUNTS;
	for (at += rare_length; at < end && (*at == ' ' || *at == ':'); at++)
		;
	return at < end && *at == 'n' && !sg_find_word(at, end, rare, rare_length)
		       ? SG_EVENT_FILLER
		       : SG_EVENT_COUNTS;
}

// Fireworks: of the prompt tokens, where its usage does not tell them.
static void on_header(struct sg_response_reader *reader, struct sg_str name, struct sg_str value)
{
	if (sg_header_is(name, "fireworks-cached-prompt-tokens"))
		sg_response_header_count(
			reader, value, &reader->header_counts[SG_CACHED_BY_HEADER]);
}

// Embeddings have no output, and reranks tell the sum alone.
static void finish_embeddings(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (reader->usage_seen && usage->output_tokens < 0)
		usage->output_tokens = 0;
	if (reader->usage_seen && usage->input_tokens < 0)
		usage->input_tokens = reader->total_tokens;
	sg_chat_finish_response(reader);
}

static void finish_embeddings_request(struct sg_request_reader *reader)
{
	reader->facts.max_output = 0;
	reader->facts.choices = 1;
	sg_request_set_pairs(reader);
}

static const struct sg_limit_member chat_limit = { .name = "max_tokens",
	.completion_name = "max_completion_tokens" };
static const struct sg_limit_member completions_limit = { .name = "max_tokens" };

// Of a message: its content, or the texts of its parts.
static const struct sg_json_path chat_texts[] = {
	{ SG_JSON_ROOT, "messages", 0 },
	{ 1, NULL, 0 },
	{ 2, "content", 0 },
	{ 3, NULL, 0 },
	{ 4, "text", 0 },
};

static const struct sg_json_path prompt_texts[] = {
	{ SG_JSON_ROOT, "prompt", 0 },
	{ 1, NULL, 0 },
};

#define TEXTS(paths) .text_paths = (paths), .text_path_count = SG_ARRAY_SIZE(paths)

#define CHAT_PARTS                                                                                 \
	.request_paths = sg_chat_request_paths, .request_path_count = SG_CHAT_REQUEST_PATHS,       \
	.on_request = sg_chat_on_request, SG_READS_BOTH(response_paths, on_response),              \
	.end_event = end_event, .weigh = weigh, .end_mark = "[DONE]", .on_header = on_header

const struct sg_api sg_api_openai_chat = {
	.name = "chat",
	CHAT_PARTS,
	TEXTS(chat_texts),
	.finish_request = sg_chat_finish_request,
	.limit = &chat_limit,
	.end_stream = sg_chat_end_stream,
	.finish_response = sg_chat_finish_response,
	.tells_usage_when_asked = true,
};

const struct sg_api sg_api_openai_completions = {
	.name = "completions",
	CHAT_PARTS,
	TEXTS(prompt_texts),
	.finish_request = sg_completions_finish_request,
	.limit = &completions_limit,
	.end_stream = sg_completions_end_stream,
	.finish_response = sg_chat_finish_response,
	.tells_usage_when_asked = true,
};

const struct sg_api sg_api_openai_embeddings = {
	.name = "embeddings",
	CHAT_PARTS,
	.finish_request = finish_embeddings_request,
	.finish_response = finish_embeddings,
};
