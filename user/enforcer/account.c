// SPDX-License-Identifier: Apache-2.0
// Where a call meets its budget: priced and held before dispatch, settled by what the answer says.
#include "enforcer/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/money.h"
#include "enforcer/client.h"
#include "enforcer/worker.h"

// An unknown model: what the agent's policy says. Returns 0 with a bound, or -ENOENT (refuse).
static int bound_unknown(struct sg_exchange *exchange, struct sg_charge *ret_bound)
{
	const struct sg_client *client = exchange->client;
	const struct sg_request_facts *facts = &exchange->facts;

	if (client->agent->has_budgets && client->agent->unknown_model != SG_UNKNOWN_ALLOW)
		return -ENOENT;
	*ret_bound = (struct sg_charge){ .requests = 1, .input_tokens = facts->body_bytes };
	if (facts->max_output > 0 && facts->choices > 0 &&
		__builtin_mul_overflow(
			facts->max_output, facts->choices, &ret_bound->output_tokens))
		return -ENOENT;
	return 0;
}

static int bound_call(struct sg_exchange *exchange, struct sg_charge *ret_bound)
{
	const struct sg_client *client = exchange->client;
	struct sg_enforcer *enforcer = client->worker->enforcer;
	struct sg_request_facts *facts = &exchange->facts;
	int64_t now_ns = sg_clock_wall_ns();
	int r = sg_price_bound(enforcer->prices, client->provider, facts, now_ns, ret_bound);

	if (r != -ENOENT)
		return r;
	if (client->agent->unknown_model != SG_UNKNOWN_PRICE_AS)
		return bound_unknown(exchange, ret_bound);
	snprintf(facts->model, sizeof(facts->model), "%s", client->agent->price_as);
	return sg_price_bound(enforcer->prices, client->provider, facts, now_ns, ret_bound);
}

static bool refuse(struct sg_exchange *exchange, enum sg_answer_kind kind,
	const struct sg_refusal *refusal, const char *detail)
{
	sg_exchange_refuse(exchange, kind, refusal, detail);
	return false;
}

bool sg_exchange_understand(struct sg_exchange *exchange)
{
	sg_request_reader_finish(exchange->request_reader, &exchange->facts, &exchange->edits);

	if (exchange->bad_coding)
		return refuse(exchange, SG_ANSWER_BAD_BODY, NULL,
			"the request's Content-Encoding can't be read");
	if (!exchange->facts.is_object)
		return refuse(exchange, SG_ANSWER_BAD_BODY, NULL, exchange->facts.malformed);
	if (exchange->request_inflate && exchange->facts.include_usage == SG_USAGE_TO_ADD)
		return refuse(exchange, SG_ANSWER_BAD_BODY, NULL,
			"a compressed streaming request must set stream_options.include_usage "
			"itself");
	return true;
}

bool sg_exchange_admit(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	struct sg_enforcer *enforcer = client->worker->enforcer;
	struct sg_charge bound;
	struct sg_refusal refusal;
	bool soft_alert = false;
	char asked_model[SG_MODEL_BYTES];
	struct sg_call call = { .provider = sg_provider_name(client->provider),
		.model = asked_model,
		.api = sg_api_name(exchange->route.api) };
	int r;

	exchange->facts.regional = client->regional;
	memcpy(asked_model, exchange->facts.model, sizeof(asked_model));
	r = bound_call(exchange, &bound);
	if (r == -ENOENT)
		return refuse(exchange, SG_ANSWER_UNKNOWN_MODEL, NULL, asked_model);
	if (r < 0)
		return refuse(exchange, SG_ANSWER_UNBOUNDED, NULL, exchange->facts.reasons);
	r = sg_hold_take(enforcer->engine, client->worker->index, client->agent->account, &call,
		&bound, &exchange->hold, &refusal, &soft_alert);
	if (r == -EDQUOT)
		return refuse(exchange, SG_ANSWER_BUDGET, &refusal, NULL);
	if (r < 0)
		return refuse(exchange, SG_ANSWER_UNAVAILABLE, NULL, strerror(-r));
	if (soft_alert)
		sg_log(SG_LOG_WARN, "soft_alert", "agent=%s connection=%llu budget=%s",
			client->agent->name, (unsigned long long)client->connection,
			refusal.budget);
	return true;
}

// Prices the outcome. The hold is charged where nothing exact is known.
static void price_outcome(
	struct sg_exchange *exchange, struct sg_outcome *outcome, struct sg_settlement *settlement)
{
	const struct sg_client *client = exchange->client;
	const struct sg_price_table *prices = client->worker->enforcer->prices;
	int64_t now_ns = sg_clock_wall_ns();
	int r;

