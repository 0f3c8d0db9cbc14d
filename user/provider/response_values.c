// SPDX-License-Identifier: Apache-2.0
// What the readers of answers share: how a member of usage becomes evidence, or is none.
#include "base/money.h"
#include "provider/api.h"

// cost_in_usd_ticks: 10^10 of them are a dollar.
#define TICK_DIGITS 10

void sg_usage_reset(struct sg_usage *usage)
{
	usage->input_tokens = usage->output_tokens = -1;
	usage->cache_read_tokens = usage->cache_write_tokens = usage->cache_write_1h_tokens = 0;
	usage->reasoning_tokens = usage->audio_input_tokens = usage->audio_output_tokens = 0;
	usage->audio_cache_read_tokens = usage->image_cache_read_tokens = 0;
	usage->web_search_requests = 0;
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

void sg_response_text(struct sg_response_reader *reader, const struct sg_json_value *value)
{
	if (value->type == SG_JSON_STRING)
		reader->outcome.visible_output_bytes += (int64_t)value->decoded_length;
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

void sg_response_stated_price(
	struct sg_response_reader *reader, const struct sg_json_value *value, enum sg_trait trait)
{
	if (reader->facts->traits & trait)
		sg_response_price(reader, value, trait == SG_TRAIT_COST_TICKS ? TICK_DIGITS : 0,
			&reader->outcome.provider_picousd);
}
