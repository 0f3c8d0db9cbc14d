// SPDX-License-Identifier: Apache-2.0
// Inside of http/h2.h: what h2.c (receiving), h2_send.c and h2_head.c share.
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2.h"

struct sg_h2 {
	nghttp2_session *session;
	enum sg_h2_role role;
	struct sg_h2_stream *streams;
	unsigned stream_count;
	struct sg_h2_stream *first_news, **last_news;
	struct sg_buf *drain_to; // during sg_h2_drain
	uint64_t heard;		 // bytes that have come
	bool out_of_memory;
	bool flooded;
	unsigned allowance; // of control frames that do no work
	int64_t allowance_at_ms;
};

void sg_h2_set_send_callbacks(nghttp2_session_callbacks *callbacks);

int sg_h2_stream_new(
	struct sg_h2 *h2, int32_t id, void *owner, struct sg_h2_stream **ret_stream) SG_WUNRES;
void sg_h2_stream_free(struct sg_h2_stream *stream);
void sg_h2_tell(struct sg_h2_stream *stream);
void sg_h2_forget_news(struct sg_h2_stream *stream);

// ---- h2_head.c ----

// Takes one field of a head or of trailers. Returns 0, -EBADMSG (malformed) or -ENOMEM.
int sg_h2_head_add(struct sg_h2_stream *stream, struct sg_str name, struct sg_str value) SG_WUNRES;

// The fields are whole: appends the text to stream->head (`ends`: no body follows), or to
// stream->trailers. Returns 0, -EBADMSG or -ENOMEM.
int sg_h2_head_finish(struct sg_h2_stream *stream, bool ends) SG_WUNRES;
int sg_h2_trailers_finish(struct sg_h2_stream *stream) SG_WUNRES;

#define SG_H2_MAX_FIELDS (SG_H1_MAX_HEADERS + 4)

struct sg_h2_head_options {
	enum sg_h2_role role;
	bool https;	     // client: the scheme
	bool without_length; // the body will not be as long as the head says
};

// Fields of a head for the wire, with its pseudo-header fields in front; views into `head` and
// `status`. Returns the count.
size_t sg_h2_head_fields(const struct sg_h2_head_options *options, const struct sg_h1_head *head,
	char status[4], nghttp2_nv fields[SG_H2_MAX_FIELDS]);

// Fields of trailers. Returns the count.
size_t sg_h2_trailer_fields(const struct sg_buf *lines, nghttp2_nv fields[SG_H2_MAX_FIELDS]);
