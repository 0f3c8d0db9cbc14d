// SPDX-License-Identifier: Apache-2.0
#include "enforcer/waiting.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "enforcer/admission.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/worker.h"

struct sg_wait_queue {
	struct sg_wait_queue *next;
	const struct sg_account *account;
	struct sg_exchange *first, **last;
	struct sg_budget_set all; // that anybody in it waited for
};

static struct sg_wait_queue *find(const struct sg_worker *worker, const struct sg_account *account)
{
	struct sg_wait_queue *queue = worker->wait_queues;

	while (queue && queue->account != account)
		queue = queue->next;
	return queue;
}

bool sg_waiting_any(const struct sg_worker *worker, const struct sg_account *account)
{
	return find(worker, account) != NULL;
}

// `exchange` itself, or the next behind it that waits for any of the budgets.
static struct sg_exchange *next_of(struct sg_exchange *exchange, struct sg_budget_set budgets)
{
	while (exchange && !sg_budget_sets_meet(exchange->admission.waits_for, budgets))
		exchange = exchange->wait_next;
	return exchange;
}

struct sg_exchange *sg_waiting_first(const struct sg_worker *worker,
	const struct sg_account *account, struct sg_budget_set budgets)
{
	const struct sg_wait_queue *queue = find(worker, account);

	return queue && sg_budget_sets_meet(queue->all, budgets) ? next_of(queue->first, budgets)
								 : NULL;
}

unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets)
{
	struct sg_exchange *exchange = sg_waiting_first(worker, account, budgets);
	unsigned count = 0;

	for (; exchange; exchange = next_of(exchange->wait_next, budgets))
		count++;
	return count;
}

// Both together; of two generations they are any.
static struct sg_budget_set join(struct sg_budget_set a, struct sg_budget_set b)
{
	return (struct sg_budget_set){
		a.generation == b.generation ? a.budgets | b.budgets : UINT64_MAX, b.generation
	};
}

static struct sg_wait_queue *make(
	struct sg_worker *worker, const struct sg_account *account, struct sg_budget_set waits_for)
{
	struct sg_wait_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->account = account;
	queue->last = &queue->first;
	queue->all = waits_for;
	queue->next = worker->wait_queues;
	worker->wait_queues = queue;
	return queue;
}

int sg_waiting_join(struct sg_exchange *exchange, bool first)
{
	struct sg_worker *worker = exchange->client->worker;
	const struct sg_account *account = exchange->client->agent->account;
	struct sg_wait_queue *queue = find(worker, account);

	if (!queue)
		queue = make(worker, account, exchange->admission.waits_for);
	if (!queue)
		return -ENOMEM;
	exchange->wait_next = first ? queue->first : NULL;
	if (first)
		queue->first = exchange;
	else
		*queue->last = exchange;
	if (!exchange->wait_next)
		queue->last = &exchange->wait_next;
	queue->all = join(queue->all, exchange->admission.waits_for);
	exchange->wait_queue = queue;
	exchange->wait_round = worker->wait_round; // asked a moment ago
	return 0;
}

static void free_queue(struct sg_worker *worker, struct sg_wait_queue *queue)
{
	struct sg_wait_queue **link = &worker->wait_queues;

	while (*link != queue)
		link = &(*link)->next;
	*link = queue->next;
	free(queue);
}

void sg_waiting_leave(struct sg_exchange *exchange)
{
	struct sg_wait_queue *queue = exchange->wait_queue;
	struct sg_exchange **link;

	if (!queue)
		return;
	for (link = &queue->first; *link != exchange; link = &(*link)->wait_next)
		;
	*link = exchange->wait_next;
	if (!*link)
		queue->last = link;
	exchange->wait_queue = NULL;
	if (!queue->first)
		free_queue(exchange->client->worker, queue);
}

// Whoever was not asked in this round and waits for no budget that one before him waits for.
static struct sg_exchange *next_to_ask(
	const struct sg_worker *worker, const struct sg_account *account)
{
	const struct sg_wait_queue *queue = find(worker, account);
	struct sg_exchange *exchange = queue ? queue->first : NULL;
	struct sg_budget_set before = { 0,
		exchange ? exchange->admission.waits_for.generation : 0 };

	for (; exchange && (before.budgets & queue->all.budgets) != queue->all.budgets;
		exchange = exchange->wait_next) {
		if (exchange->wait_round != worker->wait_round &&
			!sg_budget_sets_meet(exchange->admission.waits_for, before))
			return exchange;
		before = join(before, exchange->admission.waits_for);
	}
	return NULL;
}

void sg_waiting_on_room(struct sg_worker *worker)
{
	const struct sg_wait_queue *queue = worker->wait_queues, *next;

	worker->wait_round++;
	for (; queue; queue = next) {
		const struct sg_account *account = queue->account;
		struct sg_exchange *exchange;

		// It may be freed when its last one is served; no other one can be.
		next = queue->next;
		while ((exchange = next_to_ask(worker, account)))
			sg_admission_ask_again(exchange);
	}
}

static void on_told(struct sg_timer *timer)
{
	sg_waiting_on_room((struct sg_worker *)((char *)timer - offsetof(struct sg_worker, room)));
}

void sg_waiting_tell(struct sg_worker *worker)
{
	if (worker->wait_queues)
		sg_loop_arm(worker->loop, &worker->room, 0, on_told);
}
