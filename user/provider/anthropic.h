// SPDX-License-Identifier: Apache-2.0
// Anthropic's request half, for its row in anthropic_response.c. Not for other modules.
#pragma once

#include "provider/api.h"

#define SG_ANTHROPIC_REQUEST_PATHS 41

extern const struct sg_json_path sg_anthropic_request_paths[SG_ANTHROPIC_REQUEST_PATHS];

void sg_anthropic_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
