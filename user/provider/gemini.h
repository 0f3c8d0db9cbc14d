// SPDX-License-Identifier: Apache-2.0
// What the files of Gemini's API share. Not for other modules.
#pragma once

#include "provider/live_session.h"

#define SG_GEMINI_REQUEST_PATHS 49

extern const struct sg_json_path sg_gemini_request_paths[SG_GEMINI_REQUEST_PATHS];

void sg_gemini_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_gemini_finish_request(struct sg_request_reader *reader);

#define SG_GEMINI_LIVE_PATHS 46

extern const struct sg_json_path sg_gemini_live_paths[SG_GEMINI_LIVE_PATHS];
extern const struct sg_live_ways sg_gemini_live_ways;

void sg_gemini_live_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
// Makes the classes of what was counted disjoint; input was told.
void sg_gemini_count_output(struct sg_response_reader *reader);
void sg_gemini_count_searches(struct sg_response_reader *reader);
