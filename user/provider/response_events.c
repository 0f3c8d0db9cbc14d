// SPDX-License-Identifier: Apache-2.0
// From an answer's bytes to its events, in each framing, and what of them goes to the agent where a
// filter is.
#include "provider/response_events.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

// Running totals in a longer event are read at once.
#define TOTALS_MAX_EVENT 16384

static void on_event_value(void *context, const struct sg_json_value *value)
{
	struct sg_response_reader *reader = context;

	if (value->node != SG_JSON_ROOT)
		reader->api->on_event(reader, value);
}

// ---- Events ----

// Hands the raw bytes up to `end` of this feed to the agent, or drops them.
int sg_response_pass_event(struct sg_response_reader *reader, size_t end, bool drop)
{
	size_t start = reader->event_start;
	int r = 0;

	if (!reader->filters || !reader->out)
		return 0;
	drop = drop && !reader->held_passed &&
	       sg_buf_length(&reader->held) + (end - start) <= SG_FILTER_MAX_EVENT;
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

void sg_response_finish_event(struct sg_response_reader *reader)
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
	sg_response_finish_event(reader);
}

// What running totals say counts only once nothing says them anew.
static bool keep_totals(struct sg_response_reader *reader, const struct sg_sse_event *event)
{
	if (event->data_length > TOTALS_MAX_EVENT)
		return false;
	sg_buf_consume(&reader->totals, sg_buf_length(&reader->totals));
	return sg_buf_append(&reader->totals, event->data, event->data_length) == 0;
}

void sg_response_read_totals(struct sg_response_reader *reader)
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
	sg_response_read_totals(reader);
	if (mark && event->data_length >= strlen(mark) &&
		memcmp(event->data, mark, strlen(mark)) == 0)
		reader->stream_ended = true;
	else
		read_data(reader, event->data, event->data_length);
}

int sg_response_on_sse_event(void *context, const struct sg_sse_event *event)
{
	struct sg_response_reader *reader = context;

	read_event(reader, event);
	// The chunk that came because usage was asked for in the agent's place.
	return sg_response_pass_event(reader, event->raw_end,
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
			sg_response_finish_event(reader);
		reader->line_begun = false;
		bytes = end + 1;
		length -= piece + 1;
		r = sg_response_pass_event(reader, (size_t)(bytes - first), false);
	}
	return r;
}

// What is kept of a message, or counted, is looked up in it when it is whole. Returns false where
// it is too long for that: then nothing more is kept, and it is read as it comes.
static bool gather(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	struct sg_buf *held = &reader->held;

	if (sg_buf_length(held) + length <= SG_WHOLE_MAX_EVENT &&
		sg_buf_append(held, bytes, length) == 0)
		return true;
	reader->mark.kept = reader->filters = false;
	reader->hides_output = true;
	free(reader->tokens);
	reader->tokens = NULL;
	sg_json_scan_feed(&reader->scan, (const char *)sg_buf_head(held), sg_buf_length(held));
	return false;
}

void sg_response_reader_message(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	if (!reader->line_begun) {
		begin_event(reader);
		begin_scan(reader);
		reader->marks = (struct sg_live_marks){ .type = "" };
		reader->line_begun = true;
	}
	if (!reader->mark.kept || !gather(reader, bytes, length))
		sg_json_scan_feed(&reader->scan, bytes, length);
}

void sg_response_reader_end_message(struct sg_response_reader *reader)
{
	if (reader->mark.kept) {
		reader->event_data = (const char *)sg_buf_head(&reader->held);
		sg_json_scan_feed(&reader->scan, reader->event_data, sg_buf_length(&reader->held));
	}
	if (reader->line_begun)
		sg_response_finish_event(reader);
	sg_buf_consume(&reader->held, sg_buf_length(&reader->held));
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
	sg_response_finish_event(reader);
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
		reader->pass_result = sg_response_pass_event(reader, frame->raw_end, false);
}

// Frames tell no errors of ours.
static int read_frames(struct sg_response_reader *reader, const char *bytes, size_t length)
{
	int r;

	reader->pass_result = 0;
	r = sg_frames_feed(&reader->frames, bytes, length, on_frame, reader);
	return r < 0 ? r : reader->pass_result;
}

int sg_response_read_plain(void *context, const char *bytes, size_t length)
{
	struct sg_response_reader *reader = context;

	if (reader->framing == SG_FRAMING_SSE)
		return sg_sse_feed(&reader->sse, bytes, length, sg_response_on_sse_event, reader);
	if (reader->framing == SG_FRAMING_FRAMES)
		return read_frames(reader, bytes, length);
	if (reader->framing == SG_FRAMING_NDJSON)
		return read_lines(reader, bytes, length);
	sg_json_scan_feed(&reader->scan, bytes, length);
	return 0;
}
