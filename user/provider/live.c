// SPDX-License-Identifier: Apache-2.0
#include "provider/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "provider/live_session.h"
#include "provider/openai_responses.h"

int sg_live_new(const struct sg_live_options *options, struct sg_live **ret_live)
{
	struct sg_live *live = calloc(1, sizeof(*live));
	int r;

	if (!live)
		return -ENOMEM;
	live->route = *options->route;
	live->ways = live->route.api->live;
	live->turns_by_provider = live->ways->turns_by_provider;
	live->facts = (struct sg_request_facts){ .is_object = true,
		.max_output = -1,
		.choices = 1,
		.tools = true, // what the provider says of them is more than what the agent does
		.regional = options->regional,
		.traits = live->route.traits };
	memcpy(live->facts.model, live->route.model, sizeof(live->facts.model));
	// What the provider keeps of the session is not in any message.
	sg_request_take_window(&live->facts, "session");
	live->options = (struct sg_response_options){ .api = live->route.api,
		.facts = &live->facts,
		.status = 200,
		.messages = true,
		.skim = true,
		.may_end = options->may_end && live->route.api->end_stream,
		.own_host = options->own_host,
		.content_type = { "", 0 },
		.content_encoding = { "", 0 } };
	live->provider = options->provider;
	live->settled = live->options.may_end; // what reads a turn is made once its model is known
	r = sg_response_reader_init(&live->response, &live->options);
	if (r < 0) {
		free(live);
		return r;
	}
	*ret_live = live;
	return 0;
}

struct sg_live *sg_live_free(struct sg_live *live)
{
	if (!live)
		return NULL;
	sg_response_reader_done(&live->response);
	free(live);
	return NULL;
}

// ---- What a turn reads ----

// Marks of a message, as in a request's bound.
#define TOKENS_OF_MESSAGE 64

// Sound that is sent to realtime sessions: ten tokens a second. Of the formats that they take G.711
// has the fewest bytes, 8,000 a second, which are 1,067 bytes of base64 a token.
#define SOUND_BYTES_OF_TOKEN 800

static int64_t counted(int64_t count)
{
	return count > 0 ? count : 0;
}

static void add(int64_t *sum, int64_t tokens)
{
	*sum = sg_money_add(*sum, tokens > 0 ? tokens : 0);
}

void sg_live_add_text(struct sg_live *live, int64_t bytes)
{
	add(&live->said.text, bytes);
}

void sg_live_add_message(struct sg_live *live, const struct sg_live_demand *demand)
{
	add(live->request.marks.has_sound ? &live->said.sound : &live->said.text,
		demand->facts.body_bytes);
	add(&live->said.text, TOKENS_OF_MESSAGE);
}

void sg_live_bound_input(const struct sg_live *live, struct sg_request_facts *facts)
{
	int64_t sound = (live->said.sound_bytes + SOUND_BYTES_OF_TOKEN - 1) / SOUND_BYTES_OF_TOKEN;

	facts->known_input = facts->known_sound = 0;
	if (live->said.is_unbound)
		return;
	facts->known_sound = sg_money_add(live->said.sound, sound);
	facts->known_input = sg_money_add(live->said.text + 1, facts->known_sound);
}

// What a turn wrote is read by the next.
static void add_answer(struct sg_live *live, const struct sg_outcome *outcome)
{
	const struct sg_usage *usage = &outcome->usage;

	if (outcome->state == SG_EXCHANGE_ERROR_FREE)
		return;
	live->said.is_unbound = live->said.is_unbound || outcome->state != SG_EXCHANGE_SETTLED;
	add(&live->said.sound, usage->audio_output_tokens);
	add(&live->said.text,
		usage->output_tokens - counted(usage->audio_output_tokens) + TOKENS_OF_MESSAGE);
}

// ---- The agent's messages ----

void sg_live_refuse(struct sg_live_demand *demand, const char *words)
{
	demand->need = SG_LIVE_REFUSE;
	snprintf(demand->facts.malformed, sizeof(demand->facts.malformed), "%s", words);
}

void sg_live_ask(struct sg_live *live, const char *bytes, size_t length)
{
	if (!live->request_begun)
		sg_request_reader_init(&live->request, &live->route);
	live->request_begun = true;
	// It can only fail for want of memory, of which it takes none.
	(void)!sg_request_reader_feed(&live->request, bytes, length);
}

void sg_live_ask_end(struct sg_live *live, struct sg_live_demand *ret_demand)
{
	struct sg_request_edits edits;

	sg_live_ask(live, "", 0); // an empty message was not begun
	live->request_begun = false;
	ret_demand->need = SG_LIVE_NOTHING;
	ret_demand->apart = false;
	sg_request_reader_finish(&live->request, &ret_demand->facts, &edits);
	ret_demand->facts.regional = live->facts.regional;
	if (live->request.scan.other_case)
		ret_demand->need = SG_LIVE_REFUSE; // the facts tell which
	else if (!ret_demand->facts.is_object)
		sg_live_refuse(ret_demand, "the message is not one JSON object");
	else
		live->ways->on_ask(live, ret_demand);
	live->says_more = live->says_more || ret_demand->need != SG_LIVE_TURN;
}

bool sg_live_can_limit(const struct sg_live *live)
{
	return live->route.api->limit != NULL;
}

int sg_live_limit(const struct sg_live *live, int64_t tokens, struct sg_request_edits *edits)
{
	return sg_request_reader_limit(&live->request, tokens, edits);
}

// ---- The provider's messages ----

