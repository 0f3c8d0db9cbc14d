// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 towards the agent: one call after another on its connection.
#include "enforcer/session.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/relay.h"
#include "enforcer/worker.h"

// ---- The agent's side of a call ----

// Reads what there is of the body. Returns true when anything was taken.
static bool read_body(struct sg_exchange *exchange)
{
	struct sg_client *client = exchange->client;
	struct sg_worker *worker = client->worker;
	bool progress = false;

	while (!sg_h1_body_is_done(&exchange->request_body) && !sg_request_sink_is_full(exchange)) {
		bool buffered = sg_buf_length(&client->in) > 0;
		ssize_t n = buffered ? (ssize_t)sg_buf_length(&client->in)
				     : sg_transport_read(&client->transport, worker->scratch,
					       SG_SCRATCH_BYTES);
		ssize_t taken;

		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			sg_client_close(client, "agent_left");
			return true;
		}
		progress = true;
		taken = sg_request_feed(exchange,
			buffered ? (const char *)sg_buf_head(&client->in)
				 : (const char *)worker->scratch,
			(size_t)n);
		if (taken < 0)
			return true;
		if (buffered)
			sg_buf_consume(&client->in, (size_t)taken);
		else if (taken < n && sg_buf_append(&client->in, worker->scratch + taken,
					      (size_t)(n - taken)) < 0)
			sg_client_close(client, "resources");
		if (exchange->over)
			return true;
	}
	return progress;
}

static bool has_room(const struct sg_exchange *exchange)
{
	return sg_buf_length(&exchange->client->out) < SG_OUT_HIGH;
}

