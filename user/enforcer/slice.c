// SPDX-License-Identifier: Apache-2.0
#include "enforcer/slice.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforcer/admission.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// In tokens.
#define SLICE	512
#define RESERVE 512 // held beyond what was seen: what the provider says until it notices the end
#define HIDDEN	128 // names of tools, marks of turns and the like, which are billed and not shown

// How fast a provider may be seen to be, and for how long it is watched, before it is believed that
// it says no more than is seen.
#define SPAN_MS	    50
#define SPAN_TOKENS (RESERVE / 2)
#define WATCH_MS    300
#define WATCH_SPANS 5

// What may have been said and not seen when a stream is cut: as much as came in the last half
// second, or a whole one.
#define LATELY_MS 500

bool sg_slice_is_seen(const struct sg_sliced *stream)
{
	return sg_provider_shows_output(stream->client->provider, stream->api, stream->facts) &&
	       sg_hold_may_cut(stream->hold);
}

static int64_t billed_tokens(const struct sg_slice *slice)
{
	return slice->seen_tokens + HIDDEN;
}

// The bound of the call, were its output limited to `tokens` in all.
static int bound_of(const struct sg_sliced *stream, int64_t tokens, struct sg_charge *ret_bound)
{
	struct sg_request_facts facts = *stream->facts;

	facts.choices = 1;
	facts.max_output = tokens;
	return sg_call_bound(stream->client, stream->prices, &facts, ret_bound);
}

static int raise_to(const struct sg_sliced *stream, const struct sg_charge *bound)
{
	const struct sg_charge *held = &stream->hold->bound;
	struct sg_charge more = { .nanousd = bound->nanousd - held->nanousd,
		.input_tokens = 0,
		.output_tokens = bound->output_tokens - held->output_tokens };
	struct sg_refusal refusal;

	if (more.nanousd <= 0 && more.output_tokens <= 0)
		return 0;
	more.nanousd = more.nanousd > 0 ? more.nanousd : 0;
	more.output_tokens = more.output_tokens > 0 ? more.output_tokens : 0;
	return sg_hold_top_up(
		stream->client->worker->enforcer->engine, stream->hold, &more, false, &refusal);
}

// Back to the bound of the whole call, for good.
static int hold_whole(struct sg_slice *slice, const struct sg_sliced *stream)
{
	bool runs = slice->state == SG_SLICE_RUNS;
	struct sg_charge bound;
	int r = 0;

	if (runs)
		r = sg_call_bound(stream->client, stream->prices, stream->facts, &bound);
	if (runs && r == 0)
		r = raise_to(stream, &bound);
	if (r < 0)
		return -EDQUOT;
	slice->state = SG_SLICE_NEVER;
	return 0;
}

// Returns false when more was said in a short while than is believed of a provider that says no
// more than is seen.
static bool note_pace(struct sg_slice *slice, int64_t now_ms, int64_t before)
{
	if (!slice->first_ms) {
		slice->first_ms = slice->span_ms = slice->lately_ms = now_ms;
		slice->span_seen = slice->lately_seen = slice->before_seen = before;
	}
	if (now_ms - slice->span_ms >= SPAN_MS) {
		slice->spans += before > slice->span_seen;
		slice->span_ms = now_ms;
		slice->span_seen = before;
	}
	if (now_ms - slice->lately_ms >= LATELY_MS) {
		slice->lately_ms = now_ms;
		slice->before_seen = slice->lately_seen;
		slice->lately_seen = before;
	}
	return slice->seen_tokens - slice->span_seen <= SPAN_TOKENS;
}

// Was it seen long enough to say no more than is seen?
static bool is_paced(const struct sg_slice *slice, int64_t now_ms)
{
	return slice->first_ms && now_ms - slice->first_ms >= WATCH_MS &&
	       slice->spans >= WATCH_SPANS;
}

static void start_to_run(struct sg_slice *slice, const struct sg_sliced *stream, int64_t now_ms)
{
	struct sg_engine *engine = stream->client->worker->enforcer->engine;
	int64_t tokens = billed_tokens(slice) + RESERVE + SLICE;
	struct sg_charge bound;

	if (!is_paced(slice, now_ms) || tokens >= stream->hold->bound.output_tokens ||
		!sg_response_reader_can_end(stream->reader) ||
		!sg_hold_is_waited_for(engine, stream->hold))
		return;
	if (stream->exchange)
		(void)!sg_admission_count_texts(stream->exchange);
	if (bound_of(stream, tokens, &bound) < 0)
		return;
	slice->state = SG_SLICE_RUNS;
	slice->held_tokens = tokens;
	sg_hold_lower(engine, stream->hold, &bound);
}

// The stream is to end: what is held from now on, and will be charged, is what it may be billed.
static void lower_to_end(const struct sg_slice *slice, const struct sg_sliced *stream)
{
	int64_t lately = slice->seen_tokens - slice->before_seen;
	struct sg_charge bound;

	if (bound_of(stream, billed_tokens(slice) + (lately > 0 ? lately : 0), &bound) == 0)
		sg_call_lower(stream->client, stream->hold, &bound);
}

