// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.h"

#include <errno.h>
#include <string.h>

#define FINAL	      0x80
#define RESERVED      0x70
#define OPCODE	      0x0f
#define MASKED	      0x80
#define LENGTH	      0x7f
#define LENGTH_16     126
#define LENGTH_64     127
#define LENGTH_16_MIN 126
#define LENGTH_64_MIN 65536

void sg_websocket_init(struct sg_websocket *websocket, enum sg_websocket_side side)
{
	*websocket = (struct sg_websocket){ .side = side };
}

static ssize_t fail(struct sg_websocket *websocket)
{
	websocket->state = SG_WEBSOCKET_FAILED;
	return -EBADMSG;
}

static bool is_control(enum sg_websocket_opcode opcode)
{
	return opcode >= SG_WEBSOCKET_CLOSE;
}

// ---- Head ----

static bool is_masked(const struct sg_websocket *websocket)
{
	return websocket->head[1] & MASKED;
}

// Bytes of the whole head, once its first two are known.
static size_t head_size(const struct sg_websocket *websocket)
{
	uint8_t length = websocket->head[1] & LENGTH;

	return 2 +
	       (length == LENGTH_16	     ? 2u
		       : length == LENGTH_64 ? 8u
					     : 0u) +
	       (is_masked(websocket) ? sizeof(websocket->mask) : 0u);
}

// The first two bytes tell whether the frame may stand here at all.
static bool may_begin(const struct sg_websocket *websocket)
{
	enum sg_websocket_opcode opcode = websocket->head[0] & OPCODE;
	bool final = websocket->head[0] & FINAL;

	if ((websocket->head[0] & RESERVED) ||
		is_masked(websocket) != (websocket->side == SG_WEBSOCKET_FROM_CLIENT))
		return false;
	switch (opcode) {
	case SG_WEBSOCKET_CLOSE:
	case SG_WEBSOCKET_PING:
	case SG_WEBSOCKET_PONG:
		return final && (websocket->head[1] & LENGTH) <= SG_WEBSOCKET_MAX_CONTROL;
	case SG_WEBSOCKET_CONTINUATION:
		return websocket->in_message;
	case SG_WEBSOCKET_TEXT:
	case SG_WEBSOCKET_BINARY:
		return !websocket->in_message;
	}
	return false;
}

static uint64_t read_number(const uint8_t *bytes, size_t count)
{
	uint64_t number = 0;

	while (count--)
		number = number << 8 | *bytes++;
	return number;
}

// Returns false when the length is written in more bytes than it needs.
static bool read_length(struct sg_websocket *websocket)
{
	uint8_t length = websocket->head[1] & LENGTH;

	websocket->left = length;
	if (length == LENGTH_16) {
		websocket->left = read_number(websocket->head + 2, 2);
		return websocket->left >= LENGTH_16_MIN;
	}
	if (length == LENGTH_64) {
		websocket->left = read_number(websocket->head + 2, 8);
		return websocket->left >= LENGTH_64_MIN && websocket->left <= INT64_MAX;
	}
	return true;
}

// The head is whole.
static bool begin_payload(struct sg_websocket *websocket)
{
	if (!read_length(websocket))
		return false;
	websocket->opcode = websocket->head[0] & OPCODE;
	websocket->final = websocket->head[0] & FINAL;
	websocket->mask_at = 0;
	websocket->control_length = 0;
	if (is_masked(websocket))
		memcpy(websocket->mask, websocket->head + websocket->head_length - 4, 4);
	if (!is_control(websocket->opcode))
		websocket->in_message = true;
	websocket->state = SG_WEBSOCKET_PAYLOAD;
	return true;
}

// ---- Ends ----

static void end_frame(struct sg_websocket *websocket)
{
	websocket->state = SG_WEBSOCKET_HEAD;
	websocket->head_length = 0;
	websocket->last_was_told = false;
}

