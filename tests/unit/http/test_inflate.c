// SPDX-License-Identifier: Apache-2.0
// Content codings, made by the encoders of the same formats, decoded in any cuts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "http/inflate.h"
#include "lib/feed.h"

#define RAW_DEFLATE  (-MAX_WBITS)
#define ZLIB_FORMAT  MAX_WBITS
#define GZIP_FORMAT  (MAX_WBITS + 16)
#define PLAIN_LENGTH 70001

typedef size_t (*encode_fn)(const char *plain, size_t length, uint8_t *out, size_t size);

static char plain[PLAIN_LENGTH];
static uint8_t coded[PLAIN_LENGTH * 2 + 1024];

// `flush_every`: a sync flush behind so many bytes, as servers do behind each event; 0: none.
static size_t encode_zlib(const char *text, size_t length, uint8_t *out, size_t size,
	int window_bits, size_t flush_every)
{
	z_stream stream = { .next_out = out, .avail_out = (uInt)size };
	int status;

	assert_int_equal(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 9,
				 Z_DEFAULT_STRATEGY),
		Z_OK);
	for (size_t at = 0; flush_every && at + flush_every < length; at += flush_every) {
		stream.next_in = (Bytef *)text;
		stream.avail_in = (uInt)flush_every;
		assert_int_equal(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
		text += flush_every;
	}
	stream.next_in = (Bytef *)text;
	stream.avail_in = (uInt)(length - stream.total_in);
	status = deflate(&stream, Z_FINISH);
	assert_int_equal(status, Z_STREAM_END);
	size = stream.total_out;
	deflateEnd(&stream);
	return size;
}

static size_t encode_gzip(const char *text, size_t length, uint8_t *out, size_t size)
{
	return encode_zlib(text, length, out, size, GZIP_FORMAT, 0);
}

static size_t encode_flushed_gzip(const char *text, size_t length, uint8_t *out, size_t size)
{
	return encode_zlib(text, length, out, size, GZIP_FORMAT, 997);
}

static size_t encode_two_members(const char *text, size_t length, uint8_t *out, size_t size)
{
	size_t first = encode_gzip(text, length / 3, out, size);

	return first +
	       encode_gzip(text + length / 3, length - length / 3, out + first, size - first);
}

static size_t encode_zlib_format(const char *text, size_t length, uint8_t *out, size_t size)
{
	return encode_zlib(text, length, out, size, ZLIB_FORMAT, 0);
}

static size_t encode_raw_deflate(const char *text, size_t length, uint8_t *out, size_t size)
{
	return encode_zlib(text, length, out, size, RAW_DEFLATE, 0);
}

static size_t encode_brotli(const char *text, size_t length, uint8_t *out, size_t size)
{
	assert_true(BrotliEncoderCompress(5, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC, length,
		(const uint8_t *)text, &size, out));
	return size;
}

static size_t encode_zstd(const char *text, size_t length, uint8_t *out, size_t size)
{
	size = ZSTD_compress(out, size, text, length, 3);
	assert_false(ZSTD_isError(size));
	return size;
}

static size_t encode_two_frames(const char *text, size_t length, uint8_t *out, size_t size)
{
	size_t first = encode_zstd(text, length / 3, out, size);

	return first +
	       encode_zstd(text + length / 3, length - length / 3, out + first, size - first);
}

static const struct format {
	const char *coding;
	encode_fn encode;
} formats[] = {
	{ "gzip", encode_gzip },
	{ "x-gzip", encode_gzip },
	{ "GZip", encode_gzip },
	{ "gzip", encode_flushed_gzip },
	{ "gzip", encode_two_members },
	{ "deflate", encode_zlib_format },
	{ "deflate", encode_raw_deflate },
	{ "br", encode_brotli },
	{ "zstd", encode_zstd },
	{ "zstd", encode_two_frames },
};

static int gather(void *context, const char *bytes, size_t length)
{
	return sg_buf_append(context, bytes, length);
}

static struct sg_inflate *open_coding(const char *coding)
{
	struct sg_inflate *inflate = NULL;

