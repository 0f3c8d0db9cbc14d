// SPDX-License-Identifier: Apache-2.0
// Cohere's v2 chat, embed and rerank. Charged are billed_units, which leave out what Cohere adds to
// a prompt. Answers name no model.
#include <string.h>

#include "provider/api.h"

// A rerank is charged by searches: one for 100 documents, where a document counts once for each 500
// tokens.
#define DOCUMENTS_A_SEARCH 100
#define TOKENS_A_DOCUMENT  500

enum request_node {
	MODEL = 1,
	MAX_TOKENS,
	STREAM,
	MESSAGES,
	MESSAGE,
	CONTENT,
	PART,
	PART_TYPE,
	TOOLS,
	TOOL,
	DOCUMENTS,
	DOCUMENT,
	IMAGES,
	INPUTS,
	INPUT,
	INPUT_CONTENT,
	// the first version's
	HISTORY,
	HISTORY_ITEM,
	CONNECTORS,
	CONNECTOR,
	GENERATIONS,
	CONVERSATION,
	IMAGE,
	TEXTS,
	TEXT,
	QUERY,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[MAX_TOKENS - 1] = { SG_JSON_ROOT, "max_tokens", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[MESSAGES - 1] = { SG_JSON_ROOT, "messages", 0 },
	[MESSAGE - 1] = { MESSAGES, NULL, 0 },
	[CONTENT - 1] = { MESSAGE, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_TYPE - 1] = { PART, "type", 0 },
	[TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { TOOLS, NULL, 0 },
	[DOCUMENTS - 1] = { SG_JSON_ROOT, "documents", 0 },
	[DOCUMENT - 1] = { DOCUMENTS, NULL, 0 },
	[IMAGES - 1] = { SG_JSON_ROOT, "images", 0 },
	[INPUTS - 1] = { SG_JSON_ROOT, "inputs", 0 },
	[INPUT - 1] = { INPUTS, NULL, 0 },
	[INPUT_CONTENT - 1] = { INPUT, "content", CONTENT },
	[HISTORY - 1] = { SG_JSON_ROOT, "chat_history", 0 },
	[HISTORY_ITEM - 1] = { HISTORY, NULL, MESSAGE },
	[CONNECTORS - 1] = { SG_JSON_ROOT, "connectors", 0 },
	[CONNECTOR - 1] = { CONNECTORS, NULL, 0 },
	[GENERATIONS - 1] = { SG_JSON_ROOT, "num_generations", 0 },
	[CONVERSATION - 1] = { SG_JSON_ROOT, "conversation_id", 0 },
	[IMAGE - 1] = { IMAGES, NULL, 0 },
	[TEXTS - 1] = { SG_JSON_ROOT, "texts", 0 },
	[TEXT - 1] = { TEXTS, NULL, DOCUMENT },
	[QUERY - 1] = { SG_JSON_ROOT, "query", 0 },
};

static void on_part_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char *const texts[] = { "text", "document", "tool_result", "thinking", NULL };

	if (value->type != SG_JSON_STRING || sg_is_one_of(value->text, texts))
		return;
	facts->images++;
	sg_request_take_window(facts, "image_part");
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case MAX_TOKENS:
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case PART_TYPE:
		on_part_type(facts, value);
		break;
	case TOOL:
		facts->tools = true;
		break;
	case IMAGE:
		facts->units.images += !value->end;
		reader->documents += !value->end;
		break;
	case DOCUMENT:
	case INPUT:
		reader->documents += !value->end;
		break;
	case QUERY:
		if (value->type == SG_JSON_STRING)
			reader->query_bytes = (int64_t)value->decoded_length;
		break;
	case IMAGES:
		if (given)
			sg_request_take_window(facts, "image_part");
		break;
	case CONNECTOR:
		// Searches at prices that the request does not tell.
		facts->unbounded = true;
		sg_request_take_window(facts, "connectors");
		break;
	case CONVERSATION:
		if (given) // the provider keeps what was said before
			sg_request_take_window(facts, "conversation");
		break;
	case GENERATIONS:
		sg_request_choices(facts, value);
		break;
	default:
		break;
	}
}

