// SPDX-License-Identifier: Apache-2.0
// FNV-1a, for tables and for telling equal things: nobody gains by two that only look equal. Any
// thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SG_HASH_START UINT64_C(14695981039346656037)

// Goes on with a hash, or with SG_HASH_START.
static inline uint64_t sg_hash(uint64_t hash, const void *data, size_t length)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}
