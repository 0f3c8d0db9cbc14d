// SPDX-License-Identifier: Apache-2.0
// Every duration of a run, kept whole, so that percentiles are exact. One thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint32_t *values; // tenths of microseconds
	size_t count;
	size_t capacity;
};

// Ends the program when memory is out.
void samples_add(struct samples *samples, uint64_t nanoseconds);

void samples_clear(struct samples *samples);

// Sorts, then prints {"p50": ..., "p99": ..., "max": ..., "mean": ...} in microseconds.
void samples_print(struct samples *samples, const char *name);
