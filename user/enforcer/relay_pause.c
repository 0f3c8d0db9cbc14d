// SPDX-License-Identifier: Apache-2.0
// An agent whose turn waits for room: its pings are answered, and its leaving is noticed.
#include <string.h>

#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"

// Bytes that are unmasked at a time.
#define UNMASKED_BYTES 512

static void look(struct sg_relay *relay, const struct sg_websocket_piece *piece)
{
	struct sg_relay_pause *pause = &relay->pause;

	if (piece->what != SG_WEBSOCKET_CONTROL)
		return;
	if (piece->opcode == SG_WEBSOCKET_CLOSE) {
		relay->agent_left = true;
		sg_relay_end(relay,
			piece->status == SG_WEBSOCKET_NO_STATUS ? SG_WEBSOCKET_NORMAL
								: piece->status,
			"");
	} else if (piece->opcode == SG_WEBSOCKET_PING && pause->seen++ >= pause->answered) {
		pause->answered++;
		pause->ping_is_due = true;
		pause->ping_length = piece->length;
		memcpy(pause->ping, piece->data, piece->length);
	}
}

void sg_relay_look_ahead(struct sg_relay *relay, const char *bytes, size_t length)
{
	char unmasked[UNMASKED_BYTES];

	while (length && relay->pause.on) {
		struct sg_websocket_piece piece;
		ssize_t n = sg_websocket_take(
			&relay->pause.ahead, bytes, length, unmasked, sizeof(unmasked), &piece);

		// What is no frame will be found so when its turn comes.
		if (n < 0)
			return;
		look(relay, &piece);
		bytes += n;
		length -= (size_t)n;
	}
	sg_relay_answer_ping(relay);
}

void sg_relay_pause(struct sg_relay *relay)
{
	struct sg_relay_pause *pause = &relay->pause;

	if (pause->on)
		return;
	pause->on = true;
	sg_loop_disarm(&relay->timer); // the turn's patience is what ends this
	pause->ahead = relay->from_agent;
	pause->seen = 0;
}

void sg_relay_resume(struct sg_relay *relay)
{
	if (!relay->pause.on)
		return;
	relay->pause.on = false;
	sg_relay_arm(relay, SG_RESPONSE_MS);
}

bool sg_relay_was_answered(struct sg_relay *relay)
{
	if (!relay->pause.answered)
		return false;
	relay->pause.answered--;
	return true;
}

void sg_relay_answer_ping(struct sg_relay *relay)
{
	struct sg_relay_pause *pause = &relay->pause;

	if (!pause->ping_is_due || relay->state != SG_RELAY_OPEN ||
		!sg_websocket_is_at_frame(&relay->from_provider))
		return;
	pause->ping_is_due = false;
	if (sg_websocket_put(&relay->client->out, SG_WEBSOCKET_PONG, NULL,
		    (const char *)pause->ping, pause->ping_length) < 0)
		sg_relay_leave(relay);
}
