// SPDX-License-Identifier: Apache-2.0
#include "enforcer/exchange.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/coded.h"
#include "enforcer/gate.h"
#include "enforcer/limits.h"
#include "enforcer/relay.h"
#include "enforcer/waiting.h"
#include "enforcer/worker.h"

static void on_timeout(struct sg_timer *timer)
{
	struct sg_exchange *exchange =
		(struct sg_exchange *)((char *)timer - offsetof(struct sg_exchange, timer));

	exchange->side->abort(exchange, "timeout");
}

void sg_exchange_arm(struct sg_exchange *exchange, int64_t delay_ms)
{
	sg_loop_arm(exchange->client->worker->loop, &exchange->timer, delay_ms, on_timeout);
}

// A body that is only gathered has an end by which it must be whole; the rest of one that is
// dropped, and an answer that nobody waits for, have their time in all.
void sg_exchange_moved(struct sg_exchange *exchange)
{
	int64_t now_ms = sg_loop_now_ms(exchange->client->worker->loop);
	int64_t pause_ms = exchange->everything_sent ? SG_RESPONSE_MS : SG_REQUEST_MS;

	if (exchange->request == SG_REQUEST_DISCARD || exchange->draining)
		return;
	if (exchange->request == SG_REQUEST_HOLD &&
		pause_ms > exchange->started_ms + SG_GATHER_MS - now_ms)
		pause_ms = exchange->started_ms + SG_GATHER_MS - now_ms;
	if (exchange->timer.deadline_ms - now_ms < pause_ms - pause_ms / 4 && pause_ms > 0)
		sg_exchange_arm(exchange, pause_ms);
}

int sg_exchange_begin(struct sg_client *client, const struct sg_agent_side *side,
	struct sg_exchange **ret_exchange)
{
	struct sg_worker *worker = client->worker;
	struct sg_exchange *exchange = worker->spare_exchange;

	if (exchange)
		worker->spare_exchange = NULL;
	else
		exchange = malloc(sizeof(*exchange));
	if (!exchange)
		return -ENOMEM;
	// A connection may outlive many configurations.
	client->agent = sg_agent_renew(worker->enforcer->agents, client->agent);
	memset(exchange, 0, offsetof(struct sg_exchange, head));
	exchange->head.method = exchange->head.target = exchange->head.host =
		(struct sg_str){ "", 0 };
	exchange->head.header_count = 0;
	exchange->head.keep_alive = false;
	sg_body_init(&exchange->body, &client->agent->load->bodies, client->agent->max_body_bytes);
	exchange->counted = sg_call_enter(client);
	exchange->started_ms = sg_loop_now_ms(worker->loop);
	exchange->client = client;
	exchange->side = side;
	exchange->next = client->exchanges;
	exchange->link = &client->exchanges;
	if (exchange->next)
		exchange->next->link = &exchange->next;
	client->exchanges = exchange;
	sg_transport_charge(&client->transport, SG_TURN_CALL_BYTES);
	sg_exchange_arm(exchange, SG_REQUEST_MS);
	*ret_exchange = exchange;
	return 0;
}

bool sg_exchange_step(struct sg_exchange *exchange)
{
	bool progress = sg_request_step(exchange);

	if (!exchange->over && exchange->response != SG_RESPONSE_DONE)
		progress |= sg_dispatch_step(exchange);
	if (!exchange->over)
		progress |= sg_response_step(exchange);
	return progress;
}

bool sg_exchange_agent_left(struct sg_exchange *exchange)
{
	exchange->agent_gone = true;
	// What is read on is read for its usage.
	if (!exchange->everything_sent || exchange->response == SG_RESPONSE_DONE ||
		exchange->route.kind == SG_ROUTE_FREE)
		return true;
	if (!exchange->draining) {
		exchange->draining = true;
		sg_exchange_arm(exchange, SG_DRAIN_MS);
	}
	return false;
}

// ---- The end ----

static void detach(struct sg_exchange *exchange)
{
	if (exchange->counted)
		sg_call_leave(exchange->client);
	*exchange->link = exchange->next;
	if (exchange->next)
		exchange->next->link = exchange->link;
	sg_waiting_end(&exchange->waiter);
	sg_loop_disarm(&exchange->timer);
	sg_buf_release(&exchange->head_bytes);
	sg_buf_release(&exchange->answer);
	sg_buf_release(&exchange->trailers);
	sg_buf_release(&exchange->request_trailers);
	sg_body_done(&exchange->body);
	exchange->gate = sg_gate_free(exchange->gate);
	exchange->request_reader = sg_request_reader_free(exchange->request_reader);
	exchange->request_inflate = sg_inflate_free(exchange->request_inflate);
	exchange->undo = sg_undo_free(exchange->undo);
	exchange->response_reader = sg_response_reader_free(exchange->response_reader);
	exchange->relay = sg_relay_free(exchange->relay);
	sg_price_table_give_back(exchange->prices);
	exchange->prices = NULL;
}

void sg_exchange_end(struct sg_exchange *exchange)
{
	struct sg_worker *worker = exchange->client->worker;

	sg_exchange_give_back(exchange, exchange->request == SG_REQUEST_DONE &&
						exchange->everything_sent &&
						exchange->upstream_keep_alive);
	detach(exchange);
	if (worker->spare_exchange)
		free(exchange);
	else
		worker->spare_exchange = exchange;
}

static void free_deferred(struct sg_deferred *deferred)
{
	free((char *)deferred - offsetof(struct sg_exchange, deferred));
}

void sg_exchange_abandon(struct sg_exchange *exchange)
{
	if (exchange->over)
		return;
	if (exchange->response == SG_RESPONSE_BODY)
		sg_exchange_settle(exchange, false, NULL);
	else
		sg_exchange_settle_unanswered(exchange, exchange->everything_sent);
	sg_exchange_give_back(exchange, false);
	exchange->over = true;
	detach(exchange);
	sg_loop_defer(exchange->client->worker->loop, &exchange->deferred, free_deferred);
}
