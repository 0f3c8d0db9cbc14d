// SPDX-License-Identifier: Apache-2.0
// The answer's way: read where it lies, forwarded as it comes.
#include "enforcer/session.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

static int forward(struct sg_client *client, const void *data, size_t length)
{
	if (client->exchange->agent_gone)
		return 0;
	return sg_buf_append(&client->out, data, length);
}

// ---- Head ----

// 1xx: passed on, but for the 100 that we gave ourselves and for agents of HTTP/1.0, who know none.
static int on_interim(struct sg_client *client, const struct sg_h1_head *head)
{
	struct sg_exchange *exchange = client->exchange;

	if (head->status == 101)
		return -EPROTO; // no upgrade was let through
	if (exchange->head.minor_version == 0 || (head->status == 100 && exchange->continued))
		return 0;
	return forward(client, head->start_line.data, head->length);
}

static int start_reader(struct sg_client *client, const struct sg_h1_head *head)
{
	struct sg_exchange *exchange = client->exchange;
	const struct sg_h1_header *type = sg_h1_find(head, "content-type");
	const struct sg_h1_header *coding = sg_h1_find(head, "content-encoding");
	static const struct sg_str empty = { "", 0 };
	struct sg_response_options options = {
		.api = exchange->route.api,
		.facts = &exchange->facts,
		.status = head->status,
		.content_type = type ? type->value : empty,
		.content_encoding = coding ? coding->value : empty,
		.skim = true,
		.own_host = client->own_host,
		.remove_usage_chunk = exchange->facts.include_usage == SG_USAGE_TO_ADD &&
				      exchange->head.minor_version > 0,
	};
	int r = sg_response_reader_new(&options, &exchange->response_reader);

	for (size_t i = 0; r == 0 && i < head->header_count; i++)
		sg_response_reader_header(
			exchange->response_reader, head->headers[i].name, head->headers[i].value);
	if (r == 0)
		exchange->rechunk = sg_response_reader_is_filter(exchange->response_reader) &&
				    exchange->response_body.framing != SG_H1_NO_BODY;
	return r;
}

static int on_head(struct sg_client *client, const struct sg_h1_head *head)
{
	struct sg_exchange *exchange = client->exchange;
	int r = 0;

	exchange->status = head->status;
	exchange->upstream_keep_alive = head->keep_alive && head->framing != SG_H1_UNTIL_CLOSE;
	sg_h1_body_init(&exchange->response_body, head);
	if (exchange->route.kind == SG_ROUTE_METERED)
		r = start_reader(client, head);
	if (head->framing == SG_H1_UNTIL_CLOSE && !exchange->rechunk)
		exchange->close_agent = true;
	exchange->response = SG_RESPONSE_BODY;
	if (r == 0 && !exchange->agent_gone)
		r = sg_rewrite_response(exchange, head, &client->out);
	return r;
}

// ---- Body ----

static int forward_chunk(struct sg_client *client, struct sg_buf *bytes)
{
	int r = 0;

	if (sg_buf_length(bytes) && !client->exchange->agent_gone) {
		r = sg_buf_printf(&client->out, "%zx\r\n", sg_buf_length(bytes));
		if (r == 0)
			r = sg_buf_append(&client->out, sg_buf_head(bytes), sg_buf_length(bytes));
		if (r == 0)
			r = sg_buf_append(&client->out, "\r\n", 2);
	}
	sg_buf_consume(bytes, sg_buf_length(bytes));
	return r;
}

static int read_payload(struct sg_client *client, struct sg_str payload)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_buf *filtered = &client->worker->filtered;
	int r;

	if (!payload.length)
		return 0;
	if (!exchange->response_reader)
		return exchange->rechunk ? sg_buf_append(filtered, payload.data, payload.length)
					 : 0;
	r = sg_response_reader_feed(exchange->response_reader, payload.data, payload.length,
		exchange->rechunk ? filtered : NULL);
	// Settled before the agent sees the end, so that its next call finds the room.
	if (r == 0 && sg_response_reader_is_complete(exchange->response_reader))
		sg_exchange_settle(client, true, exchange->rechunk ? filtered : NULL);
	return r;
}

// The body is at its end: by its framing, or by the end of the connection where the framing says
// so.
static int finish(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_buf *filtered = &client->worker->filtered;
	int r = 0;

	sg_exchange_settle(client, true, exchange->rechunk ? filtered : NULL);
	if (exchange->rechunk) {
		r = forward_chunk(client, filtered);
		if (r == 0)
			r = forward(client, "0\r\n\r\n", 5);
	}
	exchange->response = SG_RESPONSE_DONE;
	return r;
}

