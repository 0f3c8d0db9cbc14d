// SPDX-License-Identifier: Apache-2.0
// What the agent says in a WebSocket session: read, held for, passed on.
#include <errno.h>

#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"
#include "enforcer/worker.h"

// Bytes that are unmasked at a time, to be read.
#define UNMASKED_BYTES 4096

static int pass_control(struct sg_relay *relay, enum sg_websocket_opcode opcode)
{
	bool drop = opcode == SG_WEBSOCKET_PING && sg_relay_was_answered(relay);
	int r = drop ? 0
		     : sg_buf_append(&relay->upstream->out, sg_buf_head(&relay->control),
			       sg_buf_length(&relay->control));

	sg_buf_consume(&relay->control, sg_buf_length(&relay->control));
	return r;
}

// The agent's Close is passed on, unless turns are in progress: the provider would end them then.
static int on_agent_close(struct sg_relay *relay, unsigned status)
{
	if (!sg_turns_in_progress(&relay->turns)) {
		relay->agent_closed = true;
		sg_relay_arm(relay, SG_CLOSE_MS);
		return pass_control(relay, SG_WEBSOCKET_CLOSE);
	}
	relay->agent_left = true;
	sg_relay_end(relay, status == SG_WEBSOCKET_NO_STATUS ? SG_WEBSOCKET_NORMAL : status, "");
	return 0;
}

// A message is whole but for its last byte.
static void on_agent_message(struct sg_relay *relay, const struct sg_websocket_piece *piece)
{
	struct sg_turns_refusal refusal = { .model = "" };
	struct sg_live_demand demand;

	relay->message.is_due = true;
	relay->message.last_length = piece->length;
	if (piece->length)
		relay->message.last = piece->data[0];
	sg_live_ask(relay->live, piece->data, piece->length);
	sg_live_ask_end(relay->live, &demand);
	demand.facts.can_limit = demand.facts.can_limit && relay->message.is_kept;
	sg_relay_heed(relay, sg_turns_demand(&relay->turns, &demand, &refusal), &refusal);
}

static int on_agent_piece(struct sg_relay *relay, const struct sg_websocket_piece *piece)
{
	switch (piece->what) {
	case SG_WEBSOCKET_DATA:
		sg_live_ask(relay->live, piece->data, piece->length);
		break;
	case SG_WEBSOCKET_LAST:
		on_agent_message(relay, piece);
		break;
	case SG_WEBSOCKET_CONTROL:
		return piece->opcode == SG_WEBSOCKET_CLOSE ? on_agent_close(relay, piece->status)
							   : pass_control(relay, piece->opcode);
	case SG_WEBSOCKET_MORE:
	case SG_WEBSOCKET_MESSAGE_END:
		break;
	}
	return 0;
}

bool sg_relay_is_deaf(const struct sg_relay *relay)
{
	return relay->state != SG_RELAY_OPEN || relay->agent_closed;
}

// Reads bytes and passes them on, until the end of a message that has to wait. Returns how many
// were taken, or -errno.
static ssize_t take_from_agent(struct sg_relay *relay, const char *bytes, size_t length)
{
	char unmasked[UNMASKED_BYTES];
	size_t taken = 0;

	while (taken < length && !sg_relay_is_deaf(relay) && !relay->pause.on) {
		struct sg_websocket *from = &relay->from_agent;
		struct sg_websocket_piece piece;
		bool control;
		ssize_t n;
		int r;

		if (sg_websocket_is_between(from))
			sg_relay_message_begin(relay);
		n = sg_websocket_take(
			from, bytes + taken, length - taken, unmasked, sizeof(unmasked), &piece);
		if (n < 0)
			return n;
		control = sg_websocket_is_in_control(from) || piece.what == SG_WEBSOCKET_CONTROL;
		r = control ? sg_buf_append(&relay->control, bytes + taken, (size_t)n)
			    : sg_relay_message_take(relay, bytes + taken, (size_t)n);
		if (r == 0)
			r = on_agent_piece(relay, &piece);
		if (r < 0)
			return r;
		taken += (size_t)n;
	}
	return (ssize_t)(sg_relay_is_deaf(relay) ? length : taken);
}

// Returns how many bytes were taken; the others wait.
static size_t on_agent_bytes(struct sg_relay *relay, const char *bytes, size_t length)
{
	ssize_t n = take_from_agent(relay, bytes, length);

	if (n == -EBADMSG)
		sg_relay_end(relay, SG_WEBSOCKET_PROTOCOL_ERROR,
			"not a WebSocket frame that is understood");
	else if (n < 0)
		sg_relay_leave(relay);
	return n < 0 ? length : (size_t)n;
}

// What came while a turn waited, or before the provider's answer to the upgrade.
static bool take_what_waits(struct sg_relay *relay)
{
	struct sg_buf *in = &relay->client->in;
	size_t length = sg_buf_length(in), n;

	if (!length || relay->pause.on)
		return false;
	n = on_agent_bytes(relay, (const char *)sg_buf_head(in), length);
	sg_buf_consume(in, n);
	if (sg_buf_length(in))
		sg_relay_look_ahead(relay, (const char *)sg_buf_head(in), sg_buf_length(in));
	else
		sg_buf_release(in);
	return true;
}

static void take_bytes(struct sg_relay *relay, const char *bytes, size_t length)
{
	size_t n = relay->pause.on ? 0 : on_agent_bytes(relay, bytes, length);

	if (n == length)
		return;
	if (sg_buf_append(&relay->client->in, bytes + n, length - n) < 0)
		sg_relay_leave(relay);
	else
		sg_relay_look_ahead(relay, bytes + n, length - n);
}

static bool may_read(const struct sg_relay *relay)
{
	if (relay->agent_dead)
		return false;
	if (sg_relay_is_deaf(relay))
		return true;
	return relay->pause.on ? sg_buf_length(&relay->client->in) < SG_OUT_HIGH
			       : sg_buf_length(&relay->upstream->out) < SG_OUT_HIGH;
}

bool sg_relay_step_agent(struct sg_relay *relay)
{
	struct sg_client *client = relay->client;
	struct sg_worker *worker = client->worker;
	bool progress = take_what_waits(relay);

	while (may_read(relay)) {
		ssize_t n =
			sg_transport_read(&client->transport, worker->scratch, SG_SCRATCH_BYTES);

		if (n == -EAGAIN)
			break;
		progress = true;
		if (n <= 0)
			sg_relay_leave(relay);
		else
			take_bytes(relay, (const char *)worker->scratch, (size_t)n);
	}
	return progress;
}
