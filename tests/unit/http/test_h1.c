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

static const char *const ambiguous_requests[] = {
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
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked;q=1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, Chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ch unked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0c\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xc2\xa0"
	"chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chun\xc4\xb1"
	"ked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\nContent-Length: "
	"5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTRANSFER-ENCODING: "
	"identity\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nTransfer-Encoding: "
	"x\r\n\r\n",
	"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer\x01-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: "
	"5\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Host\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
	"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
	"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET https://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a/ HTTP/1.0\r\n\r\n",
	"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
	"GET /\r\nHost: a\r\n\r\n",
	"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
	"GET / http/1.1\r\nHost: a\r\n\r\n",
	"get / HTTP/1.1\r\nHost: a\r\n\r\n",
	"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n",
	"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n",
	"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"\x16\x03\x01\r\n\r\n",
};

static void ambiguous_requests_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(ambiguous_requests); i++) {
		struct sg_h1_head head;

		if (parse(SG_H1_REQUEST, ambiguous_requests[i], &head) >= 0)
			fail_msg("taken: %s", ambiguous_requests[i]);
	}
}

// The other side of each boundary.
static void unambiguous_requests_are_taken(void **state)
{
	static const struct {
		const char *text;
		const char *host;
		unsigned port;
		enum sg_h1_framing framing;
		uint64_t content_length;
		bool keep_alive, upgrade, expect_continue;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "a", 0, SG_H1_NO_BODY, 0, true, false,
			false },
		{ "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "a", 0, SG_H1_NO_BODY, 0, true, false,
			false },
		{ "GET / HTTP/1.0\r\n\r\n", "", 0, SG_H1_NO_BODY, 0, false, false, false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "", 0, SG_H1_NO_BODY, 0, true,
			false, false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: x,  CLOSE\t,y\r\n\r\n", "a", 0,
			SG_H1_NO_BODY, 0, false, false, false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", "a", 0, SG_H1_NO_BODY,
			0, true, false, false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", "a", 0,
			SG_H1_NO_BODY, 0, false, false, false },
		{ "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
			"a", 0, SG_H1_NO_BODY, 0, true, true, false },
		{ "CONNECT a:443 HTTP/1.1\r\nHost: A:443\r\n\r\n", "A", 443, SG_H1_NO_BODY, 0, true,
			true, false },
		{ "GET http://A/x HTTP/1.1\r\nHost: a:80\r\n\r\n", "a", 80, SG_H1_NO_BODY, 0, true,
			false, false },
		{ "GET HTTPS://a?x HTTP/1.1\r\nHost: a\r\n\r\n", "a", 0, SG_H1_NO_BODY, 0, true,
			false, false },
		{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", 0, SG_H1_NO_BODY, 0, true, false,
			false },
		{ "GET / HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n", "[::1]", 65535, SG_H1_NO_BODY, 0,
			true, false, false },
		{ "GET / HTTP/1.1\r\nHost:\ta_b-c.d:1 \r\n\r\n", "a_b-c.d", 1, SG_H1_NO_BODY, 0,
			true, false, false },
		{ "POST / HTTP/1.1\r\nHOST: a\r\ncontent-length: 9223372036854775807\r\n\r\n", "a",
			0, SG_H1_LENGTH, INT64_MAX, true, false, false },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-Continue\r\n\r\n",
			"a", 0, SG_H1_LENGTH, 0, true, false, true },
		{ "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\t \r\n\r\n", "a", 0,
			SG_H1_CHUNKED, 0, true, false, false },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "a", 0,
			SG_H1_CHUNKED, 0, true, false, false },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING:\tcHUNKED\r\n\r\n", "a", 0,
			SG_H1_CHUNKED, 0, true, false, false },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		const char *reason = "";
		struct sg_h1_head head;
		int r = sg_h1_parse_head(
			SG_H1_REQUEST, false, rows[i].text, strlen(rows[i].text), &head, &reason);

		if (r != (int)strlen(rows[i].text))
			fail_msg("%s (%d): %s", reason, r, rows[i].text);
		assert_int_equal(head.host.length, strlen(rows[i].host));
		if (head.host.length)
			assert_memory_equal(head.host.data, rows[i].host, head.host.length);
		assert_int_equal(head.host_port, rows[i].port);
		assert_int_equal(head.framing, rows[i].framing);
		assert_int_equal(head.content_length, rows[i].content_length);
		assert_int_equal(head.keep_alive, rows[i].keep_alive);
		assert_int_equal(head.upgrade, rows[i].upgrade);
		assert_int_equal(head.expect_continue, rows[i].expect_continue);
	}
}

static void empty_and_blank_values_are_taken(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nX-A:\r\nHost: a\r\nX-B:  \t\r\nX-C: c d "
				   "\r\nConnection:\r\nX-D:\r\n\r\n";
	struct sg_h1_head head;

	(void)state;
	assert_int_equal(parse(SG_H1_REQUEST, text, &head), strlen(text));
	assert_int_equal(head.header_count, 6);
	assert_int_equal(sg_h1_find(&head, "x-a")->value.length, 0);
	assert_int_equal(sg_h1_find(&head, "x-b")->value.length, 0);
	assert_int_equal(sg_h1_find(&head, "x-c")->value.length, 3);
	assert_int_equal(sg_h1_find(&head, "connection")->value.length, 0);
	assert_int_equal(sg_h1_find(&head, "x-d")->value.length, 0);
	assert_null(sg_h1_find(&head, "x-"));
}

