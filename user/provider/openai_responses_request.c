// SPDX-License-Identifier: Apache-2.0
// OpenAI responses, the request. Fields: the provider's API reference, POST /v1/responses.
#include <stdio.h>
#include <string.h>

#include "provider/openai_responses.h"

// A container is billed by sessions of 20 minutes, and no call is held for longer than an hour.
#define SESSIONS_OF_CONTAINER 3
#define SMALLEST_MEMORY	      "1g"
#define UNKNOWN_MEMORY	      "unknown" // in no price table: the dearest

enum request_node {
	MODEL = 1,
	MAX_OUTPUT_TOKENS,
	STREAM,
	BACKGROUND,
	SERVICE_TIER,
	INPUT,
	ITEM,
	ITEM_TYPE,
	CONTENT,
	PART,
	PART_TYPE,
	PREVIOUS_RESPONSE_ID,
	CONVERSATION,
	PROMPT,
	TOOLS,
	TOOL,
	TOOL_TYPE,
	MAX_TOOL_CALLS,
	ITEM_OUTPUT,
	OUTPUT_PART,
	OUTPUT_PART_TYPE,
	ITEM_ENCRYPTED,
	TOOL_ENVIRONMENT,
	TOOL_ENVIRONMENT_TYPE,
	CONTEXT_MANAGEMENT,
	MESSAGE_TYPE,
	TOOL_CONTAINER,
	TOOL_CONTAINER_MEMORY,
	TOOL_ENVIRONMENT_MEMORY,
	// what others have added: who answers, and by what settings
	MODELS,
	EXTENSION,
	PLUGINS,
	PLUGIN,
	PRESET,
	SEARCH_PARAMETERS,
};

_Static_assert(SEARCH_PARAMETERS == SG_RESPONSES_REQUEST_PATHS, "a row for each node");

const struct sg_json_path sg_responses_request_paths[SG_RESPONSES_REQUEST_PATHS] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[MAX_OUTPUT_TOKENS - 1] = { SG_JSON_ROOT, "max_output_tokens", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[BACKGROUND - 1] = { SG_JSON_ROOT, "background", 0 },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "service_tier", 0 },
	[INPUT - 1] = { SG_JSON_ROOT, "input", 0 },
	[ITEM - 1] = { INPUT, NULL, 0 },
	[ITEM_TYPE - 1] = { ITEM, "type", 0 },
	[CONTENT - 1] = { ITEM, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_TYPE - 1] = { PART, "type", 0 },
	[PREVIOUS_RESPONSE_ID - 1] = { SG_JSON_ROOT, "previous_response_id", 0 },
	[CONVERSATION - 1] = { SG_JSON_ROOT, "conversation", 0 },
	[PROMPT - 1] = { SG_JSON_ROOT, "prompt", 0 },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[TOOL_TYPE - 1] = { TOOL, "type", 0 },
	[MAX_TOOL_CALLS - 1] = { SG_JSON_ROOT, "max_tool_calls", 0 },
	[ITEM_OUTPUT - 1] = { ITEM, "output", 0 },
	[OUTPUT_PART - 1] = { ITEM_OUTPUT, NULL, 0 },
	[OUTPUT_PART_TYPE - 1] = { OUTPUT_PART, "type", 0 },
	[ITEM_ENCRYPTED - 1] = { ITEM, "encrypted_content", 0 },
	[TOOL_ENVIRONMENT - 1] = { TOOL, "environment", 0 },
	[TOOL_ENVIRONMENT_TYPE - 1] = { TOOL_ENVIRONMENT, "type", 0 },
	[CONTEXT_MANAGEMENT - 1] = { SG_JSON_ROOT, "context_management", 0 },
	[MESSAGE_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[TOOL_CONTAINER - 1] = { TOOL, "container", 0 },
	[TOOL_CONTAINER_MEMORY - 1] = { TOOL_CONTAINER, "memory_limit", 0 },
	[TOOL_ENVIRONMENT_MEMORY - 1] = { TOOL_ENVIRONMENT, "memory_limit", TOOL_CONTAINER_MEMORY },
	[MODELS - 1] = { SG_JSON_ROOT, "models", 0 },
	[EXTENSION - 1] = { MODELS, NULL, 0 },
	[PLUGINS - 1] = { SG_JSON_ROOT, "plugins", 0 },
	[PLUGIN - 1] = { PLUGINS, NULL, EXTENSION },
	[PRESET - 1] = { SG_JSON_ROOT, "preset", EXTENSION },
	[SEARCH_PARAMETERS - 1] = { SG_JSON_ROOT, "search_parameters", EXTENSION },
};

