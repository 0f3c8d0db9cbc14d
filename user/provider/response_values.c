// SPDX-License-Identifier: Apache-2.0
// What the readers of answers share: how a member of usage becomes evidence, or is none.
#include <string.h>
#include <strings.h>

#include "base/money.h"
#include "provider/api.h"
#include "provider/text_tokens.h"

// cost_in_usd_ticks: 10^10 of them are a dollar.
#define TICK_DIGITS 10

#define MILLI_DIGITS 3

void sg_usage_reset(struct sg_usage *usage)
{
	usage->input_tokens = usage->output_tokens = -1;
	usage->cache_read_tokens = usage->cache_write_tokens = usage->cache_write_1h_tokens = 0;
	usage->reasoning_tokens = usage->audio_input_tokens = usage->audio_output_tokens = 0;
	usage->audio_cache_read_tokens = usage->image_cache_read_tokens = 0;
	usage->web_search_requests = usage->maps_requests = usage->file_search_requests = 0;
	usage->image_input_tokens = usage->image_output_tokens = usage->search_units = 0;
	usage->reasoning_apart_tokens = usage->citation_tokens = 0;
	usage->units = (struct sg_units){ 0 };
}

void sg_response_begin_usage(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	struct sg_outcome *outcome = &reader->outcome;

	sg_usage_reset(&outcome->usage);
	outcome->provider_picousd = -1;
	outcome->bad_evidence = value->type != SG_JSON_OBJECT && value->type != SG_JSON_NULL;
	reader->usage_seen = reader->event_usage = value->type == SG_JSON_OBJECT;
}

void sg_response_count(
	struct sg_response_reader *reader, const struct sg_json_value *value, int64_t *ret_count)
{
	if (value->type == SG_JSON_NULL)
		return;
	if (sg_json_count(value, ret_count) < 0)
		reader->outcome.bad_evidence = true;
}

void sg_response_begin_item(struct sg_response_reader *reader)
{
	reader->item_is_search = reader->item_is_no_query = false;
	reader->item_is_file_search = reader->item_is_picture = false;
}

bool sg_event_name_ends(const struct sg_sse_event *event, const char *end)
{
	size_t length = strlen(end);

	return event->name_length >= length &&
	       memcmp(event->name + event->name_length - length, end, length) == 0;
}

void sg_response_header_count(
	struct sg_response_reader *reader, struct sg_str value, int64_t *ret_count)
{
	struct sg_json_value text = { .type = SG_JSON_STRING,
		.text = value.data,
		.length = value.length,
		.decoded_length = value.length };

	sg_response_count(reader, &text, ret_count);
}

bool sg_header_is(struct sg_str name, const char *wanted)
{
	return name.length == strlen(wanted) && strncasecmp(name.data, wanted, name.length) == 0;
}

void sg_response_seconds(
	struct sg_response_reader *reader, const struct sg_json_value *value, int64_t *ret_ms)
{
	if (value->type == SG_JSON_NULL || value->type == SG_JSON_OBJECT)
		return;
	if (value->length != value->decoded_length ||
		sg_money_parse_nearest(value->text, value->length, MILLI_DIGITS, ret_ms) < 0 ||
		*ret_ms > SG_COUNT_MAX)
		reader->outcome.bad_evidence = true;
}

bool sg_response_is_filter_code(const struct sg_json_value *value)
{
	static const char *const codes[] = { "content_filter", "context_length_exceeded", NULL };

	return value->type == SG_JSON_STRING && sg_is_one_of(value->text, codes);
}

void sg_response_text(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->type != SG_JSON_STRING)
		return;
	reader->outcome.visible_output_bytes += (int64_t)value->decoded_length;
	sg_response_see(reader, (uint64_t)value->node, value->offset, value->end_offset);
}

void sg_response_see(
	struct sg_response_reader *reader, uint64_t source, uint64_t offset, uint64_t end_offset)
{
	if (reader->tokens)
		sg_text_tokens_add(
			reader->tokens, source, reader->event_data + offset, end_offset - offset);
}

void sg_response_take_out_cached(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t cached = usage->cache_read_tokens + usage->cache_write_tokens;

	if (usage->input_tokens < 0)
		return;
	if (cached > usage->input_tokens)
		reader->outcome.bad_evidence = true;
	else
		usage->input_tokens -= cached;
}

