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

// A lock that one thread takes nearly always, for a section of some instructions: given back by a
// plain store, which does not wait for the stores before it. Who finds it taken looks again and
// again, and lets others run meanwhile. All zeros: not taken.
struct sg_latch {
	_Atomic uint32_t taken;
};

void sg_latch_await(struct sg_latch *latch);

static inline void sg_latch_take(struct sg_latch *latch)
{
	if (__builtin_expect(
		    atomic_exchange_explicit(&latch->taken, 1, memory_order_acquire) != 0, 0))
		sg_latch_await(latch);
}

static inline void sg_latch_give(struct sg_latch *latch)
{
	atomic_store_explicit(&latch->taken, 0, memory_order_release);
}
