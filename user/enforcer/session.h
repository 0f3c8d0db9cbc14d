// SPDX-License-Identifier: Apache-2.0
// The calls on one agent connection to a provider: a session takes them from the connection's
// bytes, conducts them (exchange.h) and writes their answers out. h1_session.c serves HTTP/1.1, one
// call after another; h2_session.c serves HTTP/2. Worker thread only.
#pragma once

#include "enforcer/client.h"

// Goes on as far as bytes and buffers allow. The client may be closed afterwards.
void sg_session_run(struct sg_client *client);

// The agent's connection is dead: what is under way is read on for its usage.
void sg_session_on_reset(struct sg_client *client);

// The connection is being closed: the calls in progress are accounted and their provider
// connections given up.
void sg_session_abandon(struct sg_client *client);

// ---- Of each protocol, for session.c ----

void sg_h1_session_run(struct sg_client *client);
void sg_h1_session_on_reset(struct sg_client *client);

void sg_h2_session_run(struct sg_client *client);
void sg_h2_session_on_reset(struct sg_client *client);
void sg_h2_session_free(struct sg_client *client);
