// SPDX-License-Identifier: Apache-2.0
// OpenAI audio, and who speaks its API: speech (text in, sound out) by tokens or by characters;
// transcriptions and translations (forms with a file) by tokens or by the length of the sound.
// Fields: the provider's API reference, POST /v1/audio/*.
#include <string.h>

#include "provider/api.h"

#define LEAST_MILLISECONDS 10000

// Which of both a model is billed by is in the price table. These tell tokens, or nothing.
static bool tells_tokens(const char *model)
{
	return strstr(model, "gpt-") != NULL;
}

// ---- Speech ----

enum speech_node { S_MODEL = 1, S_INPUT, S_STREAM_FORMAT, S_STREAM };

static const struct sg_json_path speech_paths[] = {
	[S_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[S_INPUT - 1] = { SG_JSON_ROOT, "input", 0 },
	[S_STREAM_FORMAT - 1] = { SG_JSON_ROOT, "stream_format", 0 },
	[S_STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
};

static void on_speech(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum speech_node)value->node) {
	case S_MODEL:
		sg_request_set_model(facts, value);
		break;
	case S_INPUT:
		if (value->type == SG_JSON_STRING &&
			(int64_t)value->characters > facts->units.characters)
			facts->units.characters = (int64_t)value->characters;
		break;
	case S_STREAM_FORMAT:
		facts->stream = strcmp(value->text, "sse") == 0;
		break;
	case S_STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	}
}

// ---- Transcription ----

enum transcription_node { T_MODEL = 1, T_STREAM, T_FILE, T_URL, T_FILE_ID, T_FILE_URL };

static const struct sg_json_path transcription_paths[] = {
	[T_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[T_STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[T_FILE - 1] = { SG_JSON_ROOT, "file", 0 },
	[T_URL - 1] = { SG_JSON_ROOT, "url", 0 },
	[T_FILE_ID - 1] = { SG_JSON_ROOT, "file_id", T_URL },
	[T_FILE_URL - 1] = { SG_JSON_ROOT, "file_url", T_URL },
};

static void on_transcription(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum transcription_node)value->node) {
	case T_MODEL:
		sg_request_set_model(facts, value);
		break;
	case T_STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case T_FILE:
		// Text in place of a file is where to get it.
		if (value->type == SG_JSON_STRING)
			facts->unbounded = true;
		sg_request_take_window(facts, "audio_file");
		break;
	case T_URL:
		facts->unbounded = true;
		sg_request_take_window(facts, "audio_url");
		break;
	default:
		break;
	}
}

static void finish_transcription(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	facts->units.milliseconds =
		reader->sound_ms > LEAST_MILLISECONDS ? reader->sound_ms : LEAST_MILLISECONDS;
	facts->unbounded_sound = reader->sound_has_no_bound;
	if (facts->unbounded_sound)
		sg_request_add_reason(facts, SG_REASON_SOUND);
}

// ---- The answer ----

enum response_node {
	R_USAGE = 1,
	R_INPUT,
	R_OUTPUT,
	R_INPUT_DETAILS,
	R_INPUT_DETAILS_PLURAL,
	R_AUDIO_INPUT,
	R_SECONDS,
	R_PROMPT_SECONDS,
	R_PROMPT_TOKENS,
	R_COMPLETION_TOKENS,
	R_DURATION,
	R_TYPE,
	R_TEXT,
	R_DELTA,
	R_ERROR,
	R_MODEL,
	R_COST,
};