	if (client->agent->unknown_model == SG_UNKNOWN_PRICE_AS &&
		!sg_price_find(
			prices, sg_provider_name(client->provider), outcome->usage.model, now_ns))
		outcome->usage.model[0] = 0; // priced by the request's, which is the stand-in
	settlement->state = SG_ESTIMATED;
	if (outcome->state == SG_EXCHANGE_SETTLED) {
		r = sg_price_cost(prices, client->provider, exchange->facts.model, outcome, now_ns,
			&settlement->charge);
		if (r == 0) {
			settlement->state = SG_SETTLED;
			return;
		}
	}
	sg_price_estimate(prices, client->provider, &exchange->facts, outcome,
		&exchange->hold.bound, now_ns, &settlement->charge);
}

static void log_call(const struct sg_exchange *exchange, const struct sg_settlement *settlement,
	const struct sg_outcome *outcome)
{
	const struct sg_client *client = exchange->client;
	char cost[32];

	sg_money_format(settlement->charge.nanousd, cost, sizeof(cost));
	sg_log(SG_LOG_DEBUG, "call",
		"agent=%s connection=%llu host=%s model=%s status=%u state=%s usd=%s input=%lld "
		"output=%lld ms=%lld",
		client->agent->name, (unsigned long long)client->connection, client->host,
		outcome->usage.model[0] ? outcome->usage.model : exchange->facts.model,
		settlement->http_status, settlement->state == SG_SETTLED ? "settled" : "estimated",
		cost, (long long)settlement->charge.input_tokens,
		(long long)settlement->charge.output_tokens,
		(long long)(sg_loop_now_ms(client->worker->loop) - exchange->started_ms));
}

static int64_t known(int64_t count)
{
	return count < 0 ? 0 : count;
}

void sg_exchange_settle(struct sg_exchange *exchange, bool complete, struct sg_buf *out)
{
	const struct sg_client *client = exchange->client;
	struct sg_enforcer *enforcer = client->worker->enforcer;
	struct sg_settlement settlement = { .http_status = exchange->status,
		.aborted_by_agent = exchange->agent_gone,
		.cut_by_upstream = !complete && !exchange->agent_gone };
	struct sg_outcome outcome;

	if (exchange->settled || !exchange->response_reader)
		return;
	exchange->settled = true;
	if (sg_response_reader_finish(exchange->response_reader, complete, out, &outcome) < 0)
		outcome = (struct sg_outcome){ .state = SG_EXCHANGE_ESTIMATED,
			.usage.input_tokens = -1, // nothing was told: the hold is charged
			.note = "out_of_memory" };
	exchange->response_reader = sg_response_reader_free(exchange->response_reader);
	if (outcome.bad_evidence)
		sg_log(SG_LOG_WARN, "bad_usage",
			"agent=%s connection=%llu host=%s reason=\"the answer's usage is negative "
			"or no count: the hold is charged\"",
			client->agent->name, (unsigned long long)client->connection, client->host);
	if (outcome.state == SG_EXCHANGE_ERROR_FREE) {
		sg_hold_release(enforcer->engine, &exchange->hold);
		return;
	}
	price_outcome(exchange, &outcome, &settlement);
	settlement.model = outcome.usage.model[0] ? outcome.usage.model : NULL;
	settlement.cache_read_tokens = known(outcome.usage.cache_read_tokens);
	settlement.cache_write_tokens = known(outcome.usage.cache_write_tokens);
	settlement.cache_write_1h_tokens = known(outcome.usage.cache_write_1h_tokens);
	settlement.reasoning_tokens = known(outcome.usage.reasoning_tokens);
	log_call(exchange, &settlement, &outcome);
	sg_hold_settle(enforcer->engine, &exchange->hold, &settlement);
}

void sg_exchange_settle_unanswered(struct sg_exchange *exchange, bool sent)
{
	const struct sg_client *client = exchange->client;
	struct sg_engine *engine = client->worker->enforcer->engine;
	struct sg_settlement settlement = { .state = SG_ESTIMATED,
		.charge = exchange->hold.bound,
		.aborted_by_agent = exchange->agent_gone,
		.cut_by_upstream = !exchange->agent_gone };

	if (exchange->settled)
		return;
	exchange->settled = true;
	if (sent)
		sg_hold_settle(engine, &exchange->hold, &settlement);
	else
		sg_hold_release(engine, &exchange->hold);
}
