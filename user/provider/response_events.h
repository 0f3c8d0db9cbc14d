// SPDX-License-Identifier: Apache-2.0
// The two halves of an answer's reader. Not for other modules.
#pragma once

#include "provider/api.h"

// An event that is longer can't be the usage chunk that a filter looks for.
#define SG_FILTER_MAX_EVENT 65536
#define SG_WHOLE_MAX_EVENT  (1u << 20) // where the stream may have to be ended

// Bytes without a content coding. Returns 0, -EBADMSG (no frames) or -ENOMEM.
int sg_response_read_plain(void *context, const char *bytes, size_t length);

// An event of SSE is whole.
int sg_response_on_sse_event(void *context, const struct sg_sse_event *event);

// The event that is being read is whole, or torn.
void sg_response_finish_event(struct sg_response_reader *reader);

// The last running totals, which nothing says anew.
void sg_response_read_totals(struct sg_response_reader *reader);

// Hands the raw bytes up to `end` of this feed to the agent, or drops them. Returns 0 or -ENOMEM.
int sg_response_pass_event(struct sg_response_reader *reader, size_t end, bool drop);
