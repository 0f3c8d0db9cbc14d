// SPDX-License-Identifier: Apache-2.0
// A lock of four bytes, which stands on the cache line of what it guards: for short critical
// sections that threads take in turns on the path of every call. Who waits spins a while before it
// sleeps. Not recursive, not fair, and only between the threads of one process. Any thread. All
// zeros: not taken.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum sg_lock_state { SG_LOCK_FREE, SG_LOCK_TAKEN, SG_LOCK_AWAITED };

struct sg_lock {
	_Atomic uint32_t state; // enum sg_lock_state; awaited: somebody may sleep
};

// What is not on the path of a lock that is free.
void sg_lock_await(struct sg_lock *lock);
void sg_lock_wake(struct sg_lock *lock);

static inline void sg_lock_take(struct sg_lock *lock)
{
	uint32_t expected = SG_LOCK_FREE;

	if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&lock->state, &expected,
				     SG_LOCK_TAKEN, memory_order_acquire, memory_order_relaxed),
		    0))
		sg_lock_await(lock);
}

static inline void sg_lock_give(struct sg_lock *lock)
{
	if (__builtin_expect(atomic_exchange_explicit(&lock->state, SG_LOCK_FREE,
				     memory_order_release) == SG_LOCK_AWAITED,
		    0))
		sg_lock_wake(lock);
}
