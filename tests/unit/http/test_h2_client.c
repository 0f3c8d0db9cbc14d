// SPDX-License-Identifier: Apache-2.0
// The client's side of HTTP/2: what a provider may say, and what becomes of calls that it does not
// take.
#include <errno.h>

#include "lib/h2_pair.h"

static const char get[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";

static struct sg_h2_stream *ask(struct sg_h2 *client, const char *text)
{
	struct sg_h1_head head = parse(SG_H1_REQUEST, text);
	struct sg_h2_stream *stream;

	assert_int_equal(sg_h2_request(client, &head, true, true, client, &stream), 0);
	return stream;
}

static void answer(struct sg_h2_stream *stream, const char *text, bool ends)
{
	struct sg_h1_head head = parse(SG_H1_RESPONSE, text);

	assert_int_equal(sg_h2_respond(stream, &head, true, ends), 0);
}

// A frame of the server's, by hand. The client has drained what it had to say.
static void say(struct sg_h2 *client, uint8_t type, uint8_t flags, uint32_t id, const char *payload,
	size_t length)
{
	struct sg_buf wire = { .data = NULL };

	put_frame(&wire, type, flags, id, payload, length);
	assert_int_equal(sg_h2_feed(client, sg_buf_head(&wire), sg_buf_length(&wire), 0), 0);
	sg_buf_release(&wire);
}

static void drop_output(struct sg_h2 *client)
{
	struct sg_buf out = { .data = NULL };

	assert_int_equal(sg_h2_drain(client, &out, SIZE_MAX), 0);
	sg_buf_release(&out);
}

static struct sg_h2 *begin_client(void)
{
	struct sg_h2 *client;

	assert_int_equal(sg_h2_new(SG_H2_CLIENT, &client), 0);
	say(client, 4, 0, 0, "", 0); // SETTINGS
	return client;
}

static void test_interim_heads_are_not_lost(void **state SG_UNUSED)
{
	struct pair pair;
	struct sg_h2_stream *asked, *got;

	begin(&pair, SIZE_MAX);
	asked = request(&pair, get, true);
	got = sg_h2_next_news(pair.server);
	answer(got, "HTTP/1.1 103 x\r\nLink: b\r\n\r\n", false);
	answer(got, "HTTP/1.1 102 x\r\n\r\n", false);
	answer(got, "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", true);
	exchange_bytes(&pair);
	assert_true(asked->head_there && asked->in_ended);
	assert_text(&asked->head, "HTTP/1.1 103 \r\nlink: b\r\n\r\nHTTP/1.1 102 \r\n\r\n"
				  "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	end(&pair);
}

// Interim answers without end are no way to fill the memory.
static void test_interim_heads_are_bounded(void **state SG_UNUSED)
{
	static char line[2000];
	struct pair pair;
	struct sg_h2_stream *asked, *got;

	snprintf(line, sizeof(line), "HTTP/1.1 103 x\r\nx-a: %01900d\r\n\r\n", 0);
	begin(&pair, SIZE_MAX);
	asked = request(&pair, get, true);
	got = sg_h2_next_news(pair.server);
	for (int i = 0; i < 100; i++) {
		answer(got, line, false);
		exchange_bytes(&pair);
	}
	assert_true(asked->closed && !asked->in_ended);
	assert_int_equal(asked->error, SG_H2_PROTOCOL_ERROR);
	assert_true(sg_buf_length(&asked->head) < 2 * SG_H1_MAX_HEAD_BYTES);
	end(&pair);
}

static void test_answers_without_a_body(void **state SG_UNUSED)
{
	static const struct {
		const char *request, *answer, *text;
	} cases[] = {
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 x\r\n\r\n",
			"HTTP/1.1 200 OK\r\n\r\n" },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 200 x\r\nContent-Length: 7\r\n\r\n",
			"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n" },
		{ get, "HTTP/1.1 204 x\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n" },
		{ get, "HTTP/1.1 304 x\r\n\r\n", "HTTP/1.1 304 \r\n\r\n" },
		{ get, "HTTP/1.1 404 x\r\n\r\n",
			"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n" },
	};

	for (size_t i = 0; i < SG_ARRAY_SIZE(cases); i++) {
		struct pair pair;
		struct sg_h2_stream *asked;

		begin(&pair, SIZE_MAX);
		asked = request(&pair, cases[i].request, true);
		answer(sg_h2_next_news(pair.server), cases[i].answer, true);
		exchange_bytes(&pair);
		assert_text(&asked->head, cases[i].text);
		assert_true(asked->in_ended && asked->closed);
		end(&pair);
	}
}

