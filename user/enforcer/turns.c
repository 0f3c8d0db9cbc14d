// SPDX-License-Identifier: Apache-2.0
#include "enforcer/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/record.h"
#include "enforcer/worker.h"

#define UPGRADED 101

enum turn_state {
	TURN_STANDING, // for one that the provider may start
	TURN_WAITING,  // asked for
	TURN_BEGUN,
};

struct sg_turn {
	struct sg_turn *next;
	enum turn_state state;
	enum sg_live_lane lane;
	bool apart; // beside the one that the session is in
	char id[SG_LIVE_ID_BYTES];
	struct sg_request_facts facts;
	struct sg_hold hold;
	const struct sg_price_table *prices; // in force when its hold was taken
	int64_t started_ms;
};

void sg_turns_init(
	struct sg_turns *turns, const struct sg_client *client, const struct sg_live *live)
{
	*turns = (struct sg_turns){ .client = client, .live = live };
}

// ---- The list ----

static struct sg_turn *find(
	const struct sg_turns *turns, enum sg_live_lane lane, enum turn_state state)
{
	struct sg_turn *turn = turns->first;

	while (turn && (turn->lane != lane || turn->state != state))
		turn = turn->next;
	return turn;
}

static struct sg_turn *find_begun(
	const struct sg_turns *turns, enum sg_live_lane lane, const char *id)
{
	struct sg_turn *turn = turns->first;

	while (turn && (turn->lane != lane || turn->state != TURN_BEGUN ||
			       (*id && strcmp(turn->id, id) != 0)))
		turn = turn->next;
	return turn;
}

static struct sg_turn *append(struct sg_turns *turns, enum sg_live_lane lane, enum turn_state state,
	const struct sg_request_facts *facts)
{
	struct sg_turn *turn = calloc(1, sizeof(*turn)), **end = &turns->first;

	if (!turn)
		return NULL;
	turn->lane = lane;
	turn->state = state;
	turn->facts = *facts;
	turn->started_ms = sg_loop_now_ms(turns->client->worker->loop);
	turn->prices = sg_call_prices(turns->client);
	while (*end)
		end = &(*end)->next;
	*end = turn;
	turns->count++;
	return turn;
}

static void drop(struct sg_turns *turns, struct sg_turn *turn)
{
	struct sg_turn **at = &turns->first;

	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
	turns->count--;
	sg_price_table_give_back(turn->prices);
	free(turn);
}

static void release(struct sg_turns *turns, struct sg_turn *turn)
{
	sg_hold_release(turns->client->worker->enforcer->engine, &turn->hold);
	drop(turns, turn);
}

// ---- Holds ----

static bool refuse(struct sg_turns_refusal *refusal, enum sg_answer_kind kind, const char *detail)
{
	refusal->kind = kind;
	snprintf(refusal->detail, sizeof(refusal->detail), "%s", detail);
	return false;
}

static bool bound_turn(const struct sg_client *client, const struct sg_turn *turn,
	struct sg_request_facts *facts, struct sg_charge *ret_bound,
	struct sg_turns_refusal *ret_refusal)
{
	int r;

	memcpy(ret_refusal->model, facts->model, sizeof(ret_refusal->model));
	r = sg_call_bound(client, turn->prices, facts, ret_bound);
	if (r == -ENOENT)
		return refuse(ret_refusal, SG_ANSWER_UNKNOWN_MODEL, ret_refusal->model);
	if (r < 0)
		return refuse(ret_refusal, SG_ANSWER_UNBOUNDED, facts->reasons);
	return true;
}

// What the engine said to a hold, or to more of one.
static bool is_held(int r, struct sg_turns_refusal *ret_refusal)
{
	if (r == -EDQUOT)
		return refuse(ret_refusal, SG_ANSWER_BUDGET, "");
	return r == 0 || refuse(ret_refusal, SG_ANSWER_UNAVAILABLE, strerror(-r));
}

static bool take_hold(struct sg_turns *turns, struct sg_turn *turn, const struct sg_charge *bound,
	struct sg_turns_refusal *ret_refusal)
{
	const struct sg_client *client = turns->client;
	const struct sg_call call = { .provider = sg_provider_name(client->provider),
		.model = turn->facts.model,
		.api = turn->lane == SG_LIVE_TRANSCRIPTIONS ? "transcription" : "live" };
	bool soft_alert = false;
	int r = sg_hold_take(client->worker->enforcer->engine, client->worker->index,
		client->agent->account, &call, bound, &turn->hold, &ret_refusal->refusal,
		&soft_alert);

