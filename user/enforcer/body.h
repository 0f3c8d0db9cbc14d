// SPDX-License-Identifier: Apache-2.0
// A request body that is gathered before the call is admitted: in memory while it is small, in an
// unlinked file beyond that, beside the ledger. What all bodies of one agent take together has a
// limit, and on the disk room is left for the ledger. Worker thread only, but for what is shared.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

// What the bodies of one agent take together. Any thread.
struct sg_body_share {
	_Atomic uint64_t taken; // bytes
};

struct sg_body {
	struct sg_buf memory;
	int fd; // -1: all in memory
	uint64_t length;
	struct sg_body_share *share; // borrowed
	uint64_t share_bytes;	     // that may be taken of it
	uint64_t taken;		     // of it by this body
};

void sg_body_init(struct sg_body *body, struct sg_body_share *share, uint64_t share_bytes);

// Gives back what it takes.
void sg_body_done(struct sg_body *body);

// Appends. Returns 0, -EFBIG (larger than a body may be), -ENOBUFS (the agent's other bodies leave
// no room), -ENOSPC (the disk would have too little left), or -errno of the spill file. `directory`
// is where it is made.
int sg_body_append(
	struct sg_body *body, const void *data, size_t length, const char *directory) SG_WUNRES;

// Copies up to `size` bytes at `offset`. Returns the count or -errno.
ssize_t sg_body_read(
	const struct sg_body *body, uint64_t offset, void *data, size_t size) SG_WUNRES;
