// SPDX-License-Identifier: Apache-2.0
// OpenAI chat completions, the request, as it is and as others have extended it. Fields: the
// providers' API references, POST /v1/chat/completions.
#include <string.h>

#include "provider/openai_chat.h"

// Of Google's two, and of xAI.
#define GOOGLES (SG_TRAIT_TIER_BY_HEADER | SG_TRAIT_OUTPUT_BY_TOTAL)

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
	TOOL_TYPE,
	MODELS,
	MODELS_ITEM,
	PLUGINS,
	PLUGIN,
	SEARCH_PARAMETERS,
	BEST_OF,
	PROMPT,
	PROMPT_ITEM,
	PART_IMAGE,
	PART_IMAGE_URL,
	// of embeddings and of reranks, by their several names
	INPUT,
	INPUT_ITEM,
	INPUT_LIST,
	INPUT_CONTENT,
	INPUT_ROLE,
	INPUT_TYPE,
	INPUT_TEXT,
	INPUT_OTHER,
	QUERY,
	QUERY_ITEM,
	TEXT_1,
	DOCUMENTS,
	DOCUMENT,
	DOCUMENT_CONTENT,
	TEXT_2,
	DEFERRED,
	// more of what others have added
	PRESET,
	DATA_SOURCES,
	DATA_SOURCE,
	EXTRA_BODY,
	EXTRA_BODY_OTHER,
	GOOGLE,
	GOOGLE_AT_ROOT,
	GOOGLE_OTHER,
	GOOGLE_KNOWN,
	GOOGLE_THINKING,
	GOOGLE_SAFETY,
	GOOGLE_SAFETY_CAMEL,
	GOOGLE_THOUGHT_TAG,
	CACHED,
	CACHED_CAMEL,
	CACHED_AT_ROOT,
	CACHED_AT_ROOT_CAMEL,
	PART_SOUND,
	PART_SOUND_URL,
	PART_SOUND_EMBEDS,
	PART_VIDEO,
	PART_IMAGE_EMBEDS,
	PART_PIL,
	PART_FILE,
};

_Static_assert(PART_FILE == SG_CHAT_REQUEST_PATHS, "a row for each node");

