// SPDX-License-Identifier: Apache-2.0
#include "enforcer/turns.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/money.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/turns_state.h"
#include "enforcer/worker.h"

#define UPGRADED 101

// Tokens that a hold which stands has ready for what will be said next, so that it need not be
// raised with every piece of sound.
#define SPARE_INPUT 512

static void ask_again(struct sg_waiter *waiter)
{
	struct sg_turns *turns =
		(struct sg_turns *)((char *)waiter - offsetof(struct sg_turns, waiter));

	turns->on_room(turns);
}

void sg_turns_init(struct sg_turns *turns, const struct sg_client *client, struct sg_live *live,
	void (*on_room)(struct sg_turns *turns))
{
	*turns = (struct sg_turns){
		.client = client,
		.live = live,
		.limit = -1,
		.on_room = on_room,
		.waiter.ask_again = ask_again,
	};
}

static struct sg_turn *find(
	const struct sg_turns *turns, enum sg_live_lane lane, enum sg_turn_state state)
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

	while (turn && (turn->lane != lane || turn->state != SG_TURN_BEGUN ||
			       (*id && strcmp(turn->id, id) != 0)))
		turn = turn->next;
	return turn;
}

// A turn with a hold of its own. Returns as sg_turn_hold.
static int add(struct sg_turns *turns, enum sg_live_lane lane, enum sg_turn_state state,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal,
	struct sg_turn **ret_turn)
{
	struct sg_turn *turn = sg_turn_append(turns, lane, state);
	int r;

	*ret_turn = NULL;
	if (!turn)
		return sg_turn_refuse(
			ret_refusal, SG_ANSWER_UNAVAILABLE, "too many responses at once");
	r = sg_turn_hold(turns, turn, facts, ret_refusal);
	if (r < 0)
		sg_turn_drop(turns, turn);
	else
		*ret_turn = turn;
	return r;
}

// ---- The hold that stands ----

// Must one stand? A turn of the provider's own needs a word of the agent, with few exceptions.
static bool must_stand(
	const struct sg_turns *turns, enum sg_live_lane lane, struct sg_request_facts *ret_facts)
{
	return sg_live_stands(turns->live, lane, ret_facts) &&
	       (turns->lanes[lane].heard || sg_live_is_unprompted(turns->live));
}

static bool covers(const struct sg_turn *turn, const struct sg_request_facts *facts)
{
	return !turn->facts.known_input ||
	       (facts->known_input && facts->known_input <= turn->facts.known_input &&
		       facts->known_sound <= turn->facts.known_sound);
}

static struct sg_request_facts with_spare(const struct sg_request_facts *facts)
{
	struct sg_request_facts more = *facts;

	if (more.known_input) {
		more.known_input += SPARE_INPUT;
		more.known_sound += SPARE_INPUT;
	}
	return more;
}

// What was said since goes into the turn, too.
static int raise_turn(struct sg_turns *turns, struct sg_turn *turn,
	const struct sg_request_facts *said, struct sg_turns_refusal *ret_refusal)
{
	struct sg_request_facts facts = turn->facts, more;

	facts.known_input = said->known_input;
	facts.known_sound = said->known_sound;
	facts.can_limit = false; // its message has gone
	more = with_spare(&facts);
	return sg_turn_hold(turns, turn, &more, ret_refusal) == 0
		       ? 0
		       : sg_turn_hold(turns, turn, &facts, ret_refusal);
}

static int add_standing(struct sg_turns *turns, enum sg_live_lane lane,
	const struct sg_request_facts *facts, struct sg_turns_refusal *ret_refusal,
	struct sg_turn **ret_turn)
{
	struct sg_request_facts more = with_spare(facts);

	return add(turns, lane, SG_TURN_STANDING, &more, ret_refusal, ret_turn) == 0
		       ? 0
		       : add(turns, lane, SG_TURN_STANDING, facts, ret_refusal, ret_turn);
}

// Of what the agent says each piece is written down, however many are in work; of answers there is
// one at a time.
static struct sg_turn *next_in_lane(const struct sg_turns *turns, enum sg_live_lane lane)
{
	struct sg_turn *turn = turns->first;

