// SPDX-License-Identifier: Apache-2.0
// Streaming decoder for content codings (gzip, deflate, br, zstd), used for metering only: the
// bytes that travel are never changed. The output per message is capped. One owner; any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "http/h1.h"

// Most decoded bytes of one message.
#define SG_INFLATE_MAX_BYTES (256ull << 20)

// Of a sender who is not trusted: beyond so many decoded bytes, at most so many for each that came.
// JSON of text is seldom above 20; a few bytes can be made to stand for a thousand times as many.
#define SG_INFLATE_FREE_BYTES (2u << 20)
#define SG_INFLATE_RATIO      200

struct sg_inflate;

// `coding` is a Content-Encoding value. Returns 0; -ENOTSUP for a coding (or list of codings) that
// is not known; -ENOMEM. "identity" and "" give *ret_inflate = NULL and 0: no decoder is needed.
int sg_inflate_new(struct sg_str coding, struct sg_inflate **ret_inflate) SG_WUNRES;
struct sg_inflate *sg_inflate_free(struct sg_inflate *inflate);

// What expands beyond all reason is not decoded: sg_inflate_feed returns -EOVERFLOW.
void sg_inflate_limit(struct sg_inflate *inflate);

// Decoded bytes are handed out in pieces; views are valid during the call. Returns 0, -EBADMSG
// (corrupt), -EFBIG (over the cap), -EOVERFLOW (sg_inflate_limit), -ENOMEM, or what the callback
// returned.
typedef int (*sg_inflate_fn)(void *context, const char *bytes, size_t length);
int sg_inflate_feed(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context) SG_WUNRES;
