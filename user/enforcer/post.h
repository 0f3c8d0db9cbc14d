// SPDX-License-Identifier: Apache-2.0
// One HTTP POST and its answer, on the worker's own pool of connections: how the enforcer speaks to
// services of the operator. Worker thread only.
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/buf.h"

struct sg_post;
struct sg_worker;

// Where a service is. Immutable, but that an address comes where none was known; any thread.
struct sg_post_target {
	uint8_t address[16];   // read after the port
	_Atomic uint16_t port; // 0: its name is not resolved yet, and nothing reaches it
	char host[254];
	char path[1024];
	SSL_CTX *context; // NULL: plain; borrowed
	int64_t timeout_ms;
};

// From a part of the configuration as the warden completed it (warden/remote.h). `context` is the
// trust for https. Returns 0 or -errno.
int sg_post_target_read(
	const json_t *object, SSL_CTX *context, struct sg_post_target *target) SG_WUNRES;

// The same part of a later configuration: takes its address where none was known. One thread.
void sg_post_target_resolve(const json_t *object, struct sg_post_target *target);

// Texts and target are borrowed until `done` is called or the post is cancelled.
struct sg_post_request {
	const struct sg_post_target *target;
	const char *more_path; // behind the target's
	const char *headers;   // whole lines, or ""
	size_t answer_limit;   // bytes; a larger answer is -ENOBUFS
};

// `result` is 0 with the body of a 2xx answer, or -errno (-ETIMEDOUT; -EPROTO: another status).
typedef void (*sg_post_done_fn)(void *context, int result, const char *answer, size_t length);

// Posts; `done` (NULL: nobody waits) is called from the loop, never from within. Takes the bytes of
// `body`, also on failure. `ret_post` may be NULL. Returns 0 or -errno.
int sg_post_start(struct sg_worker *worker, const struct sg_post_request *request,
	struct sg_buf *body, sg_post_done_fn done, void *context,
	struct sg_post **ret_post) SG_WUNRES;

// Within `done`: the answer's status, whatever became of its body; 0: there was no answer.
unsigned sg_post_status(const struct sg_post *post);

// Nobody waits for it any more. Accepts NULL.
struct sg_post *sg_post_cancel(struct sg_post *post);

// Before the worker's connections go.
void sg_post_cancel_all(struct sg_worker *worker);
