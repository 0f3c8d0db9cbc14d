// SPDX-License-Identifier: Apache-2.0
// Calls that were refused, and what is to be told of budgets: of room, of events.
#include <string.h>

#include "budget/breaker.h"
#include "budget/engine_state.h"

void sg_engine_tell_room(const struct sg_engine *engine, uint64_t waiting)
{
	for (; waiting && engine->on_room; waiting &= waiting - 1)
		engine->on_room(engine->on_room_context, (unsigned)__builtin_ctzll(waiting));
}

void sg_engine_tell(struct sg_engine *engine, const struct sg_account *account, int64_t now_ns,
	struct sg_budget_event *event)
{
	strcpy(event->agent, account->name);
	event->at_ns = sg_engine_wall_ns(engine, now_ns);
	sg_events_push(&engine->events, event);
	sg_writer_nudge(engine->writer);
}

// The budget that a refusal names, as a bit; 0: it has no breaker, or is none of the account's any
// more.
static uint64_t find_watching(const struct sg_account *account, const struct sg_refusal *refusal)
{
	for (unsigned i = 0; i < account->count; i++) {
		const struct sg_budget *budget = account->budgets[i];

		if (budget->breaker &&
			sg_budget_is(budget, refusal->scope, refusal->budget, refusal->label))
			return UINT64_C(1) << i;
	}
	return 0;
}

static void show_breaker(
	struct sg_engine *engine, struct sg_account *account, const struct sg_refusal *refusal)
{
	uint64_t found = find_watching(account, refusal);
	struct sg_budget_event event;
	struct sg_budget *budget;
	int64_t now_ns;
	bool tripped;

	if (!found)
		return;
	now_ns = engine->monotonic_ns();
	budget = account->budgets[__builtin_ctzll(found)];
	sg_account_lock_shared(account, found);
	tripped = sg_breaker_sees_refusal(budget->breaker, now_ns);
	if (tripped)
		sg_budget_tripped(budget, "refusals", &event);
	sg_account_unlock_shared(account, found);
	if (tripped)
		sg_engine_tell(engine, account, now_ns, &event);
}

void sg_account_refused(
	struct sg_engine *engine, struct sg_account *account, const struct sg_refusal *refusal)
{
	sg_lock_take(&account->lock);
	account->refused++;
	if (refusal)
		show_breaker(engine, account, refusal);
	sg_lock_give(&account->lock);
}