static void on_part_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char *const texts[] = { "input_text", "output_text", "refusal", "text",
		"summary_text", "reasoning_text", NULL };

	if (value->type != SG_JSON_STRING || sg_is_one_of(value->text, texts))
		return;
	if (strcmp(value->text, "input_image") == 0)
		sg_request_take_image(facts, "image_url");
	else
		sg_request_take_window(
			facts, strcmp(value->text, "input_file") == 0 ? "file" : "unknown_part");
}

// Items whose text is in the body. What refers to something that the provider keeps, or shows a
// picture, is not bounded by its bytes.
static void on_item_type(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const texts[] = { "message", "function_call", "function_call_output",
		"custom_tool_call", "custom_tool_call_output", "local_shell_call",
		"local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call",
		"apply_patch_call_output", NULL };

	if (value->type != SG_JSON_STRING)
		return;
	reader->item.has_type = true;
	reader->item.is_reasoning = strcmp(value->text, "reasoning") == 0;
	if (strcmp(value->text, "item_reference") == 0)
		sg_request_take_window(&reader->facts, "item_reference");
	else if (!reader->item.is_reasoning && !sg_is_one_of(value->text, texts))
		sg_request_take_window(&reader->facts, "unknown_item");
}

static void on_item(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (!value->end) {
		reader->facts.messages++;
		memset(&reader->item, 0, sizeof(reader->item));
		return;
	}
	// Named by its id alone: the provider reads what it has stored.
	if (!reader->item.has_type && !reader->item.has_content)
		sg_request_take_window(&reader->facts, "item_reference");
	if (reader->item.is_reasoning && !reader->item.is_encrypted)
		sg_request_take_window(&reader->facts, "stored_reasoning");
}

static void take_hosted_tool(struct sg_request_reader *reader, const char *reason)
{
	reader->hosted_tools = true;
	sg_request_take_window(&reader->facts, reason);
}

// The dearest counts where the memory is not known, or is not the same for all.
static void take_memory(struct sg_request_facts *facts, const char *memory)
{
	if (facts->kind[0] && strcmp(facts->kind, memory) != 0)
		memory = UNKNOWN_MEMORY;
	snprintf(facts->kind, sizeof(facts->kind), "%s", memory);
}

static void take_container(struct sg_request_reader *reader, const char *reason)
{
	reader->facts.units.containers += SESSIONS_OF_CONTAINER;
	reader->tool_container = true;
	take_hosted_tool(reader, reason);
}

// One that the provider makes, of the smallest size where nothing is said; one that is there has a
// size that this request does not tell.
static void on_container(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == TOOL_CONTAINER_MEMORY)
		sg_value_copy(value, reader->tool_memory, sizeof(reader->tool_memory));
	else if (value->type == SG_JSON_STRING)
		strcpy(reader->tool_memory, UNKNOWN_MEMORY);
}

static void on_tool(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	reader->facts.tools = true;
	if (!value->end) {
		reader->tool_container = false;
		strcpy(reader->tool_memory, SMALLEST_MEMORY);
	} else if (reader->tool_container) {
		take_memory(&reader->facts, reader->tool_memory);
	}
}

