// SPDX-License-Identifier: Apache-2.0
// How long sound may be at most: never less than what a decoder makes of the file, of silence too,
// in any cuts; and no hold of a transcription below its bill.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "provider/api.h"
#include "provider/price.h"
#include "provider/sound.h"

#define WALL_NS	 (INT64_C(1800000000) * SG_NS_PER_SEC) // 2027
#define MOST	 100000
#define HOURS(n) (INT64_C(3600000) * (n))

struct file {
	unsigned char bytes[MOST];
	size_t length;
};

static void put(struct file *file, const void *bytes, size_t length)
{
	assert_true(file->length + length <= MOST);
	memcpy(file->bytes + file->length, bytes, length);
	file->length += length;
}

static void put_number(struct file *file, uint64_t value, size_t bytes, bool little)
{
	for (size_t i = 0; i < bytes; i++) {
		size_t shift = 8 * (little ? i : bytes - 1 - i);
		unsigned char byte = shift < 64 ? (unsigned char)(value >> shift) : 0;

		put(file, &byte, 1);
	}
}

static unsigned checksum(const unsigned char *bytes, size_t length)
{
	unsigned crc = 0;

	for (size_t i = 0; i < 8 * length; i++) {
		unsigned bit = bytes[i / 8] >> (7 - i % 8) & 1;

		crc = ((crc << 1) ^ ((crc >> 7 ^ bit) & 1 ? 0x07 : 0)) & 0xff;
	}
	return crc;
}

// Frames of 65,536 samples of silence at 8 kHz, 12 bytes each.
static void flac(struct file *file, unsigned frames, uint64_t told_samples)
{
	put(file, "fLaC\x80\0\0\x22\x10\0\xff\xff\0\0\0\0\0\0", 18);
	put_number(file, UINT64_C(8000) << 44 | UINT64_C(15) << 36 | told_samples, 8, false);
	put_number(file, 0, 16, false);
	for (unsigned i = 0; i < frames; i++) {
		unsigned char frame[12] = { 0xff, 0xf8, 0x74, 0x08, (unsigned char)(i & 0x7f), 0xff,
			0xff };

		frame[7] = (unsigned char)checksum(frame, 7);
		put(file, frame, sizeof(frame));
	}
}

static void page(struct file *file, unsigned flags, uint64_t position, unsigned packets,
	const char *packet, size_t length)
{
	put(file, "OggS\0", 5);
	put_number(file, flags, 1, true);
	put_number(file, position, 8, true);
	put(file, "SERI\0\0\0\0crc.", 12);
	put_number(file, packets, 1, true);
	for (unsigned i = 0; i < packets; i++)
		put_number(file, length, 1, true);
	for (unsigned i = 0; i < packets; i++)
		put(file, packet, length);
}

// Packets of one byte: two frames of 60 ms that hold nothing.
static void opus(struct file *file, unsigned pages, uint64_t position)
{
	page(file, 2, 0, 1, "OpusHead\1\1\0\0\x80\xbb\0\0\0\0\0", 19);
	page(file, 0, 0, 1, "OpusTags\0\0\0\0\0\0\0\0", 16);
	for (unsigned i = 0; i < pages; i++)
		page(file, 0, position, 200, "\x19", 1);
}

static void wav(struct file *file, unsigned format, unsigned rate, unsigned bits)
{
	put(file, "RIFF\0\0\0\0WAVEfmt \x10\0\0\0", 20);
	put_number(file, format, 2, true);
	put_number(file, 1, 2, true);
	put_number(file, rate, 4, true);
	put_number(file, (uint64_t)rate * bits / 8, 4, true);
	put_number(file, bits / 8, 2, true);
	put_number(file, bits, 2, true);
	put(file, "LIST\2\0\0\0abdata\0\0\0\0", 18);
	put_number(file, 0, 16000, true);
}

#define EBML	"\x1a\x45\xdf\xa3\x80"
#define SEGMENT "\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
#define CLUSTER "\x1f\x43\xb6\x75\xff\xe7\x81\x00"

static void put_track(struct file *file, const char *codec)
{
	put(file, "\x16\x54\xae\x6b", 4);
	put_number(file, 0x80 | (7 + strlen(codec)), 1, false);
	put(file, "\xae", 1);
	put_number(file, 0x80 | (5 + strlen(codec)), 1, false);
	put(file, "\xd7\x81\x01\x86", 4);
	put_number(file, 0x80 | strlen(codec), 1, false);
	put(file, codec, strlen(codec));
}

