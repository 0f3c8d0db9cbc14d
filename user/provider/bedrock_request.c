// SPDX-License-Identifier: Apache-2.0
// The request of Bedrock's converse and invoke. The path names the model; bodies are signed and
// never changed. Of invoke the model's maker decides the body.
#include <string.h>

#include "provider/bedrock.h"

// With the highest effort Nova takes no limit, and writes no more than this.
#define MOST_REASONING (128 * 1024)

enum request_node {
	CONFIG = 1,
	MAX_TOKENS,
	MESSAGES,
	MESSAGE,
	CONTENT,
	PART,
	PART_OTHER,
	PART_TEXT,
	PART_CALL,
	PART_RESULT,
	PART_CACHE,
	PART_REASONING,
	TOOL_CONFIG,
	TOOLS,
	GUARDRAIL,
	PERFORMANCE,
	LATENCY,
	SERVICE_TIER,
	SERVICE_TIER_TYPE,
	// invoke
	BODY_MAX_TOKENS,
	MAX_GEN_LEN,
	TITAN_CONFIG,
	TITAN_MAX,
	CLAUDE_MAX,
	CHOICES,
	GENERATIONS,
	PART_TYPE,
	BODY_TOOLS,
	TOOL,
	TOOL_TYPE,
	COMPLETION_MAX,
	NOVA_MAX,
	BODY_TIER,
	CONFIG_TOOL,
	CONFIG_TOOL_OTHER,
	CONFIG_TOOL_OWN,
	CONFIG_TOOL_CACHE,
	// Nova's
	REASONING,
	REASONING_EFFORT,
	// members of the maker's own body that converse hands on
	ADDED,
	ADDED_OTHER,
	ADDED_KNOWN,
	ADDED_BETAS,
	ADDED_TOP_K,
	ADDED_TOP_K_CAMEL,
	ADDED_K,
	ADDED_P,
	ADDED_MIN_P,
	ADDED_SEED,
	ADDED_RANDOM_SEED,
	ADDED_FREQUENCY,
	ADDED_PRESENCE,
	ADDED_REPETITION,
	ADDED_EFFORT,
	ADDED_OUTPUT,
	ADDED_TEMPLATE,
	ADDED_TOOLS,
	ADDED_REASONING,
	ADDED_CONFIG,
	ADDED_CONFIG_OTHER,
	ADDED_CONFIG_TOP_K,
	ADDED_CONFIG_REASONING,
	ADDED_TIER,
	EMBED_PICTURE,
	EMBED_PICTURES,
	EMBED_INPUTS,
	EMBED_MEDIA,
	EMBED_ONE,
	EMBED_SEGMENTS,
	// pictures: of converse, and of Anthropic's own body
	PART_IMAGE,
	IMAGE_SOURCE,
	IMAGE_BYTES,
	PART_SOURCE,
	SOURCE_DATA,
};

_Static_assert(SOURCE_DATA == SG_BEDROCK_REQUEST_PATHS, "a row for each node");