	assert_int_equal(sg_inflate_new((struct sg_str){ coding, strlen(coding) }, &inflate), 0);
	assert_non_null(inflate);
	return inflate;
}

// What is coded, and what must come out of it.
struct exchange {
	const char *coding;
	size_t coded_length;
	size_t plain_length;
};

static void decode(struct feeder *feeder, const void *context)
{
	const struct exchange *exchange = context;
	struct sg_inflate *inflate = open_coding(exchange->coding);
	struct sg_buf out = { .data = NULL };

	for (size_t at = 0; at < exchange->coded_length;) {
		size_t part = feed_next(feeder, exchange->coded_length - at);

		assert_int_equal(
			sg_inflate_feed(inflate, (const char *)coded + at, part, gather, &out), 0);
		at += part;
	}
	assert_int_equal(sg_buf_length(&out), exchange->plain_length);
	if (exchange->plain_length)
		assert_memory_equal(sg_buf_head(&out), plain, exchange->plain_length);
	sg_buf_release(&out);
	inflate = sg_inflate_free(inflate);
	assert_null(inflate);
}

static void round_trip(size_t length)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(formats); i++) {
		struct exchange exchange = { formats[i].coding,
			formats[i].encode(plain, length, coded, sizeof(coded)), length };

		feed_all(decode, &exchange);
	}
}

static void event_streams_come_out_in_any_cuts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = "data: {\"delta\":\"text\",\"n\":0}\n\n"[i % 30];
	for (size_t i = 0; i < sizeof(plain); i += 26)
		plain[i] = (char)('a' + i * 7 % 25);
	round_trip(sizeof(plain));
}

// One run of the same byte: some bytes of input stand for far more than a piece of output.
static void dense_bytes_come_out_to_the_last(void **state)
{
	static const size_t lengths[] = { 1, 258, 16383, 16384, 16385, 32768, 33024, 70001 };

	(void)state;
	memset(plain, 'x', sizeof(plain));
	for (size_t i = 0; i < SG_ARRAY_SIZE(lengths); i++)
		round_trip(lengths[i]);
}

static void an_empty_body_comes_out_empty(void **state)
{
	(void)state;
	round_trip(0);
}

// A dense run whose last flushed byte is there: all that stands for must be out, for events are
// counted as they come.
static void flushed_bytes_are_not_held_back(void **state)
{
	(void)state;
	memset(plain, 'x', sizeof(plain));
	for (size_t length = 16300; length < 16700; length++) {
		z_stream stream = { .next_out = coded, .avail_out = sizeof(coded) };
		struct exchange exchange = { "gzip", 0, length };

		assert_int_equal(
			deflateInit2(&stream, 9, Z_DEFLATED, GZIP_FORMAT, 9, Z_DEFAULT_STRATEGY),
			Z_OK);
		stream.next_in = (Bytef *)plain;
		stream.avail_in = (uInt)length;
		assert_int_equal(deflate(&stream, Z_PARTIAL_FLUSH), Z_OK);
		exchange.coded_length = stream.total_out;
		(void)deflateEnd(&stream);
		decode(&(struct feeder){ FEED_WHOLE, 0 }, &exchange);
	}
}

static void codings_are_chosen_by_name(void **state)
{
	static const struct {
		const char *coding;
		int outcome;
	} rows[] = { { "", 0 }, { "identity", 0 }, { "Identity", 0 }, { "compress", -ENOTSUP },
		{ "gzip, br", -ENOTSUP }, { "gzipx", -ENOTSUP }, { "gzi", -ENOTSUP },
		{ "bz2", -ENOTSUP } };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_inflate *inflate = (struct sg_inflate *)coded;
		struct sg_str coding = { rows[i].coding, strlen(rows[i].coding) };

		assert_int_equal(sg_inflate_new(coding, &inflate), rows[i].outcome);
		assert_null(inflate);
	}
	assert_null(sg_inflate_free(NULL));
}

static int feed_once(const char *coding, size_t length, struct sg_buf *out)
{
	struct sg_inflate *inflate = open_coding(coding);
	int r = sg_inflate_feed(inflate, (const char *)coded, length, gather, out);

	sg_inflate_free(inflate);
	return r;
}

