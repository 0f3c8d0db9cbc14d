// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/loop.h"

static struct sg_loop *loop;
static int fired[4];

static int make_loop(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		fired[i] = 0;
	return sg_loop_new(&loop);
}

static int free_loop(void **state)
{
	(void)state;
	loop = sg_loop_free(loop);
	return 0;
}

struct numbered_timer {
	struct sg_timer timer; // first
	int number;
	struct numbered_timer *stops;
};

static void on_timer(struct sg_timer *timer)
{
	struct numbered_timer *numbered = (struct numbered_timer *)timer;

	fired[numbered->number]++;
	if (numbered->stops)
		sg_loop_disarm(&numbered->stops->timer);
	if (numbered->number == 3)
		sg_loop_stop(loop);
}

// Two timers of one tick, one of which disarms the other; one beyond a turn of the wheel must not
// fire early.
static void timers_fire_once_and_can_disarm_each_other(void **state)
{
	struct numbered_timer a = { .number = 0 }, b = { .number = 1 }, far = { .number = 2 },
			      last = { .number = 3 };

	(void)state;
	a.stops = &b;
	b.stops = &a;
	sg_loop_arm(loop, &a.timer, 1, on_timer);
	sg_loop_arm(loop, &b.timer, 1, on_timer);
	sg_loop_arm(loop, &far.timer, 1024 * 64 + 100, on_timer);
	sg_loop_arm(loop, &last.timer, 300, on_timer);
	assert_int_equal(sg_loop_run(loop), 0);
	assert_int_equal(fired[0] + fired[1], 1);
	assert_int_equal(fired[2], 0);
	assert_int_equal(fired[3], 1);
	sg_loop_disarm(&far.timer);
	sg_loop_disarm(&far.timer);
}

static struct numbered_timer late = { .number = 1 };

static void arm_late(struct sg_timer *timer)
{
	(void)timer;
	sg_loop_arm(loop, &late.timer, -1000, on_timer);
}

static void what_is_due_already_fires_soon(void **state)
{
	struct numbered_timer first = { .number = 0 }, last = { .number = 3 };

	(void)state;
	sg_loop_arm(loop, &first.timer, 1, arm_late);
	sg_loop_arm(loop, &last.timer, 400, on_timer);
	assert_int_equal(sg_loop_run(loop), 0);
	assert_int_equal(fired[1], 1);
}

struct event_pair {
	struct sg_watch first, second;
};

static struct event_pair pair;

static void on_either(struct sg_watch *watch, uint32_t events)
{
	(void)events;
	fired[watch == &pair.first ? 0 : 1]++;
	// The other's event of this same turn must not be delivered any more.
	sg_loop_unwatch(loop, watch == &pair.first ? &pair.second : &pair.first);
	sg_loop_stop(loop);
}

static void an_unwatched_descriptor_gets_no_event_of_the_same_turn(void **state)
{
	int a = eventfd(1, EFD_NONBLOCK), b = eventfd(1, EFD_NONBLOCK);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(sg_loop_watch(loop, &pair.first, a, EPOLLIN, on_either), 0);
	assert_int_equal(sg_loop_watch(loop, &pair.second, b, EPOLLIN, on_either), 0);
	assert_int_equal(sg_loop_run(loop), 0);
	assert_int_equal(fired[0] + fired[1], 1);
	close(a);
	close(b);
}

// The first goes on without an event, as long as it asks to; the second has events meanwhile.
static void on_busy(struct sg_watch *watch, uint32_t events)
{
	bool first = watch == &pair.first;

	fired[first ? 0 : 1]++;
	if (!first) {
		assert_int_equal(events, EPOLLIN);
		sg_loop_again(loop, watch); // its next event comes first
		fired[2] += fired[0] < 10;
		return;
	}
	assert_int_equal(events, fired[0] == 1 ? EPOLLIN : 0);
	if (fired[0] == 20)
		sg_loop_stop(loop);
	sg_loop_again(loop, watch);
	sg_loop_again(loop, watch);
}

static void who_goes_on_is_called_once_a_turn_and_keeps_nobody_waiting(void **state)
{
	int a = eventfd(1, EFD_NONBLOCK), b = eventfd(1, EFD_NONBLOCK);

	(void)state;
	assert_true(a >= 0 && b >= 0);
	assert_int_equal(sg_loop_watch(loop, &pair.first, a, EPOLLIN | EPOLLET, on_busy), 0);
	assert_int_equal(sg_loop_watch(loop, &pair.second, b, EPOLLIN, on_busy), 0);
	assert_int_equal(sg_loop_run(loop), 0);
	assert_int_equal(fired[0], 20);
	assert_int_equal(fired[1], 20);
	assert_true(fired[2] >= 9);
	sg_loop_unwatch(loop, &pair.first); // it has asked: not called any more
	sg_loop_unwatch(loop, &pair.second);
	sg_loop_again(loop, &pair.first);
	close(a);
	close(b);
}

static void on_deferred(struct sg_deferred *deferred)
{
	(void)deferred;
	fired[0]++;
}

static void deferred_work_runs_once(void **state)
{
	struct sg_deferred deferred;

	(void)state;
	sg_loop_defer(loop, &deferred, on_deferred);
	assert_int_equal(fired[0], 0);
	sg_loop_run_deferred(loop);
	sg_loop_run_deferred(loop);
	assert_int_equal(fired[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			timers_fire_once_and_can_disarm_each_other, make_loop, free_loop),
		cmocka_unit_test_setup_teardown(
			an_unwatched_descriptor_gets_no_event_of_the_same_turn, make_loop,
			free_loop),
		cmocka_unit_test_setup_teardown(
			who_goes_on_is_called_once_a_turn_and_keeps_nobody_waiting, make_loop,
			free_loop),
		cmocka_unit_test_setup_teardown(
			what_is_due_already_fires_soon, make_loop, free_loop),
		cmocka_unit_test_setup_teardown(deferred_work_runs_once, make_loop, free_loop),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
