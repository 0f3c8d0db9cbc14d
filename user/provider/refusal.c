// SPDX-License-Identifier: Apache-2.0
#include "provider/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/money.h"
#include "provider/refusal_body.h"

// A cap that refills within this time may be waited for; a longer Retry-After would make SDKs sleep
// for it without limit.
#define RETRY_WITHIN_SECONDS 60

#define MESSAGE_BYTES 768

// A budget that refills soon is no used up quota, which some clients take for final whatever the
// headers say.
static const struct refusal_shape soon_again = { 429, "Too Many Requests", "requests",
	"rate_limit_exceeded", "rate_limit_error", false };

static const struct refusal_shape shapes[] = {
	[SG_ANSWER_BUDGET] = { 429, "Too Many Requests", "insufficient_quota", "insufficient_quota",
		"rate_limit_error", true },
	[SG_ANSWER_UNKNOWN_MODEL] = { 403, "Forbidden", "invalid_request_error", "unknown_model",
		"permission_error", true },
	[SG_ANSWER_UNKNOWN_PATH] = { 403, "Forbidden", "invalid_request_error", "unmetered_path",
		"permission_error", true },
	[SG_ANSWER_UNBOUNDED] = { 403, "Forbidden", "invalid_request_error", "unbounded_cost",
		"permission_error", true },
	[SG_ANSWER_SIGNED] = { 403, "Forbidden", "invalid_request_error", "signed_request",
		"permission_error", true },
	[SG_ANSWER_BAD_BODY] = { 400, "Bad Request", "invalid_request_error", "invalid_body",
		"invalid_request_error", true },
	[SG_ANSWER_TOO_LARGE] = { 413, "Content Too Large", "invalid_request_error",
		"request_too_large", "request_too_large", true },
	[SG_ANSWER_CROWDED] = { 429, "Too Many Requests", "requests", "rate_limit_exceeded",
		"rate_limit_error", false },
	[SG_ANSWER_TOO_MANY] = { 429, "Too Many Requests", "requests", "rate_limit_exceeded",
		"rate_limit_error", false },
	[SG_ANSWER_BAD_REQUEST] = { 400, "Bad Request", "invalid_request_error", "malformed_http",
		"invalid_request_error", true },
	[SG_ANSWER_MISDIRECTED] = { 421, "Misdirected Request", "invalid_request_error",
		"wrong_host", "invalid_request_error", true },
	[SG_ANSWER_GRPC] = { 200, "OK", "invalid_request_error", "unmetered_path",
		"permission_error", true },
	[SG_ANSWER_PLAIN] = { 403, "Forbidden", "invalid_request_error", "plain_http",
		"permission_error", true },
	[SG_ANSWER_UPSTREAM] = { 502, "Bad Gateway", "api_connection_error", "upstream_unreachable",
		"api_error", false },
	[SG_ANSWER_EVALUATOR] = { 403, "Forbidden", "invalid_request_error", "policy_denied",
		"permission_error", true },
	[SG_ANSWER_UNAVAILABLE] = { 503, "Service Unavailable", "server_error", "cannot_account",
		"api_error", false },
};

// For those who come from the reference: its reasons are types and codes.
static const struct refusal_shape plain_money = { 429, "Too Many Requests", "budget_exceeded",
	"budget_exceeded", "budget_exceeded", false };
static const struct refusal_shape plain_rate = { 429, "Too Many Requests", "rate_limited",
	"rate_limited", "rate_limited", false };

static bool is_plain(const struct sg_answer *answer)
{
	return answer->kind == SG_ANSWER_BUDGET && answer->plain;
}

// Of the budget, in seconds; of a calendar's what is left of it. 0: it has no end.
static int64_t whole_window(const struct sg_refusal *refusal)
{
	int64_t ns = refusal->calendar == SG_NO_CALENDAR && refusal->window_ns > 0
			     ? refusal->window_ns
			     : refusal->resets_in_ns;

	return ns > 0 ? (ns + SG_NS_PER_SEC - 1) / SG_NS_PER_SEC : 0;
}

// Seconds until a retry may succeed, when that is soon; 0: final.
static int64_t retry_after(const struct sg_answer *answer)
{
	int64_t seconds;

	if (answer->kind == SG_ANSWER_CROWDED || answer->kind == SG_ANSWER_TOO_MANY)
		return 1;
	if (answer->kind != SG_ANSWER_BUDGET || answer->refusal->resets_in_ns < 0)
		return 0;
	seconds = (answer->refusal->resets_in_ns + SG_NS_PER_SEC - 1) / SG_NS_PER_SEC;
	if (seconds > RETRY_WITHIN_SECONDS)
		return 0;
	return seconds < 1 ? 1 : seconds;
}

// ---- Words ----

