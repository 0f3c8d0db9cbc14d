// SPDX-License-Identifier: Apache-2.0
// Both roles of the codec against each other, in all cuts; and a server against what a client
// should not do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/h2_pair.h"

static const size_t pieces[] = { 1, 3, 100, SIZE_MAX };

static void test_a_call(void **state SG_UNUSED)
{
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct pair pair;
		struct sg_h2_stream *asked, *got;
		struct sg_h1_head head;

		begin(&pair, pieces[i]);
		asked = request(&pair,
			"POST /v1/chat HTTP/1.1\r\nHost: api.example\r\nX-Key: a b\r\n"
			"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nCookie: a=b\r\n\r\n",
			false);
		assert_int_equal(sg_h2_send(asked, "hello ", 6), 0);
		assert_int_equal(sg_h2_send(asked, "world", 5), 0);
		assert_int_equal(sg_h2_end(asked, NULL), 0);
		exchange_bytes(&pair);

		got = sg_h2_next_news(pair.server);
		assert_true(got->head_there && got->in_ended);
		assert_text(&got->head,
			"POST /v1/chat HTTP/1.1\r\nhost: api.example\r\nx-key: a b\r\n"
			"cookie: a=b\r\ntransfer-encoding: chunked\r\n\r\n");
		assert_text(&got->in, "hello world");
		sg_h2_take(got, 11);
		assert_null(sg_h2_next_news(pair.server));

		assert_int_equal(sg_h2_continue(got), 0);
		exchange_bytes(&pair);
		assert_ptr_equal(sg_h2_next_news(pair.client), asked);
		assert_text(&asked->head, "HTTP/1.1 100 Continue\r\n\r\n");
		sg_buf_release(&asked->head);
		head = parse(SG_H1_RESPONSE,
			"HTTP/1.1 200 Fine\r\nContent-Type: x\r\nTransfer-Encoding: "
			"chunked\r\n\r\n");
		assert_int_equal(sg_h2_respond(got, &head, true, false), 0);
		assert_int_equal(sg_h2_send(got, "answer", 6), 0);
		assert_int_equal(sg_h2_end(got, &(struct sg_buf){ .data = (uint8_t *)"X-Sum: 1\r\n",
							.end = 10 }),
			0);
		sg_h2_release(got, false);
		exchange_bytes(&pair);
		assert_ptr_equal(sg_h2_next_news(pair.client), asked);
		assert_text(&asked->head,
			"HTTP/1.1 200 OK\r\ncontent-type: x\r\ntransfer-encoding: chunked\r\n\r\n");
		assert_text(&asked->in, "answer");
		assert_text(&asked->trailers, "x-sum: 1\r\n");
		assert_true(asked->in_ended && asked->closed);
		assert_int_equal(asked->error, 0);
		sg_h2_release(asked, false);
		assert_int_equal(sg_h2_open_streams(pair.client), 0);
		assert_int_equal(sg_h2_open_streams(pair.server), 0);
		end(&pair);
	}
}

static void test_framing(void **state SG_UNUSED)
{
	static const struct {
		const char *request, *text;
		bool ends;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", true },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
			"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair pair;
		struct sg_h2_stream *got;

		begin(&pair, SIZE_MAX);
		request(&pair, cases[i].request, cases[i].ends);
		got = sg_h2_next_news(pair.server);
		assert_text(&got->head, cases[i].text);
		assert_int_equal(got->in_ended, cases[i].ends);
		end(&pair);
	}
}

