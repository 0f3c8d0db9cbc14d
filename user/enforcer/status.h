// SPDX-License-Identifier: Apache-2.0
// What `spendgate status` shows, as JSON. Main thread.
#pragma once

#include "base/attr.h"

struct sg_enforcer;

// {"agents": [...]} in a sealed memfd, owned by the caller. Returns 0 or -errno.
int sg_status_memfd(struct sg_enforcer *enforcer, int *ret_fd) SG_WUNRES;
