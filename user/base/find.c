// SPDX-License-Identifier: Apache-2.0
#include "base/find.h"

#include <string.h>

// Sixteen bytes at once where every processor of the architecture can (SSE2 on x86-64); what is
// left over, and other architectures, byte by byte.
#ifdef __SSE2__
#include <emmintrin.h>

#define BLOCK 16

static unsigned equal_bytes(const char *at, __m128i wanted)
{
	__m128i block = _mm_loadu_si128((const __m128i *)(const void *)at);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block, wanted));
}

const char *sg_find_either(const char *from, const char *end, char a, char b)
{
	__m128i first = _mm_set1_epi8(a), second = _mm_set1_epi8(b);

	for (; end - from >= BLOCK; from += BLOCK) {
		unsigned found = equal_bytes(from, first) | equal_bytes(from, second);

		if (found)
			return from + __builtin_ctz(found);
	}
	for (; from < end; from++)
		if (*from == a || *from == b)
			return from;
	return NULL;
}

// Where the word may begin, of sixteen places: its first and its last byte are right.
static __m128i word_ends(const char *at, size_t length, __m128i first, __m128i last)
{
	__m128i begins = _mm_loadu_si128((const __m128i *)(const void *)at),
		ends = _mm_loadu_si128((const __m128i *)(const void *)(at + length - 1));

	return _mm_and_si128(_mm_cmpeq_epi8(begins, first), _mm_cmpeq_epi8(ends, last));
}

static const char *find_in_block(const char *from, __m128i places, const char *word, size_t length)
{
	for (unsigned found = (unsigned)_mm_movemask_epi8(places); found; found &= found - 1) {
		const char *at = from + __builtin_ctz(found);

		if (memcmp(at, word, length) == 0)
			return at;
	}
	return NULL;
}

const char *sg_find_word(const char *from, const char *end, const char *word, size_t length)
{
	__m128i first = _mm_set1_epi8(word[0]), last = _mm_set1_epi8(word[length - 1]);
	const ptrdiff_t step = BLOCK + (ptrdiff_t)length - 1;
	const char *stop = end - step; // where the last block begins, which looks at some again
	const char *found = NULL;

	if (end - from < step)
		return end - from < (ptrdiff_t)length
			       ? NULL
			       : memmem(from, (size_t)(end - from), word, length);
	for (; !found && stop - from >= BLOCK; from += 2 * BLOCK) {
		__m128i places = word_ends(from, length, first, last),
			others = word_ends(from + BLOCK, length, first, last);

		if (!_mm_movemask_epi8(_mm_or_si128(places, others)))
			continue;
		found = find_in_block(from, places, word, length);
		if (!found)
			found = find_in_block(from + BLOCK, others, word, length);
	}
	if (!found && from < stop)
		found = find_in_block(from, word_ends(from, length, first, last), word, length);
	return found ? found
		     : find_in_block(stop, word_ends(stop, length, first, last), word, length);
}

#else

const char *sg_find_either(const char *from, const char *end, char a, char b)
{
	for (; from < end; from++)
		if (*from == a || *from == b)
			return from;
	return NULL;
}

const char *sg_find_word(const char *from, const char *end, const char *word, size_t length)
{
	return from < end ? memmem(from, (size_t)(end - from), word, length) : NULL;
}

#endif
