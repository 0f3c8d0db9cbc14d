// SPDX-License-Identifier: Apache-2.0
// The life of a relay; relay_agent.c and relay_provider.c read its two sides.
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"
#include "enforcer/worker.h"

// ---- Life ----

static void on_timeout(struct sg_timer *timer)
{
	struct sg_relay *relay =
		(struct sg_relay *)((char *)timer - offsetof(struct sg_relay, timer));

	sg_client_close(relay->client, relay->state == SG_RELAY_OPEN ? "idle" : "timeout");
}

void sg_relay_arm(struct sg_relay *relay, int64_t delay_ms)
{
	sg_loop_arm(relay->client->worker->loop, &relay->timer, delay_ms, on_timeout);
}

static void on_upstream(struct sg_upstream_user *user)
{
	sg_relay_run(((struct sg_relay *)user)->client);
}

// The turn that waits may go on, or wait on.
static void on_room(struct sg_turns *turns)
{
	struct sg_relay *relay =
		(struct sg_relay *)((char *)turns - offsetof(struct sg_relay, turns));
	struct sg_turns_refusal refusal = { .model = "" };
	enum sg_turns_verdict verdict = sg_turns_retry(turns, &refusal);

	sg_relay_heed(relay, verdict, &refusal);
	sg_relay_run(relay->client);
}

struct sg_relay *sg_relay_free(struct sg_relay *relay)
{
	if (!relay)
		return NULL;
	sg_turns_end(&relay->turns, relay->provider_closed, relay->agent_left);
	if (relay->counted)
		sg_call_leave(relay->client);
	if (relay->upstream)
		sg_upstream_put(relay->upstream, &relay->upstream_user, false);
	sg_loop_disarm(&relay->timer);
	sg_live_free(relay->live);
	sg_buf_release(&relay->control);
	sg_buf_release(&relay->message.frames);
	sg_buf_release(&relay->farewell);
	free(relay);
	return NULL;
}

static int relay_new(const struct sg_exchange *exchange, struct sg_relay **ret_relay)
{
	struct sg_client *client = exchange->client;
	const struct sg_live_options options = { .route = &exchange->route,
		.own_host = client->own_host,
		.regional = client->regional,
		.may_end = sg_account_may_cut(client->agent->account),
		.provider = client->provider };
	struct sg_relay *relay = calloc(1, sizeof(*relay));
	int r = relay ? sg_live_new(&options, &relay->live) : -ENOMEM;

	if (r < 0) {
		free(relay);
		return r;
	}
	relay->client = client;
	relay->api = exchange->route.api;
	// A connection that is there does not fail but by an event.
	relay->upstream_user = (struct sg_upstream_user){ .on_event = on_upstream };
	sg_websocket_init(&relay->from_agent, SG_WEBSOCKET_FROM_CLIENT);
	sg_websocket_init(&relay->from_provider, SG_WEBSOCKET_FROM_SERVER);
	sg_turns_init(&relay->turns, client, relay->live, on_room);
	*ret_relay = relay;
	return 0;
}

bool sg_relay_prepare(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	struct sg_turns_refusal refusal = { .model = "" };
	int r = relay_new(exchange, &exchange->relay);

	if (r < 0) {
		exchange->side->abort(exchange, "resources");
		return false;
	}
	if (sg_turns_open(&exchange->relay->turns, &refusal) == SG_TURNS_REFUSE) {
		memcpy(exchange->facts.model, refusal.model, sizeof(refusal.model));
		sg_exchange_refuse(exchange, refusal.kind,
			refusal.kind == SG_ANSWER_BUDGET ? &refusal.refusal : NULL, refusal.detail);
		return false;
	}
	// Of turns that are not known yet: where nothing is left, none will be held.
	if (sg_account_is_exhausted(
		    client->worker->enforcer->engine, client->agent->account, &refusal.refusal)) {
		sg_exchange_refuse(exchange, SG_ANSWER_BUDGET, &refusal.refusal, NULL);
		return false;
	}
	return true;
}

void sg_relay_start(struct sg_exchange *exchange)
{
	struct sg_client *client = exchange->client;
	struct sg_relay *relay = exchange->relay;

	relay->upstream = SG_TAKE(exchange->upstream);
	relay->counted = exchange->counted;
	exchange->counted = false;
	sg_upstream_pass(relay->upstream, &relay->upstream_user);
	exchange->relay = NULL;
	client->relay = relay;
	sg_exchange_end(exchange);
	sg_relay_arm(relay, SG_RESPONSE_MS);
	sg_client_enter(client, SG_CLIENT_RELAY);
}

