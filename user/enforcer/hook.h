// SPDX-License-Identifier: Apache-2.0
// A question to the policy evaluator over HTTP. Worker thread only.
#pragma once

#include <stdbool.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "enforcer/post.h"
#include "evaluator/evaluator.h"

struct sg_worker;

// Where the evaluator is and how far it is trusted to be there. Immutable; any thread.
struct sg_evaluator {
	struct sg_post_target target; // its path: before the hooks' own
	char *authorization;	      // a header line, or ""
	bool fail_open;		      // an evaluator that does not answer lets calls pass
	char *rules_path, *rules_digest;
};

// From the configuration's "policy" as the warden completed it (warden/plane.h); NULL gives NULL.
// `context` is the trust for https.
int sg_evaluator_new(const json_t *settings, SSL_CTX *context, struct sg_evaluator **ret_evaluator,
	struct sg_error *error) SG_WUNRES;
struct sg_evaluator *sg_evaluator_free(struct sg_evaluator *evaluator);

// The evaluator's part of a later configuration: where it is, if that was not known. Accepts NULLs.
void sg_evaluator_resolve(struct sg_evaluator *evaluator, const json_t *settings);

// Asks, as sg_post_start posts.
int sg_hook_ask(struct sg_worker *worker, enum sg_hook hook, struct sg_buf *body,
	sg_post_done_fn done, void *context, struct sg_post **ret_post) SG_WUNRES;
