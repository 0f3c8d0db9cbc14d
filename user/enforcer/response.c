// SPDX-License-Identifier: Apache-2.0
// The answer's way: read where it lies, forwarded as it comes.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/gate.h"
#include "enforcer/limits.h"
#include "enforcer/pending.h"
#include "enforcer/worker.h"

static int forward_raw(struct sg_exchange *exchange, const void *data, size_t length)
{
	if (exchange->agent_gone || sg_gate_holds(exchange))
		return 0;
	return exchange->side->send_raw(exchange, data, length);
}

static int forward_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	if (!length || exchange->agent_gone || sg_gate_holds(exchange))
		return 0;
	return exchange->side->send_payload(exchange, data, length);
}

static struct sg_buf *filtered(const struct sg_exchange *exchange)
{
	return exchange->filter ? &exchange->client->worker->filtered : NULL;
}

// What the filter has let through so far.
static int forward_filtered(struct sg_exchange *exchange)
{
	struct sg_buf *bytes = filtered(exchange);
	int r = forward_payload(exchange, sg_buf_head(bytes), sg_buf_length(bytes));

	sg_buf_consume(bytes, sg_buf_length(bytes));
	return r;
}

// ---- Head ----

// From here on the connection speaks WebSocket: the session hands it to the relay.
static int on_upgraded(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	if (!exchange->relay || sg_h1_find(head, "sec-websocket-extensions"))
		return -EPROTO; // nobody asked for it
	exchange->upgraded = true;
	exchange->response = SG_RESPONSE_DONE;
	return exchange->agent_gone ? 0 : exchange->side->send_interim(exchange, head);
}

// 1xx: passed on, but for the 100 that we gave ourselves and for agents of HTTP/1.0, who know none.
static int on_interim(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	if (head->status == 101)
		return on_upgraded(exchange, head);
	if (exchange->head.minor_version == 0 || (head->status == 100 && exchange->continued))
		return 0;
	return exchange->agent_gone ? 0 : exchange->side->send_interim(exchange, head);
}

static int start_reader(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
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
		.may_end = exchange->slice.state != SG_SLICE_NEVER && head->status == 200,
		.vocabulary =
			sg_provider_vocabulary(exchange->client->provider, exchange->facts.model),
		.own_host = exchange->client->own_host,
		.remove_usage_chunk = exchange->facts.include_usage == SG_USAGE_TO_ADD &&
				      exchange->head.minor_version > 0,
	};
	int r = sg_response_reader_new(&options, &exchange->response_reader);

	for (size_t i = 0; r == 0 && i < head->header_count; i++)
		sg_response_reader_header(
			exchange->response_reader, head->headers[i].name, head->headers[i].value);
	if (r == 0)
		exchange->filter = sg_response_reader_is_filter(exchange->response_reader) &&
				   exchange->response_body.framing != SG_H1_NO_BODY;
	return r;
}

// Does a GET ask about a call that is held for?
static bool is_awaited_poll(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	const struct sg_client *client = exchange->client;
	struct sg_pending pending;

	if (exchange->route.kind != SG_ROUTE_POLL || head->status != 200 ||
		!sg_pending_find(client->worker->enforcer->pendings, client->agent->account,
			client->provider, exchange->route.pending_id, &pending))
		return false;
	exchange->facts = pending.facts;
	return true;
}

static int on_head(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	int r = 0;

	exchange->status = head->status;
	exchange->upstream_keep_alive = head->keep_alive && head->framing != SG_H1_UNTIL_CLOSE;
	sg_h1_body_init(&exchange->response_body, head);
	exchange->is_poll = is_awaited_poll(exchange, head);
	if (exchange->route.kind == SG_ROUTE_METERED || exchange->is_poll)
		r = start_reader(exchange, head);
	exchange->reframe = exchange->filter || !exchange->side->keeps_framing;
	if (head->framing == SG_H1_UNTIL_CLOSE && !exchange->reframe)
		exchange->close_agent = true;
	// Before the whole request was there: what is left of it is no next request.
	if (exchange->request != SG_REQUEST_DONE)
		exchange->close_agent = true;
	exchange->response = SG_RESPONSE_BODY;
	if (r == 0 && !exchange->agent_gone)
		r = sg_gate_head(exchange, head);
	return r;
}

