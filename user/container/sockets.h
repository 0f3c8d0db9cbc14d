// SPDX-License-Identifier: Apache-2.0
// The connections that processes of a cgroup have already: what was connected before the
// redirection goes around it until it ends. One thread; makes a child that enters the network
// namespace.
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "container/place.h"

struct sg_sockets_result {
	unsigned ended;
	unsigned left; // could not be ended, or are in more and deeper groups than are looked at
};

// Ends them (SOCK_DESTROY): TCP to whatever is not loopback, and UDP that is connected to port 443
// (QUIC). Sockets belong to the cgroup in which they were made, or one below. Returns 0, or -errno
// with the sentence when they can't be listed; -EOPNOTSUPP: this kernel can't end them; -EBUSY:
// some are left.
int sg_sockets_end(const struct sg_place *place, struct sg_sockets_result *ret_result,
	struct sg_error *error) SG_WUNRES;
