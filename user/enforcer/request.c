// SPDX-License-Identifier: Apache-2.0
// The request's way: head, classification, body, admission, and out to the provider.
#include "enforcer/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// ---- Head ----

static void rebase(struct sg_str *view, const char *from, const char *to)
{
	if (view->data >= from && view->data < from + SG_H1_MAX_HEAD_BYTES)
		view->data = to + (view->data - from);
}

// The head must outlive the input buffer that it was parsed in.
static int keep_head(struct sg_client *client, size_t length)
{
	struct sg_exchange *exchange = client->exchange;
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

// Path and query of the target, also of the absolute form.
static struct sg_str request_path(const struct sg_h1_head *head)
{
	struct sg_str target = head->target;
	const char *scheme_end, *slash;

	if (!target.length || target.data[0] == '/')
		return target;
	scheme_end = memmem(target.data, target.length, "://", 3);
	if (!scheme_end)
		return target;
	scheme_end += 3;
	slash = memchr(scheme_end, '/', target.length - (size_t)(scheme_end - target.data));
	if (!slash)
		return (struct sg_str){ "/", 1 };
	return (struct sg_str){ slash, target.length - (size_t)(slash - target.data) };
}

// The call is for the host of this connection, whatever name the agent would like to be served
// under.
static bool host_agrees(const struct sg_client *client)
{
	struct sg_str host = client->exchange->head.host;

	if (host.length == strlen(client->host) &&
		strncasecmp(host.data, client->host, host.length) == 0)
		return true;
	// A registered endpoint that was addressed without a name (no SNI, plain HTTP) may be
	// called by its address.
	return client->registered &&
	       !(client->transport.ssl &&
		       SSL_get_servername(client->transport.ssl, TLSEXT_NAMETYPE_host_name)) &&
	       !sg_provider_by_host(host.data, host.length);
}

static int start_metering(struct sg_exchange *exchange)
{
	const struct sg_h1_header *coding = sg_h1_find(&exchange->head, "content-encoding");
	int r = sg_request_reader_new(&exchange->route, &exchange->request_reader);

	if (r == 0 && coding) {
		r = sg_inflate_new(coding->value, &exchange->request_inflate);
		exchange->bad_coding = r == -ENOTSUP;
		r = r == -ENOTSUP ? 0 : r;
	}
	return r;
}

static void continue_if_asked(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;

	if (!exchange->head.expect_continue || sg_h1_body_is_done(&exchange->request_body))
		return;
	if (sg_buf_printf(&client->out, "HTTP/1.1 100 Continue\r\n\r\n") == 0)
		exchange->continued = true;
}

static void start_metered(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_refusal refusal;

	exchange->request = SG_REQUEST_HOLD;
	if (start_metering(exchange) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	// A large body is not read for a call that can't be admitted.
	if (exchange->head.framing == SG_H1_LENGTH &&
		exchange->head.content_length > SG_BODY_MEMORY_BYTES &&
		sg_account_is_exhausted(
			client->worker->enforcer->engine, client->agent->account, &refusal)) {
		sg_exchange_refuse(client, SG_ANSWER_BUDGET, &refusal, NULL);
		return;
	}
	if (exchange->head.framing == SG_H1_LENGTH &&
		exchange->head.content_length > SG_BODY_MAX_BYTES) {
		sg_exchange_refuse(client, SG_ANSWER_TOO_LARGE, NULL, NULL);
		return;
	}
	continue_if_asked(client);
}

static void classify(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	const struct sg_h1_head *head = &exchange->head;
	struct sg_str path = request_path(head);
	char shown[128];

	exchange->request = SG_REQUEST_STREAM;
	if (!host_agrees(client)) {
		sg_exchange_refuse(client, SG_ANSWER_MISDIRECTED, NULL, NULL);
		return;
	}
	exchange->route = sg_provider_route(client->provider, head->method, path, head->upgrade);
	switch (exchange->route.kind) {
	case SG_ROUTE_UNKNOWN:
		snprintf(shown, sizeof(shown), "%.*s %.*s", (int)head->method.length,
			head->method.data, (int)strcspn(path.data, "? \r"), path.data);
		sg_exchange_refuse(client, SG_ANSWER_UNKNOWN_PATH, NULL, shown);
		break;
	case SG_ROUTE_METERED:
		start_metered(client);
		break;
	case SG_ROUTE_FREE:
		continue_if_asked(client);
		sg_exchange_dial(client, false);
		break;
	}
}

static void begin(struct sg_client *client, const struct sg_h1_head *parsed, ssize_t length,
	const char *reason)
{
	struct sg_exchange *exchange;

	if (sg_exchange_begin(client) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	exchange = client->exchange;
	sg_session_arm(client, SG_REQUEST_MS);
	if (length < 0) {
		exchange->request = SG_REQUEST_DONE;
		sg_exchange_refuse(client, SG_ANSWER_BAD_REQUEST, NULL, reason);
		return;
	}
	memcpy(&exchange->head, parsed,
		offsetof(struct sg_h1_head, headers) +
			parsed->header_count * sizeof(parsed->headers[0]));
	if (keep_head(client, (size_t)length) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	exchange->close_agent = !exchange->head.keep_alive;
	exchange->stainless = sg_h1_find(&exchange->head, "x-stainless-lang") != NULL;
	exchange->head_request = exchange->head.method.length == 4 &&
				 memcmp(exchange->head.method.data, "HEAD", 4) == 0;
	sg_h1_body_init(&exchange->request_body, &exchange->head);
	classify(client);
}

bool sg_request_take_head(struct sg_client *client)
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

// ---- Body from the agent ----

static int scan_decoded(void *context, const char *bytes, size_t length)
{
	return sg_request_reader_feed(context, bytes, length);
}

static int hold_payload(struct sg_client *client, struct sg_str payload)
{
	struct sg_exchange *exchange = client->exchange;
	int r = sg_body_append(&exchange->body, payload.data, payload.length,
		client->worker->enforcer->spill_directory);

	if (r < 0 || exchange->bad_coding)
		return r;
	if (!exchange->request_inflate)
		return sg_request_reader_feed(
			exchange->request_reader, payload.data, payload.length);
	r = sg_inflate_feed(exchange->request_inflate, payload.data, payload.length, scan_decoded,
		exchange->request_reader);
	if (r == -EBADMSG || r == -EFBIG) {
		exchange->bad_coding = true;
		r = 0;
	}
	return r;
}

// One run of body bytes goes where the request's state wants it.
static int take_run(
	struct sg_client *client, const char *raw, size_t raw_length, struct sg_str payload)
{
	struct sg_exchange *exchange = client->exchange;

	switch (exchange->request) {
	case SG_REQUEST_HOLD:
		return payload.length ? hold_payload(client, payload) : 0;
	case SG_REQUEST_STREAM:
		return sg_buf_append(&exchange->upstream->out, raw, raw_length);
	case SG_REQUEST_DISCARD:
		exchange->discarded_bytes += raw_length;
		return exchange->discarded_bytes > SG_LINGER_BYTES ? -EFBIG : 0;
	case SG_REQUEST_SEND:
	case SG_REQUEST_DONE:
		break;
	}
	return 0;
}

static void on_body_error(struct sg_client *client, int error)
{
	struct sg_exchange *exchange = client->exchange;

	switch (exchange->request) {
	case SG_REQUEST_DISCARD:
		exchange->close_agent =
			true; // too much, or malformed: the answer goes out and the connection ends
		sg_exchange_send_answer(client);
		break;
	case SG_REQUEST_STREAM:
		sg_client_close(client, error == -EBADMSG ? "malformed_body" : "resources");
		break;
	default:
		sg_exchange_refuse(client,
			error == -EBADMSG ? SG_ANSWER_BAD_REQUEST
			: error == -EFBIG ? SG_ANSWER_TOO_LARGE
					  : SG_ANSWER_UNAVAILABLE,
			NULL, error == -EBADMSG ? "malformed body framing" : strerror(-error));
	}
}

// Gives bytes to the body decoder. Returns how many were taken, or -errno.
static ssize_t feed_body(struct sg_client *client, const char *data, size_t length)
{
	struct sg_exchange *exchange = client->exchange;
	size_t taken = 0;

	while (taken < length && !sg_h1_body_is_done(&exchange->request_body)) {
		struct sg_str payload;
		ssize_t n = sg_h1_body_feed(
			&exchange->request_body, data + taken, length - taken, &payload);
		int r = n < 0 ? (int)n : take_run(client, data + taken, (size_t)n, payload);

		if (r < 0)
			return r;
		taken += (size_t)n;
	}
	return (ssize_t)taken;
}

static bool sink_is_full(const struct sg_exchange *exchange)
{
	return exchange->request == SG_REQUEST_STREAM &&
	       sg_buf_length(&exchange->upstream->out) >= SG_OUT_HIGH;
}

// Reads what there is of the body. Returns true when anything was taken.
static bool read_body(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_worker *worker = client->worker;
	bool progress = false;

	while (!sg_h1_body_is_done(&exchange->request_body) && !sink_is_full(exchange)) {
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
		taken = feed_body(client,
			buffered ? (const char *)sg_buf_head(&client->in)
				 : (const char *)worker->scratch,
			(size_t)n);
		if (taken < 0) {
			on_body_error(client, (int)taken);
			return true;
		}
		if (buffered)
			sg_buf_consume(&client->in, (size_t)taken);
		else if (taken < n && sg_buf_append(&client->in, worker->scratch + taken,
					      (size_t)(n - taken)) < 0)
			sg_client_close(client, "resources");
		if (client->state != SG_CLIENT_SESSION)
			return true;
	}
	return progress;
}

// ---- To the provider ----

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

// Puts one piece of the gathered body into the provider's buffer. Returns its length, 0 at the end,
// or -errno.
static ssize_t put_piece(struct sg_exchange *exchange, struct sg_buf *out, uint8_t *scratch)
{
	bool chunked = exchange->head.framing == SG_H1_CHUNKED;
	ssize_t n = read_outgoing(exchange, exchange->sent_bytes, scratch, SG_SCRATCH_BYTES);
	int r = 0;

	if (n < 0)
		return n;
	if (chunked)
		r = n ? sg_buf_printf(out, "%zx\r\n", (size_t)n)
		      : sg_buf_append(out, "0\r\n\r\n", 5);
	if (r == 0 && n)
		r = sg_buf_append(out, scratch, (size_t)n);
	if (r == 0 && n && chunked)
		r = sg_buf_append(out, "\r\n", 2);
	exchange->sent_bytes += (uint64_t)n;
	return r < 0 ? r : n;
}

// An admitted call: head, then the gathered body piece by piece.
static int send_gathered(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	struct sg_buf *out = &exchange->upstream->out;
	ssize_t n = 1;

	while (exchange->request == SG_REQUEST_SEND && sg_buf_length(out) < SG_OUT_HIGH) {
		n = exchange->head.framing == SG_H1_NO_BODY
			    ? 0
			    : put_piece(exchange, out, client->worker->scratch);
		if (n < 0)
			return (int)n;
		if (n == 0)
			exchange->request = SG_REQUEST_DONE;
	}
	return 0;
}

static bool flush_upstream(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
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
		sg_session_arm(client, SG_RESPONSE_MS);
	}
	return sg_buf_length(&upstream->out) < before;
}

static bool send_to_provider(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
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
		r = send_gathered(client);
	if (r == 0 && exchange->request == SG_REQUEST_STREAM) {
		progress = read_body(client);
		if (client->state != SG_CLIENT_SESSION)
			return true;
		if (sg_h1_body_is_done(&exchange->request_body))
			exchange->request = SG_REQUEST_DONE;
	}
	if (r < 0) {
		sg_client_close(client, "resources");
		return true;
	}
	return flush_upstream(client) || progress;
}

bool sg_request_step(struct sg_client *client)
{
	struct sg_exchange *exchange = client->exchange;
	bool progress = false;

	if (exchange->request == SG_REQUEST_HOLD) {
		progress = read_body(client);
		if (client->state == SG_CLIENT_SESSION && exchange->request == SG_REQUEST_HOLD &&
			exchange->response == SG_RESPONSE_NONE &&
			sg_h1_body_is_done(&exchange->request_body)) {
			progress = true;
			if (sg_exchange_admit(client)) {
				exchange->request = SG_REQUEST_SEND;
				sg_exchange_dial(client, false);
			}
		}
	}
	if (client->state == SG_CLIENT_SESSION && exchange->request == SG_REQUEST_DISCARD) {
		progress |= read_body(client);
		if (client->state == SG_CLIENT_SESSION && exchange->request == SG_REQUEST_DISCARD &&
			sg_h1_body_is_done(&exchange->request_body))
			sg_exchange_send_answer(client);
	}
	if (client->state == SG_CLIENT_SESSION && exchange->response != SG_RESPONSE_DONE)
		progress |= send_to_provider(client);
	return progress;
}
