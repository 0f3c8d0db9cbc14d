// SPDX-License-Identifier: Apache-2.0
// Gemini's generateContent, the answer: one object, a stream of events each with one, or a JSON
// array of them. Counts are running totals: the last one counts.
#include <string.h>

#include "base/find.h"
#include "base/hash.h"
#include "base/money.h"
#include "provider/gemini.h"

enum response_node {
	MODEL = 1,
	USAGE,
	PROMPT,
	CACHED,
	CANDIDATE_TOKENS,
	THOUGHTS,
	TOOL_PROMPT,
	TOTAL,
	TRAFFIC,
	SERVICE_TIER,
	PROMPT_DETAILS,
	PROMPT_ITEM,
	ITEM_MODALITY,
	ITEM_COUNT,
	OUTPUT_DETAILS,
	OUTPUT_ITEM,
	OUTPUT_MODALITY,
	OUTPUT_COUNT,
	CANDIDATES,
	CANDIDATE,
	FINISH_REASON,
	CONTENT,
	PARTS,
	PART,
	PART_TEXT,
	GROUNDING,
	QUERIES,
	QUERY,
	FEEDBACK,
	BLOCK_REASON,
	ERROR,
	ELEMENT,
	ELEMENT_MODEL,
	ELEMENT_USAGE,
	ELEMENT_CANDIDATES,
	ELEMENT_FEEDBACK,
	ELEMENT_ERROR,
	RESPONSE_TOKENS,
	RESPONSE_DETAILS,
	SERVER_CONTENT,
	MODEL_TURN,
	TURN_COMPLETE,
	TOOL_CALL,
	CANDIDATE_INDEX,
	PART_THOUGHT,
	CACHE_DETAILS,
	CACHE_ITEM,
	CACHE_MODALITY,
	CACHE_COUNT,
	TOOL_DETAILS,
	TOOL_ITEM,
	CHUNKS,
	CHUNK,
	CHUNK_MAPS,
	CHUNK_WEB,
	CHUNK_IMAGE,
	IMAGE_QUERIES,
	EMBED_DETAILS,
	STORE_QUERIES,
	STORE_QUERY,
};

