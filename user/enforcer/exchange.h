// SPDX-License-Identifier: Apache-2.0
// One HTTP call of an agent and its answer: head -> classify -> body -> admit (hold) -> forward ->
// read the answer -> settle. State is split by direction; the body framings are decoders of
// http/h1.h. A connection has one at a time (HTTP/1.1) or many (HTTP/2): a session (session.h)
// makes them, conducts them by sg_exchange_step, and ends them; agent_side.h is how they answer.
// exchange.c has their life, request.c, dispatch.c, response.c and account.c the steps. Worker
// thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "budget/engine.h"
#include "enforcer/agent_side.h"
#include "enforcer/body.h"
#include "enforcer/slice.h"
#include "enforcer/upstream.h"
#include "enforcer/waiting.h"
#include "http/h1.h"
#include "http/inflate.h"
#include "loop/loop.h"
#include "provider/provider.h"
#include "provider/refusal.h"

struct sg_client;
struct sg_gate;
struct sg_h2_stream;
struct sg_relay;
struct sg_undo;

enum sg_request_state {
	SG_REQUEST_HOLD,    // metered: the body is gathered, nothing is sent before the call is
			    // admitted
	SG_REQUEST_UNDO,    // it is to be sent without its coding: it is decoded, piece by piece
	SG_REQUEST_GATE,    // the policy evaluator is asked
	SG_REQUEST_ADMIT,   // the body is whole and understood: to be priced and held
	SG_REQUEST_WAIT,    // what it would hold is held by other calls: their end is waited for
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
	SG_RESPONSE_GATE, // the policy evaluator is asked
	SG_RESPONSE_DONE,
};

struct sg_admission {
	bool priced;
	bool counted;		// so were the tokens of its texts
	struct sg_charge bound; // of the whole call
	uint64_t fingerprint;	// of path and body, where a breaker looks at it; else 0
	char asked_model[SG_MODEL_BYTES];
};

struct sg_exchange {
	struct sg_upstream_user upstream_user; // first
	struct sg_client *client;
	const struct sg_agent_side *side;
	void *stream;			  // of a session that has many calls; its own
	struct sg_exchange *next, **link; // of the client's
	struct sg_timer timer;
	struct sg_deferred deferred;
	bool counted; // among the agent's calls; else there are too many
	bool put_off; // to the next turn of the loop, by its session
	bool over;    // accounted and given up: only the end of the turn frees it

	enum sg_request_state request;
	enum sg_response_state response;
	struct sg_buf head_bytes; // what head points into
	struct sg_h1_body request_body;
	struct sg_buf request_trailers; // lines, where a body that streams through is reframed
	struct sg_route route;
	bool stainless;
	bool head_request;
	bool continued; // 100 Continue was sent

	// metered requests
	struct sg_request_reader *request_reader;
	struct sg_inflate *request_inflate;
	bool body_is_ours;	// what is sent was decoded here, or is a policy evaluator's
	const char *bad_coding; // why its coding can't be read, or NULL
	struct sg_undo *undo;	// of its coding, under way
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_body body;
	struct sg_gate *gate; // of the policy plane, or NULL
	bool head_sent;
	uint64_t sent_bytes; // of the body
	struct sg_admission admission;
	struct sg_waiter waiter;
	struct sg_hold hold;
	const struct sg_price_table *prices; // taken when it was priced first
	bool unknown_path;		     // held at the operator's amount
	bool is_poll; // a GET that may settle an earlier call, whose facts are above
	struct sg_slice slice;
	int64_t started_ms;

	// refused requests: what will be said
	struct sg_buf answer;
	uint64_t discarded_bytes;

	// an upgrade
	struct sg_relay *relay; // prepared; NULL: none asked for
	bool upgraded;		// the provider agreed

