// SPDX-License-Identifier: Apache-2.0
// A relay's state, and what its files do for each other. Not for other modules.
#pragma once

#include <stdbool.h>
#include <stdint.h>

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

// The agent's message that is being read, where it may have to be changed: as it came. Else its
// bytes go on at once.
struct sg_relay_message {
	bool is_kept; // up to its last byte
	bool is_due;  // all of it was read, and goes on once its turn is held for
	bool is_gone; // changed, and sent: its last byte is dropped
	struct sg_buf frames;
	char last;	    // byte, which is not among them;
	size_t last_length; // 0 where the last frame has none
};

// While a turn waits for room nothing of the agent goes on: what it says meanwhile stays in
// client->in, and is looked through for what can't wait.
struct sg_relay_pause {
	bool on;
	struct sg_websocket ahead; // where it was looked up to
	unsigned answered;	   // pings in client->in that have their answer
	unsigned seen;		   // of these, by the look that is under way
	bool ping_is_due;	   // to be answered
	uint8_t ping[SG_WEBSOCKET_MAX_CONTROL];
	size_t ping_length;
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
	struct sg_relay_message message;
	struct sg_relay_pause pause;
	bool counted;	      // among the agent's calls
	bool agent_closed;    // its Close frame was passed on
	bool agent_left;      // it ended the session while turns were in progress
	bool agent_dead;      // so is its connection
	bool agent_told;      // that nothing more will come
	bool provider_closed; // its Close frame was read
	bool provider_ended;  // and the end of its connection
	// What the agent will be told.
	struct sg_buf farewell; // why there is no more, or what ends a turn: messages, a line each
	unsigned close_status;
	char close_reason[SG_CLOSE_REASON_BYTES];
};

// The client is closed when nothing re-arms it within the delay.
void sg_relay_arm(struct sg_relay *relay, int64_t delay_ms);

// The agent's connection is gone.
void sg_relay_leave(struct sg_relay *relay);

// The agent gets a Close frame, and before it relay->farewell.
void sg_relay_end(struct sg_relay *relay, unsigned status, const char *reason);

// Ends the turn that runs, and the session with it.
void sg_relay_cut(struct sg_relay *relay);

// What becomes of the session after a message of either side.
void sg_relay_heed(struct sg_relay *relay, enum sg_turns_verdict verdict,
	const struct sg_turns_refusal *refusal);

// While ENDING: does so, where the provider's message ends.
void sg_relay_tell_end(struct sg_relay *relay);

// ---- relay_message.c ----

// A message begins: is it one that is to be kept?
void sg_relay_message_begin(struct sg_relay *relay);

// Takes raw bytes of the message. Returns 0 or -ENOMEM.
int sg_relay_message_take(struct sg_relay *relay, const char *bytes, size_t length) SG_WUNRES;

// What is due of it goes on: all but its last byte; or all, with the output limit that was held
// for (-1: its own). Returns 0 or -errno.
int sg_relay_message_pass(struct sg_relay *relay, int64_t limit) SG_WUNRES;

// ---- relay_pause.c ----

// A turn waits for room: nothing more goes on until it is resumed.
void sg_relay_pause(struct sg_relay *relay);
void sg_relay_resume(struct sg_relay *relay);

// Looks through bytes that came meanwhile, and have been put behind those in client->in.
void sg_relay_look_ahead(struct sg_relay *relay, const char *bytes, size_t length);

// Answers the agent's last ping, where a frame may stand.
void sg_relay_answer_ping(struct sg_relay *relay);

// A ping goes by: was it answered already?
bool sg_relay_was_answered(struct sg_relay *relay);

// ---- relay_agent.c, relay_provider.c ----

// Does the agent's word no longer go on?
bool sg_relay_is_deaf(const struct sg_relay *relay);

// Read and pass on what there is of one side. Return true when they got anything done.
bool sg_relay_step_agent(struct sg_relay *relay);
bool sg_relay_step_provider(struct sg_relay *relay);
