// SPDX-License-Identifier: Apache-2.0
// OpenAI's realtime sessions. Events: the provider's API reference, realtime client and server
// events. Both directions speak of the session in the same words, so one table reads both.
#include <string.h>

#include "base/money.h"
#include "provider/live_session.h"

enum node {
	TYPE = 1,
	ITEM_ID,
	SESSION,
	SESSION_MODEL,
	DETECTION,
	CREATE_RESPONSE,
	AUDIO,
	AUDIO_INPUT,
	AUDIO_DETECTION,
	TRANSCRIPTION,
	AUDIO_TRANSCRIPTION,
	TRANSCRIBER,
	SESSION_TOOLS,
	TOOL,
	TOOL_TYPE,
	RESPONSE,
	RESPONSE_TOOLS,
	MAX_OUTPUT,
	MAX_OUTPUT_OLD,
	CONVERSATION,
	ID,
	STATUS,
	OUTPUT,
	OUTPUT_ITEM,
	USAGE,
	RESPONSE_USAGE,
	INPUT_TOKENS,
	OUTPUT_TOKENS,
	INPUT_DETAILS,
	INPUT_AUDIO,
	INPUT_IMAGE,
	CACHED,
	CACHED_DETAILS,
	CACHED_AUDIO,
	CACHED_IMAGE,
	OUTPUT_DETAILS,
	OUTPUT_AUDIO,
	IDLE_TIMEOUT,
	SESSION_PROMPT,
	RESPONSE_PROMPT,
	RESPONSE_INPUT,
	ITEM,
	ITEM_TYPE,
	CONTENT,
	PART,
	PART_TYPE,
	PART_IMAGE,
	RESPONSE_TOOL,
	RESPONSE_OTHER,
	SECONDS,
};

