// SPDX-License-Identifier: Apache-2.0
#include "enforcer/multiplex.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "enforcer/limits.h"
#include "enforcer/upstream.h"
#include "enforcer/worker.h"
#include "http/h2.h"

// ---- Life ----

int sg_multiplex_start(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = calloc(1, sizeof(*multiplex));

	if (!multiplex || sg_h2_new(SG_H2_CLIENT, &multiplex->codec) < 0) {
		free(multiplex);
		return -ENOMEM;
	}
	multiplex->upstream = upstream;
	upstream->multiplex = multiplex;
	return 0;
}

struct sg_multiplex *sg_multiplex_free(struct sg_multiplex *multiplex)
{
	if (!multiplex)
		return NULL;
	multiplex->codec = sg_h2_free(multiplex->codec);
	if (multiplex->put_off)
		multiplex->freed = true;
	else
		free(multiplex);
	return NULL;
}

// The calls learn it from their streams.
static void lose(struct sg_upstream *upstream)
{
	upstream->multiplex->lost = true;
	upstream->multiplex->was_stale = sg_upstream_was_stale(upstream);
	sg_h2_lose(upstream->multiplex->codec);
	sg_buf_release(&upstream->out);
	sg_transport_close(&upstream->transport);
}

// ---- Bytes ----

// Writes what there is. Returns true when more may be there to be written or done.
static bool transmit(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = upstream->multiplex;
	size_t before = sg_buf_length(&upstream->out);
	bool drained;
	int r;

	if (multiplex->lost || multiplex->write_failed)
		return false;
	r = sg_h2_drain(multiplex->codec, &upstream->out, SG_OUT_HIGH);
	drained = sg_buf_length(&upstream->out) > before;
	if (r == 0)
		r = sg_transport_flush(&upstream->transport, &upstream->out);
	// What was drained may be a call's last: it is told at once, with a full socket too.
	if (r == -EAGAIN)
		return drained;
	if (r < 0) {
		// The provider may have answered before it closed.
		sg_buf_release(&upstream->out);
		multiplex->write_failed = true;
		upstream->transport.can_read = true;
		return true;
	}
	return drained || before > 0;
}

static bool receive(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = upstream->multiplex;
	struct sg_worker *worker = upstream->worker;
	ssize_t n;

	if (multiplex->lost)
		return false;
	n = sg_transport_read(&upstream->transport, worker->scratch, SG_SCRATCH_BYTES);
	if (n == -EAGAIN && !multiplex->write_failed)
		return false;
	if (n <= 0) {
		lose(upstream);
		return true;
	}
	multiplex->heard_ms = sg_loop_now_ms(worker->loop);
	multiplex->asked = multiplex->silent = false;
	upstream->saw_bytes = true;
	if (sg_h2_feed(multiplex->codec, worker->scratch, (size_t)n, multiplex->heard_ms) < 0) {
		transmit(upstream); // why it ends
		lose(upstream);
	}
	return true;
}

static bool tell_calls(struct sg_upstream *upstream)
{
	struct sg_h2_stream *stream;
	bool progress = false;

	while (upstream->state == SG_UPSTREAM_SHARED &&
		(stream = sg_h2_next_news(upstream->multiplex->codec))) {
		struct sg_upstream_user *user = stream->owner;

		user->on_event(user);
		progress = true;
	}
	return progress;
}

void sg_multiplex_run(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = upstream->multiplex;
	bool progress = true;

	if (multiplex->running)
		return;
	multiplex->running = true;
	while (progress && upstream->state == SG_UPSTREAM_SHARED) {
		progress = receive(upstream);
		progress |= tell_calls(upstream);
		if (upstream->state == SG_UPSTREAM_SHARED)
			progress |= transmit(upstream);
	}
	multiplex->running = false;
	if (upstream->state != SG_UPSTREAM_SHARED)
		return;
	upstream->origin->call_limit = sg_h2_call_limit(multiplex->codec);
	if (multiplex->lost || sg_h2_is_over(multiplex->codec))
		sg_upstream_retire(upstream);
}

static void run_put_off(struct sg_deferred *deferred)
{
	struct sg_multiplex *multiplex =
		(struct sg_multiplex *)((char *)deferred - offsetof(struct sg_multiplex, turn_end));

	multiplex->put_off = false;
	if (multiplex->freed)
		free(multiplex);
	else
		sg_multiplex_run(multiplex->upstream);
}

void sg_multiplex_put_off(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = upstream->multiplex;

	if (multiplex->running || multiplex->put_off)
		return;
	multiplex->put_off = true;
	sg_loop_defer(upstream->worker->loop, &multiplex->turn_end, run_put_off);
}

// ---- Its state ----

bool sg_multiplex_has_room(const struct sg_upstream *upstream)
{
	const struct sg_multiplex *multiplex = upstream->multiplex;

	return !multiplex->lost && !multiplex->write_failed && !multiplex->silent &&
	       sg_h2_can_request(multiplex->codec) &&
	       upstream->user_count < sg_h2_call_limit(multiplex->codec);
}

void sg_multiplex_watch(struct sg_upstream *upstream)
{
	struct sg_multiplex *multiplex = upstream->multiplex;
	int64_t silence_ms = sg_loop_now_ms(upstream->worker->loop) - multiplex->heard_ms;

	if (multiplex->lost || silence_ms < SG_UPSTREAM_SILENCE_MS)
		return;
	multiplex->silent = multiplex->asked;
	multiplex->asked = true;
	if (!multiplex->silent && sg_h2_ping(multiplex->codec) == 0)
		sg_multiplex_put_off(upstream);
}

void sg_multiplex_say_goodbye(struct sg_upstream *upstream)
{
	if (upstream->multiplex->lost)
		return;
	sg_h2_shut_down(upstream->multiplex->codec);
	transmit(upstream);
}