static int send_continue(struct sg_exchange *exchange)
{
	return sg_buf_printf(&exchange->client->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

// Large pieces go out from where they lie when nothing is waiting before them; small ones wait for
// their neighbours, so that a head and its body are one record and one packet. A failed write is
// told by the next flush.
static int send_raw(struct sg_exchange *exchange, const void *data, size_t length)
{
	struct sg_client *client = exchange->client;
	const char *at = data;

	while (length >= SG_WRITE_THROUGH_BYTES && !sg_buf_length(&client->out)) {
		ssize_t n = sg_transport_write(&client->transport, at, length);

		if (n < 0)
			break;
		at += n;
		length -= (size_t)n;
	}
	return length ? sg_buf_append(&client->out, at, length) : 0;
}

static int send_interim(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	return send_raw(exchange, head->start_line.data, head->length);
}

static int send_head(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	return sg_rewrite_response(exchange, head, &exchange->client->out);
}

static int send_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	struct sg_buf *out = &exchange->client->out;
	int r = sg_buf_printf(out, "%zx\r\n", length);

	if (r == 0)
		r = sg_buf_append(out, data, length);
	if (r == 0)
		r = sg_buf_append(out, "\r\n", 2);
	return r;
}

static int send_end(struct sg_exchange *exchange)
{
	int r = send_raw(exchange, "0\r\n", 3);

	if (r == 0)
		r = send_raw(exchange, sg_buf_head(&exchange->trailers),
			sg_buf_length(&exchange->trailers));
	return r < 0 ? r : send_raw(exchange, "\r\n", 2);
}

static int send_answer(struct sg_exchange *exchange)
{
	return send_raw(exchange, sg_buf_head(&exchange->answer), sg_buf_length(&exchange->answer));
}

static void abort_call(struct sg_exchange *exchange, const char *reason)
{
	sg_client_close(exchange->client, reason);
}

static void go_on_later(struct sg_exchange *exchange)
{
	struct sg_client *client = exchange->client;

	sg_loop_again(client->worker->loop, &client->transport.watch);
}

static void run(struct sg_exchange *exchange)
{
	sg_h1_session_run(exchange->client);
}

static const struct sg_agent_side agent_side = {
	.keeps_framing = true,
	.read_body = read_body,
	.has_room = has_room,
	.send_continue = send_continue,
	.send_interim = send_interim,
	.send_head = send_head,
	.send_raw = send_raw,
	.send_payload = send_payload,
	.send_end = send_end,
	.send_answer = send_answer,
	.abort = abort_call,
	.go_on_later = go_on_later,
	.run = run,
};

// ---- Head ----

static void rebase(struct sg_str *view, const char *from, const char *to)
{
	if (view->data >= from && view->data < from + SG_H1_MAX_HEAD_BYTES)
		view->data = to + (view->data - from);
}

// The head must outlive the input buffer that it was parsed in.
static int keep_head(struct sg_exchange *exchange, size_t length)
{
	struct sg_client *client = exchange->client;
	struct sg_h1_head *head = &exchange->head;
	const char *from = (const char *)sg_buf_head(&client->in), *to;
	int r = sg_buf_append(&exchange->head_bytes, from, length);

	if (r < 0)
		return r;
	to = (const char *)sg_buf_head(&exchange->head_bytes);
	rebase(&head->start_line, from, to);
	rebase(&head->method, from, to);
	rebase(&head->target, from, to);
	rebase(&head->host, from, to);
	for (size_t i = 0; i < head->header_count; i++) {
		rebase(&head->headers[i].name, from, to);
		rebase(&head->headers[i].value, from, to);
		rebase(&head->headers[i].line, from, to);
	}
	sg_buf_consume(&client->in, length);
	return 0;
}

// An offer to change to plain HTTP/2 may be passed over (RFC 9113, 3.1), and is.
static bool offers_h2c(const struct sg_h1_head *head)
{
	const struct sg_h1_header *upgrade = sg_h1_find(head, "upgrade");

	return upgrade && upgrade->value.length == 3 &&
	       strncasecmp(upgrade->value.data, "h2c", 3) == 0;
}

static void begin(struct sg_client *client, const struct sg_h1_head *parsed, ssize_t length,
	const char *reason)
{
	struct sg_exchange *exchange;

	if (sg_exchange_begin(client, &agent_side, &exchange) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	sg_loop_disarm(&client->timer);
	if (length < 0) {
		sg_exchange_reject(exchange, reason);
		return;
	}
	memcpy(&exchange->head, parsed,
		offsetof(struct sg_h1_head, headers) +
			parsed->header_count * sizeof(parsed->headers[0]));
	if (keep_head(exchange, (size_t)length) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	if (offers_h2c(&exchange->head))
		exchange->head.upgrade = false;
	exchange->close_agent = !exchange->head.keep_alive;
	sg_h1_body_init(&exchange->request_body, &exchange->head);
	sg_exchange_classify(exchange);
}

// Takes a request head. Returns true when there was one.
static bool take_head(struct sg_client *client)
{
	struct sg_worker *worker = client->worker;
	struct sg_h1_head head;
	const char *reason = "";
	ssize_t n;

	for (;;) {
		if (sg_buf_length(&client->in)) {
			n = sg_h1_parse_head(SG_H1_REQUEST, false,
				(const char *)sg_buf_head(&client->in), sg_buf_length(&client->in),
				&head, &reason);
			if (n != 0) {
				begin(client, &head, n, reason);
				return true;
			}
		}
		n = sg_transport_read(&client->transport, worker->scratch, SG_SCRATCH_BYTES);
		if (n == -EAGAIN)
			return false;
		if (n == 0 && sg_buf_length(&client->out)) {
			client->close_after_flush = true; // half-closed: the answer is still owed
			return false;
		}
		if (n <= 0 || sg_buf_append(&client->in, worker->scratch, (size_t)n) < 0) {
			sg_client_close(client, n == 0 ? "done" : "read");
			return false;
		}
	}
}

// ---- The conductor ----

static void end_call(struct sg_client *client, struct sg_exchange *exchange)
{
	if (exchange->close_agent || exchange->request != SG_REQUEST_DONE)
		client->close_after_flush = true;
	sg_exchange_end(exchange);
	if (client->out.capacity > SG_IDLE_BUFFER_BYTES && !sg_buf_length(&client->out))
		sg_buf_release(&client->out);
	if (!sg_buf_length(&client->in))
		sg_buf_release(&client->in);
	sg_client_arm_idle(client);
}

// What was not wholly sent is cancelled. Returns true when the client was closed.
static bool agent_left(struct sg_client *client, struct sg_exchange *exchange)
{
	sg_buf_release(&client->out);
	if (!sg_exchange_agent_left(exchange))
		return false;
	sg_client_close(client, "agent_left");
	return true;
}

// Writes out what is pending; closes or lingers when that was the last. Returns false when there is
// no session any more.
static bool flush(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchanges;
	int r = sg_transport_flush(&client->transport, &client->out);

	if (r < 0 && r != -EAGAIN) {
		sg_buf_release(&client->out);
		// A metered answer is read on for its usage; the connection is closed then.
		if (exchange && exchange->upstream) {
			exchange->agent_gone = true;
			return true;
		}
		sg_client_close(client, "write");
		return false;
	}
	if (r == 0 && client->close_after_flush) {
		sg_client_enter(client, SG_CLIENT_LINGER);
		return false;
	}
	return true;
}

void sg_h1_session_run(struct sg_client *client)
{
	bool progress = true;

	// An answer that waited for room finds it in the first step: there may be no other event.
	if (client->state == SG_CLIENT_SESSION && sg_buf_length(&client->out) && !flush(client))
		return;
	while (progress && client->state == SG_CLIENT_SESSION) {
		struct sg_exchange *exchange = client->exchanges;

		progress = false;
		if (exchange && exchange->agent_gone && agent_left(client, exchange))
			return;
		if (!exchange && client->worker->stop_ms)
			client->close_after_flush = true;
		if (!exchange && !client->close_after_flush &&
			sg_transport_has_turn(&client->transport))
			progress = take_head(client);
		exchange = client->exchanges;
		if (exchange)
			progress |= sg_exchange_step(exchange);
		if (client->state != SG_CLIENT_SESSION)
			return;
		if (exchange && exchange->response == SG_RESPONSE_DONE) {
			if (exchange->agent_gone) {
				sg_client_close(client, "agent_left");
				return;
			}
			if (exchange->upgraded) {
				sg_relay_start(exchange);
				return;
			}
			end_call(client, exchange);
			progress = true;
		}
		if (!flush(client))
			return;
	}
}

void sg_h1_session_on_reset(struct sg_client *client)
{
	if (client->exchanges)
		client->exchanges->agent_gone = true;
	sg_h1_session_run(client);
}
