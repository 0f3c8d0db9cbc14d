// SPDX-License-Identifier: Apache-2.0
// Before the agent sees an answer: gate-response; behind it: score.
#include "enforcer/gate.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/gate_state.h"
#include "enforcer/limits.h"

// ---- What is told ----

// As Go's net/http spells names: the evaluators of the reference look for that.
static void spell_name(struct sg_str name, char *out, size_t size)
{
	bool begins = true;
	size_t i;

	for (i = 0; i < name.length && i < size - 1; i++) {
		int c = (unsigned char)name.data[i];

		out[i] = (char)(begins ? toupper(c) : tolower(c));
		begins = c == '-';
	}
	out[i] = 0;
}

// {name: [value, ...]}; a value that is no UTF-8 is left out.
static json_t *describe_headers(const struct sg_h1_head *head)
{
	json_t *headers = json_object();

	for (size_t i = 0; headers && i < head->header_count; i++) {
		struct sg_str value = head->headers[i].value;
		json_t *values;
		char name[128];

		spell_name(head->headers[i].name, name, sizeof(name));
		values = json_object_get(headers, name);
		if (!values) {
			values = json_array();
			json_object_set_new(headers, name, values);
		}
		json_array_append_new(values, json_stringn(value.data, value.length));
	}
	return headers;
}

static void score(struct sg_exchange *exchange, struct sg_str text)
{
	int r = sg_gate_ask(exchange, SG_HOOK_SCORE, text, NULL);

	if (r < 0)
		sg_gate_tell(exchange, SG_LOG_WARN, "passed", "policy_unavailable", strerror(-r));
}

static struct sg_str gathered(const struct sg_gate *gate)
{
	struct sg_str text = { (const char *)sg_buf_head(&gate->answer),
		sg_buf_length(&gate->answer) };

	if (!text.data)
		text.data = "";
	return text;
}

// ---- A stream: asked about before its first byte ----

// What the provider makes of it is not read: what is known of its usage is charged, else the hold.
static void give_up_stream(struct sg_exchange *exchange)
{
	exchange->upstream_keep_alive = false;
	sg_exchange_settle(exchange, false, NULL);
}

static void on_stream_verdict(void *context, int result, const char *text, size_t length)
{
	struct sg_exchange *exchange = context;
	struct sg_verdict verdict;
	int r = exchange->agent_gone
			? -ENODATA
			: sg_gate_take_verdict(exchange, result, text, length, &verdict);

	exchange->gate->post = NULL;
	if (r == 0) {
		if (verdict.kind == SG_VERDICT_AMEND)
			sg_gate_tell(exchange, SG_LOG_WARN, "passed", verdict.intervention,
				"a stream can't be amended");
		sg_verdict_done(&verdict);
	}
	if (r == -EACCES) {
		give_up_stream(exchange);
	} else {
		exchange->gate->holds = false;
		sg_response_go_on(exchange, &exchange->gate->head);
	}
	if (!exchange->over)
		sg_exchange_resume(exchange);
}

static int ask_about_stream(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	int r = sg_gate_ask(
		exchange, SG_HOOK_GATE_RESPONSE, (struct sg_str){ NULL, 0 }, on_stream_verdict);

	if (r == 0) {
		exchange->response = SG_RESPONSE_GATE;
		return 0;
	}
	if (!sg_gate_survives(exchange, strerror(-r))) {
		give_up_stream(exchange);
		return 0;
	}
	exchange->gate->holds = false;
	return exchange->side->send_head(exchange, head);
}

// ---- Any other answer: asked about when it is whole ----

static void deliver(struct sg_exchange *exchange, const struct sg_verdict *verdict)
{
	struct sg_gate *gate = exchange->gate;
	bool amended = verdict->kind == SG_VERDICT_AMEND;
	struct sg_str body = amended ? (struct sg_str){ verdict->amended, verdict->amended_length }
				     : gathered(gate);

	if (amended)
		sg_gate_tell(exchange, SG_LOG_INFO, "amend",
			verdict->intervention[0] ? verdict->intervention : "policy_amended",
			verdict->reason);
	score(exchange, body);
	if (sg_rewrite_whole(exchange, &gate->head, body, amended, &exchange->answer) < 0)
		exchange->side->abort(exchange, "resources");
	else
		sg_exchange_send_answer(exchange);
}

static void take_answer_verdict(
	struct sg_exchange *exchange, int result, const char *text, size_t length)
{
	static const struct sg_verdict allow = { .kind = SG_VERDICT_ALLOW };
	struct sg_verdict verdict;
	int r = sg_gate_take_verdict(exchange, result, text, length, &verdict);

	if (r == 0) {
		deliver(exchange, &verdict);
		sg_verdict_done(&verdict);
	} else if (r == -ENODATA) {
		deliver(exchange, &allow);
	}
}

static void on_answer_verdict(void *context, int result, const char *text, size_t length)
{
	struct sg_exchange *exchange = context;

	exchange->gate->post = NULL;
	if (exchange->agent_gone)
		exchange->response = SG_RESPONSE_DONE;
	else
		take_answer_verdict(exchange, result, text, length);
	if (!exchange->over)
		sg_exchange_resume(exchange);
}

// ---- Steps of the answer ----

bool sg_gate_holds(const struct sg_exchange *exchange)
{
	return exchange->gate && exchange->gate->holds;
}

int sg_gate_head(struct sg_exchange *exchange, const struct sg_h1_head *head)
{
	struct sg_gate *gate = exchange->gate;
	int r;

	if (!gate || head->status / 100 != 2)
		return exchange->side->send_head(exchange, head);
	r = sg_buf_append(&gate->head, head->start_line.data, head->length);
	gate->headers = describe_headers(head);
	if (r < 0 || !gate->headers)
		return -ENOMEM;
	gate->holds = gate->listens = true;
	gate->answer.limit = exchange->facts.stream ? SG_SCORE_ANSWER_BYTES : SG_GATE_ANSWER_BYTES;
	return exchange->facts.stream ? ask_about_stream(exchange, head) : 0;
}

int sg_gate_payload(struct sg_exchange *exchange, struct sg_str payload)
{
	struct sg_gate *gate = exchange->gate;
	int r;

	if (!gate || !gate->listens)
		return 0;
	r = sg_buf_append(&gate->answer, payload.data, payload.length);
	if (r != -ENOBUFS)
		return r;
	gate->listens = false;
	gate->text_is_lost = true;
	sg_buf_release(&gate->answer);
	if (gate->holds) {
		give_up_stream(exchange);
		sg_gate_deny(exchange, "the answer is too large to be gated");
	}
	return 0;
}

bool sg_gate_finish(struct sg_exchange *exchange)
{
	struct sg_gate *gate = exchange->gate;
	struct sg_str text;
	int r;

	if (!gate || !gate->headers)
		return false;
	text = gate->text_is_lost ? (struct sg_str){ NULL, 0 } : gathered(gate);
	if (!gate->holds || exchange->agent_gone) {
		score(exchange, text);
		return false;
	}
	exchange->response = SG_RESPONSE_GATE;
	r = sg_gate_ask(exchange, SG_HOOK_GATE_RESPONSE, text, on_answer_verdict);
	if (r < 0)
		take_answer_verdict(exchange, r, NULL, 0);
	return true;
}