// The peer sends no more than the owner has taken, and goes on when it has.
static void test_windows(void **state SG_UNUSED)
{
	static char block[SG_H2_STREAM_WINDOW];
	struct pair pair;
	struct sg_h2_stream *asked, *got;

	begin(&pair, SIZE_MAX);
	asked = request(&pair, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sg_h2_send(asked, block, sizeof(block)), 0);
	assert_int_equal(sg_h2_end(asked, NULL), 0);
	exchange_bytes(&pair);
	got = sg_h2_next_news(pair.server);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sg_buf_length(&got->in), SG_H2_STREAM_WINDOW);
		assert_int_equal(got->in_ended, i == 2);
		assert_int_equal(sg_h2_unsent(asked), sizeof(block) * (size_t)(2 - i));
		sg_h2_take(got, sizeof(block));
		exchange_bytes(&pair);
	}
	end(&pair);
}

static void test_resets(void **state SG_UNUSED)
{
	struct pair pair;
	struct sg_h2_stream *first, *second, *got;
	struct sg_h1_head head = parse(SG_H1_RESPONSE, "HTTP/1.1 200 OK\r\n\r\n");

	begin(&pair, SIZE_MAX);
	first = request(&pair, "POST /1 HTTP/1.1\r\nHost: a\r\n\r\n", false);
	second = request(&pair, "POST /2 HTTP/1.1\r\nHost: a\r\n\r\n", false);
	sg_h2_reset(first, SG_H2_CANCEL, false);
	exchange_bytes(&pair);
	got = sg_h2_next_news(pair.server);
	assert_true(got->closed);
	assert_int_equal(got->error, SG_H2_CANCEL);
	sg_h2_release(got, false);

	// Cut behind what was given; the client reads that, and the reset.
	got = sg_h2_next_news(pair.server);
	assert_false(got->closed);
	assert_int_equal(sg_h2_respond(got, &head, true, false), 0);
	assert_int_equal(sg_h2_send(got, "part", 4), 0);
	sg_h2_reset(got, SG_H2_INTERNAL_ERROR, true);
	exchange_bytes(&pair);
	assert_ptr_equal(sg_h2_next_news(pair.client), second);
	assert_text(&second->in, "part");
	assert_true(second->closed && !second->in_ended);
	assert_int_equal(second->error, SG_H2_INTERNAL_ERROR);
	sg_h2_release(second, false);
	end(&pair);
}

