// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY 1024

int sg_buf_reserve(struct sg_buf *buf, size_t n)
{
	size_t length = sg_buf_length(buf), wanted, capacity;
	uint8_t *data;

	if (buf->capacity - buf->end >= n)
		return 0;
	if (__builtin_add_overflow(length, n, &wanted))
		return -ENOBUFS;
	if (buf->limit && wanted > buf->limit)
		return -ENOBUFS;
	if (buf->start && wanted <= buf->capacity) {
		memmove(buf->data, buf->data + buf->start, length);
		buf->start = 0;
		buf->end = length;
		return 0;
	}
	capacity = buf->capacity > MIN_CAPACITY ? buf->capacity : MIN_CAPACITY;
	while (capacity < wanted)
		if (__builtin_mul_overflow(capacity, 2, &capacity))
			return -ENOMEM;
	data = malloc(capacity);
	if (!data)
		return -ENOMEM;
	if (length)
		memcpy(data, buf->data + buf->start, length);
	free(buf->data);
	buf->data = data;
	buf->capacity = capacity;
	buf->start = 0;
	buf->end = length;
	return 0;
}

int sg_buf_append(struct sg_buf *buf, const void *data, size_t n)
{
	int r;

	if (!n)
		return 0;
	// The cap counts unread bytes, not the capacity that happens to be there.
	if (buf->limit && sg_buf_length(buf) + n > buf->limit)
		return -ENOBUFS;
	r = sg_buf_reserve(buf, n);
	if (r < 0)
		return r;
	memcpy(buf->data + buf->end, data, n);
	buf->end += n;
	return 0;
}

int sg_buf_printf(struct sg_buf *buf, const char *format, ...)
{
	va_list arguments, again;
	int length, r;

	va_start(arguments, format);
	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	r = length < 0 ? -EINVAL : sg_buf_reserve(buf, (size_t)length + 1);
	if (r == 0) {
		vsnprintf((char *)buf->data + buf->end, (size_t)length + 1, format, again);
		buf->end += (size_t)length;
	}
	va_end(again);
	return r;
}

void sg_buf_consume(struct sg_buf *buf, size_t n)
{
	buf->start += n;
	if (buf->start >= buf->end)
		buf->start = buf->end = 0;
}

void sg_buf_release(struct sg_buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->start = buf->end = buf->capacity = 0;
}