	while (turn && (turn->lane != lane || turn->apart ||
			       (lane == SG_LIVE_TRANSCRIPTIONS && turn->state != SG_TURN_STANDING)))
		turn = turn->next;
	return turn;
}

static int stand(
	struct sg_turns *turns, enum sg_live_lane lane, struct sg_turns_refusal *ret_refusal)
{
	struct sg_turn *turn = next_in_lane(turns, lane);
	struct sg_request_facts facts;
	int r = 0;

	if (!must_stand(turns, lane, &facts) || (turn && turn->state == SG_TURN_BEGUN))
		return 0;
	if (!turn)
		r = add_standing(turns, lane, &facts, ret_refusal, &turn);
	else if (!covers(turn, &facts))
		r = raise_turn(turns, turn, &facts, ret_refusal);
	if (r == 0 && turn && turn->state == SG_TURN_STANDING && turns->lanes[lane].asked) {
		turn->state = SG_TURN_ASKED;
		turns->lanes[lane].asked = false;
	}
	return r;
}

// ---- What the agent asks for ----

// Another one that runs may end, and be read by this one, before this one begins.
static void add_open_turns(const struct sg_turns *turns, struct sg_request_facts *facts)
{
	const struct sg_turn *turn = turns->first;

	for (; turn && facts->known_input; turn = turn->next) {
		int64_t tokens = turn->hold.bound.output_tokens;

		if (turn->lane != SG_LIVE_ANSWERS || turn->state == SG_TURN_STANDING)
			continue;
		facts->known_input = sg_money_add(facts->known_input, tokens);
		facts->known_sound = sg_money_add(facts->known_sound, tokens);
	}
}

static struct sg_sliced stream_of(const struct sg_turns *turns, struct sg_turn *turn)
{
	return (struct sg_sliced){ .client = turns->client,
		.prices = turn->prices,
		.api = sg_live_api(turns->live),
		.facts = &turn->facts,
		.hold = &turn->hold,
		.reader = sg_live_answer(turns->live) };
}

static void prepare_slice(const struct sg_turns *turns, struct sg_turn *turn)
{
	const struct sg_sliced stream = stream_of(turns, turn);

	if (stream.reader && !turn->apart && sg_slice_is_seen(&stream))
		turn->slice.state = SG_SLICE_WATCH;
}

static int ask_for_turn(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal)
{
	struct sg_live_demand *demand = &turns->demand;
	struct sg_request_facts facts = demand->facts;
	struct sg_turn *turn = find(turns, SG_LIVE_ANSWERS, SG_TURN_STANDING);
	int r;

	add_open_turns(turns, &facts);
	if (turn && !demand->apart) {
		r = sg_turn_hold(turns, turn, &facts, ret_refusal);
		if (r == 0)
			sg_turn_trim(turns, turn);
	} else {
		r = add(turns, SG_LIVE_ANSWERS, SG_TURN_ASKED, &facts, ret_refusal, &turn);
	}
	if (r < 0 || !turn)
		return r;
	turn->state = SG_TURN_ASKED;
	turn->apart = demand->apart;
	turn->unsent = true;
	prepare_slice(turns, turn);
	demand->need = SG_LIVE_NOTHING;
	return 0;
}

// All that must be held for is, or the session waits or ends.
static enum sg_turns_verdict hold_all(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal)
{
	const struct sg_client *client = turns->client;
	int r = stand(turns, SG_LIVE_TRANSCRIPTIONS, ret_refusal);

	if (r == 0 && turns->demand.need == SG_LIVE_TURN)
		r = ask_for_turn(turns, ret_refusal);
	if (r == 0)
		r = stand(turns, SG_LIVE_ANSWERS, ret_refusal);
	if (turns->over)
		return SG_TURNS_GO;
	if (r == -EAGAIN) {
		if (turns->waiter.queue || sg_waiting_join(client->worker, client->agent->account,
						   &turns->waiter, &turns->wait) == 0)
			return SG_TURNS_WAIT;
		r = sg_turn_refuse(ret_refusal, SG_ANSWER_UNAVAILABLE, strerror(ENOMEM));
	}
	sg_waiting_end(&turns->waiter);
	for (struct sg_turn *turn = turns->first; r == 0 && turn; turn = turn->next)
		turn->unsent = false;
	return r == 0 ? SG_TURNS_GO : SG_TURNS_REFUSE;
}

