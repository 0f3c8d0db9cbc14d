// SPDX-License-Identifier: Apache-2.0
// The recorded messages of a WebSocket session, for meter.c. Not for other modules.
#pragma once

#include "provider/live.h"
#include "provider/meter.h"

// Of all its turns.
struct sg_meter_turns {
	struct sg_request_facts facts; // the worst of what they asked for
	struct sg_outcome outcome;     // the sum of the answers
	struct sg_usage transcription; // the sum of these, apart
	unsigned answers, transcriptions;
	unsigned unfinished; // begun, and no usage was told
	int64_t nanousd;     // of what was told
	bool priced;	     // every turn has a price
};

struct sg_meter_session {
	const struct sg_price_table *table;
	const struct sg_provider *provider;
	int64_t wall_ns;
	struct sg_live_options options;
	// How many of the `left` bytes of a message come next.
	size_t (*next_piece)(void *context, size_t left);
	void *context;
};

// `messages`: [{"dir": "c2s" or "s2c", "text"}]. Returns 0, -EINVAL or -ENOMEM.
int sg_meter_read_turns(const struct sg_meter_session *session, const json_t *messages,
	struct sg_meter_turns *ret_turns) SG_WUNRES;
