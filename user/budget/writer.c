// SPDX-License-Identifier: Apache-2.0
#include "budget/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define INTERVAL_MS 100
#define RETRY_MS    1000

// What one transaction takes of a worker at most: slots are free again after each.
#define BATCH_SLOTS 4096

// Slots go round: pushed at `tail` by the worker, committed up to `head` by the writer, taken back
// from `back` by the worker. A worker has fewer slots than there are items, so `tail` never runs
// into `back`. Each index is written by one side only.
struct ring {
	_Alignas(64) _Atomic uint32_t tail; // worker
	uint32_t back;			    // worker
	_Alignas(64) _Atomic uint32_t head; // writer
	uint32_t items[SG_JOURNAL_SLOTS];
};

struct sg_writer {
	struct sg_journal *journal;
	struct sg_ledger *ledger;
	unsigned workers;
	// A region fills in well under INTERVAL_MS when calls are many: the writer is woken when
	// half of one waits.
	uint32_t nudge_slots;
	sg_writer_pass_fn after_pass;
	void *context;
	struct ring *rings;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, passed;
	bool stop;
	bool failing;
	_Atomic bool nudged;
	unsigned flushes_wanted; // callers that wait
	uint64_t passes;
};

void sg_writer_nudge(struct sg_writer *writer)
{
	if (atomic_exchange_explicit(&writer->nudged, true, memory_order_relaxed))
		return;
	pthread_mutex_lock(&writer->lock);
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
}

void sg_writer_push(struct sg_writer *writer, unsigned worker, uint32_t slot)
{
	struct ring *ring = &writer->rings[worker];
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	ring->items[tail % SG_JOURNAL_SLOTS] = slot;
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	if ((tail + 1) % writer->nudge_slots == 0)
		sg_writer_nudge(writer);
}

bool sg_writer_take_back(struct sg_writer *writer, unsigned worker, uint32_t *ret_slot)
{
	struct ring *ring = &writer->rings[worker];

	if (ring->back == atomic_load_explicit(&ring->head, memory_order_acquire))
		return false;
	*ret_slot = ring->items[ring->back++ % SG_JOURNAL_SLOTS];
	return true;
}

bool sg_writer_is_behind(const struct sg_writer *writer, unsigned worker)
{
	const struct ring *ring = &writer->rings[worker];

	return ring->back != atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

static uint32_t head_of(const struct ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_relaxed);
}

static int add_ring(struct sg_writer *writer, const struct ring *ring, uint32_t tail)
{
	int r = 0;

	for (uint32_t i = head_of(ring); r == 0 && i != tail; i++)
		r = sg_ledger_add(writer->ledger,
			&writer->journal->slots[ring->items[i % SG_JOURNAL_SLOTS]], false);
	return r;
}

static void free_slots(struct sg_writer *writer, struct ring *ring, uint32_t tail)
{
	for (uint32_t i = head_of(ring); i != tail; i++)
		atomic_store_explicit(
			&writer->journal->slots[ring->items[i % SG_JOURNAL_SLOTS]].state,
			SG_SLOT_FREE, memory_order_release);
	atomic_store_explicit(&ring->head, tail, memory_order_release);
}

// Up to where a worker's slots go into the next transaction: *ret_any, is there any?
static uint32_t end_of_batch(const struct ring *ring, uint32_t tail, bool *ret_any)
{
	uint32_t waiting = tail - head_of(ring);

	*ret_any = *ret_any || waiting;
	return head_of(ring) + (waiting < BATCH_SLOTS ? waiting : BATCH_SLOTS);
}

// One transaction of what is there before `tails`. Returns 1, 0 when there is nothing, or -errno:
// then every slot of it stays SETTLED and is tried again.
static int write_batch(struct sg_writer *writer, const uint32_t *tails)
{
	uint32_t ends[SG_MAX_WORKERS] = { 0 };
	bool any = false;
	int r;

	for (unsigned i = 0; i < writer->workers; i++)
		ends[i] = end_of_batch(&writer->rings[i], tails[i], &any);
	if (!any)
		return 0;
	r = sg_ledger_begin(writer->ledger);
	for (unsigned i = 0; r == 0 && i < writer->workers; i++)
		r = add_ring(writer, &writer->rings[i], ends[i]);
	if (r == 0)
		r = sg_ledger_commit(writer->ledger);
	if (r < 0) {
		sg_ledger_rollback(writer->ledger);
		return r;
	}
	for (unsigned i = 0; i < writer->workers; i++)
		free_slots(writer, &writer->rings[i], ends[i]);
	return 1;
}

// Everything that was pushed before.
static int write_all(struct sg_writer *writer)
{
	uint32_t tails[SG_MAX_WORKERS] = { 0 };
	int r = 1;

	for (unsigned i = 0; i < writer->workers; i++)
		tails[i] = atomic_load_explicit(&writer->rings[i].tail, memory_order_acquire);
	while (r > 0) {
		r = write_batch(writer, tails);
		pthread_mutex_lock(&writer->lock);
		pthread_cond_broadcast(&writer->passed); // some wait for a slot only
		pthread_mutex_unlock(&writer->lock);
	}
	return r;
}

