// SPDX-License-Identifier: Apache-2.0
#include "provider/refusal_body.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"

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
		json_object_set_new(object, "limit_usd", sg_money_json(refusal->limit_nanousd));
	if (refusal->max_requests)
		json_object_set_new(object, "max_requests", json_integer(refusal->max_requests));
	if (refusal->max_concurrency)
		json_object_set_new(
			object, "max_concurrency", json_integer(refusal->max_concurrency));
	json_object_set_new(object, "reported_cost_usd", sg_money_json(refusal->spent_nanousd));
	json_object_set_new(object, "held_usd", sg_money_json(refusal->held_nanousd));
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

enum sg_dialect sg_refusal_dialect(const struct sg_answer *answer)
{
	// The path says it where it can: Anthropic's API is spoken by many hosts.
	if (answer->api && answer->api->dialect != SG_DIALECT_OPENAI)
		return answer->api->dialect;
	return answer->provider ? answer->provider->dialect : SG_DIALECT_OPENAI;
}

static json_t *anthropic_body(const struct sg_answer *answer, const struct refusal_shape *shape,
	unsigned status, const char *message)
{
	const char *type = status == 402 ? "billing_error" : shape->anthropic_type;
	json_t *error = json_pack("{s:s, s:o}", "type", type, "message", sg_json_text(message));

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

static json_t *google_body(const struct sg_answer *answer, const struct refusal_shape *shape,
	unsigned status, const char *message)
{
	json_t *error = json_pack("{s:i, s:o, s:s}", "code", (int)status, "message",
		sg_json_text(message), "status", google_status(status));

	if (answer->kind == SG_ANSWER_BUDGET && shape->final)
		json_object_set_new(error, "details",
			json_pack("[{s:s, s:s, s:s, s:{}}]", "@type",
				"type.googleapis.com/google.rpc.ErrorInfo", "reason",
				"BILLING_DISABLED", "domain", "googleapis.com", "metadata"));
	return json_pack("{s:o}", "error", error);
}

static json_t *error_of(const struct sg_answer *answer, const struct refusal_shape *shape,
	unsigned status, const char *message)
{
	switch (sg_refusal_dialect(answer)) {
	case SG_DIALECT_ANTHROPIC:
		return anthropic_body(answer, shape, status, message);
	case SG_DIALECT_GOOGLE:
		return google_body(answer, shape, status, message);
	case SG_DIALECT_BEDROCK:
	case SG_DIALECT_COHERE:
		return json_pack("{s:o}", "message", sg_json_text(message));
	case SG_DIALECT_MISTRAL:
		return json_pack("{s:s, s:o, s:s, s:n, s:s}", "object", "error", "message",
			sg_json_text(message), "type", shape->openai_type, "param", "code",
			shape->openai_code);
	case SG_DIALECT_OPENROUTER:
		return json_pack("{s:{s:i, s:o, s:n}}", "error", "code", (int)status, "message",
			sg_json_text(message), "metadata");
	case SG_DIALECT_OLLAMA:
		return json_pack("{s:o}", "error", sg_json_text(message));
	case SG_DIALECT_OPENAI:
		break;
	}
	return json_pack("{s:{s:o, s:s, s:n, s:s}}", "error", "message", sg_json_text(message),
		"type", shape->openai_type, "param", "code", shape->openai_code);
}

static json_t *with_budget(const struct sg_answer *answer, json_t *object)
{
	if (object && answer->kind == SG_ANSWER_BUDGET)
		json_object_set_new(object, "budget", budget_object(answer));
	return object;
}

json_t *sg_refusal_body(const struct sg_answer *answer, const struct refusal_shape *shape,
	unsigned status, const char *message)
{
	return with_budget(answer, error_of(answer, shape, status, message));
}

static json_t *event_of(
	const struct sg_answer *answer, const struct refusal_shape *shape, const char *message)
{
	if (answer->api == &sg_api_openai_realtime)
		return json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:n, s:n}}", "type", "error",
			"event_id", "event_spendgate", "error", "type", shape->openai_type, "code",
			shape->openai_code, "message", sg_json_text(message), "param", "event_id");
	// Some clients read the flat form, some the one that errors of HTTP have.
	return json_pack("{s:s, s:i, s:s, s:o, s:n, s:i, s:{s:s, s:s, s:o, s:n}}", "type", "error",
		"status", (int)shape->status, "code", shape->openai_code, "message",
		sg_json_text(message), "param", "sequence_number", 0, "error", "type",
		shape->openai_type, "code", shape->openai_code, "message", sg_json_text(message),
		"param");
}

json_t *sg_refusal_event(
	const struct sg_answer *answer, const struct refusal_shape *shape, const char *message)
{
	return with_budget(answer, event_of(answer, shape, message));
}
