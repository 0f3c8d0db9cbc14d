// SPDX-License-Identifier: Apache-2.0
// Calls that cost money which neither request nor answer tells (fine-tuning, videos, agents that
// run at the provider; paths that are in no table): the operator's amount is held, and charged when
// the provider takes the call.
#include "provider/api.h"

static void finish_request(struct sg_request_reader *reader)
{
	reader->facts.unbounded = true;
	sg_request_add_reason(&reader->facts, "not_told");
}

static void ignore_request(
	struct sg_request_reader *reader SG_UNUSED, const struct sg_json_value *value SG_UNUSED)
{
}

static void ignore_answer(
	struct sg_response_reader *reader SG_UNUSED, const struct sg_json_value *value SG_UNUSED)
{
}

const struct sg_api sg_api_by_amount = {
	.name = "amount",
	.any_body = true,
	.on_request = ignore_request,
	.finish_request = finish_request,
	.on_body = ignore_answer,
	.on_event = ignore_answer,
};
