// SPDX-License-Identifier: Apache-2.0
// Our own answers in the provider's place.
#include "enforcer/exchange.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/record.h"
#include "enforcer/worker.h"

static const char *answer_reason(enum sg_answer_kind kind)
{
	static const char *const names[] = {
		[SG_ANSWER_BUDGET] = "budget",
		[SG_ANSWER_UNKNOWN_MODEL] = "unknown_model",
		[SG_ANSWER_UNKNOWN_PATH] = "unknown_path",
		[SG_ANSWER_UNBOUNDED] = "unbounded",
		[SG_ANSWER_SIGNED] = "signed_request",
		[SG_ANSWER_BAD_BODY] = "bad_body",
		[SG_ANSWER_TOO_LARGE] = "too_large",
		[SG_ANSWER_CROWDED] = "too_many_bytes",
		[SG_ANSWER_TOO_MANY] = "too_many_calls",
		[SG_ANSWER_BAD_REQUEST] = "bad_request",
		[SG_ANSWER_MISDIRECTED] = "misdirected",
		[SG_ANSWER_GRPC] = "grpc",
		[SG_ANSWER_PLAIN] = "plain_http",
		[SG_ANSWER_UPSTREAM] = "upstream",
		[SG_ANSWER_EVALUATOR] = "policy",
		[SG_ANSWER_UNAVAILABLE] = "unavailable",
	};

	return names[kind];
}

enum sg_answer_kind sg_body_answer(int error)
{
	return error == -EFBIG	   ? SG_ANSWER_TOO_LARGE
	       : error == -ENOBUFS ? SG_ANSWER_CROWDED
				   : SG_ANSWER_UNAVAILABLE;
}

// Is the rest of the request's body worth reading, so that the connection can be kept? Of one that
// is too large it may never come.
static bool can_discard(const struct sg_exchange *exchange, enum sg_answer_kind kind)
{
	if (kind == SG_ANSWER_BAD_REQUEST || kind == SG_ANSWER_TOO_LARGE ||
		exchange->side->answers_early ||
		(exchange->head.expect_continue && !exchange->continued))
		return false;
	return exchange->head.framing != SG_H1_LENGTH ||
	       exchange->head.content_length <= SG_LINGER_BYTES;
}

// Does it stand in the audit log and the counts: refused by what the operator wants, and not for a
// mistake or a failure?
static bool is_recorded(enum sg_answer_kind kind)
{
	return kind == SG_ANSWER_BUDGET || kind == SG_ANSWER_UNKNOWN_MODEL ||
	       kind == SG_ANSWER_UNKNOWN_PATH || kind == SG_ANSWER_UNBOUNDED ||
	       kind == SG_ANSWER_SIGNED || kind == SG_ANSWER_GRPC || kind == SG_ANSWER_PLAIN ||
	       kind == SG_ANSWER_EVALUATOR;
}

void sg_refusal_note(const struct sg_client *client, enum sg_answer_kind kind, unsigned status,
	const struct sg_refusal *refusal, const char *model, const char *detail)
{
	if (is_recorded(kind))
		sg_account_refused(client->worker->enforcer->engine, client->agent->account,
			kind == SG_ANSWER_BUDGET ? refusal : NULL);
	if (!sg_record_may_tell(client))
		return;
	sg_log(SG_LOG_INFO, "refused",
		"agent=%s connection=%llu host=%s reason=%s status=%u budget=%s detail=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		answer_reason(kind), status, refusal ? refusal->budget : "-", detail ? detail : "");
	if (!is_recorded(kind))
		return;
	sg_record_refused(client, model,
		kind == SG_ANSWER_BUDGET ? sg_record_cap(refusal) : answer_reason(kind), status,
		refusal, detail);
}

bool sg_exchange_refuse(struct sg_exchange *exchange, enum sg_answer_kind kind,
	const struct sg_refusal *refusal, const char *detail)
{
	struct sg_client *client = exchange->client;
	bool body_left =
		exchange->request == SG_REQUEST_HOLD || exchange->request == SG_REQUEST_STREAM;
	bool discard;
	struct sg_answer answer = {
		.kind = kind,
		.provider = client->provider,
		.api = exchange->route.api,
		.plain = client->worker->enforcer->refuses_plainly,
		.stainless = exchange->stainless,
		.refusal = refusal,
		.agent = client->agent->name,
		.detail = detail,
		.head_request = exchange->head_request,
		.wall_ns = sg_clock_wall_ns(),
	};
	unsigned status = 0;

	if (exchange->agent_gone) {
		exchange->response = SG_RESPONSE_DONE;
		return false;
	}
	body_left = body_left && !sg_h1_body_is_done(&exchange->request_body);
	discard = body_left && can_discard(exchange, kind);
	exchange->close_agent = (body_left && !discard) || !exchange->head.keep_alive ||
				kind == SG_ANSWER_BAD_REQUEST;
	answer.close = exchange->close_agent;
	if (sg_answer_render(&answer, &exchange->answer, &status) < 0) {
		exchange->side->abort(exchange, "resources");
		return false;
	}
	sg_refusal_note(client, kind, status, refusal, exchange->facts.model, detail);
	if (discard) {
		exchange->request = SG_REQUEST_DISCARD;
		return false;
	}
	sg_exchange_send_answer(exchange);
	return false;
}

void sg_exchange_send_answer(struct sg_exchange *exchange)
{
	if (exchange->side->send_answer(exchange) < 0) {
		exchange->side->abort(exchange, "resources");
		return;
	}
	if (!exchange->close_agent)
		exchange->request = SG_REQUEST_DONE;
	exchange->response = SG_RESPONSE_DONE;
}
