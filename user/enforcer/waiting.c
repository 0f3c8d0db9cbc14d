// SPDX-License-Identifier: Apache-2.0
#include "enforcer/waiting.h"

#include <errno.h>
#include <stdlib.h>

#include "enforcer/admission.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/worker.h"

struct sg_wait_queue {
	struct sg_wait_queue *next;
	const struct sg_account *account;
	struct sg_exchange *first, **last;
	unsigned count;
};

static struct sg_wait_queue *find(const struct sg_worker *worker, const struct sg_account *account)
{
	struct sg_wait_queue *queue = worker->wait_queues;

	while (queue && queue->account != account)
		queue = queue->next;
	return queue;
}

struct sg_exchange *sg_waiting_first(
	const struct sg_worker *worker, const struct sg_account *account)
{
	const struct sg_wait_queue *queue = find(worker, account);

	return queue ? queue->first : NULL;
}

unsigned sg_waiting_count(const struct sg_worker *worker, const struct sg_account *account)
{
	const struct sg_wait_queue *queue = find(worker, account);

	return queue ? queue->count : 0;
}

static struct sg_wait_queue *make(struct sg_worker *worker, const struct sg_account *account)
{
	struct sg_wait_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->account = account;
	queue->last = &queue->first;
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
		queue = make(worker, account);
	if (!queue)
		return -ENOMEM;
	exchange->wait_next = first ? queue->first : NULL;
	if (first)
		queue->first = exchange;
	else
		*queue->last = exchange;
	if (!exchange->wait_next)
		queue->last = &exchange->wait_next;
	queue->count++;
	exchange->wait_queue = queue;
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
	queue->count--;
	exchange->wait_queue = NULL;
	if (!queue->count)
		free_queue(exchange->client->worker, queue);
}

// Returns true when the first one got in, was refused or left, so that it is the next one's turn.
static bool serve_first(struct sg_worker *worker, const struct sg_account *account)
{
	struct sg_exchange *first = sg_waiting_first(worker, account);

	if (!first)
		return false;
	sg_admission_ask_again(first);
	return sg_waiting_first(worker, account) != first;
}

void sg_waiting_on_room(struct sg_worker *worker)
{
	const struct sg_wait_queue *queue = worker->wait_queues, *next;

	for (; queue; queue = next) {
		const struct sg_account *account = queue->account;

		// It may be freed when its last one is served; no other one can be.
		next = queue->next;
		while (serve_first(worker, account))
			;
	}
}
