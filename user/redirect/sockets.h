// SPDX-License-Identifier: Apache-2.0
// The connections that processes of a cgroup have already. A fence around the group decides about
// new ones only. Main thread; needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
#pragma once

#include "base/attr.h"
#include "base/error.h"

enum sg_sockets_kind {
	SG_SOCKETS_UNWATCHED, // what goes around a new fence: TCP to whatever is not loopback, and
			      // UDP that is connected to port 443 (QUIC)
	SG_SOCKETS_CONNECTED, // all TCP and UDP that has another end
};

struct sg_sockets_result {
	unsigned ended;
	unsigned left; // could not be ended, or are in more and deeper groups than are looked at
};

// Ends them (SOCK_DESTROY), as far as they are in this network namespace, or in one that a process
// of the group is in now (64 at most). Sockets belong to the
// cgroup in which they were made, or one below. Looks until it finds none. Returns 0, or -errno
// with the sentence when they can't be listed; -EOPNOTSUPP: this kernel can't end them; -EBUSY:
// some are left.
int sg_sockets_end(int cgroup_fd, int netns_fd, enum sg_sockets_kind kind,
	struct sg_sockets_result *ret_result, struct sg_error *error) SG_WUNRES;