static void tell_change(struct sg_writer *writer, int r)
{
	if (r < 0 && !writer->failing)
		sg_log(SG_LOG_ERROR, "ledger_failed",
			"reason=\"%s\" effect=\"calls are kept in the hold journal; new ones are "
			"refused when it is full\"",
			sg_ledger_error(writer->ledger));
	if (r == 0 && writer->failing)
		sg_log(SG_LOG_INFO, "ledger_back", "effect=\"the hold journal is being written\"");
	writer->failing = r < 0;
}

static void wait_for_work(struct sg_writer *writer)
{
	struct timespec until;
	int64_t ms = writer->failing ? RETRY_MS : INTERVAL_MS;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * SG_NS_PER_MS;
	until.tv_sec += ms / 1000 + until.tv_nsec / SG_NS_PER_SEC;
	until.tv_nsec %= SG_NS_PER_SEC;
	// A nudge does not shorten the wait before a retry.
	while (!writer->stop && !writer->flushes_wanted &&
		(writer->failing || !atomic_load_explicit(&writer->nudged, memory_order_relaxed)))
		if (pthread_cond_timedwait(&writer->wake, &writer->lock, &until) == ETIMEDOUT)
			return;
}

static void *run(void *context)
{
	struct sg_writer *writer = context;
	bool last = false;

	while (!last) {
		int r;

		pthread_mutex_lock(&writer->lock);
		wait_for_work(writer);
		last = writer->stop;
		atomic_store_explicit(&writer->nudged, false, memory_order_relaxed);
		pthread_mutex_unlock(&writer->lock);
		r = write_all(writer);
		writer->after_pass(writer->context, r < 0 ? NULL : writer->ledger);
		pthread_mutex_lock(&writer->lock);
		tell_change(writer, r);
		writer->flushes_wanted = 0;
		writer->passes++;
		pthread_cond_broadcast(&writer->passed);
		pthread_mutex_unlock(&writer->lock);
	}
	return NULL;
}

// The pass that runs now may have looked before the caller's push: the one after it has not.
int sg_writer_flush(struct sg_writer *writer)
{
	uint64_t wanted;
	int r;

	pthread_mutex_lock(&writer->lock);
	wanted = writer->passes + 2;
	while (writer->passes < wanted && !writer->stop) {
		writer->flushes_wanted++;
		pthread_cond_signal(&writer->wake);
		pthread_cond_wait(&writer->passed, &writer->lock);
	}
	r = writer->failing ? -EIO : 0;
	pthread_mutex_unlock(&writer->lock);
	return r;
}

bool sg_writer_await_slot(struct sg_writer *writer, unsigned worker, uint32_t *ret_slot)
{
	bool taken;
	uint64_t last;

	pthread_mutex_lock(&writer->lock);
	last = writer->passes + 2;
	while (!(taken = sg_writer_take_back(writer, worker, ret_slot)) && writer->passes < last &&
		!writer->stop) {
		writer->flushes_wanted++;
		pthread_cond_signal(&writer->wake);
		pthread_cond_wait(&writer->passed, &writer->lock);
	}
	pthread_mutex_unlock(&writer->lock);
	return taken;
}

static struct sg_writer *free_writer(struct sg_writer *writer)
{
	pthread_mutex_destroy(&writer->lock);
	pthread_cond_destroy(&writer->wake);
	pthread_cond_destroy(&writer->passed);
	sg_ledger_close(writer->ledger);
	free(writer->rings);
	free(writer);
	return NULL;
}

int sg_writer_start(struct sg_journal *journal, struct sg_ledger *ledger, unsigned workers,
	sg_writer_pass_fn after_pass, void *context, struct sg_writer **ret_writer)
{
	struct sg_writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t attributes;
	int r;

	if (!writer) {
		sg_ledger_close(ledger);
		return -ENOMEM;
	}
	writer->journal = journal;
	writer->ledger = ledger;
	writer->workers = workers;
	writer->nudge_slots = SG_JOURNAL_SLOTS / workers / 2;
	writer->after_pass = after_pass;
	writer->context = context;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->wake, &attributes);
	pthread_cond_init(&writer->passed, &attributes);
	pthread_condattr_destroy(&attributes);
	writer->rings = aligned_alloc(64, workers * sizeof(*writer->rings));
	if (writer->rings)
		memset(writer->rings, 0, workers * sizeof(*writer->rings));
	r = writer->rings ? -pthread_create(&writer->thread, NULL, run, writer) : -ENOMEM;
	if (r < 0) {
		free_writer(writer);
		return r;
	}
	*ret_writer = writer;
	return 0;
}

struct sg_writer *sg_writer_stop(struct sg_writer *writer)
{
	if (!writer)
		return NULL;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	return free_writer(writer);
}
