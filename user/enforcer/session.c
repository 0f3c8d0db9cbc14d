// SPDX-License-Identifier: Apache-2.0
#include "enforcer/session.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/tunnel.h"
#include "enforcer/worker.h"

static void on_timeout(struct sg_timer *timer)
{
	struct sg_client *client =
		(struct sg_client *)((char *)timer - offsetof(struct sg_client, timer));

	sg_client_close(client, client->exchange ? "timeout" : "idle");
}

void sg_session_arm(struct sg_client *client, int64_t delay_ms)
{
	sg_loop_arm(client->worker->loop, &client->timer, delay_ms, on_timeout);
}

// ---- Exchange objects ----

int sg_exchange_begin(struct sg_client *client)
{
	struct sg_worker *worker = client->worker;
	struct sg_exchange *exchange = worker->spare_exchange;

	if (exchange)
		worker->spare_exchange = NULL;
	else
		exchange = malloc(sizeof(*exchange));
	if (!exchange)
		return -1;
	memset(exchange, 0, offsetof(struct sg_exchange, head));
	exchange->head.method = exchange->head.target = exchange->head.host =
		(struct sg_str){ "", 0 };
	exchange->head.header_count = 0;
	exchange->head.keep_alive = false;
	sg_body_init(&exchange->body);
	exchange->started_ms = sg_loop_now_ms(worker->loop);
	client->exchange = exchange;
	return 0;
}

static void free_exchange(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	client->exchange = NULL;
	sg_buf_release(&exchange->head_bytes);
	sg_buf_release(&exchange->answer);
	sg_body_done(&exchange->body);
	sg_request_reader_free(exchange->request_reader);
	sg_inflate_free(exchange->request_inflate);
	sg_response_reader_free(exchange->response_reader);
	if (client->worker->spare_exchange)
		free(exchange);
	else
		client->worker->spare_exchange = exchange;
}

static void end_exchange(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	bool whole = exchange->request == SG_REQUEST_DONE;

	if (exchange->upstream)
		sg_upstream_put(exchange->upstream,
			whole && exchange->everything_sent && exchange->upstream_keep_alive);
	if (exchange->close_agent || !whole)
		client->close_after_flush = true;
	free_exchange(client);
	if (client->out.capacity > SG_IDLE_BUFFER_BYTES && !sg_buf_length(&client->out))
		sg_buf_release(&client->out);
	if (!sg_buf_length(&client->in))
		sg_buf_release(&client->in);
	sg_session_arm(client, SG_IDLE_MS);
}

void sg_session_abandon(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	if (!exchange)
		return;
	if (exchange->response == SG_RESPONSE_BODY)
		sg_exchange_settle(client, false, NULL);
	else
		sg_exchange_settle_unanswered(client, exchange->everything_sent);
	if (exchange->upstream)
		sg_upstream_put(exchange->upstream, false);
	free_exchange(client);
}

// ---- The conductor ----

// The agent left. What was not wholly sent is cancelled; an answer that is under way is read on for
// its usage.
static bool agent_left(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	if (!exchange || !exchange->agent_gone)
		return false;
	sg_buf_release(&client->out);
	if (!exchange->everything_sent || exchange->response == SG_RESPONSE_DONE) {
		sg_client_close(client, "agent_left");
		return true;
	}
	if (!exchange->draining) {
		exchange->draining = true;
		sg_session_arm(client, SG_DRAIN_MS);
	}
	return false;
}

void sg_session_run(struct sg_client *client)
{
	bool progress = true;

	while (progress && client->state == SG_CLIENT_SESSION) {
		progress = false;
		if (agent_left(client))
			return;
		if (!client->exchange && !client->close_after_flush)
			progress = sg_request_take_head(client);
		if (client->state == SG_CLIENT_SESSION && client->exchange)
			progress |= sg_request_step(client);
		if (client->state == SG_CLIENT_SESSION && client->exchange)
			progress |= sg_response_step(client);
		if (client->state != SG_CLIENT_SESSION)
			return;
		if (client->exchange && client->exchange->response == SG_RESPONSE_DONE) {
			if (client->exchange->agent_gone) {
				sg_client_close(client, "agent_left");
				return;
			}
			end_exchange(client);
			progress = true;
		}
		if (!sg_client_flush(client))
			return;
	}
}

void sg_session_on_upstream(struct sg_client *client)
{
	if (client->state == SG_CLIENT_TUNNEL)
		sg_tunnel_on_upstream(client);
	else
		sg_session_run(client);
}

void sg_session_on_upstream_failed(struct sg_client *client, int error, const char *detail)
{
	struct sg_exchange *exchange = client->exchange;

	if (client->state == SG_CLIENT_TUNNEL) {
		sg_tunnel_on_upstream_failed(client, detail);
		return;
	}
	if (!exchange)
		return;
	exchange->upstream = NULL;
	sg_log(SG_LOG_WARN, "upstream_failed",
		"agent=%s connection=%llu host=%s error=%d reason=\"%s\"", client->agent->name,
		(unsigned long long)client->connection, client->host, -error, detail);
	sg_exchange_settle_unanswered(client, false);
	sg_exchange_refuse(client, SG_ANSWER_UPSTREAM, NULL, detail);
	sg_session_run(client);
}