// ---- The end ----

// No turn is in progress any more: the provider is told that nothing will follow. What it has begun
// before it hears that, it tells before its own Close.
static void close_provider(struct sg_relay *relay)
{
	struct sg_upstream *upstream = relay->upstream;
	uint8_t mask[4];

	relay->state = SG_RELAY_CLOSING;
	sg_relay_arm(relay, SG_CLOSE_MS);
	if (relay->provider_closed || relay->agent_closed)
		return;
	// Where half a frame is there already, none can follow it.
	if (!sg_websocket_is_at_frame(&relay->from_agent) ||
		getrandom(mask, sizeof(mask), 0) != (ssize_t)sizeof(mask) ||
		sg_websocket_put_close(&upstream->out, SG_WEBSOCKET_NORMAL, mask, "") < 0)
		sg_transport_shutdown(&upstream->transport);
}

static void drain(struct sg_relay *relay)
{
	if (!sg_turns_in_progress(&relay->turns)) {
		close_provider(relay);
		return;
	}
	relay->state = SG_RELAY_DRAINING;
	sg_relay_arm(relay, SG_DRAIN_MS);
}

// Nothing of the agent goes on any more.
static void stop_listening(struct sg_relay *relay)
{
	sg_turns_give_up(&relay->turns);
	sg_relay_resume(relay);
	sg_buf_release(&relay->message.frames);
}

// The agent's connection is gone.
void sg_relay_leave(struct sg_relay *relay)
{
	relay->agent_dead = true;
	sg_buf_release(&relay->client->out);
	stop_listening(relay);
	if (relay->state == SG_RELAY_OPEN || relay->state == SG_RELAY_ENDING) {
		relay->agent_left = relay->agent_left || relay->state == SG_RELAY_OPEN;
		drain(relay);
	}
}

void sg_relay_end(struct sg_relay *relay, unsigned status, const char *reason)
{
	stop_listening(relay);
	relay->state = SG_RELAY_ENDING;
	relay->close_status = status;
	snprintf(relay->close_reason, sizeof(relay->close_reason), "%s", reason);
	sg_relay_arm(relay, SG_DRAIN_MS);
}

static void refuse(struct sg_relay *relay, const struct sg_turns_refusal *refusal)
{
	const struct sg_client *client = relay->client;
	const struct sg_refusal *budget =
		refusal->kind == SG_ANSWER_BUDGET ? &refusal->refusal : NULL;
	const struct sg_answer answer = { .kind = refusal->kind,
		.provider = client->provider,
		.api = relay->api,
		.refusal = budget,
		.agent = client->agent->name,
		.detail = refusal->detail,
		.wall_ns = sg_clock_wall_ns() };
	char reason[SG_CLOSE_REASON_BYTES] = "";
	char *event = NULL;

	sg_refusal_note(client, refusal->kind, SG_WEBSOCKET_POLICY, budget, refusal->model,
		refusal->detail);
	if (sg_answer_render_end(&answer, &event, reason) == 0 && event)
		// Where there is no memory for it, the Close frame says it, too.
		(void)!sg_buf_printf(&relay->farewell, "%s\n", event);
	free(event);
	sg_relay_end(relay, SG_WEBSOCKET_POLICY, reason);
}

void sg_relay_heed(struct sg_relay *relay, enum sg_turns_verdict verdict,
	const struct sg_turns_refusal *refusal)
{
	if (relay->state != SG_RELAY_OPEN)
		return;
	switch (verdict) {
	case SG_TURNS_GO:
		sg_relay_resume(relay);
		if (sg_relay_message_pass(relay, relay->turns.limit) < 0)
			sg_relay_leave(relay);
		break;
	case SG_TURNS_WAIT:
		sg_relay_pause(relay);
		break;
	case SG_TURNS_REFUSE:
		refuse(relay, refusal);
		break;
	}
}

// There is no room for more of the turn that runs, and what the provider says from now on nobody
// would pay for: its connection ends at once, and the session with it.
void sg_relay_cut(struct sg_relay *relay)
{
	sg_turns_cut(&relay->turns, &relay->farewell);
	sg_relay_end(
		relay, SG_WEBSOCKET_POLICY, "insufficient_quota: the budget has room for no more");
	sg_transport_reset(&relay->upstream->transport);
	relay->provider_ended = true;
}

