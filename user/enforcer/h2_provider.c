// SPDX-License-Identifier: Apache-2.0
// HTTP/2 towards the provider: the call has a stream of a connection that it may share with others.
#include "enforcer/provider_side.h"

#include <errno.h>
#include <stdio.h>

#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/multiplex.h"
#include "http/h2.h"

// ---- The request ----

static bool has_room(const struct sg_exchange *exchange)
{
	return !exchange->provider_stream ||
	       sg_h2_unsent(exchange->provider_stream) < SG_STREAM_OUT_HIGH;
}

static int begin(struct sg_exchange *exchange, const struct sg_buf *text)
{
	struct sg_upstream *upstream = exchange->upstream;
	const struct sg_multiplex *multiplex = upstream->multiplex;
	bool https = upstream->origin->key.context;
	struct sg_h1_head head;
	const char *reason;

	if (sg_h1_parse_head(SG_H1_REQUEST, false, (const char *)sg_buf_head(text),
		    sg_buf_length(text), &head, &reason) <= 0)
		return -EBADMSG;
	if (multiplex->lost)
		return -EPIPE;
	return sg_h2_request(multiplex->codec, &head, https,
		exchange->head.framing == SG_H1_NO_BODY, &exchange->upstream_user,
		&exchange->provider_stream);
}

static int send_head(struct sg_exchange *exchange)
{
	struct sg_buf text = { .data = NULL };
	int r = sg_rewrite_request(exchange, &text);

	if (r == 0)
		r = begin(exchange, &text);
	sg_buf_release(&text);
	sg_multiplex_put_off(exchange->upstream);
	return r;
}

static int send_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	sg_multiplex_put_off(exchange->upstream);
	return sg_h2_send(exchange->provider_stream, data, length);
}

static int send_end(struct sg_exchange *exchange)
{
	sg_multiplex_put_off(exchange->upstream);
	return sg_h2_end(exchange->provider_stream, &exchange->request_trailers);
}

static bool flush(struct sg_exchange *exchange)
{
	if (exchange->everything_sent || exchange->request != SG_REQUEST_DONE ||
		!exchange->provider_stream || !exchange->provider_stream->out_gone)
		return false;
	exchange->everything_sent = true;
	sg_exchange_arm(exchange, SG_RESPONSE_MS);
	return true;
}

// ---- The answer ----

// One head of those that are there. Returns 0 or -errno.
static int take_head(struct sg_exchange *exchange, struct sg_h2_stream *stream)
{
	ssize_t n = -EMSGSIZE;

	if (!stream->head_too_large)
		n = sg_response_take(exchange, (const char *)sg_buf_head(&stream->head),
			sg_buf_length(&stream->head));
	if (n <= 0)
		return n < 0 ? (int)n : -EBADMSG;
	if (!exchange->provider_stream) // a step of the call has given it up
		return 0;
	sg_buf_consume(&stream->head, (size_t)n);
	stream->head_there = sg_buf_length(&stream->head) > 0;
	if (!stream->head_there)
		sg_buf_release(&stream->head);
	return 0;
}

static int take_body(struct sg_exchange *exchange, struct sg_h2_stream *stream)
{
	size_t length = sg_buf_length(&stream->in);
	ssize_t n;

	if (length > SG_SCRATCH_BYTES)
		length = SG_SCRATCH_BYTES;
	n = sg_response_take(exchange, (const char *)sg_buf_head(&stream->in), length);
	if (n <= 0)
		return n < 0 ? (int)n : -EBADMSG;
	if (!exchange->provider_stream)
		return 0;
	sg_h2_take(stream, (size_t)n);
	sg_multiplex_put_off(exchange->upstream);
	return 0;
}

static int take_end(struct sg_exchange *exchange, struct sg_h2_stream *stream)
{
	int r = 0;

	if (exchange->response_body.framing == SG_H1_UNTIL_CLOSE)
		exchange->response_body.state = SG_H1_BODY_DONE;
	if (exchange->response != SG_RESPONSE_BODY || !sg_h1_body_is_done(&exchange->response_body))
		return -EBADMSG;
	if (exchange->reframe)
		r = sg_buf_append(&exchange->trailers, sg_buf_head(&stream->trailers),
			sg_buf_length(&stream->trailers));
	sg_buf_release(&stream->trailers);
	return r < 0 ? r : sg_response_finish(exchange);
}

static void on_closed(struct sg_exchange *exchange, const struct sg_h2_stream *stream)
{
	char detail[64] = "the connection ended before the answer was complete";

	if (!exchange->upstream->multiplex->lost)
		snprintf(detail, sizeof(detail), "the stream was reset with error %u",
			stream->error);
	sg_response_cut(exchange, detail);
}

static bool read_answer(struct sg_exchange *exchange)
{
	struct sg_h2_stream *stream;
	bool progress = false;
	int r = 0;

	while (r == 0 && (stream = exchange->provider_stream) && sg_response_may_read(exchange)) {
		if (stream->head_there)
			r = take_head(exchange, stream);
		else if (sg_buf_length(&stream->in))
			r = take_body(exchange, stream);
		else if (stream->in_ended)
			r = take_end(exchange, stream);
		else if (stream->closed)
			on_closed(exchange, stream);
		else
			break;
		progress = true;
	}
	if (!exchange->provider_stream)
		return progress;
	if (r < 0 && exchange->response == SG_RESPONSE_BODY)
		sg_response_cut(exchange, "the answer's end is not HTTP");
	else if (r < 0)
		sg_response_broken(exchange, r);
	return progress;
}

// It stays with the stream until it is wanted.
static int read_kept(struct sg_exchange *exchange SG_UNUSED)
{
	return 0;
}

// ---- The end ----

static bool took_nothing(const struct sg_exchange *exchange)
{
	const struct sg_h2_stream *stream = exchange->provider_stream;

	if (!stream || !stream->begun)
		return true;
	if (!stream->closed || exchange->response != SG_RESPONSE_HEAD)
		return false;
	// What a GOAWAY says was not taken is among these.
	if (stream->error == SG_H2_REFUSED_STREAM)
		return true;
	// The provider has closed an idle connection.
	return exchange->upstream->multiplex->was_stale;
}

static void give_back(struct sg_exchange *exchange, bool reusable)
{
	struct sg_h2_stream *stream = SG_TAKE(exchange->provider_stream);

	if (stream && reusable)
		sg_h2_release(stream, false);
	else if (stream)
		sg_h2_reset(stream, SG_H2_CANCEL, false);
	sg_upstream_put(SG_TAKE(exchange->upstream), &exchange->upstream_user, reusable);
}

const struct sg_provider_side sg_h2_provider_side = {
	.has_room = has_room,
	.send_head = send_head,
	.send_payload = send_payload,
	.send_end = send_end,
	.flush = flush,
	.read = read_answer,
	.read_kept = read_kept,
	.took_nothing = took_nothing,
	.give_back = give_back,
};
