// SPDX-License-Identifier: Apache-2.0
// Agents that the warden has stopped: cut off from every network, or frozen. The kernel has ended
// their connections; here their calls end with them, and it is written down.
#pragma once

#include <stdint.h>

#include "channel/channel.h"

struct sg_enforcer;
struct sg_worker;

// Message STOP. Main thread.
void sg_stop_take(struct sg_enforcer *enforcer, const struct sg_channel_message *message);

// The agent was cut off: its connections of this worker end. What waits for room is given up, a
// stream that can be ended is, and of what a provider is answering the usage is read. Worker
// thread.
void sg_stop_connections(struct sg_worker *worker, uint32_t agent_id);
