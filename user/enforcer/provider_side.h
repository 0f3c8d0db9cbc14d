// SPDX-License-Identifier: Apache-2.0
// How a call talks to its provider, whatever protocol the connection speaks: one const table a
// protocol (h1_provider.c, h2_provider.c), the counterpart of agent_side.h. Each function gets the
// exchange, whose upstream is ready where nothing else is said. The `send_` ones return 0 or -errno
// and queue; `flush` writes. Worker thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "enforcer/upstream.h"

struct sg_exchange;

struct sg_provider_side {
	// The provider speaks HTTP/1.1's own framing: bytes may be passed as they came, both ways.
	bool keeps_framing;

	// May the call give more of its body now?
	bool (*has_room)(const struct sg_exchange *exchange);

	int (*send_head)(struct sg_exchange *exchange);
	// Bytes in the framing in which they came; only with keeps_framing.
	int (*send_raw)(struct sg_exchange *exchange, const void *data, size_t length);
	// Payload, and the end of the request.
	int (*send_payload)(struct sg_exchange *exchange, const void *data, size_t length);
	int (*send_end)(struct sg_exchange *exchange);

	// Writes what was given, notes when that was all. Returns true when it got anything done.
	bool (*flush)(struct sg_exchange *exchange);

	// Takes what there is of the answer, and gives it to response.c, while that wants it.
	// Returns true when it got anything done.
	bool (*read)(struct sg_exchange *exchange);

	// What was read and not wanted then is taken now. Returns 0 or -errno.
	int (*read_kept)(struct sg_exchange *exchange);

	// Is it certain that the provider has done nothing for the call, which has no answer?
	bool (*took_nothing)(const struct sg_exchange *exchange);

	// The call needs its connection no more; it may not be ready. `reusable`: request and
	// answer are complete.
	void (*give_back)(struct sg_exchange *exchange, bool reusable);
};

extern const struct sg_provider_side sg_h1_provider_side, sg_h2_provider_side;

// Of a connection that is ready.
static inline const struct sg_provider_side *sg_provider_side(const struct sg_upstream *upstream)
{
	return upstream->multiplex ? &sg_h2_provider_side : &sg_h1_provider_side;
}
