// SPDX-License-Identifier: Apache-2.0
// What the paths of each provider cost, behind their common start. Paths that are in no table are
// refused: a POST to a provider is never free by oversight.
#include "provider/paths.h"

#define END_RULES                                                                                  \
	{                                                                                          \
		NULL, NULL                                                                         \
	}

// ---- OpenAI, and who speaks its API ----

const struct sg_path_rule sg_openai_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/images/generations", &sg_api_openai_images },
	{ "/images/edits", &sg_api_openai_images },
	{ "/images/variations", &sg_api_openai_images },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/audio/translations", &sg_api_openai_transcription },
	{ "/batches", &sg_api_openai_batch },
	{ "/threads/runs", &sg_api_openai_run },
	{ "/threads/+/runs", &sg_api_openai_run },
	{ "/threads/+/runs/+/submit_tool_outputs", &sg_api_openai_run },
	{ "/responses/compact", &sg_api_openai_compaction },
	{ "/videos", &sg_api_by_amount },
	{ "/videos/edits", &sg_api_by_amount },
	{ "/videos/extensions", &sg_api_by_amount },
	{ "/videos/+/remix", &sg_api_by_amount },
	{ "/fine_tuning/jobs", &sg_api_by_amount },
	{ "/fine_tuning/alpha/graders/run", &sg_api_by_amount },
	{ "/evals/+/runs", &sg_api_by_amount },
	{ "/chatkit/sessions", &sg_api_by_amount },
	{ "/containers", &sg_api_by_amount },
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
	{ "/vector_stores", NULL },
	{ "/vector_stores/*", NULL },
	{ "/skills", NULL },
	{ "/skills/*", NULL },
	{ "/assistants", NULL },
	{ "/assistants/+", NULL },
	{ "/threads", NULL },
	{ "/threads/+", NULL },
	{ "/threads/+/messages", NULL },
	{ "/threads/+/messages/+", NULL },
	{ "/threads/+/runs/+/cancel", NULL },
	{ "/fine_tuning/jobs/+/cancel", NULL },
	{ "/fine_tuning/jobs/+/pause", NULL },
	{ "/evals", NULL },
	{ "/chat/completions/+", NULL },
	END_RULES,
};

// GETs that tell what an earlier call cost: '=' is its id.
const struct sg_path_rule sg_openai_polls[] = {
	{ "/responses/=", &sg_api_openai_responses },
	{ "/batches/=", &sg_api_openai_batch },
	{ "/threads/+/runs/=", &sg_api_openai_run },
	END_RULES,
};
const struct sg_path_rule sg_batch_polls[] = {
	{ "/batches/=", &sg_api_openai_batch },
	{ "/responses/=", &sg_api_openai_responses },
	END_RULES,
};
const struct sg_path_rule sg_anthropic_polls[] = {
	{ "/messages/batches/=/results", &sg_api_anthropic_batch },
	END_RULES,
};
const struct sg_path_rule sg_xai_polls[] = {
	{ "/chat/deferred-completion/=", &sg_api_openai_chat },
	{ "/responses/=", &sg_api_openai_responses },
	{ "/batches/=", &sg_api_openai_batch },
	END_RULES,
};
const struct sg_path_rule sg_perplexity_polls[] = {
	{ "/async/chat/completions/=", &sg_api_openai_run },
	{ "/v1/responses/=", &sg_api_openai_responses },
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
	{ "/images/generations", &sg_api_openai_images },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/audio/translations", &sg_api_openai_transcription },
	{ "/rerank", &sg_api_openai_embeddings },
	{ "/score", &sg_api_openai_embeddings },
	{ "/pooling", &sg_api_openai_embeddings },
	{ "/classify", &sg_api_openai_embeddings },
	{ "/responses/+/cancel", NULL },
	{ "/tokenize", NULL },
	{ "/detokenize", NULL },
	END_RULES,
};

const struct sg_path_rule sg_anthropic_rules[] = {
	{ "/messages", &sg_api_anthropic_messages },
	{ "/messages/batches", &sg_api_anthropic_batch },
	{ "/complete", &sg_api_anthropic_complete },
	{ "/sessions", &sg_api_by_amount },
	{ "/sessions/+/events", &sg_api_by_amount },
	{ "/deployments/+/run", &sg_api_by_amount },
	{ "/dreams", &sg_api_by_amount },
	{ "/messages/count_tokens", NULL },
	{ "/messages/batches/+/cancel", NULL },
	{ "/agents", NULL },
	{ "/agents/*", NULL },
	{ "/vaults", NULL },
	{ "/vaults/*", NULL },
	{ "/environments", NULL },
	{ "/environments/*", NULL },
	{ "/files", NULL },
	{ "/skills", NULL },
	{ "/skills/*", NULL },
	{ "/organizations/*", NULL },
	END_RULES,
};

