// SPDX-License-Identifier: Apache-2.0
// How a call talks to the agent that made it, whatever protocol the agent speaks: one const table a
// protocol (h1_session.c). Each function gets the exchange and finds its connection from there; the
// `send_` ones return 0 or -errno (out of memory) and queue, or write at once: what the agent may
// not see before the call is settled is given after that. The session writes out what is queued.
// None is called for a call whose agent has left. Worker thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "http/h1.h"

struct sg_exchange;

struct sg_agent_side {
	// The agent reads HTTP/1.1's own framing: an answer's bytes may be passed as they came.
	bool keeps_framing;

	// An answer may come before the request's end, the rest of which need not be read for it.
	bool answers_early;

	// Takes what there is of the request's body while the call has room for it, and gives it to
	// sg_request_feed. Returns true when it got anything done.
	bool (*read_body)(struct sg_exchange *exchange);

	// May the call give more of its answer now?
	bool (*has_room)(const struct sg_exchange *exchange);

	// 100 Continue, of our own.
	int (*send_continue)(struct sg_exchange *exchange);

	// The provider's heads: 1xx, then the final one.
	int (*send_interim)(struct sg_exchange *exchange, const struct sg_h1_head *head);
	int (*send_head)(struct sg_exchange *exchange, const struct sg_h1_head *head);

	// Bytes in the framing in which they came; only with keeps_framing.
	int (*send_raw)(struct sg_exchange *exchange, const void *data, size_t length);

	// Payload, and the end of the answer, where exchange->reframe is set.
	int (*send_payload)(struct sg_exchange *exchange, const void *data, size_t length);
	int (*send_end)(struct sg_exchange *exchange);

	// Our own answer: the HTTP/1.1 response in exchange->answer.
	int (*send_answer)(struct sg_exchange *exchange);

	// The call can't go on: what is its alone ends (a stream, or a connection that has no
	// other). It has been accounted when this returns, and is over.
	void (*abort)(struct sg_exchange *exchange, const char *reason);

	// There is more to be done, after the others had their turn: goes on in the loop's next
	// one.
	void (*go_on_later)(struct sg_exchange *exchange);

	// Goes on after something outside the agent's connection happened: an event of the
	// provider's connection, the end of an asynchronous step. The exchange may be gone
	// afterwards.
	void (*run)(struct sg_exchange *exchange);
};
