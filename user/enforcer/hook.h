// SPDX-License-Identifier: Apache-2.0
// A question to the policy evaluator over HTTP: one request and its answer, on the worker's own
// pool of connections. Worker thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "evaluator/evaluator.h"

struct sg_hook_post;
struct sg_worker;

// Where the evaluator is and how far it is trusted to be there. Immutable; any thread.
struct sg_evaluator {
	uint8_t address[16];
	uint16_t port;
	char host[254];
	char path[128];	     // before the hooks' own
	SSL_CTX *context;    // NULL: plain; borrowed
	char *authorization; // a header line, or ""
	int64_t timeout_ms;
	bool fail_open; // an evaluator that does not answer lets calls pass
	char *rules_path, *rules_digest;
};

// From the configuration's "policy" as the warden completed it (warden/plane.h); NULL gives NULL.
// `context` is the trust for https.
int sg_evaluator_new(const json_t *settings, SSL_CTX *context, struct sg_evaluator **ret_evaluator,
	struct sg_error *error) SG_WUNRES;
struct sg_evaluator *sg_evaluator_free(struct sg_evaluator *evaluator);

// `result` is 0 with the body of a 2xx answer, or -errno (-ETIMEDOUT; -EPROTO: another status).
typedef void (*sg_hook_done_fn)(void *context, int result, const char *answer, size_t length);

// Asks; `done` (NULL: nobody waits) is called from the loop, never from within. Takes the bytes of
// `body`, also on failure. `ret_post` may be NULL. Returns 0 or -errno.
int sg_hook_post(struct sg_worker *worker, enum sg_hook hook, struct sg_buf *body,
	sg_hook_done_fn done, void *context, struct sg_hook_post **ret_post) SG_WUNRES;

// Nobody waits for it any more. Accepts NULL.
struct sg_hook_post *sg_hook_cancel(struct sg_hook_post *post);

// Before the worker's connections go.
void sg_hook_cancel_all(struct sg_worker *worker);
