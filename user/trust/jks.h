// SPDX-License-Identifier: Apache-2.0
// Writes a JKS entry by entry. Any thread. All return 0 or -errno.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

int sg_jks_begin(struct sg_buf *out, uint32_t version, uint32_t count) SG_WUNRES;
int sg_jks_put(struct sg_buf *out, uint32_t version, const char *alias, const void *certificate,
	size_t length) SG_WUNRES;

// The digest; `out` holds the file and nothing else.
int sg_jks_end(struct sg_buf *out) SG_WUNRES;
