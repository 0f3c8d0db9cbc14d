// SPDX-License-Identifier: Apache-2.0
// A WebSocket session with a provider: what its messages ask for and tell. One session is many
// turns (answers of a model), each of which is a call of its own: held for before the agent's
// message that starts it is whole at the provider, and settled by the message that tells its usage.
// Some turns the provider starts by itself, as it hears the agent fall silent: for these a hold
// must stand beforehand. Pure: no I/O, no clock; one owner; any thread. Bytes are untrusted.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "provider/provider.h"

#define SG_LIVE_ID_BYTES 96

struct sg_live;

// Turns of different kinds run beside each other.
enum sg_live_lane {
	SG_LIVE_ANSWERS,
	SG_LIVE_TRANSCRIPTIONS, // of what the agent says, by a model with a price of its own
	SG_LIVE_LANES,
};

// What a message of the agent needs before its last byte may go on.
enum sg_live_need {
	SG_LIVE_NOTHING,
	SG_LIVE_TURN,	  // it starts a turn: one more hold
	SG_LIVE_SPEECH,	  // the provider may start a turn because of it, for which a hold stands
	SG_LIVE_QUESTION, // and this one it will answer
	SG_LIVE_REFUSE,	  // not understood, or a thing that can't be metered: facts.malformed tells
};

struct sg_live_demand {
	enum sg_live_need need;
	bool apart;		       // may run beside the turn that the session is in
	struct sg_request_facts facts; // of a turn
};

// What a message of the provider tells.
enum sg_live_kind {
	SG_LIVE_NO_NEWS,
	SG_LIVE_BEGUN, // the turn `id` has begun; the oldest that waits, else one of the provider's
		       // own
	SG_LIVE_ENDED,	// the turn `id` ("": the oldest) came to its end, with this outcome
	SG_LIVE_DENIED, // some message of the agent was answered by an error: that of the oldest
			// turn that waits where `certain`, else maybe another
};

struct sg_live_news {
	enum sg_live_kind kind;
	enum sg_live_lane lane;
	char id[SG_LIVE_ID_BYTES];
	bool certain;
	struct sg_outcome outcome;
};

struct sg_live_options {
	const struct sg_route *route; // SG_ROUTE_LIVE; copied from
	bool own_host;		      // as in sg_response_options
	bool regional;
	// Turns may have to be ended before their end, where the format has one (sg_live_end).
	bool may_end;
	const struct sg_provider *provider; // whose vocabulary counts their text; NULL: bytes do
};

int sg_live_new(const struct sg_live_options *options, struct sg_live **ret_live) SG_WUNRES;
struct sg_live *sg_live_free(struct sg_live *live);

// Bytes of one message of the agent, in any pieces, and its end.
void sg_live_ask(struct sg_live *live, const char *bytes, size_t length);
void sg_live_ask_end(struct sg_live *live, struct sg_live_demand *ret_demand);

// Has the session messages whose output limit can be set?
bool sg_live_can_limit(const struct sg_live *live);

// After the end of one (facts.can_limit), and before the next: adds the edits that set it. Returns
// 0 or -ENOTSUP.
int sg_live_limit(
	const struct sg_live *live, int64_t tokens, struct sg_request_edits *edits) SG_WUNRES;

// Bytes of one message of the provider, in any pieces, and its end.
void sg_live_tell(struct sg_live *live, const char *bytes, size_t length);
void sg_live_tell_end(struct sg_live *live, struct sg_live_news *ret_news);

const struct sg_api *sg_live_api(const struct sg_live *live);

// What was read of the turn that runs; NULL: this session's turns can't be ended.
const struct sg_response_reader *sg_live_answer(const struct sg_live *live);

// Ends it in the agent's eyes: appends messages, a line each. Nothing more may be told then.
// Returns as sg_response_reader_end.
int sg_live_end(
	struct sg_live *live, const struct sg_stream_totals *totals, struct sg_buf *out) SG_WUNRES;

// Does the provider begin turns though the agent says nothing? Else none of its own begins before
// a message of the agent needed SG_LIVE_SPEECH or SG_LIVE_QUESTION.
bool sg_live_is_unprompted(const struct sg_live *live);

// Must a hold stand in this lane, for a turn that the provider may start by itself? Then
// *ret_facts are that turn's, as of all that was said up to now.
bool sg_live_stands(
	const struct sg_live *live, enum sg_live_lane lane, struct sg_request_facts *ret_facts);