enum sg_turns_verdict sg_turns_retry(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal)
{
	return hold_all(turns, ret_refusal);
}

enum sg_turns_verdict sg_turns_open(struct sg_turns *turns, struct sg_turns_refusal *ret_refusal)
{
	struct sg_request_facts facts;
	struct sg_turn *turn;
	int r;

	if (!sg_live_stands(turns->live, SG_LIVE_ANSWERS, &facts))
		return SG_TURNS_GO;
	facts.max_output = 1; // it may ask for no more
	r = add(turns, SG_LIVE_ANSWERS, SG_TURN_STANDING, &facts, ret_refusal, &turn);
	if (turn)
		sg_turn_release(turns, turn);
	return r == -EPERM ? SG_TURNS_REFUSE : SG_TURNS_GO;
}

static void hear(struct sg_turns *turns)
{
	for (enum sg_live_lane lane = 0; lane < SG_LIVE_LANES; lane++)
		turns->lanes[lane].heard = turns->lanes[lane].spoken = true;
}

enum sg_turns_verdict sg_turns_demand(struct sg_turns *turns, const struct sg_live_demand *demand,
	struct sg_turns_refusal *ret_refusal)
{
	turns->limit = -1;
	switch (demand->need) {
	case SG_LIVE_REFUSE:
		sg_turn_refuse(ret_refusal, SG_ANSWER_BAD_BODY, demand->facts.malformed);
		return SG_TURNS_REFUSE;
	case SG_LIVE_TURN:
		turns->demand = *demand;
		break;
	case SG_LIVE_QUESTION:
		turns->lanes[SG_LIVE_ANSWERS].heard = true;
		turns->lanes[SG_LIVE_ANSWERS].asked = true;
		break;
	case SG_LIVE_SPEECH:
		hear(turns);
		break;
	case SG_LIVE_NOTHING:
		break;
	}
	return hold_all(turns, ret_refusal);
}

void sg_turns_give_up(struct sg_turns *turns)
{
	turns->over = true;
	turns->demand.need = SG_LIVE_NOTHING;
	sg_waiting_end(&turns->waiter);
	for (struct sg_turn *turn = turns->first, *next; turn; turn = next) {
		next = turn->next;
		if (turn->unsent && turn->state == SG_TURN_ASKED)
			sg_turn_release(turns, turn);
	}
}

// ---- What the provider tells ----

// A turn that nothing was held for: the session's own words had said that there would be none. Its
// usage will be charged all the same.
static struct sg_turn *cover(struct sg_turns *turns, enum sg_live_lane lane)
{
	const struct sg_client *client = turns->client;
	struct sg_turns_refusal refusal;
	struct sg_request_facts facts;
	struct sg_turn *turn;

	(void)sg_live_stands(turns->live, lane, &facts);
	sg_log(SG_LOG_WARN, "turn_not_held",
		"agent=%s connection=%llu host=%s reason=\"the provider began a response that "
		"nobody asked for\"",
		client->agent->name, (unsigned long long)client->connection, client->host);
	if (add(turns, lane, SG_TURN_BEGUN, &facts, &refusal, &turn) == 0)
		return turn;
	turn = sg_turn_append(turns, lane, SG_TURN_BEGUN);
	if (turn && sg_turn_hold_nothing(turns, turn, &facts, &refusal) < 0) {
		sg_turn_drop(turns, turn);
		turn = NULL;
	}
	return turn;
}

static struct sg_turn *next_turn(struct sg_turns *turns, enum sg_live_lane lane)
{
	struct sg_turn *turn = find(turns, lane, SG_TURN_ASKED);

