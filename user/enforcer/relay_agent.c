// SPDX-License-Identifier: Apache-2.0
// What the agent says in a WebSocket session: read, held for, passed on.
#include <errno.h>

#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"
#include "enforcer/worker.h"

// Bytes that are unmasked at a time, to be read.
#define UNMASKED_BYTES 4096

static int pass_control(struct sg_relay *relay)
{
	int r = sg_buf_append(&relay->upstream->out, sg_buf_head(&relay->control),
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
		return pass_control(relay);
	}
	relay->agent_left = true;
	sg_relay_end(relay, status == SG_WEBSOCKET_NO_STATUS ? SG_WEBSOCKET_NORMAL : status, "");
	return 0;
}

static int on_agent_piece(struct sg_relay *relay, const struct sg_websocket_piece *piece)
{
	struct sg_turns_refusal refusal = { .model = "" };
	struct sg_live_demand demand;

	switch (piece->what) {
	case SG_WEBSOCKET_DATA:
		sg_live_ask(relay->live, piece->data, piece->length);
		break;
	case SG_WEBSOCKET_LAST:
		sg_live_ask(relay->live, piece->data, piece->length);
		sg_live_ask_end(relay->live, &demand);
		if (!sg_turns_demand(&relay->turns, &demand, &refusal))
			sg_relay_refuse(relay, &refusal);
		break;
	case SG_WEBSOCKET_CONTROL:
		return piece->opcode == SG_WEBSOCKET_CLOSE ? on_agent_close(relay, piece->status)
							   : pass_control(relay);
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

// Reads the bytes and passes them on. Returns 0 or -errno.
static int take_from_agent(struct sg_relay *relay, const char *bytes, size_t length)
{
	char unmasked[UNMASKED_BYTES];

	while (length && !sg_relay_is_deaf(relay)) {
		struct sg_websocket_piece piece;
		ssize_t n = sg_websocket_take(
			&relay->from_agent, bytes, length, unmasked, sizeof(unmasked), &piece);
		bool control = sg_websocket_is_in_control(&relay->from_agent) ||
			       piece.what == SG_WEBSOCKET_CONTROL;
		int r = n < 0 ? (int)n
			      : sg_buf_append(control ? &relay->control : &relay->upstream->out,
					bytes, (size_t)n);

		if (r == 0)
			r = on_agent_piece(relay, &piece);
		if (r < 0)
			return r;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static void on_agent_bytes(struct sg_relay *relay, const char *bytes, size_t length)
{
	int r = take_from_agent(relay, bytes, length);

	if (r == -EBADMSG)
		sg_relay_end(relay, SG_WEBSOCKET_PROTOCOL_ERROR,
			"not a WebSocket frame that is understood");
	else if (r < 0)
		sg_relay_leave(relay);
}

bool sg_relay_step_agent(struct sg_relay *relay)
{
	struct sg_client *client = relay->client;
	struct sg_worker *worker = client->worker;
	bool progress = false;

	// What came before the provider's answer to the upgrade.
	if (sg_buf_length(&client->in)) {
		on_agent_bytes(
			relay, (const char *)sg_buf_head(&client->in), sg_buf_length(&client->in));
		sg_buf_release(&client->in);
		progress = true;
	}
	while (!relay->agent_dead &&
		(sg_relay_is_deaf(relay) || sg_buf_length(&relay->upstream->out) < SG_OUT_HIGH)) {
		ssize_t n =
			sg_transport_read(&client->transport, worker->scratch, SG_SCRATCH_BYTES);

		if (n == -EAGAIN)
			break;
		progress = true;
		if (n <= 0)
			sg_relay_leave(relay);
		else
			on_agent_bytes(relay, (const char *)worker->scratch, (size_t)n);
	}
	return progress;
}
