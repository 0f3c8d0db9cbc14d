// SPDX-License-Identifier: Apache-2.0
// The same count whether the text comes whole or byte by byte, and never more than bytes allow.
#include <stdlib.h>

#include "tokens/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t count(
	const struct sg_vocabulary *vocabulary, const char *text, size_t size, size_t piece)
{
	struct sg_token_counter counter;

	sg_token_counter_init(&counter, vocabulary);
	for (size_t at = 0; at < size; at += piece)
		sg_token_counter_feed(&counter, text + at, size - at < piece ? size - at : piece);
	sg_token_counter_end_text(&counter);
	return counter.tokens;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sg_vocabulary *const all[] = { &sg_vocabulary_o200k,
		&sg_vocabulary_cl100k };
	const char *text = (const char *)data;

	for (size_t i = 0; i < 2; i++) {
		int64_t whole = count(all[i], text, size, size ? size : 1);

		if (whole != count(all[i], text, size, 1) ||
			whole != count(all[i], text, size, 7) || whole > 3 * (int64_t)size ||
			(size && whole < 1))
			abort();
	}
	return 0;
}
