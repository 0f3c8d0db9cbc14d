// SPDX-License-Identifier: Apache-2.0
// The sockets on which agents' connections come in, for each network namespace one of IPv4 and one
// of IPv6, as the warden made them. They are held here for a warden that comes back, and each
// worker has descriptors of its own. Main thread.
#pragma once

#include "base/attr.h"
#include "channel/channel.h"

struct sg_enforcer;
struct sg_held_listener;

struct sg_listeners {
	struct sg_held_listener *first; // zero: none yet
};

// Takes the sockets of a message LISTENER in place of those of the same namespace, and hands them
// to the workers. Those that are held already are left as they are.
void sg_listeners_take(struct sg_listeners *listeners, struct sg_enforcer *enforcer,
	struct sg_channel_message *message);

// What a message LISTENER_GONE names is closed, here and by the workers.
void sg_listeners_drop(struct sg_listeners *listeners, struct sg_enforcer *enforcer,
	const struct sg_channel_message *message);

// Tells a new warden at `fd` what is held. Returns 0 or -errno.
int sg_listeners_give_back(const struct sg_listeners *listeners, int fd) SG_WUNRES;

void sg_listeners_close(struct sg_listeners *listeners);
