// SPDX-License-Identifier: Apache-2.0
// The answers that we give in a provider's place, in the shape its SDKs understand (typed error, no
// retry storm, never a 5xx for a budget). Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "budget/engine.h"
#include "provider/provider.h"

enum sg_answer_kind {
	SG_ANSWER_BUDGET,	 // 429 or 402: budget or rate limit; `refusal` is given
	SG_ANSWER_UNKNOWN_MODEL, // 403: no price for the model
	SG_ANSWER_UNKNOWN_PATH,	 // 403: a path that can't be metered
	SG_ANSWER_UNBOUNDED,	 // 403: the request can't be bounded
	SG_ANSWER_SIGNED,	 // 403: signed by the agent, where the operator's key is to be used
	SG_ANSWER_BAD_BODY,  // 400: not a JSON object, or an unreadable content coding (status 415
			     // kept out: SDKs know 400)
	SG_ANSWER_TOO_LARGE, // 413
	SG_ANSWER_CROWDED,   // 429: the agent's other requests leave no room for its body now
	SG_ANSWER_TOO_MANY,  // 429: so many calls of the agent are under way as may be
	SG_ANSWER_BAD_REQUEST, // 400: malformed HTTP; always closes
	SG_ANSWER_MISDIRECTED, // 421: Host is not the name of the TLS connection
	SG_ANSWER_GRPC,	 // gRPC to a provider: status 7 in a response of 200; `detail` is its path
	SG_ANSWER_PLAIN, // 403: a provider's name over plain HTTP, where nothing proves that it is
			 // he
	SG_ANSWER_UPSTREAM,  // 502: the provider can't be reached or its certificate is not trusted
	SG_ANSWER_EVALUATOR, // 403: the policy evaluator denies it, or gave no verdict
	SG_ANSWER_UNAVAILABLE, // 503: we can't account for the call right now (journal full): fail
			       // closed
};

struct sg_answer {
	enum sg_answer_kind kind;
	const struct sg_provider *provider; // NULL: plain shape
	const struct sg_api *api;	    // of the refused call; NULL: not known
	bool plain;	// SG_ANSWER_BUDGET: in the plain shape of the reference (429, Retry-After
			// the whole window), whatever the SDK makes of it
	bool stainless; // x-stainless-lang was in the request: 429 in place of 402
	const struct sg_refusal *refusal; // SG_ANSWER_BUDGET
	const char *agent;		  // for the message
	const char *detail;		  // for the message: model, path, reason; NULL: none
	bool close;			  // say Connection: close
	bool head_request;		  // headers only
	int64_t wall_ns;		  // for Date, resets_at
};

// Appends a whole HTTP/1.1 response. A cap that refills within 60 s: 429 with Retry-After and no
// x-should-retry; every other budget refusal is final (x-should-retry: false, no Retry-After), but
// for plain ones.
// Every budget refusal carries the object "budget". Returns 0 or -ENOMEM/-ENOBUFS; *ret_status is
// the HTTP status, for the log.
int sg_answer_render(
	const struct sg_answer *answer, struct sg_buf *out, unsigned *ret_status) SG_WUNRES;

#define SG_CLOSE_REASON_BYTES 124

// The end of a WebSocket session, in the words of its API: *ret_event is a message to be sent
// before the Close frame, NULL where the API has none; the caller frees it. The reason is the Close
// frame's. Returns 0 or -ENOMEM.
int sg_answer_render_end(const struct sg_answer *answer, char **ret_event,
	char ret_reason[SG_CLOSE_REASON_BYTES]) SG_WUNRES;