// Whose budget it is.
static void whose(const struct sg_answer *answer, char *out, size_t size)
{
	const struct sg_refusal *refusal = answer->refusal;

	switch (refusal->scope) {
	case SG_SCOPE_AGENT:
		snprintf(out, size, "agent %s", answer->agent);
		break;
	case SG_SCOPE_LABEL:
		snprintf(out, size, "label %s", refusal->label);
		break;
	case SG_SCOPE_HOST:
		snprintf(out, size, "this host");
		break;
	}
}

static void describe_breaker(const struct sg_answer *answer, char *out, size_t size)
{
	char owner[192];

	whose(answer, owner, sizeof(owner));
	snprintf(out, size,
		"The circuit breaker of budget \"%s\" of %s is open: spending ran away, or the "
		"same "
		"request came again and again. Usage quota exhausted (insufficient_quota). Ask the "
		"operator to look at the agent.",
		answer->refusal->budget, owner);
}

static void describe_budget(const struct sg_answer *answer, char *out, size_t size)
{
	const struct sg_refusal *refusal = answer->refusal;
	char limit[32], spent[32], held[32], window[64], owner[192];

	sg_money_format(refusal->limit_nanousd, limit, sizeof(limit));
	sg_money_format(refusal->spent_nanousd, spent, sizeof(spent));
	sg_money_format(refusal->held_nanousd, held, sizeof(held));
	sg_window_format(refusal->window_ns, refusal->calendar, window, sizeof(window));
	whose(answer, owner, sizeof(owner));
	if (refusal->money)
		snprintf(out, size,
			"Budget \"%s\" of %s is exhausted: $%s of $%s spent and $%s held "
			"(window %s); this call's upper bound "
			"does not fit. Usage quota exhausted (insufficient_quota). Ask the "
			"operator to raise the cap, or send a smaller "
			"request with a lower output limit.",
			refusal->budget, owner, spent, limit, held, window);
	else
		snprintf(out, size,
			"Budget \"%s\" of %s: its request or token limit is reached (%lld "
			"requests in window %s). Usage quota "
			"exhausted (insufficient_quota). Ask the operator to raise the cap.",
			refusal->budget, owner, (long long)refusal->requests, window);
}

static void describe_wait(const struct sg_answer *answer, char *out, size_t size)
{
	const struct sg_refusal *refusal = answer->refusal;
	char limit[32], spent[32], window[64], owner[192];

	sg_money_format(refusal->limit_nanousd, limit, sizeof(limit));
	sg_money_format(refusal->spent_nanousd, spent, sizeof(spent));
	sg_window_format(refusal->window_ns, refusal->calendar, window, sizeof(window));
	whose(answer, owner, sizeof(owner));
	if (refusal->money)
		snprintf(out, size,
			"Budget \"%s\" of %s: $%s of $%s spent (window %s). There is room "
			"again in %lld s; retry then.",
			refusal->budget, owner, spent, limit, window,
			(long long)retry_after(answer));
	else
		snprintf(out, size,
			"Budget \"%s\" of %s: %lld requests (window %s). There is room "
			"again in %lld s; retry then.",
			refusal->budget, owner, (long long)refusal->requests, window,
			(long long)retry_after(answer));
}

static const char *unbounded_remedy(const char *reasons)
{
	if (strstr(reasons, SG_REASON_SOUND))
		return "Send the sound as WAV, MP3, FLAC, M4A, or Opus in Ogg or WebM, whose "
		       "length "
		       "it can tell.";
	if (strstr(reasons, SG_REASON_NO_TOOL_LIMIT))
		return "Set max_tool_calls, or leave these features out.";
	return "Leave these features out, or ask the operator for an amount to hold "
	       "(\"unbounded\").";
}

static void describe_load(const struct sg_answer *answer, char *out, size_t size)
{
	if (answer->kind == SG_ANSWER_CROWDED)
		snprintf(out, size,
			"the bodies of agent %s's requests take as much room as they may "
			"(max_body_bytes): send fewer large requests at a time",
			answer->agent);
	else
		snprintf(out, size,
			"agent %s has as many calls under way as it may (max_calls): send fewer at "
			"a time",
			answer->agent);
}

