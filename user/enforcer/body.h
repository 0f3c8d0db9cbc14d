// SPDX-License-Identifier: Apache-2.0
// A request body that is gathered before the call is admitted: in memory while it is small, in an
// unlinked file beyond that. Worker thread only.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

struct sg_body {
	struct sg_buf memory;
	int fd; // -1: all in memory
	uint64_t length;
};

void sg_body_init(struct sg_body *body);
void sg_body_done(struct sg_body *body);

// Appends. Returns 0, -EFBIG (over the cap), or -errno of the spill file (-ENOSPC, ...).
// `directory` is where it is made.
int sg_body_append(
	struct sg_body *body, const void *data, size_t length, const char *directory) SG_WUNRES;

// Copies up to `size` bytes at `offset`. Returns the count or -errno.
ssize_t sg_body_read(
	const struct sg_body *body, uint64_t offset, void *data, size_t size) SG_WUNRES;
