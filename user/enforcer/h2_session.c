// SPDX-License-Identifier: Apache-2.0
// HTTP/2 towards the agent: many calls at a time on its connection, each with a budget hold, a
// provider connection and a fate of its own. A call whose stream was reset is read on for its
// usage like one whose connection went away.
#include "enforcer/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"
#include "http/h2.h"

struct sg_h2_session {
	struct sg_h2 *codec;
	bool put_off; // so were calls of it, to this turn
	bool running; // what happens meanwhile is seen by the run itself
	bool ended;   // the agent is gone, or was told to go
	const char *reason;
};

// ---- The agent's side of a call ----

static bool read_body(struct sg_exchange *exchange)
{
	struct sg_h2_stream *stream = exchange->stream;
	size_t there = stream ? sg_buf_length(&stream->in) : 0;
	bool done = sg_h1_body_is_done(&exchange->request_body);
	ssize_t n = 0;

	if (!stream || done)
		return false;
	if (there && !sg_request_sink_is_full(exchange)) {
		n = sg_request_feed(exchange, (const char *)sg_buf_head(&stream->in), there);
		if (n < 0)
			return true;
		sg_h2_take(stream, (size_t)n);
	}
	if (!stream->in_ended || sg_buf_length(&stream->in))
		return n > 0;
	exchange->request_body.state = SG_H1_BODY_DONE;
	return true;
}

static bool has_room(const struct sg_exchange *exchange)
{
	return sg_h2_unsent(exchange->stream) < SG_STREAM_OUT_HIGH;
}

static int send_continue(struct sg_exchange *exchange)
{
	return sg_h2_continue(exchange->stream);
}

static int send_interim(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	return sg_h2_respond(exchange->stream, head, true, false);
}

static int send_head(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	return sg_h2_respond(exchange->stream, head, !exchange->filter,
		sg_h1_body_is_done(&exchange->response_body));
}

static int send_payload(struct sg_exchange *exchange, const void *data, size_t length)
{
	return sg_h2_send(exchange->stream, data, length);
}

static int send_end(struct sg_exchange *exchange)
{
	return sg_h2_end(exchange->stream, &exchange->trailers);
}

static int send_answer(struct sg_exchange *exchange)
{
	const char *text = (const char *)sg_buf_head(&exchange->answer), *reason;
	size_t length = sg_buf_length(&exchange->answer);
	struct sg_h1_head head;
	ssize_t n = sg_h1_parse_head(
		SG_H1_RESPONSE, exchange->head_request, text, length, &head, &reason);
	int r;

	if (n <= 0)
		return -EBADMSG;
	r = sg_h2_respond(exchange->stream, &head, exchange->head_request || (size_t)n < length,
		(size_t)n == length);
	if (r == 0)
		r = sg_h2_send(exchange->stream, text + n, length - (size_t)n);
	return r < 0 ? r : sg_h2_end(exchange->stream, NULL);
}

static void abort_call(struct sg_exchange *exchange, const char *reason SG_UNUSED)
{
	struct sg_client *client = exchange->client;

	if (exchange->stream)
		sg_h2_reset(exchange->stream, SG_H2_INTERNAL_ERROR, true);
	exchange->stream = NULL;
	sg_exchange_abandon(exchange);
	sg_h2_session_run(client);
}

static void go_on_later(struct sg_exchange *exchange)
{
	struct sg_client *client = exchange->client;

	exchange->put_off = client->h2->put_off = true;
	sg_loop_again(client->worker->loop, &client->transport.watch);
}

static void run_call(struct sg_exchange *exchange);

static void run(struct sg_exchange *exchange)
{
	struct sg_client *client = exchange->client;

	run_call(exchange);
	sg_h2_session_run(client);
}

static const struct sg_agent_side agent_side = {
	.answers_early = true,
	.read_body = read_body,
	.has_room = has_room,
	.send_continue = send_continue,
	.send_interim = send_interim,
	.send_head = send_head,
	.send_payload = send_payload,
	.send_end = send_end,
	.send_answer = send_answer,
	.abort = abort_call,
	.go_on_later = go_on_later,
	.run = run,
};

// ---- One call ----

static void end_call(struct sg_exchange *exchange)
{
	struct sg_h2_stream *stream = exchange->stream;

	if (stream && exchange->cut)
		sg_h2_reset(stream, SG_H2_INTERNAL_ERROR, true);
	else if (stream)
		sg_h2_release(stream, exchange->request != SG_REQUEST_DONE);
	sg_exchange_end(exchange);
}

// The agent has reset the stream, or its connection is gone.
static bool leave(struct sg_exchange *exchange)
{
	if (exchange->stream)
		sg_h2_reset(exchange->stream, SG_H2_CANCEL, false);
	exchange->stream = NULL;
	if (!sg_exchange_agent_left(exchange))
		return false;
	if (exchange->response == SG_RESPONSE_DONE)
		sg_exchange_end(exchange);
	else
		sg_exchange_abandon(exchange);
	return true;
}

static void run_call(struct sg_exchange *exchange)
{
	struct sg_h2_stream *stream = exchange->stream;

	if (exchange->over)
		return;
	if (((stream && stream->closed) || exchange->client->h2->ended || exchange->agent_gone) &&
		leave(exchange))
		return;
	while (!exchange->over && exchange->response != SG_RESPONSE_DONE &&
		sg_exchange_step(exchange))
		;
	if (!exchange->over && exchange->response == SG_RESPONSE_DONE)
		end_call(exchange);
}

