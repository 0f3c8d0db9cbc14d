// SPDX-License-Identifier: Apache-2.0
// The request half of Bedrock's API, which its streams share. Not for other modules.
#pragma once

#include "provider/api.h"

#define SG_BEDROCK_REQUEST_PATHS 74

extern const struct sg_json_path sg_bedrock_request_paths[SG_BEDROCK_REQUEST_PATHS];

void sg_bedrock_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_bedrock_on_request_header(
	struct sg_request_reader *reader, struct sg_str name, struct sg_str value);
void sg_bedrock_finish_invoke_request(struct sg_request_reader *reader);