	if (soft_alert)
		sg_record_soft_alert(client, turn->facts.model, &ret_refusal->refusal);
	return is_held(r, ret_refusal);
}

// A turn with a hold of its own. Returns NULL when it is refused.
static struct sg_turn *add(struct sg_turns *turns, enum sg_live_lane lane, enum turn_state state,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal)
{
	struct sg_turn *turn =
		turns->count < SG_LIVE_MAX_TURNS ? append(turns, lane, state, facts) : NULL;
	struct sg_charge bound;

	if (!turn) {
		refuse(ret_refusal, SG_ANSWER_UNAVAILABLE, "too many responses at once");
		return NULL;
	}
	if (bound_turn(turns->client, turn, &turn->facts, &bound, ret_refusal) &&
		take_hold(turns, turn, &bound, ret_refusal))
		return turn;
	drop(turns, turn);
	return NULL;
}

static int64_t above(int64_t needed, int64_t held)
{
	return needed > held ? needed - held : 0;
}

// The hold that stands becomes that of a turn which is asked for: as large as this one needs.
static bool adopt(struct sg_turns *turns, struct sg_turn *turn,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal)
{
	struct sg_request_facts asked = *facts;
	struct sg_charge bound, *held = &turn->hold.bound, more;
	struct sg_engine *engine = turns->client->worker->enforcer->engine;

	if (!bound_turn(turns->client, turn, &asked, &bound, ret_refusal))
		return false;
	more = (struct sg_charge){ .nanousd = above(bound.nanousd, held->nanousd),
		.input_tokens = above(bound.input_tokens, held->input_tokens),
		.output_tokens = above(bound.output_tokens, held->output_tokens) };
	if ((more.nanousd || more.input_tokens || more.output_tokens) &&
		!is_held(sg_hold_top_up(engine, &turn->hold, &more, false, &ret_refusal->refusal),
			ret_refusal))
		return false;
	sg_hold_lower(engine, &turn->hold, &bound);
	turn->facts = asked;
	turn->state = TURN_WAITING;
	return true;
}

bool sg_turns_stand(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal)
{
	struct sg_request_facts facts;

	for (enum sg_live_lane lane = 0; lane < SG_LIVE_LANES; lane++) {
		struct sg_turn *turn = turns->first;

		// Of what the agent says each piece is written down, however many are in work; of
		// answers there is one at a time.
		while (turn &&
			(turn->lane != lane || turn->apart ||
				(lane == SG_LIVE_TRANSCRIPTIONS && turn->state != TURN_STANDING)))
			turn = turn->next;
		if (turn || !sg_live_stands(turns->live, lane, &facts))
			continue;
		turn = add(turns, lane, turns->lanes[lane].asked ? TURN_WAITING : TURN_STANDING,
			&facts, ret_refusal);
		if (!turn)
			return false;
		turns->lanes[lane].asked = false;
	}
	return true;
}

// ---- What the agent asks for ----

static void on_question(struct sg_turns *turns)
{
	struct sg_turn *standing = find(turns, SG_LIVE_ANSWERS, TURN_STANDING);

	if (standing)
		standing->state = TURN_WAITING;
	else
		turns->lanes[SG_LIVE_ANSWERS].asked = true;
}

static bool on_turn(struct sg_turns *turns, const struct sg_live_demand *demand,
	struct sg_turns_refusal *ret_refusal)
{
	struct sg_turn *turn = find(turns, SG_LIVE_ANSWERS, TURN_STANDING);

	if (turn && !demand->apart)
		return adopt(turns, turn, &demand->facts, ret_refusal);
	turn = add(turns, SG_LIVE_ANSWERS, TURN_WAITING, &demand->facts, ret_refusal);
	if (turn)
		turn->apart = demand->apart;
	return turn != NULL;
}

bool sg_turns_demand(struct sg_turns *turns, const struct sg_live_demand *demand,
	struct sg_turns_refusal *ret_refusal)
{
	switch (demand->need) {
	case SG_LIVE_REFUSE:
		return refuse(ret_refusal, SG_ANSWER_BAD_BODY, demand->facts.malformed);
	case SG_LIVE_TURN:
		if (!on_turn(turns, demand, ret_refusal))
			return false;
		break;
	case SG_LIVE_QUESTION:
		on_question(turns);
		break;
	case SG_LIVE_SPEECH:
		for (enum sg_live_lane lane = 0; lane < SG_LIVE_LANES; lane++)
			turns->lanes[lane].spoken = true;
		break;
	case SG_LIVE_NOTHING:
		break;
	}
	return sg_turns_stand(turns, ret_refusal);
}

