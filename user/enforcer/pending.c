// SPDX-License-Identifier: Apache-2.0
#include "enforcer/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "budget/journal.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// What the journal keeps of a call beside its hold.
#define IS_REGIONAL 1
#define IS_OWN_HOST 2

// Of a worker's slots in the journal, these may wait; and of them, these of one account.
#define WAITING_PART 4
#define ACCOUNT_PART 2

#define BUCKETS 4096

// Who has any.
struct owner {
	const struct sg_account *account;
	unsigned total;
	unsigned counts[SG_MAX_WORKERS];
	UT_hash_handle hh;
};

struct sg_pendings {
	pthread_mutex_t lock;
	struct sg_pending *buckets[BUCKETS]; // by id
	struct owner *owners;
	unsigned most_of_worker;
	unsigned counts[SG_MAX_WORKERS];
};

struct sg_pending_end {
	struct sg_hold hold;
	bool owed;
	struct sg_settlement settlement;
	char model[SG_MODEL_BYTES];
};

int sg_pendings_new(unsigned workers, struct sg_pendings **ret_pendings)
{
	struct sg_pendings *pendings = calloc(1, sizeof(*pendings));

	if (!pendings)
		return -ENOMEM;
	pthread_mutex_init(&pendings->lock, NULL);
	pendings->most_of_worker = SG_JOURNAL_SLOTS / workers / WAITING_PART;
	*ret_pendings = pendings;
	return 0;
}

static void drop(struct sg_pending *pending)
{
	sg_price_table_give_back(pending->prices);
	free(pending);
}

static void drop_all(struct sg_pending *at)
{
	struct sg_pending *next;

	for (; at; at = next) {
		next = at->next;
		drop(at);
	}
}

struct sg_pendings *sg_pendings_free(struct sg_pendings *pendings)
{
	struct owner *owner, *next;

	if (!pendings)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++)
		drop_all(pendings->buckets[i]);
	HASH_ITER(hh, pendings->owners, owner, next)
	{
		HASH_DEL(pendings->owners, owner);
		free(owner);
	}
	pthread_mutex_destroy(&pendings->lock);
	free(pendings);
	return NULL;
}

// ---- The table, under the lock ----

static struct sg_pending **bucket_of(struct sg_pendings *pendings, const char *id)
{
	uint64_t hash = sg_hash(SG_HASH_START, id, strlen(id));

	return &pendings->buckets[(hash ^ hash >> 32) % BUCKETS];
}

static bool is_asked_about(const struct sg_pending *pending, const struct sg_account *account,
	bool own_host, const struct sg_provider *provider, const char *id)
{
	return pending->provider == provider && strcmp(pending->id, id) == 0 &&
	       (pending->hold.account == account || (pending->own_host && own_host));
}

// Where the call is linked; *result is NULL when it is not there.
static struct sg_pending **find(struct sg_pendings *pendings, const struct sg_account *account,
	bool own_host, const struct sg_provider *provider, const char *id)
{
	struct sg_pending **at = bucket_of(pendings, id);

	while (*at && !is_asked_about(*at, account, own_host, provider, id))
		at = &(*at)->next;
	return at;
}

static struct sg_pending **find_again(
	struct sg_pendings *pendings, const struct sg_pending *pending)
{
	return find(
		pendings, pending->hold.account, pending->own_host, pending->provider, pending->id);
}

static struct owner *owner_of(struct sg_pendings *pendings, const struct sg_account *account)
{
	struct owner *owner;

	HASH_FIND_PTR(pendings->owners, &account, owner);
	return owner;
}

static struct sg_pending *unlink_at(struct sg_pendings *pendings, struct sg_pending **at)
{
	struct sg_pending *pending = *at;
	struct owner *owner;

	if (!pending)
		return NULL;
	*at = pending->next;
	pendings->counts[pending->hold.worker]--;
	owner = owner_of(pendings, pending->hold.account);
	owner->counts[pending->hold.worker]--;
	if (--owner->total == 0) {
		HASH_DEL(pendings->owners, owner);
		free(owner);
	}
	return pending;
}

