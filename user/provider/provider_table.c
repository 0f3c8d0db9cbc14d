// SPDX-License-Identifier: Apache-2.0
// One row a provider: its hosts, where its paths begin, and its own ways.
#include "provider/paths.h"

#define END_RULES                                                                                  \
	{                                                                                          \
		NULL, NULL                                                                         \
	}
#define END_GROUPS END_RULES

static const struct sg_path_group openai_posts[] = { { "/v1", sg_openai_rules }, END_GROUPS };
static const struct sg_path_group anthropic_posts[] = { { "/v1", sg_anthropic_rules }, END_GROUPS };
static const struct sg_path_group azure_posts[] = {
	{ "/openai/v1", sg_openai_rules },
	{ "/openai/deployments", sg_azure_deployment_rules },
	{ "/openai", sg_azure_rules },
	{ "/models", sg_chat_and_embeddings_rules },
	{ "/anthropic/v1", sg_messages_rules },
	END_GROUPS,
};
static const struct sg_path_group deepseek_posts[] = {
	{ "/anthropic/v1", sg_messages_rules },
	{ "/v1", sg_deepseek_rules },
	{ "/beta", sg_deepseek_rules },
	{ "", sg_deepseek_rules },
	END_GROUPS,
};
static const struct sg_path_group fireworks_posts[] = {
	{ "/inference/v1/workflows", sg_fireworks_workflow_rules },
	{ "/inference/v1", sg_compatible_rules },
	END_GROUPS,
};
static const struct sg_path_group gemini_posts[] = {
	{ "/v1beta/openai", sg_chat_and_embeddings_rules },
	{ "/v1beta", sg_gemini_rules },
	{ "/v1alpha", sg_gemini_rules },
	{ "/v1", sg_gemini_rules },
	{ "/upload/v1beta/files", sg_gemini_upload_rules },
	{ "/upload/v1alpha/files", sg_gemini_upload_rules },
	{ "/upload/v1/files", sg_gemini_upload_rules },
	{ "/upload/v1beta", sg_gemini_store_rules },
	END_GROUPS,
};
static const struct sg_path_group gemini_gets[] = {
	{ "/v1beta", sg_gemini_polls },
	{ "/v1alpha", sg_gemini_polls },
	{ "/v1", sg_gemini_polls },
	END_GROUPS,
};
static const struct sg_path_group openai_gets[] = { { "/v1", sg_openai_polls }, END_GROUPS };
static const struct sg_path_group azure_gets[] = {
	{ "/openai/v1", sg_openai_polls },
	{ "/openai", sg_batch_polls },
	END_GROUPS,
};
static const struct sg_path_group groq_gets[] = { { "/openai/v1", sg_batch_polls }, END_GROUPS };
static const struct sg_path_group v1_gets[] = { { "/v1", sg_batch_polls }, END_GROUPS };
static const struct sg_path_group xai_gets[] = { { "/v1", sg_xai_polls }, END_GROUPS };
static const struct sg_path_group anthropic_gets[] = { { "/v1", sg_anthropic_polls }, END_GROUPS };
static const struct sg_path_group perplexity_gets[] = { { "", sg_perplexity_polls }, END_GROUPS };
static const struct sg_path_group vertex_posts[] = {
	{ "/v1beta1", sg_vertex_rules },
	{ "/v1", sg_vertex_rules },
	END_GROUPS,
};
static const struct sg_path_group cohere_posts[] = { { "", sg_cohere_rules }, END_GROUPS };
static const struct sg_path_group bedrock_posts[] = {
	{ "/model", sg_bedrock_rules },
	{ "/openai/v1", sg_chat_and_embeddings_rules },
	{ "/v1", sg_chat_and_embeddings_rules },
	{ "/anthropic/v1", sg_messages_rules },
	{ "", sg_bedrock_other_rules },
	END_GROUPS,
};
static const struct sg_path_group ollama_posts[] = {
	{ "/api", sg_ollama_rules },
	{ "/v1", sg_compatible_rules },
	END_GROUPS,
};
static const struct sg_path_group groq_posts[] = { { "/openai/v1", sg_groq_rules }, END_GROUPS };
static const struct sg_path_group mistral_posts[] = { { "/v1", sg_mistral_rules }, END_GROUPS };
static const struct sg_path_group openrouter_posts[] = {
	{ "/api/v1", sg_openrouter_rules },
	END_GROUPS,
};
static const struct sg_path_group perplexity_posts[] = { { "", sg_perplexity_rules }, END_GROUPS };
static const struct sg_path_group together_posts[] = { { "/v1", sg_together_rules }, END_GROUPS };
static const struct sg_path_group xai_posts[] = { { "/v1", sg_xai_rules }, END_GROUPS };

