// SPDX-License-Identifier: Apache-2.0
// Sockets inside other network namespaces, made by a thread of its own that ends afterwards: one
// that could not return must not go on. Needs CAP_SYS_ADMIN.
#pragma once

#include "base/attr.h"

// socket(2) there. A socket stays in the namespace in which it was made. Returns a descriptor or
// -errno.
int sg_netns_socket(int netns_fd, int family, int type, int protocol) SG_WUNRES;
