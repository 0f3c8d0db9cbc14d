// SPDX-License-Identifier: Apache-2.0
// What the budget engine adds to a call: the time of one hold and its settlement, with one worker
// and with two on one budget: median, p99 and maximum in nanoseconds. Then how many a second it
// takes of workers that do nothing else, in bursts that the hold journal has room for, with the run
// time of the workers' threads, which depends less on what else the machine does; and for as long
// as it lasts, where the ledger's writer sets the pace. The state is on the file system of the
// directory that is given (default: /tmp).
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "budget/engine.h"

#define MAX_THREADS 2
#define CALLS	    200000
// Agents wait for their providers: a worker that did nothing but hold and settle would only measure
// the ledger.
#define PAUSE_EVERY 50
#define PAUSE_NS    1000000

// Fewer than a worker's part of the journal has slots: nobody waits for the ledger.
#define BURST	  8000
#define BURSTS	  50
#define SUSTAINED 400000

struct worker {
	struct sg_engine *engine;
	struct sg_account *account;
	unsigned index;
	unsigned refused;
	int64_t *times_ns; // of each call, where they are wanted
	int calls;
	int64_t cpu_ns; // of the worker's thread, in all
	pthread_barrier_t *ready;
	int64_t start_ns, end_ns; // of the last run, without the making of its thread
};

// Returns false where it was refused.
static bool spend_once(const struct worker *worker)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o-2024-08-06", .api = "chat"
	};
	static const struct sg_settlement settlement = { .state = SG_SETTLED,
		.charge = { .nanousd = 900,
			.input_tokens = 100,
			.output_tokens = 10,
			.requests = 1 },
		.model = "gpt-4o-2024-08-06",
		.http_status = 200 };
	const struct sg_charge bound = { 1000, 120, 16, 1 };
	struct sg_refusal refusal;
	struct sg_hold hold;
	bool soft_alert;

	if (sg_hold_take(worker->engine, worker->index, worker->account, &call, &bound, &hold,
		    &refusal, &soft_alert) < 0)
		return false;
	sg_hold_settle(worker->engine, &hold, &settlement);
	return true;
}

static void *spend(void *context)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct worker *worker = context;

	for (int i = 0; i < CALLS; i++) {
		int64_t start_ns = sg_clock_monotonic_ns();

		worker->refused += !spend_once(worker);
		worker->times_ns[i] = sg_clock_monotonic_ns() - start_ns;
		if (i % PAUSE_EVERY == 0)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

static int64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * SG_NS_PER_SEC + now.tv_nsec;
}

static void *spend_without_pause(void *context)
{
	struct worker *worker = context;
	int64_t start_ns;

	pthread_barrier_wait(worker->ready);
	worker->start_ns = sg_clock_monotonic_ns();
	start_ns = cpu_ns();
	for (int i = 0; i < worker->calls; i++)
		worker->refused += !spend_once(worker);
	worker->cpu_ns += cpu_ns() - start_ns;
	worker->end_ns = sg_clock_monotonic_ns();
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

static void report(unsigned threads, int64_t *times_ns, unsigned refused)
{
	size_t count = (size_t)threads * CALLS;

	qsort(times_ns, count, sizeof(*times_ns), compare);
	printf("%u worker%s: median %lld ns, p99 %lld ns, p99.9 %lld ns, maximum %lld ns, refused "
	       "%u\n",
		threads, threads == 1 ? "" : "s", (long long)times_ns[count / 2],
		(long long)times_ns[count / 100 * 99], (long long)times_ns[count / 1000 * 999],
		(long long)times_ns[count - 1], refused);
}

static int open_engine(const char *directory, unsigned threads, struct worker *workers)
{
	const struct sg_engine_options options = { .state_directory = directory,
		.workers = threads };
	const struct sg_policy policy = { .count = 2,
		.budgets = { { .name = "day",
				     .limit_nanousd = SG_NS_PER_SEC * 1000000,
				     .window_ns = 86400 * SG_NS_PER_SEC },
			{ .name = "all", .max_requests = INT64_C(1) << 40 } } };
	struct sg_account *account;
	struct sg_engine *engine;
	struct sg_error error;

	if (sg_engine_open(&options, &engine, &error) < 0 ||
		sg_account_set(engine, "bench", &policy, &account, &error) < 0) {
		fprintf(stderr, "bench_engine: %s\n", error.text);
		return -1;
	}
	for (unsigned i = 0; i < threads; i++)
		workers[i] = (struct worker){ .engine = engine, .account = account, .index = i };
	return 0;
}

// Returns how many calls were refused.
static unsigned run(void *(*work)(void *), struct worker *workers, unsigned threads)
{
	pthread_t ids[MAX_THREADS];
	pthread_barrier_t ready;
	unsigned refused = 0;

	pthread_barrier_init(&ready, NULL, threads);
	for (unsigned i = 0; i < threads; i++)
		workers[i].ready = &ready;
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
			abort();
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		refused += workers[i].refused;
		workers[i].refused = 0;
	}
	pthread_barrier_destroy(&ready);
	return refused;
}

