// SPDX-License-Identifier: Apache-2.0
// What all questions have in common.
#include "enforcer/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/gate_state.h"
#include "enforcer/worker.h"

struct sg_gate *sg_gate_free(struct sg_gate *gate)
{
	if (!gate)
		return NULL;
	sg_post_cancel(gate->post);
	free(gate->request);
	sg_buf_release(&gate->head);
	json_decref(gate->headers);
	sg_buf_release(&gate->answer);
	free(gate);
	return NULL;
}

const struct sg_evaluator *sg_gate_evaluator(const struct sg_exchange *exchange)
{
	return exchange->client->worker->enforcer->evaluator;
}

bool sg_gate_applies(const struct sg_exchange *exchange)
{
	return sg_gate_evaluator(exchange) && !exchange->client->agent->policy_exempt;
}

int sg_gate_ask(struct sg_exchange *exchange, enum sg_hook hook, struct sg_str response,
	sg_post_done_fn done)
{
	struct sg_gate *gate = exchange->gate;
	const struct sg_evaluator *evaluator = sg_gate_evaluator(exchange);
	struct sg_hook_call call = { .agent = exchange->client->agent->name,
		.api = sg_api_name(exchange->route.api),
		.model = exchange->facts.model,
		.stream = exchange->facts.stream,
		.rules_path = *evaluator->rules_path ? evaluator->rules_path : NULL,
		.rules_digest = *evaluator->rules_digest ? evaluator->rules_digest : NULL,
		.request = gate->request,
		.request_length = gate->request_length,
		.status = exchange->status,
		.headers = gate->headers,
		.response = response.data,
		.response_length = response.length };
	struct sg_buf body = { .data = NULL };
	int r = sg_hook_write(hook, &call, &body);

	gate->hook = hook;
	if (r < 0) {
		sg_buf_release(&body);
		return r;
	}
	return sg_hook_ask(
		exchange->client->worker, hook, &body, done, exchange, done ? &gate->post : NULL);
}

void sg_gate_tell(const struct sg_exchange *exchange, enum sg_log_level level, const char *verdict,
	const char *intervention, const char *reason)
{
	const struct sg_client *client = exchange->client;

	sg_log(level, "policy",
		"agent=%s connection=%llu host=%s hook=%s verdict=%s intervention=%s reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		sg_hook_name(exchange->gate->hook), verdict, *intervention ? intervention : "-",
		reason);
}

void sg_gate_deny(struct sg_exchange *exchange, const char *reason)
{
	sg_exchange_refuse(
		exchange, SG_ANSWER_EVALUATOR, NULL, *reason ? reason : "no reason was told");
}

bool sg_gate_survives(struct sg_exchange *exchange, const char *why)
{
	bool passes =
		sg_gate_evaluator(exchange)->fail_open || exchange->gate->hook == SG_HOOK_DECORATE;

	sg_gate_tell(
		exchange, SG_LOG_WARN, passes ? "passed" : "refused", "policy_unavailable", why);
	if (!passes)
		sg_gate_deny(exchange, "the policy evaluator gave no verdict (policy_unavailable)");
	return passes;
}

int sg_gate_take_verdict(struct sg_exchange *exchange, int result, const char *text, size_t length,
	struct sg_verdict *ret_verdict)
{
	struct sg_error error = { "" };

	exchange->gate->post = NULL;
	if (result == 0)
		result = sg_verdict_read(exchange->gate->hook, text, length, ret_verdict, &error);
	if (result < 0) {
		const char *why = error.text[0] ? error.text : strerror(-result);

		return sg_gate_survives(exchange, why) ? -ENODATA : -EACCES;
	}
	if (ret_verdict->kind != SG_VERDICT_DENY)
		return 0;
	sg_gate_tell(exchange, SG_LOG_INFO, "deny",
		ret_verdict->intervention[0] ? ret_verdict->intervention : "policy_denied",
		ret_verdict->reason);
	sg_gate_deny(exchange, ret_verdict->reason);
	sg_verdict_done(ret_verdict);
	return -EACCES;
}