static void finish_embed_request(struct sg_request_reader *reader)
{
	reader->facts.max_output = 0;
	sg_request_set_inputs(&reader->facts, reader->documents);
}

static void finish_rerank_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;
	int64_t parts;

	sg_request_set_pairs(reader);
	// The query counts with each document.
	parts = reader->documents + (facts->body_bytes + facts->repeated_bytes) / TOKENS_A_DOCUMENT;
	facts->max_output = 0;
	facts->search_units = 1 + parts / DOCUMENTS_A_SEARCH;
}

// Each input is charged for.
static void finish_classify_request(struct sg_request_reader *reader)
{
	reader->facts.max_output = 0;
	reader->facts.search_units = reader->documents;
	sg_request_set_inputs(&reader->facts, reader->documents);
}

enum response_node {
	R_USAGE = 1,
	R_BILLED,
	R_INPUT,
	R_OUTPUT,
	R_SEARCHES,
	R_IMAGE_TOKENS,
	R_CACHED,
	R_META,
	R_DELTA,
	R_DELTA_USAGE,
	R_TYPE,
	R_MESSAGE,
	R_CONTENT,
	R_PART,
	R_TEXT,
	R_DELTA_MESSAGE,
	R_DELTA_CONTENT,
	R_DELTA_TEXT,
	R_FINISH_REASON,
	R_ID,
	R_INDEX,
	R_CLASSIFICATIONS,
	R_EVENT_TYPE,
	R_RESPONSE,
	R_RESPONSE_META,
	R_WHOLE_TEXT,
	R_IMAGES,
};

static const struct sg_json_path response_paths[] = {
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_BILLED - 1] = { R_USAGE, "billed_units", 0 },
	[R_INPUT - 1] = { R_BILLED, "input_tokens", 0 },
	[R_OUTPUT - 1] = { R_BILLED, "output_tokens", 0 },
	[R_SEARCHES - 1] = { R_BILLED, "search_units", 0 },
	[R_IMAGE_TOKENS - 1] = { R_BILLED, "image_tokens", 0 },
	[R_CACHED - 1] = { R_USAGE, "cached_tokens", 0 },
	[R_META - 1] = { SG_JSON_ROOT, "meta", R_USAGE },
	[R_DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },
	[R_DELTA_USAGE - 1] = { R_DELTA, "usage", R_USAGE },
	[R_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[R_MESSAGE - 1] = { SG_JSON_ROOT, "message", 0 },
	[R_CONTENT - 1] = { R_MESSAGE, "content", 0 },
	[R_PART - 1] = { R_CONTENT, NULL, 0 },
	[R_TEXT - 1] = { R_PART, "text", 0 },
	[R_DELTA_MESSAGE - 1] = { R_DELTA, "message", 0 },
	[R_DELTA_CONTENT - 1] = { R_DELTA_MESSAGE, "content", 0 },
	[R_DELTA_TEXT - 1] = { R_DELTA_CONTENT, "text", R_TEXT },
	[R_FINISH_REASON - 1] = { R_DELTA, "finish_reason", 0 },
	[R_ID - 1] = { SG_JSON_ROOT, "id", 0 },
	[R_INDEX - 1] = { SG_JSON_ROOT, "index", 0 },
	[R_CLASSIFICATIONS - 1] = { R_BILLED, "classifications", R_SEARCHES },
	[R_EVENT_TYPE - 1] = { SG_JSON_ROOT, "event_type", R_TYPE },
	[R_RESPONSE - 1] = { SG_JSON_ROOT, "response", 0 },
	[R_RESPONSE_META - 1] = { R_RESPONSE, "meta", R_USAGE },
	[R_WHOLE_TEXT - 1] = { SG_JSON_ROOT, "text", R_TEXT },
	[R_IMAGES - 1] = { R_BILLED, "images", 0 },
};

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_BILLED:
		if (value->end)
			break;
		sg_usage_reset(usage);
		reader->outcome.bad_evidence = value->type != SG_JSON_OBJECT;
		reader->usage_seen = reader->event_usage = value->type == SG_JSON_OBJECT;
		break;
	case R_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_SEARCHES:
		sg_response_count(reader, value, &usage->search_units);
		break;
	case R_IMAGE_TOKENS:
		sg_response_count(reader, value, &usage->image_input_tokens);
		break;
	case R_IMAGES:
		sg_response_count(reader, value, &usage->units.images);
		break;
	case R_TEXT:
		sg_response_text(reader, value);
		break;
	case R_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
		break;
	case R_ID:
		sg_value_copy(value, reader->mark.id, sizeof(reader->mark.id));
		break;
	case R_INDEX:
		if (sg_json_count(value, &reader->mark.index) < 0)
			reader->mark.lost = true;
		break;
	default:
		break;
	}
}

