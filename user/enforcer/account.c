// SPDX-License-Identifier: Apache-2.0
// Where a call meets its budget: priced and held before dispatch, settled by what the answer says.
#include "enforcer/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/pending.h"
#include "enforcer/worker.h"

bool sg_exchange_understand(struct sg_exchange *exchange)
{
	sg_request_reader_finish(exchange->request_reader, &exchange->facts, &exchange->edits);

	if (exchange->bad_coding)
		return sg_exchange_refuse(exchange, SG_ANSWER_BAD_BODY, NULL, exchange->bad_coding);
	if (!exchange->facts.is_object)
		return sg_exchange_refuse(
			exchange, SG_ANSWER_BAD_BODY, NULL, exchange->facts.malformed);
	return true;
}

// Is it about the call of that id, which its own path names (a run's submit_tool_outputs)?
static bool is_about(const struct sg_exchange *exchange, const char *id)
{
	struct sg_str target = exchange->head.target;

	return memmem(target.data, target.length, id, strlen(id)) != NULL;
}

// The call goes on at the provider: its hold stays out until a GET tells its end. Returns false
// where that can't be waited for.
static bool defer(struct sg_exchange *exchange, const struct sg_outcome *outcome)
{
	const struct sg_client *client = exchange->client;
	struct sg_worker *worker = client->worker;
	struct sg_pending pending = { .provider = client->provider,
		.facts = exchange->facts,
		.prices = exchange->prices,
		.hold = exchange->hold,
		.own_host = client->own_host,
		.expires_ms = sg_loop_now_ms(worker->loop) + SG_PENDING_MS };
	int r;

	if (!outcome->pending_id[0] || !exchange->hold.account)
		return false;
	memcpy(pending.id, outcome->pending_id, sizeof(pending.id));
	r = sg_pending_put(worker->enforcer->pendings, worker->enforcer->engine, &pending);
	// More work for a call that is held for already: its end tells the whole.
	if (r == -EEXIST && is_about(exchange, pending.id))
		r = sg_pending_join(worker->enforcer->pendings, worker->enforcer->engine, &pending);
	if (r < 0)
		return false;
	sg_log(SG_LOG_INFO, "deferred", "agent=%s connection=%llu host=%s id=%s",
		client->agent->name, (unsigned long long)client->connection, client->host,
		pending.id);
	exchange->hold = (struct sg_hold){ .account = NULL };
	return true;
}

// What a GET told about an earlier call. An answer that was cut, or tells of no end, tells nothing.
static void settle_earlier(struct sg_exchange *exchange, struct sg_outcome *outcome, bool complete)
{
	const struct sg_client *client = exchange->client;
	struct sg_settlement settlement = { .http_status = exchange->status };
	struct sg_pending pending;

	if (outcome->state == SG_EXCHANGE_PENDING ||
		(!complete && outcome->state != SG_EXCHANGE_SETTLED) ||
		!sg_pending_find(client->worker->enforcer->pendings, client->agent->account,
			client->own_host, client->provider, exchange->route.pending_id, &pending))
		return;
	if (outcome->state == SG_EXCHANGE_ERROR_FREE) {
		sg_pending_settle(client->worker, &pending, NULL);
	} else {
		sg_call_price(client, pending.prices, &exchange->facts, exchange->started_ms,
			&pending.hold.bound, outcome, &settlement);
		sg_pending_settle(client->worker, &pending, &settlement);
	}
	sg_price_table_give_back(pending.prices);
}

void sg_exchange_settle(struct sg_exchange *exchange, bool complete, struct sg_buf *out)
{
	const struct sg_client *client = exchange->client;
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
	if (exchange->is_poll) {
		settle_earlier(exchange, &outcome, complete);
		return;
	}
	if (outcome.state == SG_EXCHANGE_PENDING && defer(exchange, &outcome))
		return;
	sg_call_settle(client, exchange->prices, &exchange->facts, exchange->started_ms,
		&exchange->hold, &outcome, &settlement);
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
