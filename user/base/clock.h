// SPDX-License-Identifier: Apache-2.0
// Time. Deadlines run on the monotonic clock, windows on the boot clock; wall time is anchored to
// that once at start, so that a step of the wall clock neither opens nor doubles a budget window.
// Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SG_NS_PER_SEC 1000000000LL
#define SG_NS_PER_MS  1000000LL

int64_t sg_clock_monotonic_ns(void);

// Monotonic too, and goes on while the machine is suspended.
int64_t sg_clock_boot_ns(void);

// Nanoseconds since 1970: the wall clock as read once at the first call, moved on by the boot
// clock.
int64_t sg_clock_wall_ns(void);

// "2026-11-24T08:30:00.123Z" (25 bytes with the NUL) for a wall time.
void sg_clock_format(int64_t wall_ns, char *out, size_t size);
