// SPDX-License-Identifier: Apache-2.0
#include "http/sse.h"

#include <errno.h>
#include <string.h>

#include "base/find.h"

// The longest value that counts, with room for a BOM and "data: " before it.
#define LINE_MAX_BYTES (SG_SSE_MAX_EVENT_BYTES + 16)

// A buffer that one long event made larger than this is given back.
#define KEPT_BYTES 65536

static const char bom[3] = { '\xef', '\xbb', '\xbf' };

void sg_sse_init(struct sg_sse *sse)
{
	*sse = (struct sg_sse){ .name_length = 0 };
}

void sg_sse_done(struct sg_sse *sse)
{
	sg_buf_release(&sse->line);
	sg_buf_release(&sse->data);
}

// The data of an event of one line, which most are, stays where it lies for as long as the bytes
// do.
static int own_data(struct sg_sse *sse)
{
	int r = 0;

	if (sse->lying)
		r = sg_buf_append(&sse->data, sse->lying, sse->lying_length);
	sse->lying = NULL;
	return r;
}

static int add_data(struct sg_sse *sse, const char *value, size_t length)
{
	size_t before = sg_buf_length(&sse->data) + (sse->lying ? sse->lying_length : 0);
	int r;

	if (sse->truncated)
		return 0;
	if (before + length + 1 > SG_SSE_MAX_EVENT_BYTES) {
		sse->truncated = true;
		return own_data(sse);
	}
	if (!sse->has_data) {
		sse->has_data = true;
		sse->lying = value;
		sse->lying_length = length;
		return 0;
	}
	r = own_data(sse);
	if (r == 0)
		r = sg_buf_append(&sse->data, "\n", 1);
	return r < 0 ? r : sg_buf_append(&sse->data, value, length);
}

// One line without its end: "field: value" (WHATWG HTML, 9.2.6). id and retry mean nothing here.
static int take_field(struct sg_sse *sse, const char *line, size_t length)
{
	const char *colon = memchr(line, ':', length);
	size_t name_length = colon ? (size_t)(colon - line) : length;
	const char *value = colon ? colon + 1 : line + length;
	size_t value_length = length - (size_t)(value - line);

	if (value_length && *value == ' ') {
		value++;
		value_length--;
	}
	if (name_length == 4 && memcmp(line, "data", 4) == 0)
		return add_data(sse, value, value_length);
	if (name_length == 5 && memcmp(line, "event", 5) == 0) {
		sse->name_length =
			value_length < sizeof(sse->name) ? value_length : sizeof(sse->name);
		memcpy(sse->name, value, sse->name_length);
	}
	return 0;
}

static int give_event(struct sg_sse *sse, size_t raw_end, sg_sse_event_fn on_event, void *context)
{
	size_t gathered = sg_buf_length(&sse->data);
	const char *data = gathered ? (const char *)sg_buf_head(&sse->data) : "";
	struct sg_sse_event event = { .name = sse->name,
		.name_length = sse->name_length,
		.data = sse->lying ? sse->lying : data,
		.data_length = sse->lying ? sse->lying_length : gathered,
		.truncated = sse->truncated,
		.raw_end = raw_end };
	int r = on_event(context, &event);

	sse->lying = NULL;
	sg_buf_consume(&sse->data, sg_buf_length(&sse->data));
	if (sse->data.capacity > KEPT_BYTES)
		sg_buf_release(&sse->data);
	sse->has_data = sse->truncated = false;
	sse->name_length = 0;
	return r;
}

static int take_line(struct sg_sse *sse, const char *line, size_t length, size_t raw_end,
	sg_sse_event_fn on_event, void *context)
{
	if (!sse->saw_first_byte) {
		sse->saw_first_byte = true;
		if (length >= sizeof(bom) && memcmp(line, bom, sizeof(bom)) == 0) {
			line += sizeof(bom);
			length -= sizeof(bom);
		}
	}
	if (!length)
		return give_event(sse, raw_end, on_event, context);
	return take_field(sse, line, length);
}

// A line that began in an earlier feed is gathered in sse->line. One is cut only where its value is
// already too long for add_data(), which so decides the same as when the line comes whole.
static int keep_part(struct sg_sse *sse, const char *bytes, size_t length)
{
	size_t room = LINE_MAX_BYTES - sg_buf_length(&sse->line);

	return sg_buf_append(&sse->line, bytes, length < room ? length : room);
}

static int end_line(struct sg_sse *sse, const char *bytes, size_t length, size_t raw_end,
	sg_sse_event_fn on_event, void *context)
{
	int r;

	if (!sg_buf_length(&sse->line))
		return take_line(sse, bytes, length, raw_end, on_event, context);
	r = keep_part(sse, bytes, length);
	if (r == 0)
		r = take_line(sse, (const char *)sg_buf_head(&sse->line), sg_buf_length(&sse->line),
			raw_end, on_event, context);
	if (r == 0)
		r = own_data(sse); // the line's buffer is about to be used again
	sg_buf_consume(&sse->line, sg_buf_length(&sse->line));
	if (sse->line.capacity > KEPT_BYTES)
		sg_buf_release(&sse->line);
	return r;
}

int sg_sse_feed(struct sg_sse *sse, const char *bytes, size_t length, sg_sse_event_fn on_event,
	void *context)
{
	const char *at = bytes, *end = bytes + length;
	int r = 0;

	while (r == 0 && at < end) {
		const char *line_end;
		size_t raw_end;

		if (sse->last_was_cr) {
			sse->last_was_cr = false;
			if (*at == '\n') {
				at++; // the second half of a CRLF whose CR ended the line
				continue;
			}
		}
		line_end = sg_find_either(at, end, '\r', '\n');
		if (!line_end) {
			r = keep_part(sse, at, (size_t)(end - at));
			break;
		}
		sse->last_was_cr = *line_end == '\r';
		raw_end = (size_t)(line_end + 1 - bytes);
		if (sse->last_was_cr && line_end + 1 < end && line_end[1] == '\n') {
			sse->last_was_cr = false;
			raw_end++;
		}
		r = end_line(sse, at, (size_t)(line_end - at), raw_end, on_event, context);
		at = bytes + raw_end;
	}
	return r ? r : own_data(sse); // the bytes are the caller's again
}

int sg_sse_finish(struct sg_sse *sse, sg_sse_event_fn on_event, void *context)
{
	int r = 0;

	if (sg_buf_length(&sse->line))
		r = end_line(sse, "", 0, 0, on_event, context);
	if (r == 0 && (sse->has_data || sse->truncated))
		r = give_event(sse, 0, on_event, context);
	return r;
}
