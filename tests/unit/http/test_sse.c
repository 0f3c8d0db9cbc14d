// SPDX-License-Identifier: Apache-2.0
// Event streams by the standard's rules, whatever their cuts; and where events end in the raw
// bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/sse.h"
#include "lib/feed.h"

struct row {
	const char *stream;
	// Events as "name|data;", one after the other.
	const char *events;
};

struct log {
	char text[1024];
	size_t length;
	size_t feed_length;
	size_t last_raw_end;
};

static void log_bytes(struct log *log, const char *bytes, size_t length)
{
	assert_true(log->length + length < sizeof(log->text));
	memcpy(log->text + log->length, bytes, length);
	log->length += length;
	log->text[log->length] = 0;
}

static int on_event(void *context, const struct sg_sse_event *event)
{
	struct log *log = context;

	assert_false(event->truncated);
	assert_true(event->raw_end <= log->feed_length);
	assert_true(event->raw_end >= log->last_raw_end);
	log->last_raw_end = event->raw_end;
	log_bytes(log, event->name, event->name_length);
	log_bytes(log, "|", 1);
	log_bytes(log, event->data, event->data_length);
	log_bytes(log, ";", 1);
	return 0;
}

static const struct row rows[] = {
	{ "", "" },
	{ "data: a\n\n", "|a;" },
	{ "data:a\n\n", "|a;" },
	{ "data:  a\n\n", "| a;" },
	{ "data: a\r\n\r\n", "|a;" },
	{ "data: a\r\r", "|a;" },
	{ "data: a\r\n\n", "|a;" },
	{ "data: a\n\r\n", "|a;" },
	{ "data: a\r\rdata: b\r\r", "|a;|b;" },
	{ "data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;" },
	{ "data: a\ndata: b\n\n", "|a\nb;" },
	{ "data\n\n", "|;" },
	{ "data\ndata\n\n", "|\n;" },
	{ "data:\ndata: x\n\n", "|\nx;" },
	{ "data: a: b\n\n", "|a: b;" },
	{ "event: e\ndata: a\n\n", "e|a;" },
	{ "data: a\nevent: e\n\n", "e|a;" },
	{ "event: e\nevent: f\ndata: a\n\n", "f|a;" },
	{ "event: e\ndata: a\n\ndata: b\n\n", "e|a;|b;" },
	{ "event\ndata: a\n\n", "|a;" },
	{ ": comment\ndata: a\n\n", "|a;" },
	{ ":\n\n", "|;" }, // reported: its bytes have to be passed on with what is before them
	{ "id: 1\nretry: 5\ndata: a\n\n", "|a;" },
	{ "dat: a\ndata2: b\nData: c\n data: d\ndata: e\n\n", "|e;" },
	{ "\xef\xbb\xbf"
	  "data: a\n\n",
		"|a;" },
	{ "data: a\n\n\xef\xbb\xbf"
	  "data: b\n\n",
		"|a;|;" },
	{ "\xef\xbb"
	  "data: a\n\n",
		"|;" },
	// An end without a blank line, and without even a line end.
	{ "data: a\n\ndata: b\n", "|a;|b;" },
	{ "data: a\n\ndata: b", "|a;|b;" },
	{ "data: a\r", "|a;" },
	{ "event: e\n", "" },
	{ ": comment", "" },
};

static void run_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	size_t length = strlen(row->stream);
	struct log log = { .length = 0 };
	struct sg_sse sse;

	sg_sse_init(&sse);
	for (size_t at = 0; at < length; at += log.feed_length) {
		log.feed_length = feed_next(feeder, length - at);
		log.last_raw_end = 0;
		assert_int_equal(
			sg_sse_feed(&sse, row->stream + at, log.feed_length, on_event, &log), 0);
	}
	log.feed_length = log.last_raw_end = 0;
	assert_int_equal(sg_sse_finish(&sse, on_event, &log), 0);
	assert_string_equal(log.text, row->events);
	sg_sse_done(&sse);
}

static void events_are_the_same_in_any_cuts(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(run_row, &rows[i]);
}

// A filter that copies what is before raw_end at each event, drops the events that say "drop", and
// copies the rest of a feed when no event is open in it.
struct filter {
	const char *feed;
	size_t from;
	struct sg_buf held, out;
};

static int on_filtered_event(void *context, const struct sg_sse_event *event)
{
	struct filter *filter = context;
	size_t length = event->raw_end - filter->from;

	assert_int_equal(sg_buf_append(&filter->held, filter->feed + filter->from, length), 0);
	if (event->data_length != 4 || memcmp(event->data, "drop", 4) != 0)
		assert_int_equal(sg_buf_append(&filter->out, sg_buf_head(&filter->held),
					 sg_buf_length(&filter->held)),
			0);
	sg_buf_consume(&filter->held, sg_buf_length(&filter->held));
	filter->from = event->raw_end;
	return 0;
}

static void run_filter(struct feeder *feeder, const void *context)
{
	const struct row *row = context; // `events`: what must be left of the bytes
	size_t length = strlen(row->stream), part;
	struct filter filter = { .from = 0 };
	struct sg_sse sse;

	sg_sse_init(&sse);
	for (size_t at = 0; at < length; at += part) {
		part = feed_next(feeder, length - at);
		filter.feed = row->stream + at;
		filter.from = 0;
		assert_int_equal(
			sg_sse_feed(&sse, filter.feed, part, on_filtered_event, &filter), 0);
		assert_int_equal(
			sg_buf_append(&filter.held, filter.feed + filter.from, part - filter.from),
			0);
	}
	assert_int_equal(
		sg_buf_append(&filter.out, sg_buf_head(&filter.held), sg_buf_length(&filter.held)),
		0);
	assert_int_equal(sg_buf_length(&filter.out), strlen(row->events));
	assert_memory_equal(sg_buf_head(&filter.out), row->events, strlen(row->events));
	sg_buf_release(&filter.held);
	sg_buf_release(&filter.out);
	sg_sse_done(&sse);
}