// An answer that does not wait for the request's end tells the client to stop sending.
static void test_early_answer(void **state SG_UNUSED)
{
	struct pair pair;
	struct sg_h2_stream *asked, *got;
	struct sg_h1_head head =
		parse(SG_H1_RESPONSE, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n");

	begin(&pair, SIZE_MAX);
	asked = request(&pair, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", false);
	got = sg_h2_next_news(pair.server);
	assert_int_equal(sg_h2_respond(got, &head, true, false), 0);
	assert_int_equal(sg_h2_send(got, "no", 2), 0);
	assert_int_equal(sg_h2_end(got, NULL), 0);
	sg_h2_release(got, true);
	exchange_bytes(&pair);
	assert_text(&asked->in, "no");
	assert_true(asked->in_ended && asked->closed);
	assert_int_equal(asked->error, SG_H2_NO_ERROR);
	assert_int_equal(sg_h2_open_streams(pair.server), 0);
	end(&pair);
}

static void test_shut_down(void **state SG_UNUSED)
{
	struct pair pair;

	begin(&pair, SIZE_MAX);
	exchange_bytes(&pair);
	assert_true(sg_h2_can_request(pair.client));
	sg_h2_shut_down(pair.server);
	exchange_bytes(&pair);
	assert_false(sg_h2_can_request(pair.client));
	assert_true(sg_h2_is_over(pair.server));
	end(&pair);
}

// ---- What a client should not do: frames made by hand ----

static const uint8_t start[] = SG_H2_PREFACE "\0\0\0\x04\0\0\0\0"; // an empty SETTINGS

static void put_request(struct sg_buf *block, const char *authority)
{
	put_field(block, ":method", "GET");
	put_field(block, ":scheme", "https");
	put_field(block, ":path", "/");
	put_field(block, ":authority", authority);
}

// What becomes of a request with one more field: a head, or a reset.
static bool is_taken(const char *name, const char *value)
{
	struct sg_buf wire = { .data = NULL }, block = { .data = NULL };
	struct sg_h2_stream *stream;
	struct sg_h2 *server;
	bool taken;

	assert_int_equal(sg_h2_new(SG_H2_SERVER, &server), 0);
	// The embedded zeros of the preface's array end with a NUL of its own.
	assert_int_equal(sg_buf_append(&wire, start, sizeof(start)), 0);
	put_request(&block, "api.example");
	put_field(&block, name, value);
	put_frame(&wire, 1, 5, 1, sg_buf_head(&block), sg_buf_length(&block));
	assert_int_equal(sg_h2_feed(server, sg_buf_head(&wire), sg_buf_length(&wire), 0), 0);
	stream = sg_h2_next_news(server);
	taken = stream && stream->head_there;
	sg_buf_release(&wire);
	sg_buf_release(&block);
	sg_h2_free(server);
	return taken;
}

static void test_strict_fields(void **state SG_UNUSED)
{
	assert_true(is_taken("x-a", "b"));
	assert_true(is_taken("te", "trailers"));
	assert_true(is_taken("host", "API.example"));
	assert_false(is_taken("host", "other.example"));
	assert_false(is_taken("X-A", "b"));
	assert_false(is_taken("connection", "close"));
	assert_false(is_taken("transfer-encoding", "chunked"));
	assert_false(is_taken("keep-alive", "1"));
	assert_false(is_taken("upgrade", "websocket"));
	assert_false(is_taken("te", "gzip"));
	assert_false(is_taken("x a", "b"));
	assert_false(is_taken("x-a", "b\r\nx-b: c"));
	assert_false(is_taken("x-a", " b"));
	assert_false(is_taken(":path", "/again"));
	assert_false(is_taken(":protocol", "websocket"));
	assert_false(is_taken("content-length", "-1"));
	assert_false(is_taken("content-length", "5")); // no body came
}

// Feeds one frame again and again; returns how many were taken before the connection ended.
static unsigned flood(uint8_t type, uint8_t flags, uint32_t id, const char *payload, size_t length)
{
	struct sg_buf wire = { .data = NULL }, out = { .data = NULL };
	struct sg_h2 *server;
	unsigned count = 0;
	int r;

	assert_int_equal(sg_h2_new(SG_H2_SERVER, &server), 0);
	r = sg_h2_feed(server, start, sizeof(start), 0);
	put_frame(&wire, type, flags, id, payload, length);
	while (r == 0 && !sg_h2_is_over(server) && count < 100000) {
		r = sg_h2_feed(server, sg_buf_head(&wire), sg_buf_length(&wire), 0);
		assert_int_equal(sg_h2_drain(server, &out, SIZE_MAX), 0);
		sg_buf_release(&out);
		count++;
	}
	sg_buf_release(&wire);
	sg_h2_free(server);
	return count;
}

static void test_floods(void **state SG_UNUSED)
{
	assert_in_range(flood(6, 0, 0, "12345678", 8), 500, 2000);   // PING
	assert_in_range(flood(4, 0, 0, "", 0), 500, 2000);	     // SETTINGS
	assert_in_range(flood(2, 0, 5, "\0\0\0\0\1", 5), 500, 2000); // PRIORITY
}

// A request, and its reset, for ever: ended, and an honest pace is not.
static void reset_calls(int64_t ms_between, unsigned *ret_count)
{
	struct sg_buf wire = { .data = NULL }, block = { .data = NULL }, out = { .data = NULL };
	struct sg_h2_stream *stream;
	struct sg_h2 *server;
	int r;

	assert_int_equal(sg_h2_new(SG_H2_SERVER, &server), 0);
	r = sg_h2_feed(server, start, sizeof(start), 0);
	put_request(&block, "a");
	for (*ret_count = 0; r == 0 && !sg_h2_is_over(server) && *ret_count < 3000; ++*ret_count) {
		put_frame(&wire, 1, 5, *ret_count * 2 + 1, sg_buf_head(&block),
			sg_buf_length(&block));
		put_frame(&wire, 3, 0, *ret_count * 2 + 1, "\0\0\0\x08", 4);
		r = sg_h2_feed(server, sg_buf_head(&wire), sg_buf_length(&wire),
			(int64_t)*ret_count * ms_between);
		while ((stream = sg_h2_next_news(server)))
			sg_h2_release(stream, false);
		assert_int_equal(sg_h2_drain(server, &out, SIZE_MAX), 0);
		sg_buf_release(&out);
		sg_buf_release(&wire);
	}
	sg_buf_release(&block);
	sg_h2_free(server);
}

static void test_rapid_reset(void **state SG_UNUSED)
{
	unsigned count;

	reset_calls(0, &count);
	assert_in_range(count, 100, 1500);
}

static void test_too_many_streams(void **state SG_UNUSED)
{
	struct sg_h1_head head = parse(SG_H1_REQUEST, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
	struct pair pair;
	struct sg_h2_stream *stream;
	unsigned heads = 0;

	begin(&pair, SIZE_MAX);
	// Before the server's SETTINGS are known to the client.
	for (int i = 0; i < SG_H2_MAX_STREAMS + 20; i++)
		assert_int_equal(sg_h2_request(pair.client, &head, true, false, &pair, &stream), 0);
	carry(pair.client, pair.server, SIZE_MAX);
	while ((stream = sg_h2_next_news(pair.server)))
		heads += stream->head_there;
	assert_int_equal(heads, SG_H2_MAX_STREAMS);
	end(&pair);
}

// A field of 3000 bytes, and then its number in the table, a byte each.
static struct sg_h2_stream *take_large_head(struct sg_h2 *server, unsigned times)
{
	static char value[3000];
	struct sg_buf wire = { .data = NULL }, block = { .data = NULL };

	memset(value, 'a', sizeof(value));
	assert_int_equal(sg_buf_append(&wire, start, sizeof(start)), 0);
	put_request(&block, "a");
	assert_int_equal(sg_buf_append(&block, "\x40\x03x-a\x7f\xb9\x16", 8), 0);
	assert_int_equal(sg_buf_append(&block, value, sizeof(value)), 0);
	for (unsigned i = 1; i < times; i++)
		assert_int_equal(sg_buf_append(&block, "\xbe", 1), 0);
	put_frame(&wire, 1, 5, 1, sg_buf_head(&block), sg_buf_length(&block));
	assert_int_equal(sg_h2_feed(server, sg_buf_head(&wire), sg_buf_length(&wire), 0), 0);
	sg_buf_release(&wire);
	sg_buf_release(&block);
	return sg_h2_next_news(server);
}

static void test_large_head(void **state SG_UNUSED)
{
	for (unsigned times = 20; times <= 1000; times += 980) {
		struct sg_h2_stream *stream;
		struct sg_h2 *server;

		assert_int_equal(sg_h2_new(SG_H2_SERVER, &server), 0);
		stream = take_large_head(server, times);
		assert_true(stream->head_there);
		assert_int_equal(stream->head_too_large, times == 1000);
		assert_true(sg_buf_length(&stream->head) < 2 * SG_H1_MAX_HEAD_BYTES);
		sg_h2_free(server);
	}
}

static void test_not_http2(void **state SG_UNUSED)
{
	struct sg_h2 *server;

	assert_int_equal(sg_h2_new(SG_H2_SERVER, &server), 0);
	assert_int_equal(sg_h2_feed(server, "GET / HTTP/1.1\r\n\r\nxxxxxxxxxxxx", 30, 0), -EPROTO);
	sg_h2_free(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_shut_down),
		cmocka_unit_test(test_strict_fields),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_rapid_reset),
		cmocka_unit_test(test_too_many_streams),
		cmocka_unit_test(test_large_head),
		cmocka_unit_test(test_not_http2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