static void corrupt_bytes_are_refused(void **state)
{
	static const char *const codings[] = { "gzip", "br", "zstd", "deflate" };

	(void)state;
	memset(plain, 'x', sizeof(plain));
	for (size_t i = 0; i < SG_ARRAY_SIZE(codings); i++) {
		struct sg_buf out = { .data = NULL };

		memset(coded, 0xff, 64);
		assert_int_equal(feed_once(codings[i], 64, &out), -EBADMSG);
		sg_buf_release(&out);
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(formats); i++) {
		size_t length = formats[i].encode(plain, 1000, coded, sizeof(coded));
		struct sg_buf out = { .data = NULL };

		if (formats[i].encode == encode_raw_deflate)
			continue; // has neither a sum nor an end mark that junk must follow
		memset(coded + length, 0xff, 16);
		assert_int_equal(feed_once(formats[i].coding, length + 16, &out), -EBADMSG);
		sg_buf_release(&out);
	}
}

static void a_wrong_sum_is_refused(void **state)
{
	size_t length = encode_gzip("some text", 9, coded, sizeof(coded));
	struct sg_buf out = { .data = NULL };

	(void)state;
	coded[length - 8] ^= 1;
	assert_int_equal(feed_once("gzip", length, &out), -EBADMSG);
	sg_buf_release(&out);
}

static int count(void *context, const char *bytes, size_t length)
{
	(void)bytes;
	*(uint64_t *)context += length;
	return 0;
}

// Small members that each stand for a mebibyte: exactly the cap passes, one byte more does not.
static void output_stops_at_the_cap(void **state)
{
	static char zeros[1 << 20];
	static uint8_t member[4096], last[64];
	size_t length = encode_gzip(zeros, sizeof(zeros), member, sizeof(member));
	size_t last_length = encode_gzip("x", 1, last, sizeof(last));
	struct sg_inflate *inflate = open_coding("gzip");
	uint64_t decoded = 0;

	(void)state;
	for (uint64_t i = 0; i < SG_INFLATE_MAX_BYTES / sizeof(zeros); i++)
		assert_int_equal(
			sg_inflate_feed(inflate, (const char *)member, length, count, &decoded), 0);
	assert_int_equal(decoded, SG_INFLATE_MAX_BYTES);
	assert_int_equal(
		sg_inflate_feed(inflate, (const char *)last, last_length, count, &decoded), -EFBIG);
	assert_int_equal(decoded, SG_INFLATE_MAX_BYTES);
	sg_inflate_free(inflate);
}

// Each byte of `text` comes so often, up to the length.
static char *stretch(size_t times, size_t length)
{
	char *text = malloc(length);
	uint32_t random = 1;

	assert_non_null(text);
	for (size_t i = 0; i < length; i++) {
		if (i % times == 0)
			random = random * 1664525 + 1013904223;
		text[i] = (char)('0' + (random >> 24) % 64);
	}
	return text;
}

static int decode_limited(
	const struct format *format, const char *text, size_t length, uint64_t *ret_decoded)
{
	size_t size = length / 8 + 4096;
	uint8_t *out = malloc(size);
	struct sg_inflate *inflate = open_coding(format->coding);
	int r;

	assert_non_null(out);
	*ret_decoded = 0;
	sg_inflate_limit(inflate);
	size = format->encode(text, length, out, size);
	r = sg_inflate_feed(inflate, (const char *)out, size, count, ret_decoded);
	assert_true(
		*ret_decoded <= SG_INFLATE_FREE_BYTES || *ret_decoded <= size * SG_INFLATE_RATIO);
	sg_inflate_free(inflate);
	free(out);
	return r;
}

// Of an untrusted sender few bytes may not stand for very many; what text is made of may.
static void a_bomb_is_given_up_and_dense_text_is_not(void **state)
{
	static const struct format whole[] = { { "gzip", encode_gzip },
		{ "deflate", encode_zlib_format }, { "br", encode_brotli },
		{ "zstd", encode_zstd } };
	static const size_t length = 16 << 20;
	char *dense = stretch(64, length), *bomb = stretch(length, length);
	uint64_t decoded;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(whole); i++) {
		assert_int_equal(decode_limited(&whole[i], dense, length, &decoded), 0);
		assert_int_equal(decoded, length);
		assert_int_equal(
			decode_limited(&whole[i], bomb, SG_INFLATE_FREE_BYTES, &decoded), 0);
		assert_int_equal(decode_limited(&whole[i], bomb, length, &decoded), -EOVERFLOW);
	}
	free(dense);
	free(bomb);
}