static void describe(const struct sg_answer *answer, char *out, size_t size)
{
	const char *detail = answer->detail ? answer->detail : "";

	switch (answer->kind) {
	case SG_ANSWER_BUDGET:
		if (answer->refusal->breaker)
			describe_breaker(answer, out, size);
		else if (retry_after(answer))
			describe_wait(answer, out, size);
		else
			describe_budget(answer, out, size);
		break;
	case SG_ANSWER_UNKNOWN_MODEL:
		snprintf(out, size,
			"spendgate knows no price for model \"%.128s\", so it can't keep agent %s "
			"within its budget. Ask the operator to "
			"add the price or to set unknown_model.",
			detail, answer->agent);
		break;
	case SG_ANSWER_UNKNOWN_PATH:
		snprintf(out, size,
			"spendgate can't meter %.200s and refuses it. Metered paths are told in "
			"its docs/providers.md.",
			detail);
		break;
	case SG_ANSWER_UNBOUNDED:
		snprintf(out, size, "spendgate can't bound the cost of this request (%.128s). %s",
			detail, unbounded_remedy(detail));
		break;
	case SG_ANSWER_SIGNED:
		snprintf(out, size,
			"spendgate puts the operator's key for %s into the calls of agent %s, and "
			"signed requests (AWS Signature Version 4) can't get another key. Use an "
			"API key (a bearer token) in the agent.",
			answer->provider ? answer->provider->name : "this provider", answer->agent);
		break;
	case SG_ANSWER_BAD_BODY:
		snprintf(out, size, "spendgate can't read this request: %.200s.", detail);
		break;
	case SG_ANSWER_TOO_LARGE:
		snprintf(out, size,
			"the request body is larger than spendgate takes for a metered call");
		break;
	case SG_ANSWER_CROWDED:
	case SG_ANSWER_TOO_MANY:
		describe_load(answer, out, size);
		break;
	case SG_ANSWER_BAD_REQUEST:
		snprintf(out, size, "malformed HTTP request: %.200s", detail);
		break;
	case SG_ANSWER_MISDIRECTED:
		snprintf(out, size,
			"the Host header is not the name that this connection was made for");
		break;
	case SG_ANSWER_GRPC:
		snprintf(out, size,
			"spendgate can't meter gRPC and refuses %.200s. Use the provider's REST "
			"API.",
			detail);
		break;
	case SG_ANSWER_PLAIN:
		snprintf(out, size,
			"spendgate meters %s over TLS only: over plain HTTP nothing proves who "
			"answers. Use https, or have the operator register the address as an "
			"origin.",
			answer->provider ? answer->provider->name : "a provider");
		break;
	case SG_ANSWER_UPSTREAM:
		snprintf(out, size, "spendgate can't reach the provider: %.400s", detail);
		break;
	case SG_ANSWER_EVALUATOR:
		snprintf(out, size, "denied by policy: %.300s", detail);
		break;
	case SG_ANSWER_UNAVAILABLE:
		snprintf(out, size, "spendgate can't account for this call right now: %.200s",
			detail);
		break;
	}
}

static char *render_body(
	const struct sg_answer *answer, const struct refusal_shape *shape, unsigned status)
{
	json_t *body;
	char message[MESSAGE_BYTES], *text;

	describe(answer, message, sizeof(message));
	body = sg_refusal_body(answer, shape, status, message);
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

// ---- The response ----

// RFC 9110, 5.6.7: always English, always GMT.
static void format_date(int64_t wall_ns, char *out, size_t size)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = wall_ns / SG_NS_PER_SEC;
	struct tm date;

	gmtime_r(&seconds, &date);
	snprintf(out, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[date.tm_wday], date.tm_mday,
		months[date.tm_mon], date.tm_year + 1900, date.tm_hour, date.tm_min, date.tm_sec);
}

// A budget's final refusal, with the status that the SDKs of each shape take for final
//: of the Stainless ones only a 429 is a typed error, and only they obey
// x-should-retry.
static const struct {
	unsigned status;
	const char *phrase;
} final_statuses[] = {
	[SG_DIALECT_OPENAI] = { 402, "Payment Required" },
	[SG_DIALECT_ANTHROPIC] = { 402, "Payment Required" },
	[SG_DIALECT_GOOGLE] = { 403, "Forbidden" },
	[SG_DIALECT_BEDROCK] = { 400, "Bad Request" },
	[SG_DIALECT_COHERE] = { 403, "Forbidden" },
	[SG_DIALECT_MISTRAL] = { 403, "Forbidden" },
	[SG_DIALECT_OPENROUTER] = { 402, "Payment Required" },
	[SG_DIALECT_OLLAMA] = { 402, "Payment Required" },
};

static bool takes_429(const struct sg_answer *answer)
{
	enum sg_dialect dialect = sg_refusal_dialect(answer);

	return answer->stainless &&
	       (dialect == SG_DIALECT_OPENAI || dialect == SG_DIALECT_ANTHROPIC);
}

// AWS names the error in a header.
static const char *amazon_type(const struct sg_answer *answer, unsigned status)
{
	if (sg_refusal_dialect(answer) != SG_DIALECT_BEDROCK)
		return NULL;
	return status == 429			  ? "ThrottlingException"
	       : status >= 500			  ? "ServiceUnavailableException"
	       : answer->kind == SG_ANSWER_BUDGET ? "ServiceQuotaExceededException"
	       : status == 403			  ? "AccessDeniedException"
						  : "ValidationException";
}

