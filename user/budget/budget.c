// SPDX-License-Identifier: Apache-2.0
#include "budget/budget.h"

#include <string.h>

#include "base/clock.h"
#include "base/money.h"

// Holds end within seconds: who was refused for those of others may ask again soon.
#define HOLDS_END_NS SG_NS_PER_SEC

static const struct sg_charge nothing;

void sg_budget_init(struct sg_budget *budget, const struct sg_budget_policy *policy)
{
	budget->policy = *policy;
	for (unsigned i = 0; i < SG_MAX_ALERTS; i++)
		budget->alerted_ns[i] = INT64_MIN;
}

void sg_budget_init_window(struct sg_window *window, const struct sg_budget_policy *policy,
	const struct sg_timezone *zone, int64_t wall_minus_monotonic_ns, int64_t now_ns)
{
	if (policy->calendar)
		sg_window_init_calendar(
			window, policy->calendar, zone, wall_minus_monotonic_ns, now_ns);
	else
		sg_window_init(window, policy->window_ns);
}

// ---- Limits ----

static bool is_concurrent(const struct sg_budget *budget, const struct sg_ask *ask)
{
	return budget->policy.max_concurrency && !ask->is_more &&
	       budget->held.requests >= budget->policy.max_concurrency;
}

struct sg_verdict sg_budget_judge(struct sg_budget *budget, const struct sg_ask *ask)
{
	const struct sg_budget_policy *policy = &budget->policy;
	const struct sg_charge *spent = &budget->window.sum;
	bool money, counts;

	money = sg_money_is_over(policy, spent, &budget->held, ask);
	counts = sg_counts_are_over(policy, spent, &budget->held, ask);
	if (money || counts) {
		bool money_out = sg_money_is_over(policy, spent, &nothing, ask);

		if (money_out || sg_counts_are_over(policy, spent, &nothing, ask))
			return (struct sg_verdict){ .budget = budget, .money = money_out };
	}
	if (budget->breaker && !ask->is_more && sg_breaker_refuses(budget->breaker, ask->now_ns))
		return (struct sg_verdict){ .budget = budget, .tripped = true };
	if (is_concurrent(budget, ask))
		return (struct sg_verdict){ .budget = budget, .concurrency = true };
	if (money || counts)
		return (struct sg_verdict){ .budget = budget, .money = money, .only_held = true };
	return (struct sg_verdict){ .budget = NULL };
}

bool sg_verdict_outweighs(const struct sg_verdict *verdict, const struct sg_verdict *other)
{
	if (!other->budget || verdict->only_held != other->only_held)
		return !other->budget || !verdict->only_held;
	return verdict->money && !other->money;
}

// ---- Telling ----

static bool fits(
	const struct sg_budget *budget, const struct sg_charge *spent, const struct sg_ask *ask)
{
	return !sg_money_is_over(&budget->policy, spent, &nothing, ask) &&
	       !sg_counts_are_over(&budget->policy, spent, &nothing, ask);
}

int64_t sg_budget_resets_in_ns(const struct sg_budget *budget, const struct sg_ask *ask)
{
	const struct sg_window *window = &budget->window;
	struct sg_charge spent = window->sum;

	if (window->calendar)
		return fits(budget, &nothing, ask) ? window->ends_ns - ask->now_ns : -1;
	for (unsigned i = 0; i < window->count; i++) {
		const struct sg_window_bucket *bucket =
			&window->buckets[(window->first + i) % SG_WINDOW_BUCKETS];

		sg_charge_subtract(&spent, &bucket->sum);
		if (fits(budget, &spent, ask))
			return bucket->newest_ns + window->length_ns - ask->now_ns;
	}
	return -1; // it does not fit an empty window either
}

static int64_t refusal_ends_in_ns(const struct sg_verdict *verdict, const struct sg_ask *ask)
{
	if (verdict->tripped)
		return verdict->budget->breaker->until_ns - ask->now_ns;
	if (verdict->only_held || verdict->concurrency)
		return HOLDS_END_NS;
	return sg_budget_resets_in_ns(verdict->budget, ask);
}

void sg_budget_fill_refusal(
	const struct sg_verdict *verdict, const struct sg_ask *ask, struct sg_refusal *refusal)
{
	const struct sg_budget *budget = verdict->budget;
	const struct sg_budget_policy *policy = &budget->policy;

	*refusal = (struct sg_refusal){ .money = verdict->money,
		.only_held = verdict->only_held,
		.breaker = verdict->tripped,
		.scope = policy->scope,
		.behavior = policy->behavior,
		.on_tight = policy->on_tight,
		.wait_ns = policy->wait_ns,
		.observed = policy->observe,
		.limit_nanousd = policy->limit_nanousd,
		.max_requests = policy->max_requests,
		.max_concurrency = policy->max_concurrency,
		.spent_nanousd = budget->window.sum.nanousd,
		.held_nanousd = budget->held.nanousd,
		.requests = budget->window.sum.requests,
		.in_flight = budget->held.requests,
		.unknown_cost_requests = budget->window.estimated,
		.window_ns = policy->window_ns,
		.calendar = policy->calendar,
		.resets_in_ns = refusal_ends_in_ns(verdict, ask),
		.forgets_in_ns = budget->window.forgets_ns == INT64_MAX
					 ? INT64_MAX
					 : budget->window.forgets_ns - ask->now_ns };
	strcpy(refusal->budget, policy->name);
	strcpy(refusal->label, budget->resolved_label);
}