const struct sg_path_rule sg_deepseek_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/completions", &sg_api_openai_completions },
	END_RULES,
};

const struct sg_path_rule sg_messages_rules[] = {
	{ "/messages", &sg_api_anthropic_messages },
	{ "/messages/count_tokens", NULL },
	END_RULES,
};

const struct sg_path_rule sg_groq_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/audio/translations", &sg_api_openai_transcription },
	{ "/batches", &sg_api_openai_batch },
	{ "/fine_tunings", &sg_api_by_amount },
	{ "/files", NULL },
	{ "/batches/+/cancel", NULL },
	END_RULES,
};

const struct sg_path_rule sg_mistral_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/fim/completions", &sg_api_openai_completions },
	// The model is a setting of the agent's.
	{ "!/agents/completions", &sg_api_openai_chat },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/ocr", &sg_api_mistral_ocr },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/moderations", &sg_api_openai_embeddings },
	{ "/chat/moderations", &sg_api_openai_embeddings },
	{ "/classifications", &sg_api_openai_embeddings },
	{ "/chat/classifications", &sg_api_openai_embeddings },
	{ "!/conversations", &sg_api_mistral_conversation },
	{ "!/conversations/*", &sg_api_mistral_conversation },
	{ "/batch/jobs", &sg_api_by_amount },
	{ "/fine_tuning/jobs", &sg_api_by_amount },
	{ "/workflows/+/execute", &sg_api_by_amount },
	{ "/batch/jobs/+/cancel", NULL },
	{ "/files", NULL },
	{ "/agents", NULL },
	{ "/agents/+", NULL },
	END_RULES,
};

const struct sg_path_rule sg_xai_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/messages", &sg_api_anthropic_messages },
	{ "/images/generations", &sg_api_openai_images },
	{ "/images/edits", &sg_api_openai_images },
	{ "/batches", &sg_api_openai_batch },
	{ "/videos/*", &sg_api_by_amount },
	{ "/tokenize-text", NULL },
	END_RULES,
};

const struct sg_path_rule sg_together_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/rerank", &sg_api_openai_embeddings },
	{ "/images/generations", &sg_api_openai_images },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/audio/translations", &sg_api_openai_transcription },
	{ "/batches", &sg_api_openai_batch },
	{ "/videos", &sg_api_by_amount },
	{ "/fine-tunes", &sg_api_by_amount },
	{ "/tci/execute", &sg_api_by_amount },
	{ "/endpoints", &sg_api_by_amount },
	{ "/deployments", &sg_api_by_amount },
	{ "/compute/clusters", &sg_api_by_amount },
	{ "/batches/+/cancel", NULL },
	{ "/files", NULL },
	{ "/files/upload", NULL },
	END_RULES,
};

const struct sg_path_rule sg_openrouter_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/completions", &sg_api_openai_completions },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/messages", &sg_api_anthropic_messages },
	{ "/images", &sg_api_openai_images },
	{ "/rerank", &sg_api_openai_embeddings },
	{ "/audio/speech", &sg_api_openai_speech },
	{ "/audio/transcriptions", &sg_api_openai_transcription },
	{ "/videos", &sg_api_by_amount },
	{ "/interns/*", &sg_api_by_amount },
	{ "/messages/count_tokens", NULL },
	{ "/keys", NULL },
	{ "/keys/+", NULL },
	END_RULES,
};

// Pictures and sound, by whatever the workflow is.
const struct sg_path_rule sg_fireworks_workflow_rules[] = {
	{ "/*", &sg_api_by_amount },
	END_RULES,
};

const struct sg_path_rule sg_perplexity_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/async/chat/completions", &sg_api_openai_run },
	{ "/v1/embeddings", &sg_api_openai_embeddings },
	{ "/v1/contextualizedembeddings", &sg_api_openai_embeddings },
	{ "/v1/responses", &sg_api_openai_responses },
	{ "/search", &sg_api_by_amount },
	{ "/v1/browser/sessions", &sg_api_by_amount },
	END_RULES,
};