// ---- What the provider tells ----

// A turn that nothing was held for: the session's own words had said that there would be none. Its
// usage will be charged all the same.
static struct sg_turn *cover(struct sg_turns *turns, enum sg_live_lane lane)
{
	static const struct sg_charge none = { .requests = 1 };
	const struct sg_client *client = turns->client;
	struct sg_turns_refusal refusal;
	struct sg_request_facts facts;
	struct sg_turn *turn;

	(void)sg_live_stands(turns->live, lane, &facts);
	sg_log(SG_LOG_WARN, "turn_not_held",
		"agent=%s connection=%llu host=%s reason=\"the provider began a response that "
		"nobody asked for\"",
		client->agent->name, (unsigned long long)client->connection, client->host);
	turn = add(turns, lane, TURN_BEGUN, &facts, &refusal);
	if (turn)
		return turn;
	turn = append(turns, lane, TURN_BEGUN, &facts);
	if (turn && !take_hold(turns, turn, &none, &refusal)) {
		drop(turns, turn);
		turn = NULL;
	}
	return turn;
}

static struct sg_turn *next_turn(struct sg_turns *turns, enum sg_live_lane lane)
{
	struct sg_turn *turn = find(turns, lane, TURN_WAITING);

	if (!turn)
		turn = find(turns, lane, TURN_STANDING);
	return turn ? turn : cover(turns, lane);
}

static void on_begun(struct sg_turns *turns, const struct sg_live_news *news)
{
	struct sg_turn *turn = find_begun(turns, news->lane, news->id);

	if (turn)
		return;
	turn = next_turn(turns, news->lane);
	if (!turn)
		return;
	turn->state = TURN_BEGUN;
	memcpy(turn->id, news->id, sizeof(turn->id));
	turns->lanes[news->lane].spoken = false;
}

static void on_ended(struct sg_turns *turns, struct sg_live_news *news)
{
	struct sg_settlement settlement = { .http_status = UPGRADED };
	struct sg_turn *turn = find_begun(turns, news->lane, news->id);

	if (!turn)
		turn = next_turn(turns, news->lane);
	if (!turn)
		return;
	sg_call_settle(turns->client, turn->prices, &turn->facts, turn->started_ms, &turn->hold,
		&news->outcome, &settlement);
	drop(turns, turn);
}

// The error may be about something else: where the provider starts turns by itself, the hold stands
// for one of these.
static void on_denied(struct sg_turns *turns, const struct sg_live_news *news)
{
	struct sg_turn *turn = find(turns, news->lane, TURN_WAITING);
	struct sg_request_facts facts;

	if (!turn)
		return;
	if (!turn->apart && !find(turns, news->lane, TURN_STANDING) &&
		sg_live_stands(turns->live, news->lane, &facts))
		turn->state = TURN_STANDING;
	else
		release(turns, turn);
}

bool sg_turns_news(
	struct sg_turns *turns, struct sg_live_news *news, struct sg_turns_refusal *ret_refusal)
{
	switch (news->kind) {
	case SG_LIVE_NO_NEWS:
		break;
	case SG_LIVE_BEGUN:
		on_begun(turns, news);
		break;
	case SG_LIVE_ENDED:
		on_ended(turns, news);
		break;
	case SG_LIVE_DENIED:
		on_denied(turns, news);
		break;
	}
	return sg_turns_stand(turns, ret_refusal);
}

// ---- The end ----

bool sg_turns_in_progress(const struct sg_turns *turns)
{
	const struct sg_turn *turn = turns->first;

	while (turn && turn->state == TURN_STANDING)
		turn = turn->next;
	return turn != NULL;
}

void sg_turns_end(struct sg_turns *turns, bool orderly, bool by_agent)
{
	while (turns->first) {
		struct sg_turn *turn = turns->first;
		struct sg_settlement settlement = { .http_status = UPGRADED,
			.aborted_by_agent = by_agent,
			.cut_by_upstream = !by_agent };
		struct sg_outcome outcome = { .state = SG_EXCHANGE_ESTIMATED,
			.usage.input_tokens = -1 };

		if (turn->state == TURN_STANDING && (orderly || !turns->lanes[turn->lane].spoken)) {
			release(turns, turn);
			continue;
		}
		sg_call_settle(turns->client, turn->prices, &turn->facts, turn->started_ms,
			&turn->hold, &outcome, &settlement);
		drop(turns, turn);
	}
}
