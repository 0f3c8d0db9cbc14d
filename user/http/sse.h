// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML, 9.2.6) split from a stream of payload bytes, whatever their
// borders: BOM, CR, LF, CRLF, comments, several data lines, a last event without a blank line.
// Pure; bounded memory; one owner.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

// Most bytes of one event's data that are gathered; a longer event is reported with `truncated`.
#define SG_SSE_MAX_EVENT_BYTES (4u << 20)

struct sg_sse_event {
	const char *name; // value of the last `event:` line, "" if none; not NUL-terminated
	size_t name_length;
	const char *data; // data lines joined by LF; not NUL-terminated
	size_t data_length;
	bool truncated;
	size_t raw_end; // bytes of the current feed up to the end of the blank line that ended the
			// event; the LF of a CRLF that comes only with the next feed belongs to
			// what follows
};

// Called at every blank line, also where no data line came before it (comments): data_length is 0
// then. Views are valid during the call. A non-zero return stops the feed, which returns it.
typedef int (*sg_sse_event_fn)(void *context, const struct sg_sse_event *event);

struct sg_sse {
	struct sg_buf line; // the unfinished line, when it crosses a feed
	struct sg_buf data; // of an event of several lines, or that crosses a feed
	const char *lying;  // of the first data line, in the bytes of this feed; NULL: in `data`
	size_t lying_length;
	char name[64];
	size_t name_length;
	bool saw_first_byte;
	bool last_was_cr;
	bool has_data;
	bool truncated;
};

void sg_sse_init(struct sg_sse *sse);
void sg_sse_done(struct sg_sse *sse);

// Returns 0, -ENOMEM, or what the callback returned.
int sg_sse_feed(struct sg_sse *sse, const char *bytes, size_t length, sg_sse_event_fn on_event,
	void *context) SG_WUNRES;

// End of stream: an event without its blank line is given out all the same (providers do this; the
// standard drops it).
int sg_sse_finish(struct sg_sse *sse, sg_sse_event_fn on_event, void *context) SG_WUNRES;
