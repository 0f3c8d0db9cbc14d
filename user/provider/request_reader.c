// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "provider/api.h"
#include "provider/json_index.h"

// OpenAI's responses take no limit below it, and what is shorter answers nothing.
#define LEAST_LIMIT 16

static void on_value(void *context, const struct sg_json_value *value)
{
	struct sg_request_reader *reader = context;

	if (reader->limit_object.seen && value->node != SG_JSON_ROOT &&
		reader->api->request_paths[value->node - 1].parent == reader->limit_object_node)
		reader->limit_object.has_members = true;
	if (value->node == SG_JSON_ROOT) {
		reader->facts.is_object = value->type == SG_JSON_OBJECT;
		if (value->type == SG_JSON_OBJECT && !value->end)
			reader->object_offset = value->offset;
		return;
	}
	reader->api->on_request(reader, value);
}

static void on_file_data(void *context, const char *bytes, size_t length)
{
	struct sg_request_reader *reader = context;

	sg_sound_feed(&reader->sound, bytes, length);
}

static void end_file(struct sg_request_reader *reader)
{
	int64_t longest = sg_sound_longest_ms(&reader->sound);

	if (longest < 0)
		reader->sound_has_no_bound = true;
	else
		reader->sound_ms = sg_money_add(reader->sound_ms, longest);
	sg_sound_init(&reader->sound);
}

// A field of a form stands for the member of that name; a file is told as an object.
static void on_part(void *context, const struct sg_form_part *part)
{
	struct sg_request_reader *reader = context;
	struct sg_json_value value = { .type = SG_JSON_STRING,
		.text = part->value,
		.length = part->length,
		.decoded_length = part->bytes };
	size_t length = strcspn(part->name, "[");

	if (part->is_file) {
		value.type = SG_JSON_OBJECT;
		end_file(reader);
	} else if (strcmp(part->value, "true") == 0) {
		value.type = SG_JSON_TRUE;
	}
	value.node = sg_json_find_member(reader->scan.index, SG_JSON_ROOT, part->name, length);
	if (value.node == SG_JSON_UNWANTED) {
		reader->scan.other_case = sg_json_find_in_other_case(
			reader->scan.index, SG_JSON_ROOT, part->name, length);
		reader->form_failed = reader->form_failed || reader->scan.other_case;
		return;
	}
	// Of a field that is there twice some readers take the first, some the last.
	if (!part->is_file && reader->form_fields & UINT64_C(1) << value.node)
		reader->form_failed = reader->form_twice = true;
	reader->form_fields |= part->is_file ? 0 : UINT64_C(1) << value.node;
	reader->api->on_request(reader, &value);
}

void sg_request_reader_init(struct sg_request_reader *reader, const struct sg_route *route)
{
	const struct sg_api *api = route->api;

	memset(reader, 0, sizeof(*reader));
	reader->api = api;
	reader->facts.max_output = reader->max_primary = reader->max_fallback = -1;
	reader->facts.choices = reader->facts.calls = 1;
	reader->facts.traits = route->traits;
	reader->facts.unbounded = route->by_amount;
	if (route->by_amount)
		sg_request_add_reason(&reader->facts, "stored_settings");
	memcpy(reader->path_model, route->model, sizeof(reader->path_model));
	sg_json_scan_init(
		&reader->scan, api->request_paths, api->request_path_count, on_value, reader);
	reader->scan.counts_characters = api->counts_characters;
	reader->scan.needs_exact_case = true;
}

void sg_request_facts_of_earlier(
	const struct sg_provider *provider, const char *model, struct sg_request_facts *ret_facts)
{
	*ret_facts = (struct sg_request_facts){ .is_object = true,
		.max_output = -1,
		.choices = 1,
		.calls = 1,
		.background = true,
		.cache_write_1h = true, // the dearer, where an answer does not tell which
		.traits = sg_provider_traits(provider) };
	snprintf(ret_facts->model, sizeof(ret_facts->model), "%s", model);
}

