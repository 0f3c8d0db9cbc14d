// SPDX-License-Identifier: Apache-2.0
// Ollama's own API: chat, generate and embed. An answer streams unless the request says otherwise,
// one JSON object a line; the last one has the counts.
#include <string.h>

#include "provider/api.h"

enum request_node {
	MODEL = 1,
	STREAM,
	OPTIONS,
	NUM_PREDICT,
	MESSAGES,
	MESSAGE,
	MESSAGE_IMAGES,
	MESSAGE_IMAGE,
	IMAGES,
	IMAGE,
	TOOLS,
	TOOL,
	OPTION_OTHER,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[OPTIONS - 1] = { SG_JSON_ROOT, "options", 0 },
	[NUM_PREDICT - 1] = { OPTIONS, "num_predict", 0 },
	[MESSAGES - 1] = { SG_JSON_ROOT, "messages", 0 },
	[MESSAGE - 1] = { MESSAGES, NULL, 0 },
	[MESSAGE_IMAGES - 1] = { MESSAGE, "images", 0 },
	[MESSAGE_IMAGE - 1] = { MESSAGE_IMAGES, NULL, IMAGE },
	[IMAGES - 1] = { SG_JSON_ROOT, "images", 0 },
	[IMAGE - 1] = { IMAGES, NULL, 0 },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[OPTION_OTHER - 1] = { OPTIONS, "*", 0 },
};

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case STREAM:
		reader->whole_answer = value->type == SG_JSON_FALSE;
		break;
	case OPTIONS:
		sg_request_limit_object(reader, value);
		break;
	case NUM_PREDICT:
		// Negative: without end.
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case IMAGE:
		if (!value->end) {
			facts->images++;
			sg_request_take_window(facts, "image_part");
		}
		break;
	case TOOL:
		facts->tools = true;
		break;
	default:
		break;
	}
}

static void finish_request(struct sg_request_reader *reader)
{
	reader->facts.stream = !reader->whole_answer;
	reader->facts.unbounded_output = reader->facts.max_output < 0;
}

static void finish_embed_request(struct sg_request_reader *reader)
{
	reader->facts.stream = false;
	reader->facts.max_output = 0;
	sg_request_set_inputs(&reader->facts, 0);
}

enum response_node {
	R_MODEL = 1,
	R_MESSAGE,
	R_CONTENT,
	R_THINKING,
	R_RESPONSE,
	R_RESPONSE_THINKING,
	R_DONE,
	R_PROMPT_COUNT,
	R_COUNT,
	R_ERROR,
	R_TOOL_CALLS,
	R_DONE_REASON,
};

static const struct sg_json_path response_paths[] = {
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_MESSAGE - 1] = { SG_JSON_ROOT, "message", 0 },
	[R_CONTENT - 1] = { R_MESSAGE, "content", 0 },
	[R_THINKING - 1] = { R_MESSAGE, "thinking", R_CONTENT },
	[R_RESPONSE - 1] = { SG_JSON_ROOT, "response", 0 },
	[R_RESPONSE_THINKING - 1] = { SG_JSON_ROOT, "thinking", R_CONTENT },
	[R_TOOL_CALLS - 1] = { R_MESSAGE, "tool_calls", 0 },
	[R_DONE - 1] = { SG_JSON_ROOT, "done", 0 },
	[R_PROMPT_COUNT - 1] = { SG_JSON_ROOT, "prompt_eval_count", 0 },
	[R_COUNT - 1] = { SG_JSON_ROOT, "eval_count", 0 },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[R_DONE_REASON - 1] = { SG_JSON_ROOT, "done_reason", 0 },
};

// A call without a prompt puts a model into memory, or out of it: nothing is read or written.
static void on_done_reason(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	static const char *const idle[] = { "load", "unload", NULL };
	struct sg_usage *usage = &reader->outcome.usage;

	if (reader->usage_seen || !sg_is_one_of(value->text, idle))
		return;
	usage->input_tokens = usage->output_tokens = 0;
	reader->usage_seen = true;
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_MODEL:
		reader->produced = true;
		if (value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_RESPONSE:
		reader->mark.generates = true;
		sg_response_text(reader, value);
		break;
	case R_CONTENT:
		sg_response_text(reader, value);
		break;
	case R_TOOL_CALLS:
		if (value->end)
			reader->outcome.visible_output_bytes +=
				(int64_t)(value->end_offset - reader->mark.calls_offset);
		reader->mark.calls_offset = value->offset;
		break;
	case R_DONE:
		reader->stream_ended = value->type == SG_JSON_TRUE;
		break;
	case R_PROMPT_COUNT:
		sg_response_count(reader, value, &usage->input_tokens);
		reader->usage_seen = reader->event_usage = true;
		break;
	case R_COUNT:
		sg_response_count(reader, value, &usage->output_tokens);
		reader->usage_seen = reader->event_usage = true;
		break;
	case R_DONE_REASON:
		on_done_reason(reader, value);
		break;
	case R_ERROR:
		reader->failed_early = true;
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	reader->mark.begun = true;
	reader->final = reader->final || (reader->stream_ended && reader->usage_seen);
}

// A prompt that was in the cache as a whole has no count: nothing of it was read.
static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (reader->stream_ended && usage->output_tokens >= 0 && usage->input_tokens < 0)
		usage->input_tokens = 0;
}

static void finish_embed(struct sg_response_reader *reader)
{
	if (reader->usage_seen)
		reader->outcome.usage.output_tokens = 0;
}

#define OLLAMA_PARTS                                                                               \
	.request_paths = request_paths, .request_path_count = SG_ARRAY_SIZE(request_paths),        \
	.on_request = on_request, SG_READS_BOTH(response_paths, on_response),                      \
	.end_event = end_event, .dialect = SG_DIALECT_OLLAMA

static const struct sg_limit_member limit = { .name = "num_predict", .object = "options" };

const struct sg_api sg_api_ollama = {
	.name = "ollama",
	OLLAMA_PARTS,
	.finish_request = finish_request,
	.finish_response = finish_response,
	.limit = &limit,
	.end_stream = sg_ollama_end_stream,
};

const struct sg_api sg_api_ollama_embed = {
	.name = "ollama_embed",
	OLLAMA_PARTS,
	.finish_request = finish_embed_request,
	.finish_response = finish_embed,
};
