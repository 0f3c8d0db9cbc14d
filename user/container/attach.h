// SPDX-License-Identifier: Apache-2.0
// Makes what runs already an agent: fence, end of the connections from before, trust. One thread.
#pragma once

#include <sys/types.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_attach_result {
	unsigned ended;	  // connections
	unsigned mounted; // files of certificates
};

// `what` as in sg_place_find; `request` is "register" of spendgate/control.h. When it fails, what
// was reached stays: a fence without trust refuses, it does not let through. Returns 0, -ENOTCONN:
// no spendgated, -EEXIST: it is an agent already, -EOPNOTSUPP: attached, but connections from
// before live on, or another -errno, with the sentence.
int sg_attach(const char *what, const json_t *request, struct sg_attach_result *ret_result,
	struct sg_error *error) SG_WUNRES;

// Makes a cgroup, the parent of containers' groups, one in which whatever is no agent is refused
// all but private networks: what starts there has no moment without. Made when it is not there.
// Returns as above.
int sg_attach_guard(const char *path, struct sg_error *error) SG_WUNRES;