static int64_t left_of(int64_t limit, int64_t spent, int64_t held)
{
	if (!limit)
		return SG_MONEY_MAX;
	return spent >= limit || held >= limit - spent ? 0 : limit - spent - held;
}

static void lower(int64_t *room, int64_t left)
{
	if (left < *room)
		*room = left;
}

void sg_budget_lower_room(
	const struct sg_budget *budget, const struct sg_charge *held, struct sg_room *room)
{
	const struct sg_budget_policy *policy = &budget->policy;
	const struct sg_charge *spent = &budget->window.sum;

	lower(&room->nanousd, left_of(policy->limit_nanousd, spent->nanousd, held->nanousd));
	lower(&room->tokens,
		left_of(policy->max_tokens, sg_charge_tokens(spent), sg_charge_tokens(held)));
	lower(&room->input_tokens,
		left_of(policy->max_input_tokens, spent->input_tokens, held->input_tokens));
	lower(&room->output_tokens,
		left_of(policy->max_output_tokens, spent->output_tokens, held->output_tokens));
	lower(&room->requests, left_of(policy->max_requests, spent->requests, held->requests));
	lower(&room->requests, left_of(policy->max_concurrency, 0, held->requests));
}

// ---- Spending ----

static bool is_at(int64_t limit, int64_t spent, unsigned percent)
{
	return limit && (__int128)spent * 100 >= (__int128)limit * percent;
}

static bool has_reached(const struct sg_budget *budget, unsigned percent)
{
	const struct sg_budget_policy *policy = &budget->policy;
	const struct sg_charge *spent = &budget->window.sum;

	return is_at(policy->limit_nanousd, spent->nanousd, percent) ||
	       is_at(policy->max_requests, spent->requests, percent) ||
	       is_at(policy->max_tokens, sg_charge_tokens(spent), percent) ||
	       is_at(policy->max_input_tokens, spent->input_tokens, percent) ||
	       is_at(policy->max_output_tokens, spent->output_tokens, percent);
}

static uint8_t reached_alerts(const struct sg_budget *budget)
{
	uint8_t reached = 0;

	for (unsigned i = 0; i < budget->policy.alert_count; i++)
		if (has_reached(budget, budget->policy.alerts[i]))
			reached |= (uint8_t)(1u << i);
	return reached;
}

void sg_budget_is_loaded(struct sg_budget *budget)
{
	budget->loaded = true;
	budget->alerted = reached_alerts(budget);
}

static void fill_event(const struct sg_budget *budget, enum sg_budget_event_kind kind,
	struct sg_budget_event *event)
{
	const struct sg_budget_policy *policy = &budget->policy;
	const struct sg_charge *spent = &budget->window.sum;

	*event = (struct sg_budget_event){ .kind = kind,
		.scope = policy->scope,
		.limit_nanousd = policy->limit_nanousd,
		.max_requests = policy->max_requests,
		.max_tokens = policy->max_tokens,
		.spent_nanousd = spent->nanousd,
		.requests = spent->requests,
		.tokens = sg_charge_tokens(spent),
		.action = policy->breaker.action };
	strcpy(event->budget, policy->name);
	strcpy(event->label, budget->resolved_label);
	sg_window_format(policy->window_ns, policy->calendar, event->window, sizeof(event->window));
}

void sg_budget_tripped(
	const struct sg_budget *budget, const char *why, struct sg_budget_event *event)
{
	fill_event(budget, SG_EVENT_BREAKER, event);
	event->why = why;
}

// A rolling window may fall below a percentage and pass it again: it is told once a window all the
// same.
static bool was_told_lately(const struct sg_budget *budget, unsigned index, int64_t now_ns)
{
	return budget->window.length_ns && budget->alerted_ns[index] != INT64_MIN &&
	       now_ns - budget->alerted_ns[index] < budget->window.length_ns;
}

static unsigned tell_alerts(
	struct sg_budget *budget, uint8_t before, int64_t now_ns, struct sg_budget_event *events)
{
	uint8_t reached = reached_alerts(budget), fresh;
	unsigned count = 0;

	fresh = reached & (uint8_t) ~(budget->alerted & before);
	budget->alerted = reached;
	for (unsigned i = 0; fresh && i < budget->policy.alert_count; i++) {
		if (!(fresh & 1u << i) || was_told_lately(budget, i, now_ns))
			continue;
		budget->alerted_ns[i] = now_ns;
		fill_event(budget, SG_EVENT_ALERT, &events[count]);
		events[count++].percent = budget->policy.alerts[i];
	}
	return count;
}

unsigned sg_budget_spend(struct sg_budget *budget, const struct sg_charge *charge, bool estimated,
	int64_t now_ns, struct sg_budget_event *ret_events)
{
	bool alerts = budget->policy.alert_count > 0;
	unsigned count = 0;
	uint8_t before;

	sg_window_advance(&budget->window, now_ns);
	before = alerts ? reached_alerts(budget) : 0;
	sg_window_add(&budget->window, now_ns, charge, estimated);
	if (alerts)
		count = tell_alerts(budget, before, now_ns, ret_events);
	if (budget->breaker && sg_breaker_spends(budget->breaker, charge, now_ns))
		sg_budget_tripped(budget, "spend_slope", &ret_events[count++]);
	return count;
}
