// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection (RFC 9113), either role, as a codec on nghttp2: bytes in, bytes out, its
// calls in between. Heads are told and given as heads of HTTP/1.1 (http/h1.h), so that whatever
// reads them is as strict with either protocol. Nothing is called back: streams with news are in a
// list (sg_h2_next_news). No I/O, no clock; one owner.
//
// Bounds: SG_H2_MAX_STREAMS calls at a time, SG_H2_STREAM_WINDOW unread body bytes each, for a
// server SG_H2_CONNECTION_WINDOW in all (a client has only streams that it asked for, and none of
// them may hold back the others); heads as in http/h1.h; control frames that do no work are counted
// against an allowance that refills, and end the connection when it is used up.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "http/h1.h"

#define SG_H2_MAX_STREAMS	100
#define SG_H2_STREAM_WINDOW	(256 << 10)
#define SG_H2_CONNECTION_WINDOW (4 << 20)

// What a client of HTTP/2 says first.
#define SG_H2_PREFACE	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SG_H2_PREFACE_BYTES 24

struct sg_h2;

enum sg_h2_role { SG_H2_SERVER, SG_H2_CLIENT };

// RFC 9113, 7: what a reset says.
enum sg_h2_error {
	SG_H2_NO_ERROR = 0,
	SG_H2_PROTOCOL_ERROR = 1,
	SG_H2_INTERNAL_ERROR = 2,
	SG_H2_REFUSED_STREAM = 7, // nothing was done: the call may be repeated
	SG_H2_CANCEL = 8,
};

// One call. The owner reads the first part and takes from it; the rest is the codec's.
struct sg_h2_stream {
	struct sg_buf head;	// HTTP/1.1 text of whole heads, when head_there; interim ones first
	struct sg_buf in;	// body bytes that are there; take them by sg_h2_take
	struct sg_buf trailers; // lines of HTTP/1.1, once in_ended
	bool head_there;	// set by the codec, cleared by the owner, who takes the text
	bool in_ended;		// no more body will come
	bool begun;		// client: the request's head was drained
	bool out_gone;		// everything was drained, its end too
	bool closed;		// both ends are done, or one has reset it
	uint32_t error;		// of a reset, when closed
	void *owner;		// whatever the owner of the connection likes; NULL at first

	int32_t id;
	struct sg_h2 *h2;
	struct sg_buf out;     // payload to be sent
	struct sg_buf lines;   // of the head or trailers being received
	struct sg_buf cookies; // which a client may split (RFC 9113, 8.2.3)
	struct sg_buf pseudo;  // values of the pseudo-header fields
	struct sg_str_span {
		uint32_t at, length;
	} method, path, authority, host, status;
	struct sg_buf out_trailers;
	bool has_length; // a Content-Length is among the lines
	bool head_too_large;
	bool final_head_received;
	bool asks_head; // client: an answer has no body
	bool out_ended;
	bool out_waits;	   // nghttp2 was told that there is nothing to send
	bool cut;	   // reset behind what is in `out`
	bool reset_at_end; // tell the peer to stop sending once the answer is out
	bool released;	   // nobody is interested any more
	bool has_news;
	struct sg_h2_stream *next_news;
	struct sg_h2_stream *next, **link; // all of the connection
};

int sg_h2_new(enum sg_h2_role role, struct sg_h2 **ret_h2) SG_WUNRES;
// Frees the streams too.
struct sg_h2 *sg_h2_free(struct sg_h2 *h2);

// Bytes from the peer. `now_ms` is any monotonic clock. Returns 0, -EPROTO (the peer floods, or
// does not speak HTTP/2), or -ENOMEM; what sg_h2_drain gives is still to be sent. A peer that broke
// the protocol gets its GOAWAY from there, and the connection is over.
int sg_h2_feed(struct sg_h2 *h2, const void *data, size_t length, int64_t now_ms) SG_WUNRES;

// Appends frames for the peer until `out` holds `high` bytes or there are none. Returns 0 or
// -ENOMEM.
int sg_h2_drain(struct sg_h2 *h2, struct sg_buf *out, size_t high) SG_WUNRES;

// Nothing more will come of this connection, and all was drained: one side has ended it.
bool sg_h2_is_over(const struct sg_h2 *h2);

// May another call be made? Client only.
bool sg_h2_can_request(const struct sg_h2 *h2);

// Calls that are open.
unsigned sg_h2_open_streams(const struct sg_h2 *h2);

// Takes a stream off the list of those of which something is to be told: a head, body, its end, a
// close, or room in `out` after there was none. NULL: no news.
struct sg_h2_stream *sg_h2_next_news(struct sg_h2 *h2);

// `length` bytes of stream->in were used up: the peer may send as many again.
void sg_h2_take(struct sg_h2_stream *stream, size_t length);

// Server: answers. Interim heads first, then one final head. `ends`: no body will follow.
// `keeps_length`: the Content-Length is right. Lines that belong to an HTTP/1.1 connection are left
// out. A closed stream takes whatever it is given. Returns 0 or -ENOMEM.
int sg_h2_respond(struct sg_h2_stream *stream, const struct sg_h1_head *head, bool keeps_length,
	bool ends) SG_WUNRES;
int sg_h2_continue(struct sg_h2_stream *stream) SG_WUNRES;

// Client: a new call. `https` is the scheme. Its owner is `owner`.
int sg_h2_request(struct sg_h2 *h2, const struct sg_h1_head *head, bool https, bool ends,
	void *owner, struct sg_h2_stream **ret_stream) SG_WUNRES;

// Payload, and its end. `trailers`: lines of HTTP/1.1, or NULL.
int sg_h2_send(struct sg_h2_stream *stream, const void *data, size_t length) SG_WUNRES;
int sg_h2_end(struct sg_h2_stream *stream, const struct sg_buf *trailers) SG_WUNRES;

static inline size_t sg_h2_unsent(const struct sg_h2_stream *stream)
{
	return sg_buf_length(&stream->out);
}

// The owner is done with it; whatever was given is still sent. `stop`: the peer shall not send the
// rest of its body (RFC 9113, 8.1). The stream must not be used afterwards.
void sg_h2_release(struct sg_h2_stream *stream, bool stop);

// The same, but it ends unfinished: behind what was given (`after_output`), or at once.
void sg_h2_reset(struct sg_h2_stream *stream, enum sg_h2_error error, bool after_output);

// Ends the connection: GOAWAY, then it is over.
void sg_h2_shut_down(struct sg_h2 *h2);

// The connection under it is gone: every stream is closed, and has news.
void sg_h2_lose(struct sg_h2 *h2);

// ---- Of a client ----

// How many calls at a time the peer allows; SG_H2_MAX_STREAMS at most.
unsigned sg_h2_call_limit(const struct sg_h2 *h2);

// Asks the peer for a sign of life.
int sg_h2_ping(struct sg_h2 *h2) SG_WUNRES;
