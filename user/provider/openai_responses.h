// SPDX-License-Identifier: Apache-2.0
// The request half of OpenAI's responses, for its row in openai_responses_response.c. Not for other
// modules.
#pragma once

#include "provider/api.h"

#define SG_RESPONSES_REQUEST_PATHS 35

// facts.reasons, of a request that goes on from a response.
#define SG_REASON_PREVIOUS "previous_response_id"

extern const struct sg_json_path sg_responses_request_paths[SG_RESPONSES_REQUEST_PATHS];

void sg_responses_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_responses_finish_request(struct sg_request_reader *reader);
