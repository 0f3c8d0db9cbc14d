// SPDX-License-Identifier: Apache-2.0
// What one agent takes of what all agents share: connections, calls under way, room for bodies,
// lines of the logs. Counted by itself: all versions of the agent (agent.h) have the same one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "enforcer/body.h"

struct sg_agent;

#define SG_MAX_WORKERS 64

struct sg_agent_load {
	_Atomic unsigned references;
	_Atomic unsigned connections;
	_Atomic unsigned calls;
	_Atomic bool cut; // off from every network: what still comes is closed
	_Atomic bool told_connections, told_calls; // the log has it that there are too many
	_Atomic int64_t lines_paid_ns; // until when the lines are paid for, on the monotonic clock
	_Atomic uint64_t untold;       // lines that were left out
	struct sg_body_share bodies;
	unsigned calls_of[SG_MAX_WORKERS]; // each its worker's
};

// With one reference, or NULL.
struct sg_agent_load *sg_agent_load_new(void);
struct sg_agent_load *sg_agent_load_ref(struct sg_agent_load *load);
void sg_agent_load_unref(struct sg_agent_load *load);

// Counts a connection of the agent. Returns false when the agent is cut off; and, which it says
// once, when it has as many as it may: one agent that opens connections without end must not take
// the descriptors of all others. Any thread.
bool sg_agent_enter(struct sg_agent *agent);
void sg_agent_leave(struct sg_agent *agent);

// The same of a call (a WebSocket, and a turn of it, are one each), for the connections to
// providers and the slots of the hold journal: of those of one worker an agent has no more than
// half, whatever the configuration says. On that worker's thread, of which there are `workers`.
bool sg_agent_begin_call(struct sg_agent *agent, unsigned worker, unsigned workers);
void sg_agent_end_call(struct sg_agent *agent, unsigned worker);

// May there be a line about the agent that it can bring about as often as it likes? At first some
// hundred, then SG_LINES_PER_SECOND. *ret_untold: how many were left out before this one. Any
// thread.
bool sg_agent_may_tell(struct sg_agent_load *load, int64_t now_ns, uint64_t *ret_untold);

// How many were left out since that was told last. Any thread.
uint64_t sg_agent_take_untold(struct sg_agent_load *load);