// As browsers record it: of no told size, a packet of 20 ms in each block.
static void webm(struct file *file, const char *codec, unsigned blocks, const char *info)
{
	put(file, EBML SEGMENT, sizeof(EBML SEGMENT) - 1);
	put(file, "\x15\x49\xa9\x66\x8e\x2a\xd7\xb1\x83\x0f\x42\x40", 12);
	put(file, info, 7);
	put_track(file, codec);
	for (unsigned i = 0; i < blocks; i++) {
		if (i % 100 == 0)
			put(file, CLUSTER, sizeof(CLUSTER) - 1);
		put(file, i & 1 ? "\xa3\x86\x81\0\0\x80\x08z" : "\xa0\x88\xa1\x86\x81\0\0\0\x08z",
			i & 1 ? 8 : 10);
	}
}

static void box(struct file *file, const char *name, const char *bytes, size_t length)
{
	put_number(file, length + 8, 4, false);
	put(file, name, 4);
	put(file, bytes, length);
}

// Frames of one channel without a band, at 44,100 Hz.
static void mp4(struct file *file, const char *codec, const char *decoder, uint64_t seconds)
{
	char times[100] = { 0 };

	times[14] = 1; // 256 ticks a second
	times[18] = (char)(seconds >> 8);
	times[19] = (char)seconds;
	times[17] = (char)(seconds >> 16);
	box(file, "ftyp", "M4A \0\0\0\0", 8);
	box(file, "mvhd", times, sizeof(times));
	box(file, "mdhd", times, 24);
	put_number(file, 8 + 8 + 36 + 51, 4, false);
	put(file, "stsd\0\0\0\0\0\0\0\1", 12);
	put_number(file, 36 + 51, 4, false);
	put(file, codec, 4);
	put_number(file, 0, 28, false);
	box(file, decoder,
		"\0\0\0\0\3\x80\x80\x80\x22\0\1\0\4\x80\x80\x80\x14\x40\x15\0\0\0\0\0\0\0\0\0\0\0\5"
		"\x80\x80\x80\2\x12\x08\6\x80\x80\x80\1\2",
		43);
	box(file, "mdat", "", 0);
	for (int i = 0; i < 2500; i++)
		put(file, "\1\0\0\7", 4);
}

static void make(struct file *file, int kind)
{
	switch (kind) {
	case 0:
		flac(file, 4395, 0); // ten hours in 53 KB
		break;
	case 1:
		flac(file, 4395, 8000); // which says that it is a second
		break;
	case 2:
		flac(file, 1, 8000 * UINT64_C(36000)); // which says that it is ten hours
		break;
	case 3:
		opus(file, 100, 48000); // 20,000 packets in 43 KB
		break;
	case 4:
		opus(file, 1, 48000 * UINT64_C(7200)); // which says that it is two hours
		break;
	case 5:
		wav(file, 1, 8000, 16);
		break;
	case 6:
		put(file, "ID3\4\0\0\0\0\1\0", 10);
		put_number(file, 0, 128, false);
		put(file, "\xff\xe3\x18\xc4", 4);
		put_number(file, 0, 9996, false);
		break;
	case 7:
		webm(file, "A_OPUS", 1000, "\x44\x89\x84\0\0\0\0");
		break;
	case 8: // which says that it is 7,200,000 ms
		webm(file, "A_OPUS", 10, "\x44\x89\x84\x4a\xdb\xba\0");
		break;
	case 9:
		mp4(file, "mp4a", "esds", 256);
		break;
	case 10: // which says that it is two hours
		mp4(file, "mp4a", "esds", 256 * UINT64_C(7200));
		break;
	default:
		break;
	}
}

// In milliseconds: what a decoder makes of it, or the file says, and a little more than that.
static const int64_t decoded[][2] = {
	{ HOURS(10), HOURS(10) + 10000 },
	{ HOURS(10), HOURS(10) + 10000 },
	{ HOURS(10), HOURS(10) + 10000 },
	{ 20000 * 120, 20000 * 120 + 1000 },
	{ HOURS(2), HOURS(2) + 10000 },
	{ 1000, 1010 },
	{ 10000, 10010 },
	{ 20000, 20010 },
	{ HOURS(2), HOURS(2) + 10000 },
	{ 2500 * INT64_C(1024000) / 44100, 61000 },
	{ HOURS(2), HOURS(2) + 10000 },
};

static int64_t measure(const void *bytes, size_t length, size_t piece)
{
	struct sg_sound sound;

	sg_sound_init(&sound);
	for (size_t at = 0; at < length; at += piece)
		sg_sound_feed(&sound, (const char *)bytes + at,
			length - at < piece ? length - at : piece);
	return sg_sound_longest_ms(&sound);
}

static void is_as_long_as_it_may_be(void **state)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 1, 100 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(decoded); i++) {
		static struct file file;

		file.length = 0;
		make(&file, (int)i);
		for (size_t k = 0; k < SG_ARRAY_SIZE(pieces); k++)
			assert_in_range(measure(file.bytes, file.length, pieces[k]), decoded[i][0],
				decoded[i][1]);
	}
}