// vLLM has its counting outside /v1.
const struct sg_path_group sg_compatible_posts[] = {
	{ "/v1", sg_compatible_rules },
	{ "", sg_compatible_rules },
	END_GROUPS,
};

// ---- Sessions over a WebSocket ----

static const struct sg_path_rule openai_upgrade_rules[] = {
	{ "/realtime", &sg_api_openai_realtime },
	{ "/responses", &sg_api_openai_responses },
	END_RULES,
};

static const struct sg_path_rule azure_upgrade_rules[] = {
	{ "/realtime", &sg_api_openai_realtime },
	END_RULES,
};

static const struct sg_path_rule gemini_upgrade_rules[] = {
	{ "v1beta.GenerativeService.BidiGenerateContent", &sg_api_gemini_live },
	{ "v1beta.GenerativeService.BidiGenerateContentConstrained", &sg_api_gemini_live },
	{ "v1alpha.GenerativeService.BidiGenerateContent", &sg_api_gemini_live },
	{ "v1alpha.GenerativeService.BidiGenerateContentConstrained", &sg_api_gemini_live },
	{ "v1.GenerativeService.BidiGenerateContent", &sg_api_gemini_live },
	END_RULES,
};

static const struct sg_path_rule vertex_upgrade_rules[] = {
	{ "v1beta1.LlmBidiService/BidiGenerateContent", &sg_api_gemini_live },
	{ "v1.LlmBidiService/BidiGenerateContent", &sg_api_gemini_live },
	END_RULES,
};

static const struct sg_path_group openai_upgrades[] = {
	{ "/v1", openai_upgrade_rules },
	END_GROUPS,
};
static const struct sg_path_group azure_upgrades[] = {
	{ "/openai/v1", openai_upgrade_rules },
	{ "/openai", azure_upgrade_rules },
	END_GROUPS,
};
static const struct sg_path_group gemini_upgrades[] = {
	{ "/ws/google.ai.generativelanguage.", gemini_upgrade_rules },
	END_GROUPS,
};
static const struct sg_path_group vertex_upgrades[] = {
	{ "/ws/google.cloud.aiplatform.", vertex_upgrade_rules },
	END_GROUPS,
};

#define HOSTS(...)	 ((const char *const[]){ __VA_ARGS__, NULL })
#define KEY_HEADERS(...) HOSTS(__VA_ARGS__)