static void mark_blocks(struct sg_stream_mark *mark, const char *type)
{
	bool call = strncmp(type, "tool-call-", 10) == 0;

	mark->begun = true;
	if (strcmp(type, "content-start") == 0 || strcmp(type, "tool-call-start") == 0) {
		sg_index_set_put(mark, &mark->open, mark->index, true);
		sg_index_set_put(mark, &mark->calls, mark->index, call);
	} else if (strcmp(type, "content-end") == 0 || strcmp(type, "tool-call-end") == 0) {
		sg_index_set_put(mark, &mark->open, mark->index, false);
	}
}

static void end_event(struct sg_response_reader *reader)
{
	reader->produced = true;
	if (reader->mark.kept)
		mark_blocks(&reader->mark, reader->event_type);
	if (strcmp(reader->event_type, "message-end") == 0 ||
		strcmp(reader->event_type, "stream-end") == 0)
		reader->final = reader->event_usage;
}

static enum sg_event_weight weigh(const struct sg_sse_event *event)
{
	return sg_event_name_ends(event, "-delta") ? SG_EVENT_FILLER : SG_EVENT_COUNTS;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!reader->usage_seen)
		return;
	// What an embedding or a rerank has none of is left out.
	if (usage->input_tokens < 0 &&
		(usage->search_units || usage->image_input_tokens || usage->units.images))
		usage->input_tokens = 0;
	if (usage->output_tokens < 0 && reader->facts->max_output == 0)
		usage->output_tokens = 0;
	if (usage->image_input_tokens)
		usage->input_tokens += usage->image_input_tokens;
}

#define COHERE_PARTS                                                                               \
	.request_paths = request_paths, .request_path_count = SG_ARRAY_SIZE(request_paths),        \
	.on_request = on_request, SG_READS_BOTH(response_paths, on_response),                      \
	.end_event = end_event, .finish_response = finish_response, .weigh = weigh,                \
	.end_mark = "[DONE]", .dialect = SG_DIALECT_COHERE

static const struct sg_limit_member limit = { .name = "max_tokens" };

const struct sg_api sg_api_cohere_chat = {
	.name = "cohere_chat",
	COHERE_PARTS,
	.limit = &limit,
	.end_stream = sg_cohere_end_stream,
};

const struct sg_api sg_api_cohere_v1 = { .name = "cohere_v1", COHERE_PARTS };

const struct sg_api sg_api_cohere_classify = {
	.name = "cohere_classify",
	COHERE_PARTS,
	.finish_request = finish_classify_request,
};

const struct sg_api sg_api_cohere_embed = {
	.name = "cohere_embed",
	COHERE_PARTS,
	.finish_request = finish_embed_request,
};

const struct sg_api sg_api_cohere_rerank = {
	.name = "cohere_rerank",
	COHERE_PARTS,
	.finish_request = finish_rerank_request,
};