static int link_in(struct sg_pendings *pendings, struct sg_pending *pending)
{
	struct sg_pending **bucket = bucket_of(pendings, pending->id);
	struct owner *owner = owner_of(pendings, pending->hold.account);

	if (!owner) {
		owner = calloc(1, sizeof(*owner));
		if (!owner)
			return -ENOMEM;
		owner->account = pending->hold.account;
		HASH_ADD_PTR(pendings->owners, account, owner);
	}
	owner->total++;
	owner->counts[pending->hold.worker]++;
	pendings->counts[pending->hold.worker]++;
	pending->next = *bucket;
	*bucket = pending;
	return 0;
}

// An account takes no more than a part, or all others would be charged by their holds.
static bool has_room(struct sg_pendings *pendings, const struct sg_hold *hold)
{
	const struct owner *owner = owner_of(pendings, hold->account);

	return pendings->counts[hold->worker] < pendings->most_of_worker &&
	       (!owner || owner->counts[hold->worker] < pendings->most_of_worker / ACCOUNT_PART);
}

// ---- Putting ----

int sg_pending_put(
	struct sg_pendings *pendings, struct sg_engine *engine, const struct sg_pending *pending)
{
	struct sg_pending *copy = malloc(sizeof(*copy));
	int r = 0;

	if (!copy)
		return -ENOMEM;
	*copy = *pending;
	sg_price_table_take(copy->prices);
	pthread_mutex_lock(&pendings->lock);
	if (*find_again(pendings, pending)) {
		r = -EEXIST;
	} else if (!has_room(pendings, &pending->hold)) {
		r = -ENOSPC;
	} else {
		r = link_in(pendings, copy);
		if (r == 0)
			sg_hold_defer(engine, &pending->hold, pending->id,
				(pending->facts.regional ? IS_REGIONAL : 0) |
					(pending->own_host ? IS_OWN_HOST : 0));
	}
	pthread_mutex_unlock(&pendings->lock);
	if (r < 0)
		drop(copy);
	return r;
}

int sg_pending_join(
	struct sg_pendings *pendings, struct sg_engine *engine, struct sg_pending *pending)
{
	struct sg_pending *found;
	int r = -ENOENT;

	pthread_mutex_lock(&pendings->lock);
	found = *find_again(pendings, pending);
	if (found && found->hold.account == pending->hold.account)
		r = sg_hold_join(engine, &found->hold, &pending->hold);
	pthread_mutex_unlock(&pendings->lock);
	return r;
}

// ---- After a restart ----

struct restoring {
	struct sg_pendings *pendings;
	struct sg_engine *engine;
	const struct sg_price_table *prices;
	int64_t now_ms, wall_ns;
};

// Its provider is one of the configuration no more: nobody can tell its end.
static int charge_hold(struct sg_engine *engine, const struct sg_deferred_hold *found)
{
	const struct sg_settlement settlement = { .state = SG_ESTIMATED,
		.charge = found->hold.bound };
	struct sg_hold hold = found->hold;

	sg_hold_settle(engine, &hold, &settlement);
	return 0;
}

static int restore(void *context, const struct sg_deferred_hold *found)
{
	const struct restoring *restoring = context;
	const struct sg_provider *provider = sg_provider_by_name(found->provider);
	struct sg_pending *pending;
	int64_t age_ns = restoring->wall_ns - found->at_ns;

	if (!provider || strlen(found->id) >= sizeof(pending->id))
		return charge_hold(restoring->engine, found);
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	pending->provider = provider;
	strcpy(pending->id, found->id);
	pending->hold = found->hold;
	pending->prices = sg_price_table_take(restoring->prices);
	pending->own_host = found->flags & IS_OWN_HOST;
	sg_request_facts_of_earlier(provider, found->model, &pending->facts);
	pending->facts.regional = found->flags & IS_REGIONAL;
	pending->expires_ms =
		restoring->now_ms + SG_PENDING_MS - (age_ns > 0 ? age_ns : 0) / SG_NS_PER_MS;
	if (link_in(restoring->pendings, pending) < 0) {
		drop(pending);
		return -ENOMEM;
	}
	sg_log(SG_LOG_INFO, "still_deferred", "call=%llu id=%s",
		(unsigned long long)found->hold.call_id, found->id);
	return 0;
}

int sg_pendings_restore(struct sg_pendings *pendings, struct sg_engine *engine,
	const struct sg_price_table *prices, struct sg_error *error)
{
	struct restoring restoring = { .pendings = pendings,
		.engine = engine,
		.prices = prices,
		.now_ms = sg_clock_monotonic_ns() / SG_NS_PER_MS,
		.wall_ns = sg_clock_wall_ns() };
	int r = sg_engine_each_deferred(engine, restore, &restoring);

	return r < 0 ? sg_error_set(
			       error, r, "calls that go on at their providers: %s", strerror(-r))
		     : 0;
}

