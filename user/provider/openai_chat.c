// SPDX-License-Identifier: Apache-2.0
// OpenAI chat completions. Fields: the provider's API reference, POST /v1/chat/completions.
#include <string.h>

#include "provider/api.h"

// ---- Request ----

enum request_node {
	MODEL = 1,
	MAX_COMPLETION_TOKENS,
	MAX_TOKENS,
	N,
	STREAM,
	STREAM_OPTIONS,
	INCLUDE_USAGE,
	SERVICE_TIER,
	MESSAGES,
	MESSAGE,
	CONTENT,
	PART,
	PART_TYPE,
	MESSAGE_AUDIO,
	PREDICTION,
	PREDICTION_CONTENT,
	PREDICTION_PART,
	PREDICTION_TEXT,
	TOOLS,
	TOOL,
	FUNCTIONS,
	WEB_SEARCH_OPTIONS,
	STREAM_OPTIONS_OTHER,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model" },
	[MAX_COMPLETION_TOKENS - 1] = { SG_JSON_ROOT, "max_completion_tokens" },
	[MAX_TOKENS - 1] = { SG_JSON_ROOT, "max_tokens" },
	[N - 1] = { SG_JSON_ROOT, "n" },
	[STREAM - 1] = { SG_JSON_ROOT, "stream" },
	[STREAM_OPTIONS - 1] = { SG_JSON_ROOT, "stream_options" },
	[INCLUDE_USAGE - 1] = { STREAM_OPTIONS, "include_usage" },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier" },
	[MESSAGES - 1] = { SG_JSON_ROOT, "messages" },
	[MESSAGE - 1] = { MESSAGES, NULL },
	[CONTENT - 1] = { MESSAGE, "content" },
	[PART - 1] = { CONTENT, NULL },
	[PART_TYPE - 1] = { PART, "type" },
	[MESSAGE_AUDIO - 1] = { MESSAGE, "audio" },
	[PREDICTION - 1] = { SG_JSON_ROOT, "prediction" },
	[PREDICTION_CONTENT - 1] = { PREDICTION, "content" },
	[PREDICTION_PART - 1] = { PREDICTION_CONTENT, NULL },
	[PREDICTION_TEXT - 1] = { PREDICTION_PART, "text" },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools" },
	[TOOL - 1] = { TOOLS, NULL },
	[FUNCTIONS - 1] = { SG_JSON_ROOT, "functions" },
	[WEB_SEARCH_OPTIONS - 1] = { SG_JSON_ROOT, "web_search_options" },
	[STREAM_OPTIONS_OTHER - 1] = { STREAM_OPTIONS, "*" },
};

// What is not text can't be bounded by its bytes.
static void on_part_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const struct {
		const char *type, *reason;
	} kinds[] = { { "image_url", "image_url" }, { "input_audio", "audio_part" },
		{ "file", "file" } };

	if (strcmp(value->text, "text") == 0 || strcmp(value->text, "refusal") == 0)
		return;
	for (size_t i = 0; i < SG_ARRAY_SIZE(kinds); i++)
		if (strcmp(value->text, kinds[i].type) == 0) {
			facts->images += i == 0;
			sg_request_take_window(facts, kinds[i].reason);
			return;
		}
	sg_request_take_window(facts, "unknown_part");
}

static void on_stream_options(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (!value->end) {
		reader->options_seen = true;
		reader->options_offset = value->offset;
		reader->options_end = value->end_offset;
		reader->options_are_object = value->type == SG_JSON_OBJECT;
		reader->include_seen = reader->include_true = false;
		reader->options_empty = true;
	} else {
		reader->options_end = value->end_offset;
	}
}

static void set_max(const struct sg_json_value *value, int64_t *max)
{
	*max = -1;
	if (value->type != SG_JSON_NULL && sg_json_count(value, max) < 0)
		*max = -1; // the provider will refuse it; until then the model's maximum bounds it
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case MAX_COMPLETION_TOKENS:
		set_max(value, &reader->max_primary);
		break;
	case MAX_TOKENS:
		set_max(value, &reader->max_fallback);
		break;
	case N:
		facts->choices = 1;
		if (value->type != SG_JSON_NULL &&
			(sg_json_count(value, &facts->choices) < 0 || facts->choices < 1))
			facts->choices = 1;
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case STREAM_OPTIONS:
		on_stream_options(reader, value);
		break;
	case INCLUDE_USAGE:
		reader->include_seen = true;
		reader->options_empty = false;
		reader->include_true = value->type == SG_JSON_TRUE;
		if (!value->end)
			reader->include_offset = value->offset;
		reader->include_end = value->end_offset;
		break;
	case STREAM_OPTIONS_OTHER:
		reader->options_empty = false;
		break;
	case SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
			sg_value_copy(value, facts->service_tier, sizeof(facts->service_tier));
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case PART_TYPE:
		on_part_type(facts, value);
		break;
	case MESSAGE_AUDIO:
		if (value->type == SG_JSON_OBJECT && !value->end)
			sg_request_take_window(facts, "audio_part");
		break;
	case PREDICTION_CONTENT:
	case PREDICTION_TEXT:
		if (value->type == SG_JSON_STRING)
			facts->prediction_bytes += (int64_t)value->decoded_length;
		break;
	case TOOL:
	case FUNCTIONS:
		facts->tools = true;
		break;
	case WEB_SEARCH_OPTIONS:
		if (value->type != SG_JSON_NULL)
			sg_request_take_window(facts, "web_search");
		break;
	default:
		break;
	}
}

// ---- Response: a body and a stream's chunk have the same members ----

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
};

