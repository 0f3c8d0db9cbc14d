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
	const uint8_t *bytes, size_t available, sg_frame_fn on_frame, void *context)
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
			on_frame, context);

		if (n <= 0)
			return (int)n;
		sg_buf_consume(&frames->bytes, (size_t)n);
	}
	return r;
}
