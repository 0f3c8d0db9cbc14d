// SPDX-License-Identifier: Apache-2.0
// Provider connections of one worker: one origin a {trust, network namespace, address, port, host},
// with its idle connections, those that speak HTTP/2, and its newest TLS session. Everything here
// belongs to the worker's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>
#include <uthash.h>

#include "base/attr.h"

struct sg_worker;
struct sg_upstream;

// By TLS it is offered beside HTTP/1.1, and the provider chooses. Without TLS nobody can choose.
enum sg_http2 { SG_HTTP2_OFFERED, SG_HTTP2_NEVER, SG_HTTP2_ALWAYS };

struct sg_pool_key {
	SSL_CTX *context;      // trust; NULL: plain
	uint64_t netns_cookie; // 0: the enforcer's own
	uint8_t address[16];
	uint16_t port;
	uint8_t http2;	// enum sg_http2
	char host[254]; // verified name; zero-filled: the key is hashed as bytes
};

struct sg_pool_origin {
	struct sg_pool_key key;
	SSL_SESSION *session;	  // newest, or NULL
	struct sg_upstream *idle; // newest first
	unsigned idle_count;
	bool speaks_h2;		    // its last connection did
	unsigned call_limit;	    // what it said of calls at a time on such a connection
	struct sg_upstream *shared; // those that speak HTTP/2, newest first
	struct sg_upstream *coming; // on its way, and most likely to be one; or NULL
	unsigned users;		    // clients and connections that point here
	int64_t last_used_ms;
	UT_hash_handle hh;
};

struct sg_pool {
	struct sg_pool_origin *by_key;
};

// Finds or makes; the caller is a user until sg_pool_origin_put. `key` must be zeroed before it was
// filled.
int sg_pool_origin_get(struct sg_pool *pool, const struct sg_pool_key *key, int64_t now_ms,
	struct sg_pool_origin **ret_origin) SG_WUNRES;
// The last user's origin is freed, unless the next one gains by it: destinations are the agent's
// choice, and without number.
void sg_pool_origin_put(struct sg_pool *pool, struct sg_pool_origin *origin, int64_t now_ms);

// Takes the reference.
void sg_pool_origin_remember(struct sg_pool_origin *origin, SSL_SESSION *session);

// Forgets origins that nobody has used for a while.
void sg_pool_sweep(struct sg_pool *pool, int64_t now_ms);
// Closes every idle connection.
void sg_pool_close_idle(struct sg_pool *pool);
// Those of a network namespace that no agent is left in: they would keep it alive, for nobody.
void sg_pool_close_idle_of(struct sg_pool *pool, uint64_t netns_cookie);

// Frees the origins; no connection may be left.
void sg_pool_done(struct sg_pool *pool);
