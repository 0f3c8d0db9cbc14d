// SPDX-License-Identifier: Apache-2.0
// One row a provider: its hosts, what its POST paths cost, and its own ways. Paths that are in no
// table are refused: a POST to a provider is never free by oversight.
#include "provider/table.h"

#define END_RULES                                                                                  \
	{                                                                                          \
		NULL, NULL                                                                         \
	}
#define END_GROUPS END_RULES

// ---- OpenAI, and who speaks its API ----

static const struct sg_path_rule openai_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/moderations", NULL },
	{ "/responses/input_tokens", NULL },
	{ "/responses/+/cancel", NULL },
	{ "/files", NULL },
	{ "/uploads", NULL },
	{ "/uploads/*", NULL },
	{ "/conversations", NULL },
	{ "/conversations/*", NULL },
	{ "/batches/+/cancel", NULL },
	{ "/organization/*", NULL },
	END_RULES,
};

// What inference servers and most providers have: text in, text out, and counting.
const struct sg_path_rule sg_compatible_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/messages", &sg_api_anthropic_messages },
	{ "/messages/count_tokens", NULL },
	{ "/responses/+/cancel", NULL },
	{ "/tokenize", NULL },
	{ "/detokenize", NULL },
	END_RULES,
};

static const struct sg_path_rule anthropic_rules[] = {
	{ "/messages", &sg_api_anthropic_messages },
	{ "/messages/count_tokens", NULL },
	{ "/messages/batches/+/cancel", NULL },
	{ "/files", NULL },
	{ "/skills", NULL },
	{ "/skills/*", NULL },
	{ "/organizations/*", NULL },
	END_RULES,
};

static const struct sg_path_rule deepseek_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/completions", &sg_api_openai_completions },
	END_RULES,
};

static const struct sg_path_rule messages_rules[] = {
	{ "/messages", &sg_api_anthropic_messages },
	{ "/messages/count_tokens", NULL },
	END_RULES,
};

static const struct sg_path_rule groq_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/files", NULL },
	{ "/batches/+/cancel", NULL },
	END_RULES,
};

static const struct sg_path_rule mistral_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/fim/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/files", NULL },
	END_RULES,
};

static const struct sg_path_rule xai_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/messages", &sg_api_anthropic_messages },
	{ "/tokenize-text", NULL },
	END_RULES,
};

static const struct sg_path_rule together_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/files", NULL },
	{ "/files/upload", NULL },
	END_RULES,
};

static const struct sg_path_rule perplexity_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	END_RULES,
};

static const struct sg_path_rule azure_deployment_rules[] = {
	{ "/=/chat/completions", &sg_api_openai_chat },
	{ "/=/completions", &sg_api_openai_completions },
	{ "/=/embeddings", &sg_api_openai_embeddings },
	END_RULES,
};

static const struct sg_path_rule azure_rules[] = {
	{ "/responses", &sg_api_openai_responses },
	{ "/responses/+/cancel", NULL },
	{ "/responses/input_tokens", NULL },
	{ "/files", NULL },
	END_RULES,
};

static const struct sg_path_rule gemini_rules[] = {
	{ "/models/=:generateContent", &sg_api_gemini_generate },
	{ "/models/=:streamGenerateContent", &sg_api_gemini_generate },
	{ "/models/=:embedContent", &sg_api_gemini_embed },
	{ "/models/=:batchEmbedContents", &sg_api_gemini_embed },
	{ "/models/=:countTokens", NULL },
	{ "/files/*", NULL },
	END_RULES,
};

static const struct sg_path_rule chat_and_embeddings_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/embeddings", &sg_api_openai_embeddings },
	END_RULES,
};

static const struct sg_path_rule gemini_upload_rules[] = { { "", NULL }, END_RULES };

static const struct sg_path_rule vertex_rules[] = {
	{ "/projects/+/locations/+/publishers/google/models/=:generateContent",
		&sg_api_gemini_generate },
	{ "/projects/+/locations/+/publishers/google/models/=:streamGenerateContent",
		&sg_api_gemini_generate },
	{ "/projects/+/locations/+/publishers/google/models/=:countTokens", NULL },
	{ "/projects/+/locations/+/publishers/google/models/=:computeTokens", NULL },
	{ "/projects/+/locations/+/publishers/anthropic/models/count-tokens:rawPredict", NULL },
	{ "/projects/+/locations/+/publishers/anthropic/models/=:rawPredict",
		&sg_api_anthropic_messages },
	{ "/projects/+/locations/+/publishers/anthropic/models/=:streamRawPredict",
		&sg_api_anthropic_messages },
	{ "/publishers/google/models/=:generateContent", &sg_api_gemini_generate },
	{ "/publishers/google/models/=:streamGenerateContent", &sg_api_gemini_generate },
	{ "/publishers/google/models/=:countTokens", NULL },
	END_RULES,
};

