// SPDX-License-Identifier: Apache-2.0
// What the provider says in a WebSocket session: read, settled, passed on.
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"
#include "enforcer/worker.h"

static void on_provider_piece(struct sg_relay *relay, const struct sg_websocket_piece *piece)
{
	struct sg_turns_refusal refusal = { .model = "" };
	struct sg_buf *waiting = &relay->client->in;
	bool was_paused = relay->pause.on;
	struct sg_live_news news;

	switch (piece->what) {
	case SG_WEBSOCKET_DATA:
		sg_live_tell(relay->live, piece->data, piece->length);
		break;
	case SG_WEBSOCKET_LAST:
		// Settled before the agent has the message, so that its next one finds the room.
		sg_live_tell(relay->live, piece->data, piece->length);
		sg_live_tell_end(relay->live, &news);
		sg_relay_heed(relay, sg_turns_news(&relay->turns, &news, &refusal), &refusal);
		if (relay->state == SG_RELAY_OPEN && sg_turns_watch(&relay->turns) < 0)
			sg_relay_cut(relay);
		// A turn may go on and the next one wait before anything of the agent was taken.
		if (!was_paused && relay->pause.on && sg_buf_length(waiting))
			sg_relay_look_ahead(
				relay, (const char *)sg_buf_head(waiting), sg_buf_length(waiting));
		break;
	case SG_WEBSOCKET_CONTROL:
		if (piece->opcode == SG_WEBSOCKET_CLOSE) {
			relay->provider_closed = true;
			sg_relay_arm(relay, SG_CLOSE_MS);
		}
		break;
	case SG_WEBSOCKET_MORE:
	case SG_WEBSOCKET_MESSAGE_END:
		break;
	}
}

// Reads the bytes and passes them on, where the agent still listens. Returns 0 or -errno.
static int take_from_provider(struct sg_relay *relay, const char *bytes, size_t length)
{
	while (length) {
		struct sg_websocket_piece piece;
		bool listens = relay->state == SG_RELAY_OPEN || relay->state == SG_RELAY_ENDING;
		ssize_t n =
			sg_websocket_take(&relay->from_provider, bytes, length, NULL, 0, &piece);
		int r = n < 0 ? (int)n : 0;

		if (r == 0 && listens)
			r = sg_buf_append(&relay->client->out, bytes, (size_t)n);
		if (r < 0)
			return r;
		on_provider_piece(relay, &piece);
		if (relay->state == SG_RELAY_ENDING)
			sg_relay_tell_end(relay);
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static void on_provider_bytes(struct sg_relay *relay, const char *bytes, size_t length)
{
	const struct sg_client *client = relay->client;
	int r = take_from_provider(relay, bytes, length);

	if (r == 0)
		return;
	relay->provider_ended = true;
	sg_log(SG_LOG_WARN, "upstream_failed", "agent=%s connection=%llu host=%s reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		r == -EBADMSG ? "not a WebSocket frame that is understood" : strerror(-r));
}

bool sg_relay_step_provider(struct sg_relay *relay)
{
	struct sg_client *client = relay->client;
	struct sg_upstream *upstream = relay->upstream;
	struct sg_worker *worker = client->worker;
	bool progress = false;

	// What came with the answer to the upgrade.
	if (sg_buf_length(&upstream->in)) {
		on_provider_bytes(relay, (const char *)sg_buf_head(&upstream->in),
			sg_buf_length(&upstream->in));
		sg_buf_release(&upstream->in);
		progress = true;
	}
	while (!relay->provider_ended && sg_buf_length(&client->out) < SG_OUT_HIGH) {
		ssize_t n =
			sg_transport_read(&upstream->transport, worker->scratch, SG_SCRATCH_BYTES);

		if (n == -EAGAIN)
			break;
		progress = true;
		if (n <= 0)
			relay->provider_ended = true;
		else
			on_provider_bytes(relay, (const char *)worker->scratch, (size_t)n);
	}
	if (sg_buf_length(&client->out) >= SG_OUT_HIGH && relay->state == SG_RELAY_OPEN &&
		sg_turns_look_away(&relay->turns) < 0)
		sg_relay_cut(relay);
	return progress;
}