const struct sg_json_path sg_bedrock_request_paths[SG_BEDROCK_REQUEST_PATHS] = {
	[CONFIG - 1] = { SG_JSON_ROOT, "inferenceConfig", 0 },
	[MAX_TOKENS - 1] = { CONFIG, "maxTokens", 0 },
	[MESSAGES - 1] = { SG_JSON_ROOT, "messages", 0 },
	[MESSAGE - 1] = { MESSAGES, NULL, 0 },
	[CONTENT - 1] = { MESSAGE, "content", 0 },
	[PART - 1] = { CONTENT, NULL, 0 },
	[PART_OTHER - 1] = { PART, "*", 0 },
	[PART_TEXT - 1] = { PART, "text", 0 },
	[PART_CALL - 1] = { PART, "toolUse", 0 },
	[PART_RESULT - 1] = { PART, "toolResult", 0 },
	[PART_CACHE - 1] = { PART, "cachePoint", 0 },
	[PART_REASONING - 1] = { PART, "reasoningContent", 0 },
	[TOOL_CONFIG - 1] = { SG_JSON_ROOT, "toolConfig", 0 },
	[TOOLS - 1] = { TOOL_CONFIG, "tools", 0 },
	[GUARDRAIL - 1] = { SG_JSON_ROOT, "guardrailConfig", 0 },
	[PERFORMANCE - 1] = { SG_JSON_ROOT, "performanceConfig", 0 },
	[LATENCY - 1] = { PERFORMANCE, "latency", 0 },
	[SERVICE_TIER - 1] = { SG_JSON_ROOT, "serviceTier", 0 },
	[SERVICE_TIER_TYPE - 1] = { SERVICE_TIER, "type", 0 },
	[BODY_MAX_TOKENS - 1] = { SG_JSON_ROOT, "max_tokens", 0 },
	[MAX_GEN_LEN - 1] = { SG_JSON_ROOT, "max_gen_len", 0 },
	[TITAN_CONFIG - 1] = { SG_JSON_ROOT, "textGenerationConfig", 0 },
	[TITAN_MAX - 1] = { TITAN_CONFIG, "maxTokenCount", 0 },
	[CLAUDE_MAX - 1] = { SG_JSON_ROOT, "max_tokens_to_sample", 0 },
	[CHOICES - 1] = { SG_JSON_ROOT, "n", 0 },
	[GENERATIONS - 1] = { SG_JSON_ROOT, "num_generations", CHOICES },
	[PART_TYPE - 1] = { PART, "type", 0 },
	[BODY_TOOLS - 1] = { SG_JSON_ROOT, "tools", 0 },
	[TOOL - 1] = { BODY_TOOLS, NULL, 0 },
	[TOOL_TYPE - 1] = { TOOL, "type", 0 },
	[COMPLETION_MAX - 1] = { SG_JSON_ROOT, "max_completion_tokens", 0 },
	[NOVA_MAX - 1] = { CONFIG, "max_new_tokens", 0 },
	[BODY_TIER - 1] = { SG_JSON_ROOT, "service_tier", SERVICE_TIER_TYPE },
	[CONFIG_TOOL - 1] = { TOOLS, NULL, 0 },
	[CONFIG_TOOL_OTHER - 1] = { CONFIG_TOOL, "*", 0 },
	[CONFIG_TOOL_OWN - 1] = { CONFIG_TOOL, "toolSpec", 0 },
	[CONFIG_TOOL_CACHE - 1] = { CONFIG_TOOL, "cachePoint", 0 },
	[REASONING - 1] = { CONFIG, "reasoningConfig", 0 },
	[REASONING_EFFORT - 1] = { REASONING, "maxReasoningEffort", 0 },
	[ADDED - 1] = { SG_JSON_ROOT, "additionalModelRequestFields", 0 },
	[ADDED_OTHER - 1] = { ADDED, "*", 0 },
	[ADDED_KNOWN - 1] = { ADDED, "thinking", 0 },
	[ADDED_BETAS - 1] = { ADDED, "anthropic_beta", ADDED_KNOWN },
	[ADDED_TOP_K - 1] = { ADDED, "top_k", ADDED_KNOWN },
	[ADDED_TOP_K_CAMEL - 1] = { ADDED, "topK", ADDED_KNOWN },
	[ADDED_K - 1] = { ADDED, "k", ADDED_KNOWN },
	[ADDED_P - 1] = { ADDED, "p", ADDED_KNOWN },
	[ADDED_MIN_P - 1] = { ADDED, "min_p", ADDED_KNOWN },
	[ADDED_SEED - 1] = { ADDED, "seed", ADDED_KNOWN },
	[ADDED_RANDOM_SEED - 1] = { ADDED, "random_seed", ADDED_KNOWN },
	[ADDED_FREQUENCY - 1] = { ADDED, "frequency_penalty", ADDED_KNOWN },
	[ADDED_PRESENCE - 1] = { ADDED, "presence_penalty", ADDED_KNOWN },
	[ADDED_REPETITION - 1] = { ADDED, "repetition_penalty", ADDED_KNOWN },
	[ADDED_EFFORT - 1] = { ADDED, "reasoning_effort", ADDED_KNOWN },
	[ADDED_OUTPUT - 1] = { ADDED, "output_config", ADDED_KNOWN },
	[ADDED_TEMPLATE - 1] = { ADDED, "chat_template_kwargs", ADDED_KNOWN },
	[ADDED_TOOLS - 1] = { ADDED, "tools", BODY_TOOLS },
	[ADDED_REASONING - 1] = { ADDED, "reasoningConfig", REASONING },
	[ADDED_CONFIG - 1] = { ADDED, "inferenceConfig", 0 },
	[ADDED_CONFIG_OTHER - 1] = { ADDED_CONFIG, "*", ADDED_OTHER },
	[ADDED_CONFIG_TOP_K - 1] = { ADDED_CONFIG, "topK", ADDED_KNOWN },
	[ADDED_CONFIG_REASONING - 1] = { ADDED_CONFIG, "reasoningConfig", REASONING },
	[ADDED_TIER - 1] = { ADDED, "service_tier", SERVICE_TIER_TYPE },
	// Pictures, sound and video that embeddings are made of: each maker's own
	[EMBED_PICTURE - 1] = { SG_JSON_ROOT, "inputImage", 0 },
	[EMBED_PICTURES - 1] = { SG_JSON_ROOT, "images", EMBED_PICTURE },
	[EMBED_INPUTS - 1] = { SG_JSON_ROOT, "inputs", EMBED_PICTURE },
	[EMBED_MEDIA - 1] = { SG_JSON_ROOT, "mediaSource", EMBED_PICTURE },
	[EMBED_ONE - 1] = { SG_JSON_ROOT, "singleEmbeddingParams", EMBED_PICTURE },
	[EMBED_SEGMENTS - 1] = { SG_JSON_ROOT, "segmentedEmbeddingParams", EMBED_PICTURE },
	[PART_IMAGE - 1] = { PART, "image", 0 },
	[IMAGE_SOURCE - 1] = { PART_IMAGE, "source", 0 },
	[IMAGE_BYTES - 1] = { IMAGE_SOURCE, "bytes", 0 },
	[PART_SOURCE - 1] = { PART, "source", 0 },
	[SOURCE_DATA - 1] = { PART_SOURCE, "data", IMAGE_BYTES },
};