static const struct sg_json_path response_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "modelVersion", 0 },
	[USAGE - 1] = { SG_JSON_ROOT, "usageMetadata", 0 },
	[PROMPT - 1] = { USAGE, "promptTokenCount", 0 },
	[CACHED - 1] = { USAGE, "cachedContentTokenCount", 0 },
	[CANDIDATE_TOKENS - 1] = { USAGE, "candidatesTokenCount", 0 },
	[THOUGHTS - 1] = { USAGE, "thoughtsTokenCount", 0 },
	[TOOL_PROMPT - 1] = { USAGE, "toolUsePromptTokenCount", 0 },
	[TOTAL - 1] = { USAGE, "totalTokenCount", 0 },
	[TRAFFIC - 1] = { USAGE, "trafficType", 0 },
	[SERVICE_TIER - 1] = { USAGE, "serviceTier", 0 },
	[PROMPT_DETAILS - 1] = { USAGE, "promptTokensDetails", 0 },
	[PROMPT_ITEM - 1] = { PROMPT_DETAILS, NULL, 0 },
	[ITEM_MODALITY - 1] = { PROMPT_ITEM, "modality", 0 },
	[ITEM_COUNT - 1] = { PROMPT_ITEM, "tokenCount", 0 },
	[OUTPUT_DETAILS - 1] = { USAGE, "candidatesTokensDetails", 0 },
	[OUTPUT_ITEM - 1] = { OUTPUT_DETAILS, NULL, 0 },
	[OUTPUT_MODALITY - 1] = { OUTPUT_ITEM, "modality", ITEM_MODALITY },
	[OUTPUT_COUNT - 1] = { OUTPUT_ITEM, "tokenCount", ITEM_COUNT },
	[CANDIDATES - 1] = { SG_JSON_ROOT, "candidates", 0 },
	[CANDIDATE - 1] = { CANDIDATES, NULL, 0 },
	[FINISH_REASON - 1] = { CANDIDATE, "finishReason", 0 },
	[CONTENT - 1] = { CANDIDATE, "content", 0 },
	[PARTS - 1] = { CONTENT, "parts", 0 },
	[PART - 1] = { PARTS, NULL, 0 },
	[PART_TEXT - 1] = { PART, "text", 0 },
	[GROUNDING - 1] = { CANDIDATE, "groundingMetadata", 0 },
	[QUERIES - 1] = { GROUNDING, "webSearchQueries", 0 },
	[QUERY - 1] = { QUERIES, NULL, 0 },
	[FEEDBACK - 1] = { SG_JSON_ROOT, "promptFeedback", 0 },
	[BLOCK_REASON - 1] = { FEEDBACK, "blockReason", 0 },
	[ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[ELEMENT - 1] = { SG_JSON_ROOT, NULL, 0 },
	[ELEMENT_MODEL - 1] = { ELEMENT, "modelVersion", MODEL },
	[ELEMENT_USAGE - 1] = { ELEMENT, "usageMetadata", USAGE },
	[ELEMENT_CANDIDATES - 1] = { ELEMENT, "candidates", CANDIDATES },
	[ELEMENT_FEEDBACK - 1] = { ELEMENT, "promptFeedback", FEEDBACK },
	[ELEMENT_ERROR - 1] = { ELEMENT, "error", ERROR },
	// of live sessions, which have other names for some
	[RESPONSE_TOKENS - 1] = { USAGE, "responseTokenCount", CANDIDATE_TOKENS },
	[RESPONSE_DETAILS - 1] = { USAGE, "responseTokensDetails", OUTPUT_DETAILS },
	[SERVER_CONTENT - 1] = { SG_JSON_ROOT, "serverContent", 0 },
	[MODEL_TURN - 1] = { SERVER_CONTENT, "modelTurn", 0 },
	[TURN_COMPLETE - 1] = { SERVER_CONTENT, "turnComplete", 0 },
	[TOOL_CALL - 1] = { SG_JSON_ROOT, "toolCall", MODEL_TURN },
	[CANDIDATE_INDEX - 1] = { CANDIDATE, "index", 0 },
	[PART_THOUGHT - 1] = { PART, "thought", 0 },
	[CACHE_DETAILS - 1] = { USAGE, "cacheTokensDetails", 0 },
	[CACHE_ITEM - 1] = { CACHE_DETAILS, NULL, 0 },
	[CACHE_MODALITY - 1] = { CACHE_ITEM, "modality", ITEM_MODALITY },
	[CACHE_COUNT - 1] = { CACHE_ITEM, "tokenCount", ITEM_COUNT },
	[TOOL_DETAILS - 1] = { USAGE, "toolUsePromptTokensDetails", 0 },
	[TOOL_ITEM - 1] = { TOOL_DETAILS, NULL, PROMPT_ITEM },
	[CHUNKS - 1] = { GROUNDING, "groundingChunks", 0 },
	[CHUNK - 1] = { CHUNKS, NULL, 0 },
	[CHUNK_MAPS - 1] = { CHUNK, "maps", 0 },
	[CHUNK_WEB - 1] = { CHUNK, "web", 0 },
	[CHUNK_IMAGE - 1] = { CHUNK, "image", CHUNK_WEB },
	[EMBED_DETAILS - 1] = { USAGE, "promptTokenDetails", PROMPT_DETAILS },
	[IMAGE_QUERIES - 1] = { GROUNDING, "imageSearchQueries", QUERIES },
	[STORE_QUERIES - 1] = { GROUNDING, "retrievalQueries", 0 },
	[STORE_QUERY - 1] = { STORE_QUERIES, NULL, 0 },
};

static void on_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->end || value->type == SG_JSON_NULL)
		return;
	sg_response_begin_usage(reader, value);
	reader->tool_prompt = 0;
	reader->total_tokens = -1;
}

