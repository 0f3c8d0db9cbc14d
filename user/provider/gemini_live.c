// SPDX-License-Identifier: Apache-2.0
// Gemini's live sessions, at Google's own host and at Vertex: what the agent sends, and what the
// session makes of both sides. Fields: the provider's API reference, BidiGenerateContent.
#include <string.h>

#include "provider/gemini.h"

enum node {
	SETUP = 1,
	MODEL,
	CONFIG,
	MAX_TOKENS,
	TOOLS,
	TOOL,
	TOOL_FUNCTIONS,
	TOOL_OTHER,
	CONTENT,
	SPEECH,
	OTHER,
	CONFIG_SNAKE,
	MAX_TOKENS_SNAKE,
	TOOL_FUNCTIONS_SNAKE,
	CONTENT_SNAKE,
	SPEECH_SNAKE,
	TOOL_RESPONSE,
	TOOL_RESPONSE_SNAKE,
	TURN_COMPLETE,
	TURN_COMPLETE_SNAKE,
	SPEECH_TEXT,
	SPEECH_END,
	SPEECH_END_SNAKE,
	// one tool in place of a list
	ONE_TOOL_FUNCTIONS,
	ONE_TOOL_FUNCTIONS_SNAKE,
	ONE_TOOL_OTHER,
	// what may hold more than its own bytes
	HANDLE_OBJECT,
	HANDLE,
	HANDLE_OBJECT_SNAKE,
	TURNS,
	TURN,
	PARTS,
	ONE_TURN_PARTS,
	PART,
	PART_TEXT,
	PART_OTHER,
	ONE_PART_TEXT,
	ONE_PART_OTHER,
	VIDEO,
	CHUNKS,
	CHUNKS_SNAKE,
	ANSWERS,
	ANSWERS_SNAKE,
	ANSWER,
	ANSWER_PARTS,
	ONE_ANSWER_PARTS,
};

_Static_assert(ONE_ANSWER_PARTS == SG_GEMINI_LIVE_PATHS, "a row for each node");

const struct sg_json_path sg_gemini_live_paths[SG_GEMINI_LIVE_PATHS] = {
	[SETUP - 1] = { SG_JSON_ROOT, "setup", 0 },
	[MODEL - 1] = { SETUP, "model", 0 },
	[CONFIG - 1] = { SETUP, "generationConfig", 0 },
	[MAX_TOKENS - 1] = { CONFIG, "maxOutputTokens", 0 },
	[TOOLS - 1] = { SETUP, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[TOOL_FUNCTIONS - 1] = { TOOL, "functionDeclarations", 0 },
	[TOOL_OTHER - 1] = { TOOL, "*", 0 },
	[CONTENT - 1] = { SG_JSON_ROOT, "clientContent", 0 },
	[SPEECH - 1] = { SG_JSON_ROOT, "realtimeInput", 0 },
	[OTHER - 1] = { SG_JSON_ROOT, "*", 0 },
	[CONFIG_SNAKE - 1] = { SETUP, "generation_config", CONFIG },
	[MAX_TOKENS_SNAKE - 1] = { CONFIG, "max_output_tokens", MAX_TOKENS },
	[TOOL_FUNCTIONS_SNAKE - 1] = { TOOL, "function_declarations", TOOL_FUNCTIONS },
	[CONTENT_SNAKE - 1] = { SG_JSON_ROOT, "client_content", CONTENT },
	[SPEECH_SNAKE - 1] = { SG_JSON_ROOT, "realtime_input", SPEECH },
	[TOOL_RESPONSE - 1] = { SG_JSON_ROOT, "toolResponse", 0 },
	[TOOL_RESPONSE_SNAKE - 1] = { SG_JSON_ROOT, "tool_response", TOOL_RESPONSE },
	[TURN_COMPLETE - 1] = { CONTENT, "turnComplete", 0 },
	[TURN_COMPLETE_SNAKE - 1] = { CONTENT, "turn_complete", TURN_COMPLETE },
	[SPEECH_TEXT - 1] = { SPEECH, "text", 0 },
	[SPEECH_END - 1] = { SPEECH, "activityEnd", 0 },
	[SPEECH_END_SNAKE - 1] = { SPEECH, "activity_end", SPEECH_END },
	[ONE_TOOL_FUNCTIONS - 1] = { TOOLS, "functionDeclarations", TOOL_FUNCTIONS },
	[ONE_TOOL_FUNCTIONS_SNAKE - 1] = { TOOLS, "function_declarations", TOOL_FUNCTIONS },
	[ONE_TOOL_OTHER - 1] = { TOOLS, "*", TOOL_OTHER },
	[HANDLE_OBJECT - 1] = { SETUP, "sessionResumption", 0 },
	[HANDLE - 1] = { HANDLE_OBJECT, "handle", 0 },
	[HANDLE_OBJECT_SNAKE - 1] = { SETUP, "session_resumption", HANDLE_OBJECT },
	[TURNS - 1] = { CONTENT, "turns", 0 },
	[TURN - 1] = { TURNS, NULL, 0 },
	[PARTS - 1] = { TURN, "parts", 0 },
	[ONE_TURN_PARTS - 1] = { TURNS, "parts", PARTS },
	[PART - 1] = { PARTS, NULL, 0 },
	[PART_TEXT - 1] = { PART, "text", 0 },
	[PART_OTHER - 1] = { PART, "*", 0 },
	[ONE_PART_TEXT - 1] = { PARTS, "text", PART_TEXT },
	[ONE_PART_OTHER - 1] = { PARTS, "*", PART_OTHER },
	[VIDEO - 1] = { SPEECH, "video", 0 },
	[CHUNKS - 1] = { SPEECH, "mediaChunks", VIDEO },
	[CHUNKS_SNAKE - 1] = { SPEECH, "media_chunks", VIDEO },
	[ANSWERS - 1] = { TOOL_RESPONSE, "functionResponses", 0 },
	[ANSWERS_SNAKE - 1] = { TOOL_RESPONSE, "function_responses", ANSWERS },
	[ANSWER - 1] = { ANSWERS, NULL, 0 },
	[ANSWER_PARTS - 1] = { ANSWER, "parts", PART_OTHER },
	[ONE_ANSWER_PARTS - 1] = { ANSWERS, "parts", PART_OTHER },
};

// "models/NAME", or a whole path of Vertex.
static void take_model(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	const char *slash;

	sg_request_set_model(facts, value);
	slash = strrchr(facts->model, '/');
	if (slash)
		memmove(facts->model, slash + 1, strlen(slash));
}

void sg_gemini_live_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_live_marks *marks = &reader->marks;

	if (value->end)
		return;
	switch ((enum node)value->node) {
	case SETUP:
		marks->is_setup = true;
		break;
	case MODEL:
		take_model(&reader->facts, value);
		break;
	case MAX_TOKENS:
		sg_request_largest_limit(reader, value);
		break;
	case TOOL_FUNCTIONS:
		reader->facts.tools = true;
		break;
	case TOOL_OTHER:
		marks->is_hosted = true;
		break;
	case SPEECH:
		marks->has_sound = true;
		marks->is_speech = true;
		break;
	case CONTENT:
		marks->is_speech = true;
		break;
	case TURN_COMPLETE:
		marks->is_question = marks->is_question || value->type == SG_JSON_TRUE;
		break;
	case SPEECH_TEXT:
	case SPEECH_END:
	case TOOL_RESPONSE:
		marks->is_question = true;
		break;
	case OTHER:
		marks->is_other = true;
		break;
	case HANDLE:
	case PART_OTHER:
	case VIDEO:
		marks->is_unbound = true;
		break;
	default:
		break;
	}
}

