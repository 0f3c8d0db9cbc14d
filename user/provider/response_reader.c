// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/money.h"
#include "provider/response_events.h"
#include "provider/text_tokens.h"

// A longer event of a stream that may have to be ended passes in pieces: it can't be ended within
// it.

static void on_body_value(void *context, const struct sg_json_value *value)
{
	struct sg_response_reader *reader = context;

	if (value->node != SG_JSON_ROOT)
		reader->api->on_body(reader, value);
}

static bool has_type(struct sg_str value, const char *type)
{
	return value.length >= strlen(type) && strncasecmp(value.data, type, strlen(type)) == 0;
}

static bool is_lines(struct sg_str value)
{
	static const char *const types[] = { "application/x-ndjson", "application/x-jsonl",
		"application/jsonl", "application/ndjson", "application/stream+json" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(types); i++)
		if (has_type(value, types[i]))
			return true;
	return false;
}

static enum sg_framing framing_of(const struct sg_response_options *options)
{
	if (options->messages)
		return SG_FRAMING_MESSAGES;
	if (has_type(options->content_type, "text/event-stream"))
		return SG_FRAMING_SSE;
	if (is_lines(options->content_type) ||
		(options->api->tells_lines && !has_type(options->content_type, "application/json")))
		return SG_FRAMING_NDJSON;
	if (has_type(options->content_type, "application/vnd.amazon.eventstream"))
		return SG_FRAMING_FRAMES;
	return SG_FRAMING_BODY;
}

int sg_response_reader_init(
	struct sg_response_reader *reader, const struct sg_response_options *options)
{
	int r;

	memset(reader, 0, sizeof(*reader));
	reader->api = options->api;
	reader->facts = options->facts;
	reader->status = options->status;
	reader->skims = options->skim && !options->may_end;
	reader->framing = framing_of(options);
	memset(reader->header_counts, -1, sizeof(reader->header_counts));
	memset(reader->body_counts, -1, sizeof(reader->body_counts));
	reader->is_stream = reader->framing != SG_FRAMING_BODY;
	r = sg_inflate_new(options->content_encoding, &reader->inflate);
	if (r == -ENOTSUP) {
		reader->unreadable = true;
	} else if (r < 0) {
		return r;
	}
	// A stream that is compressed in spite of the narrowed Accept-Encoding passes as it is,
	// with the chunk that was asked for.
	reader->mark.kept = options->may_end && reader->is_stream;
	reader->filters = ((options->remove_usage_chunk && reader->framing == SG_FRAMING_SSE) ||
				  reader->mark.kept) &&
			  !reader->inflate && !reader->unreadable;
	reader->removes_usage = options->remove_usage_chunk;
	// Of several answers at once the texts are torn within tokens. Without memory bytes bound
	// them.
	if (reader->mark.kept && options->vocabulary &&
		(reader->framing == SG_FRAMING_SSE || reader->framing == SG_FRAMING_MESSAGES) &&
		options->facts->choices == 1)
		reader->tokens = sg_text_tokens_new(options->vocabulary);
	sg_sse_init(&reader->sse);
	reader->own_host = options->own_host;
	reader->outcome.provider_picousd = reader->upstream_picousd = reader->total_tokens = -1;
	sg_usage_reset(&reader->outcome.usage);
	sg_json_scan_init(&reader->scan, reader->api->body_paths, reader->api->body_path_count,
		on_body_value, reader);
	return 0;
}

void sg_response_reader_done(struct sg_response_reader *reader)
{
	sg_inflate_free(reader->inflate);
	free(reader->tokens);
	sg_sse_done(&reader->sse);
	sg_frames_done(&reader->frames);
	sg_buf_release(&reader->totals);
	sg_buf_release(&reader->held);
	sg_buf_release(&reader->mark.response);
	sg_buf_release(&reader->mark.items);
	sg_buf_release(&reader->mark.item);
	sg_buf_release(&reader->mark.text);
	sg_buf_release(&reader->inner);
}

