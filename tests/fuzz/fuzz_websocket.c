// SPDX-License-Identifier: Apache-2.0
// Frames whole and byte by byte must be told the same; what is told lies within what was fed; and a
// message's last byte is told before it is taken. The first byte says whose frames they are.
#include <stdlib.h>
#include <string.h>

#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	unsigned messages, controls, lasts, statuses;
	size_t bytes;
	uint32_t sum;
};

static void tell(struct told *told, const struct sg_websocket_piece *piece)
{
	told->messages += piece->what == SG_WEBSOCKET_MESSAGE_END;
	told->lasts += piece->what == SG_WEBSOCKET_LAST;
	told->controls += piece->what == SG_WEBSOCKET_CONTROL;
	told->statuses += piece->status;
	told->bytes += piece->length;
	for (size_t i = 0; i < piece->length; i++)
		told->sum = told->sum * 31 + (uint8_t)piece->data[i];
	if (told->messages > told->lasts)
		abort();
}

static int feed(const uint8_t *data, size_t size, size_t most, enum sg_websocket_side side,
	struct told *told)
{
	struct sg_websocket websocket;
	char unmasked[16];
	size_t at = 0;

	memset(told, 0, sizeof(*told));
	sg_websocket_init(&websocket, side);
	while (at < size) {
		struct sg_websocket_piece piece;
		ssize_t n = sg_websocket_take(&websocket, (const char *)data + at,
			size - at < most ? size - at : most, unmasked, sizeof(unmasked), &piece);

		if (n < 0)
			return (int)n;
		if (n == 0 && piece.what != SG_WEBSOCKET_LAST)
			abort();
		at += (size_t)n;
		tell(told, &piece);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum sg_websocket_side side;
	struct told whole, bytewise;

	if (!size)
		return 0;
	side = data[0] & 1 ? SG_WEBSOCKET_FROM_CLIENT : SG_WEBSOCKET_FROM_SERVER;
	if (feed(data + 1, size - 1, size, side, &whole) !=
			feed(data + 1, size - 1, 1, side, &bytewise) ||
		memcmp(&whole, &bytewise, sizeof(whole)) != 0 || whole.bytes > size)
		abort();
	return 0;
}