// Tools that the agent runs itself are text; all others run at the provider and feed the model what
// no byte here bounds. Pictures of a tool cost a fee that no answer is sure to tell.
static void on_tool_type(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const own[] = { "function", "custom", "local_shell", "shell",
		"apply_patch", "namespace", "computer", "computer_use_preview", NULL };

	if (value->type != SG_JSON_STRING || sg_is_one_of(value->text, own))
		return;
	if (strcmp(value->text, "image_generation") == 0) {
		reader->facts.unbounded = true;
		take_hosted_tool(reader, value->text);
	} else if (strcmp(value->text, "code_interpreter") == 0) {
		take_container(reader, value->text);
	} else if (strcmp(value->text, "file_search") == 0) {
		reader->facts.searches_files = true;
		take_hosted_tool(reader, "file_search");
	} else if (strcmp(value->text, "mcp") == 0) {
		take_hosted_tool(reader, "mcp");
	} else {
		reader->facts.uses_for_a_fee =
			reader->facts.uses_for_a_fee || strcmp(value->text, "tool_search") != 0;
		take_hosted_tool(reader, "hosted_tools");
	}
}

// A shell runs at the agent unless it is given a container of the provider's, which costs a fee.
static void on_tool_environment(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (strcmp(value->text, "local") == 0)
		return;
	if (strcmp(value->text, "container_auto") != 0)
		strcpy(reader->tool_memory, UNKNOWN_MEMORY);
	take_container(reader, "container");
}

static void on_previous(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_live_marks *marks = &reader->marks;

	sg_request_take_window(&reader->facts, SG_REASON_PREVIOUS);
	if (marks->goes_on || value->length >= sizeof(marks->id))
		marks->id[0] = 0;
	else
		sg_value_copy(value, marks->id, sizeof(marks->id));
	marks->goes_on = true;
}

void sg_responses_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case MAX_OUTPUT_TOKENS:
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case BACKGROUND:
		facts->background = value->type == SG_JSON_TRUE;
		break;
	case SERVICE_TIER:
		sg_request_take_tier(facts, value);
		break;
	case ITEM:
		on_item(reader, value);
		break;
	case ITEM_TYPE:
		on_item_type(reader, value);
		break;
	case CONTENT:
		reader->item.has_content = reader->item.has_content || given;
		break;
	case ITEM_ENCRYPTED:
		reader->item.is_encrypted = value->type == SG_JSON_STRING && value->length;
		break;
	case PART_TYPE:
	case OUTPUT_PART_TYPE:
		on_part_type(facts, value);
		break;
	case PREVIOUS_RESPONSE_ID:
		if (given)
			on_previous(reader, value);
		break;
	case CONVERSATION:
		if (given)
			sg_request_take_window(facts, "conversation");
		break;
	case PROMPT:
		if (given)
			sg_request_take_window(facts, "prompt");
		break;
	case TOOL:
		on_tool(reader, value);
		break;
	case TOOL_CONTAINER:
	case TOOL_CONTAINER_MEMORY:
		on_container(reader, value);
		break;
	case TOOL_TYPE:
		on_tool_type(reader, value);
		break;
	case TOOL_ENVIRONMENT_TYPE:
		on_tool_environment(reader, value);
		break;
	case CONTEXT_MANAGEMENT:
		reader->compacts = reader->compacts || given;
		break;
	case MAX_TOOL_CALLS:
		sg_request_larger_limit(value, !reader->tool_calls_seen, &reader->max_tool_calls);
		reader->tool_calls_seen = true;
		break;
	case MESSAGE_TYPE:
		sg_value_copy(value, reader->marks.type, sizeof(reader->marks.type));
		break;
	case EXTENSION:
		if (given)
			sg_request_take_hosted(facts, "hosted_settings");
		break;
	default:
		break;
	}
}

// Each turn of a hosted tool's loop is a model call of its own; without a limit that the provider
// obeys there is no bound. Others than OpenAI have limits of their own, or none.
void sg_responses_finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	if (reader->hosted_tools && reader->max_tool_calls > 0 &&
		(facts->traits & SG_TRAIT_TOOL_LIMIT)) {
		facts->tool_turns = reader->max_tool_calls;
	} else if (reader->hosted_tools) {
		facts->unbounded = true;
		if (facts->traits & SG_TRAIT_TOOL_LIMIT)
			sg_request_add_reason(facts, SG_REASON_NO_TOOL_LIMIT);
	}
	sg_request_bound_compaction(reader);
}