// RFC 9659: a frame that asks for more than 8 MB of memory is not for HTTP.
static void a_large_zstd_window_is_refused(void **state)
{
	static const struct {
		int window_log;
		int outcome;
	} rows[] = { { 23, 0 }, { 24, -EBADMSG } };

	(void)state;
	memset(plain, 'x', sizeof(plain));
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		ZSTD_CCtx *encoder = ZSTD_createCCtx();
		ZSTD_inBuffer in = { plain, 1000, 0 };
		ZSTD_outBuffer out = { coded, sizeof(coded), 0 };
		struct sg_buf decoded = { .data = NULL };

		ZSTD_CCtx_setParameter(encoder, ZSTD_c_windowLog, rows[i].window_log);
		// The length is not known at the first bytes, as in a stream, so the window stays.
		assert_false(ZSTD_isError(ZSTD_compressStream2(encoder, &out, &in, ZSTD_e_flush)));
		assert_int_equal(ZSTD_compressStream2(encoder, &out, &in, ZSTD_e_end), 0);
		assert_int_equal(feed_once("zstd", out.pos, &decoded), rows[i].outcome);
		sg_buf_release(&decoded);
		ZSTD_freeCCtx(encoder);
	}
}

// libzstd reads formats from before RFC 8878 (here v0.7); also behind a good frame they are
// refused.
static void zstd_from_before_the_standard_is_refused(void **state)
{
	static const uint8_t old_magic[] = { 0x27, 0xb5, 0x2f, 0xfd },
			     skipped[] = { 0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'x', 'y' };
	struct sg_buf out = { .data = NULL };
	size_t length = encode_zstd("text", 4, coded, sizeof(coded));

	(void)state;
	memcpy(coded + length, skipped, sizeof(skipped));
	length += sizeof(skipped);
	assert_int_equal(feed_once("zstd", length, &out), 0);
	assert_int_equal(sg_buf_length(&out), 4);
	memcpy(coded + length, old_magic, sizeof(old_magic));
	assert_int_equal(feed_once("zstd", length + sizeof(old_magic), &out), -EBADMSG);
	memcpy(coded, old_magic, sizeof(old_magic));
	assert_int_equal(feed_once("zstd", sizeof(old_magic), &out), -EBADMSG);
	sg_buf_release(&out);
}

static int refuse(void *context, const char *bytes, size_t length)
{
	(void)context;
	(void)bytes;
	(void)length;
	return -ECANCELED;
}

static void the_callback_stops_the_feed(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(formats); i++) {
		size_t length = formats[i].encode("text", 4, coded, sizeof(coded));
		struct sg_inflate *inflate = open_coding(formats[i].coding);

		assert_int_equal(
			sg_inflate_feed(inflate, (const char *)coded, length, refuse, NULL),
			-ECANCELED);
		sg_inflate_free(inflate);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_streams_come_out_in_any_cuts),
		cmocka_unit_test(dense_bytes_come_out_to_the_last),
		cmocka_unit_test(an_empty_body_comes_out_empty),
		cmocka_unit_test(flushed_bytes_are_not_held_back),
		cmocka_unit_test(codings_are_chosen_by_name),
		cmocka_unit_test(corrupt_bytes_are_refused),
		cmocka_unit_test(a_wrong_sum_is_refused),
		cmocka_unit_test(output_stops_at_the_cap),
		cmocka_unit_test(a_bomb_is_given_up_and_dense_text_is_not),
		cmocka_unit_test(a_large_zstd_window_is_refused),
		cmocka_unit_test(zstd_from_before_the_standard_is_refused),
		cmocka_unit_test(the_callback_stops_the_feed),
	};

	return cmocka_run_group_tests_name("inflate", tests, NULL, NULL);
}
