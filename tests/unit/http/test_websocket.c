// SPDX-License-Identifier: Apache-2.0
// WebSocket frames: the examples of RFC 6455, 5.7, in all cuts, and what must be refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "http/websocket.h"
#include "lib/feed.h"

#define BYTES(...) ((const uint8_t[]){ __VA_ARGS__ }), sizeof((const uint8_t[]){ __VA_ARGS__ })

// What a row's bytes say, written down: data as it is, [ before a message's last byte, ] after it,
// {opcode:status:payload} for a control frame.
struct row {
	enum sg_websocket_side side;
	const uint8_t *bytes;
	size_t length;
	const char *said;
};

static int read_all(struct feeder *feeder, enum sg_websocket_side side, const uint8_t *bytes,
	size_t length, char *said)
{
	struct sg_websocket websocket;
	char unmasked[3];

	sg_websocket_init(&websocket, side);
	*said = 0;
	for (size_t at = 0; at < length;) {
		size_t piece_length = feed_next(feeder, length - at);
		size_t end = at + piece_length;

		while (at < end) {
			struct sg_websocket_piece piece;
			ssize_t n = sg_websocket_take(&websocket, (const char *)bytes + at,
				end - at, unmasked, sizeof(unmasked), &piece);

			if (n < 0)
				return (int)n;
			at += (size_t)n;
			if (piece.what == SG_WEBSOCKET_CONTROL)
				sprintf(said + strlen(said), "{%u:%u:%.*s}", piece.opcode,
					piece.status, (int)piece.length, piece.data);
			else if (piece.what == SG_WEBSOCKET_LAST)
				strcat(said, "[");
			else if (piece.what == SG_WEBSOCKET_MESSAGE_END)
				strcat(said, "]");
			if (piece.what == SG_WEBSOCKET_DATA || piece.what == SG_WEBSOCKET_LAST)
				strncat(said, piece.data, piece.length);
		}
	}
	return 0;
}

static void read_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	char said[512];

	assert_int_equal(read_all(feeder, row->side, row->bytes, row->length, said), 0);
	assert_string_equal(said, row->said);
}

static void examples_of_the_standard(void **state)
{
	const struct row rows[] = {
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x81, 5, 'H', 'e', 'l', 'l', 'o'), "Hell[o]" },
		{ SG_WEBSOCKET_FROM_CLIENT,
			BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
			"Hell[o]" },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x01, 3, 'H', 'e', 'l', 0x80, 2, 'l', 'o'),
			"Hell[o]" },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x89, 5, 'H', 'e', 'l', 'l', 'o'),
			"{9:0:Hello}" },
		{ SG_WEBSOCKET_FROM_CLIENT,
			BYTES(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
			"{10:0:Hello}" },
		// A ping between two fragments, two messages, a message that ends with an empty
		// frame, an empty one, and a Close with and without a status.
		{ SG_WEBSOCKET_FROM_SERVER,
			BYTES(0x02, 1, 'a', 0x89, 0, 0x00, 1, 'b', 0x80, 1, 'c', 0x81, 1, 'd'),
			"a{9:0:}b[c][d]" },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x01, 2, 'a', 'b', 0x80, 0, 0x81, 0), "ab[][]" },
		{ SG_WEBSOCKET_FROM_CLIENT, BYTES(0x81, 0x80, 1, 2, 3, 4), "[]" },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x88, 4, 0x03, 0xf0, 'n', 'o'), "{8:1008:no}" },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x88, 0), "{8:1005:}" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(read_row, &rows[i]);
}

// Lengths of both larger kinds, written and read again, masked and not.
static void lengths(void **state)
{
	static const size_t sizes[] = { 1, 125, 126, 127, 65535, 65536, 70001 };
	static const uint8_t mask[4] = { 0x81, 0, 0xff, 0x42 };
	static char payload[70001], read_back[70001];

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (char)(i * 7);
	for (size_t i = 0; i < 2 * SG_ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i / 2], got = 0, at = 0, ends = 0;
		struct sg_buf wire = { 0 };
		struct sg_websocket websocket;
		char unmasked[1000];

		sg_websocket_init(
			&websocket, i % 2 ? SG_WEBSOCKET_FROM_CLIENT : SG_WEBSOCKET_FROM_SERVER);
		assert_int_equal(sg_websocket_put(&wire, SG_WEBSOCKET_BINARY, i % 2 ? mask : NULL,
					 payload, size),
			0);
		while (at < sg_buf_length(&wire)) {
			struct sg_websocket_piece piece;
			ssize_t n = sg_websocket_take(&websocket,
				(const char *)sg_buf_head(&wire) + at, sg_buf_length(&wire) - at,
				unmasked, sizeof(unmasked), &piece);

			assert_true(n >= 0);
			at += (size_t)n;
			ends += piece.what == SG_WEBSOCKET_MESSAGE_END;
			memcpy(read_back + got, piece.data ? piece.data : "", piece.length);
			got += piece.length;
		}
		assert_int_equal(got, size);
		assert_int_equal(ends, 1);
		assert_memory_equal(read_back, payload, size);
		assert_true(sg_websocket_is_between(&websocket));
		sg_buf_release(&wire);
	}
}