// ---- Body ----

static int read_payload(struct sg_exchange *exchange, struct sg_str payload)
{
	int r = 0;

	if (!payload.length)
		return 0;
	if (exchange->response_reader) {
		r = sg_response_reader_feed(exchange->response_reader, payload.data, payload.length,
			filtered(exchange));
		if (r == 0 && sg_response_reader_is_complete(exchange->response_reader))
			sg_exchange_settle(exchange, true, filtered(exchange));
	} else if (exchange->filter) {
		r = sg_buf_append(filtered(exchange), payload.data, payload.length);
	}
	if (r == 0)
		r = sg_gate_payload(exchange, payload);
	if (r == 0 && exchange->reframe && !exchange->filter)
		r = forward_payload(exchange, payload.data, payload.length);
	return r;
}

// The body is at its end: by its framing, or by the end of the connection where the framing says
// so.
static int finish(struct sg_exchange *exchange)
{
	int r = 0;

	sg_exchange_settle(exchange, true, filtered(exchange));
	if (exchange->filter)
		r = forward_filtered(exchange);
	if (sg_gate_finish(exchange))
		return r;
	if (r == 0 && exchange->reframe && !exchange->agent_gone)
		r = exchange->side->send_end(exchange);
	exchange->response = SG_RESPONSE_DONE;
	return r;
}

// There is no room for more: the stream ends here, between two of its events, and the provider's
// connection with it. Charged is what is held then, since what it has said beyond that is not
// known.
static int end_stream(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	const struct sg_stream_totals totals = { .input_tokens = exchange->hold.bound.input_tokens,
		.output_tokens = exchange->slice.seen_tokens,
		.wall_ns = sg_clock_wall_ns() };
	struct sg_buf *out = filtered(exchange);
	int r = out ? sg_response_reader_end(exchange->response_reader, &totals, out) : -ENOTSUP;

	sg_log(SG_LOG_INFO, "cut", "agent=%s connection=%llu model=%s output_tokens=%lld clean=%s",
		client->agent->name, (unsigned long long)client->connection, exchange->facts.model,
		(long long)exchange->slice.seen_tokens, r == 0 ? "yes" : "no");
	sg_exchange_settle(exchange, false, NULL);
	exchange->upstream_keep_alive = false;
	exchange->response = SG_RESPONSE_DONE;
	if (r < 0) {
		exchange->cut = exchange->close_agent = true;
		return 0;
	}
	r = forward_filtered(exchange);
	if (r == 0 && !exchange->agent_gone)
		r = exchange->side->send_end(exchange);
	return r;
}

// The lines behind the last chunk, which end what was fed. The blank line that ends them is not
// kept.
static int keep_trailers(struct sg_exchange *exchange, const char *end, uint32_t length)
{
	bool last = sg_h1_body_is_done(&exchange->response_body);

	if (!exchange->reframe || !length)
		return 0;
	if (last && length >= 2)
		return sg_buf_append(&exchange->trailers, end - length, length - 2);
	if (last) // its CR was kept
		exchange->trailers.end--;
	return last ? 0 : sg_buf_append(&exchange->trailers, end - length, length);
}

static ssize_t on_body(struct sg_exchange *exchange, const char *data, size_t length)
{
	size_t taken = 0;
	int r = 0;

	while (r == 0 && taken < length && !sg_h1_body_is_done(&exchange->response_body)) {
		uint32_t trailers = exchange->response_body.trailer_bytes;
		struct sg_str payload;
		ssize_t n = sg_h1_body_feed(
			&exchange->response_body, data + taken, length - taken, &payload);

		if (n < 0)
			return n;
		taken += (size_t)n;
		r = read_payload(exchange, payload);
		if (r == 0)
			r = keep_trailers(exchange, data + taken,
				exchange->response_body.trailer_bytes - trailers);
	}
	// Settled before the agent sees the end, so that its next call finds the room.
	if (r == 0 && sg_h1_body_is_done(&exchange->response_body))
		sg_exchange_settle(exchange, true, filtered(exchange));
	if (r == 0 && exchange->filter)
		r = forward_filtered(exchange);
	else if (r == 0 && !exchange->reframe)
		r = forward_raw(exchange, data, taken);
	if (r == 0 && !sg_h1_body_is_done(&exchange->response_body) && sg_slice_step(exchange) < 0)
		r = end_stream(exchange);
	return r < 0 ? r : (ssize_t)taken;
}

