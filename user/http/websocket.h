// SPDX-License-Identifier: Apache-2.0
// WebSocket frames (RFC 6455) of one direction, read in passing from a stream of bytes, whatever
// their borders: masks, fragments, control frames between fragments. No extension is understood: a
// reserved bit, and whatever else two readers could take in two ways, is an error. Pure; no
// allocation; one owner.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

enum sg_websocket_opcode {
	SG_WEBSOCKET_CONTINUATION = 0,
	SG_WEBSOCKET_TEXT = 1,
	SG_WEBSOCKET_BINARY = 2,
	SG_WEBSOCKET_CLOSE = 8,
	SG_WEBSOCKET_PING = 9,
	SG_WEBSOCKET_PONG = 10,
};

// Status codes of a Close frame.
enum sg_websocket_status {
	SG_WEBSOCKET_NORMAL = 1000,
	SG_WEBSOCKET_PROTOCOL_ERROR = 1002,
	SG_WEBSOCKET_NO_STATUS = 1005, // never on the wire
	SG_WEBSOCKET_POLICY = 1008,
};

#define SG_WEBSOCKET_MAX_HEAD	 14
#define SG_WEBSOCKET_MAX_CONTROL 125 // bytes of a control frame's payload

// Whose frames: those of a client are masked, those of a server never are.
enum sg_websocket_side { SG_WEBSOCKET_FROM_CLIENT, SG_WEBSOCKET_FROM_SERVER };

enum sg_websocket_state {
	SG_WEBSOCKET_HEAD,
	SG_WEBSOCKET_PAYLOAD,
	SG_WEBSOCKET_FAILED,
};

struct sg_websocket {
	enum sg_websocket_side side;
	enum sg_websocket_state state;
	uint8_t head[SG_WEBSOCKET_MAX_HEAD]; // of the frame that is being read
	uint8_t head_length;
	bool in_message; // between the first frame of a message and the end of its last
	bool final;
	bool last_was_told;
	enum sg_websocket_opcode opcode; // of the frame
	uint8_t mask[4];
	uint8_t mask_at;
	uint64_t left; // of the payload
	uint8_t control[SG_WEBSOCKET_MAX_CONTROL];
	uint8_t control_length;
};

// What one call of sg_websocket_take found.
enum sg_websocket_what {
	SG_WEBSOCKET_MORE, // bytes of a frame, nothing to say yet
	SG_WEBSOCKET_DATA, // bytes of a message, `data`; unmasked
	SG_WEBSOCKET_LAST, // the last byte of a message comes: `data` has it, but it is not taken
	SG_WEBSOCKET_MESSAGE_END, // that byte was taken
	SG_WEBSOCKET_CONTROL,	  // a whole control frame: opcode, status, `data`
};

struct sg_websocket_piece {
	enum sg_websocket_what what;
	enum sg_websocket_opcode opcode;
	unsigned status;  // of a Close frame
	const char *data; // in the bytes that were given, in `unmasked`, or in the reader
	size_t length;
};

void sg_websocket_init(struct sg_websocket *websocket, enum sg_websocket_side side);

// Takes some of the bytes: at most up to the end of one piece. Bytes of a masked message are
// unmasked into `unmasked`, `size` > 0 at a time; the given ones are never changed.
//
// The last byte of a message is told (SG_WEBSOCKET_LAST) before it is taken, in a call of its own:
// until it was sent on, no receiver has the message. Where the last frame has no payload, that byte
// is of its head, and `data` is empty.
//
// Returns how many bytes were taken, or -EBADMSG (not WebSocket; sticks). `length` > 0.
ssize_t sg_websocket_take(struct sg_websocket *websocket, const char *bytes, size_t length,
	char *unmasked, size_t size, struct sg_websocket_piece *ret_piece) SG_WUNRES;

// May a whole message be put in between here? Not within a frame or a fragmented message.
bool sg_websocket_is_between(const struct sg_websocket *websocket);

// May a control frame be put in between here? Not within a frame.
bool sg_websocket_is_at_frame(const struct sg_websocket *websocket);

// Is a control frame being read?
bool sg_websocket_is_in_control(const struct sg_websocket *websocket);

// Appends one whole frame. `mask`: 4 random bytes of a client's frame, NULL for a server's. Returns
// 0 or -ENOMEM.
int sg_websocket_put(struct sg_buf *out, enum sg_websocket_opcode opcode, const uint8_t *mask,
	const char *payload, size_t length) SG_WUNRES;

// Appends a Close frame. The reason is cut to what fits, at a character's border. Returns 0 or
// -ENOMEM.
int sg_websocket_put_close(
	struct sg_buf *out, unsigned status, const uint8_t *mask, const char *reason) SG_WUNRES;
