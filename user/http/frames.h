// SPDX-License-Identifier: Apache-2.0
// Amazon's event-stream frames (application/vnd.amazon.eventstream) split from a stream of payload
// bytes, whatever their borders; both checksums are verified. Pure; bounded memory; one owner.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

// A frame that is longer is no frame of a provider's.
#define SG_FRAME_MAX_BYTES (4u << 20)

struct sg_frame {
	char type[48];	   // ":event-type", ":exception-type" or ":error-code"; "" none
	bool is_exception; // ":message-type" is exception or error
	const char *payload;
	size_t payload_length;
	size_t raw_end; // bytes of the current feed up to the frame's end
};

// Views are valid during the call.
typedef void (*sg_frame_fn)(void *context, const struct sg_frame *frame);

struct sg_frames {
	struct sg_buf bytes; // of the unfinished frame
};

void sg_frames_done(struct sg_frames *frames);

// Appends a frame that tells an event, with a JSON payload. Returns 0, -ENOMEM or -ENOBUFS.
int sg_frame_append(struct sg_buf *out, const char *event_type, const char *payload) SG_WUNRES;

// Returns 0, -ENOMEM, or -EBADMSG (no frame, or a wrong checksum): what follows can't be read then.
int sg_frames_feed(struct sg_frames *frames, const char *bytes, size_t length, sg_frame_fn on_frame,
	void *context) SG_WUNRES;
