// SPDX-License-Identifier: Apache-2.0
// The request's way from us to the provider: a connection, the head, the body.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/provider_side.h"
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

// An upgrade is one of HTTP/1.1, and what speaks HTTP/1.0 gets an answer in whose framing a
// connection's end has a meaning.
static bool needs_http1(const struct sg_exchange *exchange)
{
	return exchange->relay || exchange->head.minor_version == 0;
}

void sg_exchange_dial(struct sg_exchange *exchange, bool fresh)
{
	const struct sg_client *client = exchange->client;
	unsigned want =
		(fresh ? SG_UPSTREAM_FRESH : 0) | (needs_http1(exchange) ? SG_UPSTREAM_HTTP1 : 0);
	int r;

	exchange->upstream_user = (struct sg_upstream_user){ .on_event = on_upstream,
		.on_failed = on_upstream_failed };
	r = sg_upstream_get(client->worker, client->pool_origin, &exchange->upstream_user, want,
		&exchange->upstream);
	exchange->response = SG_RESPONSE_HEAD;
	if (r < 0) {
		exchange->upstream = NULL;
		sg_exchange_settle_unanswered(exchange, false);
		sg_exchange_refuse(exchange, SG_ANSWER_UPSTREAM, NULL, strerror(-r));
	}
}

void sg_exchange_give_back(struct sg_exchange *exchange, bool reusable)
{
	if (exchange->upstream)
		sg_provider_side(exchange->upstream)->give_back(exchange, reusable);
}

void sg_exchange_upstream_broke(struct sg_exchange *exchange, const char *detail)
{
	const struct sg_client *client = exchange->client;
	bool untaken = sg_provider_side(exchange->upstream)->took_nothing(exchange);

	sg_exchange_give_back(exchange, false);
	if (untaken && !exchange->retried && !exchange->agent_gone &&
		(exchange->route.kind == SG_ROUTE_METERED ||
			exchange->head.framing == SG_H1_NO_BODY)) {
		exchange->retried = true;
		exchange->everything_sent = false;
		exchange->write_failed = false;
		exchange->head_sent = false;
		exchange->sent_bytes = 0;
		exchange->request = SG_REQUEST_SEND;
		sg_exchange_dial(exchange, true);
		return;
	}
	sg_log(SG_LOG_WARN, "upstream_failed", "agent=%s connection=%llu host=%s reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host, detail);
	if (exchange->response == SG_RESPONSE_HEAD) {
		sg_exchange_settle_unanswered(exchange, exchange->everything_sent && !untaken);
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

int sg_dispatch_run(struct sg_exchange *exchange, struct sg_str raw, uint32_t trailer_bytes,
	struct sg_str payload)
{
	const struct sg_provider_side *side = sg_provider_side(exchange->upstream);
	int r;

	if (exchange->side->keeps_framing && side->keeps_framing)
		return side->send_raw(exchange, raw.data, raw.length);
	r = sg_h1_keep_trailers(&exchange->request_body, raw.data + raw.length, trailer_bytes,
		&exchange->request_trailers);
	if (r < 0 || !payload.length)
		return r;
	return side->send_payload(exchange, payload.data, payload.length);
}

// An admitted call's body, piece by piece.
static int send_gathered(struct sg_exchange *exchange, const struct sg_provider_side *side)
{
	uint8_t *scratch = exchange->client->worker->scratch;
	int r = 0;

	while (r == 0 && exchange->request == SG_REQUEST_SEND && side->has_room(exchange)) {
		ssize_t n = exchange->head.framing == SG_H1_NO_BODY
				    ? 0
				    : read_outgoing(exchange, exchange->sent_bytes, scratch,
					      SG_SCRATCH_BYTES);

		if (n < 0)
			return (int)n;
		exchange->sent_bytes += (uint64_t)n;
		if (n > 0) {
			r = side->send_payload(exchange, scratch, (size_t)n);
		} else {
			r = side->send_end(exchange);
			exchange->request = SG_REQUEST_DONE;
		}
	}
	return r;
}

// The body of a free call. Returns true when it got anything done.
static bool send_as_it_comes(
	struct sg_exchange *exchange, const struct sg_provider_side *side, int *ret_result)
{
	bool progress = exchange->side->read_body(exchange);

	*ret_result = 0;
	if (exchange->over || !sg_h1_body_is_done(&exchange->request_body))
		return progress;
	// What was passed as it came has its end in it.
	if (!exchange->side->keeps_framing || !side->keeps_framing)
		*ret_result = side->send_end(exchange);
	exchange->request = SG_REQUEST_DONE;
	return progress;
}

bool sg_dispatch_step(struct sg_exchange *exchange)
{
	struct sg_upstream *upstream = exchange->upstream;
	const struct sg_provider_side *side;
	uint64_t sent_before = exchange->sent_bytes;
	bool progress = false;
	int r = 0;

	if (!upstream || !sg_upstream_is_ready(upstream) || exchange->write_failed)
		return false;
	side = sg_provider_side(upstream);
	if (!exchange->head_sent) {
		r = side->send_head(exchange);
		exchange->head_sent = true;
	}
	if (r == 0 && exchange->request == SG_REQUEST_SEND)
		r = send_gathered(exchange, side);
	if (r == 0 && exchange->request == SG_REQUEST_STREAM)
		progress = send_as_it_comes(exchange, side, &r);
	if (exchange->over)
		return true;
	if (r == -EPIPE) {
		sg_exchange_upstream_broke(exchange, "the connection takes no more calls");
		return true;
	}
	if (r < 0) {
		exchange->side->abort(exchange, "resources");
		return true;
	}
	progress |= side->flush(exchange) || exchange->sent_bytes > sent_before;
	if (progress)
		sg_exchange_moved(exchange);
	return progress;
}
