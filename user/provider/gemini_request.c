// SPDX-License-Identifier: Apache-2.0
// Gemini's generateContent, the request, at Google's own host and at Vertex. Fields: the provider's
// API reference; its JSON takes each name in camel case and in snake case.
#include <ctype.h>
#include <string.h>

#include "provider/gemini.h"

// What the provider's own tools find is read by the model again, which has no told limit; nobody
// has seen it go on for longer.
#define HOSTED_TOOL_TURNS 10

// From Gemini 3 on each query of a turn has a fee, and no member limits them.
#define QUERIES_OF_TURN 10

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
	TOOL_SEARCH,
	TOOL_MAPS,
	TOOL_HOSTED, // whose fee are its tokens
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
	TOOL_SEARCH_SNAKE,
	TOOL_RETRIEVAL,
	TOOL_RETRIEVAL_SNAKE,
	TOOL_MAPS_SNAKE,
	TOOL_CODE_SNAKE,
	TOOL_URL,
	TOOL_URL_SNAKE,
	TOOL_FILES,
	TOOL_FILES_SNAKE,
	TOOL_COMPUTER,
	TOOL_COMPUTER_SNAKE,
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
	ONE_REQUEST_CONTENT,
	PART_DATA,
	PART_RESOLUTION,
	PART_RESOLUTION_SNAKE,
};

_Static_assert(PART_RESOLUTION_SNAKE == SG_GEMINI_REQUEST_PATHS, "a row for each node");

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
	// One tool may stand in place of the list.
	[TOOL - 1] = { TOOLS, NULL, TOOLS },
	[TOOL_FUNCTIONS - 1] = { TOOLS, "functionDeclarations", 0 },
	[TOOL_SEARCH - 1] = { TOOLS, "googleSearch", 0 },
	[TOOL_MAPS - 1] = { TOOLS, "googleMaps", 0 },
	[TOOL_HOSTED - 1] = { TOOLS, "codeExecution", 0 },
	[TOOL_OTHER - 1] = { TOOLS, "*", 0 },
	[SYSTEM - 1] = { SG_JSON_ROOT, "systemInstruction", 0 },
	[SYSTEM_PARTS - 1] = { SYSTEM, "parts", PARTS },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "serviceTier", 0 },
	[PART_OTHER - 1] = { PART, "*", 0 },
	[PART_TEXT - 1] = { PART, "text", 0 },
	[CONFIG_SNAKE - 1] = { SG_JSON_ROOT, "generation_config", CONFIG },
	[MAX_TOKENS_SNAKE - 1] = { CONFIG, "max_output_tokens", MAX_TOKENS },
	[CANDIDATES_SNAKE - 1] = { CONFIG, "candidate_count", CANDIDATES },
	[CACHED_SNAKE - 1] = { SG_JSON_ROOT, "cached_content", CACHED_CONTENT },
	[TOOL_FUNCTIONS_SNAKE - 1] = { TOOLS, "function_declarations", TOOL_FUNCTIONS },
	[TOOL_SEARCH_SNAKE - 1] = { TOOLS, "google_search", TOOL_SEARCH },
	[TOOL_RETRIEVAL - 1] = { TOOLS, "googleSearchRetrieval", TOOL_SEARCH },
	[TOOL_RETRIEVAL_SNAKE - 1] = { TOOLS, "google_search_retrieval", TOOL_SEARCH },
	[TOOL_MAPS_SNAKE - 1] = { TOOLS, "google_maps", TOOL_MAPS },
	[TOOL_CODE_SNAKE - 1] = { TOOLS, "code_execution", TOOL_HOSTED },
	[TOOL_URL - 1] = { TOOLS, "urlContext", TOOL_HOSTED },
	[TOOL_URL_SNAKE - 1] = { TOOLS, "url_context", TOOL_HOSTED },
	[TOOL_FILES - 1] = { TOOLS, "fileSearch", TOOL_HOSTED },
	[TOOL_FILES_SNAKE - 1] = { TOOLS, "file_search", TOOL_HOSTED },
	[TOOL_COMPUTER - 1] = { TOOLS, "computerUse", TOOL_HOSTED },
	[TOOL_COMPUTER_SNAKE - 1] = { TOOLS, "computer_use", TOOL_HOSTED },
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
	[ONE_REQUEST_CONTENT - 1] = { EMBED_REQUESTS, "content", CONTENT },
	[PART_DATA - 1] = { PART_INLINE, "data", 0 },
	[PART_RESOLUTION - 1] = { PART, "mediaResolution", PART_TEXTUAL },
	[PART_RESOLUTION_SNAKE - 1] = { PART, "media_resolution", PART_TEXTUAL },
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

