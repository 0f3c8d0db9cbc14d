// SPDX-License-Identifier: Apache-2.0
// The two halves of `spendgate meter`: reading an exchange, and saying what it came to. Not for
// other modules.
#pragma once

#include "base/buf.h"
#include "provider/api.h"
#include "provider/meter.h"
#include "provider/meter_turns.h"

struct meter {
	const json_t *request, *response;
	const struct sg_price_table *table;
	const struct sg_meter_options *options;
	const struct sg_provider *provider;
	bool own_host;
	char region[32];
	const char *host;
	struct sg_route route;
	struct sg_buf request_bytes, response_bytes;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_outcome outcome;
	struct sg_meter_turns turns; // of a WebSocket session
	struct sg_buf seen;	     // what the agent gets, when a usage chunk was asked for
	bool cut;		     // the exchange ended before its end
	uint64_t random;
	struct sg_error *error;
};

// Fills the object.
void sg_meter_describe(const struct meter *meter, json_t *result);
