// SPDX-License-Identifier: Apache-2.0
// OpenAI images: generations (JSON), edits and variations (forms). What tells tokens is billed by
// these, all else by the picture; which of both a model has is in the price table. Fields: the
// provider's API reference, POST /v1/images/*.
#include <stdio.h>
#include <string.h>

#include "provider/api.h"

#define DEFAULT_MODEL "dall-e-2" // when the request names none
#define MAX_IMAGES    10

enum request_node {
	MODEL = 1,
	N,
	SIZE,
	QUALITY,
	STREAM,
	PARTIAL_IMAGES,
	IMAGE,
	IMAGES,
	MASK,
};

static const struct sg_json_path request_paths[] = {
	[MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	[N - 1] = { SG_JSON_ROOT, "n", 0 },
	[SIZE - 1] = { SG_JSON_ROOT, "size", 0 },
	[QUALITY - 1] = { SG_JSON_ROOT, "quality", 0 },
	[STREAM - 1] = { SG_JSON_ROOT, "stream", 0 },
	[PARTIAL_IMAGES - 1] = { SG_JSON_ROOT, "partial_images", 0 },
	[IMAGE - 1] = { SG_JSON_ROOT, "image", 0 },
	[IMAGES - 1] = { SG_JSON_ROOT, "images", IMAGE },
	[MASK - 1] = { SG_JSON_ROOT, "mask", IMAGE },
};

// Of two that differ neither is known: the dearest picture counts.
static void take_word(const struct sg_json_value *value, char *word, size_t size)
{
	if (word[0] && strcmp(word, value->text) != 0)
		snprintf(word, size, "unknown");
	else
		sg_value_copy(value, word, size);
}

static void on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case N:
		sg_request_choices(facts, value);
		break;
	case SIZE:
		take_word(value, reader->size, sizeof(reader->size));
		break;
	case QUALITY:
		take_word(value, reader->quality, sizeof(reader->quality));
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case PARTIAL_IMAGES:
		sg_request_multiplier(value, &reader->partial_images);
		break;
	case IMAGE:
		if (value->type != SG_JSON_NULL && !value->end) {
			facts->images++;
			sg_request_take_window(facts, "image_file");
		}
		break;
	default:
		break;
	}
}

static bool tells_tokens(const char *model)
{
	return strstr(model, "gpt-") != NULL || strstr(model, "gpt_") != NULL;
}

// Of a model whose name says nothing (a deployment's) the words tell which family's they are.
static bool is_of_tokens(const struct sg_request_reader *reader)
{
	static const char *const words[] = { "low", "medium", "high", "auto", NULL };

	return tells_tokens(reader->facts.model) || sg_is_one_of(reader->quality, words);
}

static void finish_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;
	bool tokens;

	if (!facts->model[0])
		strcpy(facts->model, DEFAULT_MODEL);
	tokens = is_of_tokens(reader);
	snprintf(facts->kind, sizeof(facts->kind), "%s/%s",
		reader->quality[0] ? reader->quality
		: tokens	   ? "auto"
				   : "standard",
		reader->size[0] ? reader->size
		: tokens	? "auto"
				: "1024x1024");
	facts->units.images = facts->choices;
	facts->partial_images =
		reader->partial_images < MAX_IMAGES ? reader->partial_images : MAX_IMAGES;
}

enum response_node {
	R_USAGE = 1,
	R_INPUT,
	R_OUTPUT,
	R_INPUT_DETAILS,
	R_IMAGE_INPUT,
	R_CACHED,
	R_OUTPUT_DETAILS,
	R_TEXT_OUTPUT,
	R_DATA,
	R_ITEM,
	R_TYPE,
	R_ERROR,
	R_COST,
	R_COST_TICKS,
	R_MODEL,
	R_PROMPT_TOKENS,
	R_COMPLETION_TOKENS,
	R_COST_DETAILS,
	R_COST_UPSTREAM,
	R_OWN_KEY,
};