// ---- Bytes ----

// Takes one head or a run of body. Returns the bytes taken, 0 when a head needs more, or -errno.
static ssize_t take(struct sg_exchange *exchange, const char *data, size_t length)
{
	struct sg_h1_head head;
	const char *reason = "";
	ssize_t n;
	int r;

	if (exchange->response == SG_RESPONSE_BODY)
		return on_body(exchange, data, length);
	n = sg_h1_parse_head(SG_H1_RESPONSE, exchange->head_request, data, length, &head, &reason);
	if (n <= 0)
		return n;
	r = head.status < 200 ? on_interim(exchange, &head) : on_head(exchange, &head);
	return r < 0 ? r : n;
}

static bool wants_bytes(const struct sg_exchange *exchange)
{
	return exchange->response == SG_RESPONSE_HEAD || exchange->response == SG_RESPONSE_BODY;
}

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
	while (wants_bytes(exchange)) {
		ssize_t n;

		if (exchange->response == SG_RESPONSE_BODY &&
			sg_h1_body_is_done(&exchange->response_body)) {
			r = finish(exchange);
			if (r < 0)
				return r;
			break;
		}
		if (taken == length)
			break;
		n = take(exchange, data + taken, length - taken);
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

static void on_end_of_data(struct sg_exchange *exchange)
{
	exchange->upstream_keep_alive = false;
	if (exchange->response == SG_RESPONSE_BODY &&
		exchange->response_body.framing == SG_H1_UNTIL_CLOSE) {
		if (finish(exchange) < 0)
			exchange->side->abort(exchange, "resources");
		return;
	}
	if (exchange->response == SG_RESPONSE_BODY) {
		// Cut: what the filter holds is the agent's, the end of the body is not there to be
		// told.
		sg_exchange_settle(exchange, false, filtered(exchange));
		if (exchange->filter && forward_filtered(exchange) < 0)
			exchange->agent_gone = true;
	}
	sg_exchange_upstream_broke(exchange, "the connection ended before the answer was complete");
}

static void on_broken(struct sg_exchange *exchange, int error)
{
	if (exchange->response == SG_RESPONSE_BODY)
		on_end_of_data(exchange);
	else
		sg_exchange_upstream_broke(exchange,
			error == -EBADMSG ? "the answer is not HTTP/1.1" : strerror(-error));
}

// Is the agent, or nobody any more, there to take what is read?
static bool may_read(struct sg_exchange *exchange)
{
	if (exchange->agent_gone || exchange->side->has_room(exchange))
		return true;
	if (sg_slice_look_away(exchange) < 0 && end_stream(exchange) < 0)
		exchange->side->abort(exchange, "resources");
	return false;
}

bool sg_response_step(struct sg_exchange *exchange)
{
	struct sg_worker *worker = exchange->client->worker;
	bool progress = false;

	while (exchange->upstream && exchange->upstream->state == SG_UPSTREAM_ACTIVE &&
		wants_bytes(exchange) && may_read(exchange)) {
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

void sg_response_go_on(struct sg_exchange *exchange, const struct sg_buf *head)
{
	struct sg_h1_head parsed;
	const char *reason;
	ssize_t n = sg_h1_parse_head(SG_H1_RESPONSE, false, (const char *)sg_buf_head(head),
		sg_buf_length(head), &parsed, &reason);
	int r = n > 0 ? 0 : -EBADMSG;

	exchange->response = SG_RESPONSE_BODY;
	if (r == 0 && !exchange->agent_gone)
		r = exchange->side->send_head(exchange, &parsed);
	if (r == 0)
		r = take_all(exchange, "", 0);
	if (r < 0)
		on_broken(exchange, r);
}