static const struct sg_path_rule cohere_rules[] = {
	{ "/v2/chat", &sg_api_cohere_chat },
	{ "/v2/embed", &sg_api_cohere_embed },
	{ "/v2/rerank", &sg_api_cohere_rerank },
	{ "/v1/tokenize", NULL },
	{ "/v1/detokenize", NULL },
	{ "/v1/check-api-key", NULL },
	END_RULES,
};

static const struct sg_path_rule bedrock_rules[] = {
	{ "/=/converse", &sg_api_bedrock_converse },
	{ "/=/converse-stream", &sg_api_bedrock_converse },
	{ "/=/invoke", &sg_api_bedrock_invoke },
	{ "/=/count-tokens", NULL },
	END_RULES,
};

static const struct sg_path_rule ollama_rules[] = {
	{ "/chat", &sg_api_ollama },
	{ "/generate", &sg_api_ollama },
	{ "/embed", &sg_api_ollama_embed },
	{ "/show", NULL },
	{ "/copy", NULL },
	{ "/pull", NULL },
	{ "/create", NULL },
	END_RULES,
};

static const struct sg_path_group openai_posts[] = { { "/v1", openai_rules }, END_GROUPS };
static const struct sg_path_group anthropic_posts[] = { { "/v1", anthropic_rules }, END_GROUPS };
static const struct sg_path_group azure_posts[] = {
	{ "/openai/v1", openai_rules },
	{ "/openai/deployments", azure_deployment_rules },
	{ "/openai", azure_rules },
	{ "/models", chat_and_embeddings_rules },
	{ "/anthropic/v1", messages_rules },
	END_GROUPS,
};
static const struct sg_path_group deepseek_posts[] = {
	{ "/anthropic/v1", messages_rules },
	{ "/v1", deepseek_rules },
	{ "/beta", deepseek_rules },
	{ "", deepseek_rules },
	END_GROUPS,
};
static const struct sg_path_group fireworks_posts[] = {
	{ "/inference/v1", sg_compatible_rules },
	END_GROUPS,
};
static const struct sg_path_group gemini_posts[] = {
	{ "/v1beta/openai", chat_and_embeddings_rules },
	{ "/v1beta", gemini_rules },
	{ "/v1alpha", gemini_rules },
	{ "/v1", gemini_rules },
	{ "/upload/v1beta/files", gemini_upload_rules },
	END_GROUPS,
};
static const struct sg_path_group vertex_posts[] = {
	{ "/v1beta1", vertex_rules },
	{ "/v1", vertex_rules },
	END_GROUPS,
};
static const struct sg_path_group cohere_posts[] = { { "", cohere_rules }, END_GROUPS };
static const struct sg_path_group bedrock_posts[] = {
	{ "/model", bedrock_rules },
	{ "/openai/v1", chat_and_embeddings_rules },
	{ "/anthropic/v1", messages_rules },
	END_GROUPS,
};
static const struct sg_path_group ollama_posts[] = {
	{ "/api", ollama_rules },
	{ "/v1", sg_compatible_rules },
	END_GROUPS,
};
static const struct sg_path_group groq_posts[] = { { "/openai/v1", groq_rules }, END_GROUPS };
static const struct sg_path_group mistral_posts[] = { { "/v1", mistral_rules }, END_GROUPS };
static const struct sg_path_group openrouter_posts[] = {
	{ "/api/v1", sg_compatible_rules },
	END_GROUPS,
};
static const struct sg_path_group perplexity_posts[] = { { "", perplexity_rules }, END_GROUPS };
static const struct sg_path_group together_posts[] = { { "/v1", together_rules }, END_GROUPS };
static const struct sg_path_group xai_posts[] = { { "/v1", xai_rules }, END_GROUPS };

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

#define HOSTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

