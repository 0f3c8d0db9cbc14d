// SPDX-License-Identifier: Apache-2.0
// What the files of Anthropic's API share. Not for other modules.
#pragma once

#include "provider/api.h"

#define SG_ANTHROPIC_REQUEST_PATHS 51

extern const struct sg_json_path sg_anthropic_request_paths[SG_ANTHROPIC_REQUEST_PATHS];

#define SG_ANTHROPIC_BATCH_PATHS (SG_ANTHROPIC_REQUEST_PATHS + 3)
extern const struct sg_json_path sg_anthropic_batch_paths[SG_ANTHROPIC_BATCH_PATHS];

void sg_anthropic_on_batch_request(
	struct sg_request_reader *reader, const struct sg_json_value *value);
void sg_anthropic_finish_batch_request(struct sg_request_reader *reader);

void sg_anthropic_on_request(struct sg_request_reader *reader, const struct sg_json_value *value);

// Members of a message that tell what it used, wherever it stands.
enum sg_anthropic_node {
	R_MODEL = 1,
	R_CONTENT,
	R_PART,
	R_TEXT,
	R_THINKING,
	R_USAGE,
	U_INPUT,
	U_OUTPUT,
	U_CACHE_READ,
	U_CACHE_CREATION,
	U_CREATION,
	U_CREATION_5M,
	U_CREATION_1H,
	U_OUTPUT_DETAILS,
	U_THINKING,
	U_SERVER_TOOLS,
	U_WEB_SEARCH,
	U_SERVICE_TIER,
	U_SPEED,
	U_GEO,
	U_ITERATIONS,
	I_ITEM,
	I_TYPE,
	I_MODEL,
	I_INPUT,
	I_OUTPUT,
	I_CACHE_READ,
	I_CACHE_CREATION,
	I_CREATION,
	I_CREATION_5M,
	I_CREATION_1H,
	U_COST,
	U_COST_TICKS,
	U_COST_DETAILS,
	U_COST_UPSTREAM,
	U_OWN_KEY,
	SHARED_NODES,
};

// The rows below a message at `base` whose usage is at `usage_base`.
#define SG_ANTHROPIC_PATHS(base, usage_base)                                                       \
	[R_MODEL - 1] = { base, "model", 0 }, [R_CONTENT - 1] = { base, "content", 0 },            \
		   [R_PART - 1] = { R_CONTENT, NULL, 0 }, [R_TEXT - 1] = { R_PART, "text", 0 },    \
		   [R_THINKING - 1] = { R_PART, "thinking", 0 },                                   \
		   [R_USAGE - 1] = { usage_base, "usage", 0 },                                     \
		   [U_INPUT - 1] = { R_USAGE, "input_tokens", 0 },                                 \
		   [U_OUTPUT - 1] = { R_USAGE, "output_tokens", 0 },                               \
		   [U_CACHE_READ - 1] = { R_USAGE, "cache_read_input_tokens", 0 },                 \
		   [U_CACHE_CREATION - 1] = { R_USAGE, "cache_creation_input_tokens", 0 },         \
		   [U_CREATION - 1] = { R_USAGE, "cache_creation", 0 },                            \
		   [U_CREATION_5M - 1] = { U_CREATION, "ephemeral_5m_input_tokens", 0 },           \
		   [U_CREATION_1H - 1] = { U_CREATION, "ephemeral_1h_input_tokens", 0 },           \
		   [U_OUTPUT_DETAILS - 1] = { R_USAGE, "output_tokens_details", 0 },               \
		   [U_THINKING - 1] = { U_OUTPUT_DETAILS, "thinking_tokens", 0 },                  \
		   [U_SERVER_TOOLS - 1] = { R_USAGE, "server_tool_use", 0 },                       \
		   [U_WEB_SEARCH - 1] = { U_SERVER_TOOLS, "web_search_requests", 0 },              \
		   [U_SERVICE_TIER - 1] = { R_USAGE, "service_tier", 0 },                          \
		   [U_SPEED - 1] = { R_USAGE, "speed", 0 },                                        \
		   [U_GEO - 1] = { R_USAGE, "inference_geo", 0 },                                  \
		   [U_ITERATIONS - 1] = { R_USAGE, "iterations", 0 },                              \
		   [I_ITEM - 1] = { U_ITERATIONS, NULL, 0 }, [I_TYPE - 1] = { I_ITEM, "type", 0 }, \
		   [I_MODEL - 1] = { I_ITEM, "model", 0 },                                         \
		   [I_INPUT - 1] = { I_ITEM, "input_tokens", 0 },                                  \
		   [I_OUTPUT - 1] = { I_ITEM, "output_tokens", 0 },                                \
		   [I_CACHE_READ - 1] = { I_ITEM, "cache_read_input_tokens", 0 },                  \
		   [I_CACHE_CREATION - 1] = { I_ITEM, "cache_creation_input_tokens", 0 },          \
		   [I_CREATION - 1] = { I_ITEM, "cache_creation", 0 },                             \
		   [I_CREATION_5M - 1] = { I_CREATION, "ephemeral_5m_input_tokens", 0 },           \
		   [I_CREATION_1H - 1] = { I_CREATION, "ephemeral_1h_input_tokens", 0 },           \
		   [U_COST - 1] = { R_USAGE, "cost", 0 },                                          \
		   [U_COST_TICKS - 1] = { R_USAGE, "cost_in_usd_ticks", 0 },                       \
		   [U_COST_DETAILS - 1] = { R_USAGE, "cost_details", 0 },                          \
		   [U_COST_UPSTREAM - 1] = { U_COST_DETAILS, "upstream_inference_cost", 0 },       \
		   [U_OWN_KEY - 1] = { R_USAGE, "is_byok", 0 }

