// SPDX-License-Identifier: Apache-2.0
// One connection of an agent, from accept to close:
//
//   accept -> who (SG_FLOW) -> peek -> { tls | http | other }
//   tls:   ClientHello -> route by SNI -> { terminate | tunnel }
//   http:  route by Host or by registered address -> { session | tunnel }
//
// Whenever the agent's first bytes come, they are judged before one of them goes out: a client that
// is silent at first gets the server's greeting meanwhile, and nothing else.
//
// and, within a session, its calls (session.h), one of which may turn it into a relay (relay.h).
// Worker thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "enforcer/agent.h"
#include "enforcer/pool.h"
#include "enforcer/transport.h"
#include "spendgate/abi.h"

struct sg_exchange;
struct sg_h2_session;
struct sg_relay;
struct sg_tunnel;
struct sg_worker;

enum sg_client_state {
	SG_CLIENT_PEEK,	     // nothing was said yet
	SG_CLIENT_FIRST,     // until the first bytes are there that tell the protocol
	SG_CLIENT_GREETING,  // nothing was said for a while: the server may speak first
	SG_CLIENT_LEAF,	     // the warden signs
	SG_CLIENT_HANDSHAKE, // TLS towards the agent
	SG_CLIENT_SESSION,   // HTTP calls
	SG_CLIENT_RELAY,     // a WebSocket
	SG_CLIENT_TUNNEL,    // copied through untouched
	SG_CLIENT_LINGER,    // our last answer is out: what still comes is dropped for a moment
	SG_CLIENT_CLOSED,
};

struct sg_client {
	struct sg_transport transport; // first
	enum sg_client_state state;
	struct sg_worker *worker;
	struct sg_agent *agent; // counted
	struct sg_client *next, **link;
	struct sg_timer timer;
	struct sg_deferred deferred;
	uint64_t connection; // number for the log, unique in this process
	struct sg_flow_record flow;
	char host[256]; // the provider host that this connection is for
	const struct sg_provider *provider;
	bool own_host;			    // the provider's own, not one that it is registered for
	bool regional;			    // a region's host, which may have prices of its own
	bool unproven;			    // plain, at an address that anybody may have
	const struct sg_origin *registered; // NULL: dialled at the original destination
	struct sg_pool_origin *pool_origin; // of this connection's provider, or NULL
	struct sg_buf in;
	struct sg_buf out;
	struct sg_exchange *exchanges; // the calls being served
	struct sg_relay *relay;
	bool speaks_h2;
	struct sg_h2_session *h2; // of a session that speaks HTTP/2
	struct sg_tunnel *tunnel;
	uint32_t dropped_bytes; // while lingering
	bool close_after_flush;
};

// Takes the accepted descriptor.
void sg_client_accept(struct sg_worker *worker, int fd);

// A leaf that LEAF clients wait for may be there.
void sg_client_on_leaf(struct sg_client *client);

// Moves on: the one function that changes the state.
void sg_client_enter(struct sg_client *client, enum sg_client_state state);

// Ends it; `reason` is one word for the log.
void sg_client_close(struct sg_client *client, const char *reason);

// A session without a call: closed when none comes for a while.
void sg_client_arm_idle(struct sg_client *client);
