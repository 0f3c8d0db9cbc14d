// SPDX-License-Identifier: Apache-2.0
// The policy plane of one call (docs/policy.md): gate-request, the tool filter and decoration
// before it is held; gate-response before the agent sees the answer; score behind it. Off, which
// is the default, a call has no gate and none of this costs anything. Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "http/h1.h"

struct sg_exchange;
struct sg_gate;

// Is anybody asked about this call?
bool sg_gate_applies(const struct sg_exchange *exchange);

// Its body is understood. Returns true when the evaluator is asked: the call waits in
// SG_REQUEST_GATE, and is either refused or goes on to SG_REQUEST_ADMIT. Or it was refused already.
bool sg_gate_request(struct sg_exchange *exchange);

// The head of the final answer, in place of the agent side's send_head. Of a 2xx stream the
// evaluator is asked now, the call waits in SG_RESPONSE_GATE; any other 2xx answer is gathered.
// Returns 0 or -errno.
int sg_gate_head(struct sg_exchange *exchange, const struct sg_h1_head *head) SG_WUNRES;

// Is the answer gathered, so that the agent gets nothing of it now?
bool sg_gate_holds(const struct sg_exchange *exchange);

// Payload of the answer, for the evaluator's eyes. One that is too large to be held back is refused
// then. Returns 0 or -ENOMEM.
int sg_gate_payload(struct sg_exchange *exchange, struct sg_str payload) SG_WUNRES;

// The answer is complete and settled. Returns true when it is held back: the evaluator is asked,
// the call waits in SG_RESPONSE_GATE.
bool sg_gate_finish(struct sg_exchange *exchange);

// Accepts NULL; what the evaluator was asked is of no interest any more.
struct sg_gate *sg_gate_free(struct sg_gate *gate);
