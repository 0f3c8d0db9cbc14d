// SPDX-License-Identifier: Apache-2.0
// The rules of provider_paths.c, for the rows of provider_table.c. Not for other modules.
#pragma once

#include "provider/table.h"

extern const struct sg_path_rule sg_openai_rules[];
extern const struct sg_path_rule sg_openai_polls[];
extern const struct sg_path_rule sg_batch_polls[];
extern const struct sg_path_rule sg_anthropic_polls[];
extern const struct sg_path_rule sg_xai_polls[];
extern const struct sg_path_rule sg_perplexity_polls[];
extern const struct sg_path_rule sg_anthropic_rules[];
extern const struct sg_path_rule sg_deepseek_rules[];
extern const struct sg_path_rule sg_messages_rules[];
extern const struct sg_path_rule sg_groq_rules[];
extern const struct sg_path_rule sg_mistral_rules[];
extern const struct sg_path_rule sg_xai_rules[];
extern const struct sg_path_rule sg_together_rules[];
extern const struct sg_path_rule sg_openrouter_rules[];
extern const struct sg_path_rule sg_perplexity_rules[];
extern const struct sg_path_rule sg_azure_deployment_rules[];
extern const struct sg_path_rule sg_azure_rules[];
extern const struct sg_path_rule sg_gemini_rules[];
extern const struct sg_path_rule sg_gemini_polls[];
extern const struct sg_path_rule sg_chat_and_embeddings_rules[];
extern const struct sg_path_rule sg_fireworks_workflow_rules[];
extern const struct sg_path_rule sg_gemini_upload_rules[];
extern const struct sg_path_rule sg_gemini_store_rules[];
extern const struct sg_path_rule sg_vertex_rules[];
extern const struct sg_path_rule sg_cohere_rules[];
extern const struct sg_path_rule sg_bedrock_rules[];
extern const struct sg_path_rule sg_bedrock_other_rules[];
extern const struct sg_path_rule sg_ollama_rules[];