const struct sg_json_path sg_chat_request_paths[SG_CHAT_REQUEST_PATHS] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[MAX_COMPLETION_TOKENS - 1] = { SG_JSON_ROOT, "max_completion_tokens", 0 },
	[MAX_TOKENS - 1] = { SG_JSON_ROOT, "max_tokens", 0 },
	[N - 1] = { SG_JSON_ROOT, "n", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[STREAM_OPTIONS - 1] = { SG_JSON_ROOT, "stream_options", 0 },
	[INCLUDE_USAGE - 1] = { STREAM_OPTIONS, "include_usage", 0 },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier", 0 },
	[MESSAGES - 1] = { SG_JSON_ROOT, "messages", 0 },
	[MESSAGE - 1] = { MESSAGES, NULL, 0 },
	[CONTENT - 1] = { MESSAGE, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_TYPE - 1] = { PART, "type", 0 },
	[MESSAGE_AUDIO - 1] = { MESSAGE, "audio", 0 },
	[PREDICTION - 1] = { SG_JSON_ROOT, "prediction", 0 },
	[PREDICTION_CONTENT - 1] = { PREDICTION, "content", 0 },
	[PREDICTION_PART - 1] = { PREDICTION_CONTENT, NULL, 0 },
	[PREDICTION_TEXT - 1] = { PREDICTION_PART, "text", 0 },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[FUNCTIONS - 1] = { SG_JSON_ROOT, "functions", 0 },
	[WEB_SEARCH_OPTIONS - 1] = { SG_JSON_ROOT, "web_search_options", 0 },
	[STREAM_OPTIONS_OTHER - 1] = { STREAM_OPTIONS, "*", 0 },
	[TOOL_TYPE - 1] = { TOOL, "type", 0 },
	[MODELS - 1] = { SG_JSON_ROOT, "models", 0 },
	[MODELS_ITEM - 1] = { MODELS, NULL, 0 },
	[PLUGINS - 1] = { SG_JSON_ROOT, "plugins", 0 },
	[PLUGIN - 1] = { PLUGINS, NULL, 0 },
	[SEARCH_PARAMETERS - 1] = { SG_JSON_ROOT, "search_parameters", 0 },
	[BEST_OF - 1] = { SG_JSON_ROOT, "best_of", 0 },
	[PROMPT - 1] = { SG_JSON_ROOT, "prompt", 0 },
	[PROMPT_ITEM - 1] = { PROMPT, NULL, 0 },
	[PART_IMAGE - 1] = { PART, "image_url", 0 },
	[PART_IMAGE_URL - 1] = { PART_IMAGE, "url", 0 },
	[INPUT - 1] = { SG_JSON_ROOT, "input", 0 },
	[INPUT_ITEM - 1] = { INPUT, NULL, 0 },
	[INPUT_LIST - 1] = { INPUT_ITEM, NULL, INPUT_ITEM },
	[INPUT_CONTENT - 1] = { INPUT_ITEM, "content", CONTENT },
	[INPUT_ROLE - 1] = { INPUT_ITEM, "role", 0 },
	[INPUT_TYPE - 1] = { INPUT_ITEM, "type", 0 },
	[INPUT_TEXT - 1] = { INPUT_ITEM, "text", 0 },
	[INPUT_OTHER - 1] = { INPUT_ITEM, "*", 0 },
	[QUERY - 1] = { SG_JSON_ROOT, "query", 0 },
	[QUERY_ITEM - 1] = { QUERY, NULL, QUERY },
	[TEXT_1 - 1] = { SG_JSON_ROOT, "text_1", QUERY },
	[DOCUMENTS - 1] = { SG_JSON_ROOT, "documents", 0 },
	[DOCUMENT - 1] = { DOCUMENTS, NULL, 0 },
	[DOCUMENT_CONTENT - 1] = { DOCUMENT, "content", CONTENT },
	[TEXT_2 - 1] = { SG_JSON_ROOT, "text_2", DOCUMENTS },
	[DEFERRED - 1] = { SG_JSON_ROOT, "deferred", 0 },
	[PRESET - 1] = { SG_JSON_ROOT, "preset", 0 },
	[DATA_SOURCES - 1] = { SG_JSON_ROOT, "data_sources", 0 },
	[DATA_SOURCE - 1] = { DATA_SOURCES, NULL, 0 },
	// Google's own members within OpenAI's API
	[EXTRA_BODY - 1] = { SG_JSON_ROOT, "extra_body", 0 },
	[EXTRA_BODY_OTHER - 1] = { EXTRA_BODY, "*", 0 },
	[GOOGLE - 1] = { EXTRA_BODY, "google", 0 },
	[GOOGLE_AT_ROOT - 1] = { SG_JSON_ROOT, "google", GOOGLE },
	[GOOGLE_OTHER - 1] = { GOOGLE, "*", EXTRA_BODY_OTHER },
	[GOOGLE_KNOWN - 1] = { GOOGLE, "thinking_config", 0 },
	[GOOGLE_THINKING - 1] = { GOOGLE, "thinkingConfig", GOOGLE_KNOWN },
	[GOOGLE_SAFETY - 1] = { GOOGLE, "safety_settings", GOOGLE_KNOWN },
	[GOOGLE_SAFETY_CAMEL - 1] = { GOOGLE, "safetySettings", GOOGLE_KNOWN },
	[GOOGLE_THOUGHT_TAG - 1] = { GOOGLE, "thought_tag_marker", GOOGLE_KNOWN },
	[CACHED - 1] = { GOOGLE, "cached_content", 0 },
	[CACHED_CAMEL - 1] = { GOOGLE, "cachedContent", CACHED },
	[CACHED_AT_ROOT - 1] = { SG_JSON_ROOT, "cached_content", CACHED },
	[CACHED_AT_ROOT_CAMEL - 1] = { SG_JSON_ROOT, "cachedContent", CACHED },
	[PART_SOUND - 1] = { PART, "input_audio", 0 },
	[PART_SOUND_URL - 1] = { PART, "audio_url", PART_SOUND },
	[PART_SOUND_EMBEDS - 1] = { PART, "audio_embeds", PART_SOUND },
	[PART_VIDEO - 1] = { PART, "video_url", 0 },
	[PART_IMAGE_EMBEDS - 1] = { PART, "image_embeds", PART_VIDEO },
	[PART_PIL - 1] = { PART, "image_pil", PART_VIDEO },
	[PART_FILE - 1] = { PART, "file", PART_VIDEO },
};