static const struct sg_json_path response_paths[] = {
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_INPUT - 1] = { R_USAGE, "input_tokens", 0 },
	[R_OUTPUT - 1] = { R_USAGE, "output_tokens", 0 },
	[R_INPUT_DETAILS - 1] = { R_USAGE, "input_token_details", 0 },
	[R_INPUT_DETAILS_PLURAL - 1] = { R_USAGE, "input_tokens_details", R_INPUT_DETAILS },
	[R_AUDIO_INPUT - 1] = { R_INPUT_DETAILS, "audio_tokens", 0 },
	[R_SECONDS - 1] = { R_USAGE, "seconds", 0 },
	[R_PROMPT_SECONDS - 1] = { R_USAGE, "prompt_audio_seconds", R_SECONDS },
	[R_PROMPT_TOKENS - 1] = { R_USAGE, "prompt_tokens", R_INPUT },
	[R_COMPLETION_TOKENS - 1] = { R_USAGE, "completion_tokens", R_OUTPUT },
	[R_DURATION - 1] = { SG_JSON_ROOT, "duration", 0 },
	[R_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[R_TEXT - 1] = { SG_JSON_ROOT, "text", 0 },
	[R_DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[R_COST - 1] = { R_USAGE, "cost", 0 },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_USAGE:
		if (!value->end && value->type != SG_JSON_NULL)
			sg_response_begin_usage(reader, value);
		break;
	case R_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_AUDIO_INPUT:
		sg_response_count(reader, value, &usage->audio_input_tokens);
		break;
	case R_SECONDS:
		sg_response_seconds(reader, value, &usage->units.milliseconds);
		break;
	case R_DURATION:
		sg_response_seconds(reader, value, &reader->duration_ms);
		break;
	case R_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case R_TEXT:
		if (!reader->is_stream)
			sg_response_text(reader, value);
		break;
	case R_DELTA:
		sg_response_text(reader, value);
		break;
	case R_ERROR:
		reader->failed_early = reader->failed_early || value->type == SG_JSON_OBJECT;
		break;
	case R_MODEL:
		sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case R_COST:
		sg_response_stated_price(reader, value, SG_TRAIT_COST);
		break;
	default:
		break;
	}
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;

	reader->produced = true;
	if (strcmp(type, "speech.audio.done") == 0 || strcmp(type, "transcript.text.done") == 0 ||
		strcmp(type, "transcription.done") == 0) {
		reader->final = reader->event_usage;
		reader->stream_ended = true;
	}
}

// Sound, or text of a known length: what is billed is in the request, or in the usage.
static void finish_speech_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!reader->usage_seen && reader->complete && reader->status < 300 &&
		!tells_tokens(reader->facts->model)) {
		sg_response_settle_by_units(reader);
		usage->units.characters = reader->facts->units.characters;
	}
	if (reader->usage_seen && usage->output_tokens > 0)
		usage->audio_output_tokens = usage->output_tokens;
}

static void finish_transcription_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (usage->audio_input_tokens > usage->input_tokens && usage->input_tokens >= 0)
		reader->outcome.bad_evidence = true;
	if (!usage->units.milliseconds && usage->input_tokens < 0 && usage->output_tokens < 0 &&
		!tells_tokens(reader->facts->model))
		usage->units.milliseconds = reader->duration_ms;
	// By the length alone: there are no tokens.
	if (usage->units.milliseconds && usage->input_tokens < 0 && usage->output_tokens < 0 &&
		reader->complete && !reader->outcome.bad_evidence) {
		reader->usage_seen = true;
		sg_response_settle_by_units(reader);
	}
}

#define AUDIO_ANSWER SG_READS_BOTH(response_paths, on_response), .end_event = end_event

const struct sg_api sg_api_openai_speech = {
	.name = "speech",
	.counts_characters = true,
	.request_paths = speech_paths,
	.request_path_count = SG_ARRAY_SIZE(speech_paths),
	.on_request = on_speech,
	AUDIO_ANSWER,
	.finish_response = finish_speech_response,
};

const struct sg_api sg_api_openai_transcription = {
	.name = "transcription",
	.takes_form = true,
	.request_paths = transcription_paths,
	.request_path_count = SG_ARRAY_SIZE(transcription_paths),
	.on_request = on_transcription,
	.finish_request = finish_transcription,
	AUDIO_ANSWER,
	.finish_response = finish_transcription_response,
};