const struct sg_provider sg_providers[] = {
	{ .name = "openai",
		.hosts = HOSTS("api.openai.com"),
		.posts = openai_posts,
		.upgrades = openai_upgrades,
		.gets = openai_gets,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_STOPS | SG_TRAIT_COMPLETION_LIMIT |
			  SG_TRAIT_SHORT_COMPLETIONS | SG_TRAIT_TOOL_LIMIT },
	{ .name = "anthropic",
		// The second is Anthropic's own platform too, at AWS: bodies may be signed.
		.hosts = HOSTS("api.anthropic.com", "aws-external-anthropic.*.api.aws"),
		.posts = anthropic_posts,
		.gets = anthropic_gets,
		.dialect = SG_DIALECT_ANTHROPIC,
		.traits = SG_TRAIT_STOPS | SG_TRAIT_PREPAID_PRIORITY,
		.key_headers = KEY_HEADERS("x-api-key") },
	{ .name = "gemini",
		.hosts = HOSTS("generativelanguage.googleapis.com",
			"generativelanguage.mtls.googleapis.com"),
		.posts = gemini_posts,
		.upgrades = gemini_upgrades,
		.gets = gemini_gets,
		.dialect = SG_DIALECT_GOOGLE,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_OUTPUT_BY_TOTAL,
		.key_headers = KEY_HEADERS("x-goog-api-key", "authorization"),
		.key_parameter = "key" },
	{ .name = "vertex",
		.hosts = HOSTS("*-aiplatform.googleapis.com", "aiplatform.googleapis.com",
			"aiplatform.*.rep.googleapis.com", "*-aiplatform.mtls.googleapis.com",
			"aiplatform.mtls.googleapis.com"),
		.posts = vertex_posts,
		.upgrades = vertex_upgrades,
		.dialect = SG_DIALECT_GOOGLE,
		.traits = SG_TRAIT_TIER_BY_HEADER | SG_TRAIT_OUTPUT_BY_TOTAL,
		.key_headers = KEY_HEADERS("authorization", "x-goog-api-key"),
		.key_parameter = "key" },
	// Bodies are signed: usage can't be asked for in the agent's place.
	{ .name = "bedrock",
		.hosts = HOSTS("bedrock-runtime.*.amazonaws.com",
			"bedrock-runtime-fips.*.amazonaws.com", "bedrock-runtime.*.api.aws",
			"bedrock-runtime-fips.*.api.aws", "bedrock-runtime.*.amazonaws.com.cn",
			"bedrock-runtime.*.vpce.amazonaws.com", "bedrock-mantle.*.api.aws",
			"bedrock-agent-runtime.*.amazonaws.com", "bedrock.*.amazonaws.com",
			"bedrock-fips.*.amazonaws.com"),
		.posts = bedrock_posts,
		.dialect = SG_DIALECT_BEDROCK,
		.traits = SG_TRAIT_SLASH_IN_MODEL,
		.key_headers = KEY_HEADERS("authorization", "x-api-key") },
	{ .name = "cohere",
		.hosts = HOSTS("api.cohere.com", "api.cohere.ai"),
		.posts = cohere_posts,
		.dialect = SG_DIALECT_COHERE,
		.traits = SG_TRAIT_OLD_LIMIT_ONLY },
	{ .name = "ollama",
		.hosts = HOSTS("ollama.com"),
		.posts = ollama_posts,
		.dialect = SG_DIALECT_OLLAMA,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_STOPS | SG_TRAIT_OLD_LIMIT_ONLY },
	{ .name = "azure",
		.hosts = HOSTS(
			"openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
		.posts = azure_posts,
		.upgrades = azure_upgrades,
		.gets = azure_gets,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_COMPLETION_LIMIT | SG_TRAIT_BILLS_FILTERED |
			  SG_TRAIT_DEPLOYMENTS | SG_TRAIT_SHORT_COMPLETIONS | SG_TRAIT_TOOL_LIMIT,
		.key_headers = KEY_HEADERS("api-key", "x-api-key", "authorization"),
		.key_parameter = "api-key" },
	{ .name = "deepseek",
		.hosts = HOSTS("api.deepseek.com"),
		.posts = deepseek_posts,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_OLD_LIMIT_ONLY,
		.key_headers = KEY_HEADERS("authorization", "x-api-key") },
	{ .name = "fireworks", .hosts = HOSTS("api.fireworks.ai"), .posts = fireworks_posts },
	{ .name = "groq",
		.hosts = HOSTS("api.groq.com"),
		.posts = groq_posts,
		.gets = groq_gets,
		.traits = SG_TRAIT_COMPLETION_LIMIT },
	{ .name = "mistral",
		.hosts = HOSTS("api.mistral.ai", "api.*.mistral.ai", "codestral.mistral.ai"),
		.posts = mistral_posts,
		.dialect = SG_DIALECT_MISTRAL,
		.traits = SG_TRAIT_OLD_LIMIT_ONLY },
	{ .name = "openrouter",
		.hosts = HOSTS("openrouter.ai"),
		.posts = openrouter_posts,
		.dialect = SG_DIALECT_OPENROUTER,
		.traits = SG_TRAIT_COST },
	{ .name = "perplexity",
		.hosts = HOSTS("api.perplexity.ai"),
		.posts = perplexity_posts,
		.gets = perplexity_gets,
		.traits = SG_TRAIT_COST_TOTAL | SG_TRAIT_REASONING_APART },
	{ .name = "together",
		.hosts = HOSTS("api.together.ai", "api.together.xyz"),
		.posts = together_posts,
		.gets = v1_gets },
	{ .name = "xai",
		.hosts = HOSTS("api.x.ai"),
		.posts = xai_posts,
		.gets = xai_gets,
		.traits = SG_TRAIT_OUTPUT_BY_TOTAL | SG_TRAIT_LIMIT_LEAKS | SG_TRAIT_COST_TICKS |
			  SG_TRAIT_DEFERS },
	// Whoever runs an inference server of his own registers it under this name, or under one of
	// the configuration.
	{ .name = "compatible",
		.hosts = HOSTS(NULL),
		.posts = sg_compatible_posts,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_STOPS | SG_TRAIT_OLD_LIMIT_ONLY },
	{ .name = "vllm",
		.hosts = HOSTS(NULL),
		.posts = sg_compatible_posts,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_STOPS | SG_TRAIT_SHORT_COMPLETIONS },
};

const size_t sg_provider_count = SG_ARRAY_SIZE(sg_providers);
