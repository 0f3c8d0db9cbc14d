// SPDX-License-Identifier: Apache-2.0
// What the parts of the gate share. Not for other modules.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/log.h"
#include "enforcer/hook.h"

struct sg_exchange;

struct sg_gate {
	struct sg_post *post; // the question that is out, or NULL
	enum sg_hook hook;    // the last that was asked
	char *request;	      // the body as it is sent; owned
	size_t request_length;
	struct sg_buf head;   // of a 2xx answer, as it came
	json_t *headers;      // the same for the evaluator
	struct sg_buf answer; // payload so far
	bool holds;	      // nothing of the answer goes to the agent yet
	bool listens;	      // the payload is wanted
	bool text_is_lost;    // there was more than is told
};

const struct sg_evaluator *sg_gate_evaluator(const struct sg_exchange *exchange);

// Asks with what the gate has. `response` may be NULL. `done` gets the exchange; NULL: nobody
// waits. Returns 0 or -errno.
int sg_gate_ask(struct sg_exchange *exchange, enum sg_hook hook, struct sg_str response,
	sg_post_done_fn done) SG_WUNRES;

// What the evaluator did, or did not, in one line of the log.
void sg_gate_tell(const struct sg_exchange *exchange, enum sg_log_level level, const char *verdict,
	const char *intervention, const char *reason);

// The call is answered with 403 and the reason.
void sg_gate_deny(struct sg_exchange *exchange, const char *reason);

// No verdict on the last question. Gates then let nothing pass, unless they were told to. Returns
// true when the call goes on; else it was answered.
bool sg_gate_survives(struct sg_exchange *exchange, const char *why);

// Reads what came. Returns 0 with a verdict (sg_verdict_done is due), -ENODATA when the call goes
// on without one, or -EACCES: it was answered.
int sg_gate_take_verdict(struct sg_exchange *exchange, int result, const char *text, size_t length,
	struct sg_verdict *ret_verdict) SG_WUNRES;