static void what_is_not_certain_has_no_bound(void **state)
{
	static struct file file;
	size_t whole;

	(void)state;
	assert_int_equal(measure("", 0, 1), -1);
	assert_int_equal(measure("ID3\4\0\0\0\0\1\0", 10, 1), -1);
	assert_int_equal(measure("\0\0\0\x20"
				 "ftypM4A ",
				 12, 1),
		-1);
	assert_int_equal(measure("\x1a\x45\xdf\xa3", 4, 1), -1);
	assert_int_equal(measure("\xff\xf1\x50\x80", 4, 1), -1); // AAC
	assert_int_equal(measure("\xff\xfb\x00\xc4", 4, 1), -1); // MPEG audio of any rate
	wav(&file, 2, 8000, 4);					 // packed
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	// A stream, or a file, within.
	for (int i = 0; i < 2; i++) {
		file.length = 0;
		opus(&file, 1, 0);
		whole = file.length;
		page(&file, i ? 2 : 0, 0, 1, i ? "a" : "aOggS", i ? 1 : 5);
		assert_int_not_equal(measure(file.bytes, whole, 1), -1);
		assert_int_equal(measure(file.bytes, file.length, 1), -1);
	}
	// Another codec, beside Opus or AAC or alone; none; a second file; what is no element.
	file.length = 0;
	webm(&file, "A_VORBIS", 10, "\x44\x89\x84\0\0\0\0");
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = 0;
	webm(&file, "V_VP8", 10, "\x44\x89\x84\0\0\0\0");
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	put_track(&file, "A_OPUS");
	assert_int_not_equal(measure(file.bytes, file.length, 1), -1);
	whole = file.length;
	put(&file, EBML, sizeof(EBML) - 1);
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = whole;
	put_number(&file, 0, 8, false);
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = 0;
	mp4(&file, "alac", "esds", 0);
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = 0;
	mp4(&file, "mp4a", "none", 0);
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = 0;
	mp4(&file, "mp4a", "esds", 0);
	box(&file, "free", "mvhdesds", 8); // one may hide the other
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
	file.length = 0;
	flac(&file, 2, 0);
	flac(&file, 2, 0);
	assert_int_equal(measure(file.bytes, file.length, 1), -1);
}

static void hold_of(const struct sg_price_table *table, const char *model, const void *bytes,
	size_t length, int *ret_result, struct sg_charge *ret_hold)
{
	static const char type[] = "multipart/form-data; boundary=XB";
	static const char middle[] = "\r\n--XB\r\nContent-Disposition: form-data; name=\"file\"; "
				     "filename=\"a\"\r\n\r\n",
			  tail[] = "\r\n--XB--\r\n";
	struct sg_route route = { .kind = SG_ROUTE_METERED, .api = &sg_api_openai_transcription };
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_request_reader *reader;
	int r;

	strcpy(route.model, model);
	assert_int_equal(
		sg_request_reader_new(&route, (struct sg_str){ type, sizeof(type) - 1 }, &reader),
		0);
	r = sg_request_reader_feed(reader, middle + 2, sizeof(middle) - 3);
	if (r == 0)
		r = sg_request_reader_feed(reader, bytes, length);
	if (r == 0)
		r = sg_request_reader_feed(reader, tail, sizeof(tail) - 1);
	assert_int_equal(r, 0);
	sg_request_reader_finish(reader, &facts, &edits);
	assert_null(sg_request_reader_free(reader));
	assert_true(facts.is_object);
	*ret_result =
		sg_price_bound(table, sg_provider_by_name("openai"), &facts, WALL_NS, ret_hold);
}

static void no_bill_is_over_its_hold(void **state)
{
	const struct sg_provider *openai = sg_provider_by_name("openai");
	struct sg_price_table *table;
	struct sg_error error = { "" };
	struct sg_charge hold, bill;
	int r;

	(void)state;
	assert_int_equal(sg_price_table_builtin(&table, &error), 0);
	for (size_t i = 0; i < SG_ARRAY_SIZE(decoded); i++) {
		static struct file file;
		struct sg_outcome outcome = { .usage.units.milliseconds = decoded[i][0] };

		file.length = 0;
		make(&file, (int)i);
		hold_of(table, "whisper-1", file.bytes, file.length, &r, &hold);
		assert_int_equal(r, 0);
		assert_int_equal(
			sg_price_cost(table, openai, "whisper-1", &outcome, WALL_NS, &bill), 0);
		assert_true(hold.nanousd >= bill.nanousd);
	}
	// By the second no bound, by tokens the context window.
	hold_of(table, "whisper-1", "abc", 3, &r, &hold);
	assert_int_equal(r, -ERANGE);
	hold_of(table, "gpt-4o-transcribe", "abc", 3, &r, &hold);
	assert_int_equal(r, 0);
	table = sg_price_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_as_long_as_it_may_be),
		cmocka_unit_test(what_is_not_certain_has_no_bound),
		cmocka_unit_test(no_bill_is_over_its_hold),
	};

	return cmocka_run_group_tests_name("sound", tests, NULL, NULL);
}
