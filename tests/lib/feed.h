// SPDX-License-Identifier: Apache-2.0
// Every codec gets its bytes whole, byte by byte and torn at random places, and must say the same.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/attr.h"

#define FEED_RANDOM_RUNS 20

enum feed_cut { FEED_WHOLE, FEED_BYTEWISE, FEED_RANDOM };

struct feeder {
	enum feed_cut cut;
	uint32_t seed; // of FEED_RANDOM
};

typedef void (*feed_run_fn)(struct feeder *feeder, const void *row);

// How many of the `left` bytes (> 0) come next.
static inline size_t feed_next(struct feeder *feeder, size_t left)
{
	size_t most;

	if (feeder->cut == FEED_WHOLE)
		return left;
	if (feeder->cut == FEED_BYTEWISE)
		return 1;
	// Numerical Recipes' generator: what counts is that a printed seed gives the same cuts.
	feeder->seed = feeder->seed * 1664525u + 1013904223u;
	most = feeder->seed & 0x10000 ? 7 : left; // pieces of a few bytes and large ones in turn
	most = most < left ? most : left;
	return 1 + (feeder->seed >> 17) % most;
}

// One seed for the whole test program, printed: a failure is repeated by putting it here.
static inline uint32_t feed_seed(void)
{
	static uint32_t seed;

	if (!seed) {
		if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed) || !seed)
			seed = 1;
		printf("random cuts from seed %u\n", seed);
	}
	return seed;
}

// Runs `run` under all three.
static inline void feed_all(feed_run_fn run, const void *row)
{
	run(&(struct feeder){ FEED_WHOLE, 0 }, row);
	run(&(struct feeder){ FEED_BYTEWISE, 0 }, row);
	for (uint32_t i = 0; i < FEED_RANDOM_RUNS; i++)
		run(&(struct feeder){ FEED_RANDOM, feed_seed() + i }, row);
}
