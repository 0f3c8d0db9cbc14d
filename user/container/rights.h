// SPDX-License-Identifier: Apache-2.0
// The capabilities of a container with which its processes can leave the fence: spendgated tells of
// them. One thread.
#pragma once

#include <sys/types.h>

#include <jansson.h>

#include "base/attr.h"

// Puts those that a bundle's config.json gives, or that a process has, into a request
// ("capabilities" of spendgate/control.h); none: nothing. Returns 0 or -ENOMEM. A process that
// can't be looked at has none.
int sg_rights_of_bundle(const json_t *config, json_t *request) SG_WUNRES;
int sg_rights_of_process(pid_t pid, json_t *request) SG_WUNRES;
