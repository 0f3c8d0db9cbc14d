// SPDX-License-Identifier: Apache-2.0
// A session's turns and how they are held for (turns_hold.c), for turns.c. Not for other modules.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "enforcer/slice.h"
#include "enforcer/turns.h"

enum sg_turn_state {
	SG_TURN_STANDING, // for one that the provider may start
	SG_TURN_ASKED,
	SG_TURN_BEGUN,
};

struct sg_turn {
	struct sg_turn *next;
	enum sg_turn_state state;
	enum sg_live_lane lane;
	bool apart;  // beside the one that the session is in
	bool unsent; // the message that asks for it still waits
	char id[SG_LIVE_ID_BYTES];
	struct sg_request_facts facts;
	struct sg_hold hold;
	struct sg_slice slice;
	const struct sg_price_table *prices; // in force when its hold was taken
	int64_t started_ms;
};

// A turn with nothing held; NULL: there are too many, or no memory.
struct sg_turn *sg_turn_append(
	struct sg_turns *turns, enum sg_live_lane lane, enum sg_turn_state state);

// Its hold is settled, or was never taken.
void sg_turn_drop(struct sg_turns *turns, struct sg_turn *turn);

void sg_turn_release(struct sg_turns *turns, struct sg_turn *turn);

// Takes the hold of a turn with these facts, or raises the one that it has. Where the policy says
// so, and facts->can_limit, a lower output limit is held for (turns->limit). Returns 0 (turn->facts
// are these), -EAGAIN (others hold the room: turns->wait), or -EPERM with the refusal.
int sg_turn_hold(struct sg_turns *turns, struct sg_turn *turn, const struct sg_request_facts *facts,
	struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// Holds nothing but that there is one. Returns as above.
int sg_turn_hold_nothing(struct sg_turns *turns, struct sg_turn *turn,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// Gives back what it holds beyond the bound of its facts.
void sg_turn_trim(struct sg_turns *turns, struct sg_turn *turn);

// Returns -EPERM.
int sg_turn_refuse(struct sg_turns_refusal *refusal, enum sg_answer_kind kind, const char *detail);
