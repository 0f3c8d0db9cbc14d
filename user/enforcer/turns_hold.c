// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "enforcer/afford.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/record.h"
#include "enforcer/turns_state.h"
#include "enforcer/worker.h"

// ---- The list ----

struct sg_turn *sg_turn_append(
	struct sg_turns *turns, enum sg_live_lane lane, enum sg_turn_state state)
{
	struct sg_turn *turn, **end = &turns->first;

	if (turns->count >= SG_LIVE_MAX_TURNS || !sg_call_enter(turns->client))
		return NULL;
	turn = calloc(1, sizeof(*turn));
	if (!turn) {
		sg_call_leave(turns->client);
		return NULL;
	}
	turn->lane = lane;
	turn->state = state;
	turn->started_ms = sg_loop_now_ms(turns->client->worker->loop);
	turn->prices = sg_call_prices(turns->client);
	while (*end)
		end = &(*end)->next;
	*end = turn;
	turns->count++;
	return turn;
}

void sg_turn_drop(struct sg_turns *turns, struct sg_turn *turn)
{
	struct sg_turn **at = &turns->first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
	turns->count--;
	sg_call_leave(turns->client);
	sg_price_table_give_back(turn->prices);
	free(turn);
}

void sg_turn_release(struct sg_turns *turns, struct sg_turn *turn)
{
	sg_hold_release(turns->client->worker->enforcer->engine, &turn->hold);
	sg_turn_drop(turns, turn);
}

// ---- Holds ----

int sg_turn_refuse(struct sg_turns_refusal *refusal, enum sg_answer_kind kind, const char *detail)
{
	refusal->kind = kind;
	snprintf(refusal->detail, sizeof(refusal->detail), "%s", detail);
	return -EPERM;
}

static int bound_turn(const struct sg_turns *turns, const struct sg_turn *turn,
	struct sg_request_facts *facts, struct sg_charge *ret_bound,
	struct sg_turns_refusal *ret_refusal)
{
	int r;

	memcpy(ret_refusal->model, facts->model, sizeof(ret_refusal->model));
	r = sg_call_bound(turns->client, turn->prices, facts, ret_bound);
	if (r == -ENOENT)
		return sg_turn_refuse(ret_refusal, SG_ANSWER_UNKNOWN_MODEL, ret_refusal->model);
	if (r < 0)
		return sg_turn_refuse(ret_refusal, SG_ANSWER_UNBOUNDED, facts->reasons);
	return 0;
}

static struct sg_call describe(const struct sg_turns *turns, const struct sg_turn *turn,
	const struct sg_request_facts *facts)
{
	return (struct sg_call){ .provider = sg_provider_name(turns->client->provider),
		.model = facts->model,
		.api = turn->lane == SG_LIVE_TRANSCRIPTIONS ? "transcription" : "live",
		.may_wait = turns->waiter.patience != SG_TAKES_ANY };
}

static int take(struct sg_turns *turns, struct sg_turn *turn, const struct sg_request_facts *facts,
	const struct sg_charge *bound, struct sg_refusal *ret_refusal)
{
	const struct sg_client *client = turns->client;
	const struct sg_call call = describe(turns, turn, facts);
	bool soft_alert = false;
	int r = sg_hold_take(client->worker->enforcer->engine, client->worker->index,
		client->agent->account, &call, bound, &turn->hold, ret_refusal, &soft_alert);

	if (soft_alert)
		sg_record_soft_alert(client, facts->model, ret_refusal);
	return r;
}

static int64_t above(int64_t needed, int64_t held)
{
	return needed > held ? needed - held : 0;
}

static int raise_to(struct sg_turns *turns, struct sg_turn *turn, const struct sg_charge *bound,
	struct sg_refusal *ret_refusal)
{
	const struct sg_charge *held = &turn->hold.bound;
	const struct sg_charge more = { .nanousd = above(bound->nanousd, held->nanousd),
		.input_tokens = above(bound->input_tokens, held->input_tokens),
		.output_tokens = above(bound->output_tokens, held->output_tokens) };

	if (!more.nanousd && !more.input_tokens && !more.output_tokens)
		return 0;
	return sg_hold_top_up(turns->client->worker->enforcer->engine, &turn->hold, &more,
		turns->waiter.patience != SG_TAKES_ANY, ret_refusal);
}

