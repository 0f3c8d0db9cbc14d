// SPDX-License-Identifier: Apache-2.0
// What is to be told of budgets, from where it happens (under a budget's lock) to the thread that
// tells it.
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "budget/engine.h"

struct sg_event_node;

struct sg_events {
	pthread_mutex_t lock;
	struct sg_event_node *first, **last;
	sg_event_fn on_event;
	void *context;
};

void sg_events_init(struct sg_events *events, sg_event_fn on_event, void *context);
void sg_events_destroy(struct sg_events *events);

// Any thread. What can't be kept for want of memory is in the log at once, and nowhere else.
void sg_events_push(struct sg_events *events, const struct sg_budget_event *event);

// One thread at a time: logs and tells what was pushed.
void sg_events_deliver(struct sg_events *events);
