// SPDX-License-Identifier: Apache-2.0
// Amazon's frames, made here by the format's description, in all cuts; what is torn or tampered
// with is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <zlib.h>

#include "http/frames.h"
#include "lib/feed.h"

struct seen {
	unsigned count;
	struct sg_frame last;
	char payloads[256];
};

static void on_frame(void *context, const struct sg_frame *frame)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = *frame;
	strncat(seen->payloads, frame->payload, frame->payload_length);
}

static void put_u32(uint8_t *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t put_header(uint8_t *out, const char *name, const char *value)
{
	size_t name_length = strlen(name), length = strlen(value);

	out[0] = (uint8_t)name_length;
	memcpy(out + 1, name, name_length);
	out[1 + name_length] = 7;
	out[2 + name_length] = (uint8_t)(length >> 8);
	out[3 + name_length] = (uint8_t)length;
	memcpy(out + 4 + name_length, value, length);
	return 4 + name_length + length;
}

static size_t put_frame(
	uint8_t *out, const char *kind, const char *key, const char *type, const char *payload)
{
	size_t headers = put_header(out + 12, ":message-type", kind), length;

	headers += put_header(out + 12 + headers, key, type);
	memcpy(out + 12 + headers, payload, strlen(payload));
	length = 12 + headers + strlen(payload) + 4;
	put_u32(out, (uint32_t)length);
	put_u32(out + 4, (uint32_t)headers);
	put_u32(out + 8, (uint32_t)crc32(0, out, 8));
	put_u32(out + length - 4, (uint32_t)crc32(0, out, (uInt)length - 4));
	return length;
}

static uint8_t wire[1024];
static size_t wire_length;

static int feed(struct feeder *feeder, size_t length, struct seen *seen)
{
	struct sg_frames frames = { 0 };
	int r = 0;

	memset(seen, 0, sizeof(*seen));
	for (size_t at = 0, piece; r == 0 && at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		r = sg_frames_feed(&frames, (const char *)wire + at, piece, on_frame, seen);
	}
	sg_frames_done(&frames);
	return r;
}

static void make_two(void)
{
	wire_length = put_frame(wire, "event", ":event-type", "messageStart", "{\"a\":1}");
	wire_length += put_frame(
		wire + wire_length, "exception", ":exception-type", "throttlingException", "{}");
}

static void read_two(struct feeder *feeder, const void *row)
{
	struct seen seen;

	(void)row;
	assert_int_equal(feed(feeder, wire_length, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.payloads, "{\"a\":1}{}");
	assert_string_equal(seen.last.type, "throttlingException");
	assert_true(seen.last.is_exception);
}

static void frames_in_all_cuts(void **state)
{
	(void)state;
	make_two();
	feed_all(read_two, NULL);
}

// Any one bit that is wrong is found by a checksum; never is a frame told that was not sent.
static void a_flipped_bit_is_found(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };
	struct seen seen;

	(void)state;
	wire_length = put_frame(wire, "event", ":event-type", "metadata", "{\"usage\":{}}");
	for (size_t bit = 0; bit < wire_length * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(feed(&whole, wire_length, &seen), -EBADMSG);
		assert_int_equal(seen.count, 0);
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(feed(&whole, wire_length, &seen), 0);
	assert_int_equal(seen.count, 1);
}

static void what_is_cut_is_not_told(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };
	struct seen seen;

	(void)state;
	make_two();
	for (size_t length = 0; length < wire_length; length++) {
		assert_int_equal(feed(&whole, length, &seen), 0);
		assert_true(seen.count < 2);
	}
}

static void a_frame_that_is_too_long(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };
	struct seen seen;

	(void)state;
	put_u32(wire, SG_FRAME_MAX_BYTES + 1);
	put_u32(wire + 4, 0);
	put_u32(wire + 8, (uint32_t)crc32(0, wire, 8));
	assert_int_equal(feed(&whole, 12, &seen), -EBADMSG);
	put_u32(wire, 15);
	put_u32(wire + 8, (uint32_t)crc32(0, wire, 8));
	assert_int_equal(feed(&whole, 12, &seen), -EBADMSG);
	put_u32(wire, 16);
	put_u32(wire + 4, 1);
	put_u32(wire + 8, (uint32_t)crc32(0, wire, 8));
	assert_int_equal(feed(&whole, 12, &seen), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_in_all_cuts),
		cmocka_unit_test(a_flipped_bit_is_found),
		cmocka_unit_test(what_is_cut_is_not_told),
		cmocka_unit_test(a_frame_that_is_too_long),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
