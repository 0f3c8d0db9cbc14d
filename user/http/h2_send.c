// SPDX-License-Identifier: Apache-2.0
// What goes out: heads, payload by the peer's windows, resets.
#include <errno.h>
#include <string.h>

#include "http/h2_state.h"

#define FRAME_HEADER_BYTES 9

// ---- Payload, as nghttp2 asks for it ----

static int submit_trailers(struct sg_h2_stream *stream)
{
	nghttp2_nv fields[SG_H2_MAX_FIELDS];
	size_t count = sg_h2_trailer_fields(&stream->out_trailers, fields);

	return nghttp2_submit_trailer(stream->h2->session, stream->id, fields, count);
}

static ssize_t read_payload(nghttp2_session *session SG_UNUSED, int32_t id SG_UNUSED,
	uint8_t *data SG_UNUSED, size_t length, uint32_t *flags, nghttp2_data_source *source,
	void *context SG_UNUSED)
{
	struct sg_h2_stream *stream = source->ptr;
	size_t there = sg_buf_length(&stream->out);

	if (!there && stream->cut)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; // RST_STREAM, INTERNAL_ERROR
	if (!there && !stream->out_ended) {
		stream->out_waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (length > there)
		length = there;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (stream->out_ended && length == there) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (sg_buf_length(&stream->out_trailers) && submit_trailers(stream) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)length;
}

// The frame goes from the stream's buffer into the connection's.
static int send_payload(nghttp2_session *session SG_UNUSED, nghttp2_frame *frame,
	const uint8_t *frame_header, size_t length, nghttp2_data_source *source, void *context)
{
	struct sg_h2 *h2 = context;
	struct sg_h2_stream *stream = source->ptr;

	if (frame->data.padlen ||
		sg_buf_append(h2->drain_to, frame_header, FRAME_HEADER_BYTES) < 0 ||
		sg_buf_append(h2->drain_to, sg_buf_head(&stream->out), length) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	sg_buf_consume(&stream->out, length);
	sg_h2_tell(stream); // there is room again
	return 0;
}

static int on_frame_sent(
	nghttp2_session *session, const nghttp2_frame *frame, void *context SG_UNUSED)
{
	struct sg_h2_stream *stream;

	if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!stream)
		return 0;
	stream->begun = true;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	stream->out_gone = true;
	sg_h2_tell(stream);
	if (stream->reset_at_end && !stream->in_ended)
		nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

void sg_h2_set_send_callbacks(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_send_data_callback(callbacks, send_payload);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}

int sg_h2_drain(struct sg_h2 *h2, struct sg_buf *out, size_t high)
{
	ssize_t n = 1;
	int r = 0;

	h2->drain_to = out;
	while (r == 0 && sg_buf_length(out) < high) {
		size_t before = sg_buf_length(out);
		const uint8_t *bytes;

		n = nghttp2_session_mem_send(h2->session, &bytes);
		if (n > 0)
			r = sg_buf_append(out, bytes, (size_t)n);
		else if (n < 0)
			r = -ENOMEM;
		else if (sg_buf_length(out) == before)
			break;
	}
	h2->drain_to = NULL;
	return r;
}

// ---- What the owner gives ----

static int result(int r)
{
	return r < 0 && nghttp2_is_fatal(r) ? -ENOMEM : 0;
}

static nghttp2_data_provider provider(struct sg_h2_stream *stream)
{
	return (nghttp2_data_provider){ .source.ptr = stream, .read_callback = read_payload };
}

int sg_h2_respond(
	struct sg_h2_stream *stream, const struct sg_h1_head *head, bool keeps_length, bool ends)
{
	const struct sg_h2_head_options options = { .role = SG_H2_SERVER,
		.without_length = !keeps_length };
	nghttp2_session *session = stream->h2->session;
	nghttp2_data_provider data = provider(stream);
	nghttp2_nv fields[SG_H2_MAX_FIELDS];
	char status[4];
	size_t count;

	if (stream->closed)
		return 0;
	count = sg_h2_head_fields(&options, head, status, fields);
	if (head->status < 200)
		return result(nghttp2_submit_headers(
			session, NGHTTP2_FLAG_NONE, stream->id, NULL, fields, count, NULL));
	return result(
		nghttp2_submit_response(session, stream->id, fields, count, ends ? NULL : &data));
}

int sg_h2_continue(struct sg_h2_stream *stream)
{
	const struct sg_h1_head head = { .kind = SG_H1_RESPONSE, .status = 100 };

	return sg_h2_respond(stream, &head, true, false);
}

int sg_h2_request(struct sg_h2 *h2, const struct sg_h1_head *head, bool https, bool ends,
	void *owner, struct sg_h2_stream **ret_stream)
{
	const struct sg_h2_head_options options = { .role = SG_H2_CLIENT, .https = https };
	struct sg_h2_stream *stream;
	nghttp2_data_provider data;
	nghttp2_nv fields[SG_H2_MAX_FIELDS];
	size_t count;
	char status[4];
	int r = sg_h2_stream_new(h2, 0, owner, &stream);

	if (r < 0)
		return r;
	stream->asks_head = head->method.length == 4 && memcmp(head->method.data, "HEAD", 4) == 0;
	data = provider(stream);
	count = sg_h2_head_fields(&options, head, status, fields);
	r = nghttp2_submit_request(h2->session, NULL, fields, count, ends ? NULL : &data, stream);
	if (r < 0) {
		sg_h2_stream_free(stream);
		return nghttp2_is_fatal(r) ? -ENOMEM : -EPIPE;
	}
	stream->id = r;
	*ret_stream = stream;
	return 0;
}

bool sg_h2_can_request(const struct sg_h2 *h2)
{
	return nghttp2_session_check_request_allowed(h2->session);
}

// nghttp2 asks again when it was told that there was nothing.
static int resume(struct sg_h2_stream *stream)
{
	if (!stream->out_waits)
		return 0;
	stream->out_waits = false;
	return result(nghttp2_session_resume_data(stream->h2->session, stream->id));
}

int sg_h2_send(struct sg_h2_stream *stream, const void *data, size_t length)
{
	int r;

	if (stream->closed)
		return 0;
	r = sg_buf_append(&stream->out, data, length);
	return r < 0 ? r : resume(stream);
}

int sg_h2_end(struct sg_h2_stream *stream, const struct sg_buf *trailers)
{
	int r = 0;

	if (stream->closed || stream->out_ended)
		return 0;
	if (trailers && sg_buf_length(trailers))
		r = sg_buf_append(
			&stream->out_trailers, sg_buf_head(trailers), sg_buf_length(trailers));
	stream->out_ended = true;
	return r < 0 ? r : resume(stream);
}

// Nobody takes what has come or will come.
static void disown(struct sg_h2_stream *stream)
{
	sg_h2_take(stream, sg_buf_length(&stream->in));
	sg_h2_forget_news(stream); // its owner may be gone
	stream->released = true;
	if (stream->closed)
		sg_h2_stream_free(stream);
}

void sg_h2_release(struct sg_h2_stream *stream, bool stop)
{
	stream->reset_at_end = stop;
	disown(stream);
}

void sg_h2_reset(struct sg_h2_stream *stream, enum sg_h2_error error, bool after_output)
{
	stream->cut = true;
	if (!stream->closed && !(after_output && sg_buf_length(&stream->out)))
		nghttp2_submit_rst_stream(
			stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, error);
	disown(stream);
}

void sg_h2_shut_down(struct sg_h2 *h2)
{
	nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR);
}

int sg_h2_ping(struct sg_h2 *h2)
{
	return result(nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL));
}
