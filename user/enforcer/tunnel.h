// SPDX-License-Identifier: Apache-2.0
// A connection that is not for a provider: copied through untouched both ways, with back-pressure
// and half-close. Worker thread only.
#pragma once

#include "enforcer/client.h"

// Dials the original destination. Closes the client when that fails.
void sg_tunnel_start(struct sg_client *client);

// The agent's side had an event. In the state GREETING only what the server says is copied.
void sg_tunnel_run(struct sg_client *client);

// Has the agent got anything from the server?
bool sg_tunnel_has_greeted(const struct sg_client *client);

// Gives the dialled connection up and frees the tunnel. No-op without one.
void sg_tunnel_close(struct sg_client *client);
