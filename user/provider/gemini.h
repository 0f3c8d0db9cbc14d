// SPDX-License-Identifier: Apache-2.0
// The request half of Gemini's generateContent, for its rows in gemini_response.c. Not for other
// modules.
#pragma once

#include "provider/api.h"

#define SG_GEMINI_REQUEST_PATHS 35

extern const struct sg_json_path sg_gemini_request_paths[SG_GEMINI_REQUEST_PATHS];

void sg_gemini_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_gemini_finish_request(struct sg_request_reader *reader);
