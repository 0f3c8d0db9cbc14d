// SPDX-License-Identifier: Apache-2.0
#include "enforcer/agent_load.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "budget/journal.h"
#include "enforcer/agent.h"
#include "enforcer/limits.h"

struct sg_agent_load *sg_agent_load_new(void)
{
	struct sg_agent_load *load = calloc(1, sizeof(*load));

	if (load)
		atomic_store(&load->references, 1);
	return load;
}

struct sg_agent_load *sg_agent_load_ref(struct sg_agent_load *load)
{
	atomic_fetch_add_explicit(&load->references, 1, memory_order_relaxed);
	return load;
}

void sg_agent_load_unref(struct sg_agent_load *load)
{
	if (load && atomic_fetch_sub_explicit(&load->references, 1, memory_order_acq_rel) == 1)
		free(load);
}

// ---- Connections and calls ----

static bool count_in(_Atomic unsigned *count, unsigned most)
{
	return atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most;
}

// When it has half as many as it may, that it has too many is news again.
static void count_out(_Atomic unsigned *count, unsigned most, _Atomic bool *told)
{
	if (atomic_fetch_sub_explicit(count, 1, memory_order_relaxed) - 1 <= most / 2 &&
		atomic_load_explicit(told, memory_order_relaxed))
		atomic_store_explicit(told, false, memory_order_relaxed);
}

static bool is_news(_Atomic bool *told)
{
	return !atomic_exchange_explicit(told, true, memory_order_relaxed);
}

bool sg_agent_enter(struct sg_agent *agent)
{
	struct sg_agent_load *load = agent->load;

	if (atomic_load_explicit(&load->cut, memory_order_relaxed))
		return false;
	if (count_in(&load->connections, agent->max_connections))
		return true;
	sg_agent_leave(agent);
	if (is_news(&load->told_connections))
		sg_log(SG_LOG_WARN, "too_many_connections",
			"agent=%s max_connections=%u effect=\"further ones are closed until it has "
			"half as many\"",
			agent->name, agent->max_connections);
	return false;
}

void sg_agent_leave(struct sg_agent *agent)
{
	struct sg_agent_load *load = agent->load;

	count_out(&load->connections, agent->max_connections, &load->told_connections);
}

bool sg_agent_begin_call(struct sg_agent *agent, unsigned worker, unsigned workers)
{
	struct sg_agent_load *load = agent->load;
	bool fits = count_in(&load->calls, agent->max_calls) &&
		    load->calls_of[worker] < SG_JOURNAL_SLOTS / workers / 2;

	load->calls_of[worker]++;
	if (fits)
		return true;
	sg_agent_end_call(agent, worker);
	if (is_news(&load->told_calls))
		sg_log(SG_LOG_WARN, "too_many_calls",
			"agent=%s max_calls=%u effect=\"further ones are answered with 429 until "
			"some have ended\"",
			agent->name, agent->max_calls);
	return false;
}

void sg_agent_end_call(struct sg_agent *agent, unsigned worker)
{
	struct sg_agent_load *load = agent->load;

	load->calls_of[worker]--;
	count_out(&load->calls, agent->max_calls, &load->told_calls);
}

// ---- Lines ----

// Each line is paid for some time ahead, up to a limit (a leaky bucket that is kept as a point in
// time).
bool sg_agent_may_tell(struct sg_agent_load *load, int64_t now_ns, uint64_t *ret_untold)
{
	const int64_t price_ns = SG_NS_PER_SEC / SG_LINES_PER_SECOND;
	int64_t before_ns = atomic_load_explicit(&load->lines_paid_ns, memory_order_relaxed);
	int64_t after_ns;

	do {
		after_ns = (before_ns > now_ns ? before_ns : now_ns) + price_ns;
		if (after_ns - now_ns > SG_LINES_AT_ONCE * price_ns) {
			atomic_fetch_add_explicit(&load->untold, 1, memory_order_relaxed);
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(&load->lines_paid_ns, &before_ns, after_ns,
		memory_order_relaxed, memory_order_relaxed));
	*ret_untold = sg_agent_take_untold(load);
	return true;
}

uint64_t sg_agent_take_untold(struct sg_agent_load *load)
{
	return atomic_exchange_explicit(&load->untold, 0, memory_order_relaxed);
}
