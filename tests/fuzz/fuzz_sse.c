// SPDX-License-Identifier: Apache-2.0
// The same events whether the stream comes whole or byte by byte.
#include <stdlib.h>
#include <string.h>

#include "http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct log {
	uint64_t hash;
	size_t events, feed_length;
};

static int on_event(void *context, const struct sg_sse_event *event)
{
	struct log *log = context;

	if (event->raw_end > log->feed_length)
		abort();
	for (size_t i = 0; i < event->data_length; i++)
		log->hash = (log->hash ^ (uint8_t)event->data[i]) * 1099511628211ull;
	for (size_t i = 0; i < event->name_length; i++)
		log->hash = (log->hash ^ (uint8_t)event->name[i]) * 1099511628211ull;
	log->hash = (log->hash ^ 0x100) * 1099511628211ull;
	log->events++;
	return 0;
}

static struct log run(const char *data, size_t size, size_t piece)
{
	struct log log = { 0 };
	struct sg_sse sse;

	sg_sse_init(&sse);
	for (size_t at = 0; at < size; at += piece) {
		log.feed_length = size - at < piece ? size - at : piece;
		if (sg_sse_feed(&sse, data + at, log.feed_length, on_event, &log) != 0)
			abort();
	}
	log.feed_length = 0;
	if (sg_sse_finish(&sse, on_event, &log) != 0)
		abort();
	sg_sse_done(&sse);
	return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log whole = run((const char *)data, size, size ? size : 1),
		   bytewise = run((const char *)data, size, 1),
		   threes = run((const char *)data, size, 3);

	if (whole.hash != bytewise.hash || whole.events != bytewise.events ||
		whole.hash != threes.hash)
		abort();
	return 0;
}
