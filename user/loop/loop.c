// SPDX-License-Identifier: Apache-2.0
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_PER_TURN 128
#define WHEEL_SLOTS	1024 // 65 s in one turn of the wheel; longer timers stay for another
#define TICK_MS		64

struct sg_loop {
	int epoll_fd;
	bool stopped;
	int64_t now_ms;
	int64_t wheel_tick; // last tick that was run
	struct sg_deferred *deferred;
	struct sg_watch *again; // in the next turn
	struct sg_timer *wheel[WHEEL_SLOTS];
};

static int64_t monotonic_ms(void)
{
	return sg_clock_monotonic_ns() / SG_NS_PER_MS;
}

int sg_loop_new(struct sg_loop **ret_loop)
{
	struct sg_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	loop->now_ms = monotonic_ms();
	loop->wheel_tick = loop->now_ms / TICK_MS;
	*ret_loop = loop;
	return 0;
}

struct sg_loop *sg_loop_free(struct sg_loop *loop)
{
	if (loop) {
		close(loop->epoll_fd);
		free(loop);
	}
	return NULL;
}

void sg_loop_stop(struct sg_loop *loop)
{
	loop->stopped = true;
}

int64_t sg_loop_now_ms(const struct sg_loop *loop)
{
	return loop->now_ms;
}

int sg_loop_watch(
	struct sg_loop *loop, struct sg_watch *watch, int fd, uint32_t events, sg_watch_fn on_event)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	watch->fd = fd;
	watch->on_event = on_event;
	watch->again_link = NULL;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		watch->fd = -1;
		return -errno;
	}
	return 0;
}

static void forget_again(struct sg_watch *watch)
{
	if (!watch->again_link)
		return;
	*watch->again_link = watch->next_again;
	if (watch->next_again)
		watch->next_again->again_link = watch->again_link;
	watch->again_link = NULL;
}

void sg_loop_again(struct sg_loop *loop, struct sg_watch *watch)
{
	if (watch->again_link || watch->fd < 0)
		return;
	watch->next_again = loop->again;
	watch->again_link = &loop->again;
	if (watch->next_again)
		watch->next_again->again_link = &watch->next_again;
	loop->again = watch;
}

void sg_loop_unwatch(struct sg_loop *loop, struct sg_watch *watch)
{
	if (watch->fd < 0)
		return;
	forget_again(watch);
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
}

void sg_loop_disarm(struct sg_timer *timer)
{
	if (!timer->link)
		return;
	*timer->link = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
	timer->link = NULL;
}

static void put_into_slot(struct sg_timer **slot, struct sg_timer *timer)
{
	timer->next = *slot;
	timer->link = slot;
	if (*slot)
		(*slot)->link = &timer->next;
	*slot = timer;
}

void sg_loop_arm(
	struct sg_loop *loop, struct sg_timer *timer, int64_t delay_ms, sg_timer_fn on_timeout)
{
	sg_loop_disarm(timer);
	timer->on_timeout = on_timeout;
	// A slot that was run comes round again a whole turn later.
	timer->deadline_ms = loop->now_ms + (delay_ms > 0 ? delay_ms : 0);
	put_into_slot(&loop->wheel[(timer->deadline_ms / TICK_MS + 1) % WHEEL_SLOTS], timer);
}

// Takes the whole slot off first: a callback may arm and disarm whatever it likes.
static void run_slot(struct sg_loop *loop, struct sg_timer **slot)
{
	struct sg_timer *pending = *slot, *timer;

	*slot = NULL;
	if (pending)
		pending->link = &pending;
	while ((timer = pending)) {
		sg_loop_disarm(timer);
		if (timer->deadline_ms > loop->now_ms)
			put_into_slot(slot, timer);
		else
			timer->on_timeout(timer);
	}
}

static void run_timers(struct sg_loop *loop)
{
	int64_t tick = loop->now_ms / TICK_MS;

	if (tick - loop->wheel_tick > WHEEL_SLOTS)
		loop->wheel_tick = tick - WHEEL_SLOTS;
	while (loop->wheel_tick < tick)
		run_slot(loop, &loop->wheel[++loop->wheel_tick % WHEEL_SLOTS]);
}

void sg_loop_defer(struct sg_loop *loop, struct sg_deferred *deferred, sg_deferred_fn run)
{
	deferred->run = run;
	deferred->next = loop->deferred;
	loop->deferred = deferred;
}

void sg_loop_run_deferred(struct sg_loop *loop)
{
	struct sg_deferred *deferred;

	while ((deferred = loop->deferred)) {
		loop->deferred = deferred->next;
		deferred->run(deferred);
	}
}

// Events, and then those who asked in an earlier turn to go on, and had none.
static void run_watches(struct sg_loop *loop, const struct epoll_event *events, int count)
{
	struct sg_watch *pending = loop->again, *watch;

	loop->again = NULL;
	if (pending)
		pending->again_link = &pending;
	for (int i = 0; i < count; i++) {
		watch = events[i].data.ptr;
		if (watch->fd < 0)
			continue;
		forget_again(watch);
		watch->on_event(watch, events[i].events);
	}
	while ((watch = pending)) {
		forget_again(watch);
		watch->on_event(watch, 0);
	}
}

int sg_loop_run(struct sg_loop *loop)
{
	struct epoll_event events[EVENTS_PER_TURN];

	loop->stopped = false;
	while (!loop->stopped) {
		int wait_ms = loop->again ? 0 : TICK_MS * 4;
		int n = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, wait_ms);

		if (n < 0 && errno != EINTR)
			return -errno;
		loop->now_ms = monotonic_ms();
		run_watches(loop, events, n);
		run_timers(loop);
		sg_loop_run_deferred(loop);
	}
	return 0;
}
