// SPDX-License-Identifier: Apache-2.0
// The answer's way: read where it lies, forwarded as it comes.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>

#include "enforcer/client.h"
#include "enforcer/gate.h"
#include "enforcer/limits.h"
#include "enforcer/pending.h"
#include "enforcer/provider_side.h"
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
			client->own_host, client->provider, exchange->route.pending_id, &pending))
		return false;
	exchange->facts = pending.facts;
	sg_price_table_give_back(pending.prices);
	return true;
}

static int on_head(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	bool keeps_framing = sg_provider_side(exchange->upstream)->keeps_framing;
	int r = 0;

	exchange->status = head->status;
	exchange->upstream_keep_alive = head->keep_alive && head->framing != SG_H1_UNTIL_CLOSE;
	sg_h1_body_init(&exchange->response_body, head);
	// Chunks that its head speaks of are not there: the end is told otherwise.
	if (!keeps_framing && head->framing == SG_H1_CHUNKED)
		exchange->response_body = (struct sg_h1_body){ .framing = SG_H1_UNTIL_CLOSE,
			.state = SG_H1_BODY_DATA };
	exchange->is_poll = is_awaited_poll(exchange, head);
	if (exchange->route.kind == SG_ROUTE_METERED || exchange->is_poll)
		r = start_reader(exchange, head);
	if (r < 0) {
		// The provider has answered, but nothing will be read of it: the hold is charged.
		sg_exchange_settle_unanswered(exchange, true);
		return r;
	}
	exchange->reframe = exchange->filter || !exchange->side->keeps_framing ||
			    (!keeps_framing && head->framing == SG_H1_CHUNKED);
	if (head->framing == SG_H1_UNTIL_CLOSE && !exchange->reframe)
		exchange->close_agent = true;
	// Before the whole request was there: what is left of it is no next request.
	if (exchange->request != SG_REQUEST_DONE)
		exchange->close_agent = true;
	exchange->response = SG_RESPONSE_BODY;
	return exchange->agent_gone ? 0 : sg_gate_head(exchange, head);
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

int sg_response_finish(struct sg_exchange *exchange)
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

// There is no room for more, or no agent: the stream ends here, between two of its events, and the
// provider's connection with it. Charged is what is held then, since what it has said beyond that
// is not known.
static int end_stream(struct sg_exchange *exchange)
{
	const struct sg_stream_totals totals = sg_slice_totals(&exchange->slice, &exchange->hold);
	struct sg_buf *out = filtered(exchange);
	int r = out ? sg_response_reader_end(exchange->response_reader, &totals, out) : -ENOTSUP;

	sg_slice_note_call(exchange, r == 0);
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
		if (r == 0 && exchange->reframe)
			r = sg_h1_keep_trailers(&exchange->response_body, data + taken,
				exchange->response_body.trailer_bytes - trailers,
				&exchange->trailers);
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

ssize_t sg_response_take(struct sg_exchange *exchange, const char *data, size_t length)
{
	struct sg_h1_head head;
	const char *reason = "";
	ssize_t n;
	int r;

	sg_exchange_moved(exchange);
	if (exchange->response == SG_RESPONSE_BODY)
		return on_body(exchange, data, length);
	n = sg_h1_parse_head(SG_H1_RESPONSE, exchange->head_request, data, length, &head, &reason);
	if (n <= 0)
		return n;
	r = head.status < 200 ? on_interim(exchange, &head) : on_head(exchange, &head);
	return r < 0 ? r : n;
}

bool sg_response_is_due(const struct sg_exchange *exchange)
{
	return exchange->response == SG_RESPONSE_HEAD || exchange->response == SG_RESPONSE_BODY;
}

void sg_response_cut(struct sg_exchange *exchange, const char *detail)
{
	if (exchange->response == SG_RESPONSE_BODY) {
		// What the filter holds is the agent's, the end of the body is not there to be
		// told.
		sg_exchange_settle(exchange, false, filtered(exchange));
		if (exchange->filter && forward_filtered(exchange) < 0)
			exchange->agent_gone = true;
	}
	sg_exchange_upstream_broke(exchange, detail);
}

void sg_response_stop(struct sg_exchange *exchange)
{
	if (exchange->response != SG_RESPONSE_BODY || !sg_slice_stop(exchange))
		return;
	// Nothing of its end goes to the agent, so that it can't fail. That it has left, its
	// session sees by itself.
	exchange->agent_gone = true;
	(void)!end_stream(exchange);
	exchange->agent_gone = false;
}

void sg_response_broken(struct sg_exchange *exchange, int error)
{
	sg_exchange_upstream_broke(
		exchange, error == -EBADMSG ? "the answer is not HTTP" : strerror(-error));
}

bool sg_response_may_read(struct sg_exchange *exchange)
{
	if (!sg_response_is_due(exchange))
		return false;
	if (exchange->agent_gone || exchange->side->has_room(exchange))
		return true;
	if (sg_slice_look_away(exchange) < 0 && end_stream(exchange) < 0)
		exchange->side->abort(exchange, "resources");
	return false;
}

bool sg_response_step(struct sg_exchange *exchange)
{
	if (!exchange->upstream || !sg_upstream_is_ready(exchange->upstream))
		return false;
	return sg_provider_side(exchange->upstream)->read(exchange);
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
		r = sg_provider_side(exchange->upstream)->read_kept(exchange);
	if (r < 0)
		sg_response_cut(exchange, "the answer is not HTTP");
}