// A message for each line.
static int put_farewell(struct sg_relay *relay)
{
	const char *line = (const char *)sg_buf_head(&relay->farewell), *end;
	size_t left = sg_buf_length(&relay->farewell);
	int r = 0;

	for (; r == 0 && left && (end = memchr(line, '\n', left)); line = end + 1) {
		size_t length = (size_t)(end - line);

		r = sg_websocket_put(&relay->client->out, SG_WEBSOCKET_TEXT, NULL, line, length);
		left -= length + 1;
	}
	sg_buf_release(&relay->farewell);
	return r;
}

// Where the provider's message ends, ours may begin.
void sg_relay_tell_end(struct sg_relay *relay)
{
	struct sg_buf *out = &relay->client->out;
	int r = 0;

	if (!sg_websocket_is_at_frame(&relay->from_provider) ||
		(sg_buf_length(&relay->farewell) &&
			!sg_websocket_is_between(&relay->from_provider)))
		return;
	if (!relay->provider_closed)
		r = put_farewell(relay);
	if (r == 0 && !relay->provider_closed)
		r = sg_websocket_put_close(out, relay->close_status, NULL, relay->close_reason);
	if (r < 0)
		sg_relay_leave(relay);
	else
		drain(relay);
}

// ---- The conductor ----

static void flush_agent(struct sg_relay *relay)
{
	struct sg_transport *transport = &relay->client->transport;
	int r = relay->agent_dead ? -EAGAIN : sg_transport_flush(transport, &relay->client->out);

	if (r < 0 && r != -EAGAIN)
		sg_relay_leave(relay);
	// The agent need not wait for what is read on here.
	if (r == 0 && !relay->agent_told &&
		(relay->state == SG_RELAY_DRAINING || relay->state == SG_RELAY_CLOSING)) {
		relay->agent_told = true;
		sg_transport_shutdown(transport);
	}
}

static void flush_provider(struct sg_relay *relay)
{
	struct sg_upstream *upstream = relay->upstream;
	int r = sg_transport_flush(&upstream->transport, &upstream->out);

	if (r == 0 || r == -EAGAIN)
		return;
	// It may have said why before it closed.
	sg_buf_release(&upstream->out);
	upstream->transport.can_read = true;
}

// Is there nothing left but what the agent has still to read?
static bool is_over(const struct sg_relay *relay)
{
	return relay->provider_ended ||
	       (relay->provider_closed &&
		       (relay->agent_closed || relay->state == SG_RELAY_DRAINING ||
			       relay->state == SG_RELAY_CLOSING));
}

static void finish(struct sg_client *client)
{
	struct sg_relay *relay = client->relay;

	if (relay->state != SG_RELAY_OVER)
		sg_relay_arm(relay, SG_REQUEST_MS);
	relay->state = SG_RELAY_OVER;
	if (!relay->agent_dead && sg_buf_length(&client->out))
		return;
	if (relay->agent_dead) {
		sg_client_close(client, "done");
		return;
	}
	client->relay = sg_relay_free(relay);
	sg_client_enter(client, SG_CLIENT_LINGER);
}

void sg_relay_run(struct sg_client *client)
{
	struct sg_relay *relay = client->relay;
	bool progress = true, any = false;

	// What waited for room finds it in the first step: there may be no other event.
	flush_provider(relay);
	flush_agent(relay);
	while (progress) {
		progress = sg_relay_step_agent(relay);
		progress |= sg_relay_step_provider(relay);
		sg_relay_answer_ping(relay);
		if (relay->state == SG_RELAY_ENDING)
			sg_relay_tell_end(relay);
		if (relay->state == SG_RELAY_DRAINING && !sg_turns_in_progress(&relay->turns))
			close_provider(relay);
		flush_provider(relay);
		flush_agent(relay);
		any |= progress;
	}
	if (is_over(relay))
		finish(client);
	else if (any && relay->state == SG_RELAY_OPEN && !sg_relay_is_deaf(relay) &&
		 !relay->provider_closed && !relay->pause.on)
		sg_relay_arm(relay, SG_RESPONSE_MS);
}

void sg_relay_on_reset(struct sg_client *client)
{
	sg_relay_leave(client->relay);
	sg_relay_run(client);
}