static void test_target_in_absolute_form(void **state SG_UNUSED)
{
	struct pair pair;
	struct sg_h2_stream *got;

	begin(&pair, SIZE_MAX);
	request(&pair, "GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n", true);
	got = sg_h2_next_news(pair.server);
	assert_text(&got->head, "GET /x?y HTTP/1.1\r\nhost: a\r\n\r\n");
	end(&pair);
}

// Streams of which nothing is taken hold back themselves, not the connection.
static void test_one_that_takes_nothing_holds_up_no_other(void **state SG_UNUSED)
{
	static char block[2 * SG_H2_STREAM_WINDOW];
	enum { SLOW = 30 }; // more than a server's connection window in all
	struct pair pair;
	struct sg_h2_stream *asked[SLOW + 1], *got;

	begin(&pair, SIZE_MAX);
	for (int i = 0; i <= SLOW; i++) {
		asked[i] = request(&pair, get, true);
		do
			got = sg_h2_next_news(pair.server);
		while (!got->head_there);
		got->head_there = false;
		answer(got, "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", false);
		assert_int_equal(sg_h2_send(got, block, i < SLOW ? sizeof(block) : 10), 0);
		assert_int_equal(sg_h2_end(got, NULL), 0);
		exchange_bytes(&pair);
	}
	for (int i = 0; i < SLOW; i++) {
		assert_int_equal(sg_buf_length(&asked[i]->in), SG_H2_STREAM_WINDOW);
		assert_false(asked[i]->in_ended);
	}
	assert_int_equal(sg_buf_length(&asked[SLOW]->in), 10);
	assert_true(asked[SLOW]->in_ended);
	sg_h2_take(asked[3], SG_H2_STREAM_WINDOW);
	exchange_bytes(&pair);
	assert_int_equal(sg_buf_length(&asked[3]->in), SG_H2_STREAM_WINDOW);
	assert_true(asked[3]->in_ended);
	end(&pair);
}

static void test_begun_and_gone(void **state SG_UNUSED)
{
	struct sg_h1_head head = parse(SG_H1_REQUEST, "POST / HTTP/1.1\r\nHost: a\r\n\r\n");
	struct sg_h2_stream *stream;
	struct pair pair;

	begin(&pair, SIZE_MAX);
	assert_int_equal(sg_h2_request(pair.client, &head, true, false, &pair, &stream), 0);
	assert_false(stream->begun);
	exchange_bytes(&pair);
	assert_true(stream->begun && !stream->out_gone);
	assert_int_equal(sg_h2_send(stream, "abc", 3), 0);
	exchange_bytes(&pair);
	assert_false(stream->out_gone);
	assert_int_equal(sg_h2_end(stream, NULL), 0);
	assert_false(stream->out_gone);
	assert_ptr_equal(sg_h2_next_news(pair.client), stream);
	exchange_bytes(&pair);
	assert_true(stream->out_gone);
	assert_ptr_equal(sg_h2_next_news(pair.client), stream);
	end(&pair);
}

static void test_refused_stream(void **state SG_UNUSED)
{
	struct sg_h2 *client = begin_client();
	struct sg_h2_stream *first = ask(client, get), *second = ask(client, get);

	drop_output(client);
	say(client, 3, 0, 1, "\0\0\0\x07", 4);
	assert_true(first->closed && first->begun);
	assert_int_equal(first->error, SG_H2_REFUSED_STREAM);
	assert_false(second->closed);
	assert_true(sg_h2_can_request(client));
	sg_h2_free(client);
}

