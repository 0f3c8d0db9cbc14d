// SPDX-License-Identifier: Apache-2.0
// One HTTP call of an agent and its answer. State is split by direction; the body framings are
// decoders of http/h1.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "budget/engine.h"
#include "enforcer/body.h"
#include "http/h1.h"
#include "http/inflate.h"
#include "provider/provider.h"

struct sg_upstream;

enum sg_request_state {
	SG_REQUEST_HOLD,    // metered: the body is gathered, nothing is sent before the call is
			    // admitted
	SG_REQUEST_STREAM,  // free: the body goes through as it comes
	SG_REQUEST_DISCARD, // refused: the rest of the body is read and dropped, then `answer` is
			    // sent
	SG_REQUEST_SEND,    // admitted: head and gathered body go out
	SG_REQUEST_DONE,    // everything was handed to the provider's connection
};

enum sg_response_state {
	SG_RESPONSE_NONE, // no provider connection yet
	SG_RESPONSE_HEAD,
	SG_RESPONSE_BODY,
	SG_RESPONSE_DONE,
};

struct sg_exchange {
	enum sg_request_state request;
	enum sg_response_state response;
	struct sg_buf head_bytes; // what head points into
	struct sg_h1_body request_body;
	struct sg_route route;
	bool stainless;
	bool head_request;
	bool continued; // 100 Continue was sent

	// metered requests
	struct sg_request_reader *request_reader;
	struct sg_inflate *request_inflate;
	bool bad_coding;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_body body;
	bool head_sent;
	uint64_t sent_bytes; // of the body
	struct sg_hold hold;
	int64_t started_ms;

	// refused requests: what will be said
	struct sg_buf answer;
	uint64_t discarded_bytes;

	struct sg_upstream *upstream;
	bool retried;	      // a kept connection was found dead; this is the second try
	bool everything_sent; // the last byte was given to the kernel: the provider may have it all
	bool write_failed;    // the provider takes no more; its answer may be there

	// response
	struct sg_h1_body response_body;
	struct sg_response_reader *response_reader;
	unsigned status;
	bool upstream_keep_alive;
	bool rechunk;	 // the agent gets our own chunks: a usage chunk is taken out
	bool agent_gone; // read on for the usage only
	bool draining;
	bool close_agent; // after this exchange
	bool settled;

	struct sg_h1_head head; // last: large, filled whole by the parser, so not cleared
};
