// SPDX-License-Identifier: Apache-2.0
#include "http/frames.h"

#include <errno.h>
#include <string.h>

#include <zlib.h>

#define PRELUDE_BYTES  12 // length, length of headers, checksum of both
#define CHECKSUM_BYTES 4
#define STRING_TYPE    7

static uint32_t read_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static uint32_t checksum(const uint8_t *bytes, size_t length)
{
	return (uint32_t)crc32(0, bytes, (uInt)length);
}

static bool name_is(const uint8_t *name, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(name, text, length) == 0;
}

static void take_header(struct sg_frame *frame, const uint8_t *name, size_t name_length,
	const uint8_t *value, size_t length)
{
	bool is_type = name_is(name, name_length, ":event-type") ||
		       name_is(name, name_length, ":exception-type") ||
		       name_is(name, name_length, ":error-code");

	if (name_is(name, name_length, ":message-type"))
		frame->is_exception = !name_is(value, length, "event");
	if (!is_type || length >= sizeof(frame->type))
		return;
	memcpy(frame->type, value, length);
	frame->type[length] = 0;
}

// The name (a length of one byte), a byte for the type, and of strings, the only ones that are used
// here, a length of two bytes.
static int read_headers(struct sg_frame *frame, const uint8_t *bytes, size_t length)
{
	while (length) {
		size_t name_length = bytes[0], value_length;
		const uint8_t *value;

		if (length < 1 + name_length + 3 || bytes[1 + name_length] != STRING_TYPE)
			return -EBADMSG;
		value = bytes + 1 + name_length + 3;
		value_length = (size_t)value[-2] << 8 | value[-1];
		if (length < 1 + name_length + 3 + value_length)
			return -EBADMSG;
		take_header(frame, bytes + 1, name_length, value, value_length);
		bytes = value + value_length;
		length -= 1 + name_length + 3 + value_length;
	}
	return 0;
}

// Returns the length of the frame at the head, 0 when it is not all there, or -EBADMSG.
static ssize_t take_frame(
	const uint8_t *bytes, size_t available, size_t fed, sg_frame_fn on_frame, void *context)
{
	struct sg_frame frame = { .type = "" };
	size_t length, headers;

	if (available < PRELUDE_BYTES)
		return 0;
	length = read_u32(bytes);
	headers = read_u32(bytes + 4);
	if (checksum(bytes, 8) != read_u32(bytes + 8) || length > SG_FRAME_MAX_BYTES ||
		length < PRELUDE_BYTES + CHECKSUM_BYTES ||
		headers > length - PRELUDE_BYTES - CHECKSUM_BYTES)
		return -EBADMSG;
	if (available < length)
		return 0;
	if (checksum(bytes, length - CHECKSUM_BYTES) != read_u32(bytes + length - CHECKSUM_BYTES) ||
		read_headers(&frame, bytes + PRELUDE_BYTES, headers) < 0)
		return -EBADMSG;
	frame.payload = (const char *)bytes + PRELUDE_BYTES + headers;
	frame.payload_length = length - PRELUDE_BYTES - CHECKSUM_BYTES - headers;
	frame.raw_end = fed - (available - length);
	on_frame(context, &frame);
	return (ssize_t)length;
}

void sg_frames_done(struct sg_frames *frames)
{
	sg_buf_release(&frames->bytes);
}

int sg_frames_feed(struct sg_frames *frames, const char *bytes, size_t length, sg_frame_fn on_frame,
	void *context)
{
	int r = sg_buf_append(&frames->bytes, bytes, length);

	while (r == 0) {
		ssize_t n = take_frame(sg_buf_head(&frames->bytes), sg_buf_length(&frames->bytes),
			length, on_frame, context);

		if (n <= 0)
			return (int)n;
		sg_buf_consume(&frames->bytes, (size_t)n);
	}
	return r;
}

// ---- Our own ----

static void write_u32(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 24);
	bytes[1] = (uint8_t)(value >> 16);
	bytes[2] = (uint8_t)(value >> 8);
	bytes[3] = (uint8_t)value;
}

// A string header: names and values of ours are short.
static int append_header(struct sg_buf *out, const char *name, const char *value)
{
	const uint8_t name_length = (uint8_t)strlen(name);
	const uint8_t between[] = { STRING_TYPE, 0, (uint8_t)strlen(value) };
	int r = sg_buf_append(out, &name_length, 1);

	if (r == 0)
		r = sg_buf_append(out, name, name_length);
	if (r == 0)
		r = sg_buf_append(out, between, sizeof(between));
	return r == 0 ? sg_buf_append(out, value, strlen(value)) : r;
}

// The headers, and room for the prelude that tells their length.
static int append_head(struct sg_buf *frame, const char *event_type)
{
	static const uint8_t prelude[PRELUDE_BYTES];
	int r = sg_buf_append(frame, prelude, sizeof(prelude));

	if (r == 0)
		r = append_header(frame, ":event-type", event_type);
	if (r == 0)
		r = append_header(frame, ":content-type", "application/json");
	return r == 0 ? append_header(frame, ":message-type", "event") : r;
}

int sg_frame_append(struct sg_buf *out, const char *event_type, const char *payload)
{
	static const uint8_t no_checksum[CHECKSUM_BYTES];
	struct sg_buf frame = { .data = NULL };
	int r = append_head(&frame, event_type);
	size_t headers = sg_buf_length(&frame) - (r == 0 ? PRELUDE_BYTES : 0), length;
	uint8_t *bytes;

	if (r == 0)
		r = sg_buf_append(&frame, payload, strlen(payload));
	if (r == 0)
		r = sg_buf_append(&frame, no_checksum, sizeof(no_checksum));
	if (r == 0) {
		bytes = sg_buf_head(&frame);
		length = sg_buf_length(&frame);
		write_u32(bytes, (uint32_t)length);
		write_u32(bytes + 4, (uint32_t)headers);
		write_u32(bytes + 8, checksum(bytes, 8));
		write_u32(
			bytes + length - CHECKSUM_BYTES, checksum(bytes, length - CHECKSUM_BYTES));
		r = sg_buf_append(out, bytes, length);
	}
	sg_buf_release(&frame);
	return r;
}