// An unknown count (-1) of either stays unknown.
static int64_t add_counts(int64_t a, int64_t b)
{
	return a < 0 || b < 0 ? -1 : sg_money_add(a, b);
}

void sg_usage_add(struct sg_usage *sum, const struct sg_usage *usage)
{
	sum->input_tokens = add_counts(sum->input_tokens, usage->input_tokens);
	sum->output_tokens = add_counts(sum->output_tokens, usage->output_tokens);
	sum->cache_read_tokens = sg_money_add(sum->cache_read_tokens, usage->cache_read_tokens);
	sum->cache_write_tokens = sg_money_add(sum->cache_write_tokens, usage->cache_write_tokens);
	sum->cache_write_1h_tokens =
		sg_money_add(sum->cache_write_1h_tokens, usage->cache_write_1h_tokens);
	sum->reasoning_tokens = sg_money_add(sum->reasoning_tokens, usage->reasoning_tokens);
	sum->web_search_requests =
		sg_money_add(sum->web_search_requests, usage->web_search_requests);
	sum->image_input_tokens = sg_money_add(sum->image_input_tokens, usage->image_input_tokens);
	sum->image_output_tokens =
		sg_money_add(sum->image_output_tokens, usage->image_output_tokens);
}

void sg_response_add_line(struct sg_response_reader *reader, const struct sg_usage *line)
{
	struct sg_outcome *outcome = &reader->outcome;

	for (unsigned i = 0; i < outcome->line_count; i++)
		if (strcmp(outcome->lines[i].model, line->model) == 0 &&
			strcmp(outcome->lines[i].inference_geo, line->inference_geo) == 0) {
			sg_usage_add(&outcome->lines[i], line);
			return;
		}
	if (outcome->line_count < SG_USAGE_MAX_LINES)
		outcome->lines[outcome->line_count++] = *line;
	else
		outcome->bad_evidence = true; // the hold is charged
}

void sg_response_sum_lines(struct sg_outcome *outcome)
{
	struct sg_usage *usage = &outcome->usage;

	usage->input_tokens = usage->output_tokens = usage->cache_read_tokens =
		usage->cache_write_tokens = usage->cache_write_1h_tokens = 0;
	for (unsigned i = 0; i < outcome->line_count; i++) {
		struct sg_usage *line = &outcome->lines[i];

		if (!line->model[0])
			strcpy(line->model, usage->model); // the model that was called
		strcpy(line->service_tier, usage->service_tier);
		strcpy(line->speed, usage->speed);
		strcpy(line->inference_geo, usage->inference_geo);
		if (line->input_tokens < 0 || line->output_tokens < 0) {
			outcome->bad_evidence = true;
			return;
		}
		sg_usage_add(usage, line);
	}
	outcome->lines[0].web_search_requests = usage->web_search_requests;
}

void sg_response_settle_by_units(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	usage->input_tokens = usage->output_tokens = 0;
	reader->by_units = reader->status < 300;
}

void sg_response_price(struct sg_response_reader *reader, const struct sg_json_value *value,
	int digits, int64_t *ret_picousd)
{
	bool is_number = value->type == SG_JSON_NUMBER && value->length == value->decoded_length;

	if (value->type == SG_JSON_NULL || value->type == SG_JSON_OBJECT)
		return;
	if (!is_number ||
		sg_money_parse_nearest(value->text, value->length, 12 - digits, ret_picousd) < 0)
		reader->outcome.bad_evidence = true;
}

void sg_response_add_upstream_price(struct sg_response_reader *reader)
{
	if (reader->own_key && reader->outcome.provider_picousd >= 0 &&
		reader->upstream_picousd >= 0)
		reader->outcome.provider_picousd =
			sg_money_add(reader->outcome.provider_picousd, reader->upstream_picousd);
}

void sg_response_stated_price(
	struct sg_response_reader *reader, const struct sg_json_value *value, enum sg_trait trait)
{
	if (reader->facts->traits & trait)
		sg_response_price(reader, value, trait == SG_TRAIT_COST_TICKS ? TICK_DIGITS : 0,
			&reader->outcome.provider_picousd);
}
