// SPDX-License-Identifier: Apache-2.0
// Mistral's conversations: what was said before, and an agent's settings, are kept by the provider,
// so the operator's amount is held and the answer tells what is charged. Tools of the provider's
// own (connectors) read input of theirs and have a fee a call. Fields: the provider's SDK,
// ConversationUsageInfo.
#include <string.h>

#include "base/money.h"
#include "provider/api.h"

enum request_node { MODEL = 1, STREAM };

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
};

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == MODEL)
		sg_request_set_model(&reader->facts, value);
	else if (value->node == STREAM)
		reader->facts.stream = value->type == SG_JSON_TRUE;
}

static void finish_request(struct sg_request_reader *reader)
{
	sg_request_take_window(&reader->facts, "conversation");
}

enum response_node {
	R_USAGE = 1,
	R_PROMPT,
	R_COMPLETION,
	R_CONNECTOR_TOKENS,
	R_CONNECTORS,
	R_WEB_SEARCH,
	R_OTHER_CONNECTOR,
	R_OUTPUTS,
	R_OUTPUT,
	R_MODEL,
	R_EVENT_MODEL,
	R_TYPE,
	R_CONTENT,
	R_OUTPUT_CONTENT,
};

static const struct sg_json_path response_paths[] = {
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_PROMPT - 1] = { R_USAGE, "prompt_tokens", 0 },
	[R_COMPLETION - 1] = { R_USAGE, "completion_tokens", 0 },
	[R_CONNECTOR_TOKENS - 1] = { R_USAGE, "connector_tokens", 0 },
	[R_CONNECTORS - 1] = { R_USAGE, "connectors", 0 },
	[R_WEB_SEARCH - 1] = { R_CONNECTORS, "web_search", 0 },
	[R_OTHER_CONNECTOR - 1] = { R_CONNECTORS, "*", 0 },
	[R_OUTPUTS - 1] = { SG_JSON_ROOT, "outputs", 0 },
	[R_OUTPUT - 1] = { R_OUTPUTS, NULL, 0 },
	[R_MODEL - 1] = { R_OUTPUT, "model", 0 },
	[R_EVENT_MODEL - 1] = { SG_JSON_ROOT, "model", R_MODEL },
	[R_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[R_CONTENT - 1] = { SG_JSON_ROOT, "content", 0 },
	[R_OUTPUT_CONTENT - 1] = { R_OUTPUT, "content", R_CONTENT },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t count = 0;

	switch ((enum response_node)value->node) {
	case R_USAGE:
		if (!value->end && value->type != SG_JSON_NULL) {
			sg_response_begin_usage(reader, value);
			reader->tool_prompt = 0;
		}
		break;
	case R_PROMPT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_COMPLETION:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_CONNECTOR_TOKENS:
		sg_response_count(reader, value, &reader->tool_prompt);
		break;
	case R_WEB_SEARCH:
		sg_response_count(reader, value, &usage->web_search_requests);
		break;
	case R_OTHER_CONNECTOR:
		// Its fee is in no table: the hold is charged, or what was told where that is more.
		sg_response_count(reader, value, &count);
		reader->unpriced_tool = reader->unpriced_tool || count;
		break;
	case R_MODEL:
		sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case R_CONTENT:
		sg_response_text(reader, value);
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;

	if (strcmp(type, "conversation.response.done") == 0) {
		reader->final = reader->event_usage;
		reader->stream_ended = true;
	} else if (strcmp(type, "conversation.response.error") == 0) {
		reader->failed_early = true;
	} else if (strncmp(type, "conversation.", 13) != 0) {
		reader->produced = true;
	}
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (usage->input_tokens >= 0)
		usage->input_tokens = sg_money_add(usage->input_tokens, reader->tool_prompt);
}

const struct sg_api sg_api_mistral_conversation = {
	.name = "conversation",
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = finish_request,
	SG_READS_BOTH(response_paths, on_response),
	.end_event = end_event,
	.finish_response = finish_response,
	.dialect = SG_DIALECT_MISTRAL,
};