static void end_message(struct sg_websocket *websocket, struct sg_websocket_piece *piece)
{
	end_frame(websocket);
	websocket->in_message = false;
	piece->what = SG_WEBSOCKET_MESSAGE_END;
}

// Returns false when a Close frame has half a status.
static bool end_control(struct sg_websocket *websocket, struct sg_websocket_piece *piece)
{
	size_t skip = 0;

	end_frame(websocket);
	piece->what = SG_WEBSOCKET_CONTROL;
	piece->opcode = websocket->opcode;
	if (piece->opcode == SG_WEBSOCKET_CLOSE) {
		piece->status = SG_WEBSOCKET_NO_STATUS;
		skip = websocket->control_length ? 2 : 0;
		if (websocket->control_length == 1)
			return false;
		if (skip)
			piece->status = (unsigned)read_number(websocket->control, 2);
	}
	piece->data = (const char *)websocket->control + skip;
	piece->length = websocket->control_length - skip;
	return true;
}

// ---- Payload ----

static void unmask(struct sg_websocket *websocket, const char *bytes, size_t length, char *out)
{
	for (size_t i = 0; i < length; i++)
		out[i] = (char)(bytes[i] ^ websocket->mask[(websocket->mask_at + i) & 3]);
}

// Data of the message, without its last byte.
static size_t take_data(struct sg_websocket *websocket, const char *bytes, size_t length,
	char *unmasked, size_t size, struct sg_websocket_piece *piece)
{
	bool masked = is_masked(websocket);
	uint64_t most = websocket->left - (websocket->final ? 1 : 0);

	if (length > most)
		length = (size_t)most;
	if (masked && length > size)
		length = size;
	if (masked)
		unmask(websocket, bytes, length, unmasked);
	websocket->mask_at = (uint8_t)((websocket->mask_at + length) & 3);
	websocket->left -= length;
	piece->what = SG_WEBSOCKET_DATA;
	piece->data = masked ? unmasked : bytes;
	piece->length = length;
	if (!websocket->left)
		end_frame(websocket);
	return length;
}

static size_t take_last(struct sg_websocket *websocket, const char *bytes, char *unmasked,
	struct sg_websocket_piece *piece)
{
	if (websocket->last_was_told) {
		end_message(websocket, piece);
		return 1;
	}
	websocket->last_was_told = true;
	piece->what = SG_WEBSOCKET_LAST;
	piece->data = bytes;
	piece->length = 1;
	if (is_masked(websocket)) {
		unmask(websocket, bytes, 1, unmasked);
		piece->data = unmasked;
	}
	return 0;
}

static ssize_t take_control(struct sg_websocket *websocket, const char *bytes, size_t length,
	struct sg_websocket_piece *piece)
{
	char *out = (char *)websocket->control + websocket->control_length;

	if (length > websocket->left)
		length = (size_t)websocket->left;
	if (is_masked(websocket))
		unmask(websocket, bytes, length, out);
	else
		memcpy(out, bytes, length);
	websocket->mask_at = (uint8_t)((websocket->mask_at + length) & 3);
	websocket->control_length = (uint8_t)(websocket->control_length + length);
	websocket->left -= length;
	if (!websocket->left && !end_control(websocket, piece))
		return fail(websocket);
	return (ssize_t)length;
}

// ---- Bytes ----

// Is this the head of a message's last frame, which has no payload?
static bool head_ends_message(const struct sg_websocket *websocket)
{
	return (websocket->head[0] & FINAL) && !is_control(websocket->head[0] & OPCODE) &&
	       !(websocket->head[1] & LENGTH);
}

static ssize_t take_head(
	struct sg_websocket *websocket, const char *bytes, struct sg_websocket_piece *piece)
{
	uint8_t byte = (uint8_t)*bytes;
	uint8_t at = websocket->head_length;
	bool ends;