int sg_request_reader_new(const struct sg_route *route, struct sg_str content_type,
	struct sg_request_reader **ret_reader)
{
	struct sg_request_reader *reader = malloc(sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	sg_request_reader_init(reader, route);
	reader->is_form = route->api->takes_form && reader->scan.index && sg_form_is(content_type);
	if (reader->is_form) {
		reader->form_failed =
			sg_form_init(&reader->form, content_type, on_part, reader) < 0;
		reader->form.on_file_data = on_file_data;
	}
	*ret_reader = reader;
	return 0;
}

struct sg_request_reader *sg_request_reader_free(struct sg_request_reader *reader)
{
	free(reader);
	return NULL;
}

void sg_request_reader_header(
	struct sg_request_reader *reader, struct sg_str name, struct sg_str value)
{
	if (reader->api->on_request_header)
		reader->api->on_request_header(reader, name, value);
	if ((reader->facts.traits & SG_TRAIT_TIER_BY_HEADER) &&
		sg_header_is(name, "x-vertex-ai-llm-shared-request-type") &&
		sg_header_is(value, "priority"))
		reader->facts.priority_by_header = true;
}

int sg_request_reader_feed(struct sg_request_reader *reader, const char *bytes, size_t length)
{
	reader->facts.body_bytes += (int64_t)length;
	if (reader->is_form)
		sg_form_feed(&reader->form, bytes, length);
	else if (!reader->api->any_body)
		sg_json_scan_feed(&reader->scan, bytes, length);
	return 0;
}

// Whether the body is one that could be understood, to its end.
static bool is_whole(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	if (reader->api->any_body)
		return true;
	if (reader->is_form ? !reader->form_failed && sg_form_finish(&reader->form) == 0
			    : sg_json_scan_finish(&reader->scan) == 0 && facts->is_object)
		return true;
	if (reader->scan.other_case) {
		snprintf(facts->malformed, sizeof(facts->malformed),
			"a member's name is \"%s\" but for its case: write it so",
			reader->scan.other_case);
		return false;
	}
	if (reader->is_form) {
		snprintf(facts->malformed, sizeof(facts->malformed), "%s",
			reader->form_twice ? "a field of the form is there twice"
					   : "the body is not the form that its Content-Type says");
		return false;
	}
	snprintf(facts->malformed, sizeof(facts->malformed),
		"the body is not one JSON object (byte %llu)",
		(unsigned long long)reader->scan.offset);
	return false;
}

void sg_request_add_reason(struct sg_request_facts *facts, const char *word)
{
	size_t used = strlen(facts->reasons);

	if (!strstr(facts->reasons, word))
		snprintf(facts->reasons + used, sizeof(facts->reasons) - used, "%s%s",
			used ? "," : "", word);
}

bool sg_is_plain_tier(const char *tier)
{
	// Of all providers: the plain price, less, or paid for beforehand.
	static const char *const plain[] = { "", "auto", "default", "standard", "standard_only",
		"on_demand", "flex", "batch", "reserved", "scale", NULL };

	return sg_is_one_of(tier, plain);
}

bool sg_request_asks_dearer_tier(const struct sg_request_facts *facts)
{
	return facts->priority_by_header || !sg_is_plain_tier(facts->service_tier);
}

void sg_request_set_model(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	char before[SG_MODEL_BYTES];

	memcpy(before, facts->model, sizeof(before));
	facts->model[0] = 0;
	if (value->type == SG_JSON_STRING && value->length == value->decoded_length &&
		value->length < sizeof(facts->model) && !memchr(value->text, 0, value->length))
		sg_value_copy(value, facts->model, sizeof(facts->model));
	if (!before[0] || strcmp(before, facts->model) == 0)
		return;
	if (facts->other_model[0]) {
		facts->unbounded = true;
		sg_request_add_reason(facts, "models_differ");
	}
	memcpy(facts->other_model, before, sizeof(before));
}

void sg_request_take_tier(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	bool is_text = value->type == SG_JSON_STRING;

	// What may be dearer stays, and so does what may become it.
	if (value->type == SG_JSON_NULL || !sg_is_plain_tier(facts->service_tier) ||
		(strcmp(facts->service_tier, "auto") == 0 && is_text &&
			sg_is_plain_tier(value->text)))
		return;
	if (is_text)
		sg_value_copy(value, facts->service_tier, sizeof(facts->service_tier));
	else
		strcpy(facts->service_tier, "unknown");
}

void sg_request_choices(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	sg_request_multiplier(value, &facts->choices);
}

void sg_request_take_window(struct sg_request_facts *facts, const char *word)
{
	facts->context_window = true;
	facts->images_only = false;
	sg_request_add_reason(facts, word);
}

void sg_request_take_hosted(struct sg_request_facts *facts, const char *word)
{
	facts->unbounded = true;
	sg_request_take_window(facts, word);
}

void sg_request_set_inputs(struct sg_request_facts *facts, int64_t count)
{
	facts->inputs = count > 0 ? count : facts->context_window ? 1 : SG_COUNT_MAX;
}

void sg_request_set_pairs(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	if (__builtin_mul_overflow(reader->query_bytes, reader->documents, &facts->repeated_bytes))
		facts->repeated_bytes = SG_COUNT_MAX;
	if (reader->query_bytes)
		facts->messages += reader->documents;
	sg_request_set_inputs(facts, reader->documents);
}

void sg_request_take_image(struct sg_request_facts *facts, const char *word)
{
	facts->images++;
	facts->images_only = facts->images_only || !facts->context_window;
	facts->context_window = true;
	sg_request_add_reason(facts, word);
}

void sg_request_end_part(struct sg_request_reader *reader, const char *image, const char *media)
{
	if (reader->part.is_image)
		sg_request_take_image(&reader->facts, image);
	if (reader->part.is_media && !reader->part.is_taken)
		sg_request_take_window(&reader->facts, media);
	memset(&reader->part, 0, sizeof(reader->part));
}

void sg_request_inline_image(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	if (value->type == SG_JSON_STRING)
		facts->image_bytes += (int64_t)value->decoded_length;
}

// Each turn may have one, which reads up to the context window and writes up to the model's limit,
// whatever limit the request has for its own output.
void sg_request_bound_compaction(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	if (!reader->compacts)
		return;
	facts->max_output = -1;
	facts->tool_turns += 1 + facts->tool_turns;
	sg_request_take_window(facts, "compaction");
}

bool sg_is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

void sg_value_copy(const struct sg_json_value *value, char *out, size_t size)
{
	size_t length = value->length < size - 1 ? value->length : size - 1;

	if (value->type != SG_JSON_STRING)
		return;
	memcpy(out, value->text, length);
	out[length] = 0;
}

// Asks for usage where the agent did not, with the least change: a new member behind the opening
// brace, a new value of stream_options, or of its include_usage.
static void ask_for_usage(const struct sg_request_reader *reader, struct sg_request_edits *edits)
{
	uint64_t offset = reader->options_offset + 1, remove = 0;
	const char *text =
		reader->options_empty ? "\"include_usage\":true" : "\"include_usage\":true,";

	if (!reader->options_seen) {
		offset = reader->object_offset + 1;
		text = "\"stream_options\":{\"include_usage\":true},";
	} else if (!reader->options_are_object) {
		offset = reader->options_offset;
		remove = reader->options_end - reader->options_offset;
		text = "{\"include_usage\":true}";
	} else if (reader->include_seen) {
		offset = reader->include_offset;
		remove = reader->include_end - reader->include_offset;
		text = "true";
	}
	// The list is empty, and has room.
	(void)!sg_request_edits_add(edits, offset, remove, text);
}

// ---- The end ----

void sg_request_reader_finish(struct sg_request_reader *reader, struct sg_request_facts *ret_facts,
	struct sg_request_edits *ret_edits)
{
	struct sg_request_facts *facts = &reader->facts;

