// SPDX-License-Identifier: Apache-2.0
// The request's way from us to the provider: a connection, the head, the body.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// ---- The connection ----

static void on_upstream(struct sg_upstream_user *user)
{
	struct sg_exchange *exchange = (struct sg_exchange *)user;

	exchange->side->run(exchange);
}

static void on_upstream_failed(struct sg_upstream_user *user, int error, const char *detail)
{
	struct sg_exchange *exchange = (struct sg_exchange *)user;
	const struct sg_client *client = exchange->client;

	exchange->upstream = NULL;
	sg_log(SG_LOG_WARN, "upstream_failed",
		"agent=%s connection=%llu host=%s error=%d reason=\"%s\"", client->agent->name,
		(unsigned long long)client->connection, client->host, -error, detail);
	sg_exchange_settle_unanswered(exchange, false);
	sg_exchange_refuse(exchange, SG_ANSWER_UPSTREAM, NULL, detail);
	exchange->side->run(exchange);
}

void sg_exchange_dial(struct sg_exchange *exchange, bool fresh)
{
	const struct sg_client *client = exchange->client;
	int r;

	exchange->upstream_user = (struct sg_upstream_user){ on_upstream, on_upstream_failed };
	r = sg_upstream_get(client->worker, client->pool_origin, &exchange->upstream_user, fresh,
		&exchange->upstream);
	exchange->response = SG_RESPONSE_HEAD;
	if (r < 0) {
		exchange->upstream = NULL;
		sg_exchange_settle_unanswered(exchange, false);
		sg_exchange_refuse(exchange, SG_ANSWER_UPSTREAM, NULL, strerror(-r));
	}
}

void sg_exchange_upstream_broke(struct sg_exchange *exchange, const char *detail)
{
	const struct sg_client *client = exchange->client;
	struct sg_upstream *upstream = exchange->upstream;
	// A kept connection that ends without a byte was closed by the provider while it was idle:
	// it did not take the request.
	bool stale = upstream->reused && !upstream->saw_bytes && !exchange->retried &&
		     (exchange->route.kind == SG_ROUTE_METERED ||
			     exchange->head.framing == SG_H1_NO_BODY);

	exchange->upstream = NULL;
	sg_upstream_put(upstream, false);
	if (stale) {
		exchange->retried = true;
		exchange->everything_sent = false;
		exchange->head_sent = false;
		exchange->sent_bytes = 0;
		exchange->request = SG_REQUEST_SEND;
		sg_exchange_dial(exchange, true);
		return;
	}
	sg_log(SG_LOG_WARN, "upstream_failed", "agent=%s connection=%llu host=%s reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host, detail);
	if (exchange->response == SG_RESPONSE_HEAD) {
		sg_exchange_settle_unanswered(exchange, exchange->everything_sent);
		sg_exchange_refuse(exchange, SG_ANSWER_UPSTREAM, NULL, detail);
		return;
	}
	exchange->close_agent = true;
	exchange->cut = true;
	exchange->response = SG_RESPONSE_DONE;
}

// ---- The bytes ----

// Bytes [offset, offset + size) of the body as it is sent: with its edits.
static ssize_t read_outgoing(
	const struct sg_exchange *exchange, uint64_t offset, void *data, size_t size)
{
	struct sg_request_piece piece = sg_request_edits_at(&exchange->edits, offset);

	if (size > piece.length)
		size = (size_t)piece.length;
	if (!piece.text)
		return sg_body_read(&exchange->body, piece.body_offset, data, size);
	memcpy(data, piece.text, size);
	return (ssize_t)size;
}

// Payload in the framing that the request's head states; without any, its end.
static int put_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	struct sg_buf *out = &exchange->upstream->out;
	int r;

	if (exchange->head.framing != SG_H1_CHUNKED)
		return sg_buf_append(out, data, length);
	if (!length)
		return sg_buf_append(out, "0\r\n\r\n", 5);
	r = sg_buf_printf(out, "%zx\r\n", length);
	if (r == 0)
		r = sg_buf_append(out, data, length);
	return r < 0 ? r : sg_buf_append(out, "\r\n", 2);
}

int sg_dispatch_run(
	struct sg_exchange *exchange, const char *raw, size_t raw_length, struct sg_str payload)
{
	if (exchange->side->keeps_framing)
		return sg_buf_append(&exchange->upstream->out, raw, raw_length);
	return payload.length ? put_payload(exchange, payload.data, payload.length) : 0;
}

// Puts one piece of the gathered body into the provider's buffer. Returns its length, 0 at the end,
// or -errno.
static ssize_t put_piece(struct sg_exchange *exchange, uint8_t *scratch)
{
	ssize_t n = read_outgoing(exchange, exchange->sent_bytes, scratch, SG_SCRATCH_BYTES);
	int r;

	if (n < 0)
		return n;
	r = put_payload(exchange, scratch, (size_t)n);
	exchange->sent_bytes += (uint64_t)n;
	return r < 0 ? r : n;
}

// An admitted call: head, then the gathered body piece by piece.
static int send_gathered(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	struct sg_buf *out = &exchange->upstream->out;
	ssize_t n = 1;

	while (exchange->request == SG_REQUEST_SEND && sg_buf_length(out) < SG_OUT_HIGH) {
		n = exchange->head.framing == SG_H1_NO_BODY
			    ? 0
			    : put_piece(exchange, client->worker->scratch);
		if (n < 0)
			return (int)n;
		if (n == 0)
			exchange->request = SG_REQUEST_DONE;
	}
	return 0;
}

static bool flush_upstream(struct sg_exchange *exchange)
{
	struct sg_upstream *upstream = exchange->upstream;
	size_t before = sg_buf_length(&upstream->out);
	int r;

	if (!before)
		return false;
	r = sg_transport_flush(&upstream->transport, &upstream->out);
	if (r < 0 && r != -EAGAIN) {
		// The provider may have answered before it closed: the response step finds out.
		sg_buf_release(&upstream->out);
		exchange->upstream_keep_alive = false;
		exchange->write_failed = true;
		upstream->transport.can_read = true;
		return true;
	}
	if (r == 0 && exchange->request == SG_REQUEST_DONE) {
		exchange->everything_sent = true;
		sg_exchange_arm(exchange, SG_RESPONSE_MS);
	}
	return sg_buf_length(&upstream->out) < before;
}

bool sg_dispatch_step(struct sg_exchange *exchange)
{
	struct sg_upstream *upstream = exchange->upstream;
	bool progress = false;
	int r = 0;

	if (!upstream || upstream->state != SG_UPSTREAM_ACTIVE || exchange->write_failed)
		return false;
	if (!exchange->head_sent) {
		r = sg_rewrite_request(exchange, &upstream->out);
		exchange->head_sent = true;
	}
	if (r == 0 && exchange->request == SG_REQUEST_SEND)
		r = send_gathered(exchange);
	if (r == 0 && exchange->request == SG_REQUEST_STREAM) {
		progress = exchange->side->read_body(exchange);
		if (exchange->over)
			return true;
		if (sg_h1_body_is_done(&exchange->request_body)) {
			if (!exchange->side->keeps_framing)
				r = put_payload(exchange, "", 0);
			exchange->request = SG_REQUEST_DONE;
		}
	}
	if (r < 0) {
		exchange->side->abort(exchange, "resources");
		return true;
	}
	return flush_upstream(exchange) || progress;
}