// ---- Asking ----

bool sg_pending_find(struct sg_pendings *pendings, const struct sg_account *account, bool own_host,
	const struct sg_provider *provider, const char *id, struct sg_pending *ret_pending)
{
	const struct sg_pending *found;

	pthread_mutex_lock(&pendings->lock);
	found = *find(pendings, account, own_host, provider, id);
	if (found) {
		*ret_pending = *found;
		sg_price_table_take(found->prices);
	}
	pthread_mutex_unlock(&pendings->lock);
	return found != NULL;
}

// ---- The end ----

static void settle(struct sg_engine *engine, struct sg_pending_end *end)
{
	if (end->owed)
		sg_hold_settle(engine, &end->hold, &end->settlement);
	else
		sg_hold_release(engine, &end->hold);
}

void sg_pending_end(struct sg_worker *worker, struct sg_pending_end *end)
{
	settle(worker->enforcer->engine, end);
	free(end);
}

// A hold is settled by the worker that took it: the others send it mail. Without memory for that it
// stays out, and is charged by the journal.
static void end_hold(struct sg_worker *worker, const struct sg_pending_end *end)
{
	struct sg_mail mail = { .kind = SG_MAIL_SETTLE, .fds = { -1, -1 } };
	struct sg_pending_end *copy;

	copy = malloc(sizeof(*copy));
	if (!copy) {
		sg_log(SG_LOG_ERROR, "settle_failed", "call=%llu reason=\"out of memory\"",
			(unsigned long long)end->hold.call_id);
		return;
	}
	*copy = *end;
	if (copy->settlement.model)
		copy->settlement.model = copy->model;
	if (end->hold.worker == worker->index) {
		sg_pending_end(worker, copy);
		return;
	}
	mail.end = copy;
	if (sg_worker_post(worker->enforcer->workers[end->hold.worker], &mail) < 0)
		free(copy);
}

void sg_pending_settle(struct sg_worker *worker, const struct sg_pending *pending,
	const struct sg_settlement *settlement)
{
	struct sg_pendings *pendings = worker->enforcer->pendings;
	struct sg_pending_end end = { .owed = settlement != NULL };
	struct sg_pending *taken;

	pthread_mutex_lock(&pendings->lock);
	taken = unlink_at(pendings, find_again(pendings, pending));
	pthread_mutex_unlock(&pendings->lock);
	if (!taken)
		return;
	end.hold = taken->hold;
	if (settlement) {
		end.settlement = *settlement;
		if (settlement->model)
			memcpy(end.model, settlement->model, strlen(settlement->model) + 1);
	}
	drop(taken);
	end_hold(worker, &end);
}

// Links those of the worker that nobody will ask about any more.
static struct sg_pending *take_expired(
	struct sg_pendings *pendings, unsigned worker, int64_t now_ms)
{
	struct sg_pending *expired = NULL;

	pthread_mutex_lock(&pendings->lock);
	for (size_t i = 0; pendings->counts[worker] && i < BUCKETS; i++) {
		struct sg_pending **at = &pendings->buckets[i];

		while (*at) {
			struct sg_pending *taken;

			if ((*at)->hold.worker != worker || (*at)->expires_ms > now_ms) {
				at = &(*at)->next;
				continue;
			}
			taken = unlink_at(pendings, at);
			taken->next = expired;
			expired = taken;
		}
	}
	pthread_mutex_unlock(&pendings->lock);
	return expired;
}

void sg_pending_sweep(struct sg_worker *worker, int64_t now_ms)
{
	struct sg_pending *expired =
		take_expired(worker->enforcer->pendings, worker->index, now_ms);

	for (struct sg_pending *at = expired; at; at = at->next) {
		struct sg_settlement settlement = { .state = SG_ESTIMATED,
			.charge = at->hold.bound };

		sg_log(SG_LOG_WARN, "never_asked", "call=%llu id=%s effect=\"the hold is charged\"",
			(unsigned long long)at->hold.call_id, at->id);
		sg_hold_settle(worker->enforcer->engine, &at->hold, &settlement);
	}
	drop_all(expired);
}
