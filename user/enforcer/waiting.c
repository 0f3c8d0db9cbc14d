// SPDX-License-Identifier: Apache-2.0
#include "enforcer/waiting.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "enforcer/worker.h"

struct sg_wait_queue {
	struct sg_wait_queue *next;
	struct sg_worker *worker;
	const struct sg_account *account;
	struct sg_waiter *first, **last;
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

// `waiter` itself, or the next behind it that waits for any of the budgets.
static struct sg_waiter *next_of(struct sg_waiter *waiter, struct sg_budget_set budgets)
{
	while (waiter && !sg_budget_sets_meet(waiter->waits_for, budgets))
		waiter = waiter->next;
	return waiter;
}

struct sg_waiter *sg_waiting_first(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets)
{
	const struct sg_wait_queue *queue = find(worker, account);

	return queue && sg_budget_sets_meet(queue->all, budgets) ? next_of(queue->first, budgets)
								 : NULL;
}

unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account,
	struct sg_budget_set budgets)
{
	struct sg_waiter *waiter = sg_waiting_first(worker, account, budgets);
	unsigned count = 0;

	for (; waiter; waiter = next_of(waiter->next, budgets))
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
	queue->worker = worker;
	queue->account = account;
	queue->last = &queue->first;
	queue->all = waits_for;
	queue->next = worker->wait_queues;
	worker->wait_queues = queue;
	return queue;
}

// ---- Time ----

static void ask(struct sg_waiter *waiter);

static void on_timer(struct sg_timer *timer);

// Until the patience is over, or a window forgets something that was spent.
static void arm(struct sg_waiter *waiter, int64_t forgets_in_ns)
{
	struct sg_loop *loop = waiter->queue->worker->loop;
	int64_t patience_ms = waiter->patience_ms - sg_loop_now_ms(loop);
	int64_t forgets_ms = forgets_in_ns / SG_NS_PER_MS + 1;

	sg_loop_arm(loop, &waiter->timer, forgets_ms < patience_ms ? forgets_ms : patience_ms,
		on_timer);
}

static void on_timer(struct sg_timer *timer)
{
	struct sg_waiter *waiter =
		(struct sg_waiter *)((char *)timer - offsetof(struct sg_waiter, timer));
	struct sg_worker *worker = waiter->queue->worker;
	int64_t now_ms = sg_loop_now_ms(worker->loop);

	if (now_ms < waiter->patience_ms) {
		arm(waiter, INT64_MAX);
	} else if (waiter->patience == SG_TAKES_WHOLE) {
		waiter->patience = SG_TAKES_SHARE;
		waiter->patience_ms = now_ms + waiter->wait_ms / 2;
		arm(waiter, INT64_MAX);
	} else {
		waiter->patience = SG_TAKES_ANY;
		ask(waiter);
	}
	// Who waits on asks like the others, whoever leaves makes way for them.
	sg_waiting_on_room(worker);
}

// ---- The queue ----

static void start_to_wait(struct sg_waiter *waiter, const struct sg_wait *wait)
{
	waiter->waits_for = wait->budgets;
	if (waiter->wait_ms)
		return;
	waiter->wait_ms = wait->wait_ms > 0 ? wait->wait_ms : 1;
	waiter->patience_ms =
		sg_loop_now_ms(waiter->queue->worker->loop) + (waiter->wait_ms + 1) / 2;
}

int sg_waiting_join(struct sg_worker *worker, const struct sg_account *account,
	struct sg_waiter *waiter, const struct sg_wait *wait)
{
	struct sg_wait_queue *queue = find(worker, account);

	if (!queue)
		queue = make(worker, account, wait->budgets);
	if (!queue)
		return -ENOMEM;
	waiter->link = waiter->its_turn ? &queue->first : queue->last;
	waiter->next = *waiter->link;
	*waiter->link = waiter;
	if (waiter->next)
		waiter->next->link = &waiter->next;
	else
		queue->last = &waiter->next;
	waiter->queue = queue;
	waiter->its_turn = false;
	waiter->round = worker->wait_round; // asked a moment ago
	start_to_wait(waiter, wait);
	queue->all = join(queue->all, waiter->waits_for);
	arm(waiter, wait->forgets_in_ns);
	return 0;
}

static void free_queue(struct sg_wait_queue *queue)
{
	struct sg_wait_queue **link = &queue->worker->wait_queues;

	while (*link != queue)
		link = &(*link)->next;
	*link = queue->next;
	free(queue);
}

static void leave(struct sg_waiter *waiter)
{
	struct sg_wait_queue *queue = waiter->queue;

	*waiter->link = waiter->next;
	if (waiter->next)
		waiter->next->link = waiter->link;
	else
		queue->last = waiter->link;
	waiter->queue = NULL;
	sg_loop_disarm(&waiter->timer);
	if (!queue->first)
		free_queue(queue);
}

static void ask(struct sg_waiter *waiter)
{
	leave(waiter);
	waiter->its_turn = true;
	waiter->ask_again(waiter);
}

// Whoever was not asked in this round and waits for no budget that one before him waits for.
static struct sg_waiter *next_to_ask(
	const struct sg_worker *worker, const struct sg_account *account)
{
	const struct sg_wait_queue *queue = find(worker, account);
	struct sg_waiter *waiter = queue ? queue->first : NULL;
	struct sg_budget_set before = { 0, waiter ? waiter->waits_for.generation : 0 };

	for (; waiter && (before.budgets & queue->all.budgets) != queue->all.budgets;
		waiter = waiter->next) {
		if (waiter->round != worker->wait_round &&
			!sg_budget_sets_meet(waiter->waits_for, before))
			return waiter;
		before = join(before, waiter->waits_for);
	}
	return NULL;
}

void sg_waiting_on_room(struct sg_worker *worker)
{
	const struct sg_wait_queue *queue = worker->wait_queues, *next;

	worker->wait_round++;
	for (; queue; queue = next) {
		const struct sg_account *account = queue->account;
		struct sg_waiter *waiter;

		// It may be freed when its last one is served; no other one can be.
		next = queue->next;
		while ((waiter = next_to_ask(worker, account)))
			ask(waiter);
	}
}

static void on_told(struct sg_timer *timer)
{
	sg_waiting_on_room((struct sg_worker *)((char *)timer - offsetof(struct sg_worker, room)));
}

void sg_waiting_end(struct sg_waiter *waiter)
{
	struct sg_worker *worker = waiter->queue ? waiter->queue->worker : NULL;

	if (worker)
		leave(waiter);
	*waiter = (struct sg_waiter){ .ask_again = waiter->ask_again };
	if (worker && worker->wait_queues)
		sg_loop_arm(worker->loop, &worker->room, 0, on_told);
}