	struct sg_upstream *upstream;
	struct sg_h2_stream *provider_stream; // where the connection speaks HTTP/2
	bool retried;	      // the provider had not taken it; this is the second try
	bool everything_sent; // the last byte was given to the kernel: the provider may have it all
	bool write_failed;    // the provider takes no more; its answer may be there

	// response
	struct sg_h1_body response_body;
	struct sg_response_reader *response_reader;
	struct sg_buf trailers; // lines, where the answer is reframed
	unsigned status;
	bool upstream_keep_alive;
	bool filter;	 // what the reader lets through goes to the agent: a usage chunk is taken
			 // out
	bool reframe;	 // the agent gets payload in our own framing
	bool agent_gone; // read on for the usage only
	bool draining;
	bool cut;	  // the provider's answer ended before its end
	bool close_agent; // the agent's connection ends with this call (HTTP/1.1)
	bool settled;

	struct sg_h1_head head; // last: large, filled whole by the parser, so not cleared
};

// ---- Life ----

// A fresh exchange of the client. Returns 0 or -ENOMEM.
int sg_exchange_begin(struct sg_client *client, const struct sg_agent_side *side,
	struct sg_exchange **ret_exchange) SG_WUNRES;

// The request's head is in exchange->head, its views into head_bytes: decides what becomes of it.
void sg_exchange_classify(struct sg_exchange *exchange);

// The request's head is malformed: answered with 400.
void sg_exchange_reject(struct sg_exchange *exchange, const char *reason);

// Goes on as far as bytes and buffers allow. Returns true when it got anything done. To be called
// until it does not; look at `over` and at response == SG_RESPONSE_DONE afterwards.
bool sg_exchange_step(struct sg_exchange *exchange);

// What an asynchronous step of a call does when it has its outcome: the call goes on from the state
// that it is in. Waiting is a state in which sg_exchange_step gets nothing done.
static inline void sg_exchange_resume(struct sg_exchange *exchange)
{
	exchange->side->run(exchange);
}

// The agent left. Returns true when the call was given up: an answer that is under way is read on
// for its usage.
bool sg_exchange_agent_left(struct sg_exchange *exchange);

// The answer is complete: gives the provider's connection back, and is freed.
void sg_exchange_end(struct sg_exchange *exchange);

// Accounts what there is and gives up the provider's connection. Freed at the end of the turn.
void sg_exchange_abandon(struct sg_exchange *exchange);

// Ends by `abort` of its side when nothing re-arms it within the delay.
void sg_exchange_arm(struct sg_exchange *exchange, int64_t delay_ms);

// Bytes of its request or answer came or went: the pause that it may make begins anew, once a
// noticeable part of it has passed. Cheap enough for every piece.
void sg_exchange_moved(struct sg_exchange *exchange);

// ---- request.c ----

// Takes what is due of the agent's body, admits the call. Returns true when it got anything done.
bool sg_request_step(struct sg_exchange *exchange);

// Raw bytes of the request's body, as the decoder request_body reads them. Returns how many were
// taken (all of them unless the body ends among them), or -errno: the call was answered or aborted
// then.
ssize_t sg_request_feed(struct sg_exchange *exchange, const char *data, size_t length) SG_WUNRES;

// Is there a reason to leave body bytes with the agent?
bool sg_request_sink_is_full(struct sg_exchange *exchange);

// ---- dispatch.c ----

// Gets a provider connection for the exchange. Failure is answered.
void sg_exchange_dial(struct sg_exchange *exchange, bool fresh);

// The provider's connection is needed no more. `reusable`: request and answer are complete. Nothing
// without one.
void sg_exchange_give_back(struct sg_exchange *exchange, bool reusable);

// Takes one run of a streamed body for the provider: in the framing that it came in, of which the
// last `trailer_bytes` are of trailers, and as payload.
int sg_dispatch_run(struct sg_exchange *exchange, struct sg_str raw, uint32_t trailer_bytes,
	struct sg_str payload) SG_WUNRES;

// Hands bytes to the provider. Returns true when it got anything done.
bool sg_dispatch_step(struct sg_exchange *exchange);

