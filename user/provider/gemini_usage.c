// SPDX-License-Identifier: Apache-2.0
// What the counts of Gemini's answers come to: disjoint classes, searches that have a fee, and the
// tier.
#include <stdio.h>
#include <string.h>

#include "provider/gemini.h"

void sg_gemini_on_tier(struct sg_usage *usage, const char *word)
{
	const char *tier = "standard";

	if (!*word || strcasestr(word, "unspecified"))
		return;
	if (strcasestr(word, "priority"))
		tier = "priority";
	else if (strcasestr(word, "flex"))
		tier = "flex";
	else if (strcasestr(word, "batch"))
		tier = "batch";
	snprintf(usage->service_tier, sizeof(usage->service_tier), "%s", tier);
}

// A call that asked for priority may have been made without it.
void sg_gemini_on_header(struct sg_response_reader *reader, struct sg_str name, struct sg_str value)
{
	char word[24];

	if (!sg_header_is(name, "x-gemini-service-tier") || value.length >= sizeof(word))
		return;
	memcpy(word, value.data, value.length);
	word[value.length] = 0;
	sg_gemini_on_tier(&reader->outcome.usage, word);
}

// What was read from the cache is in the prompt's parts too.
void sg_gemini_split_parts(struct sg_usage *usage)
{
	if (usage->audio_cache_read_tokens > usage->cache_read_tokens)
		usage->audio_cache_read_tokens = usage->cache_read_tokens;
	if (usage->image_cache_read_tokens > usage->cache_read_tokens)
		usage->image_cache_read_tokens = usage->cache_read_tokens;
	usage->audio_input_tokens =
		usage->audio_input_tokens > usage->audio_cache_read_tokens
			? usage->audio_input_tokens - usage->audio_cache_read_tokens
			: 0;
	usage->image_input_tokens =
		usage->image_input_tokens > usage->image_cache_read_tokens
			? usage->image_input_tokens - usage->image_cache_read_tokens
			: 0;
}

// All thoughts are in the total, whichever other count has them.
void sg_gemini_count_output(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t by_parts =
		(usage->output_tokens > 0 ? usage->output_tokens : 0) + usage->reasoning_tokens;
	int64_t by_total = reader->total_tokens - usage->input_tokens - reader->tool_prompt;

	usage->output_tokens = reader->total_tokens >= 0 ? by_total : by_parts;
	if (usage->output_tokens < 0)
		reader->outcome.bad_evidence = true;
	if (usage->reasoning_tokens > usage->output_tokens)
		reader->outcome.bad_evidence = true;
	usage->input_tokens += reader->tool_prompt;
	sg_response_take_out_cached(reader);
}

// From Gemini 3 on each query has a fee, before it each prompt that was searched for. What was
// found was searched for, whether its queries are told or not. Queries of the maps are told among
// the others; where both were searched, they count as these.
void sg_gemini_count_searches(struct sg_response_reader *reader)
{
	const struct sg_request_facts *facts = reader->facts;
	struct sg_usage *usage = &reader->outcome.usage;
	const char *model = usage->model[0] ? usage->model : facts->model;
	int64_t *queries = &usage->web_search_requests;

	*queries = reader->done_searches ? reader->done_searches : reader->found_web;
	if (facts->searches_maps && !facts->searches_web && !reader->found_web) {
		usage->maps_requests += *queries;
		*queries = 0;
	}
	if (reader->found_place && !usage->maps_requests)
		usage->maps_requests = 1;
	if (sg_gemini_searches_by_prompt(model)) {
		usage->maps_requests = usage->maps_requests > 0;
		*queries = *queries > 0;
	}
	// The fee of what the operator let through at an amount is not known.
	reader->unpriced_tool = facts->unbounded && (*queries || reader->found_store);
}
