// SPDX-License-Identifier: Apache-2.0
// One connection towards a provider: socket (made here, or by the warden inside the agent's network
// namespace), TCP, TLS with verification, then use by one user at a time, then the pool. Worker
// thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "enforcer/pool.h"
#include "enforcer/transport.h"

struct sg_upstream;
struct sg_worker;

// Who waits for a connection or has it: a call, a tunnel. Embedded in it.
struct sg_upstream_user {
	// The connection is there, or something happened on it.
	void (*on_event)(struct sg_upstream_user *user);
	// There will be none: it is gone already. `detail` is for the agent's error text and the
	// log.
	void (*on_failed)(struct sg_upstream_user *user, int error, const char *detail);
};

enum sg_upstream_state {
	SG_UPSTREAM_SOCKET, // waiting for the warden
	SG_UPSTREAM_CONNECTING,
	SG_UPSTREAM_HANDSHAKE,
	SG_UPSTREAM_ACTIVE, // serves its user
	SG_UPSTREAM_IDLE,   // in the pool
	SG_UPSTREAM_CLOSED,
};

struct sg_upstream {
	struct sg_transport transport; // first
	enum sg_upstream_state state;
	struct sg_worker *worker;
	struct sg_pool_origin *origin;
	struct sg_upstream_user *user; // NULL unless it is waited for or active
	struct sg_buf in;	       // bytes of an unfinished response head
	struct sg_buf out;
	struct sg_timer timer;
	struct sg_deferred deferred;
	struct sg_upstream *next, **link; // in the idle list or among those that wait for a socket
	uint32_t socket_request;
	bool reused;	// has served a call before
	bool saw_bytes; // the current call got something
};

// Gives the user a connection: an idle one (ACTIVE at once), or a new one on its way; its result
// comes by on_event (ACTIVE) or on_failed. `fresh`: never an idle one. Returns 0 or -errno.
int sg_upstream_get(struct sg_worker *worker, struct sg_pool_origin *origin,
	struct sg_upstream_user *user, bool fresh, struct sg_upstream **ret_upstream) SG_WUNRES;

// The user is done with it. `reusable`: the exchange ended cleanly and the connection may serve
// another.
void sg_upstream_put(struct sg_upstream *upstream, bool reusable);

// The warden's answer: takes the descriptor.
void sg_upstream_on_socket(struct sg_worker *worker, uint32_t request, int result, int fd);
