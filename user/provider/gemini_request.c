// SPDX-License-Identifier: Apache-2.0
// Gemini's generateContent, the request, at Google's own host and at Vertex. Fields: the provider's
// API reference; its JSON takes each name in camel case and in snake case.
#include <string.h>

#include "provider/gemini.h"

// What the provider's own tools find is read by the model again, which has no told limit; nobody
// has seen it go on for longer.
#define HOSTED_TOOL_TURNS 10

enum request_node {
	CONTENTS = 1,
	CONTENT,
	PARTS,
	PART,
	PART_INLINE,
	PART_MIME,
	PART_FILE,
	CONFIG,
	MAX_TOKENS,
	CANDIDATES,
	CACHED_CONTENT,
	TOOLS,
	TOOL,
	TOOL_FUNCTIONS,
	TOOL_OTHER,
	SYSTEM,
	SYSTEM_PARTS,
	SERVICE_TIER,
	PART_OTHER,
	PART_TEXT,
	CONFIG_SNAKE,
	MAX_TOKENS_SNAKE,
	CANDIDATES_SNAKE,
	CACHED_SNAKE,
	TOOL_FUNCTIONS_SNAKE,
	SYSTEM_SNAKE,
	PART_INLINE_SNAKE,
	PART_MIME_SNAKE,
	PART_FILE_SNAKE,
	SERVICE_TIER_SNAKE,
	EMBED_CONTENT,
	EMBED_REQUESTS,
	EMBED_REQUEST,
	EMBED_REQUEST_CONTENT,
	CONFIG_OTHER,
	PART_TEXTUAL, // an object that is text
	PART_CALL_SNAKE,
	PART_CODE,
	PART_CODE_SNAKE,
	PART_CODE_RESULT,
	PART_CODE_RESULT_SNAKE,
	PART_RESULT,
	PART_RESULT_SNAKE,
	RESULT_PARTS,
	RESULT_PART,
	// one tool in place of a list
	ONE_TOOL_FUNCTIONS,
	ONE_TOOL_FUNCTIONS_SNAKE,
	ONE_TOOL_OTHER,
	ONE_REQUEST_CONTENT,
};

_Static_assert(ONE_REQUEST_CONTENT == SG_GEMINI_REQUEST_PATHS, "a row for each node");

const struct sg_json_path sg_gemini_request_paths[SG_GEMINI_REQUEST_PATHS] = {
	[CONTENTS - 1] = { SG_JSON_ROOT, "contents", 0 },
	[CONTENT - 1] = { CONTENTS, NULL, 0 },
	[PARTS - 1] = { CONTENT, "parts", 0 },
	[PART - 1] = { PARTS, NULL, 0 },
	[PART_INLINE - 1] = { PART, "inlineData", 0 },
	[PART_MIME - 1] = { PART_INLINE, "mimeType", 0 },
	[PART_FILE - 1] = { PART, "fileData", 0 },
	[CONFIG - 1] = { SG_JSON_ROOT, "generationConfig", 0 },
	[MAX_TOKENS - 1] = { CONFIG, "maxOutputTokens", 0 },
	[CANDIDATES - 1] = { CONFIG, "candidateCount", 0 },
	[CACHED_CONTENT - 1] = { SG_JSON_ROOT, "cachedContent", 0 },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[TOOL_FUNCTIONS - 1] = { TOOL, "functionDeclarations", 0 },
	[TOOL_OTHER - 1] = { TOOL, "*", 0 },
	[SYSTEM - 1] = { SG_JSON_ROOT, "systemInstruction", 0 },
	[SYSTEM_PARTS - 1] = { SYSTEM, "parts", PARTS },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "serviceTier", 0 },
	[PART_OTHER - 1] = { PART, "*", 0 },
	[PART_TEXT - 1] = { PART, "text", 0 },
	[CONFIG_SNAKE - 1] = { SG_JSON_ROOT, "generation_config", CONFIG },
	[MAX_TOKENS_SNAKE - 1] = { CONFIG, "max_output_tokens", MAX_TOKENS },
	[CANDIDATES_SNAKE - 1] = { CONFIG, "candidate_count", CANDIDATES },
	[CACHED_SNAKE - 1] = { SG_JSON_ROOT, "cached_content", CACHED_CONTENT },
	[TOOL_FUNCTIONS_SNAKE - 1] = { TOOL, "function_declarations", TOOL_FUNCTIONS },
	[SYSTEM_SNAKE - 1] = { SG_JSON_ROOT, "system_instruction", SYSTEM },
	[PART_INLINE_SNAKE - 1] = { PART, "inline_data", PART_INLINE },
	[PART_MIME_SNAKE - 1] = { PART_INLINE, "mime_type", PART_MIME },
	[PART_FILE_SNAKE - 1] = { PART, "file_data", PART_FILE },
	[SERVICE_TIER_SNAKE - 1] = { SG_JSON_ROOT, "service_tier", SERVICE_TIER },
	[EMBED_CONTENT - 1] = { SG_JSON_ROOT, "content", CONTENT },
	[EMBED_REQUESTS - 1] = { SG_JSON_ROOT, "requests", 0 },
	[EMBED_REQUEST - 1] = { EMBED_REQUESTS, NULL, 0 },
	[EMBED_REQUEST_CONTENT - 1] = { EMBED_REQUEST, "content", CONTENT },
	[CONFIG_OTHER - 1] = { CONFIG, "*", 0 },
	[PART_TEXTUAL - 1] = { PART, "functionCall", 0 },
	[PART_CALL_SNAKE - 1] = { PART, "function_call", PART_TEXTUAL },
	[PART_CODE - 1] = { PART, "executableCode", PART_TEXTUAL },
	[PART_CODE_SNAKE - 1] = { PART, "executable_code", PART_TEXTUAL },
	[PART_CODE_RESULT - 1] = { PART, "codeExecutionResult", PART_TEXTUAL },
	[PART_CODE_RESULT_SNAKE - 1] = { PART, "code_execution_result", PART_TEXTUAL },
	[PART_RESULT - 1] = { PART, "functionResponse", 0 },
	[PART_RESULT_SNAKE - 1] = { PART, "function_response", PART_RESULT },
	[RESULT_PARTS - 1] = { PART_RESULT, "parts", 0 },
	[RESULT_PART - 1] = { RESULT_PARTS, NULL, 0 },
	[ONE_TOOL_FUNCTIONS - 1] = { TOOLS, "functionDeclarations", TOOL_FUNCTIONS },
	[ONE_TOOL_FUNCTIONS_SNAKE - 1] = { TOOLS, "function_declarations", TOOL_FUNCTIONS },
	[ONE_TOOL_OTHER - 1] = { TOOLS, "*", TOOL_OTHER },
	[ONE_REQUEST_CONTENT - 1] = { EMBED_REQUESTS, "content", CONTENT },
};

