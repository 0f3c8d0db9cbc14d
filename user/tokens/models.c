// SPDX-License-Identifier: Apache-2.0
// Which of OpenAI's models has which vocabulary.
#include <string.h>

#include "base/attr.h"
#include "tokens/tokens.h"
#include "tokens/vocabulary.h"

const struct sg_vocabulary sg_vocabulary_o200k = { "o200k_base", &sg_token_table_o200k,
	sg_split_o200k };
const struct sg_vocabulary sg_vocabulary_cl100k = { "cl100k_base", &sg_token_table_cl100k,
	sg_split_cl100k };

const struct sg_vocabulary *sg_vocabulary_by_name(const char *name)
{
	static const struct sg_vocabulary *const all[] = { &sg_vocabulary_o200k,
		&sg_vocabulary_cl100k };

	for (size_t i = 0; i < SG_ARRAY_SIZE(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

const struct sg_vocabulary *sg_vocabulary_of_model(const char *model)
{
	// The first that the name begins with.
	static const struct {
		const char *begin;
		const struct sg_vocabulary *vocabulary;
	} rows[] = {
		{ "gpt-4o", &sg_vocabulary_o200k },
		{ "gpt-4.1", &sg_vocabulary_o200k },
		{ "gpt-4.5", &sg_vocabulary_o200k },
		{ "gpt-5", &sg_vocabulary_o200k },
		{ "chatgpt-4o", &sg_vocabulary_o200k },
		{ "o1", &sg_vocabulary_o200k },
		{ "o3", &sg_vocabulary_o200k },
		{ "o4-mini", &sg_vocabulary_o200k },
		{ "gpt-4", &sg_vocabulary_cl100k },
		{ "gpt-3.5", &sg_vocabulary_cl100k },
		{ "text-embedding-3", &sg_vocabulary_cl100k },
		{ "text-embedding-ada-002", &sg_vocabulary_cl100k },
		{ "davinci-002", &sg_vocabulary_cl100k },
		{ "babbage-002", &sg_vocabulary_cl100k },
	};

	if (strncmp(model, "ft:", 3) == 0)
		model += 3;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		if (strncmp(model, rows[i].begin, strlen(rows[i].begin)) == 0)
			return rows[i].vocabulary;
	return NULL;
}