// The provider's connection or stream broke, or gave something that is not HTTP.
void sg_exchange_upstream_broke(struct sg_exchange *exchange, const char *detail);

// ---- response.c ----

// Reads the provider's answer and forwards it. Returns true when it got anything done.
bool sg_response_step(struct sg_exchange *exchange);

// ---- The same, for what reads the bytes (provider_side.h) ----

// Is there something of the answer that is still to be read?
bool sg_response_is_due(const struct sg_exchange *exchange);

// And is the agent, or nobody any more, there to take it? The call may have ended when not.
bool sg_response_may_read(struct sg_exchange *exchange);

// Takes one head or a run of body. Returns the bytes taken, 0 when a head needs more, or -errno.
ssize_t sg_response_take(struct sg_exchange *exchange, const char *data, size_t length) SG_WUNRES;

// The body is at its end: by its framing, or by the end of the connection where the framing says
// so. Returns 0 or -errno.
int sg_response_finish(struct sg_exchange *exchange) SG_WUNRES;

// The answer ends before its end; or it is none.
void sg_response_cut(struct sg_exchange *exchange, const char *detail);
void sg_response_broken(struct sg_exchange *exchange, int error);

// The agent is cut off, and its session is about to be told: a stream whose end is the end of its
// cost is ended. Other answers are read on for their usage.
void sg_response_stop(struct sg_exchange *exchange);

// The answer's head, of which `head` is a copy, may go to the agent now, and what comes after it.
void sg_response_go_on(struct sg_exchange *exchange, const struct sg_buf *head);

// ---- refuse.c ----

// Our own answer in the provider's place; the request body's rest is dropped first. `detail` may be
// NULL. Returns false, which a step that refuses can return in its turn.
bool sg_exchange_refuse(struct sg_exchange *exchange, enum sg_answer_kind kind,
	const struct sg_refusal *refusal, const char *detail);

// What is answered when a body could not be gathered (sg_body_append).
enum sg_answer_kind sg_body_answer(int error);

// Counts and logs a refusal, whatever it is said by.
void sg_refusal_note(const struct sg_client *client, enum sg_answer_kind kind, unsigned status,
	const struct sg_refusal *refusal, const char *model, const char *detail);

// The prepared answer goes out: the body's rest was dropped, or will not be read.
void sg_exchange_send_answer(struct sg_exchange *exchange);

// ---- request.c ----

// What the call's head says of its cost.
void sg_exchange_read_headers(struct sg_exchange *exchange, struct sg_request_reader *reader);

// ---- account.c ----

// The body is whole: is it something that can be priced? Returns false when it was refused.
bool sg_exchange_understand(struct sg_exchange *exchange);

// The answer was read to its end (`complete`) or was cut. What a usage filter still holds goes to
// `out` (NULL: dropped).
void sg_exchange_settle(struct sg_exchange *exchange, bool complete, struct sg_buf *out);

// No answer came. `sent`: the provider may have got the whole request, so the hold is charged; else
// it is given back.
void sg_exchange_settle_unanswered(struct sg_exchange *exchange, bool sent);

// ---- rewrite.c ----

// Appends the request head for the provider: as it came, but for hop-by-hop lines, Expect, and what
// an edit needs.
int sg_rewrite_request(const struct sg_exchange *exchange, struct sg_buf *out) SG_WUNRES;

// Appends the answer's head for the agent: as it came, but for hop-by-hop lines and our own
// chunking.
int sg_rewrite_response(const struct sg_exchange *exchange, const struct sg_h1_head *head,
	struct sg_buf *out) SG_WUNRES;

// Appends a whole answer: `head` as it came, with the length of `body`. `amended`: the body is not
// the one that came with it.
int sg_rewrite_whole(const struct sg_exchange *exchange, const struct sg_buf *head,
	struct sg_str body, bool amended, struct sg_buf *out) SG_WUNRES;
