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

const char *sg_find_word(const char *from, const char *end, const char *word, size_t length)
{
	__m128i first = _mm_set1_epi8(word[0]), last = _mm_set1_epi8(word[length - 1]);
	const ptrdiff_t step = BLOCK + (ptrdiff_t)length - 1;

	if (end - from < step)
		return end - from < (ptrdiff_t)length
			       ? NULL
			       : memmem(from, (size_t)(end - from), word, length);
	for (;;) {
		unsigned found = equal_bytes(from, first) & equal_bytes(from + length - 1, last);

		for (; found; found &= found - 1) {
			const char *at = from + __builtin_ctz(found);

			if (memcmp(at, word, length) == 0)
				return at;
		}
		from += BLOCK;
		if (end - from < (ptrdiff_t)length)
			return NULL;
		if (end - from < step)
			from = end - step; // the last block looks at some bytes again
	}
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