// What is not text can't be bounded by its bytes.
static void on_part_type(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	if (strcmp(value->text, "text") == 0 || strcmp(value->text, "refusal") == 0)
		return;
	if (strcmp(value->text, "image_url") == 0) {
		reader->part.is_image = true;
		return;
	}
	reader->part.is_taken = true;
	if (strcmp(value->text, "input_audio") == 0) {
		facts->unbounded_sound = true;
		sg_request_take_window(facts, "audio_part");
	} else {
		sg_request_take_window(
			facts, strcmp(value->text, "file") == 0 ? "file" : "unknown_part");
	}
}

// Servers read what a part has, whatever type it says to be of, and also where it says none.
static void on_part(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->end)
		sg_request_end_part(reader, "image_url", "media_part");
}

static void on_part_member(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->type == SG_JSON_NULL)
		return;
	if (value->node == PART_IMAGE)
		reader->part.is_image = true;
	else
		reader->part.is_media = true;
	if (value->node == PART_SOUND)
		reader->facts.unbounded_sound = true;
}

// One search, by OpenAI. Google makes as many as its model likes, and others bill them in ways of
// their own.
static void on_search(struct sg_request_facts *facts)
{
	facts->searches_web = true;
	if (facts->traits & (GOOGLES | SG_TRAIT_COST))
		sg_request_take_hosted(facts, "web_search");
	else
		sg_request_take_window(facts, "web_search");
}

static void on_stream_options(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	switch ((enum request_node)value->node) {
	case STREAM_OPTIONS:
		reader->options_end = value->end_offset;
		if (value->end)
			break;
		reader->options_seen = true;
		reader->options_offset = value->offset;
		reader->options_are_object = value->type == SG_JSON_OBJECT;
		reader->include_seen = reader->include_true = false;
		reader->options_empty = true;
		break;
	case INCLUDE_USAGE:
		reader->include_seen = true;
		reader->options_empty = false;
		reader->include_true = value->type == SG_JSON_TRUE;
		if (!value->end)
			reader->include_offset = value->offset;
		reader->include_end = value->end_offset;
		break;
	default:
		reader->options_empty = false;
		break;
	}
}

// What others than OpenAI have added.
static void on_extension(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const own[] = { "function", "custom", NULL };
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case TOOL_TYPE:
		if (value->type == SG_JSON_STRING && !sg_is_one_of(value->text, own))
			sg_request_take_hosted(facts, "hosted_tools");
		break;
	case MODELS_ITEM:
		sg_request_take_hosted(facts, "models");
		break;
	case PLUGIN:
		sg_request_take_hosted(facts, "plugins");
		break;
	case PRESET:
		if (given)
			sg_request_take_hosted(facts, "preset");
		break;
	case SEARCH_PARAMETERS:
		if (given)
			sg_request_take_hosted(facts, "search_parameters");
		break;
	case DATA_SOURCE:
		// Azure's "On Your Data": the model is asked what to search for, and reads what is
		// found.
		if (given) {
			facts->tool_turns += facts->tool_turns < SG_COUNT_MAX;
			sg_request_take_window(facts, "data_sources");
		}
		break;
	case CACHED:
		if (given)
			sg_request_take_window(facts, "cached_content");
		break;
	case EXTRA_BODY_OTHER:
		if (given)
			sg_request_take_window(facts, "extra_body");
		break;
	case DEFERRED:
		// The answer tells an id only, and a later GET the rest.
		facts->background =
			(facts->traits & SG_TRAIT_DEFERS) && value->type == SG_JSON_TRUE;
		break;
	case BEST_OF:
		sg_request_multiplier(value, &reader->best_of);
		break;
	case PROMPT_ITEM:
		// Token numbers are one prompt together; each text and each list is one of its own.
		if (!value->end && value->type != SG_JSON_NUMBER)
			reader->prompts++;
		break;
	default:
		break;
	}
}

