// SPDX-License-Identifier: Apache-2.0
// Makes what the product reads of a vocabulary, or of the classes of code points, at build time:
//
//   table tokens  FILE.zst OUT    tokens by rank, each behind a byte that tells its length
//   table classes FILE.zst OUT    runs of code points: first (4 bytes, little-endian), class (1
//   byte)
//
// Where the files come from is told in docs/licenses/tiktoken.txt.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <zstd.h>

#include "tokens/table.h"

static void fail(const char *what)
{
	fprintf(stderr, "table: %s\n", what);
	exit(1);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		fail("out of memory");
	return memory;
}

static uint8_t *read_file(const char *name, size_t *ret_length)
{
	FILE *file = fopen(name, "rb");
	uint8_t *bytes = allocate(1 << 24);

	if (!file)
		fail(name);
	*ret_length = fread(bytes, 1, 1 << 24, file);
	if (ferror(file) || !feof(file))
		fail("the file can't be read, or is too large");
	fclose(file);
	return bytes;
}

static uint8_t *read_packed(const char *name, size_t *ret_length)
{
	size_t packed_length, length;
	uint8_t *packed = read_file(name, &packed_length), *bytes;
	unsigned long long size = ZSTD_getFrameContentSize(packed, packed_length);

	if (size > 1 << 24)
		fail("the file is no zstd, or is too large");
	bytes = allocate(size);
	length = ZSTD_decompress(bytes, size, packed, packed_length);
	if (ZSTD_isError(length))
		fail(ZSTD_getErrorName(length));
	free(packed);
	*ret_length = length;
	return bytes;
}

static void put(FILE *out, const void *bytes, size_t length)
{
	if (fwrite(bytes, 1, length, out) != length)
		fail("the table can't be written");
}

// ---- Tokens ----

static void insert(struct sg_token_table *table, const uint8_t *token, size_t length, uint32_t rank)
{
	uint64_t hash = sg_token_hash(token, length);
	uint32_t at = (uint32_t)hash & (table->slot_count - 1);

	while (table->slots[at] != SG_TOKEN_NONE)
		at = (at + 1) & (table->slot_count - 1);
	table->slots[at] = sg_token_slot(hash, rank);
}

static void make_tokens(const uint8_t *bytes, size_t length, FILE *out)
{
	struct sg_token_table head = { .magic = SG_TOKEN_MAGIC, .slot_count = 1 }, *table;
	uint32_t *starts = allocate(((size_t)1 << SG_TOKEN_RANK_BITS) * sizeof(*starts)), rank = 0;
	uint8_t *texts = allocate(length);

	for (size_t at = 0; at < length; at += 1 + (size_t)bytes[at]) {
		if (head.token_count + 1 >= 1u << SG_TOKEN_RANK_BITS || length - at <= bytes[at])
			fail("the vocabulary is torn, or has too many tokens");
		memcpy(texts + starts[head.token_count], bytes + at + 1, bytes[at]);
		starts[head.token_count + 1] = starts[head.token_count] + bytes[at];
		head.longest = head.longest > bytes[at] ? head.longest : bytes[at];
		head.token_count++;
	}
	// At most half full, so that what is no token is soon known to be none.
	while (head.slot_count < 2 * head.token_count)
		head.slot_count *= 2;
	table = allocate(sizeof(head) + head.slot_count * sizeof(table->slots[0]));
	*table = head;
	memset(table->slots, 0xff, head.slot_count * sizeof(table->slots[0]));
	for (; rank < head.token_count; rank++)
		insert(table, texts + starts[rank], starts[rank + 1] - starts[rank], rank);
	put(out, table, sizeof(head) + head.slot_count * sizeof(table->slots[0]));
	put(out, starts, (head.token_count + 1) * sizeof(*starts));
	put(out, texts, starts[head.token_count]);
	free(table);
	free(starts);
	free(texts);
}

// ---- Classes ----

static uint8_t *expand_runs(const uint8_t *bytes, size_t length)
{
	uint8_t *classes = allocate(0x110000);

	for (size_t at = 0; at + 5 <= length; at += 5) {
		uint32_t first = bytes[at] | (uint32_t)bytes[at + 1] << 8 |
				 (uint32_t)bytes[at + 2] << 16 | (uint32_t)bytes[at + 3] << 24;

		if (first >= 0x110000 || bytes[at + 4] >= SG_TEXT_INVALID)
			fail("no class of a code point");
		memset(classes + first, bytes[at + 4], 0x110000 - first);
	}
	return classes;
}

static void make_classes(const uint8_t *bytes, size_t length, FILE *out)
{
	uint8_t *classes = expand_runs(bytes, length), *blocks = allocate(SG_TEXT_BLOCK_COUNT);
	uint8_t(*distinct)[SG_TEXT_BLOCK] = allocate((size_t)256 * SG_TEXT_BLOCK);
	unsigned count = 0;

	for (unsigned i = 0; i < SG_TEXT_BLOCK_COUNT; i++) {
		unsigned known = 0;

		while (known < count && memcmp(distinct[known], classes + (size_t)i * SG_TEXT_BLOCK,
						SG_TEXT_BLOCK) != 0)
			known++;
		if (known == 256)
			fail("too many blocks of code points that differ");
		if (known == count)
			memcpy(distinct[count++], classes + (size_t)i * SG_TEXT_BLOCK,
				SG_TEXT_BLOCK);
		blocks[i] = (uint8_t)known;
	}
	put(out, blocks, SG_TEXT_BLOCK_COUNT);
	put(out, distinct, (size_t)count * SG_TEXT_BLOCK);
	free(classes);
	free(blocks);
	free(distinct);
}

int main(int argc, char **argv)
{
	size_t length;
	uint8_t *bytes;
	FILE *out;

	if (argc != 4)
		fail("usage: table tokens|classes FILE.zst OUT");
	bytes = read_packed(argv[2], &length);
	out = fopen(argv[3], "wb");
	if (!out)
		fail(argv[3]);
	if (strcmp(argv[1], "tokens") == 0)
		make_tokens(bytes, length, out);
	else
		make_classes(bytes, length, out);
	free(bytes);
	if (fclose(out) != 0)
		fail("the table can't be written");
	return 0;
}
