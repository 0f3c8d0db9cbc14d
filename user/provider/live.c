// SPDX-License-Identifier: Apache-2.0
#include "provider/live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/live_session.h"

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
		.own_host = options->own_host,
		.content_type = { "", 0 },
		.content_encoding = { "", 0 } };
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
	if (!ret_demand->facts.is_object)
		sg_live_refuse(ret_demand, "the message is not one JSON object");
	else
		live->ways->on_ask(live, ret_demand);
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
	sg_response_reader_message(&live->response, bytes, length);
}

void sg_live_end_turn(struct sg_live *live, struct sg_live_news *news)
{
	news->kind = SG_LIVE_ENDED;
	live->settled = true;
	(void)!sg_response_reader_finish(&live->response, true, NULL, &news->outcome);
}

void sg_live_tell_end(struct sg_live *live, struct sg_live_news *ret_news)
{
	ret_news->kind = SG_LIVE_NO_NEWS;
	ret_news->lane = SG_LIVE_ANSWERS;
	ret_news->id[0] = 0;
	sg_live_tell(live, "", 0);
	sg_response_reader_end_message(&live->response);
	live->ways->on_tell(live, ret_news);
	live->settled = live->settled || live->ways->each_message;
}

bool sg_live_stands(
	const struct sg_live *live, enum sg_live_lane lane, struct sg_request_facts *ret_facts)
{
	*ret_facts = live->facts;
	if (lane == SG_LIVE_ANSWERS)
		return live->turns_by_provider && live->facts.model[0];
	memcpy(ret_facts->model, live->transcriber, sizeof(ret_facts->model));
	return live->transcriber[0];
}

// ---- OpenAI's responses over a WebSocket ----

// The one message that agents have for it carries what the body of a POST would.
static void ask_responses(struct sg_live *live, struct sg_live_demand *demand)
{
	const char *type = live->request.marks.type;

	if (strcmp(type, "response.create") == 0) {
		demand->need = SG_LIVE_TURN;
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
	} else if (strcmp(reader->event_type, "error") == 0) {
		news->kind = SG_LIVE_DENIED;
		live->settled = !reader->produced;
	}
}

const struct sg_live_ways sg_live_responses = {
	.on_ask = ask_responses,
	.on_tell = tell_responses,
};
