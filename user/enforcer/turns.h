// SPDX-License-Identifier: Apache-2.0
// The turns of a WebSocket session and the hold of each: taken before a turn can begin, settled
// when it has told its usage. Turns that the provider starts by itself are covered by a hold that
// stands for the next one, from the agent's first word on that may start one. Where others hold the
// room, the session waits, as calls do (waiting.h): nothing more that the agent says may go on
// meanwhile. Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "enforcer/waiting.h"
#include "provider/live.h"
#include "provider/refusal.h"

struct sg_buf;
struct sg_client;
struct sg_turn;

struct sg_turns {
	const struct sg_client *client;
	struct sg_live *live;
	struct sg_turn *first; // the oldest
	unsigned count;
	struct {
		bool heard;  // the agent said what may begin a turn,
		bool spoken; // since the last one began
		bool asked;  // and what will begin one, for which none is held yet
	} lanes[SG_LIVE_LANES];
	struct sg_waiter waiter;
	struct sg_wait wait;	      // for what, when a hold could not be had
	struct sg_live_demand demand; // for a turn that is not held yet; SG_LIVE_NOTHING: none is
	int64_t limit; // of the output that the turn asked for last gets; -1: its own
	bool over;     // nothing more of the agent goes on
	void (*on_room)(struct sg_turns *turns);
};

enum sg_turns_verdict {
	SG_TURNS_GO,
	SG_TURNS_WAIT,	 // nothing more of the agent may go on, until sg_turns_retry says so
	SG_TURNS_REFUSE, // the session can't go on
};

// Why it can't.
struct sg_turns_refusal {
	enum sg_answer_kind kind;
	struct sg_refusal refusal; // SG_ANSWER_BUDGET
	char model[SG_MODEL_BYTES];
	char detail[SG_MODEL_BYTES];
};

// `on_room`: sg_turns_retry is to be called, when the session waits.
void sg_turns_init(struct sg_turns *turns, const struct sg_client *client, struct sg_live *live,
	void (*on_room)(struct sg_turns *turns));

// Before the session: is there room for a turn of it, now or when others are done? Returns
// SG_TURNS_GO or SG_TURNS_REFUSE.
enum sg_turns_verdict sg_turns_open(
	struct sg_turns *turns, struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// A message of the agent: may it go on? With SG_TURNS_GO, turns->limit is the output limit to be
// set in it (only where demand->facts.can_limit).
enum sg_turns_verdict sg_turns_demand(struct sg_turns *turns, const struct sg_live_demand *demand,
	struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// A message of the provider was read.
enum sg_turns_verdict sg_turns_news(struct sg_turns *turns, struct sg_live_news *news,
	struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// There may be room for what the session waits for. As sg_turns_demand, for the same message.
enum sg_turns_verdict sg_turns_retry(
	struct sg_turns *turns, struct sg_turns_refusal *ret_refusal) SG_WUNRES;

// Nothing more of the agent goes on: what was waited for is not needed any more.
void sg_turns_give_up(struct sg_turns *turns);

// After each message of the provider: a turn that others wait for lends what it does not need yet,
// as streams do (slice.h). Returns 0, or -EDQUOT: there is no room for more of it, it is to be
// ended.
int sg_turns_watch(struct sg_turns *turns) SG_WUNRES;

// The agent does not take what is there. Returns as sg_turns_watch.
int sg_turns_look_away(struct sg_turns *turns) SG_WUNRES;

// Ends the turn that these were about, which is charged by its hold. Appends what the agent is
// told, a message a line (nothing where it has no clean end here). The provider's connection must
// be closed.
void sg_turns_cut(struct sg_turns *turns, struct sg_buf *out);

// Is any usage still to be told?
bool sg_turns_in_progress(const struct sg_turns *turns);

// The session is over: a turn that has begun, or was asked for, is charged by its hold. `orderly`:
// the provider closed it, and has told of all that had begun.
void sg_turns_end(struct sg_turns *turns, bool orderly, bool by_agent);
