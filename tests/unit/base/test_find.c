// SPDX-License-Identifier: Apache-2.0
// The fast searches against the plain ones of the C library, at every length and alignment around a
// block.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/find.h"

#define LONGEST 70

// Exactly as long as what is looked through, so that a sanitizer sees a byte too many.
static char *copy_of(const char *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	return copy;
}

static void test_either_is_the_first_of_both(void **state)
{
	char bytes[LONGEST];

	(void)state;
	for (size_t length = 0; length <= LONGEST; length++) {
		for (size_t place = 0; place <= length; place++) {
			char *copy;

			memset(bytes, 'x', sizeof(bytes));
			if (place < length)
				bytes[place] = place % 2 ? '\r' : '\n';
			if (place + 3 < length)
				bytes[place + 3] = '\n';
			copy = copy_of(bytes, length);
			assert_ptr_equal(sg_find_either(copy, copy + length, '\r', '\n'),
				place < length ? copy + place : NULL);
			free(copy);
		}
	}
}

static void test_a_word_is_found_where_memmem_finds_it(void **state)
{
	static const char *const words[] = { "us", "usage\"", "aaab",
		"usage\" and a word that is longer" };

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200000; round++) {
		const char *word = words[round % 4];
		size_t word_length = strlen(word), length = (size_t)rand() % (LONGEST + 1);
		char bytes[LONGEST], *copy;

		// Few letters, so that parts of the word are everywhere.
		for (size_t i = 0; i < length; i++)
			bytes[i] = word[(size_t)rand() % word_length];
		if (length >= word_length && rand() % 2)
			memcpy(bytes + (size_t)rand() % (length - word_length + 1), word,
				word_length);
		copy = copy_of(bytes, length);
		assert_ptr_equal(sg_find_word(copy, copy + length, word, word_length),
			memmem(copy, length, word, word_length));
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_either_is_the_first_of_both),
		cmocka_unit_test(test_a_word_is_found_where_memmem_finds_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