const struct sg_path_rule sg_azure_deployment_rules[] = {
	{ "/=/chat/completions", &sg_api_openai_chat },
	{ "/=/completions", &sg_api_openai_completions },
	{ "/=/embeddings", &sg_api_openai_embeddings },
	{ "/=/images/generations", &sg_api_openai_images },
	{ "/=/images/edits", &sg_api_openai_images },
	{ "/=/audio/speech", &sg_api_openai_speech },
	{ "/=/audio/transcriptions", &sg_api_openai_transcription },
	{ "/=/audio/translations", &sg_api_openai_transcription },
	END_RULES,
};

const struct sg_path_rule sg_azure_rules[] = {
	{ "/responses", &sg_api_openai_responses },
	{ "/batches", &sg_api_openai_batch },
	{ "/fine_tuning/jobs", &sg_api_by_amount },
	{ "/responses/+/cancel", NULL },
	{ "/responses/input_tokens", NULL },
	{ "/batches/+/cancel", NULL },
	{ "/files", NULL },
	END_RULES,
};

const struct sg_path_rule sg_gemini_rules[] = {
	{ "/models/=:generateContent", &sg_api_gemini_generate },
	{ "/models/=:streamGenerateContent", &sg_api_gemini_generate },
	{ "/models/=:embedContent", &sg_api_gemini_embed },
	{ "/models/=:batchEmbedContents", &sg_api_gemini_embed },
	{ "/tunedModels/=:generateContent", &sg_api_gemini_generate },
	{ "/tunedModels/=:streamGenerateContent", &sg_api_gemini_generate },
	{ "/models/=:predict", &sg_api_gemini_predict },
	{ "/interactions", &sg_api_gemini_interactions },
	{ "/models/=:predictLongRunning", &sg_api_by_amount },
	{ "/models/=:batchGenerateContent", &sg_api_by_amount },
	{ "/models/=:asyncBatchEmbedContent", &sg_api_by_amount },
	{ "/cachedContents", &sg_api_by_amount },
	{ "/tunedModels", &sg_api_by_amount },
	{ "/tuningJobs", &sg_api_by_amount },
	{ "/fileSearchStores/+:importFile", &sg_api_by_amount },
	{ "/models/=:countTokens", NULL },
	{ "/models/=:computeTokens", NULL },
	{ "/interactions/+/cancel", NULL },
	{ "/cachedContents/+", NULL },
	{ "/files/*", NULL },
	END_RULES,
};

const struct sg_path_rule sg_gemini_polls[] = {
	{ "/interactions/=", &sg_api_gemini_interactions },
	END_RULES,
};

const struct sg_path_rule sg_chat_and_embeddings_rules[] = {
	{ "/chat/completions", &sg_api_openai_chat },
	{ "/responses", &sg_api_openai_responses },
	{ "/embeddings", &sg_api_openai_embeddings },
	{ "/images/generations", &sg_api_openai_images },
	END_RULES,
};

const struct sg_path_rule sg_gemini_upload_rules[] = { { "", NULL }, END_RULES };

const struct sg_path_rule sg_gemini_store_rules[] = {
	{ "/fileSearchStores/+:uploadToFileSearchStore", &sg_api_by_amount },
	END_RULES,
};

const struct sg_path_rule sg_vertex_rules[] = {
	{ "/projects/+/locations/+/publishers/google/models/=:generateContent",
		&sg_api_gemini_generate },
	{ "/projects/+/locations/+/publishers/google/models/=:streamGenerateContent",
		&sg_api_gemini_generate },
	{ "/projects/+/locations/+/publishers/google/models/=:embedContent", &sg_api_gemini_embed },
	{ "/projects/+/locations/+/publishers/google/models/=:countTokens", NULL },
	{ "/projects/+/locations/+/publishers/google/models/=:computeTokens", NULL },
	{ "/projects/+/locations/+/publishers/anthropic/models/count-tokens:rawPredict", NULL },
	{ "/projects/+/locations/+/publishers/anthropic/models/=:rawPredict",
		&sg_api_anthropic_messages },
	{ "/projects/+/locations/+/publishers/anthropic/models/=:streamRawPredict",
		&sg_api_anthropic_messages },
	{ "/projects/+/locations/+/publishers/google/models/=:predict", &sg_api_gemini_predict },
	{ "/projects/+/locations/+/publishers/google/models/=:predictLongRunning",
		&sg_api_by_amount },
	// Of all other makers: OpenAI's chat.
	{ "/projects/+/locations/+/publishers/+/models/=:rawPredict", &sg_api_openai_chat },
	{ "/projects/+/locations/+/publishers/+/models/=:streamRawPredict", &sg_api_openai_chat },
	{ "/projects/+/locations/+/endpoints/+/chat/completions", &sg_api_openai_chat },
	{ "/projects/+/locations/+/batchPredictionJobs", &sg_api_by_amount },
	{ "/projects/+/locations/+/cachedContents", &sg_api_by_amount },
	{ "/projects/+/locations/+/tuningJobs", &sg_api_by_amount },
	{ "/publishers/google/models/=:generateContent", &sg_api_gemini_generate },
	{ "/publishers/google/models/=:streamGenerateContent", &sg_api_gemini_generate },
	{ "/publishers/google/models/=:countTokens", NULL },
	END_RULES,
};

