// SPDX-License-Identifier: Apache-2.0
#include "http/inflate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE_BYTES 16384

// 8 MB, the most that RFC 9659 allows an encoder; zstd itself would take 128 MB of memory.
#define ZSTD_WINDOW_LOG_MAX 23

typedef int (*decode_fn)(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context);

struct sg_inflate {
	decode_fn decode;
	uint64_t coded_bytes, decoded_bytes;
	bool limited;	// what it may expand to
	bool raw_tried; // deflate: the stream turned out to have no zlib header
	z_stream zlib;
	bool zlib_open;
	BrotliDecoderState *brotli;
	ZSTD_DStream *zstd;
	bool zstd_in_frame;
	char piece[PIECE_BYTES];
};

static int hand_out(
	struct sg_inflate *inflate, size_t length, sg_inflate_fn on_bytes, void *context)
{
	inflate->decoded_bytes += length;
	if (inflate->decoded_bytes > SG_INFLATE_MAX_BYTES)
		return -EFBIG;
	if (inflate->limited && inflate->decoded_bytes > SG_INFLATE_FREE_BYTES &&
		inflate->decoded_bytes / SG_INFLATE_RATIO > inflate->coded_bytes)
		return -EOVERFLOW;
	return length ? on_bytes(context, inflate->piece, length) : 0;
}

// ---- gzip and deflate ----

static int open_zlib(struct sg_inflate *inflate, int window_bits)
{
	if (inflate->zlib_open)
		inflateEnd(&inflate->zlib);
	memset(&inflate->zlib, 0, sizeof(inflate->zlib));
	inflate->zlib_open = inflateInit2(&inflate->zlib, window_bits) == Z_OK;
	return inflate->zlib_open ? 0 : -ENOMEM;
}

// zlib's function has the name that our parameter has elsewhere.
static int run_inflate(z_stream *stream)
{
	return inflate(stream, Z_SYNC_FLUSH);
}

static int run_zlib(struct sg_inflate *inflate, sg_inflate_fn on_bytes, void *context)
{
	int status, r;

	do {
		inflate->zlib.next_out = (Bytef *)inflate->piece;
		inflate->zlib.avail_out = PIECE_BYTES;
		status = run_inflate(&inflate->zlib);
		if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			return status == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
		r = hand_out(inflate, PIECE_BYTES - inflate->zlib.avail_out, on_bytes, context);
		if (r != 0)
			return r;
		if (status == Z_STREAM_END) {
			// gzip members may follow each other (RFC 1952, 2.2).
			if (inflateReset(&inflate->zlib) != Z_OK)
				return -EBADMSG;
		}
		// A full piece may leave output behind when the input is used up.
	} while ((inflate->zlib.avail_in || !inflate->zlib.avail_out) && status != Z_BUF_ERROR);
	return 0;
}

static int decode_gzip(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context)
{
	inflate->zlib.next_in = (Bytef *)bytes;
	inflate->zlib.avail_in = (uInt)length;
	return run_zlib(inflate, on_bytes, context);
}

// "deflate" is zlib's format by RFC 9110, 8.4.1.2, and raw deflate by the habit of some servers.
// The first byte of the former has the method 8 in its low bits.
static int decode_deflate(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context)
{
	int r = 0;

	if (!inflate->raw_tried && length) {
		inflate->raw_tried = true;
		if (((unsigned char)bytes[0] & 0x0f) != 8)
			r = open_zlib(inflate, -MAX_WBITS);
	}
	return r < 0 ? r : decode_gzip(inflate, bytes, length, on_bytes, context);
}

// ---- br, zstd ----

static int decode_brotli(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context)
{
	const uint8_t *in = (const uint8_t *)bytes;
	BrotliDecoderResult result;
	int r;

	do {
		size_t room = PIECE_BYTES;
		uint8_t *out = (uint8_t *)inflate->piece;

		result = BrotliDecoderDecompressStream(
			inflate->brotli, &length, &in, &room, &out, NULL);
		if (result == BROTLI_DECODER_RESULT_ERROR)
			return -EBADMSG;
		r = hand_out(inflate, PIECE_BYTES - room, on_bytes, context);
		if (r != 0)
			return r;
	} while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT);
	return result == BROTLI_DECODER_RESULT_SUCCESS && length ? -EBADMSG : 0;
}

