// SPDX-License-Identifier: Apache-2.0
#include "http/h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/h2_state.h"

// Control frames that do no work (PING, SETTINGS, PRIORITY, RST_STREAM, empty DATA): as many at
// once, and as many a second again. Clients of gRPC ping every few seconds; a client that cancels
// every call it makes stays below.
#define ALLOWANCE	     1000u
#define ALLOWANCE_PER_SECOND 100

// nghttp2's own limits against floods of resets and of pieces of a head.
#define RESETS_AT_ONCE	  500
#define RESETS_PER_SECOND 50
#define MAX_CONTINUATIONS 8

// ---- Streams ----

void sg_h2_tell(struct sg_h2_stream *stream)
{
	struct sg_h2 *h2 = stream->h2;

	if (stream->has_news || stream->released)
		return;
	stream->has_news = true;
	stream->next_news = NULL;
	*h2->last_news = stream;
	h2->last_news = &stream->next_news;
}

struct sg_h2_stream *sg_h2_next_news(struct sg_h2 *h2)
{
	struct sg_h2_stream *stream = h2->first_news;

	if (!stream)
		return NULL;
	h2->first_news = stream->next_news;
	if (!h2->first_news)
		h2->last_news = &h2->first_news;
	stream->has_news = false;
	return stream;
}

void sg_h2_forget_news(struct sg_h2_stream *stream)
{
	struct sg_h2_stream **link = &stream->h2->first_news;

	if (!stream->has_news)
		return;
	while (*link != stream)
		link = &(*link)->next_news;
	*link = stream->next_news;
	if (!*link)
		stream->h2->last_news = link;
	stream->has_news = false;
}

int sg_h2_stream_new(struct sg_h2 *h2, int32_t id, void *owner, struct sg_h2_stream **ret_stream)
{
	struct sg_h2_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	stream->h2 = h2;
	stream->id = id;
	stream->owner = owner;
	stream->next = h2->streams;
	stream->link = &h2->streams;
	if (stream->next)
		stream->next->link = &stream->next;
	h2->streams = stream;
	h2->stream_count++;
	*ret_stream = stream;
	return 0;
}

void sg_h2_stream_free(struct sg_h2_stream *stream)
{
	sg_h2_forget_news(stream);
	*stream->link = stream->next;
	if (stream->next)
		stream->next->link = stream->link;
	stream->h2->stream_count--;
	sg_buf_release(&stream->head);
	sg_buf_release(&stream->in);
	sg_buf_release(&stream->trailers);
	sg_buf_release(&stream->out);
	sg_buf_release(&stream->lines);
	sg_buf_release(&stream->cookies);
	sg_buf_release(&stream->pseudo);
	sg_buf_release(&stream->out_trailers);
	free(stream);
}

// ---- What nghttp2 tells ----

static struct sg_h2_stream *stream_of(struct sg_h2 *h2, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h2->session, id);
}

