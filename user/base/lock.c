// SPDX-License-Identifier: Apache-2.0
#include "base/lock.h"

#include <linux/futex.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

// Some microseconds in all: more than a critical section takes that nobody interrupts. Who waits
// looks seldom, and less so each time: whoever has the lock has its lines too, and gets more done
// with them than two do who hand them over after each call.
#define FIRST_PAUSES 32
#define LAST_PAUSES  64

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool try_to_take(struct sg_lock *lock)
{
	uint32_t expected = SG_LOCK_FREE;

	return atomic_load_explicit(&lock->state, memory_order_relaxed) == SG_LOCK_FREE &&
	       atomic_compare_exchange_strong_explicit(&lock->state, &expected, SG_LOCK_TAKEN,
		       memory_order_acquire, memory_order_relaxed);
}

// It is taken as awaited after a sleep: others may sleep too.
void sg_lock_await(struct sg_lock *lock)
{
	for (int pauses = FIRST_PAUSES; pauses <= LAST_PAUSES; pauses *= 2) {
		for (int i = 0; i < pauses; i++)
			relax();
		if (try_to_take(lock))
			return;
	}
	while (atomic_exchange_explicit(&lock->state, SG_LOCK_AWAITED, memory_order_acquire) !=
		SG_LOCK_FREE)
		// Woken, interrupted, or not asleep at all since the state has changed: it looks
		// again.
		(void)syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, SG_LOCK_AWAITED, NULL,
			NULL, 0);
}

void sg_lock_wake(struct sg_lock *lock)
{
	(void)syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool is_taken(const struct sg_latch *latch)
{
	return atomic_load_explicit(&latch->taken, memory_order_relaxed);
}

void sg_latch_await(struct sg_latch *latch)
{
	do {
		for (int i = 0; i < LAST_PAUSES && is_taken(latch); i++)
			relax();
		if (is_taken(latch))
			sched_yield(); // its owner was interrupted
	} while (atomic_exchange_explicit(&latch->taken, 1, memory_order_acquire));
}