// The magic numbers of RFC 8878, by their first bytes: frames, and those to be skipped. libzstd
// also reads the formats from before the standard, with decoders that nobody looks after.
static bool starts_zstd_frame(uint8_t first)
{
	return first == 0x28 || (first >= 0x50 && first <= 0x5f);
}

static int decode_zstd(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context)
{
	ZSTD_inBuffer in = { bytes, length, 0 };
	ZSTD_outBuffer out;
	size_t left;
	int r;

	do {
		if (!inflate->zstd_in_frame && in.pos < in.size) {
			if (!starts_zstd_frame((uint8_t)bytes[in.pos]))
				return -EBADMSG;
			inflate->zstd_in_frame = true;
		}
		out = (ZSTD_outBuffer){ inflate->piece, PIECE_BYTES, 0 };
		left = ZSTD_decompressStream(inflate->zstd, &out, &in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		if (left == 0)
			inflate->zstd_in_frame = false;
		r = hand_out(inflate, out.pos, on_bytes, context);
		if (r != 0)
			return r;
	} while (in.pos < in.size || out.pos == PIECE_BYTES);
	return 0;
}

// ---- Choice ----

static bool is_coding(struct sg_str coding, const char *name)
{
	return coding.length == strlen(name) && strncasecmp(coding.data, name, coding.length) == 0;
}

static int open_decoder(struct sg_inflate *inflate, struct sg_str coding)
{
	if (is_coding(coding, "gzip") || is_coding(coding, "x-gzip")) {
		inflate->decode = decode_gzip;
		return open_zlib(inflate, MAX_WBITS + 16);
	}
	if (is_coding(coding, "deflate")) {
		inflate->decode = decode_deflate;
		return open_zlib(inflate, MAX_WBITS);
	}
	if (is_coding(coding, "br")) {
		inflate->decode = decode_brotli;
		inflate->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
		return inflate->brotli ? 0 : -ENOMEM;
	}
	if (is_coding(coding, "zstd")) {
		inflate->decode = decode_zstd;
		inflate->zstd = ZSTD_createDStream();
		if (!inflate->zstd)
			return -ENOMEM;
		return ZSTD_isError(ZSTD_DCtx_setParameter(
			       inflate->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX))
			       ? -ENOTSUP
			       : 0;
	}
	return -ENOTSUP;
}

int sg_inflate_new(struct sg_str coding, struct sg_inflate **ret_inflate)
{
	struct sg_inflate *inflate;
	int r;

	*ret_inflate = NULL;
	if (!coding.length || is_coding(coding, "identity"))
		return 0;
	inflate = malloc(sizeof(*inflate));
	if (!inflate)
		return -ENOMEM;
	memset(inflate, 0, offsetof(struct sg_inflate, piece));
	r = open_decoder(inflate, coding);
	if (r < 0) {
		sg_inflate_free(inflate);
		return r;
	}
	*ret_inflate = inflate;
	return 0;
}

struct sg_inflate *sg_inflate_free(struct sg_inflate *inflate)
{
	if (!inflate)
		return NULL;
	if (inflate->zlib_open)
		inflateEnd(&inflate->zlib);
	if (inflate->brotli)
		BrotliDecoderDestroyInstance(inflate->brotli);
	ZSTD_freeDStream(inflate->zstd);
	free(inflate);
	return NULL;
}

void sg_inflate_limit(struct sg_inflate *inflate)
{
	inflate->limited = true;
}

int sg_inflate_feed(struct sg_inflate *inflate, const char *bytes, size_t length,
	sg_inflate_fn on_bytes, void *context)
{
	inflate->coded_bytes += length;
	return length ? inflate->decode(inflate, bytes, length, on_bytes, context) : 0;
}
