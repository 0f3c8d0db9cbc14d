// SPDX-License-Identifier: Apache-2.0
// The calls on one agent connection to a provider: head -> classify -> body -> admit (hold) ->
// forward -> read the answer -> settle -> next. session.c conducts; request.c, response.c and
// account.c do the steps. Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "enforcer/client.h"
#include "enforcer/upstream.h"
#include "provider/refusal.h"

// Goes on as far as bytes and buffers allow. The client may be closed afterwards.
void sg_session_run(struct sg_client *client);

// From upstream.c: the connection is there, or something happened on it; or there will be none.
void sg_session_on_upstream(struct sg_client *client);
void sg_session_on_upstream_failed(struct sg_client *client, int error, const char *detail);

// The connection is being closed: the call in progress is accounted and its provider connection
// given up.
void sg_session_abandon(struct sg_client *client);

// ---- Steps, for session.c; each returns true when it got anything done ----

// Takes a request head from the agent and decides what becomes of it.
bool sg_request_take_head(struct sg_client *client);

// Takes body bytes, admits the call, hands bytes to the provider.
bool sg_request_step(struct sg_client *client);

// Reads the provider's answer and forwards it.
bool sg_response_step(struct sg_client *client);

// ---- Shared by the steps ----

// A fresh client->exchange. Returns 0 or -1 (out of memory).
int sg_exchange_begin(struct sg_client *client) SG_WUNRES;

// The connection is closed when nothing re-arms it within the delay.
void sg_session_arm(struct sg_client *client, int64_t delay_ms);

// Our own answer in the provider's place; the request body's rest is dropped first. `detail` may be
// NULL.
void sg_exchange_refuse(struct sg_client *client, enum sg_answer_kind kind,
	const struct sg_refusal *refusal, const char *detail);

// The prepared answer goes out: the body's rest was dropped, or will not be read.
void sg_exchange_send_answer(struct sg_client *client);

// Gets a provider connection for the exchange. Failure is answered.
void sg_exchange_dial(struct sg_client *client, bool fresh);

// The provider's connection broke, or gave something that is not HTTP.
void sg_exchange_upstream_broke(struct sg_client *client, const char *detail);

// ---- account.c ----

// Prices and holds. Returns true when admitted; otherwise the refusal has been answered.
bool sg_exchange_admit(struct sg_client *client);

// The answer was read to its end (`complete`) or was cut. What a usage filter still holds goes to
// `out` (NULL: dropped).
void sg_exchange_settle(struct sg_client *client, bool complete, struct sg_buf *out);

// No answer came. `sent`: the provider may have got the whole request, so the hold is charged; else
// it is given back.
void sg_exchange_settle_unanswered(struct sg_client *client, bool sent);

// ---- rewrite.c ----

// Appends the request head for the provider: as it came, but for hop-by-hop lines, Expect, and what
// an edit needs.
int sg_rewrite_request(const struct sg_exchange *exchange, struct sg_buf *out) SG_WUNRES;

// Appends the answer's head for the agent: as it came, but for hop-by-hop lines and our own
// chunking.
int sg_rewrite_response(const struct sg_exchange *exchange, const struct sg_h1_head *head,
	struct sg_buf *out) SG_WUNRES;