static ssize_t on_body(struct sg_client *client, const char *data, size_t length)
{
	struct sg_exchange *exchange = client->exchange;
	size_t taken = 0;
	int r = 0;

	while (r == 0 && taken < length && !sg_h1_body_is_done(&exchange->response_body)) {
		struct sg_str payload;
		ssize_t n = sg_h1_body_feed(
			&exchange->response_body, data + taken, length - taken, &payload);

		if (n < 0)
			return n;
		taken += (size_t)n;
		r = read_payload(client, payload);
	}
	if (r == 0)
		r = exchange->rechunk ? forward_chunk(client, &client->worker->filtered)
				      : forward(client, data, taken);
	return r < 0 ? r : (ssize_t)taken;
}

// ---- Bytes ----

// Takes one head or a run of body. Returns the bytes taken, 0 when a head needs more, or -errno.
static ssize_t take(struct sg_client *client, const char *data, size_t length)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_h1_head head;
	const char *reason = "";
	ssize_t n;
	int r;

	if (exchange->response == SG_RESPONSE_BODY)
		return on_body(client, data, length);
	n = sg_h1_parse_head(SG_H1_RESPONSE, exchange->head_request, data, length, &head, &reason);
	if (n <= 0)
		return n;
	r = head.status < 200 ? on_interim(client, &head) : on_head(client, &head);
	return r < 0 ? r : n;
}

// Returns 0 or -errno. Bytes of an unfinished head stay in upstream->in.
static int take_all(struct sg_client *client, const char *data, size_t length)
{
	struct sg_exchange *exchange = client->exchange;
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
	while (taken < length || (exchange->response == SG_RESPONSE_BODY &&
					 sg_h1_body_is_done(&exchange->response_body))) {
		ssize_t n;

		if (exchange->response == SG_RESPONSE_BODY &&
			sg_h1_body_is_done(&exchange->response_body)) {
			r = finish(client);
			if (r < 0)
				return r;
			break;
		}
		n = take(client, data + taken, length - taken);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		taken += (size_t)n;
	}
	if (buffered) {
		sg_buf_consume(&upstream->in, taken);
		return 0;
	}
	return taken < length ? sg_buf_append(&upstream->in, data + taken, length - taken) : 0;
}

static void on_end_of_data(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	exchange->upstream_keep_alive = false;
	if (exchange->response == SG_RESPONSE_BODY &&
		exchange->response_body.framing == SG_H1_UNTIL_CLOSE) {
		if (finish(client) < 0)
			sg_client_close(client, "resources");
		return;
	}
	if (exchange->response == SG_RESPONSE_BODY) {
		struct sg_buf *filtered = &client->worker->filtered;

		// Cut: what the filter holds is the agent's, the end of the body is not there to be
		// told.
		sg_exchange_settle(client, false, exchange->rechunk ? filtered : NULL);
		if (exchange->rechunk && forward_chunk(client, filtered) < 0)
			exchange->agent_gone = true;
	}
	sg_exchange_upstream_broke(client, "the connection ended before the answer was complete");
}

static void on_broken(struct sg_client *client, int error)
{
	if (client->exchange->response == SG_RESPONSE_BODY)
		on_end_of_data(client);
	else
		sg_exchange_upstream_broke(client,
			error == -EBADMSG ? "the answer is not HTTP/1.1" : strerror(-error));
}

bool sg_response_step(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_worker *worker = client->worker;
	bool progress = false;

	while (exchange->upstream && exchange->upstream->state == SG_UPSTREAM_ACTIVE &&
		(exchange->response == SG_RESPONSE_HEAD ||
			exchange->response == SG_RESPONSE_BODY) &&
		sg_buf_length(&client->out) < SG_OUT_HIGH) {
		ssize_t n = sg_transport_read(
			&exchange->upstream->transport, worker->scratch, SG_SCRATCH_BYTES);
		int r;

		if (n == -EAGAIN && !exchange->write_failed)
			break;
		progress = true;
		if (n <= 0) {
			if (n == 0)
				on_end_of_data(client);
			else
				on_broken(client, n == -EAGAIN ? -EPIPE : (int)n);
			break;
		}
		exchange->upstream->saw_bytes = true;
		r = take_all(client, (const char *)worker->scratch, (size_t)n);
		if (r < 0) {
			on_broken(client, r);
			break;
		}
	}
	return progress;
}