static void cuts_at_raw_end_keep_every_other_byte(void **state)
{
	static const struct row filtered[] = {
		{ "data: a\n\ndata: b\n\nrest", "data: a\n\ndata: b\n\nrest" },
		{ "data: a\n\ndata: drop\n\ndata: b\n\n", "data: a\n\ndata: b\n\n" },
		{ ": ping\n\ndata: drop\n\n: ping\n\n", ": ping\n\n: ping\n\n" },
		{ "data: a\r\rdata: drop\r\rdata: b\r\r", "data: a\r\rdata: b\r\r" },
		{ "data: a\r\n\r\ndata: b\r\n\r\nrest", "data: a\r\n\r\ndata: b\r\n\r\nrest" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(filtered); i++)
		feed_all(run_filter, &filtered[i]);
}

// With CRLF in one feed the blank line's LF is the event's; cut between CR and LF it is the next's.
static int note_raw_end(void *context, const struct sg_sse_event *event)
{
	*(size_t *)context = event->raw_end;
	return 0;
}

static void raw_end_takes_the_whole_crlf_when_it_is_there(void **state)
{
	static const char stream[] = "data: a\r\n\r\ndata: b";
	size_t raw_end = 0;
	struct sg_sse sse;

	(void)state;
	sg_sse_init(&sse);
	assert_int_equal(sg_sse_feed(&sse, stream, strlen(stream), note_raw_end, &raw_end), 0);
	assert_int_equal(raw_end, 11);
	sg_sse_done(&sse);
	sg_sse_init(&sse);
	assert_int_equal(sg_sse_feed(&sse, stream, 10, note_raw_end, &raw_end), 0);
	assert_int_equal(raw_end, 10);
	raw_end = 99;
	assert_int_equal(sg_sse_feed(&sse, stream + 10, 1, note_raw_end, &raw_end), 0);
	assert_int_equal(raw_end, 99);
	sg_sse_done(&sse);
}

struct sizes {
	size_t events, data_length;
	bool truncated;
};

static int note_size(void *context, const struct sg_sse_event *event)
{
	struct sizes *sizes = context;

	sizes->events++;
	sizes->data_length = event->data_length;
	sizes->truncated = event->truncated;
	return 0;
}

// One event of `value_length` bytes in pieces of `piece`, then a small one, which must be whole.
static struct sizes measure(const char *field, size_t value_length, size_t piece)
{
	size_t field_length = strlen(field), length = field_length + value_length + 2;
	char *stream = malloc(length);
	struct sizes sizes = { 0 }, after = { 0 };
	struct sg_sse sse;

	assert_non_null(stream);
	memcpy(stream, field, field_length);
	memset(stream + field_length, 'x', value_length);
	memcpy(stream + length - 2, "\n\n", 2);
	sg_sse_init(&sse);
	for (size_t at = 0; at < length; at += piece)
		assert_int_equal(
			sg_sse_feed(&sse, stream + at, length - at < piece ? length - at : piece,
				note_size, &sizes),
			0);
	assert_int_equal(sg_sse_feed(&sse, "data: y\n\n", 9, note_size, &after), 0);
	assert_false(after.truncated);
	assert_int_equal(after.data_length, 1);
	sg_sse_done(&sse);
	free(stream);
	return sizes;
}

static void long_events_are_cut_off_at_the_same_length_in_any_cuts(void **state)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 4096, 1000003 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(pieces); i++) {
		struct sizes fits = measure("data: ", SG_SSE_MAX_EVENT_BYTES - 1, pieces[i]);
		struct sizes over = measure("data: ", SG_SSE_MAX_EVENT_BYTES, pieces[i]);
		struct sizes far = measure("data: ", SG_SSE_MAX_EVENT_BYTES * 2, pieces[i]);
		struct sizes comment = measure(": ", SG_SSE_MAX_EVENT_BYTES * 2, pieces[i]);

		assert_int_equal(fits.events, 1);
		assert_false(fits.truncated);
		assert_int_equal(fits.data_length, SG_SSE_MAX_EVENT_BYTES - 1);
		assert_true(over.truncated && over.events == 1);
		assert_true(far.truncated && far.events == 1);
		assert_false(comment.truncated);
	}
}

static int stop(void *context, const struct sg_sse_event *event)
{
	(void)event;
	(*(int *)context)++;
	return -ECANCELED;
}

static void the_callback_stops_the_feed(void **state)
{
	struct sg_sse sse;
	int calls = 0;

	(void)state;
	sg_sse_init(&sse);
	assert_int_equal(sg_sse_feed(&sse, "data: a\n\ndata: b\n\n", 18, stop, &calls), -ECANCELED);
	assert_int_equal(calls, 1);
	sg_sse_done(&sse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_the_same_in_any_cuts),
		cmocka_unit_test(cuts_at_raw_end_keep_every_other_byte),
		cmocka_unit_test(raw_end_takes_the_whole_crlf_when_it_is_there),
		cmocka_unit_test(long_events_are_cut_off_at_the_same_length_in_any_cuts),
		cmocka_unit_test(the_callback_stops_the_feed),
	};

	return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