// Takes a member of usage: the last non-null value of each counts, deltas are cumulative (rule 5).
// Returns false when it is none.
bool sg_anthropic_on_usage(
	struct sg_response_reader *reader, int node, const struct sg_json_value *value);

// The total of cache writes, where it is more than its two kinds say.
void sg_anthropic_split_creation(
	const struct sg_response_reader *reader, struct sg_usage *usage, int64_t creation);

enum sg_anthropic_event_node {
	E_TYPE = SHARED_NODES,
	E_MESSAGE,
	E_MESSAGE_USAGE,
	E_DELTA,
	E_DELTA_TEXT,
	E_DELTA_THINKING,
	E_DELTA_JSON,
	E_STOP_REASON,
	// usage inside message_start: the same members again, under another parent
	M_INPUT,
	M_OUTPUT,
	M_CACHE_READ,
	M_CACHE_CREATION,
	M_CREATION,
	M_CREATION_5M,
	M_CREATION_1H,
	M_SERVICE_TIER,
	M_SPEED,
	M_GEO,
	E_INDEX,
	E_BLOCK,
	E_BLOCK_TYPE,
	ANTHROPIC_EVENT_NODES,
};

#define SG_ANTHROPIC_EVENT_PATHS                                                                   \
	SG_ANTHROPIC_PATHS(E_MESSAGE, SG_JSON_ROOT),                                               \
		[E_TYPE - 1] = { SG_JSON_ROOT, "type", 0 },                                        \
			  [E_MESSAGE - 1] = { SG_JSON_ROOT, "message", 0 },                        \
			  [E_MESSAGE_USAGE - 1] = { E_MESSAGE, "usage", 0 },                       \
			  [E_DELTA - 1] = { SG_JSON_ROOT, "delta", 0 },                            \
			  [E_DELTA_TEXT - 1] = { E_DELTA, "text", 0 },                             \
			  [E_DELTA_THINKING - 1] = { E_DELTA, "thinking", 0 },                     \
			  [E_DELTA_JSON - 1] = { E_DELTA, "partial_json", 0 },                     \
			  [E_STOP_REASON - 1] = { E_DELTA, "stop_reason", 0 },                     \
			  [M_INPUT - 1] = { E_MESSAGE_USAGE, "input_tokens", 0 },                  \
			  [M_OUTPUT - 1] = { E_MESSAGE_USAGE, "output_tokens", 0 },                \
			  [M_CACHE_READ - 1] = { E_MESSAGE_USAGE, "cache_read_input_tokens", 0 },  \
			  [M_CACHE_CREATION - 1] = { E_MESSAGE_USAGE,                              \
				  "cache_creation_input_tokens", 0 },                              \
			  [M_CREATION - 1] = { E_MESSAGE_USAGE, "cache_creation", 0 },             \
			  [M_CREATION_5M - 1] = { M_CREATION, "ephemeral_5m_input_tokens", 0 },    \
			  [M_CREATION_1H - 1] = { M_CREATION, "ephemeral_1h_input_tokens", 0 },    \
			  [M_SERVICE_TIER - 1] = { E_MESSAGE_USAGE, "service_tier", 0 },           \
			  [M_SPEED - 1] = { E_MESSAGE_USAGE, "speed", 0 },                         \
			  [M_GEO - 1] = { E_MESSAGE_USAGE, "inference_geo", 0 },                   \
			  [E_INDEX - 1] = { SG_JSON_ROOT, "index", 0 },                            \
			  [E_BLOCK - 1] = { SG_JSON_ROOT, "content_block", 0 },                    \
			  [E_BLOCK_TYPE - 1] = { E_BLOCK, "type", 0 }

// Events, and what their counts come to in the end.
void sg_anthropic_on_event(struct sg_response_reader *reader, const struct sg_json_value *value);
void sg_anthropic_end_event(struct sg_response_reader *reader);
void sg_anthropic_finish(struct sg_response_reader *reader);