// Returns as sg_hold_take.
static int obtain(struct sg_turns *turns, struct sg_turn *turn,
	const struct sg_request_facts *facts, const struct sg_charge *bound,
	struct sg_refusal *ret_refusal)
{
	return turn->hold.account ? raise_to(turns, turn, bound, ret_refusal)
				  : take(turns, turn, facts, bound, ret_refusal);
}

// With a lower output limit. Returns as sg_hold_take.
static int obtain_lowered(struct sg_turns *turns, struct sg_turn *turn,
	struct sg_request_facts *facts, const struct sg_asking *asking,
	struct sg_refusal *ret_refusal)
{
	int64_t limit = sg_afford_limit(asking, turns->waiter.patience);
	struct sg_charge bound;
	int r;

	if (limit < facts->least_limit || sg_afford_bound(asking, limit, &bound) < 0)
		return -EDQUOT;
	r = obtain(turns, turn, facts, &bound, ret_refusal);
	if (r < 0)
		return r;
	facts->max_output = turns->limit = limit;
	sg_afford_note(asking, limit);
	return 0;
}

// Of those that wait already: somebody else, for whom this turn could come to stand in the way.
static const struct sg_waiter *in_front(
	const struct sg_turns *turns, const struct sg_asking *asking)
{
	const struct sg_waiter *first = turns->waiter.its_turn ? NULL : sg_afford_in_front(asking);

	return first == &turns->waiter ? NULL : first;
}

// What the engine said, for the session.
static int judge(struct sg_turns *turns, int r, struct sg_turns_refusal *ret_refusal)
{
	const struct sg_refusal *refusal = &ret_refusal->refusal;

	if (r == 0)
		return 0;
	if (r == -EAGAIN && refusal->wait_ns > 0) {
		turns->wait = (struct sg_wait){ refusal->objecting, refusal->wait_ns / SG_NS_PER_MS,
			refusal->forgets_in_ns };
		return -EAGAIN;
	}
	if (r == -EDQUOT || r == -EAGAIN)
		return sg_turn_refuse(ret_refusal, SG_ANSWER_BUDGET, "");
	return sg_turn_refuse(ret_refusal, SG_ANSWER_UNAVAILABLE, strerror(-r));
}

int sg_turn_hold(struct sg_turns *turns, struct sg_turn *turn, const struct sg_request_facts *facts,
	struct sg_turns_refusal *ret_refusal)
{
	struct sg_request_facts asked = *facts;
	struct sg_charge bound;
	const struct sg_asking asking = { .client = turns->client,
		.prices = turn->prices,
		.facts = &asked,
		.call = describe(turns, turn, &asked),
		.bound = &bound,
		.has = turn->hold.account ? &turn->hold.bound : NULL };
	const struct sg_waiter *first;
	int r = bound_turn(turns, turn, &asked, &bound, ret_refusal);

	if (r < 0)
		return r;
	first = in_front(turns, &asking);
	if (first) {
		turns->wait = (struct sg_wait){ first->waits_for, first->wait_ms, INT64_MAX };
		return -EAGAIN;
	}
	r = obtain(turns, turn, &asked, &bound, &ret_refusal->refusal);
	// It would fit whole once others are done: that is waited for at first.
	if ((r == -EDQUOT || (r == -EAGAIN && turns->waiter.patience != SG_TAKES_WHOLE)) &&
		asked.can_limit && ret_refusal->refusal.on_tight != SG_TIGHT_DENY)
		r = obtain_lowered(turns, turn, &asked, &asking, &ret_refusal->refusal);
	r = judge(turns, r, ret_refusal);
	if (r == 0)
		turn->facts = asked;
	return r;
}

int sg_turn_hold_nothing(struct sg_turns *turns, struct sg_turn *turn,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal)
{
	static const struct sg_charge none = { .requests = 1 };

	turn->facts = *facts;
	return judge(turns, take(turns, turn, facts, &none, &ret_refusal->refusal), ret_refusal);
}

void sg_turn_trim(struct sg_turns *turns, struct sg_turn *turn)
{
	struct sg_charge bound;

	if (sg_call_bound(turns->client, turn->prices, &turn->facts, &bound) == 0)
		sg_call_lower(turns->client, &turn->hold, &bound);
}
