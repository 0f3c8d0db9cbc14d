// SPDX-License-Identifier: Apache-2.0
// A session's messages of both sides, whole and byte by byte: the same must be needed and told. The
// first byte says whose API it is; each line is a message, the agent's where it starts with '>'.
#include <stdlib.h>
#include <string.h>

#include "provider/api.h"
#include "provider/live.h"

// Both are to be ended here.
static void check_same_end(struct sg_live *a, struct sg_live *b)
{
	static const struct sg_stream_totals totals = { .input_tokens = 1, .output_tokens = 1 };
	const struct sg_response_reader *answers[] = { sg_live_answer(a), sg_live_answer(b) };
	struct sg_buf ends[2] = { { 0 }, { 0 } };
	size_t length;
	int r[2];

	if (!answers[0])
		return;
	if (sg_response_reader_visible_tokens(answers[0]) !=
		sg_response_reader_visible_tokens(answers[1]))
		abort();
	r[0] = sg_live_end(a, &totals, &ends[0]);
	r[1] = sg_live_end(b, &totals, &ends[1]);
	length = sg_buf_length(&ends[0]);
	if (r[0] != r[1] || length != sg_buf_length(&ends[1]) ||
		(length && memcmp(sg_buf_head(&ends[0]), sg_buf_head(&ends[1]), length) != 0))
		abort();
	sg_buf_release(&ends[0]);
	sg_buf_release(&ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef void (*feed_fn)(struct sg_live *live, const char *bytes, size_t length);

static void feed(
	struct sg_live *live, feed_fn feed_bytes, const char *bytes, size_t length, size_t most)
{
	for (size_t at = 0; at < length; at += most)
		feed_bytes(live, bytes + at, length - at < most ? length - at : most);
}

static void read_message(struct sg_live *live, const char *bytes, size_t length, size_t most,
	struct sg_live_demand *demand, struct sg_live_news *news)
{
	memset(demand, 0, sizeof(*demand));
	memset(news, 0, sizeof(*news));
	if (length && *bytes == '>') {
		feed(live, sg_live_ask, bytes + 1, length - 1, most);
		sg_live_ask_end(live, demand);
	} else {
		feed(live, sg_live_tell, bytes, length, most);
		sg_live_tell_end(live, news);
	}
}

static void check_same(
	const struct sg_live_news *a, const struct sg_live_news *b, enum sg_live_kind kind)
{
	if (kind != b->kind || a->lane != b->lane || strcmp(a->id, b->id) != 0)
		abort();
	if (kind == SG_LIVE_ENDED && (a->outcome.state != b->outcome.state ||
					     a->outcome.bad_evidence != b->outcome.bad_evidence ||
					     memcmp(&a->outcome.usage, &b->outcome.usage,
						     sizeof(a->outcome.usage)) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sg_api *const apis[] = { &sg_api_openai_responses,
		&sg_api_openai_realtime, &sg_api_gemini_live };
	struct sg_route route = { .kind = SG_ROUTE_LIVE, .model = "" };
	struct sg_live_options options = { .route = &route,
		.own_host = true,
		.may_end = size && data[0] & 0x80,
		.provider = sg_provider_by_name("openai") };
	struct sg_live_demand demands[2];
	struct sg_live_news news[2];
	struct sg_live *lives[2];
	const char *at = (const char *)data + 1, *end = (const char *)data + size;

	if (!size)
		return 0;
	route.api = apis[data[0] % SG_ARRAY_SIZE(apis)];
	for (size_t i = 0; i < 2; i++)
		if (sg_live_new(&options, &lives[i]) < 0)
			abort();
	while (at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((line ? line : end) - at);

		read_message(lives[0], at, length, size, &demands[0], &news[0]);
		read_message(lives[1], at, length, 1, &demands[1], &news[1]);
		if (demands[0].need != demands[1].need || demands[0].apart != demands[1].apart ||
			memcmp(&demands[0].facts, &demands[1].facts, sizeof(demands[0].facts)) != 0)
			abort();
		check_same(&news[0], &news[1], news[0].kind);
		at += length + 1;
	}
	check_same_end(lives[0], lives[1]);
	sg_live_free(lives[0]);
	sg_live_free(lives[1]);
	return 0;
}
