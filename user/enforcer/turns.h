// SPDX-License-Identifier: Apache-2.0
// The turns of a WebSocket session and the hold of each: taken before a turn can begin, settled
// when it has told its usage. Turns that the provider starts by itself are covered by a hold that
// stands for the next one. Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "provider/live.h"
#include "provider/refusal.h"

struct sg_client;
struct sg_turn;

struct sg_turns {
	const struct sg_client *client;
	const struct sg_live *live;
	struct sg_turn *first; // the oldest
	unsigned count;
	struct {
		bool spoken; // the agent said what may begin a turn, since the last one began
		bool asked;  // and what will begin one, while another was in progress
	} lanes[SG_LIVE_LANES];
};

// Why a session can't go on.
struct sg_turns_refusal {
	enum sg_answer_kind kind;
	struct sg_refusal refusal; // SG_ANSWER_BUDGET
	char model[SG_MODEL_BYTES];
	char detail[SG_MODEL_BYTES];
};

void sg_turns_init(
	struct sg_turns *turns, const struct sg_client *client, const struct sg_live *live);

// A message of the agent may go on when this returns true.
bool sg_turns_demand(struct sg_turns *turns, const struct sg_live_demand *demand,
	struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// A message of the provider was read. Returns false when the session can't go on.
bool sg_turns_news(struct sg_turns *turns, struct sg_live_news *news,
	struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// Takes the holds that must stand. Returns false when one can't be had.
bool sg_turns_stand(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// Is any usage still to be told?
bool sg_turns_in_progress(const struct sg_turns *turns);

// The session is over: a turn that has begun, or was asked for, is charged by its hold. `orderly`:
// the provider closed it, and has told of all that had begun.
void sg_turns_end(struct sg_turns *turns, bool orderly, bool by_agent);
