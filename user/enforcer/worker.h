// SPDX-License-Identifier: Apache-2.0
// A worker: one thread, one loop, its connections and its provider pool. Nothing of it is shared
// but its mailbox; what workers share is in struct sg_enforcer and safe for any thread.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "budget/engine.h"
#include "control/alerts.h"
#include "enforcer/agent.h"
#include "enforcer/leaf.h"
#include "enforcer/pool.h"
#include "loop/loop.h"
#include "provider/price.h"
#include "spendgate/abi.h"

struct sg_client;
struct sg_commands;
struct sg_evaluator;
struct sg_exchange;
struct sg_link;
struct sg_pending_end;
struct sg_pendings;
struct sg_post;
struct sg_upstream;
struct sg_wait_queue;
struct sg_webhook;
struct sg_worker;

struct sg_enforcer {
	struct sg_engine *engine;
	// Replaced by the main thread at any time: to be read once for a sum, never kept
	// (reconfigure.c)
	const struct sg_price_table *_Atomic prices;
	const json_t *configuration; // that this process was started with
	struct sg_agents *agents;
	struct sg_control *control;
	struct sg_audit *audit;
	struct sg_alerts *alerts;
	struct sg_commands *commands;
	struct sg_leaves *leaves;
	struct sg_evaluator *evaluator; // NULL: no policy plane
	struct sg_webhook *webhook;	// NULL: nobody is told of alerts
	bool refuses_plainly;		// `refusal: reference`
	bool budget_fail_open;		// what can't be accounted for passes
	struct sg_link *link;
	uint64_t netns_cookie; // of this process
	struct sg_pendings *pendings;
	// What is held of a call that nothing bounds, and of one on an unknown path, in
	// nano-dollars; 0: it is refused.
	_Atomic int64_t unbounded_hold, unknown_path_hold;
	const char *spill_directory;
	unsigned worker_count;
	struct sg_worker *workers[SG_MAX_WORKERS];
};

enum sg_mail_kind {
	SG_MAIL_LISTENER, // fds: v4 and v6, owned by the message
	SG_MAIL_LISTENER_GONE,
	SG_MAIL_LEAF,	 // host: look again
	SG_MAIL_SOCKET,	 // id, result, fds[0]
	SG_MAIL_ROOM,	 // for calls that wait
	SG_MAIL_PRICES,	 // retired
	SG_MAIL_CUT,	 // id: of an agent that is cut off
	SG_MAIL_SETTLE,	 // end: owned by the message
	SG_MAIL_WEBHOOK, // something is to be told
	SG_MAIL_STOP,	 // no new calls; the end when those that are under way have theirs
};

struct sg_mail {
	struct sg_mail *next;
	enum sg_mail_kind kind;
	uint64_t netns_cookie;
	uint32_t id;
	int result;
	int fds[2];
	struct sg_pending_end *end;
	char host[256];
	struct sg_retired *retired;
};

struct sg_worker_listener;

struct sg_worker {
	struct sg_enforcer *enforcer;
	unsigned index;
	pthread_t thread;
	struct sg_loop *loop;
	struct sg_pool pool;
	struct sg_timer sweep;
	struct sg_timer stop;
	int64_t stop_ms; // by when it has ended, by the loop's clock; 0: it goes on
	struct sg_worker_listener *listeners;
	struct sg_client *clients;	     // all, doubly linked
	struct sg_wait_queue *wait_queues;   // one an account that is waited for
	uint64_t wait_round;		     // of asking those that wait
	struct sg_timer room;		     // they are to be asked
	struct sg_upstream *waiting_sockets; // asked of the warden
	uint32_t next_socket_request;
	uint64_t next_connection;
	struct sg_post *posts;		    // that are out
	int64_t decoded_ms;		    // when requests were decoded last
	uint64_t decoded_bytes;		    // in that turn
	struct sg_exchange *spare_exchange; // the last one that ended, for the next
	uint8_t *scratch;		    // SG_SCRATCH_BYTES, for one read
	struct sg_buf filtered;		    // what a usage filter lets through, for one read
	struct sg_watch mail_watch;
	pthread_mutex_t mail_lock;
	struct sg_mail *mail_first, **mail_last;
};

int sg_worker_start(
	struct sg_enforcer *enforcer, unsigned index, struct sg_worker **ret_worker) SG_WUNRES;

// Takes no connection and no call any more, and ends when the calls at providers have ended, after
// SG_STOP_MS at the latest. Does not wait.
void sg_worker_end(struct sg_worker *worker);

// After sg_worker_end: joins the thread, frees. Calls that are still open are charged by their
// journal at the next start.
struct sg_worker *sg_worker_stop(struct sg_worker *worker);

// Any thread. A copy is made; descriptors in `mail` belong to the worker then. Returns 0 or -ENOMEM
// (descriptors stay the caller's).
int sg_worker_post(struct sg_worker *worker, const struct sg_mail *mail) SG_WUNRES;

// The same for each worker, of mail without descriptors.
void sg_worker_post_all(struct sg_enforcer *enforcer, const struct sg_mail *mail);
