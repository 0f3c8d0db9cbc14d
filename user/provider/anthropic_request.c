// SPDX-License-Identifier: Apache-2.0
// Anthropic messages, the request. Fields: the provider's API reference, POST /v1/messages.
#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "provider/anthropic.h"

// The provider ends a server tool's loop after this many turns when no max_uses is given, and says
// pause_turn.
#define SERVER_TOOL_TURNS 10

enum request_node {
	MODEL = 1,
	MAX_TOKENS,
	STREAM,
	SERVICE_TIER,
	MESSAGES,
	MESSAGE,
	CONTENT,
	PART,
	PART_TYPE,
	NESTED_CONTENT,
	NESTED_PART,
	NESTED_PART_TYPE,
	TOOLS,
	TOOL,
	TOOL_TYPE,
	TOOL_MAX_USES,
	MCP_SERVERS,
	MCP_SERVER,
	CONTAINER,
	CONTEXT_MANAGEMENT,
	EDITS,
	EDIT,
	EDIT_TYPE,
	FALLBACKS,
	FALLBACK,
	SPEED,
	ROOT_CACHE,
	ROOT_TTL,
	SYSTEM,
	SYSTEM_PART,
	SYSTEM_PART_TYPE,
	SYSTEM_CACHE,
	SYSTEM_TTL,
	PART_CACHE,
	PART_TTL,
	NESTED_CACHE,
	NESTED_TTL,
	TOOL_CACHE,
	TOOL_TTL,
	THINKING,
	THINKING_BUDGET,
	THINKING_TYPE,
	PART_SOURCE,
	SOURCE_DATA,
	GEO,
	// what others have added: who answers, and by what settings
	MODELS,
	EXTENSION,
	PLUGINS,
	PLUGIN,
	PRESET,
	SEARCH_PARAMETERS,
};

_Static_assert(SEARCH_PARAMETERS == SG_ANTHROPIC_REQUEST_PATHS, "a row for each node");

// The rows of a request that stands at `base`.
#define REQUEST_PATHS(base)                                                                        \
	[MODEL - 1] = { base, "model", 0 }, [MAX_TOKENS - 1] = { base, "max_tokens", 0 },          \
		 [STREAM - 1] = { base, "stream", 0 },                                             \
		 [SERVICE_TIER - 1] = { base, "service_tier", 0 },                                 \
		 [MESSAGES - 1] = { base, "messages", 0 }, [MESSAGE - 1] = { MESSAGES, NULL, 0 },  \
		 [CONTENT - 1] = { MESSAGE, "content", 0 }, [PART - 1] = { CONTENT, NULL, 0 },     \
		 [PART_TYPE - 1] = { PART, "type", 0 },                                            \
		 [NESTED_CONTENT - 1] = { PART, "content", 0 },                                    \
		 [NESTED_PART - 1] = { NESTED_CONTENT, NULL, 0 },                                  \
		 [NESTED_PART_TYPE - 1] = { NESTED_PART, "type", 0 },                              \
		 [TOOLS - 1] = { base, "tools", 0 }, [TOOL - 1] = { TOOLS, NULL, 0 },              \
		 [TOOL_TYPE - 1] = { TOOL, "type", 0 },                                            \
		 [TOOL_MAX_USES - 1] = { TOOL, "max_uses", 0 },                                    \
		 [MCP_SERVERS - 1] = { base, "mcp_servers", 0 },                                   \
		 [MCP_SERVER - 1] = { MCP_SERVERS, NULL, 0 },                                      \
		 [CONTAINER - 1] = { base, "container", 0 },                                       \
		 [CONTEXT_MANAGEMENT - 1] = { base, "context_management", 0 },                     \
		 [EDITS - 1] = { CONTEXT_MANAGEMENT, "edits", 0 },                                 \
		 [EDIT - 1] = { EDITS, NULL, 0 }, [EDIT_TYPE - 1] = { EDIT, "type", 0 },           \
		 [FALLBACKS - 1] = { base, "fallbacks", 0 },                                       \
		 [FALLBACK - 1] = { FALLBACKS, NULL, 0 }, [SPEED - 1] = { base, "speed", 0 },      \
		 [ROOT_CACHE - 1] = { base, "cache_control", 0 },                                  \
		 [ROOT_TTL - 1] = { ROOT_CACHE, "ttl", 0 }, [SYSTEM - 1] = { base, "system", 0 },  \
		 [SYSTEM_PART - 1] = { SYSTEM, NULL, 0 },                                          \
		 [SYSTEM_PART_TYPE - 1] = { SYSTEM_PART, "type", 0 },                              \
		 [SYSTEM_CACHE - 1] = { SYSTEM_PART, "cache_control", 0 },                         \
		 [SYSTEM_TTL - 1] = { SYSTEM_CACHE, "ttl", 0 },                                    \
		 [PART_CACHE - 1] = { PART, "cache_control", 0 },                                  \
		 [PART_TTL - 1] = { PART_CACHE, "ttl", 0 },                                        \
		 [NESTED_CACHE - 1] = { NESTED_PART, "cache_control", 0 },                         \
		 [NESTED_TTL - 1] = { NESTED_CACHE, "ttl", 0 },                                    \
		 [TOOL_CACHE - 1] = { TOOL, "cache_control", 0 },                                  \
		 [TOOL_TTL - 1] = { TOOL_CACHE, "ttl", 0 },                                        \
		 [THINKING - 1] = { base, "thinking", 0 },                                         \
		 [THINKING_BUDGET - 1] = { THINKING, "budget_tokens", 0 },                         \
		 [THINKING_TYPE - 1] = { THINKING, "type", 0 },                                    \
		 [PART_SOURCE - 1] = { PART, "source", 0 },                                        \
		 [SOURCE_DATA - 1] = { PART_SOURCE, "data", 0 },                                   \
		 [GEO - 1] = { base, "inference_geo", 0 }, [MODELS - 1] = { base, "models", 0 },   \
		 [EXTENSION - 1] = { MODELS, NULL, 0 }, [PLUGINS - 1] = { base, "plugins", 0 },    \
		 [PLUGIN - 1] = { PLUGINS, NULL, EXTENSION },                                      \
		 [PRESET - 1] = { base, "preset", EXTENSION },                                     \
		 [SEARCH_PARAMETERS - 1] = { base, "search_parameters", EXTENSION }

