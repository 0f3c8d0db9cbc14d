// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/money.h"
#include "provider/api.h"
#include "provider/text_tokens.h"

// An event that is longer can't be the usage chunk that a filter looks for.
#define FILTER_MAX_EVENT 65536

// A longer event of a stream that may have to be ended passes in pieces: it can't be ended within
// it.
#define WHOLE_MAX_EVENT (1u << 20)

// Running totals in a longer event are read at once.
#define TOTALS_MAX_EVENT 16384

static void on_body_value(void *context, const struct sg_json_value *value)
{
	struct sg_response_reader *reader = context;

	if (value->node != SG_JSON_ROOT)
		reader->api->on_body(reader, value);
}

static void on_event_value(void *context, const struct sg_json_value *value)
{
	struct sg_response_reader *reader = context;

	if (value->node != SG_JSON_ROOT)
		reader->api->on_event(reader, value);
}

// ---- Events ----

// Hands the raw bytes up to `end` of this feed to the agent, or drops them.
static int pass_event(struct sg_response_reader *reader, size_t end, bool drop)
{
	size_t start = reader->event_start;
	int r = 0;

	if (!reader->filters || !reader->out)
		return 0;
	drop = drop && !reader->held_passed &&
	       sg_buf_length(&reader->held) + (end - start) <= FILTER_MAX_EVENT;
	reader->ended_with_cr =
		end && end == reader->feed_length && reader->feed_bytes[end - 1] == '\r';
	reader->cr_was_dropped = drop;
	if (!drop) {
		r = sg_buf_append(
			reader->out, sg_buf_head(&reader->held), sg_buf_length(&reader->held));
		if (r == 0)
			r = sg_buf_append(reader->out, reader->feed_bytes + start, end - start);
	}
	sg_buf_consume(&reader->held, sg_buf_length(&reader->held));
	reader->held_passed = false;
	reader->event_start = end;
	return r;
}

static void begin_event(struct sg_response_reader *reader)
{
	reader->event_choices = -1;
	reader->event_usage = false;
	reader->event_type[0] = 0;
	reader->event_delta_bytes = 0;
	reader->event_stops = false;
	reader->mark.index = 0;
	reader->mark.stops = false;
	sg_response_begin_item(reader);
}

static void begin_scan(struct sg_response_reader *reader)
{
	sg_json_scan_init(&reader->scan, reader->api->event_paths, reader->api->event_path_count,
		on_event_value, reader);
}

static void finish_event(struct sg_response_reader *reader)
{
	if (sg_json_scan_finish(&reader->scan) < 0)
		// Torn: what its usage did not get to say is not known.
		reader->outcome.bad_evidence = reader->outcome.bad_evidence || reader->event_usage;
	else if (reader->api->end_event)
		reader->api->end_event(reader);
}

static void read_data(struct sg_response_reader *reader, const char *data, size_t length)
{
	begin_event(reader);
	reader->event_data = data;
	begin_scan(reader);
	sg_json_scan_feed(&reader->scan, data, length);
	finish_event(reader);
}

// What running totals say counts only once nothing says them anew.
static bool keep_totals(struct sg_response_reader *reader, const struct sg_sse_event *event)
{
	if (event->data_length > TOTALS_MAX_EVENT)
		return false;
	sg_buf_consume(&reader->totals, sg_buf_length(&reader->totals));
	return sg_buf_append(&reader->totals, event->data, event->data_length) == 0;
}

static void read_totals(struct sg_response_reader *reader)
{
	size_t length = sg_buf_length(&reader->totals);

	if (!length)
		return;
	read_data(reader, (const char *)sg_buf_head(&reader->totals), length);
	sg_buf_consume(&reader->totals, length);
}

static void read_event(struct sg_response_reader *reader, const struct sg_sse_event *event)
{
	const char *mark = reader->api->end_mark;
	enum sg_event_weight weight = SG_EVENT_COUNTS;

	begin_event(reader);
	if (!event->data_length || event->truncated)
		return;
	if (reader->skims && reader->produced && reader->api->weigh)
		weight = reader->api->weigh(event);
	if (weight == SG_EVENT_FILLER || (weight == SG_EVENT_TOTALS && keep_totals(reader, event)))
		return;
	read_totals(reader);
	if (mark && event->data_length >= strlen(mark) &&
		memcmp(event->data, mark, strlen(mark)) == 0)
		reader->stream_ended = true;
	else
		read_data(reader, event->data, event->data_length);
}

static int on_sse_event(void *context, const struct sg_sse_event *event)
{
	struct sg_response_reader *reader = context;

	read_event(reader, event);
	// The chunk that came because usage was asked for in the agent's place.
	return pass_event(reader, event->raw_end,
		reader->removes_usage && reader->event_choices == 0 && reader->event_usage);
}

// ---- Bytes ----

// One JSON value a line (NDJSON).
static int read_lines(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	const char *first = bytes;
	int r = 0;

	while (r == 0 && length) {
		const char *end = memchr(bytes, '\n', length);
		size_t piece = end ? (size_t)(end - bytes) : length;

		if (!reader->line_begun && piece) {
			begin_event(reader);
			begin_scan(reader);
			reader->line_begun = true;
		}
		if (piece)
			sg_json_scan_feed(&reader->scan, bytes, piece);
		if (!end)
			break;
		if (reader->line_begun)
			finish_event(reader);
		reader->line_begun = false;
		bytes = end + 1;
		length -= piece + 1;
		r = pass_event(reader, (size_t)(bytes - first), false);
	}
	return r;
}

