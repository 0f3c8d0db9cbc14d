// SPDX-License-Identifier: Apache-2.0
// Frames whole and byte by byte must be told the same, and lie within what was fed.
#include <stdlib.h>
#include <string.h>

#include "http/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	unsigned frames, exceptions;
	size_t payload;
	uint32_t sum;
};

static void on_frame(void *context, const struct sg_frame *frame)
{
	struct told *told = context;

	told->frames++;
	told->exceptions += frame->is_exception;
	told->payload += frame->payload_length;
	for (size_t i = 0; i < frame->payload_length; i++)
		told->sum = told->sum * 31 + (uint8_t)frame->payload[i];
	told->sum += (uint32_t)strlen(frame->type);
}

static int feed(const uint8_t *data, size_t size, size_t piece, struct told *told)
{
	struct sg_frames frames = { 0 };
	int r = 0;

	memset(told, 0, sizeof(*told));
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = sg_frames_feed(&frames, (const char *)data + at,
			size - at < piece ? size - at : piece, on_frame, told);
	sg_frames_done(&frames);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told whole, bytewise;

	if (feed(data, size, size ? size : 1, &whole) != feed(data, size, 1, &bytewise) ||
		memcmp(&whole, &bytewise, sizeof(whole)) != 0 || whole.payload > size)
		abort();
	return 0;
}
