// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "base/lock.h"

#define THREADS 4
#define ROUNDS	50000

static struct sg_lock lock;
static int64_t counted; // under the lock

static void *count(void *context)
{
	(void)context;
	for (int i = 0; i < ROUNDS; i++) {
		sg_lock_take(&lock);
		counted++;
		sg_lock_give(&lock);
	}
	return NULL;
}

static void rest_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void one_has_it_at_a_time(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	counted = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counted, THREADS * ROUNDS);
	assert_int_equal(lock.state, SG_LOCK_FREE);
}

static void *take_once(void *context)
{
	(void)context;
	sg_lock_take(&lock);
	counted++;
	sg_lock_give(&lock);
	return NULL;
}

// It is held for so long that all others sleep: each is woken in its turn.
static void who_sleeps_is_woken(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	counted = 0;
	sg_lock_take(&lock);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_once, NULL), 0);
	while (atomic_load(&lock.state) != SG_LOCK_AWAITED)
		rest_ms(1);
	rest_ms(20);
	assert_int_equal(counted, 0);
	sg_lock_give(&lock);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counted, THREADS);
	assert_int_equal(lock.state, SG_LOCK_FREE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_has_it_at_a_time),
		cmocka_unit_test(who_sleeps_is_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
