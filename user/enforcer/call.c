// SPDX-License-Identifier: Apache-2.0
#include "enforcer/call.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/money.h"
#include "enforcer/client.h"
#include "enforcer/worker.h"

// What an unknown model may write where the request sets no limit: as much as the largest of the
// known ones that are not bounded by their context alone. It matters to caps on tokens.
#define UNKNOWN_MODEL_OUTPUT (INT64_C(128) * 1024)

bool sg_call_enter(const struct sg_client *client)
{
	return sg_agent_begin_call(
		client->agent, client->worker->index, client->worker->enforcer->worker_count);
}

void sg_call_leave(const struct sg_client *client)
{
	sg_agent_end_call(client->agent, client->worker->index);
}

static int64_t at_least_one(int64_t count)
{
	return count > 1 ? count : 1;
}

// An unknown model: what the agent's policy says. Returns 0 with a bound, or -ENOENT (refuse).
static int bound_unknown(const struct sg_client *client, const struct sg_request_facts *facts,
	struct sg_charge *ret_bound)
{
	int64_t one = facts->max_output;

	if (sg_account_has_budgets(client->agent->account) &&
		client->agent->unknown_model != SG_UNKNOWN_ALLOW)
		return -ENOENT;
	*ret_bound = (struct sg_charge){ .requests = 1, .input_tokens = facts->body_bytes };
	if (one < 0 &&
		__builtin_mul_overflow(UNKNOWN_MODEL_OUTPUT, at_least_one(facts->calls), &one))
		return -ENOENT;
	if (__builtin_mul_overflow(one, at_least_one(facts->choices), &ret_bound->output_tokens))
		return -ENOENT;
	return 0;
}

// What nothing bounds is held at the operator's amount. Returns 0 or -ERANGE (there is none:
// refuse).
static int bound_by_amount(const struct sg_client *client, const struct sg_request_facts *facts,
	struct sg_charge *ret_bound)
{
	const struct sg_enforcer *enforcer = client->worker->enforcer;
	int64_t amount =
		facts->unknown_path ? enforcer->unknown_path_hold : enforcer->unbounded_hold;

	*ret_bound = (struct sg_charge){ .nanousd = amount, .requests = 1 };
	return amount ? 0 : -ERANGE;
}

const struct sg_price_table *sg_call_prices(const struct sg_client *client)
{
	// Whoever replaces it waits for this worker's mail before he frees it.
	return sg_price_table_take(client->worker->enforcer->prices);
}

int sg_call_bound(const struct sg_client *client, const struct sg_price_table *prices,
	struct sg_request_facts *facts, struct sg_charge *ret_bound)
{
	int64_t now_ns = sg_clock_wall_ns();
	int r = facts->unbounded
			? -ERANGE
			: sg_price_bound(prices, client->provider, facts, now_ns, ret_bound);

	if (r == -ERANGE)
		return bound_by_amount(client, facts, ret_bound);
	if (r != -ENOENT)
		return r;
	if (client->agent->unknown_model != SG_UNKNOWN_PRICE_AS)
		return bound_unknown(client, facts, ret_bound);
	snprintf(facts->model, sizeof(facts->model), "%s", client->agent->price_as);
	return sg_price_bound(prices, client->provider, facts, now_ns, ret_bound);
}

// Prices the outcome. The hold is charged where nothing exact is known.
static void price_outcome(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, const struct sg_charge *bound,
	struct sg_outcome *outcome, struct sg_settlement *settlement)
{
	int64_t now_ns = sg_clock_wall_ns();
	int r;

	if (client->agent->unknown_model == SG_UNKNOWN_PRICE_AS &&
		!sg_price_find(
			prices, sg_provider_name(client->provider), outcome->usage.model, now_ns))
		outcome->usage.model[0] = 0; // priced by the request's, which is the stand-in
	settlement->state = SG_ESTIMATED;
	if (outcome->state == SG_EXCHANGE_SETTLED) {
		r = sg_price_cost(prices, client->provider, facts->model, outcome, now_ns,
			&settlement->charge);
		// Where a model without a price was let through, the tokens that it told count.
		if (r == 0 || (r == -ENOENT && !bound->nanousd)) {
			settlement->state = SG_SETTLED;
			return;
		}
	}
	sg_price_estimate(
		prices, client->provider, facts, outcome, bound, now_ns, &settlement->charge);
}

