// SPDX-License-Identifier: Apache-2.0
#include "provider/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/money.h"
#include "provider/table.h"

// A cap that refills within this time may be waited for; a longer Retry-After would make SDKs sleep
// for it without limit.
#define RETRY_WITHIN_SECONDS 60

struct shape {
	unsigned status;
	const char *reason_phrase;
	const char *openai_type, *openai_code;
	const char *anthropic_type;
	bool final; // x-should-retry: false
};

// A budget that refills soon is no used up quota, which some clients take for final whatever the
// headers say.
static const struct shape soon_again = { 429, "Too Many Requests", "requests",
	"rate_limit_exceeded", "rate_limit_error", false };

static const struct shape shapes[] = {
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
	[SG_ANSWER_BAD_REQUEST] = { 400, "Bad Request", "invalid_request_error", "malformed_http",
		"invalid_request_error", true },
	[SG_ANSWER_MISDIRECTED] = { 421, "Misdirected Request", "invalid_request_error",
		"wrong_host", "invalid_request_error", true },
	[SG_ANSWER_GRPC] = { 200, "OK", "invalid_request_error", "unmetered_path",
		"permission_error", true },
	[SG_ANSWER_UPSTREAM] = { 502, "Bad Gateway", "api_connection_error", "upstream_unreachable",
		"api_error", false },
	[SG_ANSWER_POLICY] = { 403, "Forbidden", "invalid_request_error", "policy_denied",
		"permission_error", true },
	[SG_ANSWER_UNAVAILABLE] = { 503, "Service Unavailable", "server_error", "cannot_account",
		"api_error", false },
};

// Seconds until a retry may succeed, when that is soon; 0: final.
static int64_t retry_after(const struct sg_answer *answer)
{
	int64_t seconds;

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
		snprintf(out, size,
			"spendgate can't bound the cost of this request (%.128s). Set "
			"max_tool_calls, or leave these features out.",
			detail);
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
	case SG_ANSWER_UPSTREAM:
		snprintf(out, size, "spendgate can't reach the provider: %.400s", detail);
		break;
	case SG_ANSWER_POLICY:
		snprintf(out, size, "denied by policy: %.300s", detail);
		break;
	case SG_ANSWER_UNAVAILABLE:
		snprintf(out, size, "spendgate can't account for this call right now: %.200s",
			detail);
		break;
	}
}

// ---- Bodies ----

static void set_money(json_t *object, const char *key, int64_t nanousd)
{
	char text[32];

	sg_money_format(nanousd, text, sizeof(text));
	json_object_set_new(object, key, json_string(text));
}

// budgets.md, "Refusal on the wire".
static json_t *budget_object(const struct sg_answer *answer)
{
	const struct sg_refusal *refusal = answer->refusal;
	json_t *object = json_object();
	char text[64];

	json_object_set_new(object, "name", json_string(refusal->budget));
	json_object_set_new(object, "scope", json_string(sg_scope_name(refusal->scope)));
	if (refusal->label[0])
		json_object_set_new(object, "label", json_string(refusal->label));
	json_object_set_new(
		object, "reason", json_string(refusal->money ? "budget_exceeded" : "rate_limited"));
	json_object_set_new(object, "behavior", json_string(sg_behavior_name(refusal->behavior)));
	if (refusal->limit_nanousd)
		set_money(object, "limit_usd", refusal->limit_nanousd);
	if (refusal->max_requests)
		json_object_set_new(object, "max_requests", json_integer(refusal->max_requests));
	if (refusal->max_concurrency)
		json_object_set_new(
			object, "max_concurrency", json_integer(refusal->max_concurrency));
	set_money(object, "reported_cost_usd", refusal->spent_nanousd);
	set_money(object, "held_usd", refusal->held_nanousd);
	json_object_set_new(object, "requests", json_integer(refusal->requests));
	json_object_set_new(
		object, "unknown_cost_requests", json_integer(refusal->unknown_cost_requests));
	sg_window_format(refusal->window_ns, refusal->calendar, text, sizeof(text));
	json_object_set_new(object, "window", json_string(text));
	if (refusal->resets_in_ns >= 0) {
		sg_clock_format(answer->wall_ns + refusal->resets_in_ns, text, sizeof(text));
		json_object_set_new(object, "resets_at", json_string(text));
	}
	return object;
}

// What an agent sent may not be UTF-8; JSON must be.
static json_t *clean_string(const char *text)
{
	json_t *string = json_string(text);
	char clean[1024];
	size_t i;

	if (string)
		return string;
	for (i = 0; i < sizeof(clean) - 1 && text[i]; i++)
		clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	clean[i] = 0;
	return json_string(clean);
}

static enum sg_dialect dialect_of(const struct sg_answer *answer)
{
	// The path says it where it can: Anthropic's API is spoken by many hosts.
	if (answer->api && answer->api->dialect != SG_DIALECT_OPENAI)
		return answer->api->dialect;
	return answer->provider ? answer->provider->dialect : SG_DIALECT_OPENAI;
}

static json_t *anthropic_body(const struct sg_answer *answer, const struct shape *shape,
	unsigned status, const char *message)
{
	const char *type = status == 402 ? "billing_error" : shape->anthropic_type;
	json_t *error = json_pack("{s:s, s:o}", "type", type, "message", clean_string(message));

	if (answer->kind == SG_ANSWER_BUDGET && shape->final)
		json_object_set_new(error, "details",
			json_pack("{s:s}", "error_code", "enforced_spend_limit_reached"));
	return json_pack(
		"{s:s, s:o, s:s}", "type", "error", "error", error, "request_id", "req_spendgate");
}