void sg_exchange_dial(struct sg_client *client, bool fresh)
{
	struct sg_exchange *exchange = client->exchange;
	int r = sg_upstream_get(
		client->worker, client->pool_origin, client, fresh, &exchange->upstream);

	exchange->response = SG_RESPONSE_HEAD;
	if (r < 0) {
		exchange->upstream = NULL;
		sg_exchange_settle_unanswered(client, false);
		sg_exchange_refuse(client, SG_ANSWER_UPSTREAM, NULL, strerror(-r));
	}
}

void sg_exchange_upstream_broke(struct sg_client *client, const char *detail)
{
	struct sg_exchange *exchange = client->exchange;
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
		sg_exchange_dial(client, true);
		return;
	}
	sg_log(SG_LOG_WARN, "upstream_failed", "agent=%s connection=%llu host=%s reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host, detail);
	if (exchange->response == SG_RESPONSE_HEAD) {
		sg_exchange_settle_unanswered(client, exchange->everything_sent);
		sg_exchange_refuse(client, SG_ANSWER_UPSTREAM, NULL, detail);
		return;
	}
	exchange->close_agent = true;
	exchange->response = SG_RESPONSE_DONE;
}

// ---- Our own answers ----

static const char *answer_reason(enum sg_answer_kind kind)
{
	static const char *const names[] = {
		[SG_ANSWER_BUDGET] = "budget",
		[SG_ANSWER_UNKNOWN_MODEL] = "unknown_model",
		[SG_ANSWER_UNKNOWN_PATH] = "unknown_path",
		[SG_ANSWER_UNBOUNDED] = "unbounded",
		[SG_ANSWER_BAD_BODY] = "bad_body",
		[SG_ANSWER_TOO_LARGE] = "too_large",
		[SG_ANSWER_BAD_REQUEST] = "bad_request",
		[SG_ANSWER_MISDIRECTED] = "misdirected",
		[SG_ANSWER_UPSTREAM] = "upstream",
		[SG_ANSWER_UNAVAILABLE] = "unavailable",
	};

	return names[kind];
}

// Is the rest of the request's body worth reading, so that the connection can be kept?
static bool can_discard(const struct sg_exchange *exchange)
{
	if (exchange->head.expect_continue && !exchange->continued)
		return false;
	return exchange->head.framing != SG_H1_LENGTH ||
	       exchange->head.content_length <= SG_LINGER_BYTES;
}

void sg_exchange_refuse(struct sg_client *client, enum sg_answer_kind kind,
	const struct sg_refusal *refusal, const char *detail)
{
	struct sg_exchange *exchange = client->exchange;
	bool body_left =
		exchange->request == SG_REQUEST_HOLD || exchange->request == SG_REQUEST_STREAM;
	bool discard;
	struct sg_answer answer = {
		.kind = kind,
		.provider = client->provider,
		.api = exchange->route.api,
		.stainless = exchange->stainless,
		.refusal = refusal,
		.agent = client->agent->name,
		.detail = detail,
		.head_request = exchange->head_request,
		.wall_ns = sg_clock_wall_ns(),
	};
	unsigned status = 0;

	body_left = body_left && !sg_h1_body_is_done(&exchange->request_body);
	discard = body_left && can_discard(exchange) && kind != SG_ANSWER_BAD_REQUEST;
	exchange->close_agent = (body_left && !discard) || !exchange->head.keep_alive ||
				kind == SG_ANSWER_BAD_REQUEST;
	answer.close = exchange->close_agent;
	if (kind == SG_ANSWER_BUDGET || kind == SG_ANSWER_UNKNOWN_MODEL ||
		kind == SG_ANSWER_UNKNOWN_PATH || kind == SG_ANSWER_UNBOUNDED)
		sg_account_count_refused(client->agent->account);
	if (sg_answer_render(&answer, &exchange->answer, &status) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	sg_log(SG_LOG_INFO, "refused",
		"agent=%s connection=%llu host=%s reason=%s status=%u budget=%s detail=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		answer_reason(kind), status, refusal ? refusal->budget : "-", detail ? detail : "");
	if (discard) {
		exchange->request = SG_REQUEST_DISCARD;
		return;
	}
	sg_exchange_send_answer(client);
}

void sg_exchange_send_answer(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	if (sg_buf_append(&client->out, sg_buf_head(&exchange->answer),
		    sg_buf_length(&exchange->answer)) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	if (!exchange->close_agent)
		exchange->request = SG_REQUEST_DONE;
	exchange->response = SG_RESPONSE_DONE;
}