static int run_on(struct sg_slice *slice, const struct sg_sliced *stream)
{
	int64_t tokens = billed_tokens(slice) + RESERVE + SLICE;
	struct sg_charge bound;

	if (billed_tokens(slice) + RESERVE <= slice->held_tokens)
		return 0;
	if (bound_of(stream, tokens, &bound) < 0 || raise_to(stream, &bound) < 0) {
		lower_to_end(slice, stream);
		return -EDQUOT;
	}
	slice->held_tokens = tokens;
	return 0;
}

int sg_slice_read(struct sg_slice *slice, const struct sg_sliced *stream)
{
	int64_t now_ms, seen, before = slice->seen_tokens;

	if (slice->state == SG_SLICE_NEVER)
		return 0;
	seen = sg_response_reader_visible_tokens(stream->reader);
	if (seen == before)
		return 0;
	slice->seen_tokens = seen;
	now_ms = sg_loop_now_ms(stream->client->worker->loop);
	if (!note_pace(slice, now_ms, before) || sg_response_reader_hides_output(stream->reader))
		return hold_whole(slice, stream);
	if (slice->state == SG_SLICE_RUNS)
		return run_on(slice, stream);
	start_to_run(slice, stream, now_ms);
	return 0;
}

int sg_slice_turn_away(struct sg_slice *slice, const struct sg_sliced *stream)
{
	return slice->state == SG_SLICE_RUNS ? hold_whole(slice, stream) : 0;
}

struct sg_stream_totals sg_slice_totals(const struct sg_slice *slice, const struct sg_hold *hold)
{
	return (struct sg_stream_totals){ .input_tokens = hold->bound.input_tokens,
		.output_tokens = slice->seen_tokens,
		.wall_ns = sg_clock_wall_ns() };
}

void sg_slice_note_end(const struct sg_slice *slice, const struct sg_sliced *stream, bool clean)
{
	const struct sg_client *client = stream->client;

	sg_log(SG_LOG_INFO, "cut", "agent=%s connection=%llu model=%s output_tokens=%lld clean=%s",
		client->agent->name, (unsigned long long)client->connection, stream->facts->model,
		(long long)slice->seen_tokens, clean ? "yes" : "no");
}

// ---- Of a call ----

static struct sg_sliced stream_of(struct sg_exchange *exchange)
{
	return (struct sg_sliced){ .client = exchange->client,
		.prices = exchange->prices,
		.api = exchange->route.api,
		.facts = &exchange->facts,
		.hold = &exchange->hold,
		.reader = exchange->response_reader,
		.exchange = exchange };
}

void sg_slice_prepare(struct sg_exchange *exchange)
{
	const struct sg_sliced stream = stream_of(exchange);
	// A model that is priced as another one has ways of its own.
	bool can = exchange->facts.stream && exchange->head.minor_version > 0 &&
		   strcmp(exchange->facts.model, exchange->admission.asked_model) == 0 &&
		   sg_slice_is_seen(&stream);

	exchange->slice.state = can ? SG_SLICE_WATCH : SG_SLICE_NEVER;
}

// What was read is told: what its bytes may have been is held no longer.
static void lower_input(struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	struct sg_request_facts facts;
	struct sg_charge bound;
	int64_t tokens;

	if (exchange->facts.known_input || !client->own_host ||
		!sg_provider_tells_input(client->provider, exchange->route.api, &exchange->facts))
		return;
	tokens = sg_response_reader_input_tokens(exchange->response_reader);
	if (tokens <= 0)
		return;
	facts = exchange->facts;
	facts.known_input = tokens;
	if (sg_call_bound(client, exchange->prices, &facts, &bound) < 0)
		return;
	exchange->facts.known_input = tokens;
	sg_call_lower(client, &exchange->hold, &bound);
}

int sg_slice_step(struct sg_exchange *exchange)
{
	const struct sg_sliced stream = stream_of(exchange);

	if (!exchange->response_reader)
		return 0;
	lower_input(exchange);
	return sg_slice_read(&exchange->slice, &stream);
}

int sg_slice_look_away(struct sg_exchange *exchange)
{
	const struct sg_sliced stream = stream_of(exchange);

	return sg_slice_turn_away(&exchange->slice, &stream);
}

bool sg_slice_stop(struct sg_exchange *exchange)
{
	const struct sg_sliced stream = stream_of(exchange);
	const struct sg_slice *slice = &exchange->slice;
	int64_t now_ms = sg_loop_now_ms(exchange->client->worker->loop);

	if (!exchange->response_reader || slice->state == SG_SLICE_NEVER ||
		(slice->state == SG_SLICE_WATCH && !is_paced(slice, now_ms)))
		return false;
	lower_to_end(slice, &stream);
	return true;
}

void sg_slice_note_call(struct sg_exchange *exchange, bool clean)
{
	const struct sg_sliced stream = stream_of(exchange);

	sg_slice_note_end(&exchange->slice, &stream, clean);
}
