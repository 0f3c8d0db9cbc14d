// SPDX-License-Identifier: Apache-2.0
// What a wire format's file gives to live.c for its WebSocket sessions. Not for other modules.
#pragma once

#include "provider/api.h"
#include "provider/live.h"

struct sg_live {
	const struct sg_live_ways *ways;
	struct sg_route route;
	struct sg_request_facts facts; // of the session's next turn, as far as it tells
	struct sg_response_options options;
	const struct sg_provider *provider; // NULL: its vocabulary is not wanted
	struct sg_request_reader request;   // of the agent's message that is being read
	struct sg_response_reader response; // of the provider's
	int64_t told_bytes;		    // of the provider's message
	bool request_begun;
	bool settled; // the usage that `response` read was told: the next message begins anew
	bool turns_by_provider;
	bool hosted_tools; // whose results the provider answers to by itself
	bool unprompted;   // the provider begins turns though the agent says nothing
	bool says_more;	   // than what asks for turns: an error may be about any of that
	struct {
		int64_t text, sound; // tokens, at most, of all that a turn may read
		int64_t sound_bytes; // beside them, in base64
		bool is_unbound;     // something that no bytes bound is in it
	} said;
	struct {
		char id[SG_LIVE_ID_BYTES]; // of the last response that told its usage; "": none
		int64_t tokens;		   // that it read and wrote
	} last;
	char transcriber[SG_MODEL_BYTES]; // "": nothing is written down
	// Gemini: output came that no usage was told for yet; and it was all of it
	bool answering, untold;
};

struct sg_live_ways {
	// The agent's message in live->request is whole; *demand is empty, with its facts.
	void (*on_ask)(struct sg_live *live, struct sg_live_demand *demand);
	// The provider's message in live->response is whole; *news are none.
	void (*on_tell)(struct sg_live *live, struct sg_live_news *news);
	bool turns_by_provider; // until the session says otherwise
	bool each_message;	// tells its own usage: nothing is kept from one to the next
};

extern const struct sg_live_ways sg_live_responses;

// The agent's message is refused, for the reason that the words tell.
void sg_live_refuse(struct sg_live_demand *demand, const char *words);

// Text that the session's next turns read: no more tokens than bytes.
void sg_live_add_text(struct sg_live *live, int64_t bytes);

// What the message of the agent says becomes a part of what its session's turns read.
void sg_live_add_message(struct sg_live *live, const struct sg_live_demand *demand);

// The most that a turn reads, into the facts' known_input.
void sg_live_bound_input(const struct sg_live *live, struct sg_request_facts *facts);

// The turn ended: its outcome is what live->response read.
void sg_live_end_turn(struct sg_live *live, struct sg_live_news *news);
