// SPDX-License-Identifier: Apache-2.0
// Who is told of alerts: each is a signed POST, tried again until the receiver has taken it
// (docs/budgets.md). What waits is in memory only, and bounded.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_webhook;
struct sg_worker;

#define SG_WEBHOOK_WAITING	   256
#define SG_WEBHOOK_SIGNATURE_BYTES 65 // with the NUL

// From the configuration's "webhook" as the warden completed it (warden/webhook.h); NULL gives
// NULL. `context` is the trust for https.
int sg_webhook_new(const json_t *webhook, SSL_CTX *context, struct sg_webhook **ret_webhook,
	struct sg_error *error) SG_WUNRES;

// After its worker. Accepts NULL.
struct sg_webhook *sg_webhook_free(struct sg_webhook *webhook);

// The webhook's part of a later configuration: where it is, if that was not known. Accepts NULLs.
void sg_webhook_resolve(struct sg_webhook *webhook, const json_t *configured);

// From now on `worker` delivers; NULL: nobody does any more, what comes waits. Accepts no webhook.
// Main thread.
void sg_webhook_serve(struct sg_webhook *webhook, struct sg_worker *worker);

// Queues `event` with `fields` (borrowed); where too many wait already the oldest is dropped, and
// the log says so. Any thread; never waits. Accepts no webhook.
void sg_webhook_tell(
	struct sg_webhook *webhook, const char *event, int64_t at_ns, const json_t *fields);

// SG_MAIL_WEBHOOK. The worker's thread.
void sg_webhook_on_mail(struct sg_webhook *webhook);

// {"waiting", "delivered", "failed", "lost"}: deliveries, attempts that failed, and deliveries that
// were given up or dropped, since the start. New reference, or NULL on -ENOMEM. Any thread.
json_t *sg_webhook_status(struct sg_webhook *webhook);

// How long after its attempt number `attempt` (from 1) that failed the next one is made, or -1: no
// more. Pure.
int64_t sg_webhook_delay_ms(unsigned attempt);

// Hexadecimal HMAC-SHA256 of "TIMESTAMP.BODY". Pure. Returns 0 or -ENOMEM.
int sg_webhook_sign(const char *secret, int64_t timestamp, const char *body, size_t length,
	char out[SG_WEBHOOK_SIGNATURE_BYTES]) SG_WUNRES;
