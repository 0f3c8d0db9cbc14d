// SPDX-License-Identifier: Apache-2.0
#include "enforcer/coded.h"

#include <errno.h>
#include <stdlib.h>

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/gate.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// Read from the body at a time, to be decoded once more.
#define PIECE_BYTES 4096

static const char unreadable[] = "the request's Content-Encoding can't be read";

struct sg_undo {
	struct sg_inflate *inflate;
	struct sg_body plain;
	uint64_t offset; // of the body
};

// ---- The worker's part ----

static void count_decoded(struct sg_worker *worker, size_t length)
{
	int64_t now_ms = sg_loop_now_ms(worker->loop);

	if (worker->decoded_ms != now_ms)
		worker->decoded_bytes = 0;
	worker->decoded_ms = now_ms;
	worker->decoded_bytes += length;
}

// By the clock that is read once a turn.
static bool has_turn(const struct sg_worker *worker)
{
	return worker->decoded_ms != sg_loop_now_ms(worker->loop) ||
	       worker->decoded_bytes < SG_TURN_DECODED_BYTES;
}

// ---- Reading ----

int sg_coded_begin(struct sg_exchange *exchange, struct sg_str coding)
{
	int r = sg_inflate_new(coding, &exchange->request_inflate);

	if (r == 0 && exchange->request_inflate)
		sg_inflate_limit(exchange->request_inflate);
	if (r != -ENOTSUP)
		return r;
	exchange->bad_coding = unreadable;
	return 0;
}

bool sg_coded_must_pause(struct sg_exchange *exchange)
{
	if (!exchange->request_inflate || has_turn(exchange->client->worker))
		return false;
	exchange->side->go_on_later(exchange);
	return true;
}

static int read_decoded(void *context, const char *bytes, size_t length)
{
	struct sg_exchange *exchange = context;

	count_decoded(exchange->client->worker, length);
	return sg_request_reader_feed(exchange->request_reader, bytes, length);
}

int sg_coded_read(struct sg_exchange *exchange, struct sg_str piece)
{
	int r = sg_inflate_feed(
		exchange->request_inflate, piece.data, piece.length, read_decoded, exchange);

	switch (r) {
	case -EBADMSG:
		exchange->bad_coding = unreadable;
		return 0;
	case -EFBIG:
		exchange->bad_coding = "what its Content-Encoding expands to is too large";
		return 0;
	case -EOVERFLOW:
		exchange->bad_coding =
			"its Content-Encoding expands it more than 200 times; send it without";
		return 0;
	default:
		return r;
	}
}

// ---- Undoing ----

bool sg_coded_must_undo(const struct sg_exchange *exchange)
{
	return exchange->request_inflate && (exchange->edits.count || sg_gate_applies(exchange));
}

struct sg_undo *sg_undo_free(struct sg_undo *undo)
{
	if (!undo)
		return NULL;
	sg_inflate_free(undo->inflate);
	sg_body_done(&undo->plain);
	free(undo);
	return NULL;
}

static int start_undoing(struct sg_exchange *exchange)
{
	const struct sg_h1_header *coding = sg_h1_find(&exchange->head, "content-encoding");
	struct sg_undo *undo = calloc(1, sizeof(*undo));
	int r;

	if (!undo)
		return -ENOMEM;
	sg_body_init(&undo->plain, exchange->body.share, exchange->body.share_bytes);
	r = coding ? sg_inflate_new(coding->value, &undo->inflate) : -EINVAL;
	if (r < 0)
		sg_undo_free(undo);
	else
		exchange->undo = undo;
	return r;
}

static int append_decoded(void *context, const char *bytes, size_t length)
{
	struct sg_exchange *exchange = context;
	struct sg_worker *worker = exchange->client->worker;

	count_decoded(worker, length);
	return sg_body_append(
		&exchange->undo->plain, bytes, length, worker->enforcer->spill_directory);
}

static void take_plain(struct sg_exchange *exchange)
{
	struct sg_undo *undo = exchange->undo;

	sg_body_done(&exchange->body);
	exchange->body = undo->plain;
	sg_body_init(&undo->plain, NULL, 0);
	exchange->undo = sg_undo_free(undo);
	exchange->body_is_ours = true;
	exchange->request_inflate = sg_inflate_free(exchange->request_inflate);
}

int sg_coded_undo(struct sg_exchange *exchange)
{
	int r = exchange->undo ? 0 : start_undoing(exchange);
	char piece[PIECE_BYTES];

	while (r == 0 && !sg_coded_must_pause(exchange)) {
		struct sg_undo *undo = exchange->undo;
		ssize_t n = sg_body_read(&exchange->body, undo->offset, piece, sizeof(piece));

		if (n == 0) {
			take_plain(exchange);
			return 0;
		}
		undo->offset += n > 0 ? (uint64_t)n : 0;
		r = n < 0 ? (int)n
			  : sg_inflate_feed(
				    undo->inflate, piece, (size_t)n, append_decoded, exchange);
	}
	return r < 0 ? r : -EAGAIN;
}