static void refuse_row(struct feeder *feeder, const void *context)
{
	const struct row *row = context;
	char said[512];

	assert_int_equal(read_all(feeder, row->side, row->bytes, row->length, said), -EBADMSG);
}

static void what_is_refused(void **state)
{
	const struct row rows[] = {
		// no mask from a client, a mask from a server
		{ SG_WEBSOCKET_FROM_CLIENT, BYTES(0x81, 1, 'a'), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x81, 0x81, 1, 2, 3, 4, 'a'), NULL },
		// a reserved bit (a compressed message), a reserved opcode
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0xc1, 1, 'a'), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x83, 1, 'a'), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x8b, 0), NULL },
		// control frames that are long, or in fragments; half a status
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x89, 126, 0, 126), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x09, 0), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x88, 1, 3), NULL },
		// a continuation of nothing, a message within a message
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x80, 1, 'a'), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x01, 1, 'a', 0x81, 1, 'b'), NULL },
		// lengths that could be written shorter, or are none
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x81, 126, 0, 125), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), NULL },
		{ SG_WEBSOCKET_FROM_SERVER, BYTES(0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), NULL },
	};
	struct sg_websocket websocket;
	struct sg_websocket_piece piece;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(refuse_row, &rows[i]);
	// It sticks.
	sg_websocket_init(&websocket, SG_WEBSOCKET_FROM_SERVER);
	assert_int_equal(sg_websocket_take(&websocket, "\xc1\x01", 1, NULL, 0, &piece), 1);
	assert_int_equal(sg_websocket_take(&websocket, "\x01", 1, NULL, 0, &piece), -EBADMSG);
	assert_int_equal(sg_websocket_take(&websocket, "\x81", 1, NULL, 0, &piece), -EBADMSG);
}

// Where frames of our own may be put in.
static void places_between_frames(void **state)
{
	static const uint8_t bytes[] = { 0x01, 1, 'a', 0x80, 1, 'b' };
	// after each of the bytes
	static const bool at_frame[] = { false, false, true, false, false, true };
	static const bool between[] = { false, false, false, false, false, true };
	struct sg_websocket websocket;
	struct sg_websocket_piece piece;

	(void)state;
	sg_websocket_init(&websocket, SG_WEBSOCKET_FROM_SERVER);
	assert_true(sg_websocket_is_between(&websocket));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		while (sg_websocket_take(&websocket, (const char *)bytes + i, 1, NULL, 0, &piece) ==
			0)
			continue;
		assert_int_equal(sg_websocket_is_at_frame(&websocket), at_frame[i]);
		assert_int_equal(sg_websocket_is_between(&websocket), between[i]);
	}
}

static void a_close_with_a_long_reason(void **state)
{
	struct sg_buf wire = { 0 };
	char reason[300] = "";
	uint8_t *bytes;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		strcat(reason, "ü");
	assert_int_equal(sg_websocket_put_close(&wire, SG_WEBSOCKET_POLICY, NULL, reason), 0);
	bytes = sg_buf_head(&wire);
	// 61 whole characters of two bytes each.
	assert_int_equal(sg_buf_length(&wire), 2 + 2 + 122);
	assert_int_equal(bytes[0], 0x88);
	assert_int_equal(bytes[1], 124);
	assert_int_equal(bytes[2] << 8 | bytes[3], 1008);
	assert_memory_equal(bytes + 4, reason, 122);
	sg_buf_release(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_of_the_standard),
		cmocka_unit_test(lengths),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(places_between_frames),
		cmocka_unit_test(a_close_with_a_long_reason),
	};

	return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
