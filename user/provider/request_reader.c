// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/api.h"

static void on_value(void *context, const struct sg_json_value *value)
{
	struct sg_request_reader *reader = context;

	if (value->node == SG_JSON_ROOT) {
		reader->facts.is_object = value->type == SG_JSON_OBJECT;
		if (value->type == SG_JSON_OBJECT && !value->end)
			reader->object_offset = value->offset;
		return;
	}
	reader->api->on_request(reader, value);
}

int sg_request_reader_new(const struct sg_route *route, struct sg_request_reader **ret_reader)
{
	const struct sg_api *api = route->api;
	struct sg_request_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return -ENOMEM;
	reader->api = api;
	reader->facts.max_output = reader->max_primary = reader->max_fallback = -1;
	reader->facts.choices = 1;
	reader->facts.traits = route->traits;
	memcpy(reader->path_model, route->model, sizeof(reader->path_model));
	sg_json_scan_init(
		&reader->scan, api->request_paths, api->request_path_count, on_value, reader);
	*ret_reader = reader;
	return 0;
}

struct sg_request_reader *sg_request_reader_free(struct sg_request_reader *reader)
{
	free(reader);
	return NULL;
}

int sg_request_reader_feed(struct sg_request_reader *reader, const char *bytes, size_t length)
{
	reader->facts.body_bytes += (int64_t)length;
	sg_json_scan_feed(&reader->scan, bytes, length);
	return 0;
}

void sg_request_add_reason(struct sg_request_facts *facts, const char *word)
{
	size_t used = strlen(facts->reasons);

	if (!strstr(facts->reasons, word))
		snprintf(facts->reasons + used, sizeof(facts->reasons) - used, "%s%s",
			used ? "," : "", word);
}

void sg_request_set_model(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	facts->model[0] = 0;
	if (value->type == SG_JSON_STRING && value->length == value->decoded_length &&
		value->length < sizeof(facts->model) && !memchr(value->text, 0, value->length))
		sg_value_copy(value, facts->model, sizeof(facts->model));
}

void sg_request_limit(const struct sg_json_value *value, int64_t absent, int64_t *ret_limit)
{
	if (sg_json_count(value, ret_limit) < 0)
		*ret_limit = absent;
}

void sg_request_take_window(struct sg_request_facts *facts, const char *word)
{
	facts->context_window = true;
	sg_request_add_reason(facts, word);
}

// Each turn may have one, which reads up to the context window and writes up to the model's limit,
// whatever limit the request has for its own output (providers.md, 5c).
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
static void make_edit(const struct sg_request_reader *reader, struct sg_request_edit *edit)
{
	const char *text;

	memset(edit, 0, sizeof(*edit));
	if (!reader->options_seen) {
		edit->offset = reader->object_offset + 1;
		text = "\"stream_options\":{\"include_usage\":true},";
	} else if (!reader->options_are_object) {
		edit->offset = reader->options_offset;
		edit->remove = reader->options_end - reader->options_offset;
		text = "{\"include_usage\":true}";
	} else if (reader->include_seen) {
		edit->offset = reader->include_offset;
		edit->remove = reader->include_end - reader->include_offset;
		text = "true";
	} else {
		edit->offset = reader->options_offset + 1;
		text = reader->options_empty ? "\"include_usage\":true" : "\"include_usage\":true,";
	}
	edit->text_length = strlen(text);
	memcpy(edit->text, text, edit->text_length);
}

void sg_request_reader_finish(struct sg_request_reader *reader, struct sg_request_facts *ret_facts,
	struct sg_request_edit *ret_edit)
{
	struct sg_request_facts *facts = &reader->facts;

	if (sg_json_scan_finish(&reader->scan) < 0 || !facts->is_object) {
		facts->is_object = false;
		snprintf(facts->malformed, sizeof(facts->malformed),
			"the body is not one JSON object (byte %llu)",
			(unsigned long long)reader->scan.offset);
	}
	// What the path names is what answers, whatever the body says.
	if (reader->path_model[0])
		memcpy(facts->model, reader->path_model, sizeof(facts->model));
	facts->max_output = reader->max_primary >= 0 ? reader->max_primary : reader->max_fallback;
	if (reader->api->finish_request)
		reader->api->finish_request(reader);
	if (reader->api->tells_usage_when_asked && (facts->traits & SG_TRAIT_ASK_USAGE) &&
		facts->stream)
		facts->include_usage = reader->include_true ? SG_USAGE_ASKED : SG_USAGE_TO_ADD;
	if (facts->include_usage == SG_USAGE_TO_ADD)
		make_edit(reader, ret_edit);
	*ret_facts = *facts;
}