static const struct sg_json_path response_paths[] = {
	[R_USAGE - 1] = { SG_JSON_ROOT, "usage", 0 },
	[R_INPUT - 1] = { R_USAGE, "input_tokens", 0 },
	[R_OUTPUT - 1] = { R_USAGE, "output_tokens", 0 },
	[R_INPUT_DETAILS - 1] = { R_USAGE, "input_tokens_details", 0 },
	[R_IMAGE_INPUT - 1] = { R_INPUT_DETAILS, "image_tokens", 0 },
	[R_CACHED - 1] = { R_INPUT_DETAILS, "cached_tokens", 0 },
	[R_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details", 0 },
	[R_TEXT_OUTPUT - 1] = { R_OUTPUT_DETAILS, "text_tokens", 0 },
	[R_DATA - 1] = { SG_JSON_ROOT, "data", 0 },
	[R_ITEM - 1] = { R_DATA, NULL, 0 },
	[R_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },
	[R_ERROR - 1] = { SG_JSON_ROOT, "error", 0 },
	[R_COST - 1] = { R_USAGE, "cost", 0 },
	[R_COST_TICKS - 1] = { R_USAGE, "cost_in_usd_ticks", 0 },
	[R_MODEL - 1] = { SG_JSON_ROOT, "model", 0 },
	// OpenRouter's
	[R_PROMPT_TOKENS - 1] = { R_USAGE, "prompt_tokens", R_INPUT },
	[R_COMPLETION_TOKENS - 1] = { R_USAGE, "completion_tokens", R_OUTPUT },
	[R_COST_DETAILS - 1] = { R_USAGE, "cost_details", 0 },
	[R_COST_UPSTREAM - 1] = { R_COST_DETAILS, "upstream_inference_cost", 0 },
	[R_OWN_KEY - 1] = { R_USAGE, "is_byok", 0 },
};

static void on_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t images = usage->units.images;

	if (value->end || value->type == SG_JSON_NULL)
		return;
	sg_response_begin_usage(reader, value);
	usage->units.images = images;
	reader->text_output = 0;
}

static void on_response(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_usage *usage = &reader->outcome.usage;

	switch ((enum response_node)value->node) {
	case R_USAGE:
		on_usage(reader, value);
		break;
	case R_INPUT:
		sg_response_count(reader, value, &usage->input_tokens);
		break;
	case R_OUTPUT:
		sg_response_count(reader, value, &usage->output_tokens);
		break;
	case R_IMAGE_INPUT:
		sg_response_count(reader, value, &usage->image_input_tokens);
		break;
	case R_CACHED:
		sg_response_count(reader, value, &usage->cache_read_tokens);
		break;
	case R_TEXT_OUTPUT:
		sg_response_count(reader, value, &reader->text_output);
		break;
	case R_DATA:
		if (!value->end)
			usage->units.images = 0;
		break;
	case R_ITEM:
		usage->units.images += !value->end;
		reader->produced = true;
		break;
	case R_TYPE:
		sg_value_copy(value, reader->event_type, sizeof(reader->event_type));
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
	case R_COST_TICKS:
		sg_response_stated_price(reader, value, SG_TRAIT_COST_TICKS);
		break;
	case R_COST_UPSTREAM:
		sg_response_price(reader, value, 0, &reader->upstream_picousd);
		break;
	case R_OWN_KEY:
		reader->own_key = value->type == SG_JSON_TRUE;
		break;
	default:
		break;
	}
}

// Pictures that were read are not told apart in what was cached: the dearer class counts.
static void split_usage(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	sg_response_take_out_cached(reader);
	if (usage->output_tokens >= 0 && reader->text_output <= usage->output_tokens)
		usage->image_output_tokens = usage->output_tokens - reader->text_output;
	else if (usage->output_tokens >= 0)
		reader->outcome.bad_evidence = true;
}

// Each picture of a stream comes with the usage of its own: the sum is kept in reader->line.
static void add_picture(struct sg_response_reader *reader)
{
	split_usage(reader);
	if (!reader->final) {
		sg_usage_reset(&reader->line);
		reader->line.input_tokens = reader->line.output_tokens = 0;
	}
	sg_usage_add(&reader->line, &reader->outcome.usage);
	reader->final = true;
}

static void end_event(struct sg_response_reader *reader)
{
	const char *type = reader->event_type;
	size_t length = strlen(type);
	bool completed = length > 10 && strcmp(type + length - 10, ".completed") == 0;

	reader->produced = reader->produced || strstr(type, "partial_image") || completed;
	reader->outcome.usage.units.images += completed;
	if (completed && reader->event_usage)
		add_picture(reader);
}

static void take_sum(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	const struct sg_usage *sum = &reader->line;

	usage->input_tokens = sum->input_tokens;
	usage->output_tokens = sum->output_tokens;
	usage->cache_read_tokens = sum->cache_read_tokens;
	usage->image_input_tokens = sum->image_input_tokens;
	usage->image_output_tokens = sum->image_output_tokens;
	// Cut, and there may have been more to come.
	reader->final = reader->complete || usage->units.images >= reader->facts->choices;
}

static void finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	snprintf(usage->kind, sizeof(usage->kind), "%s", reader->facts->kind);
	sg_response_add_upstream_price(reader);
	if (!reader->usage_seen && reader->complete && reader->produced && !reader->is_stream &&
		!tells_tokens(reader->facts->model)) {
		sg_response_settle_by_units(reader);
		return;
	}
	if (reader->final)
		take_sum(reader);
	else
		split_usage(reader);
}

const struct sg_api sg_api_openai_images = {
	.name = "images",
	.takes_form = true,
	.request_paths = request_paths,
	.request_path_count = SG_ARRAY_SIZE(request_paths),
	.on_request = on_request,
	.finish_request = finish_request,
	SG_READS_BOTH(response_paths, on_response),
	.end_event = end_event,
	.finish_response = finish_response,
};
