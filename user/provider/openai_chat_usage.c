// SPDX-License-Identifier: Apache-2.0
// What the counts of a chat's answer come to, by the ways of each provider.
#include "provider/openai_chat.h"

// prompt_tokens includes what was read from and written to the cache: make the classes disjoint.
static void split_input(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t cached;

	if (!usage->cache_read_tokens)
		usage->cache_read_tokens = reader->cache_hit_tokens;
	if (!usage->cache_read_tokens && reader->header_counts[SG_CACHED_BY_HEADER] > 0)
		usage->cache_read_tokens = reader->header_counts[SG_CACHED_BY_HEADER];
	cached = usage->cache_read_tokens + usage->cache_write_tokens;
	sg_response_take_out_cached(reader);
	if (usage->audio_input_tokens > usage->input_tokens + cached &&
		usage->audio_input_tokens > 0)
		reader->outcome.bad_evidence = true;
}

// Where completion_tokens lacks the reasoning, the total has it; without a total more reasoning
// than output must be apart.
static void take_output_by_total(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;
	int64_t by_total = reader->total_tokens - usage->input_tokens;

	if (!(reader->facts->traits & SG_TRAIT_OUTPUT_BY_TOTAL) || usage->input_tokens < 0 ||
		usage->output_tokens < 0)
		return;
	if (reader->total_tokens < 0)
		by_total = usage->reasoning_tokens > usage->output_tokens
				   ? usage->output_tokens + usage->reasoning_tokens
				   : 0;
	if (by_total <= usage->output_tokens)
		return;
	if (!usage->reasoning_tokens)
		usage->reasoning_tokens = by_total - usage->output_tokens;
	usage->output_tokens = by_total;
}

// A call that goes on behind its answer tells the id of it; a GET that comes too early, 202.
static void finish_deferred(struct sg_response_reader *reader)
{
	struct sg_outcome *outcome = &reader->outcome;

	if (reader->facts->background && !reader->usage_seen && !reader->produced &&
		(reader->status == 202 || (reader->status == 200 && outcome->pending_id[0])))
		outcome->state = SG_EXCHANGE_PENDING;
	else
		outcome->pending_id[0] = 0;
}

void sg_chat_finish_response(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	finish_deferred(reader);
	take_output_by_total(reader);
	split_input(reader);
	if (reader->outcome.line_count) {
		usage->reasoning_tokens = 0;
		sg_response_sum_lines(&reader->outcome);
	}
	if (usage->reasoning_tokens > usage->output_tokens && usage->output_tokens >= 0)
		reader->outcome.bad_evidence = true;
	sg_response_add_upstream_price(reader);
	// A search model searches once a call (providers: per-use fees).
	if (reader->usage_seen && reader->facts->searches_web)
		usage->web_search_requests = 1;
	// A stream that was told to its end.
	reader->final = reader->final || (reader->usage_seen && reader->stream_ended);
}