void sg_live_tell(struct sg_live *live, const char *bytes, size_t length)
{
	if (live->settled && !live->response.line_begun) {
		sg_response_reader_done(&live->response);
		// No content coding: nothing that could fail.
		(void)!sg_response_reader_init(&live->response, &live->options);
		live->settled = false;
	}
	if (!live->response.line_begun)
		live->told_bytes = 0;
	live->told_bytes += (int64_t)length;
	sg_response_reader_message(&live->response, bytes, length);
}

void sg_live_end_turn(struct sg_live *live, struct sg_live_news *news)
{
	news->kind = SG_LIVE_ENDED;
	live->settled = true;
	(void)!sg_response_reader_finish(&live->response, true, NULL, &news->outcome);
	add_answer(live, &news->outcome);
}

void sg_live_tell_end(struct sg_live *live, struct sg_live_news *ret_news)
{
	ret_news->kind = SG_LIVE_NO_NEWS;
	ret_news->lane = SG_LIVE_ANSWERS;
	ret_news->id[0] = 0;
	ret_news->certain = !live->says_more;
	sg_live_tell(live, "", 0);
	sg_response_reader_end_message(&live->response);
	live->ways->on_tell(live, ret_news);
	live->settled = live->settled || live->ways->each_message;
}

const struct sg_api *sg_live_api(const struct sg_live *live)
{
	return live->route.api;
}

const struct sg_response_reader *sg_live_answer(const struct sg_live *live)
{
	return live->options.may_end ? &live->response : NULL;
}

int sg_live_end(struct sg_live *live, const struct sg_stream_totals *totals, struct sg_buf *out)
{
	live->settled = true;
	return sg_response_reader_end(&live->response, totals, out);
}

bool sg_live_is_unprompted(const struct sg_live *live)
{
	return live->unprompted || live->hosted_tools;
}

bool sg_live_stands(
	const struct sg_live *live, enum sg_live_lane lane, struct sg_request_facts *ret_facts)
{
	*ret_facts = live->facts;
	if (lane == SG_LIVE_ANSWERS)
		sg_live_bound_input(live, ret_facts);
	if (lane == SG_LIVE_ANSWERS)
		return live->turns_by_provider && live->facts.model[0];
	memcpy(ret_facts->model, live->transcriber, sizeof(ret_facts->model));
	return live->transcriber[0];
}

// ---- OpenAI's responses over a WebSocket ----

// A response that goes on from the one before reads what that one read and wrote, as its usage
// told, and what its own message says: by the same model, as in all of the session.
static void bound_by_last(const struct sg_live *live, struct sg_request_facts *facts)
{
	const char *previous = live->request.marks.id;

	if (!live->said.is_unbound && previous[0] && strcmp(previous, live->last.id) == 0 &&
		strcmp(facts->reasons, SG_REASON_PREVIOUS) == 0)
		facts->known_input = sg_money_add(live->last.tokens,
			facts->body_bytes + TOKENS_OF_MESSAGE * (facts->messages + 1));
}

static void note_last(struct sg_live *live, const struct sg_live_news *news)
{
	const struct sg_usage *usage = &news->outcome.usage;

	live->last.id[0] = 0;
	if (news->outcome.state != SG_EXCHANGE_SETTLED)
		return;
	memcpy(live->last.id, news->id, sizeof(live->last.id));
	live->last.tokens = usage->input_tokens + counted(usage->cache_read_tokens) +
			    counted(usage->cache_write_tokens) +
			    counted(usage->cache_write_1h_tokens) + counted(usage->output_tokens);
}

// By which the text of the next turn is counted. One that runs was asked for before: where the two
// differ, bytes bound what comes next.
static void take_vocabulary(struct sg_live *live, const char *model)
{
	const struct sg_vocabulary *vocabulary =
		live->provider ? sg_provider_vocabulary(live->provider, model) : NULL;

	if (live->settled || vocabulary == live->options.vocabulary)
		live->options.vocabulary = vocabulary;
	else
		live->options.vocabulary = NULL;
}

// The one message that agents have for it carries what the body of a POST would.
static void ask_responses(struct sg_live *live, struct sg_live_demand *demand)
{
	const char *type = live->request.marks.type;

	if (strcmp(type, "response.create") == 0) {
		demand->need = SG_LIVE_TURN;
		// Models count in ways of their own.
		live->said.is_unbound = live->said.is_unbound ||
					(live->facts.model[0] && strcmp(live->facts.model,
									 demand->facts.model) != 0);
		bound_by_last(live, &demand->facts);
		take_vocabulary(live, demand->facts.model);
		// Its answers name the model; one that does not is priced by what was asked for.
		memcpy(live->facts.model, demand->facts.model, sizeof(live->facts.model));
	} else if (strcmp(type, "response.cancel") != 0) {
		sg_live_refuse(demand, "its type is none of those that can be metered");
	}
}

static void tell_responses(struct sg_live *live, struct sg_live_news *news)
{
	const struct sg_response_reader *reader = &live->response;

	memcpy(news->id, reader->outcome.pending_id, sizeof(news->id));
	if (strcmp(reader->event_type, "response.created") == 0) {
		news->kind = SG_LIVE_BEGUN;
	} else if (reader->stream_ended) {
		sg_live_end_turn(live, news);
		note_last(live, news);
	} else if (strcmp(reader->event_type, "error") == 0) {
		news->kind = SG_LIVE_DENIED;
		live->settled = !reader->produced;
	}
}

const struct sg_live_ways sg_live_responses = {
	.on_ask = ask_responses,
	.on_tell = tell_responses,
};