const struct sg_json_path sg_anthropic_request_paths[SG_ANTHROPIC_REQUEST_PATHS] = { REQUEST_PATHS(
	SG_JSON_ROOT) };

// ---- A batch: requests, each with its params ----

enum batch_node {
	BATCH_REQUESTS = SG_ANTHROPIC_REQUEST_PATHS + 1,
	BATCH_ITEM,
	BATCH_PARAMS,
};

const struct sg_json_path sg_anthropic_batch_paths[SG_ANTHROPIC_BATCH_PATHS] = {
	REQUEST_PATHS(BATCH_PARAMS),
	[BATCH_REQUESTS - 1] = { SG_JSON_ROOT, "requests", 0 },
	[BATCH_ITEM - 1] = { BATCH_REQUESTS, NULL, 0 },
	[BATCH_PARAMS - 1] = { BATCH_ITEM, "params", 0 },
};

static bool starts_with(const char *text, const char *head)
{
	return strncmp(text, head, strlen(head)) == 0;
}

// Text in the body is bounded by its bytes; all else by the context window only.
static void on_part_type(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	static const char *const texts[] = { "text", "tool_use", "tool_result", "thinking",
		"redacted_thinking", "search_result", NULL };
	static const struct {
		const char *type, *reason;
	} kinds[] = { { "image", "image_url" }, { "document", "file" },
		{ "container_upload", "container" } };

	if (value->type != SG_JSON_STRING || sg_is_one_of(value->text, texts))
		return;
	for (size_t i = 0; i < SG_ARRAY_SIZE(kinds); i++)
		if (strcmp(value->text, kinds[i].type) == 0) {
			if (i == 0)
				sg_request_take_image(facts, kinds[i].reason);
			else
				sg_request_take_window(facts, kinds[i].reason);
			return;
		}
	sg_request_take_window(facts, "unknown_part");
}

bool sg_anthropic_runs_at_agent(const char *type)
{
	static const char *const heads[] = { "custom", "bash_", "text_editor_", "computer_",
		"memory_" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(heads); i++)
		if (starts_with(type, heads[i]))
			return true;
	return false;
}

// What is above a count's maximum has no bound, be it by ever so much.
static void add_turns(struct sg_request_facts *facts, int64_t turns)
{
	if (facts->tool_turns < SG_COUNT_MAX)
		facts->tool_turns += turns;
}

static void on_tool(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	reader->facts.tools = true;
	if (!value->end) {
		reader->tool_is_hosted = false;
		reader->tool_max_uses = -1;
	} else if (reader->tool_is_hosted) {
		add_turns(&reader->facts,
			reader->tool_max_uses >= 0 ? reader->tool_max_uses : SERVER_TOOL_TURNS);
	}
}

static void on_tool_type(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	if (value->type != SG_JSON_STRING || sg_anthropic_runs_at_agent(value->text))
		return;
	reader->tool_is_hosted = true;
	if (starts_with(value->text, "advisor")) {
		// A second model with a price and limits of its own.
		sg_request_take_hosted(facts, "advisor");
	} else if (starts_with(value->text, "code_execution")) {
		// Billed by the hour of its container, which no answer tells.
		sg_request_take_hosted(facts, "code_execution");
	} else {
		facts->uses_for_a_fee =
			facts->uses_for_a_fee || starts_with(value->text, "web_search");
		// OpenRouter's own run on in ways of its own.
		facts->unbounded = facts->unbounded || (facts->traits & SG_TRAIT_COST);
		sg_request_take_window(facts, "server_tools");
	}
}