static void a_repeated_header_is_seen(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nX-A: a\r\nHost: a\r\nX-B: b\r\nx-a:\r\n\r\n";
	struct sg_h1_head head;

	(void)state;
	assert_int_equal(parse(SG_H1_REQUEST, text, &head), strlen(text));
	assert_true(sg_h1_is_repeated(&head, "x-A"));
	assert_false(sg_h1_is_repeated(&head, "x-b"));
	assert_false(sg_h1_is_repeated(&head, "x-"));
}

// As many headers and bytes as there may be, and one more.
static void heads_are_bounded(void **state)
{
	static char text[SG_H1_MAX_HEAD_BYTES + 100];
	static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\n";
	struct sg_h1_head head;
	const char *reason;
	size_t length;

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		length = (size_t)sprintf(text, "%s", start);
		for (size_t i = 1; i < SG_H1_MAX_HEADERS + extra; i++)
			length += (size_t)sprintf(text + length, "X: y\r\n");
		length += (size_t)sprintf(text + length, "\r\n");
		assert_int_equal(
			sg_h1_parse_head(SG_H1_REQUEST, false, text, length, &head, &reason),
			extra ? -EMSGSIZE : (int)length);
	}
	for (size_t extra = 0; extra < 2; extra++) {
		length = SG_H1_MAX_HEAD_BYTES + extra;
		memset(text, 'x', length);
		memcpy(text, start, strlen(start));
		memcpy(text + strlen(start), "X: ", 3);
		memcpy(text + length - 4, "\r\n\r\n", 4);
		assert_int_equal(
			sg_h1_parse_head(SG_H1_REQUEST, false, text, length, &head, &reason),
			extra ? -EMSGSIZE : (int)length);
		assert_int_equal(sg_h1_parse_head(SG_H1_REQUEST, false, text,
					 SG_H1_MAX_HEAD_BYTES - 1, &head, &reason),
			0);
	}
}

static void bad_responses_are_refused(void **state)
{
	static const char *const rows[] = {
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 200 O\x01K\r\n\r\n",
		"HTTP/1.1 200 OK\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
		"HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_h1_head head;

		if (parse(SG_H1_RESPONSE, rows[i], &head) != -EBADMSG)
			fail_msg("not refused: %s", rows[i]);
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
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", SG_H1_CHUNKED },
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

// `fill` bytes of 'x' between `before` and `after`.
static bool is_body_taken(const char *before, size_t fill, const char *after)
{
	static char raw[65536], payload[64];
	size_t length = (size_t)sprintf(raw, "%s", before), ignored;

	memset(raw + length, 'x', fill);
	length += fill;
	length += (size_t)sprintf(raw + length, "%s", after);
	return feed(raw, length, SIZE_MAX, payload, &ignored) == (ssize_t)length &&
	       feed(raw, length, 1, payload, &ignored) == (ssize_t)length;
}

static void chunk_lines_and_trailers_are_bounded(void **state)
{
	(void)state;
	assert_true(is_body_taken("0;", 4096, "\r\n\r\n"));
	assert_false(is_body_taken("0;", 4097, "\r\n\r\n"));
	assert_true(is_body_taken("0\r\nX:", 16384 - 6, "\r\n\r\n"));
	assert_false(is_body_taken("0\r\nX:", 16384 - 5, "\r\n\r\n"));
	assert_true(is_body_taken("0000000000000000", 0, "\r\n\r\n"));
	assert_false(is_body_taken("00000000000000000", 0, "\r\n\r\n"));
	assert_true(is_body_taken("0;a=\t\"b\"", 0, "\r\n\r\n"));
	assert_false(is_body_taken("0;a\x01", 0, "\r\n\r\n"));
	assert_false(is_body_taken("0;a\n", 0, "\r\n\r\n"));
	assert_false(is_body_taken("0\r\nX : y", 0, "\r\n\r\n"));
	assert_false(is_body_taken("0\r\n: y", 0, "\r\n\r\n"));
	assert_false(is_body_taken("0\r\nX: y\rz", 0, "\r\n\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_read),
		cmocka_unit_test(every_prefix_wants_more),
		cmocka_unit_test(ambiguous_requests_are_refused),
		cmocka_unit_test(unambiguous_requests_are_taken),
		cmocka_unit_test(empty_and_blank_values_are_taken),
		cmocka_unit_test(a_repeated_header_is_seen),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(bad_responses_are_refused),
		cmocka_unit_test(a_nul_is_refused),
		cmocka_unit_test(responses_are_framed),
		cmocka_unit_test(chunked_bodies_are_read_in_any_pieces),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(chunk_lines_and_trailers_are_bounded),
	};

	return cmocka_run_group_tests_name("h1", tests, NULL, NULL);
}
