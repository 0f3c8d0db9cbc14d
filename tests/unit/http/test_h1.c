// SPDX-License-Identifier: Apache-2.0
// Heads and bodies: what is taken, and what two parsers could read in two ways and is therefore
// refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/h1.h"

static ssize_t parse(enum sg_h1_kind kind, const char *text, struct sg_h1_head *head)
{
	const char *reason = "";

	return sg_h1_parse_head(kind, false, text, strlen(text), head, &reason);
}

static void a_request_is_read(void **state)
{
	static const char text[] = "POST /v1/x?y=1 HTTP/1.1\r\nHost: "
				   "API.example:8443\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello";
	struct sg_h1_head head;

	(void)state;
	assert_int_equal(parse(SG_H1_REQUEST, text, &head), strlen(text) - 5);
	assert_int_equal(head.method.length, 4);
	assert_memory_equal(head.target.data, "/v1/x?y=1", 9);
	assert_memory_equal(head.host.data, "API.example", 11);
	assert_int_equal(head.host.length, 11);
	assert_int_equal(head.host_port, 8443);
	assert_int_equal(head.framing, SG_H1_LENGTH);
	assert_int_equal(head.content_length, 5);
	assert_true(head.keep_alive);
	assert_int_equal(sg_h1_find(&head, "x-a")->value.length, 1);
	assert_int_equal(sg_h1_find(&head, "X-A")->line.length, strlen("X-A:  b \r\n"));
}

static void every_prefix_wants_more(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
	struct sg_h1_head head;
	const char *reason;

	(void)state;
	for (size_t i = 0; i < strlen(text); i++)
		assert_int_equal(
			sg_h1_parse_head(SG_H1_REQUEST, false, text, i, &head, &reason), 0);
	assert_int_equal(parse(SG_H1_REQUEST, text, &head), strlen(text));
	assert_int_equal(head.framing, SG_H1_NO_BODY);
}

static void ambiguous_requests_are_refused(void **state)
{
	static const char *const rows[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
		"chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
		"5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
		"chunked\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: b\nContent-Length: 5\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.1\r\nX: y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
		"\x16\x03\x01\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_h1_head head;

		if (parse(SG_H1_REQUEST, rows[i], &head) >= 0)
			fail_msg("taken: %s", rows[i]);
	}
}

static void a_nul_is_refused(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
	struct sg_h1_head head;
	const char *reason;

	(void)state;
	assert_true(
		sg_h1_parse_head(SG_H1_REQUEST, false, text, sizeof(text) - 1, &head, &reason) < 0);
}

static void responses_are_framed(void **state)
{
	static const struct {
		const char *text;
		enum sg_h1_framing framing;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", SG_H1_LENGTH },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", SG_H1_CHUNKED },
		{ "HTTP/1.1 200 OK\r\n\r\n", SG_H1_UNTIL_CLOSE },
		{ "HTTP/1.1 204 No Content\r\n\r\n", SG_H1_NO_BODY },
		{ "HTTP/1.1 100 Continue\r\n\r\n", SG_H1_NO_BODY },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", SG_H1_NO_BODY },
	};
	struct sg_h1_head head;
	const char *reason;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		assert_true(parse(SG_H1_RESPONSE, rows[i].text, &head) > 0);
		assert_int_equal(head.framing, rows[i].framing);
	}
	assert_true(sg_h1_parse_head(SG_H1_RESPONSE, true, rows[0].text, strlen(rows[0].text),
			    &head, &reason) > 0);
	assert_int_equal(head.framing, SG_H1_NO_BODY); // an answer to HEAD
	assert_true(parse(SG_H1_RESPONSE,
			    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: "
			    "chunked\r\n\r\n",
			    &head) < 0);
}

// Feeds in pieces of `piece` bytes. Returns the raw bytes taken, or -errno; the payload is
// gathered.
static ssize_t feed(const char *raw, size_t length, size_t piece, char *payload, size_t *ret_length)
{
	struct sg_h1_head head = { .framing = SG_H1_CHUNKED };
	struct sg_h1_body body;
	size_t taken = 0;

	*ret_length = 0;
	sg_h1_body_init(&body, &head);
	while (taken < length && !sg_h1_body_is_done(&body)) {
		size_t n = length - taken < piece ? length - taken : piece;
		struct sg_str run;
		ssize_t used = sg_h1_body_feed(&body, raw + taken, n, &run);

		if (used < 0)
			return used;
		memcpy(payload + *ret_length, run.data, run.length);
		*ret_length += run.length;
		taken += (size_t)used;
	}
	return sg_h1_body_is_done(&body) ? (ssize_t)taken : 0;
}

static void chunked_bodies_are_read_in_any_pieces(void **state)
{
	static const char raw[] = "5;ext=\"1\"\r\nhello\r\n1\r\n "
				  "\r\nA\r\nbeautiful!\r\n0\r\nX-Trailer: y\r\n\r\nGET /next";

	(void)state;
	for (size_t piece = 1; piece < sizeof(raw); piece++) {
		char payload[64];
		size_t length;

		assert_int_equal(
			feed(raw, sizeof(raw) - 1, piece, payload, &length), sizeof(raw) - 1 - 9);
		assert_int_equal(length, 16);
		assert_memory_equal(payload, "hello beautiful!", 16);
	}
}

static void bad_chunks_are_refused(void **state)
{
	static const char *const rows[] = { "\r\n", "g\r\n", "0x5\r\nhello", "-1\r\n",
		"5 \r\nhello\r\n", "fffffffffffffffff\r\n", "5\nhello\r\n", "5\r\nhelloX\r\n",
		"5\r\nhello\n0\r\n\r\n", "0\r\n folded\r\n\r\n", "0\r\nX\r\n\r\n",
		"0\r\nX: a\n\r\n" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		char payload[64];
		size_t length;

		if (feed(rows[i], strlen(rows[i]), 100, payload, &length) >= 0)
			fail_msg("taken: %s", rows[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(ambiguous_requests_are_refused),
		cmocka_unit_test(a_nul_is_refused),
		cmocka_unit_test(responses_are_framed),
		cmocka_unit_test(chunked_bodies_are_read_in_any_pieces),
		cmocka_unit_test(bad_chunks_are_refused),
	};

	return cmocka_run_group_tests_name("h1", tests, NULL, NULL);
}