const struct sg_path_rule sg_cohere_rules[] = {
	{ "/v2/chat", &sg_api_cohere_chat },
	{ "/v2/embed", &sg_api_cohere_embed },
	{ "/v2/rerank", &sg_api_cohere_rerank },
	{ "/v1/chat", &sg_api_cohere_v1 },
	{ "/v1/generate", &sg_api_cohere_v1 },
	{ "/v1/summarize", &sg_api_cohere_v1 },
	{ "/v1/embed", &sg_api_cohere_embed },
	{ "/v1/rerank", &sg_api_cohere_rerank },
	{ "/v1/classify", &sg_api_cohere_classify },
	{ "/v2/audio/transcriptions", &sg_api_openai_transcription },
	{ "/v2/parse", &sg_api_by_amount },
	{ "/v2/batches", &sg_api_by_amount },
	{ "/v1/embed-jobs", &sg_api_by_amount },
	{ "/v1/finetuning/*", &sg_api_by_amount },
	{ "/v1/datasets", NULL },
	{ "/v1/embed-jobs/+/cancel", NULL },
	{ "/v1/tokenize", NULL },
	{ "/v1/detokenize", NULL },
	{ "/v1/check-api-key", NULL },
	END_RULES,
};

const struct sg_path_rule sg_bedrock_rules[] = {
	{ "/=/converse", &sg_api_bedrock_converse },
	{ "/=/converse-stream", &sg_api_bedrock_converse },
	{ "/=/invoke", &sg_api_bedrock_invoke },
	{ "/=/invoke-with-response-stream", &sg_api_bedrock_invoke_stream },
	{ "/=/count-tokens", NULL },
	END_RULES,
};

const struct sg_path_rule sg_bedrock_other_rules[] = {
	{ "/async-invoke", &sg_api_by_amount },
	{ "/guardrail/+/version/+/apply", &sg_api_by_amount },
	{ "/guardrail-checks/invoke", &sg_api_by_amount },
	// Of the control plane, which has hosts of its own.
	{ "/model-invocation-job", &sg_api_by_amount },
	{ "/model-customization-jobs", &sg_api_by_amount },
	{ "/provisioned-model-throughput", &sg_api_by_amount },
	{ "/evaluation-jobs", &sg_api_by_amount },
	{ "/model-invocation-job/+/stop", NULL },
	{ "/model-customization-jobs/+/stop", NULL },
	{ "/evaluation-job/+/stop", NULL },
	{ "/guardrails", NULL },
	{ "/guardrails/+", NULL },
	{ "/inference-profiles", NULL },
	{ "/prompt-routers", NULL },
	{ "/logging/modelinvocations", NULL },
	{ "/listTagsForResource", NULL },
	{ "/tagResource", NULL },
	{ "/untagResource", NULL },
	END_RULES,
};

const struct sg_path_rule sg_ollama_rules[] = {
	{ "/chat", &sg_api_ollama },
	{ "/generate", &sg_api_ollama },
	{ "/embed", &sg_api_ollama_embed },
	{ "/embeddings", &sg_api_ollama_embed },
	{ "/web_search", &sg_api_by_amount },
	{ "/web_fetch", &sg_api_by_amount },
	{ "/show", NULL },
	{ "/copy", NULL },
	{ "/pull", NULL },
	{ "/create", NULL },
	END_RULES,
};