// Google's parsers take one object for a list of one, of which the rows see nothing.
static bool is_other_shape(const struct sg_json_value *value)
{
	switch ((enum request_node)value->node) {
	case CONTENTS:
	case PARTS:
	case RESULT_PARTS:
		return value->type == SG_JSON_OBJECT;
	case CONTENT:
	case SYSTEM:
	case PART:
		return value->type == SG_JSON_ARRAY;
	case PART_OTHER:
		return value->type == SG_JSON_OBJECT || value->type == SG_JSON_ARRAY;
	default:
		return false;
	}
}

// Media are not bounded by their bytes.
static void on_media(struct sg_request_facts *facts, const char *mime)
{
	facts->images += strncmp(mime, "image/", 6) == 0;
	sg_request_take_window(facts, strncmp(mime, "audio/", 6) == 0	? "audio_part"
				      : strncmp(mime, "image/", 6) == 0 ? "image_part"
									: "file");
}

void sg_gemini_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	if (!value->end && is_other_shape(value))
		sg_request_take_window(facts, "media_part");
	switch ((enum request_node)value->node) {
	case CONTENT:
		facts->messages += !value->end;
		break;
	case EMBED_REQUEST:
		reader->documents += !value->end;
		break;
	case PART_INLINE:
		if (given)
			sg_request_take_window(facts, "inline_data");
		break;
	case PART_MIME:
		if (value->type == SG_JSON_STRING)
			on_media(facts, value->text);
		break;
	case PART_FILE:
	case RESULT_PART:
		if (given)
			sg_request_take_window(facts, "file");
		break;
	case CONFIG:
		sg_request_limit_object(reader, value);
		break;
	case MAX_TOKENS:
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case CANDIDATES:
		sg_request_choices(facts, value);
		break;
	case CACHED_CONTENT:
		if (given)
			sg_request_take_window(facts, "cached_content");
		break;
	case TOOL_FUNCTIONS:
		facts->tools = true;
		break;
	case TOOL:
		// A list in a list is none that a provider is known to take.
		if (value->type != SG_JSON_ARRAY)
			break;
		__attribute__((fallthrough));
	case TOOL_OTHER:
		if (given) {
			reader->hosted_tools = facts->tools = true;
			sg_request_take_window(facts, "server_tools");
		}
		break;
	case SERVICE_TIER:
		sg_value_copy(value, facts->service_tier, sizeof(facts->service_tier));
		break;
	default:
		break;
	}
}

void sg_gemini_finish_request(struct sg_request_reader *reader)
{
	if (reader->hosted_tools)
		reader->facts.tool_turns = HOSTED_TOOL_TURNS;
}