static int append_head(const struct sg_answer *answer, unsigned status, const char *phrase,
	size_t length, struct sg_buf *out)
{
	const char *amazon = amazon_type(answer, status);
	char date[64];
	int r;

	format_date(answer->wall_ns, date, sizeof(date));
	r = sg_buf_printf(out,
		"HTTP/1.1 %u %s\r\ncontent-type: application/json%s\r\ncontent-length: "
		"%zu\r\ndate: "
		"%s\r\n",
		status, phrase,
		sg_refusal_dialect(answer) == SG_DIALECT_GOOGLE ? "; charset=UTF-8" : "", length,
		date);
	if (r == 0 && amazon)
		r = sg_buf_printf(
			out, "x-amzn-errortype: %s\r\nx-amzn-requestid: req_spendgate\r\n", amazon);
	return r;
}

// PERMISSION_DENIED: clients of gRPC take it for final, RESOURCE_EXHAUSTED is tried again by some.
#define GRPC_PERMISSION_DENIED 7

// A response that is only trailers, as gRPC has it: they are in the head. The message is
// percent-encoded.
static int render_grpc(const struct sg_answer *answer, struct sg_buf *out)
{
	char message[MESSAGE_BYTES], date[64];
	int r;

	describe(answer, message, sizeof(message));
	format_date(answer->wall_ns, date, sizeof(date));
	r = sg_buf_printf(out,
		"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: "
		"0\r\ndate: %s\r\ngrpc-status: %d\r\ngrpc-message: ",
		date, GRPC_PERMISSION_DENIED);
	for (const char *at = message; r == 0 && *at; at++)
		r = *at < ' ' || *at > '~' || *at == '%'
			    ? sg_buf_printf(out, "%%%02X", (unsigned char)*at)
			    : sg_buf_append(out, at, 1);
	return r < 0 ? r : sg_buf_append(out, "\r\n\r\n", 4);
}

static const struct refusal_shape *shape_of(const struct sg_answer *answer)
{
	if (is_plain(answer))
		return answer->refusal->money ? &plain_money : &plain_rate;
	return retry_after(answer) ? &soon_again : &shapes[answer->kind];
}

int sg_answer_render(const struct sg_answer *answer, struct sg_buf *out, unsigned *ret_status)
{
	int64_t seconds = is_plain(answer) ? whole_window(answer->refusal) : retry_after(answer);
	const struct refusal_shape *shape = shape_of(answer);
	unsigned status = shape->status;
	const char *phrase = shape->reason_phrase;
	char *body;
	int r;

	*ret_status = status;
	if (answer->kind == SG_ANSWER_GRPC)
		return render_grpc(answer, out);
	if (answer->kind == SG_ANSWER_BUDGET && shape->final && !takes_429(answer)) {
		status = final_statuses[sg_refusal_dialect(answer)].status;
		phrase = final_statuses[sg_refusal_dialect(answer)].phrase;
	}
	body = render_body(answer, shape, status);
	if (!body)
		return -ENOMEM;
	r = append_head(answer, status, phrase, strlen(body), out);
	if (r == 0 && seconds)
		r = sg_buf_printf(out, "retry-after: %lld\r\n", (long long)seconds);
	else if (r == 0 && shape->final)
		r = sg_buf_printf(out, "x-should-retry: false\r\n");
	if (r == 0)
		r = sg_buf_printf(out, "%s\r\n", answer->close ? "connection: close\r\n" : "");
	if (r == 0 && !answer->head_request)
		r = sg_buf_append(out, body, strlen(body));
	free(body);
	*ret_status = status;
	return r;
}

// ---- The end of a session ----

int sg_answer_render_end(
	const struct sg_answer *answer, char **ret_event, char ret_reason[SG_CLOSE_REASON_BYTES])
{
	const struct refusal_shape *shape =
		retry_after(answer) ? &soon_again : &shapes[answer->kind];
	char message[MESSAGE_BYTES];
	json_t *event;

	*ret_event = NULL;
	if (answer->kind == SG_ANSWER_BUDGET)
		snprintf(ret_reason, SG_CLOSE_REASON_BYTES, "%s: budget \"%.60s\"",
			shape->openai_code, answer->refusal->budget);
	else
		snprintf(ret_reason, SG_CLOSE_REASON_BYTES, "%s: %.80s", shape->openai_code,
			answer->detail ? answer->detail : "");
	if (sg_refusal_dialect(answer) == SG_DIALECT_GOOGLE)
		return 0;
	describe(answer, message, sizeof(message));
	event = sg_refusal_event(answer, shape, message);
	*ret_event = event ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	return *ret_event ? 0 : -ENOMEM;
}