static const struct sg_json_path response_paths[] = {
	[R_MODEL - 1] = { SG_JSON_ROOT, "model" },
	[R_SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier" },
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage" },
	[R_PROMPT_TOKENS - 1] = { R_USAGE, "prompt_tokens" },
	[R_COMPLETION_TOKENS - 1] = { R_USAGE, "completion_tokens" },
	[R_PROMPT_DETAILS - 1] = { R_USAGE, "prompt_tokens_details" },
	[R_CACHED - 1] = { R_PROMPT_DETAILS, "cached_tokens" },
	[R_CACHE_WRITE - 1] = { R_PROMPT_DETAILS, "cache_write_tokens" },
	[R_AUDIO_IN - 1] = { R_PROMPT_DETAILS, "audio_tokens" },
	[R_COMPLETION_DETAILS - 1] = { R_USAGE, "completion_tokens_details" },
	[R_REASONING - 1] = { R_COMPLETION_DETAILS, "reasoning_tokens" },
	[R_AUDIO_OUT - 1] = { R_COMPLETION_DETAILS, "audio_tokens" },
	[R_CHOICES - 1] = { SG_JSON_ROOT, "choices" },
	[R_CHOICE - 1] = { R_CHOICES, NULL },
	[R_MESSAGE - 1] = { R_CHOICE, "message" },
	[R_DELTA - 1] = { R_CHOICE, "delta" },
	[R_MESSAGE_CONTENT - 1] = { R_MESSAGE, "content" },
	[R_MESSAGE_REFUSAL - 1] = { R_MESSAGE, "refusal" },
	[R_MESSAGE_TOOLS - 1] = { R_MESSAGE, "tool_calls" },
	[R_MESSAGE_TOOL - 1] = { R_MESSAGE_TOOLS, NULL },
	[R_MESSAGE_FUNCTION - 1] = { R_MESSAGE_TOOL, "function" },
	[R_MESSAGE_ARGUMENTS - 1] = { R_MESSAGE_FUNCTION, "arguments" },
	[R_DELTA_CONTENT - 1] = { R_DELTA, "content" },
	[R_DELTA_REFUSAL - 1] = { R_DELTA, "refusal" },
	[R_DELTA_REASONING - 1] = { R_DELTA, "reasoning_content" },
	[R_DELTA_TOOLS - 1] = { R_DELTA, "tool_calls" },
	[R_DELTA_TOOL - 1] = { R_DELTA_TOOLS, NULL },
	[R_DELTA_FUNCTION - 1] = { R_DELTA_TOOL, "function" },
	[R_DELTA_ARGUMENTS - 1] = { R_DELTA_FUNCTION, "arguments" },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error" },
};

static void on_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->end)
		return;
	// The last of several counts alone: duplicate keys, or running usage in every chunk.
	sg_usage_reset(&reader->outcome.usage);
	reader->outcome.bad_evidence = false;
	reader->usage_seen = reader->event_usage = value->type == SG_JSON_OBJECT;
	if (value->type != SG_JSON_OBJECT && value->type != SG_JSON_NULL)
		reader->outcome.bad_evidence = true;
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_MODEL:
		if (value->type == SG_JSON_STRING && value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
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
		reader->produced = true;
		break;
	case R_MESSAGE_CONTENT:
	case R_MESSAGE_REFUSAL:
	case R_MESSAGE_ARGUMENTS:
	case R_DELTA_CONTENT:
	case R_DELTA_REFUSAL:
	case R_DELTA_REASONING:
	case R_DELTA_ARGUMENTS:
		if (value->type == SG_JSON_STRING)
			reader->outcome.visible_output_bytes += (int64_t)value->decoded_length;
		break;
	case R_ERROR:
		if (value->type == SG_JSON_OBJECT)
			reader->failed_early = true;
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	reader->final = reader->final || reader->event_usage;
}

// A chunk without usage, or with "usage": null. In a text that the model wrote the quotes are
// escaped, so it is not mistaken for the key. A key that was spelled with escapes would be passed
// over, and the call charged by its hold.
static bool is_filler(const struct sg_sse_event *event)
{
	static const char key[] = "\"usage\"";
	const char *end = event->data + event->data_length;
	const char *at = memmem(event->data, event->data_length, key, sizeof(key) - 1);

	if (event->data[0] != '{')
		return false; // [DONE]
	if (!at)
		return true;
	for (at += sizeof(key) - 1; at < end && (*at == ' ' || *at == ':'); at++)
		;
	return at < end && *at == 'n' && !memmem(at, (size_t)(end - at), key, sizeof(key) - 1);
}

// prompt_tokens includes what was read from and written to the cache: make the classes disjoint.
static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t cached = usage->cache_read_tokens + usage->cache_write_tokens;

	if (usage->input_tokens >= 0) {
		if (cached > usage->input_tokens)
			reader->outcome.bad_evidence = true;
		else
			usage->input_tokens -= cached;
	}
	if (usage->audio_input_tokens > usage->input_tokens + cached &&
		usage->audio_input_tokens > 0)
		reader->outcome.bad_evidence = true;
	if (usage->reasoning_tokens > usage->output_tokens && usage->output_tokens >= 0)
		reader->outcome.bad_evidence = true;
	// A search model searches once a call (providers: per-use fees).
	if (reader->usage_seen && strstr(reader->facts->reasons, "web_search"))
		usage->web_search_requests = 1;
}

const struct sg_api sg_api_openai_chat = {
	.name = "chat",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.body_paths = response_paths,
	.body_path_count = SG_ARRAY_SIZE(response_paths),
	.on_body = on_response,
	.event_paths = response_paths,
	.event_path_count = SG_ARRAY_SIZE(response_paths),
	.on_event = on_response,
	.end_event = end_event,
	.finish_response = finish_response,
	.is_filler = is_filler,
	.needs_include_usage = true,
	.end_mark = "[DONE]",
};