// The setup is the session's first message, and the only one that names the model.
static void ask_setup(struct sg_live *live, struct sg_live_demand *demand)
{
	const struct sg_request_facts *told = &demand->facts;

	if (live->facts.model[0] || told->other_model[0] || live->request.marks.is_hosted) {
		sg_live_refuse(demand, live->facts.model[0]   ? "a session has one setup"
				       : told->other_model[0] ? "its setup names two models"
							      : "a tool that the provider runs");
		return;
	}
	memcpy(live->facts.model, told->model, sizeof(live->facts.model));
	live->facts.max_output = told->max_output;
	live->facts.tools = told->tools;
	if (!live->facts.model[0])
		sg_live_refuse(demand, "its setup names no model");
}

static void on_ask(struct sg_live *live, struct sg_live_demand *demand)
{
	const struct sg_live_marks *marks = &live->request.marks;

	// Sound is of any rate: no more than a token a byte.
	sg_live_add_message(live, demand);
	live->said.is_unbound = live->said.is_unbound || marks->is_unbound;
	if (marks->is_other)
		sg_live_refuse(demand, "its kind is none of those that can be metered");
	else if (marks->is_setup)
		ask_setup(live, demand);
	else if (!live->facts.model[0])
		sg_live_refuse(demand, "the first message must be the setup");
	else if (marks->is_question)
		demand->need = SG_LIVE_QUESTION;
	else if (marks->is_speech)
		demand->need = SG_LIVE_SPEECH;
}

// Whether the counts of later messages include those of earlier ones is not told anywhere: each
// is taken for a turn of its own, which is never too little. Output before any count means that a
// turn has begun; when that one was complete and the next one begins, no count is to come.
static void on_tell(struct sg_live *live, struct sg_live_news *news)
{
	const struct sg_live_marks *marks = &live->response.marks;

	if (live->response.usage_seen || (marks->has_answer && live->untold)) {
		sg_live_end_turn(live, news);
		live->answering = live->untold = false;
	} else if (marks->has_answer) {
		news->kind = SG_LIVE_BEGUN;
		live->answering = true;
	}
	if (marks->turn_complete)
		live->untold = live->answering;
}

const struct sg_live_ways sg_gemini_live_ways = {
	.on_ask = on_ask,
	.on_tell = on_tell,
	.turns_by_provider = true,
	.each_message = true,
};