static bool is_embedding(const char *model)
{
	return strstr(model, "embed");
}

static void refuse(struct sg_request_facts *facts, const char *reason)
{
	facts->unbounded = true;
	sg_request_add_reason(facts, reason);
}

// A result of a tool may hold a picture, in any of the shapes.
static void on_part(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const texts[] = { "text", "tool_use", "thinking", "redacted_thinking",
		NULL };
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case PART_OTHER:
	case PART_RESULT:
		if (!value->end && (value->type == SG_JSON_OBJECT || value->type == SG_JSON_ARRAY))
			sg_request_take_window(facts, "media_part");
		break;
	case PART_TYPE:
		if (value->type != SG_JSON_STRING || sg_is_one_of(value->text, texts))
			break;
		if (strcmp(value->text, "image") == 0)
			reader->part.is_image = reader->part.is_taken = true;
		else
			sg_request_take_window(facts, "media_part");
		break;
	case PART_IMAGE:
		reader->part.is_image = true;
		break;
	case PART_SOURCE:
		// Of a picture, if the part is one.
		reader->part.is_media = true;
		break;
	case IMAGE_BYTES:
		sg_request_inline_image(facts, value);
		break;
	case PART:
		if (value->end)
			sg_request_end_part(reader, "image_part", "media_part");
		break;
	default:
		break;
	}
}

