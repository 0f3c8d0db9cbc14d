// SPDX-License-Identifier: Apache-2.0
// The counts of the reference (tiktoken), however the text is torn; bounds of what has not ended.
// tests/e2e/tokens.test.mjs compares far more of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/feed.h"
#include "tokens/tokens.h"

struct row {
	const char *text;
	int64_t o200k, cl100k;
};

static const struct row rows[] = {
	{ "", 0, 0 },
	{ "a", 1, 1 },
	{ "Hello, world!", 4, 4 },
	{ "tok tok \303\251\ntok ", 6, 6 },
	{ "I'll don't WE'VE it'\305\277 'Twas", 11, 14 },
	{ "HTTPServer parseJSON camelCaseWord XMLHttpRequest", 9, 8 },
	{ "1234567 3.14159 \331\243\331\244\331\245 \342\205\247\302\275", 16, 19 },
	{ "if (a != b)\n\t\treturn -1; // no\n\n\n}\n", 15, 15 },
	{ "  two   three    \n  \n x ", 8, 8 },
	{ "\320\237\321\200\320\270\320\262\320\265\321\202, \320\274\320\270\321\200! "
	  "\316\223\316\265\316\271\316\254 \317\203\316\277\317\205",
		9, 13 },
	{ "\346\227\245\346\234\254\350\252\236\343\201\256\343\203\206\343\202\255\343\202\271"
	  "\343\203\210\343\201\247\343\201\231\343\200\202\343\202\253\343\202\277\343\202\253"
	  "\343\203\212",
		12, 14 },
	{ "\354\225\210\353\205\225\355\225\230\354\204\270\354\232\224 \354\204\270\352\263\204",
		3, 9 },
	{ "\360\237\221\251\342\200\215\360\237\221\251\342\200\215\360\237\221\247 "
	  "\360\237\217\275\360\237\207\251\360\237\207\252 \342\235\244\357\270\217",
		16, 24 },
	{ "https://example.com/a/b?c=d&e=f#g\n//x", 15, 15 },
	{ "\302\240\343\200\200\302\205\357\273\277 x", 6, 6 },
	{ "e\314\201E\314\201 \314\201A", 7, 7 },
	{ "\307\205ungla \307\210 \312\260a \302\252\302\272", 14, 14 },
	{ "$$$ === ---\r\n\r\n!!!\n/", 7, 6 },
	{ "<|endoftext|>", 7, 7 },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 10,
		10 },
	// A byte that is no UTF-8, and a code point that is torn off.
	{ "a\377b", 5, 5 },
	{ "\360\237\221", 9, 9 },
};

static int64_t count(struct feeder feeder, const struct sg_vocabulary *vocabulary, const char *text,
	size_t length)
{
	struct sg_token_counter counter;

	sg_token_counter_init(&counter, vocabulary);
	for (size_t at = 0, piece; at < length; at += piece) {
		int64_t before = sg_token_counter_bound(&counter);

		piece = feed_next(&feeder, length - at);
		sg_token_counter_feed(&counter, text + at, piece);
		assert_true(sg_token_counter_bound(&counter) <= before + 3 * (int64_t)piece);
	}
	sg_token_counter_end_text(&counter);
	assert_int_equal(sg_token_counter_bound(&counter), counter.tokens);
	return counter.tokens;
}

static void run_row(struct feeder *feeder, const void *at)
{
	const struct row *row = at;
	size_t length = strlen(row->text);

	assert_int_equal(count(*feeder, &sg_vocabulary_o200k, row->text, length), row->o200k);
	assert_int_equal(count(*feeder, &sg_vocabulary_cl100k, row->text, length), row->cl100k);
}

static void test_as_the_reference(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++)
		feed_all(run_row, &rows[i]);
}

// Longer pieces by their bytes, and exact again behind them.
static void test_long_pieces(void **state)
{
	static const struct {
		size_t letters;
		int64_t tokens;
	} lengths[] = { { 1000, 125 + 2 }, { SG_TOKEN_PIECE_BYTES, SG_TOKEN_PIECE_BYTES + 2 },
		{ 100000, 100000 + 2 } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(lengths); i++) {
		size_t length = lengths[i].letters;
		char *text = malloc(length + 12);

		assert_non_null(text);
		memset(text, 'x', length);
		memcpy(text + length, " Hello world", 12);
		for (enum feed_cut cut = FEED_WHOLE; cut <= FEED_RANDOM; cut++)
			assert_int_equal(count((struct feeder){ cut, feed_seed() },
						 &sg_vocabulary_o200k, text, length + 12),
				lengths[i].tokens);
		free(text);
	}
}

static void test_a_text_ends(void **state)
{
	struct sg_token_counter counter;

	(void)state;
	sg_token_counter_init(&counter, &sg_vocabulary_o200k);
	sg_token_counter_feed(&counter, "Hello", 5);
	// What follows could belong to it: until it is known, its bytes bound it.
	assert_int_equal(counter.tokens, 0);
	assert_int_equal(sg_token_counter_bound(&counter), 5);
	sg_token_counter_end_text(&counter);
	assert_int_equal(counter.tokens, 1);
	sg_token_counter_feed(&counter, "Hello", 5);
	sg_token_counter_end_text(&counter);
	assert_int_equal(counter.tokens, 2);
}

static void test_models(void **state)
{
	static const struct {
		const char *model;
		const struct sg_vocabulary *vocabulary;
	} models[] = {
		{ "gpt-4o", &sg_vocabulary_o200k },
		{ "gpt-4o-mini-2024-07-18", &sg_vocabulary_o200k },
		{ "ft:gpt-4.1-2025-04-14:me", &sg_vocabulary_o200k },
		{ "o3-mini", &sg_vocabulary_o200k },
		{ "gpt-4-turbo", &sg_vocabulary_cl100k },
		{ "gpt-4", &sg_vocabulary_cl100k },
		{ "gpt-3.5-turbo", &sg_vocabulary_cl100k },
		{ "gpt-9", NULL },
		{ "claude-opus-5", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(models); i++)
		assert_ptr_equal(sg_vocabulary_of_model(models[i].model), models[i].vocabulary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_reference),
		cmocka_unit_test(test_long_pieces),
		cmocka_unit_test(test_a_text_ends),
		cmocka_unit_test(test_models),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
