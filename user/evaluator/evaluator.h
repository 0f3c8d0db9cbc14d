// SPDX-License-Identifier: Apache-2.0
// The words that are exchanged with a policy evaluator: what it is told of a call, what its answer
// says, and what becomes of a request by it. The wire format is that of the cllama proxy's policy
// plane, whose evaluators serve here unchanged (docs/policy.md). Pure: no I/O, any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"

enum sg_hook {
	SG_HOOK_GATE_REQUEST,  // may this call be made?
	SG_HOOK_DECORATE,      // what is to be said to the model besides?
	SG_HOOK_GATE_RESPONSE, // may the agent see this answer?
	SG_HOOK_SCORE,	       // for the evaluator's own books; its answer says nothing
	SG_HOOK_COUNT,
};

// "/policy/gate-request" and kin.
const char *sg_hook_path(enum sg_hook hook);

// "gate-request" and kin, for the log.
const char *sg_hook_name(enum sg_hook hook);

// Whose words a wire format's are: "openai", "anthropic", "google", ...
const char *sg_evaluator_format(const char *api_name);

// What is told of a call. Borrowed.
struct sg_hook_call {
	const char *agent;
	const char *api; // name of the wire format
	const char *model;
	bool stream;
	const char *rules_path, *rules_digest; // NULL: none
	const char *request;		       // the body, one JSON object
	size_t request_length;
	// Of an answer, for the last two hooks
	unsigned status;
	const json_t *headers; // {name: [value, ...]}
	const char *response;  // NULL: not there yet (a stream before its first byte)
	size_t response_length;
};

// Appends the hook's body. Returns 0, -ENOMEM, or -EILSEQ (a text that is no UTF-8).
int sg_hook_write(enum sg_hook hook, const struct sg_hook_call *call, struct sg_buf *out) SG_WUNRES;

enum sg_verdict_kind { SG_VERDICT_ALLOW, SG_VERDICT_DENY, SG_VERDICT_AMEND };

struct sg_verdict {
	enum sg_verdict_kind kind;
	char reason[256];
	char intervention[64];
	json_t *tools;	    // names, NULL: no filter
	bool tools_allowed; // they are the only ones allowed, else the ones that are not
	json_t *messages;   // to be put behind the request's own, NULL: none
	char *system;	    // to be put behind the request's own instructions, NULL: nothing
	char *amended;	    // the body in the answer's place, NULL: none
	size_t amended_length;
};

// Reads the answer to a hook. Returns 0, -ENOMEM, or -EBADMSG with what is wrong with it.
int sg_verdict_read(enum sg_hook hook, const char *text, size_t length,
	struct sg_verdict *ret_verdict, struct sg_error *error) SG_WUNRES;
void sg_verdict_done(struct sg_verdict *verdict);

// Does the verdict change the request?
static inline bool sg_verdict_patches(const struct sg_verdict *verdict)
{
	return verdict->tools || verdict->messages || verdict->system;
}

// Makes the body as the verdict wants it; freed by the caller. Members that it does not touch keep
// their values and their order, not their blanks. Returns 0, -ENOMEM, -ENOTSUP (nobody knows where
// in this wire format it belongs), or -EBADMSG (the body can't be written again as it was).
int sg_request_patch(const char *api, const char *body, size_t length,
	const struct sg_verdict *verdict, char **ret_body, size_t *ret_length) SG_WUNRES;