static bool starts_request(const struct sg_h2 *h2, const nghttp2_frame *frame)
{
	return h2->role == SG_H2_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream;

	if (frame->hd.type != NGHTTP2_HEADERS || !starts_request(h2, frame))
		return 0;
	if (sg_h2_stream_new(h2, frame->hd.stream_id, NULL, &stream) < 0) {
		h2->out_of_memory = true;
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	nghttp2_session_set_stream_user_data(session, stream->id, stream);
	return 0;
}

static int on_header(nghttp2_session *session SG_UNUSED, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_length, const uint8_t *value, size_t value_length,
	uint8_t flags SG_UNUSED, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream = stream_of(h2, frame->hd.stream_id);
	int r;

	if (!stream)
		return 0;
	r = sg_h2_head_add(stream, (struct sg_str){ (const char *)name, name_length },
		(struct sg_str){ (const char *)value, value_length });
	if (r == -ENOMEM)
		h2->out_of_memory = true;
	return r < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

// nghttp2 would leave a malformed field out and go on.
static int on_invalid_header(nghttp2_session *session SG_UNUSED,
	const nghttp2_frame *frame SG_UNUSED, const uint8_t *name SG_UNUSED,
	size_t name_length SG_UNUSED, const uint8_t *value SG_UNUSED, size_t value_length SG_UNUSED,
	uint8_t flags SG_UNUSED, void *context SG_UNUSED)
{
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int finish_headers(struct sg_h2 *h2, struct sg_h2_stream *stream, const nghttp2_frame *frame)
{
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	bool trailers =
		h2->role == SG_H2_SERVER ? !starts_request(h2, frame) : stream->final_head_received;
	int r = trailers ? sg_h2_trailers_finish(stream) : sg_h2_head_finish(stream, ends);

	if (r == -ENOMEM)
		h2->out_of_memory = true;
	if (r < 0) {
		nghttp2_submit_rst_stream(
			h2->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_PROTOCOL_ERROR);
		return 0;
	}
	stream->head_there |= !trailers;
	stream->in_ended |= ends;
	sg_h2_tell(stream);
	return 0;
}

// Does the frame stand for no call of the agent, so that any number of them would be only work?
static bool is_idle_frame(const nghttp2_frame *frame)
{
	switch (frame->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_RST_STREAM:
		return true;
	case NGHTTP2_DATA:
		return !frame->hd.length && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	default:
		return false;
	}
}

static int on_frame(nghttp2_session *session SG_UNUSED, const nghttp2_frame *frame, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream = stream_of(h2, frame->hd.stream_id);

	if (is_idle_frame(frame)) {
		if (!h2->allowance) {
			h2->flooded = true;
			return NGHTTP2_ERR_CALLBACK_FAILURE;
		}
		h2->allowance--;
	}
	if (!stream)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		return finish_headers(h2, stream, frame);
	if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		stream->in_ended = true;
		sg_h2_tell(stream);
	}
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags SG_UNUSED, int32_t id,
	const uint8_t *data, size_t length, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream = stream_of(h2, id);

	if (!stream || stream->released) {
		nghttp2_session_consume(session, id, length);
		return 0;
	}
	// One that takes nothing holds up none of the others.
	if (h2->role == SG_H2_CLIENT)
		nghttp2_session_consume_connection(session, length);
	if (sg_buf_append(&stream->in, data, length) < 0) {
		h2->out_of_memory = true;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	sg_h2_tell(stream);
	return 0;
}

static int on_close(nghttp2_session *session SG_UNUSED, int32_t id, uint32_t error, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream = stream_of(h2, id);

	if (!stream)
		return 0;
	stream->closed = true;
	stream->error = error;
	// What nobody took can't be given back to the peer's window by its stream any more.
	if (h2->role == SG_H2_SERVER)
		nghttp2_session_consume_connection(h2->session, sg_buf_length(&stream->in));
	// Nobody has heard of a call whose head was malformed.
	if (stream->released || (!stream->owner && !stream->head_there))
		sg_h2_stream_free(stream);
	else
		sg_h2_tell(stream);
	return 0;
}

// ---- Life ----

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	sg_h2_set_send_callbacks(callbacks);
	return callbacks;
}

static nghttp2_option *make_options(void)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option) != 0)
		return NULL;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_stream_reset_rate_limit(option, RESETS_AT_ONCE, RESETS_PER_SECOND);
	nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS);
	// Whatever passed the parser of HTTP/1.1 can be sent.
	nghttp2_option_set_max_send_header_block_length(option, 2 * SG_H1_MAX_HEAD_BYTES);
	return option;
}

static int start_session(struct sg_h2 *h2)
{
	nghttp2_session_callbacks *callbacks = make_callbacks();
	nghttp2_option *option = make_options();
	int r = -1;

	if (callbacks && option)
		r = h2->role == SG_H2_SERVER
			    ? nghttp2_session_server_new2(&h2->session, callbacks, h2, option)
			    : nghttp2_session_client_new2(&h2->session, callbacks, h2, option);
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return r == 0 ? 0 : -ENOMEM;
}