static const char *google_status(unsigned status)
{
	return status == 429   ? "RESOURCE_EXHAUSTED"
	       : status == 403 ? "PERMISSION_DENIED"
	       : status >= 500 ? "UNAVAILABLE"
			       : "INVALID_ARGUMENT";
}

static json_t *google_body(const struct sg_answer *answer, const struct shape *shape,
	unsigned status, const char *message)
{
	json_t *error = json_pack("{s:i, s:o, s:s}", "code", (int)status, "message",
		clean_string(message), "status", google_status(status));

	if (answer->kind == SG_ANSWER_BUDGET && shape->final)
		json_object_set_new(error, "details",
			json_pack("[{s:s, s:s, s:s, s:{}}]", "@type",
				"type.googleapis.com/google.rpc.ErrorInfo", "reason",
				"BILLING_DISABLED", "domain", "googleapis.com", "metadata"));
	return json_pack("{s:o}", "error", error);
}

static json_t *body_of(const struct sg_answer *answer, const struct shape *shape, unsigned status,
	const char *message)
{
	switch (dialect_of(answer)) {
	case SG_DIALECT_ANTHROPIC:
		return anthropic_body(answer, shape, status, message);
	case SG_DIALECT_GOOGLE:
		return google_body(answer, shape, status, message);
	case SG_DIALECT_BEDROCK:
	case SG_DIALECT_COHERE:
		return json_pack("{s:o}", "message", clean_string(message));
	case SG_DIALECT_MISTRAL:
		return json_pack("{s:s, s:o, s:s, s:n, s:s}", "object", "error", "message",
			clean_string(message), "type", shape->openai_type, "param", "code",
			shape->openai_code);
	case SG_DIALECT_OPENROUTER:
		return json_pack("{s:{s:i, s:o, s:n}}", "error", "code", (int)status, "message",
			clean_string(message), "metadata");
	case SG_DIALECT_OLLAMA:
		return json_pack("{s:o}", "error", clean_string(message));
	case SG_DIALECT_OPENAI:
		break;
	}
	return json_pack("{s:{s:o, s:s, s:n, s:s}}", "error", "message", clean_string(message),
		"type", shape->openai_type, "param", "code", shape->openai_code);
}

static char *render_body(const struct sg_answer *answer, const struct shape *shape, unsigned status)
{
	json_t *body;
	char message[768], *text;

	describe(answer, message, sizeof(message));
	body = body_of(answer, shape, status, message);
	if (body && answer->kind == SG_ANSWER_BUDGET)
		json_object_set_new(body, "budget", budget_object(answer));
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
// (providers.md, 6a): of the Stainless ones only a 429 is a typed error, and only they obey
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
	enum sg_dialect dialect = dialect_of(answer);

	return answer->stainless &&
	       (dialect == SG_DIALECT_OPENAI || dialect == SG_DIALECT_ANTHROPIC);
}

// AWS names the error in a header.
static const char *amazon_type(const struct sg_answer *answer, unsigned status)
{
	if (dialect_of(answer) != SG_DIALECT_BEDROCK)
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
		status, phrase, dialect_of(answer) == SG_DIALECT_GOOGLE ? "; charset=UTF-8" : "",
		length, date);
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
	char message[768], date[64];
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

int sg_answer_render(const struct sg_answer *answer, struct sg_buf *out, unsigned *ret_status)
{
	int64_t seconds = retry_after(answer);
	const struct shape *shape = seconds ? &soon_again : &shapes[answer->kind];
	unsigned status = shape->status;
	const char *phrase = shape->reason_phrase;
	char *body;
	int r;

	*ret_status = status;
	if (answer->kind == SG_ANSWER_GRPC)
		return render_grpc(answer, out);
	if (answer->kind == SG_ANSWER_BUDGET && !seconds && !takes_429(answer)) {
		status = final_statuses[dialect_of(answer)].status;
		phrase = final_statuses[dialect_of(answer)].phrase;
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

static json_t *end_event(const struct sg_answer *answer, const struct shape *shape)
{
	char message[768];

	describe(answer, message, sizeof(message));
	if (answer->api == &sg_api_openai_realtime)
		return json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:n, s:n}}", "type", "error",
			"event_id", "event_spendgate", "error", "type", shape->openai_type, "code",
			shape->openai_code, "message", clean_string(message), "param", "event_id");
	// Some clients read the flat form, some the one that errors of HTTP have.
	return json_pack("{s:s, s:i, s:s, s:o, s:n, s:i, s:{s:s, s:s, s:o, s:n}}", "type", "error",
		"status", (int)shape->status, "code", shape->openai_code, "message",
		clean_string(message), "param", "sequence_number", 0, "error", "type",
		shape->openai_type, "code", shape->openai_code, "message", clean_string(message),
		"param");
}

int sg_answer_render_end(
	const struct sg_answer *answer, char **ret_event, char ret_reason[SG_CLOSE_REASON_BYTES])
{
	const struct shape *shape = retry_after(answer) ? &soon_again : &shapes[answer->kind];
	json_t *event;

	*ret_event = NULL;
	if (answer->kind == SG_ANSWER_BUDGET)
		snprintf(ret_reason, SG_CLOSE_REASON_BYTES, "%s: budget \"%.60s\"",
			shape->openai_code, answer->refusal->budget);
	else
		snprintf(ret_reason, SG_CLOSE_REASON_BYTES, "%s: %.80s", shape->openai_code,
			answer->detail ? answer->detail : "");
	if (dialect_of(answer) == SG_DIALECT_GOOGLE)
		return 0;
	event = end_event(answer, shape);
	if (event && answer->kind == SG_ANSWER_BUDGET)
		json_object_set_new(event, "budget", budget_object(answer));
	*ret_event = event ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	return *ret_event ? 0 : -ENOMEM;
}
