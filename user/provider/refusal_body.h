// SPDX-License-Identifier: Apache-2.0
// The bodies of our own answers, as the SDKs of each dialect read them. Not for other modules.
#pragma once

#include <jansson.h>

#include "provider/refusal.h"
#include "provider/table.h"

struct refusal_shape {
	unsigned status;
	const char *reason_phrase;
	const char *openai_type, *openai_code;
	const char *anthropic_type;
	bool final; // x-should-retry: false
};

enum sg_dialect sg_refusal_dialect(const struct sg_answer *answer);

// The body of a response with that status, with the object "budget" where a budget refuses. The
// caller owns it; NULL: out of memory.
json_t *sg_refusal_body(const struct sg_answer *answer, const struct refusal_shape *shape,
	unsigned status, const char *message);

// The last event of a WebSocket session, likewise.
json_t *sg_refusal_event(
	const struct sg_answer *answer, const struct refusal_shape *shape, const char *message);