static int say_settings(struct sg_h2 *h2)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, SG_H1_MAX_HEAD_BYTES },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, SG_H2_STREAM_WINDOW },
		h2->role == SG_H2_SERVER
			? (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
				  SG_H2_MAX_STREAMS }
			: (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};

	if (nghttp2_submit_settings(
		    h2->session, NGHTTP2_FLAG_NONE, settings, SG_ARRAY_SIZE(settings)) != 0 ||
		nghttp2_session_set_local_window_size(
			h2->session, NGHTTP2_FLAG_NONE, 0, SG_H2_CONNECTION_WINDOW) != 0)
		return -ENOMEM;
	return 0;
}

int sg_h2_new(enum sg_h2_role role, struct sg_h2 **ret_h2)
{
	struct sg_h2 *h2 = calloc(1, sizeof(*h2));
	int r;

	if (!h2)
		return -ENOMEM;
	h2->role = role;
	h2->last_news = &h2->first_news;
	h2->allowance = ALLOWANCE;
	r = start_session(h2);
	if (r == 0)
		r = say_settings(h2);
	if (r < 0) {
		sg_h2_free(h2);
		return r;
	}
	*ret_h2 = h2;
	return 0;
}

struct sg_h2 *sg_h2_free(struct sg_h2 *h2)
{
	if (!h2)
		return NULL;
	nghttp2_session_del(h2->session);
	while (h2->streams)
		sg_h2_stream_free(h2->streams);
	free(h2);
	return NULL;
}

// ---- Receiving ----

static void refill_allowance(struct sg_h2 *h2, int64_t now_ms)
{
	int64_t more = (now_ms - h2->allowance_at_ms) * ALLOWANCE_PER_SECOND / 1000;

	if (more <= 0)
		return;
	h2->allowance_at_ms = now_ms;
	h2->allowance =
		more > ALLOWANCE - h2->allowance ? ALLOWANCE : h2->allowance + (unsigned)more;
}

int sg_h2_feed(struct sg_h2 *h2, const void *data, size_t length, int64_t now_ms)
{
	ssize_t n;

	refill_allowance(h2, now_ms);
	n = nghttp2_session_mem_recv(h2->session, data, length);
	if (h2->out_of_memory || n == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	if (h2->flooded)
		nghttp2_session_terminate_session(h2->session, NGHTTP2_ENHANCE_YOUR_CALM);
	return n < 0 ? -EPROTO : 0;
}

void sg_h2_take(struct sg_h2_stream *stream, size_t length)
{
	sg_buf_consume(&stream->in, length);
	if (!sg_buf_length(&stream->in))
		sg_buf_release(&stream->in);
	if (stream->closed)
		return;
	if (stream->h2->role == SG_H2_CLIENT)
		nghttp2_session_consume_stream(stream->h2->session, stream->id, length);
	else
		nghttp2_session_consume(stream->h2->session, stream->id, length);
}

bool sg_h2_is_over(const struct sg_h2 *h2)
{
	return !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session);
}

unsigned sg_h2_open_streams(const struct sg_h2 *h2)
{
	return h2->stream_count;
}

void sg_h2_lose(struct sg_h2 *h2)
{
	for (struct sg_h2_stream *stream = h2->streams; stream; stream = stream->next) {
		if (stream->closed)
			continue;
		stream->closed = true;
		stream->error = SG_H2_INTERNAL_ERROR;
		sg_h2_tell(stream);
	}
}

unsigned sg_h2_call_limit(const struct sg_h2 *h2)
{
	uint32_t limit = nghttp2_session_get_remote_settings(
		h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return limit < SG_H2_MAX_STREAMS ? limit : SG_H2_MAX_STREAMS;
}