// Calls above the last that was taken were refused; the others go on; there are no more.
static void test_goaway(void **state SG_UNUSED)
{
	struct sg_h2 *client = begin_client();
	struct sg_h2_stream *first = ask(client, get), *second = ask(client, get), *third;

	drop_output(client);
	third = ask(client, get);
	say(client, 7, 0, 0, "\0\0\0\x01\0\0\0\0", 8);
	assert_false(first->closed);
	assert_true(second->closed && second->begun);
	assert_int_equal(second->error, SG_H2_REFUSED_STREAM);
	assert_false(sg_h2_can_request(client));
	drop_output(client);
	assert_true(third->closed && !third->begun);
	assert_int_equal(third->error, SG_H2_REFUSED_STREAM);
	assert_false(sg_h2_is_over(client));
	say(client, 1, 5, 1, "\x88", 1);
	assert_true(first->closed && first->in_ended);
	assert_text(&first->head, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	drop_output(client);
	assert_true(sg_h2_is_over(client));
	sg_h2_free(client);
}

// Calls beyond the provider's limit wait, and a call that is given up meanwhile is none.
static void test_call_limit(void **state SG_UNUSED)
{
	struct sg_h2 *client;
	struct sg_h2_stream *first, *second, *third;

	assert_int_equal(sg_h2_new(SG_H2_CLIENT, &client), 0);
	assert_int_equal(sg_h2_call_limit(client), SG_H2_MAX_STREAMS);
	say(client, 4, 0, 0, "\0\x03\0\0\0\x01", 6);
	assert_int_equal(sg_h2_call_limit(client), 1);
	first = ask(client, get);
	second = ask(client, get);
	third = ask(client, get);
	drop_output(client);
	assert_true(first->begun && !second->begun && !third->begun);
	sg_h2_reset(second, SG_H2_CANCEL, false);
	drop_output(client);
	assert_int_equal(sg_h2_open_streams(client), 3);
	say(client, 1, 5, 1, "\x88", 1);
	drop_output(client);
	assert_true(first->closed && third->begun);
	sg_h2_release(first, false);
	assert_int_equal(sg_h2_open_streams(client), 1);
	sg_h2_free(client);
}

static void test_lost(void **state SG_UNUSED)
{
	struct sg_h2 *client = begin_client();
	struct sg_h2_stream *first = ask(client, get), *second;

	drop_output(client);
	second = ask(client, get);
	sg_h2_reset(second, SG_H2_CANCEL, false); // nobody is to be told of it
	while (sg_h2_next_news(client))
		;
	sg_h2_lose(client);
	assert_ptr_equal(sg_h2_next_news(client), first);
	assert_null(sg_h2_next_news(client));
	assert_true(first->closed && !first->in_ended);
	sg_h2_reset(first, SG_H2_CANCEL, false);
	sg_h2_free(client);
}

// Its owner may be gone.
static void test_no_news_of_what_was_given_up(void **state SG_UNUSED)
{
	struct sg_h2 *client = begin_client();
	struct sg_h2_stream *first = ask(client, get), *second = ask(client, get);

	drop_output(client);
	say(client, 1, 4, 1, "\x88", 1);
	say(client, 1, 4, 3, "\x88", 1);
	sg_h2_reset(first, SG_H2_CANCEL, false);
	assert_ptr_equal(sg_h2_next_news(client), second);
	assert_null(sg_h2_next_news(client));
	sg_h2_free(client);
}

static void test_a_body_that_is_not_as_long_as_it_says(void **state SG_UNUSED)
{
	for (int more = 0; more < 2; more++) {
		struct sg_h2 *client = begin_client();
		struct sg_h2_stream *stream = ask(client, get);

		drop_output(client);
		say(client, 1, 4, 1,
			"\x88\x0f\x0d\x01"
			"3",
			5); // content-length: 3
		say(client, 0, 1, 1, "abcd", more ? 4 : 2);
		drop_output(client);
		assert_true(stream->closed && !stream->in_ended);
		assert_int_equal(stream->error, SG_H2_PROTOCOL_ERROR);
		sg_h2_free(client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interim_heads_are_not_lost),
		cmocka_unit_test(test_interim_heads_are_bounded),
		cmocka_unit_test(test_answers_without_a_body),
		cmocka_unit_test(test_target_in_absolute_form),
		cmocka_unit_test(test_one_that_takes_nothing_holds_up_no_other),
		cmocka_unit_test(test_begun_and_gone),
		cmocka_unit_test(test_refused_stream),
		cmocka_unit_test(test_goaway),
		cmocka_unit_test(test_call_limit),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_no_news_of_what_was_given_up),
		cmocka_unit_test(test_a_body_that_is_not_as_long_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