const struct sg_provider sg_providers[] = {
	{ .name = "openai",
		.hosts = HOSTS("api.openai.com"),
		.posts = openai_posts,
		.upgrades = openai_upgrades,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_COMPLETION_LIMIT },
	{ .name = "anthropic",
		.hosts = HOSTS("api.anthropic.com"),
		.posts = anthropic_posts,
		.dialect = SG_DIALECT_ANTHROPIC },
	{ .name = "gemini",
		.hosts = HOSTS("generativelanguage.googleapis.com"),
		.posts = gemini_posts,
		.upgrades = gemini_upgrades,
		.dialect = SG_DIALECT_GOOGLE,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_OUTPUT_BY_TOTAL },
	{ .name = "vertex",
		.hosts = HOSTS("*-aiplatform.googleapis.com", "aiplatform.googleapis.com",
			"aiplatform.*.rep.googleapis.com"),
		.posts = vertex_posts,
		.upgrades = vertex_upgrades,
		.dialect = SG_DIALECT_GOOGLE,
		.traits = SG_TRAIT_TIER_BY_HEADER },
	// Bodies are signed: usage can't be asked for in the agent's place.
	{ .name = "bedrock",
		.hosts = HOSTS("bedrock-runtime.*.amazonaws.com",
			"bedrock-runtime-fips.*.amazonaws.com", "bedrock-runtime.*.api.aws",
			"bedrock-runtime-fips.*.api.aws", "bedrock-runtime.*.amazonaws.com.cn",
			"bedrock-runtime.*.vpce.amazonaws.com", "bedrock-mantle.*.api.aws",
			"bedrock-agent-runtime.*.amazonaws.com"),
		.posts = bedrock_posts,
		.dialect = SG_DIALECT_BEDROCK,
		.traits = SG_TRAIT_SLASH_IN_MODEL },
	{ .name = "cohere",
		.hosts = HOSTS("api.cohere.com", "api.cohere.ai"),
		.posts = cohere_posts,
		.dialect = SG_DIALECT_COHERE },
	{ .name = "ollama",
		.hosts = HOSTS("ollama.com"),
		.posts = ollama_posts,
		.dialect = SG_DIALECT_OLLAMA,
		.traits = SG_TRAIT_ASK_USAGE },
	{ .name = "azure",
		.hosts = HOSTS(
			"openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com"),
		.posts = azure_posts,
		.upgrades = azure_upgrades,
		.traits = SG_TRAIT_ASK_USAGE | SG_TRAIT_COMPLETION_LIMIT | SG_TRAIT_BILLS_FILTERED |
			  SG_TRAIT_DEPLOYMENTS },
	{ .name = "deepseek",
		.hosts = HOSTS("api.deepseek.com"),
		.posts = deepseek_posts,
		.traits = SG_TRAIT_ASK_USAGE },
	{ .name = "fireworks", .hosts = HOSTS("api.fireworks.ai"), .posts = fireworks_posts },
	{ .name = "groq",
		.hosts = HOSTS("api.groq.com"),
		.posts = groq_posts,
		.traits = SG_TRAIT_COMPLETION_LIMIT },
	{ .name = "mistral",
		.hosts = HOSTS("api.mistral.ai", "api.*.mistral.ai", "codestral.mistral.ai"),
		.posts = mistral_posts,
		.dialect = SG_DIALECT_MISTRAL },
	{ .name = "openrouter",
		.hosts = HOSTS("openrouter.ai"),
		.posts = openrouter_posts,
		.dialect = SG_DIALECT_OPENROUTER,
		.traits = SG_TRAIT_COST },
	{ .name = "perplexity",
		.hosts = HOSTS("api.perplexity.ai"),
		.posts = perplexity_posts,
		.traits = SG_TRAIT_COST_TOTAL | SG_TRAIT_REASONING_APART },
	{ .name = "together",
		.hosts = HOSTS("api.together.ai", "api.together.xyz"),
		.posts = together_posts },
	{ .name = "xai",
		.hosts = HOSTS("api.x.ai"),
		.posts = xai_posts,
		.traits = SG_TRAIT_OUTPUT_BY_TOTAL | SG_TRAIT_LIMIT_LEAKS | SG_TRAIT_COST_TICKS },
	// Whoever runs an inference server of his own registers it under this name, or under one of
	// the configuration.
	{ .name = "compatible",
		.hosts = HOSTS(NULL),
		.posts = sg_compatible_posts,
		.traits = SG_TRAIT_ASK_USAGE },
	{ .name = "vllm",
		.hosts = HOSTS(NULL),
		.posts = sg_compatible_posts,
		.traits = SG_TRAIT_ASK_USAGE },
};

const size_t sg_provider_count = SG_ARRAY_SIZE(sg_providers);