// From when the first of them began to when the last had ended.
static int64_t took_ns(const struct worker *workers, unsigned threads)
{
	int64_t start_ns = INT64_MAX, end_ns = 0;

	for (unsigned i = 0; i < threads; i++) {
		if (workers[i].start_ns < start_ns)
			start_ns = workers[i].start_ns;
		if (workers[i].end_ns > end_ns)
			end_ns = workers[i].end_ns;
	}
	return end_ns - start_ns;
}

static int measure_times(const char *directory, unsigned threads)
{
	int64_t *times_ns = calloc((size_t)threads * CALLS, sizeof(*times_ns));
	struct worker workers[MAX_THREADS];

	if (!times_ns || open_engine(directory, threads, workers) < 0) {
		free(times_ns);
		return -1;
	}
	for (unsigned i = 0; i < threads; i++)
		workers[i].times_ns = times_ns + (size_t)i * CALLS;
	report(threads, times_ns, run(spend, workers, threads));
	sg_engine_close(workers[0].engine);
	free(times_ns);
	return 0;
}

static int measure_rate(const char *directory, unsigned threads)
{
	struct worker workers[MAX_THREADS];
	unsigned refused = 0;
	int64_t burst_ns = 0, burst_cpu_ns = 0, sustained_ns;

	if (open_engine(directory, threads, workers) < 0)
		return -1;
	for (int burst = 0; burst < BURSTS; burst++) {
		for (unsigned i = 0; i < threads; i++)
			workers[i].calls = BURST / (int)threads;
		sg_engine_flush(workers[0].engine);
		refused += run(spend_without_pause, workers, threads);
		burst_ns += took_ns(workers, threads);
	}
	for (unsigned i = 0; i < threads; i++) {
		workers[i].calls = SUSTAINED / (int)threads;
		burst_cpu_ns += workers[i].cpu_ns;
	}
	refused += run(spend_without_pause, workers, threads);
	sustained_ns = took_ns(workers, threads);
	printf("%u worker%s: %.0f a second in bursts of %d (%.0f ns of CPU a call), %.0f for as "
	       "long as it lasts, refused "
	       "%u\n",
		threads, threads == 1 ? "" : "s", (double)BURST * BURSTS * 1e9 / (double)burst_ns,
		BURST, (double)burst_cpu_ns / (BURST * BURSTS),
		(double)SUSTAINED * 1e9 / (double)sustained_ns, refused);
	sg_engine_close(workers[0].engine);
	return 0;
}

int main(int argc, char **argv)
{
	char directory[256], command[320];
	int r = 0;

	snprintf(directory, sizeof(directory), "%s/spendgate-bench-XXXXXX",
		argc > 1 ? argv[1] : "/tmp");
	if (!mkdtemp(directory)) {
		perror(directory);
		return 1;
	}
	for (unsigned threads = 1; r == 0 && threads <= MAX_THREADS; threads++)
		r = measure_times(directory, threads);
	for (unsigned threads = 1; r == 0 && threads <= MAX_THREADS; threads++)
		r = measure_rate(directory, threads);
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	if (system(command) != 0)
		r = -1;
	return r < 0;
}
