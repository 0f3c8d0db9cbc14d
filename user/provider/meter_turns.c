// SPDX-License-Identifier: Apache-2.0
#include "provider/meter_turns.h"

#include <errno.h>
#include <string.h>

#include "base/money.h"

typedef void (*feed_fn)(struct sg_live *live, const char *bytes, size_t length);

static void feed(const struct sg_meter_session *session, struct sg_live *live, feed_fn feed_bytes,
	const json_t *text)
{
	const char *bytes = json_string_value(text);
	size_t at = 0, length = json_string_length(text), piece;

	for (; at < length; at += piece) {
		piece = session->next_piece(session->context, length - at);
		feed_bytes(live, bytes + at, piece);
	}
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

// ---- Requests ----

static void take_facts(struct sg_meter_turns *turns, const struct sg_request_facts *facts)
{
	struct sg_request_facts *worst = &turns->facts;
	bool window = worst->context_window;

	if (worst->is_object && worst->max_output >= 0 && facts->max_output >= 0) {
		int64_t most = larger(worst->max_output, facts->max_output);

		*worst = *facts;
		worst->max_output = most;
	} else if (!worst->is_object || worst->max_output >= 0) {
		*worst = *facts;
	}
	worst->context_window = window || facts->context_window;
}

static void on_demand(const struct sg_live *live, const struct sg_live_demand *demand,
	struct sg_meter_turns *turns)
{
	struct sg_request_facts facts;

	if (demand->need == SG_LIVE_TURN) {
		turns->unfinished++;
		take_facts(turns, &demand->facts);
	} else if (!turns->facts.is_object && sg_live_stands(live, SG_LIVE_ANSWERS, &facts)) {
		turns->facts = facts;
	}
}

// ---- Answers ----

static void add_usage(struct sg_usage *sum, const struct sg_usage *usage)
{
	static const size_t counts[] = {
		offsetof(struct sg_usage, input_tokens),
		offsetof(struct sg_usage, cache_read_tokens),
		offsetof(struct sg_usage, cache_write_tokens),
		offsetof(struct sg_usage, cache_write_1h_tokens),
		offsetof(struct sg_usage, output_tokens),
		offsetof(struct sg_usage, reasoning_tokens),
		offsetof(struct sg_usage, audio_input_tokens),
		offsetof(struct sg_usage, audio_cache_read_tokens),
		offsetof(struct sg_usage, image_cache_read_tokens),
		offsetof(struct sg_usage, audio_output_tokens),
		offsetof(struct sg_usage, web_search_requests),
		offsetof(struct sg_usage, maps_requests),
		offsetof(struct sg_usage, file_search_requests),
		offsetof(struct sg_usage, image_input_tokens),
		offsetof(struct sg_usage, image_output_tokens),
	};

	for (size_t i = 0; i < SG_ARRAY_SIZE(counts); i++) {
		int64_t *total = (int64_t *)((char *)sum + counts[i]);
		int64_t count = *(const int64_t *)((const char *)usage + counts[i]);

		*total = sg_money_add(*total, larger(count, 0));
	}
	memcpy(sum->model, usage->model, sizeof(sum->model));
	memcpy(sum->service_tier, usage->service_tier, sizeof(sum->service_tier));
	sum->source = usage->source;
}

static void on_end(const struct sg_meter_session *session, const struct sg_live_news *news,
	struct sg_meter_turns *turns)
{
	bool answer = news->lane == SG_LIVE_ANSWERS;
	struct sg_charge charge;

	turns->unfinished -= answer && turns->unfinished;
	if (news->outcome.state == SG_EXCHANGE_ERROR_FREE)
		return;
	turns->answers += answer;
	turns->transcriptions += !answer;
	if (news->outcome.state != SG_EXCHANGE_SETTLED)
		turns->unfinished++;
	add_usage(answer ? &turns->outcome.usage : &turns->transcription, &news->outcome.usage);
	if (sg_price_cost(session->table, session->provider, turns->facts.model, &news->outcome,
		    session->wall_ns, &charge) == 0)
		turns->nanousd = sg_money_add(turns->nanousd, charge.nanousd);
	else
		turns->priced = false;
}

static void on_news(const struct sg_meter_session *session, const struct sg_live_news *news,
	struct sg_meter_turns *turns)
{
	if (news->kind == SG_LIVE_ENDED)
		on_end(session, news, turns);
	else if (news->kind == SG_LIVE_DENIED)
		turns->unfinished -= turns->unfinished > 0;
	else if (news->kind == SG_LIVE_BEGUN && news->lane == SG_LIVE_ANSWERS)
		turns->unfinished = turns->unfinished ? turns->unfinished : 1;
}

static void read_message(const struct sg_meter_session *session, struct sg_live *live,
	const json_t *message, struct sg_meter_turns *turns)
{
	const char *direction = json_string_value(json_object_get(message, "dir"));
	const json_t *text = json_object_get(message, "text");
	struct sg_live_demand demand;
	struct sg_live_news news;

	if (direction && strcmp(direction, "c2s") == 0) {
		feed(session, live, sg_live_ask, text);
		sg_live_ask_end(live, &demand);
		on_demand(live, &demand, turns);
	} else {
		feed(session, live, sg_live_tell, text);
		sg_live_tell_end(live, &news);
		on_news(session, &news, turns);
	}
}

int sg_meter_read_turns(const struct sg_meter_session *session, const json_t *messages,
	struct sg_meter_turns *ret_turns)
{
	struct sg_live *live;
	size_t index;
	json_t *message;
	int r;

	if (!json_is_array(messages))
		return -EINVAL;
	*ret_turns = (struct sg_meter_turns){ .priced = true,
		.facts = { .max_output = -1, .choices = 1 } };
	r = sg_live_new(&session->options, &live);
	if (r < 0)
		return r;
	json_array_foreach((json_t *)messages, index, message)
	{
		if (!json_is_string(json_object_get(message, "text")))
			r = -EINVAL;
		else
			read_message(session, live, message, ret_turns);
	}
	sg_live_free(live);
	ret_turns->outcome.state =
		ret_turns->unfinished ? SG_EXCHANGE_ESTIMATED : SG_EXCHANGE_SETTLED;
	return r;
}
