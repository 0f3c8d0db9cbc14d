// SPDX-License-Identifier: Apache-2.0
// An agent's bytes to the server's side of HTTP/2, answered as the session does, and a provider's
// bytes to the client's side. The first byte chooses the role and the size of the pieces.
#include <stdlib.h>
#include <string.h>

#include "http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void answer(struct sg_h2_stream *stream)
{
	static const char text[] =
		"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct sg_h1_head head;
	const char *reason;

	check(sg_h1_parse_head(SG_H1_RESPONSE, false, text, strlen(text), &head, &reason) > 0);
	if (sg_h2_respond(stream, &head, true, false) == 0 && sg_h2_send(stream, "body", 4) == 0)
		check(sg_h2_end(stream, NULL) == 0);
}

// What the codec made of the fields is read by the parser of HTTP/1.1, or refused by it. A client
// may have interim heads before the final one.
static void take_heads(enum sg_h2_role role, struct sg_h2_stream *stream)
{
	struct sg_h1_head head;
	const char *reason;
	ssize_t n = 1;

	check(sg_buf_length(&stream->head) > 0);
	check(sg_buf_length(&stream->head) <= 3 * SG_H1_MAX_HEAD_BYTES);
	while (n > 0 && sg_buf_length(&stream->head)) {
		n = sg_h1_parse_head(role == SG_H2_SERVER ? SG_H1_REQUEST : SG_H1_RESPONSE, false,
			(const char *)sg_buf_head(&stream->head), sg_buf_length(&stream->head),
			&head, &reason);
		check(n != 0 || stream->head_too_large);
		check(role == SG_H2_CLIENT || n < 0 || (size_t)n == sg_buf_length(&stream->head));
		if (n > 0)
			sg_buf_consume(&stream->head, (size_t)n);
	}
	sg_buf_release(&stream->head);
	stream->head_there = false;
}

static void take_news(enum sg_h2_role role, struct sg_h2 *h2, unsigned *turn)
{
	struct sg_h2_stream *stream;

	while ((stream = sg_h2_next_news(h2))) {
		check(sg_buf_length(&stream->in) <= SG_H2_STREAM_WINDOW);
		if (stream->head_there) {
			take_heads(role, stream);
			if (role == SG_H2_SERVER)
				answer(stream);
		}
		sg_h2_take(stream, sg_buf_length(&stream->in));
		stream->owner = h2;
		switch ((*turn)++ % 4) {
		case 0:
			sg_h2_release(stream, true);
			break;
		case 1:
			sg_h2_reset(stream, SG_H2_CANCEL, *turn % 8 < 4);
			break;
		default:
			if (stream->closed)
				sg_h2_release(stream, false);
		}
	}
}

static void ask(struct sg_h2 *h2)
{
	static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
	struct sg_h2_stream *stream;
	struct sg_h1_head head;
	const char *reason;

	check(sg_h1_parse_head(SG_H1_REQUEST, false, text, strlen(text), &head, &reason) > 0);
	check(sg_h2_request(h2, &head, true, false, h2, &stream) == 0);
	check(sg_h2_send(stream, "abc", 3) == 0 && sg_h2_end(stream, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum sg_h2_role role;
	struct sg_buf out = { .data = NULL };
	struct sg_h2 *h2;
	size_t piece;
	unsigned turn;
	int r = 0;

	if (!size)
		return 0;
	role = data[0] & 1 ? SG_H2_CLIENT : SG_H2_SERVER;
	piece = data[0] & 2 ? 1 : data[0] & 4 ? 37 : 65536;
	turn = data[0] >> 4;
	check(sg_h2_new(role, &h2) == 0);
	if (role == SG_H2_CLIENT) {
		ask(h2);
		ask(h2);
		check(sg_h2_drain(h2, &out, SIZE_MAX) == 0);
	}
	for (size_t at = 1; r == 0 && at < size && !sg_h2_is_over(h2); at += piece) {
		r = sg_h2_feed(h2, data + at, size - at < piece ? size - at : piece, (int64_t)at);
		take_news(role, h2, &turn);
		check(sg_h2_drain(h2, &out, SIZE_MAX) == 0);
		sg_buf_consume(&out, sg_buf_length(&out));
	}
	// Whatever is under way when the connection goes is told, and can be given up.
	if (role == SG_H2_CLIENT) {
		check(sg_h2_call_limit(h2) <= SG_H2_MAX_STREAMS);
		sg_h2_lose(h2);
		take_news(role, h2, &turn);
	}
	sg_h2_free(h2);
	sg_buf_release(&out);
	return 0;
}
