// SPDX-License-Identifier: Apache-2.0
// A message of the agent that may have to be sent with a lower output limit: kept until that is
// known, as far as it is no longer than a request whose texts would be counted.
#include <errno.h>
#include <sys/random.h>

#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/relay_state.h"
#include "enforcer/worker.h"

void sg_relay_message_begin(struct sg_relay *relay)
{
	struct sg_relay_message *message = &relay->message;

	message->is_gone = false;
	message->is_kept = sg_live_can_limit(relay->live) &&
			   sg_account_may_clamp(relay->client->agent->account);
}

static int pass_kept(struct sg_relay *relay)
{
	struct sg_buf *frames = &relay->message.frames;
	int r = sg_buf_append(&relay->upstream->out, sg_buf_head(frames), sg_buf_length(frames));

	sg_buf_release(frames);
	relay->message.is_kept = false;
	return r;
}

int sg_relay_message_take(struct sg_relay *relay, const char *bytes, size_t length)
{
	struct sg_relay_message *message = &relay->message;
	int r = 0;

	if (message->is_gone)
		return 0;
	if (message->is_kept && sg_buf_length(&message->frames) + length > SG_COUNT_TEXT_BYTES)
		r = pass_kept(relay);
	if (r < 0)
		return r;
	return sg_buf_append(
		message->is_kept ? &message->frames : &relay->upstream->out, bytes, length);
}

// ---- The changed message ----

// The payload, unmasked, from the frames. Returns 0 or -errno.
static int unwrap(const struct sg_relay_message *message, struct sg_buf *out,
	enum sg_websocket_opcode *ret_opcode)
{
	const char *bytes = (const char *)sg_buf_head(&message->frames);
	size_t length = sg_buf_length(&message->frames);
	struct sg_websocket frames;
	char unmasked[4096];
	int r = 0;

	sg_websocket_init(&frames, SG_WEBSOCKET_FROM_CLIENT);
	while (r == 0 && length) {
		struct sg_websocket_piece piece;
		ssize_t n = sg_websocket_take(
			&frames, bytes, length, unmasked, sizeof(unmasked), &piece);

		if (n < 0)
			return (int)n;
		if (frames.opcode != SG_WEBSOCKET_CONTINUATION)
			*ret_opcode = frames.opcode;
		if (piece.what == SG_WEBSOCKET_DATA)
			r = sg_buf_append(out, piece.data, piece.length);
		bytes += n;
		length -= (size_t)n;
	}
	return r < 0 ? r : sg_buf_append(out, &message->last, message->last_length);
}

static int edit(
	const struct sg_buf *payload, const struct sg_request_edits *edits, struct sg_buf *out)
{
	uint64_t length = sg_request_edits_length(edits, sg_buf_length(payload));
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < length;) {
		struct sg_request_piece piece = sg_request_edits_at(edits, at);
		uint64_t left = length - at;
		size_t n = (size_t)(piece.length < left ? piece.length : left);
		const char *body = (const char *)sg_buf_head(payload);

		r = sg_buf_append(out, piece.text ? piece.text : body + piece.body_offset, n);
		at += n;
	}
	return r;
}

static int send_changed(struct sg_relay *relay, enum sg_websocket_opcode opcode,
	const struct sg_buf *payload, int64_t limit)
{
	struct sg_request_edits edits = { .count = 0 };
	struct sg_buf changed = { 0 };
	uint8_t mask[4];
	int r = sg_live_limit(relay->live, limit, &edits);

	if (r == 0)
		r = edit(payload, &edits, &changed);
	if (r == 0 && getrandom(mask, sizeof(mask), 0) != (ssize_t)sizeof(mask))
		r = -EIO;
	if (r == 0)
		r = sg_websocket_put(&relay->upstream->out, opcode, mask,
			(const char *)sg_buf_head(&changed), sg_buf_length(&changed));
	sg_buf_release(&changed);
	return r;
}

int sg_relay_message_pass(struct sg_relay *relay, int64_t limit)
{
	struct sg_relay_message *message = &relay->message;
	enum sg_websocket_opcode opcode = SG_WEBSOCKET_TEXT;
	struct sg_buf payload = { 0 };
	int r;

	if (!message->is_due)
		return 0;
	message->is_due = false;
	if (!message->is_kept)
		return 0;
	if (limit < 0)
		return pass_kept(relay);
	r = unwrap(message, &payload, &opcode);
	if (r == 0)
		r = send_changed(relay, opcode, &payload, limit);
	sg_buf_release(&payload);
	sg_buf_release(&message->frames);
	message->is_kept = false;
	message->is_gone = true;
	return r;
}
