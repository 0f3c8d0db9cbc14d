// SPDX-License-Identifier: Apache-2.0
// One connection towards a provider: socket (made here, or by the warden inside the agent's network
// namespace), TCP, TLS with verification, then use: of HTTP/1.1 by one user at a time, then the
// pool; of HTTP/2 by many (multiplex.h). Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "enforcer/pool.h"
#include "enforcer/transport.h"

struct sg_multiplex;
struct sg_upstream;
struct sg_worker;

// Who waits for a connection or has it: a call, a tunnel. Embedded in it.
struct sg_upstream_user {
	// The connection is there, or something happened on it.
	void (*on_event)(struct sg_upstream_user *user);
	// There will be none: it is gone already. `detail` is for the agent's error text and the
	// log.
	void (*on_failed)(struct sg_upstream_user *user, int error, const char *detail);

	// The connection's, from sg_upstream_get on.
	struct sg_upstream **slot;	       // where the user keeps its connection
	struct sg_upstream_user *next, **link; // of those of the connection
};

enum sg_upstream_state {
	SG_UPSTREAM_SOCKET, // waiting for the warden
	SG_UPSTREAM_CONNECTING,
	SG_UPSTREAM_HANDSHAKE,
	SG_UPSTREAM_ACTIVE, // serves its user
	SG_UPSTREAM_SHARED, // speaks HTTP/2: serves its users, or waits for some
	SG_UPSTREAM_IDLE,   // in the pool
	SG_UPSTREAM_CLOSED,
};

struct sg_upstream {
	struct sg_transport transport; // first
	enum sg_upstream_state state;
	struct sg_worker *worker;
	struct sg_pool_origin *origin;
	struct sg_upstream_user *users; // that it is for or, where it is shared, that don't know
					// yet that it is there
	unsigned user_count;		// where it is shared, all
	struct sg_multiplex *multiplex; // NULL: HTTP/1.1, or not known yet
	struct sg_buf in;		// bytes of an unfinished response head
	struct sg_buf out;
	struct sg_timer timer;
	struct sg_deferred deferred;
	struct sg_upstream *next, **link; // in the idle list, the shared list or among those that
					  // wait for a socket
	uint32_t socket_request;
	bool http1_only;
	bool reused;		 // has been idle before
	bool saw_bytes;		 // something came since
	uint64_t written_before; // what was written before (of the transport)
};

enum sg_upstream_want {
	SG_UPSTREAM_ANY,
	SG_UPSTREAM_FRESH = 1, // never one of HTTP/1.1 that has served a call before
	SG_UPSTREAM_HTTP1 = 2, // of HTTP/1.1
};

// Gives the user a connection: one that is there (sg_upstream_is_ready at once), or one on its way;
// its result comes by on_event or on_failed. `want`: sg_upstream_want. *ret_upstream may become
// another one until the connection is ready. Returns 0 or -errno.
int sg_upstream_get(struct sg_worker *worker, struct sg_pool_origin *origin,
	struct sg_upstream_user *user, unsigned want, struct sg_upstream **ret_upstream) SG_WUNRES;

// Has a connection that broke been closed by the provider while it was idle, before any byte of the
// call was there?
bool sg_upstream_was_stale(const struct sg_upstream *upstream);

static inline bool sg_upstream_is_ready(const struct sg_upstream *upstream)
{
	return upstream->state == SG_UPSTREAM_ACTIVE || upstream->state == SG_UPSTREAM_SHARED;
}

// The user is done with it; where it is shared, has released its stream. `reusable`: the exchange
// ended cleanly and the connection may serve another.
void sg_upstream_put(struct sg_upstream *upstream, struct sg_upstream_user *user, bool reusable);

// Another user has it in place of its only one.
void sg_upstream_pass(struct sg_upstream *upstream, struct sg_upstream_user *user);

// A shared connection that is over: it gets no more calls, and is closed when the last one has left
// it.
void sg_upstream_retire(struct sg_upstream *upstream);

// The warden's answer: takes the descriptor.
void sg_upstream_on_socket(struct sg_worker *worker, uint32_t request, int result, int fd);
