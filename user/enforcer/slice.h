// SPDX-License-Identifier: Apache-2.0
// A stream that others wait for holds what it has said so far and a slice, in place of all that it
// may yet say; it asks for more as it runs, and is ended when there is no more
// (docs/decisions/0006-slices.md). Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct sg_api;
struct sg_client;
struct sg_exchange;
struct sg_hold;
struct sg_price_table;
struct sg_request_facts;
struct sg_response_reader;
struct sg_stream_totals;

enum sg_slice_state {
	SG_SLICE_NEVER, // the hold stays whole
	SG_SLICE_WATCH, // whole, while it shows how fast the provider is
	SG_SLICE_RUNS,	// so far and a slice
};

struct sg_slice {
	enum sg_slice_state state;
	int64_t held_tokens; // of output
	int64_t seen_tokens; // at most
	int64_t first_ms;    // the first of them was there; 0: none yet
	// The span that is running, of the watch, and the one by which a cut is charged: when they
	// began, and what had been seen then
	int64_t span_ms, span_seen;
	int64_t lately_ms, lately_seen, before_seen; // before_seen: as the one before began
	unsigned spans;				     // in which something came
};

// What is billed as it is said: a call's stream, or a turn of a session. Borrows all of it.
struct sg_sliced {
	const struct sg_client *client;
	const struct sg_price_table *prices;
	const struct sg_api *api;
	struct sg_request_facts *facts;
	struct sg_hold *hold;
	const struct sg_response_reader *reader;
	struct sg_exchange *exchange; // of a call, whose texts may be counted; NULL: a turn
};

// Is all that it will be billed for seen, and may it be ended at the cap?
bool sg_slice_is_seen(const struct sg_sliced *stream);

// After more of it was read. Returns 0, or -EDQUOT: there is no room for more, it is to be ended.
int sg_slice_read(struct sg_slice *slice, const struct sg_sliced *stream) SG_WUNRES;

// The agent does not take what is there, so that what the provider says can't be watched. Returns 0
// (reading may stop), or -EDQUOT as above.
int sg_slice_turn_away(struct sg_slice *slice, const struct sg_sliced *stream) SG_WUNRES;

// What an end of its own tells.
struct sg_stream_totals sg_slice_totals(const struct sg_slice *slice, const struct sg_hold *hold);

// Logs that it was ended; `clean`: with an end that the agent's SDK takes for one.
void sg_slice_note_end(const struct sg_slice *slice, const struct sg_sliced *stream, bool clean);

// ---- The same for a call ----

// An admitted call: may it be a stream of that kind? Before its head is sent.
void sg_slice_prepare(struct sg_exchange *exchange);

// The hold is lowered by what the answer tells of the input, too.
int sg_slice_step(struct sg_exchange *exchange) SG_WUNRES;
int sg_slice_look_away(struct sg_exchange *exchange) SG_WUNRES;
void sg_slice_note_call(struct sg_exchange *exchange, bool clean);

// The stream is not wanted any more. Returns true where its end is the end of what the provider
// bills: then its hold is what that may be. Else it is to be read on.
bool sg_slice_stop(struct sg_exchange *exchange);
