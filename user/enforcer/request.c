// SPDX-License-Identifier: Apache-2.0
// The request's way: classification, body, admission.
#include "enforcer/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "enforcer/admission.h"
#include "enforcer/client.h"
#include "enforcer/coded.h"
#include "enforcer/gate.h"
#include "enforcer/keys.h"
#include "enforcer/limits.h"
#include "enforcer/provider_side.h"
#include "enforcer/relay.h"
#include "enforcer/worker.h"
#include "provider/credential.h"

// ---- Head ----

// The call is for the host of this connection, whatever name the agent would like to be served
// under.
static bool host_agrees(const struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	struct sg_str host = exchange->head.host;

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

void sg_exchange_read_headers(struct sg_exchange *exchange, struct sg_request_reader *reader)
{
	const struct sg_h1_head *head = &exchange->head;

	for (size_t i = 0; i < head->header_count; i++)
		sg_request_reader_header(reader, head->headers[i].name, head->headers[i].value);
}

static int start_metering(struct sg_exchange *exchange)
{
	const struct sg_h1_header *coding = sg_h1_find(&exchange->head, "content-encoding");
	const struct sg_h1_header *type = sg_h1_find(&exchange->head, "content-type");
	int r = sg_request_reader_new(&exchange->route,
		type ? type->value : (struct sg_str){ "", 0 }, &exchange->request_reader);

	if (r == 0)
		sg_exchange_read_headers(exchange, exchange->request_reader);
	return r == 0 && coding ? sg_coded_begin(exchange, coding->value) : r;
}

static void continue_if_asked(struct sg_exchange *exchange)
{
	if (!exchange->head.expect_continue || sg_h1_body_is_done(&exchange->request_body))
		return;
	if (exchange->side->send_continue(exchange) == 0)
		exchange->continued = true;
}

// Of two lines that say what the body is, the provider may go by the other one.
static const char *repeated_header(const struct sg_h1_head *head)
{
	if (sg_h1_is_repeated(head, "content-type"))
		return "more than one Content-Type";
	if (sg_h1_is_repeated(head, "content-encoding"))
		return "more than one Content-Encoding";
	return NULL;
}

// What is large, or may be made so by its coding, is not read for a call that can't be admitted.
static bool is_work_to_read(const struct sg_exchange *exchange)
{
	return exchange->request_inflate ||
	       (exchange->head.framing == SG_H1_LENGTH &&
		       exchange->head.content_length > SG_BODY_MEMORY_BYTES);
}

static void start_metered(struct sg_exchange *exchange)
{
	const char *repeated = repeated_header(&exchange->head);
	const struct sg_client *client = exchange->client;
	struct sg_refusal refusal;

	exchange->request = SG_REQUEST_HOLD;
	if (repeated) {
		sg_exchange_refuse(exchange, SG_ANSWER_BAD_REQUEST, NULL, repeated);
		return;
	}
	if (start_metering(exchange) < 0) {
		exchange->side->abort(exchange, "resources");
		return;
	}
	if (is_work_to_read(exchange) && sg_account_is_exhausted(client->worker->enforcer->engine,
						 client->agent->account, &refusal)) {
		sg_exchange_refuse(exchange, SG_ANSWER_BUDGET, &refusal, NULL);
		return;
	}
	if (exchange->head.framing == SG_H1_LENGTH &&
		(exchange->head.content_length > SG_BODY_MAX_BYTES ||
			exchange->head.content_length > client->agent->max_body_bytes)) {
		sg_exchange_refuse(exchange, SG_ANSWER_TOO_LARGE, NULL, NULL);
		return;
	}
	continue_if_asked(exchange);
}

// Protocol Buffers in frames of HTTP/2: nothing here reads what such a call costs.
static bool is_grpc(const struct sg_h1_head *head)
{
	const struct sg_h1_header *type = sg_h1_find(head, "content-type");
	static const char grpc[] = "application/grpc";

	return type && type->value.length >= strlen(grpc) &&
	       strncasecmp(type->value.data, grpc, strlen(grpc)) == 0;
}

// Some servers take the method from these lines, in the place of the one that the call was judged
// by.
static bool overrides_method(const struct sg_h1_head *head)
{
	return sg_h1_find(head, "x-http-method-override") || sg_h1_find(head, "x-http-method") ||
	       sg_h1_find(head, "x-method-override");
}

// Of an answer that is told in part the cost may be left out.
static bool filters_answer(const struct sg_exchange *exchange)
{
	const struct sg_h1_head *head = &exchange->head;
	bool filters = exchange->route.filters_answer;

	for (size_t i = 0; i < head->header_count; i++)
		filters = filters || sg_provider_header_filters(
					     exchange->client->provider, head->headers[i].name);
	return filters;
}

void sg_exchange_reject(struct sg_exchange *exchange, const char *reason)
{
	exchange->request = SG_REQUEST_DONE;
	sg_exchange_refuse(exchange, SG_ANSWER_BAD_REQUEST, NULL, reason);
}

static void refuse_path(struct sg_exchange *exchange, enum sg_answer_kind kind, struct sg_str path)
{
	struct sg_str method = exchange->head.method;
	char shown[128];

	snprintf(shown, sizeof(shown), "%.*s %.*s", (int)method.length, method.data,
		(int)strcspn(path.data, "? \r"), path.data);
	sg_exchange_refuse(exchange, kind, NULL, shown);
}

// Nothing else may follow the answer 101, and nothing before it.
static bool is_websocket(const struct sg_exchange *exchange)
{
	const struct sg_h1_header *upgrade = sg_h1_find(&exchange->head, "upgrade");

	return exchange->side->keeps_framing && upgrade && upgrade->value.length == 9 &&
	       strncasecmp(upgrade->value.data, "websocket", 9) == 0 &&
	       exchange->head.framing == SG_H1_NO_BODY;
}

void sg_exchange_classify(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	const struct sg_h1_head *head = &exchange->head;
	struct sg_str path = sg_h1_target_path(head->target);

	exchange->stainless = sg_h1_find(head, "x-stainless-lang") != NULL;
	exchange->head_request =
		head->method.length == 4 && memcmp(head->method.data, "HEAD", 4) == 0;
	exchange->request = SG_REQUEST_STREAM;
	if (!exchange->counted) {
		sg_exchange_refuse(exchange, SG_ANSWER_TOO_MANY, NULL, NULL);
		return;
	}
	if (!host_agrees(exchange)) {
		sg_exchange_refuse(exchange, SG_ANSWER_MISDIRECTED, NULL, NULL);
		return;
	}
	if (client->unproven) {
		sg_exchange_refuse(exchange, SG_ANSWER_PLAIN, NULL, NULL);
		return;
	}
	if (is_grpc(head)) {
		refuse_path(exchange, SG_ANSWER_GRPC, path);
		return;
	}
	if (sg_keys_of_client(client) && sg_credential_is_signed(head)) {
		sg_exchange_refuse(exchange, SG_ANSWER_SIGNED, NULL, NULL);
		return;
	}
	if (overrides_method(head)) {
		refuse_path(exchange, SG_ANSWER_UNKNOWN_PATH, path);
		return;
	}
	exchange->route = sg_provider_route(client->provider, head->method, path, head->upgrade);
	if (exchange->route.kind == SG_ROUTE_POLL && filters_answer(exchange))
		exchange->route.kind = SG_ROUTE_FREE;
	switch (exchange->route.kind) {
	case SG_ROUTE_UNKNOWN:
		if (exchange->route.api && client->worker->enforcer->unknown_path_hold) {
			exchange->route.kind = SG_ROUTE_METERED;
			exchange->unknown_path = true;
			start_metered(exchange);
		} else {
			refuse_path(exchange, SG_ANSWER_UNKNOWN_PATH, path);
		}
		break;
	case SG_ROUTE_LIVE:
		if (!is_websocket(exchange))
			refuse_path(exchange, SG_ANSWER_UNKNOWN_PATH, path);
		else if (sg_relay_prepare(exchange))
			sg_exchange_dial(exchange, false);
		break;
	case SG_ROUTE_METERED:
		if (filters_answer(exchange))
			sg_exchange_refuse(exchange, SG_ANSWER_UNKNOWN_PATH, NULL,
				"a call whose answer is filtered (fields, $fields, "
				"X-Goog-FieldMask) or whose type is set by $ct");
		else
			start_metered(exchange);
		break;
	case SG_ROUTE_POLL:
	case SG_ROUTE_FREE:
		continue_if_asked(exchange);
		sg_exchange_dial(exchange, false);
		break;
	}
}

// ---- Body from the agent ----

static int hold_payload(struct sg_exchange *exchange, struct sg_str payload)
{
	const struct sg_client *client = exchange->client;
	int r = sg_body_append(&exchange->body, payload.data, payload.length,
		client->worker->enforcer->spill_directory);

	if (r < 0 || exchange->bad_coding)
		return r;
	if (exchange->request_inflate)
		return sg_coded_read(exchange, payload);
	return sg_request_reader_feed(exchange->request_reader, payload.data, payload.length);
}

// One run of body bytes goes where the request's state wants it.
static int take_run(struct sg_exchange *exchange, struct sg_str raw, uint32_t trailer_bytes,
	struct sg_str payload)
{
	switch (exchange->request) {
	case SG_REQUEST_HOLD:
		return payload.length ? hold_payload(exchange, payload) : 0;
	case SG_REQUEST_STREAM:
		return sg_dispatch_run(exchange, raw, trailer_bytes, payload);
	case SG_REQUEST_DISCARD:
		exchange->discarded_bytes += raw.length;
		return exchange->discarded_bytes > SG_LINGER_BYTES ? -EFBIG : 0;
	case SG_REQUEST_UNDO:
	case SG_REQUEST_GATE:
	case SG_REQUEST_ADMIT:
	case SG_REQUEST_WAIT:
	case SG_REQUEST_SEND:
	case SG_REQUEST_DONE:
		break;
	}
	return 0;
}

static void on_body_error(struct sg_exchange *exchange, int error)
{
	switch (exchange->request) {
	case SG_REQUEST_DISCARD:
		exchange->close_agent =
			true; // too much, or malformed: the answer goes out and the connection ends
		sg_exchange_send_answer(exchange);
		break;
	case SG_REQUEST_STREAM:
		exchange->side->abort(exchange, error == -EBADMSG ? "malformed_body" : "resources");
		break;
	default:
		sg_exchange_refuse(exchange,
			error == -EBADMSG ? SG_ANSWER_BAD_REQUEST : sg_body_answer(error), NULL,
			error == -EBADMSG ? "malformed body framing" : strerror(-error));
	}
}

ssize_t sg_request_feed(struct sg_exchange *exchange, const char *data, size_t length)
{
	size_t taken = 0;

	sg_exchange_moved(exchange);
	while (taken < length && !sg_h1_body_is_done(&exchange->request_body)) {
		uint32_t trailers = exchange->request_body.trailer_bytes;
		struct sg_str payload;
		ssize_t n = sg_h1_body_feed(
			&exchange->request_body, data + taken, length - taken, &payload);
		int r = n < 0 ? (int)n
			      : take_run(exchange, (struct sg_str){ data + taken, (size_t)n },
					exchange->request_body.trailer_bytes - trailers, payload);

		if (r < 0) {
			on_body_error(exchange, r);
			return r;
		}
		taken += (size_t)n;
	}
	return (ssize_t)taken;
}

bool sg_request_sink_is_full(struct sg_exchange *exchange)
{
	if (exchange->request == SG_REQUEST_HOLD)
		return sg_coded_must_pause(exchange);
	return exchange->request == SG_REQUEST_STREAM &&
	       !sg_provider_side(exchange->upstream)->has_room(exchange);
}

// ---- Steps ----

static void show_gate(struct sg_exchange *exchange)
{
	if (!sg_gate_request(exchange))
		exchange->request = SG_REQUEST_ADMIT;
}

static bool gather(struct sg_exchange *exchange)
{
	bool progress = exchange->side->read_body(exchange);

	if (exchange->over || exchange->request != SG_REQUEST_HOLD ||
		exchange->response != SG_RESPONSE_NONE ||
		!sg_h1_body_is_done(&exchange->request_body))
		return progress;
	if (!sg_exchange_understand(exchange))
		return true;
	if (sg_coded_must_undo(exchange))
		exchange->request = SG_REQUEST_UNDO;
	else
		show_gate(exchange);
	return true;
}

static bool undo_coding(struct sg_exchange *exchange)
{
	int r = sg_coded_undo(exchange);

	if (r == 0)
		show_gate(exchange);
	else if (r != -EAGAIN)
		sg_exchange_refuse(exchange, sg_body_answer(r), NULL, strerror(-r));
	return r != -EAGAIN;
}

static void admit(struct sg_exchange *exchange)
{
	if (!sg_exchange_admit(exchange))
		return;
	sg_exchange_arm(exchange, SG_REQUEST_MS);
	exchange->request = SG_REQUEST_SEND;
	sg_exchange_dial(exchange, false);
}

static bool discard(struct sg_exchange *exchange)
{
	bool progress = exchange->side->read_body(exchange);

	if (!exchange->over && exchange->request == SG_REQUEST_DISCARD &&
		sg_h1_body_is_done(&exchange->request_body))
		sg_exchange_send_answer(exchange);
	return progress;
}

bool sg_request_step(struct sg_exchange *exchange)
{
	bool progress = false;

	if (exchange->response == SG_RESPONSE_DONE)
		return false;
	if (exchange->request == SG_REQUEST_HOLD)
		progress = gather(exchange);
	if (!exchange->over && exchange->request == SG_REQUEST_UNDO &&
		exchange->response == SG_RESPONSE_NONE)
		progress |= undo_coding(exchange);
	if (!exchange->over && exchange->request == SG_REQUEST_ADMIT &&
		exchange->response == SG_RESPONSE_NONE) {
		admit(exchange);
		progress = true;
	}
	if (!exchange->over && exchange->request == SG_REQUEST_DISCARD)
		progress |= discard(exchange);
	// Who closes while its call waits does not want it any more.
	if (!exchange->over && exchange->request == SG_REQUEST_WAIT &&
		exchange->client->transport.peer_closed) {
		exchange->side->abort(exchange, "agent_left");
		return true;
	}
	return progress;
}