// Media are not bounded by their bytes. A picture has a maximum of its own; documents and video,
// whose pages and frames are pictures, have none, nor has what does not say what it is.
static void on_inline(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->type == SG_JSON_NULL || (value->type == SG_JSON_OBJECT && !value->end))
		return;
	reader->part.is_media = value->type != SG_JSON_OBJECT || !reader->part.is_image;
	sg_request_end_part(reader, "image_part", "inline_data");
}

static void on_mime(struct sg_request_reader *reader, const char *mime)
{
	if (strncmp(mime, "image/", 6) == 0) {
		reader->part.is_image = true;
		return;
	}
	reader->part.is_taken = true;
	sg_request_take_window(
		&reader->facts, strncmp(mime, "audio/", 6) == 0 ? "audio_part" : "file");
}

// Of a tool that runs at the provider.
static void on_tool(struct sg_request_reader *reader, enum request_node node)
{
	struct sg_request_facts *facts = &reader->facts;

	facts->searches_web = facts->searches_web || node == TOOL_SEARCH;
	facts->searches_maps = facts->searches_maps || node == TOOL_MAPS;
	facts->uses_for_a_fee = facts->searches_web || facts->searches_maps;
	sg_gemini_take_tool(reader, node != TOOL_OTHER);
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
		on_inline(reader, value);
		break;
	case PART_MIME:
		if (value->type == SG_JSON_STRING)
			on_mime(reader, value->text);
		break;
	case PART_DATA:
		sg_request_inline_image(facts, value);
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
	case TOOL_SEARCH:
	case TOOL_MAPS:
	case TOOL_HOSTED:
	case TOOL_OTHER:
		if (given)
			on_tool(reader, (enum request_node)value->node);
		break;
	case SERVICE_TIER:
		sg_gemini_take_tier(facts, value);
		break;
	default:
		break;
	}
}

void sg_gemini_take_tool(struct sg_request_reader *reader, bool known)
{
	reader->hosted_tools = reader->facts.tools = true;
	sg_request_take_window(&reader->facts, "server_tools");
	if (!known) {
		// A fee that no table has, as that of an enterprise's own search.
		reader->facts.unbounded = true;
		sg_request_add_reason(&reader->facts, "unknown_tool");
	}
}

// Also by the name that the value has in Google's own tables of words.
void sg_gemini_take_tier(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char front[] = "SERVICE_TIER_";
	struct sg_json_value word = *value;
	char text[32];

	if (value->type == SG_JSON_STRING && value->length < sizeof(text) &&
		strncmp(value->text, front, sizeof(front) - 1) == 0) {
		word.length = value->length - (sizeof(front) - 1);
		for (size_t i = 0; i <= word.length; i++)
			text[i] = (char)tolower((unsigned char)value->text[sizeof(front) - 1 + i]);
		word.text = strcmp(text, "unspecified") == 0 ? "" : text;
		word.length = strlen(word.text);
	}
	sg_request_take_tier(facts, &word);
}

bool sg_gemini_searches_by_prompt(const char *model)
{
	const char *slash = strrchr(model, '/');
	const char *name = slash ? slash + 1 : model;

	return strncmp(name, "gemini-2", 8) == 0 || strncmp(name, "gemini-1", 8) == 0;
}

void sg_gemini_finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;
	bool by_prompt =
		sg_gemini_searches_by_prompt(facts->model) &&
		(!facts->other_model[0] || sg_gemini_searches_by_prompt(facts->other_model));

	if (!reader->hosted_tools)
		return;
	facts->tool_turns = HOSTED_TOOL_TURNS;
	if ((facts->searches_web || facts->searches_maps) && !by_prompt)
		facts->tool_queries = (int64_t)HOSTED_TOOL_TURNS * QUERIES_OF_TURN;
}