int sg_response_reader_new(
	const struct sg_response_options *options, struct sg_response_reader **ret_reader)
{
	struct sg_response_reader *reader = malloc(sizeof(*reader));
	int r = reader ? sg_response_reader_init(reader, options) : -ENOMEM;

	if (r < 0) {
		free(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

struct sg_response_reader *sg_response_reader_free(struct sg_response_reader *reader)
{
	if (!reader)
		return NULL;
	sg_response_reader_done(reader);
	free(reader);
	return NULL;
}

void sg_response_reader_header(
	struct sg_response_reader *reader, struct sg_str name, struct sg_str value)
{
	if (reader->api->on_header)
		reader->api->on_header(reader, name, value);
}

bool sg_response_reader_is_filter(const struct sg_response_reader *reader)
{
	return reader->filters;
}

int64_t sg_response_reader_visible_tokens(const struct sg_response_reader *reader)
{
	return reader->tokens ? sg_text_tokens_bound(reader->tokens)
			      : reader->outcome.visible_output_bytes;
}

int64_t sg_response_reader_input_tokens(const struct sg_response_reader *reader)
{
	const struct sg_usage *usage = &reader->outcome.usage;

	// Of the kinds of cache writes only their sum is one of its own here.
	if (!reader->is_stream || !reader->produced || usage->input_tokens < 0 ||
		reader->outcome.bad_evidence)
		return -1;
	return sg_money_add(usage->input_tokens,
		sg_money_add(usage->cache_read_tokens, reader->cache_creation));
}

bool sg_response_reader_hides_output(const struct sg_response_reader *reader)
{
	return reader->hides_output;
}

bool sg_response_reader_can_end(const struct sg_response_reader *reader)
{
	const struct sg_stream_mark *mark = &reader->mark;

	return mark->kept && mark->begun && !mark->lost && reader->filters &&
	       !reader->held_passed && !reader->unreadable && !reader->stream_ended &&
	       reader->api->end_stream;
}

int sg_response_reader_end(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	if (!sg_response_reader_can_end(reader))
		return -ENOTSUP;
	sg_buf_consume(&reader->held, sg_buf_length(&reader->held));
	return reader->api->end_stream(reader, totals, out);
}

bool sg_response_reader_is_complete(const struct sg_response_reader *reader)
{
	return reader->stream_ended;
}

// The LF of a CRLF whose CR ended an event and the feed before: it goes where the event went.
static int finish_line_end(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	bool is_lf = reader->ended_with_cr && length && *bytes == '\n';

	if (length)
		reader->ended_with_cr = false;
	if (!is_lf)
		return 0;
	reader->event_start = 1;
	return reader->cr_was_dropped ? 0 : sg_buf_append(reader->out, bytes, 1);
}

// What is left of an event that goes on in the next feed.
static int hold_rest(struct sg_response_reader *reader, size_t length)
{
	const char *rest = reader->feed_bytes + reader->event_start;
	size_t left = length - reader->event_start;
	int r;

	if (!reader->held_passed &&
		sg_buf_length(&reader->held) + left <=
			(reader->mark.kept ? SG_WHOLE_MAX_EVENT : SG_FILTER_MAX_EVENT))
		return sg_buf_append(&reader->held, rest, left);
	r = sg_buf_append(reader->out, sg_buf_head(&reader->held), sg_buf_length(&reader->held));
	sg_buf_consume(&reader->held, sg_buf_length(&reader->held));
	reader->held_passed = true;
	return r < 0 ? r : sg_buf_append(reader->out, rest, left);
}

int sg_response_reader_feed(
	struct sg_response_reader *reader, const char *bytes, size_t length, struct sg_buf *out)
{
	int r = 0;

	if (reader->unreadable)
		return 0;
	reader->out = out;
	reader->feed_bytes = bytes;
	reader->feed_length = length;
	reader->event_start = 0;
	if (reader->inflate) {
		r = sg_inflate_feed(reader->inflate, bytes, length, sg_response_read_plain, reader);
		if (r == -EBADMSG || r == -EFBIG) {
			reader->unreadable = true;
			r = 0;
		}
		return r;
	}
	r = finish_line_end(reader, bytes, length);
	if (r == 0)
		r = sg_response_read_plain(reader, bytes, length);
	if (r == -EBADMSG) {
		// No frame: what was told before it is no evidence.
		reader->unreadable = reader->outcome.bad_evidence = true;
		r = 0;
	}
	return r == 0 && reader->filters ? hold_rest(reader, length) : r;
}

// ---- The end ----

// The prompt was worked on, and is charged.
static bool is_billed_error(const struct sg_response_reader *reader)
{
	return (reader->facts->traits & SG_TRAIT_BILLS_FILTERED) &&
	       (reader->status == 408 || (reader->status == 400 && reader->filtered));
}

static void decide_state(struct sg_response_reader *reader, bool complete)
{
	static const enum sg_usage_source sources[] = {
		[SG_FRAMING_BODY] = SG_SOURCE_BODY,
		[SG_FRAMING_SSE] = SG_SOURCE_SSE,
		[SG_FRAMING_NDJSON] = SG_SOURCE_NDJSON,
		[SG_FRAMING_FRAMES] = SG_SOURCE_FRAMES,
		[SG_FRAMING_MESSAGES] = SG_SOURCE_MESSAGES,
	};
	struct sg_outcome *outcome = &reader->outcome;
	bool tokens = outcome->usage.output_tokens >= 0 && outcome->usage.input_tokens >= 0;
	// Who states the price need not tell what it is for.
	bool counted = (reader->usage_seen && (tokens || outcome->provider_priced)) ||
		       (reader->by_units && tokens);

	if (reader->usage_seen)
		outcome->usage.source =
			reader->by_headers ? SG_SOURCE_HEADERS : sources[reader->framing];
	if (outcome->state == SG_EXCHANGE_PENDING)
		return;
	outcome->state = SG_EXCHANGE_ESTIMATED;
	if (outcome->bad_evidence)
		return;
	if (counted && !reader->unpriced_tool &&
		(reader->final || (!reader->is_stream && complete)))
		outcome->state = SG_EXCHANGE_SETTLED;
	else if (is_billed_error(reader))
		outcome->usage.output_tokens = 0;
	else if (reader->status >= 300 || (reader->failed_early && !reader->produced))
		outcome->state = SG_EXCHANGE_ERROR_FREE;
}

// A tier, a speed or a place that was asked for, and of which the answer says nothing: the dearer
// counts.
static void assume_asked(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!usage->service_tier[0] && sg_request_asks_dearer_tier(reader->facts))
		strcpy(usage->service_tier, "priority");
	if (!usage->speed[0] && reader->facts->fast)
		strcpy(usage->speed, "fast");
	if (!usage->inference_geo[0] && reader->facts->asks_us)
		strcpy(usage->inference_geo, "us");
}

int sg_response_reader_finish(struct sg_response_reader *reader, bool complete, struct sg_buf *out,
	struct sg_outcome *ret_outcome)
{
	int r = 0;

	reader->out = out;
	reader->feed_bytes = "";
	reader->feed_length = 0;
	reader->event_start = 0;
	reader->complete = complete;
	if (reader->framing == SG_FRAMING_SSE && !reader->stream_ended) {
		r = sg_sse_finish(&reader->sse, sg_response_on_sse_event, reader);
	} else if (reader->framing == SG_FRAMING_NDJSON && reader->line_begun) {
		sg_response_finish_event(reader); // without its line's end
	} else if (!reader->is_stream &&
		   (reader->unreadable || sg_json_scan_finish(&reader->scan) < 0)) {
		// A torn body: what it said so far is no evidence.
		reader->usage_seen = false;
		sg_usage_reset(&reader->outcome.usage);
	}
	sg_response_read_totals(reader);
	if (r == 0 && reader->filters && out && sg_buf_length(&reader->held))
		r = sg_response_pass_event(reader, 0, false);
	assume_asked(reader);
	if (reader->api->finish_response)
		reader->api->finish_response(reader);
	reader->outcome.regional = reader->facts->regional;
	reader->outcome.provider_priced = reader->own_host && reader->outcome.provider_picousd >= 0;
	decide_state(reader, complete);
	*ret_outcome = reader->outcome;
	return r;
}
