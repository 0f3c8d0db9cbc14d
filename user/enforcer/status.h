// SPDX-License-Identifier: Apache-2.0
// What `spendgate status` shows, as JSON.
#pragma once

#include <jansson.h>

#include "base/attr.h"

struct sg_enforcer;

// {"agents": [...]} of spendgate/control.h. Any thread. New reference, or NULL.
json_t *sg_status_json(struct sg_enforcer *enforcer);

// The same in a sealed memfd, owned by the caller. Returns 0 or -errno.
int sg_status_memfd(struct sg_enforcer *enforcer, int *ret_fd) SG_WUNRES;