// Begin and end of {"modality", "tokenCount"}.
static void on_part(struct sg_response_reader *reader, const struct sg_json_value *value,
	int64_t *audio, int64_t *image)
{
	// Video has the price of pictures, and in embeddings that of sound.
	bool embeds = reader->api == &sg_api_gemini_embed;

	if (!value->end) {
		reader->part.kind = 0;
		reader->part.count = 0;
	} else if (reader->part.kind == 'A' || (reader->part.kind == 'V' && embeds)) {
		*audio = sg_money_add(*audio, reader->part.count);
	} else if (reader->part.kind == 'I' || reader->part.kind == 'V') {
		*image = sg_money_add(*image, reader->part.count);
	}
}

// A query counts once, however often it is told. Of those that are too long to be told apart, or
// too many, each counts.
static void on_query(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	unsigned kept = reader->query_count;
	uint64_t hash;

	if (value->type != SG_JSON_STRING || !value->length)
		return;
	hash = sg_hash(SG_HASH_START, value->text, value->length);
	for (unsigned i = 0; i < kept && value->length == value->decoded_length; i++)
		if (reader->queries[i] == hash)
			return;
	if (kept < SG_QUERIES_KEPT)
		reader->queries[reader->query_count++] = hash;
	reader->done_searches++;
}

static bool on_count(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t *counts[] = {
		[PROMPT] = &usage->input_tokens,
		[CACHED] = &usage->cache_read_tokens,
		[CANDIDATE_TOKENS] = &usage->output_tokens,
		[THOUGHTS] = &usage->reasoning_tokens,
		[TOOL_PROMPT] = &reader->tool_prompt,
		[TOTAL] = &reader->total_tokens,
	};

	if (value->node == ITEM_COUNT) {
		sg_response_count(reader, value, &reader->part.count);
		return true;
	}
	if (value->node < PROMPT || value->node > TOTAL)
		return false;
	sg_response_count(reader, value, counts[value->node]);
	return true;
}

static void mark_candidate(struct sg_stream_mark *mark, bool end)
{
	if (!end) {
		mark->index = 0;
		mark->stops = false;
		return;
	}
	mark->begun = true;
	if (mark->stops)
		sg_index_set_put(mark, &mark->finished, mark->index, true);
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (on_count(reader, value))
		return;
	switch ((enum response_node)value->node) {
	case MODEL:
		if (value->length)
			sg_value_copy(value, usage->model, sizeof(usage->model));
		break;
	case USAGE:
		on_usage(reader, value);
		break;
	case TRAFFIC:
	case SERVICE_TIER:
		if (value->type == SG_JSON_STRING)
			sg_gemini_on_tier(usage, value->text);
		break;
	case PROMPT_ITEM:
		on_part(reader, value, &usage->audio_input_tokens, &usage->image_input_tokens);
		break;
	case CACHE_ITEM:
		on_part(reader, value, &usage->audio_cache_read_tokens,
			&usage->image_cache_read_tokens);
		break;
	case OUTPUT_ITEM:
		on_part(reader, value, &usage->audio_output_tokens, &usage->image_output_tokens);
		break;
	case ITEM_MODALITY:
		reader->part.kind = value->text[0];
		break;
	case CANDIDATE:
		reader->produced = true;
		if (reader->mark.kept)
			mark_candidate(&reader->mark, value->end);
		break;
	case CANDIDATE_INDEX:
		if (sg_json_count(value, &reader->mark.index) < 0)
			reader->mark.lost = true;
		break;
	case PART_THOUGHT:
		reader->hides_output = true;
		break;
	case FINISH_REASON:
		reader->mark.stops = value->type == SG_JSON_STRING;
		reader->finished_choices += value->type == SG_JSON_STRING;
		break;
	case BLOCK_REASON:
		reader->finished_choices += value->type == SG_JSON_STRING;
		break;
	case PART_TEXT:
		sg_response_text(reader, value);
		break;
	case QUERY:
		on_query(reader, value);
		break;
	case STORE_QUERY:
		reader->found_store = true;
		break;
	case CHUNK_WEB:
		reader->found_web = true;
		break;
	case CHUNK_MAPS:
		reader->found_place = true;
		break;
	case ERROR:
		reader->failed_early = true;
		break;
	case MODEL_TURN:
		reader->marks.has_answer = true;
		break;
	case TURN_COMPLETE:
		reader->marks.turn_complete = value->type == SG_JSON_TRUE;
		break;
	default:
		break;
	}
}