// Of embeddings and reranks. What is not text takes the context window of its input.
static void on_list(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	bool is_list = value->type == SG_JSON_ARRAY;

	if (value->end)
		return;
	switch ((enum request_node)value->node) {
	case INPUT:
	case DOCUMENTS:
		reader->documents += !is_list && value->type != SG_JSON_NULL;
		break;
	case INPUT_ITEM:
		// Token numbers are one input together.
		reader->documents += value->type != SG_JSON_NUMBER;
		return;
	case INPUT_OTHER:
		sg_request_take_window(&reader->facts, "media_part");
		break;
	case DOCUMENT:
		reader->documents++;
		return;
	case QUERY:
		if (value->type == SG_JSON_STRING)
			reader->query_bytes += (int64_t)value->decoded_length;
		break;
	default:
		break;
	}
	if (value->type == SG_JSON_OBJECT)
		sg_request_take_window(&reader->facts, "media_part");
}

void sg_chat_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case MAX_COMPLETION_TOKENS:
		if (!(facts->traits & SG_TRAIT_OLD_LIMIT_ONLY))
			sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case MAX_TOKENS:
		sg_request_output_limit(reader, value, SG_LIMIT_FALLBACK);
		break;
	case N:
		sg_request_choices(facts, value);
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case STREAM_OPTIONS:
	case INCLUDE_USAGE:
	case STREAM_OPTIONS_OTHER:
		on_stream_options(reader, value);
		break;
	case SERVICE_TIER:
		sg_request_take_tier(facts, value);
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case PART:
		on_part(reader, value);
		break;
	case PART_TYPE:
		on_part_type(reader, value);
		break;
	case PART_IMAGE:
	case PART_SOUND:
	case PART_VIDEO:
		on_part_member(reader, value);
		break;
	case PART_IMAGE_URL:
		if (strncmp(value->text, "data:image/", 11) == 0)
			sg_request_inline_image(facts, value);
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
		if (value->type == SG_JSON_NULL)
			break;
		on_search(facts);
		break;
	case INPUT:
	case INPUT_ITEM:
	case INPUT_OTHER:
	case QUERY:
	case DOCUMENTS:
	case DOCUMENT:
		on_list(reader, value);
		break;
	default:
		on_extension(reader, value);
		break;
	}
}

static void forget_leaking_limit(struct sg_request_facts *facts)
{
	if (facts->traits & SG_TRAIT_LIMIT_LEAKS)
		facts->max_output = -1;
}

void sg_chat_finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	forget_leaking_limit(facts);
	// It searches and thinks as long as it likes.
	if (strstr(facts->model, "deep-research")) {
		facts->unbounded = facts->unbounded_output = true;
		sg_request_add_reason(facts, "deep_research");
	}
}

// ---- Completions: a prompt in place of messages ----

#define COMPLETIONS_MAX_TOKENS 16

static int64_t product(int64_t a, int64_t b)
{
	int64_t result;

	return __builtin_mul_overflow(a, b, &result) ? INT64_MAX : result;
}

void sg_completions_finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;
	int64_t each = reader->best_of > facts->choices ? reader->best_of : facts->choices;

	if (facts->max_output < 0 && (facts->traits & SG_TRAIT_SHORT_COMPLETIONS))
		facts->max_output = COMPLETIONS_MAX_TOKENS;
	forget_leaking_limit(facts);
	facts->choices = product(each, reader->prompts > 1 ? reader->prompts : 1);
	facts->inputs = reader->prompts;
}