// The codec has made the head of HTTP/1.1 from the stream's fields: from here on it is read as
// strictly.
static void take_head(struct sg_exchange *exchange, struct sg_h2_stream *stream)
{
	const char *reason = "the head is too large";
	ssize_t n = -EMSGSIZE;

	exchange->head_bytes = stream->head;
	stream->head = (struct sg_buf){ .data = NULL };
	exchange->request_body =
		(struct sg_h1_body){ .framing = SG_H1_UNTIL_CLOSE, .state = SG_H1_BODY_DATA };
	if (!stream->head_too_large)
		n = sg_h1_parse_head(SG_H1_REQUEST, false,
			(const char *)sg_buf_head(&exchange->head_bytes),
			sg_buf_length(&exchange->head_bytes), &exchange->head, &reason);
	if (n <= 0) {
		sg_exchange_reject(exchange, reason);
		return;
	}
	if (exchange->head.framing == SG_H1_NO_BODY)
		exchange->request_body.state = SG_H1_BODY_DONE;
	sg_exchange_classify(exchange);
}

static void begin_call(struct sg_client *client, struct sg_h2_stream *stream)
{
	struct sg_exchange *exchange;

	stream->head_there = false;
	if (client->worker->stop_ms) {
		sg_h2_reset(stream, SG_H2_REFUSED_STREAM, false);
		return;
	}
	if (stream->closed || sg_exchange_begin(client, &agent_side, &exchange) < 0) {
		sg_h2_reset(stream, SG_H2_INTERNAL_ERROR, false);
		return;
	}
	sg_loop_disarm(&client->timer);
	stream->owner = exchange;
	exchange->stream = stream;
	take_head(exchange, stream);
	run_call(exchange);
}

// ---- The connection ----

static void end_session(struct sg_client *client, const char *reason)
{
	if (client->h2->ended)
		return;
	client->h2->ended = true;
	client->h2->reason = reason;
}

static bool receive(struct sg_client *client)
{
	struct sg_worker *worker = client->worker;
	struct sg_h2_session *session = client->h2;
	ssize_t n;
	int r;

	if (session->ended || sg_buf_length(&client->out) >= SG_OUT_HIGH)
		return false;
	n = sg_transport_read(&client->transport, worker->scratch, SG_SCRATCH_BYTES);
	if (n == -EAGAIN)
		return false;
	if (n <= 0) {
		end_session(client, n == 0 ? "done" : "read");
		return true;
	}
	r = sg_h2_feed(session->codec, worker->scratch, (size_t)n, sg_loop_now_ms(worker->loop));
	if (r < 0)
		end_session(client, r == -EPROTO ? "protocol" : "resources");
	return true;
}

static bool run_news(struct sg_client *client)
{
	struct sg_h2_stream *stream;
	bool progress = false;

	while ((stream = sg_h2_next_news(client->h2->codec))) {
		if (stream->owner)
			run_call(stream->owner);
		else
			begin_call(client, stream);
		progress = true;
	}
	return progress;
}

static void run_put_off(struct sg_client *client)
{
	struct sg_exchange *exchange, *next;

	client->h2->put_off = false;
	for (exchange = client->exchanges; exchange; exchange = next) {
		next = exchange->next;
		if (!exchange->put_off)
			continue;
		exchange->put_off = false;
		run_call(exchange);
	}
}

// Writes what there is. Returns true when more may be there to be written or done.
static bool transmit(struct sg_client *client)
{
	struct sg_h2_session *session = client->h2;
	bool progress;
	int r = sg_h2_drain(session->codec, &client->out, SG_OUT_HIGH);

	progress = sg_buf_length(&client->out) > 0;
	if (r == 0)
		r = sg_transport_flush(&client->transport, &client->out);
	if (r == -EAGAIN)
		return false;
	if (r < 0) {
		sg_buf_release(&client->out);
		end_session(client, "write");
		return false;
	}
	if (sg_h2_is_over(session->codec))
		end_session(client, "done");
	return progress;
}

// No call of it is forgotten: what is under way is read on for its usage.
static void leave_all(struct sg_client *client)
{
	struct sg_exchange *exchange, *next;

	for (exchange = client->exchanges; exchange; exchange = next) {
		next = exchange->next;
		if (!exchange->agent_gone)
			leave(exchange);
	}
}

static void rest(struct sg_client *client)
{
	struct sg_h2_session *session = client->h2;

	if (session->ended)
		leave_all(client);
	if (client->exchanges)
		return;
	if (!session->ended) {
		sg_client_arm_idle(client);
		if (!sg_buf_length(&client->out))
			sg_buf_release(&client->out);
	} else if (client->transport.failed || client->transport.peer_closed) {
		sg_client_close(client, session->reason);
	} else {
		sg_client_enter(client, SG_CLIENT_LINGER);
	}
}

static int start(struct sg_client *client)
{
	client->h2 = calloc(1, sizeof(*client->h2));
	return client->h2 ? sg_h2_new(SG_H2_SERVER, &client->h2->codec) : -ENOMEM;
}

void sg_h2_session_run(struct sg_client *client)
{
	bool progress = true;

	if (client->state != SG_CLIENT_SESSION || (client->h2 && client->h2->running))
		return;
	if (!client->h2 && start(client) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	client->h2->running = true;
	if (client->h2->put_off)
		run_put_off(client);
	while (progress) {
		progress = receive(client);
		progress |= run_news(client);
		progress |= transmit(client);
	}
	client->h2->running = false;
	rest(client);
}

void sg_h2_session_on_reset(struct sg_client *client)
{
	client->transport.failed = true;
	end_session(client, "reset");
	sg_h2_session_run(client);
}

void sg_h2_session_free(struct sg_client *client)
{
	struct sg_h2_session *session = client->h2;

	if (!session)
		return;
	if (session->codec && !session->ended) {
		sg_h2_shut_down(session->codec);
		transmit(client);
	}
	sg_h2_free(session->codec);
	free(session);
	client->h2 = NULL;
}