	memset(ret_edits, 0, sizeof(*ret_edits));
	facts->is_object = is_whole(reader);
	// What the path names is what answers, whatever the body says.
	if (reader->path_model[0])
		memcpy(facts->model, reader->path_model, sizeof(facts->model));
	// Where a body has both names, which one counts is the provider's: the larger bounds.
	facts->max_output = reader->max_primary > reader->max_fallback ? reader->max_primary
								       : reader->max_fallback;
	// Of two objects the one that limits nothing may count.
	if (reader->limit_object.seen > 1 && reader->unlimited_object)
		facts->max_output = -1;
	if (reader->api->finish_request)
		reader->api->finish_request(reader);
	if (sg_request_asks_dearer_tier(facts))
		sg_request_add_reason(facts, "service_tier");
	facts->can_limit = facts->is_object && sg_request_can_limit(reader);
	if (facts->least_limit < LEAST_LIMIT)
		facts->least_limit = LEAST_LIMIT;
	if (reader->api->tells_usage_when_asked && (facts->traits & SG_TRAIT_ASK_USAGE) &&
		facts->stream)
		facts->include_usage = reader->include_true ? SG_USAGE_ASKED : SG_USAGE_TO_ADD;
	if (facts->include_usage == SG_USAGE_TO_ADD)
		ask_for_usage(reader, ret_edits);
	*ret_facts = *facts;
}
