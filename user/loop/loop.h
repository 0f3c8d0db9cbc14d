// SPDX-License-Identifier: Apache-2.0
// One thread, one loop: epoll (edge-triggered watches), a timer wheel, and work put off to the end
// of a turn, when no callback is on the stack. Every call but sg_loop_wake belongs to the loop's
// own thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/attr.h"

struct sg_loop;
struct sg_watch;
struct sg_timer;
struct sg_deferred;

typedef void (*sg_watch_fn)(struct sg_watch *watch, uint32_t events);
typedef void (*sg_timer_fn)(struct sg_timer *timer);
typedef void (*sg_deferred_fn)(struct sg_deferred *deferred);

// Embedded in its owner, which must live until the end of the turn in which it was removed
// (sg_loop_defer its free).
struct sg_watch {
	int fd; // -1: not watched
	sg_watch_fn on_event;
	struct sg_watch *next_again, **again_link; // link NULL: not asked for
};

struct sg_timer {
	struct sg_timer *next, **link; // link NULL: not armed
	int64_t deadline_ms;
	sg_timer_fn on_timeout;
};

struct sg_deferred {
	struct sg_deferred *next;
	sg_deferred_fn run;
};

int sg_loop_new(struct sg_loop **ret_loop) SG_WUNRES;
struct sg_loop *sg_loop_free(struct sg_loop *loop);

// Runs until sg_loop_stop. Returns 0 or -errno.
int sg_loop_run(struct sg_loop *loop) SG_WUNRES;
void sg_loop_stop(struct sg_loop *loop);

// Watches `fd` for `events` (EPOLLET is the caller's choice). The descriptor stays the caller's.
// Returns 0 or -errno.
int sg_loop_watch(struct sg_loop *loop, struct sg_watch *watch, int fd, uint32_t events,
	sg_watch_fn on_event) SG_WUNRES;
void sg_loop_unwatch(struct sg_loop *loop, struct sg_watch *watch);

// Whoever has had his part of this turn goes on in the next one: `on_event` is called then, with no
// event (0) where none has come. For edge-triggered watches, which are not told twice.
void sg_loop_again(struct sg_loop *loop, struct sg_watch *watch);

// (Re)arms: fires once, `delay_ms` (none, when negative) or up to a tick (64 ms) later.
void sg_loop_arm(
	struct sg_loop *loop, struct sg_timer *timer, int64_t delay_ms, sg_timer_fn on_timeout);
void sg_loop_disarm(struct sg_timer *timer);

// Runs `deferred` at the end of this turn.
void sg_loop_defer(struct sg_loop *loop, struct sg_deferred *deferred, sg_deferred_fn run);

// Monotonic milliseconds, read once a turn.
int64_t sg_loop_now_ms(const struct sg_loop *loop);

// For the end, when the loop no longer runs: what was put off is done now.
void sg_loop_run_deferred(struct sg_loop *loop);