// What the operator should look at: the bill may be another one.
static void warn_of_evidence(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, const struct sg_outcome *outcome)
{
	if (outcome->bad_evidence)
		sg_log(SG_LOG_WARN, "bad_usage",
			"agent=%s connection=%llu host=%s reason=\"the answer's usage is negative "
			"or no count: the hold is charged\"",
			client->agent->name, (unsigned long long)client->connection, client->host);
	if (outcome->state == SG_EXCHANGE_SETTLED &&
		sg_price_guesses_tier(
			prices, client->provider, facts->model, outcome, sg_clock_wall_ns()))
		sg_log(SG_LOG_WARN, "unpriced_tier",
			"agent=%s connection=%llu host=%s model=%s tier=%s effect=\"charged at 2.5 "
			"times the plain price: give the model a priority in the price file\"",
			client->agent->name, (unsigned long long)client->connection, client->host,
			outcome->usage.model[0] ? outcome->usage.model : facts->model,
			outcome->usage.service_tier);
}

static void log_call(const struct sg_client *client, const struct sg_request_facts *facts,
	int64_t started_ms, const struct sg_settlement *settlement,
	const struct sg_outcome *outcome)
{
	char cost[32];

	if (!sg_log_takes(SG_LOG_DEBUG))
		return;
	sg_money_format(settlement->charge.nanousd, cost, sizeof(cost));
	sg_log(SG_LOG_DEBUG, "call",
		"agent=%s connection=%llu host=%s model=%s status=%u state=%s usd=%s input=%lld "
		"output=%lld ms=%lld",
		client->agent->name, (unsigned long long)client->connection, client->host,
		outcome->usage.model[0] ? outcome->usage.model : facts->model,
		settlement->http_status, settlement->state == SG_SETTLED ? "settled" : "estimated",
		cost, (long long)settlement->charge.input_tokens,
		(long long)settlement->charge.output_tokens,
		(long long)(sg_loop_now_ms(client->worker->loop) - started_ms));
}

static int64_t known(int64_t count)
{
	return count < 0 ? 0 : count;
}

void sg_call_price(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, int64_t started_ms, const struct sg_charge *bound,
	struct sg_outcome *outcome, struct sg_settlement *settlement)
{
	const struct sg_usage *usage = &outcome->usage;

	price_outcome(client, prices, facts, bound, outcome, settlement);
	settlement->model = usage->model[0] ? usage->model : NULL;
	settlement->cache_read_tokens = known(usage->cache_read_tokens);
	settlement->cache_write_tokens = known(usage->cache_write_tokens);
	settlement->cache_write_1h_tokens = known(usage->cache_write_1h_tokens);
	settlement->reasoning_tokens = known(usage->reasoning_tokens);
	log_call(client, facts, started_ms, settlement, outcome);
}

void sg_call_settle(const struct sg_client *client, const struct sg_price_table *prices,
	const struct sg_request_facts *facts, int64_t started_ms, struct sg_hold *hold,
	struct sg_outcome *outcome, struct sg_settlement *settlement)
{
	struct sg_engine *engine = client->worker->enforcer->engine;

	warn_of_evidence(client, prices, facts, outcome);
	if (outcome->state == SG_EXCHANGE_ERROR_FREE) {
		sg_hold_release(engine, hold);
		return;
	}
	sg_call_price(client, prices, facts, started_ms, &hold->bound, outcome, settlement);
	sg_hold_settle(engine, hold, settlement);
}

void sg_call_lower(
	const struct sg_client *client, struct sg_hold *hold, const struct sg_charge *bound)
{
	const struct sg_charge *held = &hold->bound;

	if (bound->nanousd <= held->nanousd && bound->input_tokens <= held->input_tokens &&
		bound->output_tokens <= held->output_tokens)
		sg_hold_lower(client->worker->enforcer->engine, hold, bound);
}