	websocket->head[at] = byte;
	if (at == 1 && !may_begin(websocket))
		return fail(websocket);
	ends = at >= 1 && at + 1u == head_size(websocket);
	if (ends && head_ends_message(websocket) && !websocket->last_was_told) {
		websocket->last_was_told = true;
		piece->what = SG_WEBSOCKET_LAST;
		piece->data = "";
		return 0;
	}
	websocket->head_length++;
	if (!ends)
		return 1;
	if (!begin_payload(websocket))
		return fail(websocket);
	if (websocket->left)
		return 1;
	if (is_control(websocket->opcode))
		return end_control(websocket, piece) ? 1 : fail(websocket);
	if (websocket->final)
		end_message(websocket, piece);
	else
		end_frame(websocket);
	return 1;
}

ssize_t sg_websocket_take(struct sg_websocket *websocket, const char *bytes, size_t length,
	char *unmasked, size_t size, struct sg_websocket_piece *ret_piece)
{
	*ret_piece = (struct sg_websocket_piece){ .what = SG_WEBSOCKET_MORE };
	switch (websocket->state) {
	case SG_WEBSOCKET_HEAD:
		return take_head(websocket, bytes, ret_piece);
	case SG_WEBSOCKET_PAYLOAD:
		if (is_control(websocket->opcode))
			return take_control(websocket, bytes, length, ret_piece);
		if (websocket->final && websocket->left == 1)
			return (ssize_t)take_last(websocket, bytes, unmasked, ret_piece);
		return (ssize_t)take_data(websocket, bytes, length, unmasked, size, ret_piece);
	case SG_WEBSOCKET_FAILED:
		break;
	}
	return -EBADMSG;
}

bool sg_websocket_is_at_frame(const struct sg_websocket *websocket)
{
	return websocket->state == SG_WEBSOCKET_HEAD && !websocket->head_length;
}

bool sg_websocket_is_in_control(const struct sg_websocket *websocket)
{
	return websocket->head_length && is_control(websocket->head[0] & OPCODE);
}

bool sg_websocket_is_between(const struct sg_websocket *websocket)
{
	return sg_websocket_is_at_frame(websocket) && !websocket->in_message;
}

// ---- Writing ----

static size_t make_head(
	enum sg_websocket_opcode opcode, const uint8_t *mask, size_t length, uint8_t *head)
{
	size_t bytes = length < LENGTH_16_MIN ? 0 : length < LENGTH_64_MIN ? 2 : 8, at = 2;

	head[0] = (uint8_t)(FINAL | opcode);
	head[1] = (uint8_t)((mask ? MASKED : 0) | (bytes == 0	       ? length
							  : bytes == 2 ? LENGTH_16
								       : LENGTH_64));
	while (bytes--)
		head[at++] = (uint8_t)((uint64_t)length >> (8 * bytes));
	if (mask) {
		memcpy(head + at, mask, 4);
		at += 4;
	}
	return at;
}

int sg_websocket_put(struct sg_buf *out, enum sg_websocket_opcode opcode, const uint8_t *mask,
	const char *payload, size_t length)
{
	uint8_t head[SG_WEBSOCKET_MAX_HEAD];
	size_t size = make_head(opcode, mask, length, head);
	int r = sg_buf_reserve(out, size + length);

	if (r < 0)
		return r;
	memcpy(out->data + out->end, head, size);
	out->end += size;
	for (size_t i = 0; i < length; i++)
		out->data[out->end++] = (uint8_t)payload[i] ^ (mask ? mask[i & 3] : 0);
	return 0;
}

int sg_websocket_put_close(
	struct sg_buf *out, unsigned status, const uint8_t *mask, const char *reason)
{
	char payload[SG_WEBSOCKET_MAX_CONTROL] = { (char)(status >> 8), (char)status };
	size_t length = 0;

	while (reason[length] && 2 + length < sizeof(payload)) {
		payload[2 + length] = reason[length];
		length++;
	}
	// Not in the middle of a character.
	while (length && ((uint8_t)reason[length] & 0xc0) == 0x80)
		length--;
	return sg_websocket_put(out, SG_WEBSOCKET_CLOSE, mask, payload, 2 + length);
}
