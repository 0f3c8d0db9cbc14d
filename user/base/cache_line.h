// SPDX-License-Identifier: Apache-2.0
// Lines of the processor's cache. Any thread.
#pragma once

#define SG_CACHE_LINE 64

// Brings the line at an address near, to be written: compilers would bring it to be read where the
// processor is not named, and the first write to it would wait for the others that have it.
static inline void sg_expect_line(const void *at)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
	__builtin_prefetch(at, 1);
#endif
}
