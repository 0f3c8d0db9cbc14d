// SPDX-License-Identifier: Apache-2.0
// What the files of Gemini's API share. Not for other modules.
#pragma once

#include "provider/live_session.h"

#define SG_GEMINI_REQUEST_PATHS 63

extern const struct sg_json_path sg_gemini_request_paths[SG_GEMINI_REQUEST_PATHS];

void sg_gemini_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_gemini_finish_request(struct sg_request_reader *reader);

// A tool that the provider runs; what one that is not known costs nothing tells.
void sg_gemini_take_tool(struct sg_request_reader *reader, bool known);
void sg_gemini_take_tier(struct sg_request_facts *facts, const struct sg_json_value *value);

// Has a prompt that was searched for one fee, and not each query?
bool sg_gemini_searches_by_prompt(const char *model);

#define SG_GEMINI_LIVE_PATHS 46

extern const struct sg_json_path sg_gemini_live_paths[SG_GEMINI_LIVE_PATHS];
extern const struct sg_live_ways sg_gemini_live_ways;

void sg_gemini_live_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
// The tier by which the answer was made, in either of the provider's words.
void sg_gemini_on_tier(struct sg_usage *usage, const char *word);
void sg_gemini_on_header(
	struct sg_response_reader *reader, struct sg_str name, struct sg_str value);
// Makes the classes of what was counted disjoint; input was told.
void sg_gemini_count_output(struct sg_response_reader *reader);
void sg_gemini_split_parts(struct sg_usage *usage);
void sg_gemini_count_searches(struct sg_response_reader *reader);