// Marks for the cache, wherever they stand.
static void on_cache_control(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	switch ((enum request_node)value->node) {
	case ROOT_CACHE:
	case SYSTEM_CACHE:
	case PART_CACHE:
	case NESTED_CACHE:
	case TOOL_CACHE:
		facts->cache_write = facts->cache_write || value->type != SG_JSON_NULL;
		break;
	case ROOT_TTL:
	case SYSTEM_TTL:
	case PART_TTL:
	case NESTED_TTL:
	case TOOL_TTL:
		facts->cache_write_1h = facts->cache_write_1h || strcmp(value->text, "5m") != 0;
		break;
	default:
		break;
	}
}

// Of a batch any: which of its calls asked is not kept.
static void on_speed_and_place(struct sg_request_facts *facts, const struct sg_json_value *value)
{
	facts->fast = facts->fast || (value->node == SPEED && strcmp(value->text, "fast") == 0);
	facts->asks_us = facts->asks_us || (value->node == GEO && strcmp(value->text, "us") == 0);
}

void sg_anthropic_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;
	bool given = value->type != SG_JSON_NULL && !value->end;

	switch ((enum request_node)value->node) {
	case MODEL:
		sg_request_set_model(facts, value);
		break;
	case MAX_TOKENS:
		sg_request_output_limit(reader, value, SG_LIMIT_PRIMARY);
		break;
	case SOURCE_DATA:
		// Of a document too, which the context window bounds.
		sg_request_inline_image(facts, value);
		break;
	case THINKING_TYPE:
		facts->thinks = strcmp(value->text, "disabled") != 0;
		break;
	case THINKING_BUDGET:
		// The limit must be above it.
		sg_request_limit(value, 0, &facts->least_limit);
		facts->least_limit++;
		break;
	case STREAM:
		facts->stream = value->type == SG_JSON_TRUE;
		break;
	case SERVICE_TIER:
		sg_request_take_tier(facts, value);
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case PART_TYPE:
	case NESTED_PART_TYPE:
	case SYSTEM_PART_TYPE:
		on_part_type(facts, value);
		break;
	case TOOL:
		on_tool(reader, value);
		break;
	case TOOL_TYPE:
		on_tool_type(reader, value);
		break;
	case TOOL_MAX_USES:
		sg_request_multiplier(value, &reader->tool_max_uses);
		break;
	case SPEED:
	case GEO:
		on_speed_and_place(facts, value);
		break;
	case MCP_SERVER:
		if (given) {
			add_turns(facts, SERVER_TOOL_TURNS);
			sg_request_take_window(facts, "mcp");
		}
		break;
	case CONTAINER:
		if (given)
			sg_request_take_window(facts, "container");
		break;
	case CONTEXT_MANAGEMENT:
		if (given)
			sg_request_take_window(facts, "context_management");
		break;
	case EDIT_TYPE:
		reader->compacts = reader->compacts || starts_with(value->text, "compact");
		break;
	case FALLBACK:
		if (given)
			sg_request_take_hosted(facts, "fallbacks");
		break;
	case EXTENSION:
		if (given)
			sg_request_take_hosted(facts, "hosted_settings");
		break;
	default:
		on_cache_control(facts, value);
		break;
	}
}

// Limits add up; a model that differs from the one before has a price of its own.
static void on_params(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	struct sg_request_facts *facts = &reader->facts;

	if (!value->end) {
		memcpy(reader->last_model, facts->model, sizeof(reader->last_model));
		facts->model[0] = 0;
		reader->max_primary = -1;
		reader->limits[SG_LIMIT_PRIMARY].seen = 0;
		reader->calls++;
		return;
	}
	if (reader->calls > 1 && strcmp(reader->last_model, facts->model) != 0)
		reader->models_differ = true;
	if (reader->max_primary < 0)
		reader->call_output = -1;
	else if (reader->call_output >= 0)
		reader->call_output = sg_money_add(reader->call_output, reader->max_primary);
}

void sg_anthropic_on_batch_request(
	struct sg_request_reader *reader, const struct sg_json_value *value)
{
	if (value->node == BATCH_PARAMS)
		on_params(reader, value);
	else
		sg_anthropic_on_request(reader, value);
}

void sg_anthropic_finish_batch_request(struct sg_request_reader *reader)
{
	struct sg_request_facts *facts = &reader->facts;

	sg_request_bound_compaction(reader);
	facts->batch = true;
	facts->calls = reader->calls;
	facts->max_output = reader->call_output;
	sg_request_add_reason(facts, "batch");
	// What a tool's loop may do in each call is not added up.
	if (reader->models_differ || facts->tool_turns || !reader->calls || reader->call_output < 0)
		facts->unbounded = true;
	if (reader->models_differ)
		sg_request_add_reason(facts, "models_differ");
}
