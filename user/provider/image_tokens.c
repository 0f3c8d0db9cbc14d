// SPDX-License-Identifier: Apache-2.0
// The most that one picture can be in tokens, whatever its size: each family shrinks what is
// larger. Tiles and patches are as the documents describe them; a tenth is added.
#include <string.h>

#include "provider/price_table.h"

#define GEMINI_TOKENS 4128

struct family {
	const char *provider;
	const char *model; // and what begins with it and a '-'; "" all
	int64_t tokens;
};

// The first that matches. Tiles: a base and at most eight tiles. Patches: 1,536 of them, times the
// model's factor.
static const struct family families[] = {
	{ "openai", "gpt-4o-mini", 48169 },
	{ "openai", "gpt-4o", 1445 },
	{ "openai", "chatgpt-4o", 1445 },
	{ "openai", "gpt-4-turbo", 1445 },
	{ "openai", "gpt-4.1-mini", 3779 },
	{ "openai", "gpt-4.1-nano", 3779 },
	{ "openai", "gpt-4.1", 1445 },
	{ "openai", "o4-mini", 3779 },
	{ "openai", "o1", 1275 },
	{ "openai", "o3", 1275 },
	{ "openai", "gpt-5-mini", 3779 },
	{ "openai", "gpt-5-nano", 3779 },
	{ "openai", "gpt-5", 1190 },
	{ "openai", "gpt-5.1", 1190 },
	{ "anthropic", "claude", 4784 },
	{ "azure", "claude", 4784 },
	{ "vertex", "claude", 4784 },
	{ "bedrock", "anthropic.claude", 4784 },
	// Sixteen tiles of 258, the most that one of 2.x is cut into; of 3 at most 2,240.
	{ "gemini", "gemini-pro", GEMINI_TOKENS },
	{ "gemini", "gemini-flash", GEMINI_TOKENS },
	{ "gemini", "gemini-2.0", GEMINI_TOKENS },
	{ "gemini", "gemini-2.5", GEMINI_TOKENS },
	{ "gemini", "gemini-3", GEMINI_TOKENS },
	{ "gemini", "gemini-3.1", GEMINI_TOKENS },
	{ "gemini", "gemini-3.5", GEMINI_TOKENS },
	{ "gemini", "gemini-3.6", GEMINI_TOKENS },
	{ "gemini", "gemini-3.7", GEMINI_TOKENS },
	{ "vertex", "gemini-2.0", GEMINI_TOKENS },
	{ "vertex", "gemini-2.5", GEMINI_TOKENS },
	{ "vertex", "gemini-3", GEMINI_TOKENS },
	{ "vertex", "gemini-3.1", GEMINI_TOKENS },
	{ "vertex", "gemini-3.5", GEMINI_TOKENS },
	{ "vertex", "gemini-3.6", GEMINI_TOKENS },
	{ "vertex", "gemini-3.7", GEMINI_TOKENS },
};

static bool is_of(const struct family *family, const struct sg_price *price)
{
	size_t length = strlen(family->model);
	const char *maker = strstr(price->model, "anthropic.");
	// Bedrock's have a region in front ("us.anthropic.").
	const char *name = maker ? maker : price->model;

	return strcmp(family->provider, price->provider) == 0 &&
	       strncmp(family->model, name, length) == 0 && (!name[length] || name[length] == '-');
}

int64_t sg_image_tokens(const struct sg_price *price)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(families); i++)
		if (is_of(&families[i], price))
			return families[i].tokens + families[i].tokens / 10;
	return -1;
}
