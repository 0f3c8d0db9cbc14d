// SPDX-License-Identifier: Apache-2.0
#include "http/sse.h"

#include <errno.h>
#include <string.h>

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

static int add_data(struct sg_sse *sse, const char *value, size_t length)
{
	int r = 0;

	if (sse->truncated)
		return 0;
	if (sg_buf_length(&sse->data) + length + 1 > SG_SSE_MAX_EVENT_BYTES) {
		sse->truncated = true;
		return 0;
	}
	if (sse->has_data)
		r = sg_buf_append(&sse->data, "\n", 1);
	if (r == 0)
		r = sg_buf_append(&sse->data, value, length);
	sse->has_data = true;
	return r;
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
	struct sg_sse_event event = { .name = sse->name,
		.name_length = sse->name_length,
		.data = sg_buf_length(&sse->data) ? (const char *)sg_buf_head(&sse->data) : "",
		.data_length = sg_buf_length(&sse->data),
		.truncated = sse->truncated,
		.raw_end = raw_end };
	int r = on_event(context, &event);

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
	sg_buf_consume(&sse->line, sg_buf_length(&sse->line));
	if (sse->line.capacity > KEPT_BYTES)
		sg_buf_release(&sse->line);
	return r;
}

static const char *find_lf(const char *from, const char *end)
{
	const char *lf = memchr(from, '\n', (size_t)(end - from));

	return lf ? lf : end;
}

// The first CR or LF, NULL if none. `*lf` is the first LF at or behind an earlier `from` (`end` if
// none): it is not looked for again at each CR of a stream that ends its lines with CR.
static const char *find_line_end(const char *from, const char *end, const char **lf)
{
	const char *cr;

	if (*lf < from)
		*lf = find_lf(from, end);
	cr = memchr(from, '\r', (size_t)(*lf - from));
	if (cr)
		return cr;
	return *lf < end ? *lf : NULL;
}

int sg_sse_feed(struct sg_sse *sse, const char *bytes, size_t length, sg_sse_event_fn on_event,
	void *context)
{
	const char *at = bytes, *end = bytes + length, *lf;
	int r = 0;

	if (!length)
		return 0;
	lf = find_lf(bytes, end);
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
		line_end = find_line_end(at, end, &lf);
		if (!line_end)
			return keep_part(sse, at, (size_t)(end - at));
		sse->last_was_cr = *line_end == '\r';
		raw_end = (size_t)(line_end + 1 - bytes);
		if (sse->last_was_cr && line_end + 1 < end && line_end[1] == '\n') {
			sse->last_was_cr = false;
			raw_end++;
		}
		r = end_line(sse, at, (size_t)(line_end - at), raw_end, on_event, context);
		at = bytes + raw_end;
	}
	return r;
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
