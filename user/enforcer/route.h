// SPDX-License-Identifier: Apache-2.0
// What a connection is, by its first bytes and its destination: ours to meter, or to pass through.
// Worker thread only.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "enforcer/client.h"

// TLS, HTTP and HTTP2 are for a provider: client->host, provider, registered and pool_origin are
// set then.
enum sg_first {
	SG_FIRST_MORE,	 // not enough bytes yet
	SG_FIRST_TLS,	 // TLS
	SG_FIRST_HTTP,	 // plain HTTP/1
	SG_FIRST_HTTP2,	 // plain HTTP/2, by its preface
	SG_FIRST_TUNNEL, // anything else
	SG_FIRST_REFUSE, // malformed, out of memory or not to be reached; logged
};

// May a server be dialled, for its greeting, before the agent has said anything? Not in a
// registered address's place, nor where the address may not be reached without a name.
bool sg_route_may_greet(const struct sg_client *client);

enum sg_first sg_route_first_bytes(
	struct sg_client *client, const uint8_t *data, size_t length) SG_WUNRES;
