// SPDX-License-Identifier: Apache-2.0
#include "provider/text_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "provider/json_scan.h"

struct sg_text_tokens *sg_text_tokens_new(const struct sg_vocabulary *vocabulary)
{
	struct sg_text_tokens *tokens = malloc(sizeof(*tokens));

	if (!tokens)
		return NULL;
	tokens->source = 0;
	tokens->strings = 0;
	sg_token_counter_init(&tokens->counter, vocabulary);
	return tokens;
}

static void on_text(void *context, const char *bytes, size_t length)
{
	sg_token_counter_feed(context, bytes, length);
}

static void on_value(void *context, const struct sg_json_value *value)
{
	(void)context;
	(void)value;
}

// No member is wanted: the string is the root.
static void feed_escaped(struct sg_token_counter *counter, const char *json, size_t length)
{
	static const struct sg_json_path none[1];
	struct sg_json_scan scan;

	sg_json_scan_init(&scan, none, 0, on_value, counter);
	scan.on_text = on_text;
	sg_json_scan_feed(&scan, json, length);
}

void sg_text_tokens_add(
	struct sg_text_tokens *tokens, uint64_t source, const char *json, size_t length)
{
	if (length <= 2 || source != tokens->source)
		sg_token_counter_end_text(&tokens->counter);
	tokens->source = source;
	if (length <= 2)
		return;
	tokens->strings++;
	if (memchr(json, '\\', length))
		feed_escaped(&tokens->counter, json, length);
	else
		sg_token_counter_feed(&tokens->counter, json + 1, length - 2);
}

int64_t sg_text_tokens_bound(const struct sg_text_tokens *tokens)
{
	int64_t bound = sg_token_counter_bound(&tokens->counter);

	return bound > tokens->strings ? bound : tokens->strings;
}
