// SPDX-License-Identifier: Apache-2.0
// A relay's state, and what its files do for each other. Not for other modules.
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "enforcer/relay.h"
#include "enforcer/turns.h"
#include "enforcer/upstream.h"
#include "http/websocket.h"
#include "loop/loop.h"
#include "provider/live.h"
#include "provider/refusal.h"

enum sg_relay_state {
	SG_RELAY_OPEN,
	SG_RELAY_ENDING,   // the agent will be told the end, where a message of the provider ends
	SG_RELAY_DRAINING, // nothing goes on to the agent: the provider is read for its turns'
			   // usage
	SG_RELAY_CLOSING,  // none is in progress: the provider was told, and has the last word
	SG_RELAY_OVER,	   // but for what the agent has still to read
};

struct sg_relay {
	struct sg_upstream_user upstream_user; // first
	struct sg_client *client;
	struct sg_upstream *upstream; // NULL before the start
	const struct sg_api *api;
	struct sg_live *live;
	struct sg_turns turns;
	struct sg_timer timer;
	enum sg_relay_state state;
	struct sg_websocket from_agent, from_provider;
	struct sg_buf control; // the agent's control frame, as far as it is here
	bool agent_closed;     // its Close frame was passed on
	bool agent_left;       // it ended the session while turns were in progress
	bool agent_dead;       // so is its connection
	bool agent_told;       // that nothing more will come
	bool provider_closed;  // its Close frame was read
	bool provider_ended;   // and the end of its connection
	// What the agent will be told.
	char *event; // a message, or NULL
	unsigned close_status;
	char close_reason[SG_CLOSE_REASON_BYTES];
};

// The client is closed when nothing re-arms it within the delay.
void sg_relay_arm(struct sg_relay *relay, int64_t delay_ms);

// The agent's connection is gone.
void sg_relay_leave(struct sg_relay *relay);

// The agent gets a Close frame, and before it relay->event, if there is one.
void sg_relay_end(struct sg_relay *relay, unsigned status, const char *reason);

// The session can't go on.
void sg_relay_refuse(struct sg_relay *relay, const struct sg_turns_refusal *refusal);

// While ENDING: does so, where the provider's message ends.
void sg_relay_tell_end(struct sg_relay *relay);

// Does the agent's word no longer go on?
bool sg_relay_is_deaf(const struct sg_relay *relay);

// Read and pass on what there is of one side. Return true when they got anything done.
bool sg_relay_step_agent(struct sg_relay *relay);
bool sg_relay_step_provider(struct sg_relay *relay);
