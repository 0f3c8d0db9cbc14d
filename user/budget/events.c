// SPDX-License-Identifier: Apache-2.0
#include "budget/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/money.h"

struct sg_event_node {
	struct sg_event_node *next;
	struct sg_budget_event event;
};

void sg_events_init(struct sg_events *events, sg_event_fn on_event, void *context)
{
	*events = (struct sg_events){ .on_event = on_event, .context = context };
	pthread_mutex_init(&events->lock, NULL);
	events->last = &events->first;
}

void sg_events_destroy(struct sg_events *events)
{
	sg_events_deliver(events);
	pthread_mutex_destroy(&events->lock);
}

static void log_event(const struct sg_budget_event *event)
{
	char what[64], spent[32], limit[32];

	if (event->kind == SG_EVENT_ALERT)
		snprintf(what, sizeof(what), "percent=%u", event->percent);
	else
		snprintf(what, sizeof(what), "reason=%s action=%s", event->why,
			sg_breaker_action_name(event->action));
	sg_money_format(event->spent_nanousd, spent, sizeof(spent));
	sg_money_format(event->limit_nanousd, limit, sizeof(limit));
	sg_log(SG_LOG_WARN, event->kind == SG_EVENT_ALERT ? "budget_alert" : "budget_breaker",
		"agent=%s budget=%s scope=%s label=%s %s usd=%s limit_usd=%s requests=%lld "
		"max_requests=%lld window=%s",
		event->agent, event->budget, sg_scope_name(event->scope),
		event->label[0] ? event->label : "-", what, spent, limit,
		(long long)event->requests, (long long)event->max_requests, event->window);
}

void sg_events_push(struct sg_events *events, const struct sg_budget_event *event)
{
	struct sg_event_node *node = malloc(sizeof(*node));

	if (!node) {
		log_event(event);
		return;
	}
	*node = (struct sg_event_node){ .event = *event };
	pthread_mutex_lock(&events->lock);
	*events->last = node;
	events->last = &node->next;
	pthread_mutex_unlock(&events->lock);
}

void sg_events_deliver(struct sg_events *events)
{
	struct sg_event_node *node, *next;

	pthread_mutex_lock(&events->lock);
	node = events->first;
	events->first = NULL;
	events->last = &events->first;
	pthread_mutex_unlock(&events->lock);
	for (; node; node = next) {
		next = node->next;
		log_event(&node->event);
		if (events->on_event)
			events->on_event(events->context, &node->event);
		free(node);
	}
}