static const struct sg_json_path paths[] = {
	[TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[ITEM_ID - 1] = { SG_JSON_ROOT, "item_id", ID },
	[SESSION - 1] = { SG_JSON_ROOT, "session", 0 },
	[SESSION_MODEL - 1] = { SESSION, "model", 0 },
	[DETECTION - 1] = { SESSION, "turn_detection", 0 },
	[CREATE_RESPONSE - 1] = { DETECTION, "create_response", 0 },
	[AUDIO - 1] = { SESSION, "audio", 0 },
	[AUDIO_INPUT - 1] = { AUDIO, "input", 0 },
	[AUDIO_DETECTION - 1] = { AUDIO_INPUT, "turn_detection", DETECTION },
	[TRANSCRIPTION - 1] = { SESSION, "input_audio_transcription", 0 },
	[AUDIO_TRANSCRIPTION - 1] = { AUDIO_INPUT, "transcription", TRANSCRIPTION },
	[TRANSCRIBER - 1] = { TRANSCRIPTION, "model", 0 },
	[SESSION_TOOLS - 1] = { SESSION, "tools", 0 },
	[TOOL - 1] = { SESSION_TOOLS, NULL, 0 },
	[TOOL_TYPE - 1] = { TOOL, "type", 0 },
	[RESPONSE - 1] = { SG_JSON_ROOT, "response", 0 },
	[RESPONSE_TOOLS - 1] = { RESPONSE, "tools", 0 },
	[MAX_OUTPUT - 1] = { RESPONSE, "max_output_tokens", 0 },
	[MAX_OUTPUT_OLD - 1] = { RESPONSE, "max_response_output_tokens", MAX_OUTPUT },
	[CONVERSATION - 1] = { RESPONSE, "conversation", 0 },
	[ID - 1] = { RESPONSE, "id", 0 },
	[STATUS - 1] = { RESPONSE, "status", 0 },
	[OUTPUT - 1] = { RESPONSE, "output", 0 },
	[OUTPUT_ITEM - 1] = { OUTPUT, NULL, 0 },
	[USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[RESPONSE_USAGE - 1] = { RESPONSE, "usage", USAGE },
	[INPUT_TOKENS - 1] = { USAGE, "input_tokens", 0 },
	[OUTPUT_TOKENS - 1] = { USAGE, "output_tokens", 0 },
	[INPUT_DETAILS - 1] = { USAGE, "input_token_details", 0 },
	[INPUT_AUDIO - 1] = { INPUT_DETAILS, "audio_tokens", 0 },
	[INPUT_IMAGE - 1] = { INPUT_DETAILS, "image_tokens", 0 },
	[CACHED - 1] = { INPUT_DETAILS, "cached_tokens", 0 },
	[CACHED_DETAILS - 1] = { INPUT_DETAILS, "cached_tokens_details", 0 },
	[CACHED_AUDIO - 1] = { CACHED_DETAILS, "audio_tokens", 0 },
	[CACHED_IMAGE - 1] = { CACHED_DETAILS, "image_tokens", 0 },
	[OUTPUT_DETAILS - 1] = { USAGE, "output_token_details", 0 },
	[OUTPUT_AUDIO - 1] = { OUTPUT_DETAILS, "audio_tokens", 0 },
	[IDLE_TIMEOUT - 1] = { DETECTION, "idle_timeout_ms", 0 },
	[SESSION_PROMPT - 1] = { SESSION, "prompt", 0 },
	[RESPONSE_PROMPT - 1] = { RESPONSE, "prompt", 0 },
	[RESPONSE_INPUT - 1] = { RESPONSE, "input", 0 },
	[ITEM - 1] = { SG_JSON_ROOT, "item", 0 },
	[ITEM_TYPE - 1] = { ITEM, "type", 0 },
	[CONTENT - 1] = { ITEM, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_TYPE - 1] = { PART, "type", 0 },
	[PART_IMAGE - 1] = { PART, "image_url", 0 },
	[RESPONSE_TOOL - 1] = { RESPONSE_TOOLS, NULL, TOOL },
	[RESPONSE_OTHER - 1] = { RESPONSE, "*", 0 },
	[SECONDS - 1] = { USAGE, "seconds", 0 },
};

// What either side says of the session.
static void on_mark(struct sg_live_marks *marks, const struct sg_json_value *value)
{
	// Those that their own bytes bound.
	static const char *const items[] = { "message", "function_call", "function_call_output",
		NULL };
	static const char *const parts[] = { "input_text", "text", "output_text", "input_audio",
		"audio", "output_audio", NULL };
	static const char *const sounds[] = { "input_audio", "audio", "output_audio", NULL };

	if (value->end)
		return;
	switch ((enum node)value->node) {
	case TYPE:
		sg_value_copy(value, marks->type, sizeof(marks->type));
		break;
	case ID:
		sg_value_copy(value, marks->id, sizeof(marks->id));
		break;
	case SESSION_MODEL:
		sg_value_copy(value, marks->model, sizeof(marks->model));
		break;
	case DETECTION:
		marks->turns =
			value->type == SG_JSON_NULL ? SG_TURNS_BY_AGENT : SG_TURNS_BY_PROVIDER;
		break;
	case CREATE_RESPONSE:
		if (value->type == SG_JSON_FALSE)
			marks->turns = SG_TURNS_BY_AGENT;
		break;
	case TRANSCRIPTION:
		marks->transcriber_told = true;
		marks->transcriber[0] = 0;
		break;
	case TRANSCRIBER:
		sg_value_copy(value, marks->transcriber, sizeof(marks->transcriber));
		break;
	case TOOL_TYPE:
		marks->is_hosted = marks->is_hosted || strcmp(value->text, "function") != 0;
		break;
	case CONVERSATION:
		marks->apart = strcmp(value->text, "none") == 0;
		break;
	case STATUS:
		marks->is_failed = strcmp(value->text, "failed") == 0;
		break;
	case OUTPUT_ITEM:
		marks->has_parts = true;
		break;
	case IDLE_TIMEOUT:
		marks->unprompted = value->type != SG_JSON_NULL;
		break;
	case RESPONSE_INPUT:
		marks->own_input = marks->own_input || value->type != SG_JSON_NULL;
		break;
	case SESSION_PROMPT:
	case RESPONSE_PROMPT:
	case PART_IMAGE:
		marks->is_unbound = marks->is_unbound || value->type != SG_JSON_NULL;
		break;
	case ITEM_TYPE:
	case PART_TYPE:
		marks->has_sound = marks->has_sound || sg_is_one_of(value->text, sounds);
		marks->is_unbound =
			marks->is_unbound || value->type != SG_JSON_STRING ||
			!sg_is_one_of(value->text, value->node == ITEM_TYPE ? items : parts);
		break;
	default:
		break;
	}
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == RESPONSE)
		sg_request_limit_object(reader, value);
	else if (value->node == MAX_OUTPUT)
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
	else
		on_mark(&reader->marks, value);
}

static const struct sg_limit_member limit = { .name = "max_output_tokens", .object = "response" };

// ---- Usage ----

static void on_event(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;
	struct sg_usage *usage = &outcome->usage;
	int64_t *counts[] = {
		[INPUT_TOKENS] = &usage->input_tokens,
		[OUTPUT_TOKENS] = &usage->output_tokens,
		[INPUT_AUDIO] = &usage->audio_input_tokens,
		[INPUT_IMAGE] = &usage->image_input_tokens,
		[CACHED] = &usage->cache_read_tokens,
		[CACHED_AUDIO] = &usage->audio_cache_read_tokens,
		[CACHED_IMAGE] = &usage->image_cache_read_tokens,
		[OUTPUT_AUDIO] = &usage->audio_output_tokens,
	};

	if (value->node == SECONDS) {
		sg_response_seconds(reader, value, &usage->units.milliseconds);
	} else if (value->node == USAGE) {
		if (!value->end && value->type != SG_JSON_NULL)
			sg_response_begin_usage(reader, value);
	} else if ((size_t)value->node < SG_ARRAY_SIZE(counts) && counts[value->node]) {
		sg_response_count(reader, value, counts[value->node]);
	} else {
		on_mark(&reader->marks, value);
	}
}

static void end_event(struct sg_response_reader *reader)
{
	const struct sg_live_marks *marks = &reader->marks;

	reader->final = reader->usage_seen;
	// One that failed before it said anything, and tells no usage, was not worked on.
	reader->failed_early = marks->is_failed;
	reader->produced = marks->has_parts;
}

// More of a part than there is of the whole is no evidence.
static void take_out(struct sg_response_reader *reader, int64_t *whole, int64_t part)
{
	if (part > *whole)
		reader->outcome.bad_evidence = true;
	else
		*whole -= part;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	// A transcription by a model that is billed by the time of its sound.
	if (reader->usage_seen && usage->units.milliseconds && usage->input_tokens < 0)
		usage->input_tokens = usage->output_tokens = 0;
	if (!reader->usage_seen || usage->input_tokens < 0)
		return;
	take_out(reader, &usage->input_tokens, usage->cache_read_tokens);
	take_out(reader, &usage->audio_input_tokens, usage->audio_cache_read_tokens);
	take_out(reader, &usage->image_input_tokens, usage->image_cache_read_tokens);
}

// ---- The session ----

static void take_transcriber(struct sg_live *live, const struct sg_live_marks *marks)
{
	if (marks->transcriber_told)
		memcpy(live->transcriber, marks->transcriber, sizeof(live->transcriber));
}

// The provider's word counts; until it comes, what the agent asks for is in force where it costs
// more.
static void ask_update(
	struct sg_live *live, const struct sg_live_marks *marks, struct sg_live_demand *demand)
{
	if (marks->model[0] && live->facts.model[0] &&
		strcmp(marks->model, live->facts.model) != 0) {
		sg_live_refuse(demand, "a session keeps the model that it was opened with");
		return;
	}
	if (marks->model[0])
		memcpy(live->facts.model, marks->model, sizeof(live->facts.model));
	if (marks->turns == SG_TURNS_BY_PROVIDER || marks->is_hosted)
		live->turns_by_provider = true;
	live->hosted_tools = live->hosted_tools || marks->is_hosted;
	live->unprompted = live->unprompted || marks->unprompted;
	if (marks->transcriber[0])
		take_transcriber(live, marks);
}

// What the message adds to what the turns of the session read.
static void note_said(struct sg_live *live, const struct sg_live_demand *demand)
{
	const struct sg_live_marks *marks = &live->request.marks;

	if (strcmp(marks->type, "input_audio_buffer.append") == 0)
		live->said.sound_bytes =
			sg_money_add(live->said.sound_bytes, demand->facts.body_bytes);
	else
		sg_live_add_message(live, demand);
	live->said.is_unbound = live->said.is_unbound || marks->is_unbound || marks->is_hosted;
}

static void on_ask(struct sg_live *live, struct sg_live_demand *demand)
{
	static const char *const free[] = { "input_audio_buffer.clear", "output_audio_buffer.clear",
		"conversation.item.create", "conversation.item.delete",
		"conversation.item.retrieve", "conversation.item.truncate", "response.cancel",
		NULL };
	static const char *const speech[] = { "input_audio_buffer.append",
		"input_audio_buffer.commit", NULL };
	const struct sg_live_marks *marks = &live->request.marks;
	const struct sg_request_facts asked = demand->facts;

	note_said(live, demand);
	if (strcmp(marks->type, "session.update") == 0 ||
		strcmp(marks->type, "transcription_session.update") == 0) {
		ask_update(live, marks, demand);
	} else if (strcmp(marks->type, "response.create") == 0) {
		demand->need = SG_LIVE_TURN;
		demand->apart = marks->apart;
		demand->facts = live->facts;
		demand->facts.max_output = asked.max_output;
		demand->facts.can_limit = asked.can_limit;
		demand->facts.least_limit = asked.least_limit;
		// An item of the session can be named many times.
		if (!marks->own_input)
			sg_live_bound_input(live, &demand->facts);
		live->turns_by_provider = live->turns_by_provider || marks->is_hosted;
		live->unprompted = live->unprompted || marks->is_hosted;
	} else if (sg_is_one_of(marks->type, speech)) {
		demand->need = SG_LIVE_SPEECH;
	} else if (!sg_is_one_of(marks->type, free)) {
		sg_live_refuse(demand, "its type is none of those that can be metered");
	}
}

static void tell_session(struct sg_live *live, const struct sg_live_marks *marks)
{
	// Its instructions and tools, which may be the provider's own or those of the key.
	sg_live_add_text(live, live->told_bytes);
	live->said.is_unbound = live->said.is_unbound || marks->is_unbound || marks->is_hosted;
	live->unprompted = live->unprompted || marks->unprompted;
	if (marks->model[0])
		memcpy(live->facts.model, marks->model, sizeof(live->facts.model));
	if (marks->turns != SG_TURNS_NOT_TOLD)
		live->turns_by_provider =
			marks->turns == SG_TURNS_BY_PROVIDER || live->hosted_tools;
	take_transcriber(live, marks);
}

static void tell_transcription(struct sg_live *live, struct sg_live_news *news, const char *word)
{
	news->lane = SG_LIVE_TRANSCRIPTIONS;
	if (strcmp(word, "completed") == 0 || strcmp(word, "failed") == 0) {
		live->response.failed_early = strcmp(word, "failed") == 0;
		sg_live_end_turn(live, news);
		memcpy(news->outcome.usage.model, live->transcriber, sizeof(live->transcriber));
	}
}

static void on_tell(struct sg_live *live, struct sg_live_news *news)
{
	static const char transcription[] = "conversation.item.input_audio_transcription.";
	const struct sg_live_marks *marks = &live->response.marks;
	const char *type = marks->type;

	memcpy(news->id, marks->id, sizeof(news->id));
	if (strncmp(type, transcription, sizeof(transcription) - 1) == 0) {
		tell_transcription(live, news, type + sizeof(transcription) - 1);
	} else if (strcmp(type, "response.created") == 0) {
		news->kind = SG_LIVE_BEGUN;
	} else if (strcmp(type, "response.done") == 0) {
		sg_live_end_turn(live, news);
		memcpy(news->outcome.usage.model, live->facts.model,
			sizeof(news->outcome.usage.model));
	} else if (strcmp(type, "input_audio_buffer.committed") == 0 && live->transcriber[0]) {
		news->lane = SG_LIVE_TRANSCRIPTIONS;
		news->kind = SG_LIVE_BEGUN;
	} else if (strcmp(type, "error") == 0) {
		news->kind = SG_LIVE_DENIED;
	} else if (strncmp(type, "session.", 8) == 0 ||
		   strncmp(type, "transcription_session.", 22) == 0) {
		tell_session(live, marks);
	}
}

static const struct sg_live_ways ways = {
	.on_ask = on_ask,
	.on_tell = on_tell,
	.turns_by_provider = true,
	.each_message = true,
};

const struct sg_api sg_api_openai_realtime = {
	.name = "realtime",
	.request_paths = paths,
	.request_path_count = SG_ARRAY_SIZE(paths),
	.on_request = on_request,
	.limit = &limit,
	.event_paths = paths,
	.event_path_count = SG_ARRAY_SIZE(paths),
	.on_event = on_event,
	.end_event = end_event,
	.finish_response = finish_response,
	.live = &ways,
};