	if (!turn)
		turn = find(turns, lane, SG_TURN_STANDING);
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
	turn->state = SG_TURN_BEGUN;
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
	sg_turn_drop(turns, turn);
}

// The error may be about another message, and the turn begin all the same: then the hold stands for
// it, or for the next one that is asked for.
static void on_denied(struct sg_turns *turns, const struct sg_live_news *news)
{
	struct sg_turn *turn = find(turns, news->lane, SG_TURN_ASKED);

	if (turn && news->certain) {
		sg_turn_release(turns, turn);
	} else if (turn) {
		turn->state = SG_TURN_STANDING;
		turns->lanes[turn->lane].spoken = true;
	}
}

enum sg_turns_verdict sg_turns_news(
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
	return hold_all(turns, ret_refusal);
}

// ---- A turn that runs ----

// The one whose words are read; NULL where none is sliced.
static struct sg_turn *watched(const struct sg_turns *turns)
{
	struct sg_turn *turn = find(turns, SG_LIVE_ANSWERS, SG_TURN_BEGUN);

	return turn && turn->slice.state != SG_SLICE_NEVER ? turn : NULL;
}

// Of several at once it can't be told whose words are read.
static bool is_alone(const struct sg_turn *turn)
{
	const struct sg_turn *other = turn->next;

	while (other && other->state != SG_TURN_BEGUN)
		other = other->next;
	return !other;
}

int sg_turns_look_away(struct sg_turns *turns)
{
	struct sg_turn *turn = watched(turns);
	struct sg_sliced stream;

	if (!turn)
		return 0;
	stream = stream_of(turns, turn);
	return sg_slice_turn_away(&turn->slice, &stream);
}

int sg_turns_watch(struct sg_turns *turns)
{
	struct sg_turn *turn = watched(turns);
	struct sg_sliced stream;
	int r;

	if (!turn)
		return 0;
	stream = stream_of(turns, turn);
	if (is_alone(turn))
		return sg_slice_read(&turn->slice, &stream);
	r = sg_slice_turn_away(&turn->slice, &stream);
	if (r == 0)
		turn->slice.state = SG_SLICE_NEVER;
	return r;
}

// ---- The end ----

static void settle_by_hold(struct sg_turns *turns, struct sg_turn *turn, bool by_agent)
{
	struct sg_settlement settlement = {
		.http_status = UPGRADED, .aborted_by_agent = by_agent, .cut_by_upstream = !by_agent
	};
	struct sg_outcome outcome = { .state = SG_EXCHANGE_ESTIMATED, .usage.input_tokens = -1 };

	sg_call_settle(turns->client, turn->prices, &turn->facts, turn->started_ms, &turn->hold,
		&outcome, &settlement);
	sg_turn_drop(turns, turn);
}

void sg_turns_cut(struct sg_turns *turns, struct sg_buf *out)
{
	struct sg_turn *turn = watched(turns);
	struct sg_stream_totals totals;
	struct sg_sliced stream;
	int r;

	if (!turn)
		return;
	stream = stream_of(turns, turn);
	totals = sg_slice_totals(&turn->slice, &turn->hold);
	r = sg_live_end(turns->live, &totals, out);
	if (r < 0)
		sg_buf_consume(out, sg_buf_length(out));
	sg_slice_note_end(&turn->slice, &stream, r == 0);
	settle_by_hold(turns, turn, false);
}

bool sg_turns_in_progress(const struct sg_turns *turns)
{
	const struct sg_turn *turn = turns->first;

	while (turn && turn->state == SG_TURN_STANDING)
		turn = turn->next;
	return turn != NULL;
}

void sg_turns_end(struct sg_turns *turns, bool orderly, bool by_agent)
{
	sg_turns_give_up(turns);
	while (turns->first) {
		struct sg_turn *turn = turns->first;

		if (turn->state == SG_TURN_STANDING &&
			(orderly || !turns->lanes[turn->lane].spoken))
			sg_turn_release(turns, turn);
		else
			settle_by_hold(turns, turn, by_agent);
	}
}
