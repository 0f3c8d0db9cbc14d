// SPDX-License-Identifier: Apache-2.0
// A coded body gives the same bytes and the same verdict whole and byte by byte. The first byte
// chooses the coding. The output is cut off, so that a bomb does not count as slow.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/inflate.h"

#define OUTPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct output {
	uint64_t hash, length;
};

static int on_bytes(void *context, const char *bytes, size_t length)
{
	struct output *output = context;

	if (!length)
		abort();
	for (size_t i = 0; i < length && output->length < OUTPUT_MAX; i++, output->length++)
		output->hash = (output->hash ^ (uint8_t)bytes[i]) * 1099511628211ull;
	return output->length < OUTPUT_MAX ? 0 : -ECANCELED;
}

static int run(struct sg_str coding, const char *data, size_t size, size_t piece,
	struct output *ret_output)
{
	struct sg_inflate *inflate;
	int r = sg_inflate_new(coding, &inflate);

	*ret_output = (struct output){ .hash = 0 };
	if (r < 0 || !inflate)
		abort();
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = sg_inflate_feed(inflate, data + at, size - at < piece ? size - at : piece,
			on_bytes, ret_output);
	sg_inflate_free(inflate);
	if (r != 0 && r != -EBADMSG && r != -ECANCELED)
		abort();
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char zstd[] = "zstd";
	static const struct sg_str codings[] = { { "gzip", 4 }, { "deflate", 7 }, { "br", 2 },
		{ zstd, 4 } };
	static const size_t pieces[] = { 1, 3, 100 };
	struct output whole, torn;
	struct sg_str coding;
	int r;

	if (size == 0)
		return 0;
	coding = codings[data[0] % SG_ARRAY_SIZE(codings)];
	r = run(coding, (const char *)data + 1, size - 1, SIZE_MAX / 2, &whole);
	for (size_t i = 0; i < SG_ARRAY_SIZE(pieces); i++) {
		int torn_r = run(coding, (const char *)data + 1, size - 1, pieces[i], &torn);

		if (r == -ECANCELED || torn_r == -ECANCELED)
			continue; // one may stop at the limit just before the other meets damage
		// libzstd compares a frame's stated length with an empty last block only when the
		// frame comes whole: then one verdict may be better than the other.
		if (torn_r != r && coding.data != zstd)
			abort();
		// What comes out before an error depends on the cuts.
		if (torn_r == 0 && r == 0 &&
			(torn.hash != whole.hash || torn.length != whole.length))
			abort();
	}
	return 0;
}
