// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 towards the provider: the call has its connection to itself.
#include "enforcer/provider_side.h"

#include <errno.h>

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// ---- The request ----

static bool has_room(const struct sg_exchange *exchange)
{
	return sg_buf_length(&exchange->upstream->out) < SG_OUT_HIGH;
}

static int send_head(struct sg_exchange *exchange)
{
	return sg_rewrite_request(exchange, &exchange->upstream->out);
}

static int send_raw(struct sg_exchange *exchange, const void *data, size_t length)
{
	return sg_buf_append(&exchange->upstream->out, data, length);
}

// In the framing that the request's head states.
static int send_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	struct sg_buf *out = &exchange->upstream->out;
	int r;

	if (exchange->head.framing != SG_H1_CHUNKED)
		return sg_buf_append(out, data, length);
	r = sg_buf_printf(out, "%zx\r\n", length);
	if (r == 0)
		r = sg_buf_append(out, data, length);
	return r < 0 ? r : sg_buf_append(out, "\r\n", 2);
}

static int send_end(struct sg_exchange *exchange)
{
	return exchange->head.framing == SG_H1_CHUNKED
		       ? sg_buf_append(&exchange->upstream->out, "0\r\n\r\n", 5)
		       : 0;
}

static bool flush(struct sg_exchange *exchange)
{
	struct sg_upstream *upstream = exchange->upstream;
	size_t before = sg_buf_length(&upstream->out);
	int r = 0;

	if (before)
		r = sg_transport_flush(&upstream->transport, &upstream->out);
	if (r < 0 && r != -EAGAIN) {
		// The provider may have answered before it closed: the response step finds out.
		sg_buf_release(&upstream->out);
		exchange->upstream_keep_alive = false;
		exchange->write_failed = true;
		upstream->transport.can_read = true;
		return true;
	}
	// The last piece may have gone before it was known to be the last.
	if (r == 0 && exchange->request == SG_REQUEST_DONE && !exchange->everything_sent) {
		exchange->everything_sent = true;
		sg_exchange_arm(exchange, SG_RESPONSE_MS);
	}
	return sg_buf_length(&upstream->out) < before;
}

// ---- The answer ----

// Returns 0 or -errno. Bytes of an unfinished head, and what comes before its time, stay in
// upstream->in.
static int take_all(struct sg_exchange *exchange, const char *data, size_t length)
{
	struct sg_upstream *upstream = exchange->upstream;
	bool buffered = sg_buf_length(&upstream->in) > 0;
	size_t taken = 0;
	int r;

	if (buffered) {
		r = sg_buf_append(&upstream->in, data, length);
		if (r < 0)
			return r;
		data = (const char *)sg_buf_head(&upstream->in);
		length = sg_buf_length(&upstream->in);
	}
	while (sg_response_is_due(exchange)) {
		ssize_t n;

		if (exchange->response == SG_RESPONSE_BODY &&
			sg_h1_body_is_done(&exchange->response_body)) {
			r = sg_response_finish(exchange);
			if (r < 0)
				return r;
			break;
		}
		if (taken == length)
			break;
		n = sg_response_take(exchange, data + taken, length - taken);
		if (n < 0)
			return (int)n;
		taken += (size_t)n;
		if (n == 0 || exchange->upgraded)
			break;
	}
	if (buffered) {
		sg_buf_consume(&upstream->in, taken);
		return 0;
	}
	return taken < length ? sg_buf_append(&upstream->in, data + taken, length - taken) : 0;
}

static int read_kept(struct sg_exchange *exchange)
{
	return take_all(exchange, "", 0);
}

static void on_end_of_data(struct sg_exchange *exchange)
{
	exchange->upstream_keep_alive = false;
	if (exchange->response == SG_RESPONSE_BODY &&
		exchange->response_body.framing == SG_H1_UNTIL_CLOSE) {
		if (sg_response_finish(exchange) < 0)
			exchange->side->abort(exchange, "resources");
		return;
	}
	sg_response_cut(exchange, "the connection ended before the answer was complete");
}

static void on_broken(struct sg_exchange *exchange, int error)
{
	if (exchange->response == SG_RESPONSE_BODY)
		on_end_of_data(exchange);
	else
		sg_response_broken(exchange, error);
}

static bool read_answer(struct sg_exchange *exchange)
{
	struct sg_worker *worker = exchange->client->worker;
	bool progress = false;

	while (exchange->upstream && exchange->upstream->state == SG_UPSTREAM_ACTIVE &&
		sg_response_may_read(exchange)) {
		ssize_t n = sg_transport_read(
			&exchange->upstream->transport, worker->scratch, SG_SCRATCH_BYTES);
		int r;

		if (n == -EAGAIN && !exchange->write_failed)
			break;
		progress = true;
		if (n <= 0) {
			if (n == 0)
				on_end_of_data(exchange);
			else
				on_broken(exchange, n == -EAGAIN ? -EPIPE : (int)n);
			break;
		}
		exchange->upstream->saw_bytes = true;
		r = take_all(exchange, (const char *)worker->scratch, (size_t)n);
		if (r < 0) {
			on_broken(exchange, r);
			break;
		}
	}
	return progress;
}

// ---- The end ----

// It has no whole request, or has seen none of it.
static bool took_nothing(const struct sg_exchange *exchange)
{
	const struct sg_upstream *upstream = exchange->upstream;

	return exchange->everything_sent ? sg_upstream_was_stale(upstream)
					 : upstream->reused && !upstream->saw_bytes;
}

static void give_back(struct sg_exchange *exchange, bool reusable)
{
	sg_upstream_put(SG_TAKE(exchange->upstream), &exchange->upstream_user, reusable);
}

const struct sg_provider_side sg_h1_provider_side = {
	.keeps_framing = true,
	.has_room = has_room,
	.send_head = send_head,
	.send_raw = send_raw,
	.send_payload = send_payload,
	.send_end = send_end,
	.flush = flush,
	.read = read_answer,
	.read_kept = read_kept,
	.took_nothing = took_nothing,
	.give_back = give_back,
};