// The value of a member, or NULL. The key's word with a capital, which text seldom has, is looked
// for, and then what stands before it.
static const char *find_member(
	const char *at, const char *end, const char *before, const char *word)
{
	const char *start = at;
	size_t before_length = strlen(before), length = strlen(word);

	at = sg_find_word(at, end, word, length);
	if (!at || (size_t)(at - start) < before_length ||
		memcmp(at - before_length, before, before_length) != 0)
		return NULL;
	for (at += length; at < end && (*at == ' ' || *at == ':'); at++)
		;
	return at < end ? at : NULL;
}

// Looks at an event of a stream: is it one in mid-answer, of text and totals so far, which the next
// such event tells anew? What stays as it was said until it is said again (the tier), or adds up,
// is not in it. In a text that the model wrote the quotes are escaped, so it is not mistaken for a
// key.
static enum sg_event_weight weigh(const struct sg_sse_event *event)
{
	// Parts of finishReason, promptFeedback, error; of trafficType, serviceTier, and what has
	// other metadata.
	static const char *const others[] = { "hR", "tF", "\"error", "cT", "eT", "gM" };
	const char *end = event->data + event->data_length;
	const char *usage = find_member(event->data, end, "\"usage", "Metadata\"");
	const char *model = find_member(event->data, end, "\"model", "Version\"");

	if (!usage || *usage != '{' || !model || *model != '"')
		return SG_EVENT_COUNTS;
	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++)
		if (sg_find_word(event->data, end, others[i], strlen(others[i])))
			return SG_EVENT_COUNTS;
	return SG_EVENT_TOTALS;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!reader->usage_seen)
		return;
	if (usage->input_tokens >= 0)
		sg_gemini_count_output(reader);
	sg_gemini_split_parts(usage);
	sg_gemini_count_searches(reader);
	reader->final = reader->finished_choices > 0 &&
			(reader->complete || reader->finished_choices >= reader->facts->choices);
}

// Of media that no details tell of, the dearest kind counts.
static void finish_embed_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	finish_response(reader);
	if (reader->facts->context_window && !usage->audio_input_tokens &&
		!usage->image_input_tokens && usage->input_tokens > 0)
		usage->audio_input_tokens = usage->input_tokens;
}

static void finish_live_response(struct sg_response_reader *reader)
{
	finish_response(reader);
	reader->final = reader->usage_seen;
}

static void finish_embed_request(struct sg_request_reader *reader)
{
	reader->facts.max_output = 0;
	reader->facts.choices = 1;
	sg_request_set_inputs(&reader->facts, reader->documents ? reader->documents : 1);
}

#define REQUEST_PARTS                                                                              \
	.request_paths = sg_gemini_request_paths, .request_path_count = SG_GEMINI_REQUEST_PATHS,   \
	.on_request = sg_gemini_on_request
#define RESPONSE_PARTS SG_READS_BOTH(response_paths, on_response), .dialect = SG_DIALECT_GOOGLE

static const struct sg_limit_member limit = { .name = "maxOutputTokens",
	.object = "generationConfig" };

const struct sg_api sg_api_gemini_generate = {
	.name = "generate",
	REQUEST_PARTS,
	RESPONSE_PARTS,
	.finish_request = sg_gemini_finish_request,
	.on_header = sg_gemini_on_header,
	.limit = &limit,
	.weigh = weigh,
	.finish_response = finish_response,
	.end_stream = sg_gemini_end_stream,
};

// The answer may tell no usage at all: then the hold is charged.
const struct sg_api sg_api_gemini_embed = {
	.name = "embed",
	REQUEST_PARTS,
	RESPONSE_PARTS,
	.finish_request = finish_embed_request,
	.on_header = sg_gemini_on_header,
	.finish_response = finish_embed_response,
};

const struct sg_api sg_api_gemini_live = {
	.name = "live",
	RESPONSE_PARTS,
	.request_paths = sg_gemini_live_paths,
	.request_path_count = SG_GEMINI_LIVE_PATHS,
	.on_request = sg_gemini_live_on_request,
	.finish_response = finish_live_response,
	.live = &sg_gemini_live_ways,
};
