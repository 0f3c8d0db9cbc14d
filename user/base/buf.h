// SPDX-License-Identifier: Apache-2.0
// A growable byte buffer with a cap, read from the front and written at the back. One owner; no
// locks. An idle (empty) buffer can give its memory back, so that idle connections stay small.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct sg_buf {
	uint8_t *data;
	size_t start;	 // first unread byte
	size_t end;	 // one past the last byte
	size_t capacity; // bytes allocated
	size_t limit;	 // most bytes that may be held unread; 0: SIZE_MAX
};

static inline size_t sg_buf_length(const struct sg_buf *buf)
{
	return buf->end - buf->start;
}

static inline uint8_t *sg_buf_head(const struct sg_buf *buf)
{
	return buf->data ? buf->data + buf->start
			 : buf->data; // nothing allocated yet: NULL has no offsets
}

// Makes room for `n` more bytes. Returns 0, -ENOMEM, or -ENOBUFS when the cap would be passed.
int sg_buf_reserve(struct sg_buf *buf, size_t n) SG_WUNRES;

// Appends. Returns as sg_buf_reserve.
int sg_buf_append(struct sg_buf *buf, const void *data, size_t n) SG_WUNRES;
int sg_buf_printf(struct sg_buf *buf, const char *format, ...) SG_WUNRES SG_PRINTF(2, 3);

// Drops `n` bytes from the front (n <= length).
void sg_buf_consume(struct sg_buf *buf, size_t n);

// Frees the memory and keeps the cap; the buffer can be used again.
void sg_buf_release(struct sg_buf *buf);