// Converse has one name for the limit. The body of invoke is the model's own, and of a name that is
// another maker's the model takes no notice.
static bool limits_output(const struct sg_request_reader *reader, enum request_node node)
{
	static const struct {
		const char *maker;
		enum request_node names[2];
	} makers[] = {
		{ "anthropic.", { BODY_MAX_TOKENS, CLAUDE_MAX } },
		{ "meta.", { MAX_GEN_LEN } },
		{ "amazon.titan", { TITAN_MAX } },
		{ "amazon.nova", { MAX_TOKENS, NOVA_MAX } },
		{ "openai.", { BODY_MAX_TOKENS, COMPLETION_MAX } },
		{ "", { BODY_MAX_TOKENS } },
	};
	size_t i = 0;

	if (reader->api == &sg_api_bedrock_converse)
		return node == MAX_TOKENS;
	while (!strstr(reader->path_model, makers[i].maker))
		i++;
	return node == makers[i].names[0] || node == makers[i].names[1];
}

void sg_bedrock_on_request(struct sg_request_reader *reader, const struct sg_json_value *value)
{
	static const char *const own[] = { "function", NULL };
	struct sg_request_facts *facts = &reader->facts;

	switch ((enum request_node)value->node) {
	case MAX_TOKENS:
	case BODY_MAX_TOKENS:
	case MAX_GEN_LEN:
	case TITAN_MAX:
	case CLAUDE_MAX:
	case COMPLETION_MAX:
	case NOVA_MAX:
		if (limits_output(reader, (enum request_node)value->node))
			sg_request_largest_limit(reader, value);
		break;
	case REASONING_EFFORT:
		if (strcmp(value->text, "high") == 0)
			reader->max_fallback = MOST_REASONING;
		break;
	case ADDED_OTHER:
		refuse(facts, "additional_model_fields");
		break;
	case CONFIG_TOOL_OTHER:
		refuse(facts, "hosted_tools");
		break;
	case CHOICES:
		sg_request_multiplier(value, &facts->choices);
		break;
	case MESSAGE:
		facts->messages += !value->end;
		break;
	case TOOLS:
	case TOOL:
		facts->tools = true;
		break;
	case TOOL_TYPE:
		if (value->type == SG_JSON_STRING && !sg_is_one_of(value->text, own) &&
			!sg_anthropic_runs_at_agent(value->text))
			refuse(facts, "hosted_tools");
		break;
	case EMBED_PICTURE:
		// For a fee that no answer tells.
		if (value->type != SG_JSON_NULL && is_embedding(reader->path_model))
			refuse(facts, "media_part");
		break;
	case GUARDRAIL:
		refuse(facts, "guardrail");
		break;
	case LATENCY:
		if (strcmp(value->text, "standard") != 0)
			refuse(facts, "latency");
		break;
	case SERVICE_TIER_TYPE:
		sg_request_take_tier(facts, value);
		break;
	default:
		on_part(reader, value);
		break;
	}
}

// What converse has members for is asked of invoke by headers.
void sg_bedrock_on_request_header(
	struct sg_request_reader *reader, struct sg_str name, struct sg_str value)
{
	struct sg_request_facts *facts = &reader->facts;

	if (sg_header_is(name, "x-amzn-bedrock-performanceconfig-latency")) {
		if (!sg_header_is(value, "standard"))
			refuse(facts, "latency");
	} else if (sg_header_is(name, "x-amzn-bedrock-guardrailidentifier") ||
		   sg_header_is(name, "x-amzn-bedrock-guardrailversion")) {
		refuse(facts, "guardrail");
	} else if (sg_header_is(name, "x-amzn-bedrock-service-tier")) {
		if (!sg_header_is(value, "default") && !sg_header_is(value, "flex") &&
			!sg_header_is(value, "reserved"))
			refuse(facts, "service_tier");
	}
}

void sg_bedrock_finish_invoke_request(struct sg_request_reader *reader)
{
	if (!is_embedding(reader->facts.model))
		return;
	reader->facts.max_output = 0;
	sg_request_set_inputs(&reader->facts, 0);
}