void sg_response_reader_message(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	if (!reader->line_begun) {
		begin_event(reader);
		begin_scan(reader);
		reader->marks = (struct sg_live_marks){ .type = "" };
		reader->line_begun = true;
	}
	sg_json_scan_feed(&reader->scan, bytes, length);
}

void sg_response_reader_end_message(struct sg_response_reader *reader)
{
	if (reader->line_begun)
		finish_event(reader);
	reader->line_begun = false;
}

// {"bytes": base64, "p": padding}: what is wrapped, in reader->inner. Returns 0, -EBADMSG or
// -ENOMEM.
static int unwrap(struct sg_response_reader *reader, const struct sg_frame *frame)
{
	static const char key[] = "\"bytes\"";
	const char *end = frame->payload + frame->payload_length;
	const char *text = memmem(frame->payload, frame->payload_length, key, sizeof(key) - 1);
	const char *stop;

	if (!text)
		return -EBADMSG;
	for (text += sizeof(key) - 1; text < end && (*text == ':' || *text == ' '); text++)
		;
	if (text == end || *text++ != '"')
		return -EBADMSG;
	stop = memchr(text, '"', (size_t)(end - text));
	sg_buf_consume(&reader->inner, sg_buf_length(&reader->inner));
	return stop ? sg_base64_append(&reader->inner, text, (size_t)(stop - text)) : -EBADMSG;
}

static void read_frame(struct sg_response_reader *reader, const struct sg_frame *frame)
{
	const char *text = frame->payload;
	size_t length = frame->payload_length;

	snprintf(reader->event_type, sizeof(reader->event_type), "%s", frame->type);
	if (reader->api->wraps_events) {
		if (unwrap(reader, frame) < 0) {
			reader->outcome.bad_evidence = reader->unreadable = true;
			return;
		}
		text = (const char *)sg_buf_head(&reader->inner);
		length = sg_buf_length(&reader->inner);
	}
	begin_scan(reader);
	sg_json_scan_feed(&reader->scan, text, length);
	finish_event(reader);
}

static void on_frame(void *context, const struct sg_frame *frame)
{
	struct sg_response_reader *reader = context;

	begin_event(reader);
	if (frame->is_exception)
		reader->failed_early = true;
	else if (!reader->unreadable)
		read_frame(reader, frame);
	if (reader->pass_result == 0)
		reader->pass_result = pass_event(reader, frame->raw_end, false);
}

// Frames tell no errors of ours.
static int read_frames(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	int r;

	reader->pass_result = 0;
	r = sg_frames_feed(&reader->frames, bytes, length, on_frame, reader);
	return r < 0 ? r : reader->pass_result;
}

static int read_plain(void *context, const char *bytes, size_t length)
{
	struct sg_response_reader *reader = context;

	if (reader->framing == SG_FRAMING_SSE)
		return sg_sse_feed(&reader->sse, bytes, length, on_sse_event, reader);
	if (reader->framing == SG_FRAMING_FRAMES)
		return read_frames(reader, bytes, length);
	if (reader->framing == SG_FRAMING_NDJSON)
		return read_lines(reader, bytes, length);
	sg_json_scan_feed(&reader->scan, bytes, length);
	return 0;
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
	if (reader->mark.kept && options->vocabulary && reader->framing == SG_FRAMING_SSE &&
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
			(reader->mark.kept ? WHOLE_MAX_EVENT : FILTER_MAX_EVENT))
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
		r = sg_inflate_feed(reader->inflate, bytes, length, read_plain, reader);
		if (r == -EBADMSG || r == -EFBIG) {
			reader->unreadable = true;
			r = 0;
		}
		return r;
	}
	r = finish_line_end(reader, bytes, length);
	if (r == 0)
		r = read_plain(reader, bytes, length);
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
	if (counted && (reader->final || (!reader->is_stream && complete)))
		outcome->state = SG_EXCHANGE_SETTLED;
	else if (is_billed_error(reader))
		outcome->usage.output_tokens = 0;
	else if (reader->status >= 300 || (reader->failed_early && !reader->produced))
		outcome->state = SG_EXCHANGE_ERROR_FREE;
}

// A tier or a speed that was asked for, and of which the answer says nothing: the dearer counts.
static void assume_asked(struct sg_response_reader *reader)
{
	struct sg_usage *usage = &reader->outcome.usage;

	if (!usage->service_tier[0] && strcmp(reader->facts->service_tier, "priority") == 0)
		strcpy(usage->service_tier, "priority");
	if (!usage->speed[0] && reader->facts->fast)
		strcpy(usage->speed, "fast");
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
		r = sg_sse_finish(&reader->sse, on_sse_event, reader);
	} else if (reader->framing == SG_FRAMING_NDJSON && reader->line_begun) {
		finish_event(reader); // without its line's end
	} else if (!reader->is_stream &&
		   (reader->unreadable || sg_json_scan_finish(&reader->scan) < 0)) {
		// A torn body: what it said so far is no evidence.
		reader->usage_seen = false;
		sg_usage_reset(&reader->outcome.usage);
	}
	read_totals(reader);
	if (r == 0 && reader->filters && out && sg_buf_length(&reader->held))
		r = pass_event(reader, 0, false);
	assume_asked(reader);
	if (reader->api->finish_response)
		reader->api->finish_response(reader);
	reader->outcome.regional = reader->facts->regional;
	reader->outcome.provider_priced = reader->own_host && reader->outcome.provider_picousd >= 0;
	decide_state(reader, complete);
	*ret_outcome = reader->outcome;
	return r;
}
