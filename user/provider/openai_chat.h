// SPDX-License-Identifier: Apache-2.0
// The two halves of OpenAI's chat completions, and what completions and embeddings share with them.
// Not for other modules.
#pragma once

#include "provider/api.h"

#define SG_CHAT_REQUEST_PATHS 74

extern const struct sg_json_path sg_chat_request_paths[SG_CHAT_REQUEST_PATHS];

void sg_chat_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_chat_finish_request(struct sg_request_reader *reader);
void sg_completions_finish_request(struct sg_request_reader *reader);

// Of the counts that headers tell.
#define SG_CACHED_BY_HEADER 2

// After the answer: makes the classes of its usage disjoint.
void sg_chat_finish_response(struct sg_response_reader *reader);
