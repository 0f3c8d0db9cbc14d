// SPDX-License-Identifier: Apache-2.0
// A WebSocket session between an agent and a provider, from the answer 101 on: every message of
// both sides is read in passing, and goes on as it came. The last byte of an agent's message waits
// until the turn that it starts is held for (turns.h). Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"

struct sg_client;
struct sg_exchange;
struct sg_relay;

// What the upgrade needs before it is sent to the provider: the hold for a turn that the provider
// may start by itself. Returns false when it was refused and answered.
bool sg_relay_prepare(struct sg_exchange *exchange) SG_WUNRES;

// The provider has agreed: the relay takes its connection from the exchange, which ends.
void sg_relay_start(struct sg_exchange *exchange);

// Goes on as far as bytes and buffers allow. The client may be closed afterwards.
void sg_relay_run(struct sg_client *client);

// The agent's connection is dead: turns in progress are read on for their usage.
void sg_relay_on_reset(struct sg_client *client);

// Accounts what is in progress and gives up the provider's connection. NULL: none.
struct sg_relay *sg_relay_free(struct sg_relay *relay);
