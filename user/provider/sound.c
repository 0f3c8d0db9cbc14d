// SPDX-License-Identifier: Apache-2.0
// RIFF/WAVE (its sample format), MPEG audio (ISO 11172-3), FLAC (RFC 9639), Opus (RFC 6716) in Ogg
// (RFC 3533, RFC 7845). Silence takes next to nothing in FLAC and Opus: their frames are counted.
#include "provider/sound_parts.h"

#include <string.h>

#define TAG_BYTES 10 // of ID3 in front of the sound

// The slowest rate of MPEG audio, but for its free format: 8 kbit a second.
#define MP3_BYTES_A_SECOND 1000

#define WAV_EXTENSIBLE 0xfffe

#define OPUS_RATE	   48000
#define PAGE_HEADER	   27
#define PAGE_FLAGS	   5
#define PAGE_POSITION	   6
#define PAGE_STREAM	   14
#define PAGE_SEGMENTS	   26
#define PAGE_CONTINUES	   1
#define PAGE_BEGINS_STREAM 2
#define PAGE_MARK	   0x4f676753 // "OggS"

void sg_sound_init(struct sg_sound *sound)
{
	memset(sound, 0, sizeof(*sound));
}

static uint64_t big_endian(const unsigned char *bytes, size_t length)
{
	uint64_t value = 0;

	for (size_t i = 0; i < length; i++)
		value = value << 8 | bytes[i];
	return value;
}

static uint64_t little_endian(const unsigned char *bytes, size_t length)
{
	uint64_t value = 0;

	while (length--)
		value = value << 8 | bytes[length];
	return value;
}

// ---- What begins like it ----

static bool is_mp3_frame(const unsigned char *head, size_t length)
{
	return length >= 4 && head[0] == 0xff && (head[1] & 0xe0) == 0xe0 &&
	       (head[1] & 0x18) != 0x08 && (head[1] & 0x06) != 0 && (head[2] & 0xf0) != 0 &&
	       (head[2] & 0xf0) != 0xf0 && (head[2] & 0x0c) != 0x0c;
}

static void start_flac(struct sg_sound *sound)
{
	const unsigned char *info = sound->head + 8;
	uint64_t samples = big_endian(info + 13, 5) & 0xfffffffff;

	sound->rate = (uint32_t)(big_endian(info + 10, 3) >> 4);
	if (!sound->rate || (sound->head[4] & 0x7f) != 0)
		return;
	sound->told_ms = samples * 1000 / sound->rate + 1;
	sound->kind = SG_SOUND_FLAC;
}

// With the first bytes, of which there are fewer only where the file has no more.
static void decide(struct sg_sound *sound)
{
	const unsigned char *head = sound->head;
	size_t length = sound->head_length;

	sound->kind = SG_SOUND_OTHER;
	if (length >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0)
		sound->kind = SG_SOUND_WAV;
	else if (length >= 42 && memcmp(head, "fLaC", 4) == 0)
		start_flac(sound);
	else if (length >= 36 && memcmp(head, "OggS", 4) == 0 &&
		 memcmp(head + 28, "OpusHead", 8) == 0)
		sound->kind = SG_SOUND_OPUS;
	else if (length >= 4 && memcmp(head, "\x1a\x45\xdf\xa3", 4) == 0)
		sound->kind = SG_SOUND_WEBM;
	else if (length >= 8 && memcmp(head + 4, "ftyp", 4) == 0)
		sound->kind = SG_SOUND_MP4;
	else if (is_mp3_frame(head, length))
		sound->kind = SG_SOUND_MP3;
}

// ---- WAV ----

// Bytes a second of samples that each have a size of their own; 0: they have none, or the samples
// do not begin among the first bytes.
static uint64_t wav_rate(const struct sg_sound *sound)
{
	static const uint16_t plain[] = { 1, 3, 6, 7 }; // PCM, float, A-law, mu-law
	const unsigned char *head = sound->head;
	uint64_t rate = 0;

	for (uint64_t at = 12; at + 8 <= sound->head_length;
		at += 8 + little_endian(head + at + 4, 4) + (head[at + 4] & 1)) {
		const unsigned char *chunk = head + at + 8;
		uint64_t format, size;

		if (memcmp(head + at, "data", 4) == 0)
			return rate;
		if (memcmp(head + at, "fmt ", 4) != 0)
			continue;
		if (rate || at + 8 + 16 > sound->head_length)
			return 0;
		format = little_endian(chunk, 2);
		if (format == WAV_EXTENSIBLE && at + 8 + 26 <= sound->head_length)
			format = little_endian(chunk + 24, 2);
		size = little_endian(chunk + 2, 2) * little_endian(chunk + 14, 2) / 8;
		for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
			if (format == plain[i])
				rate = little_endian(chunk + 4, 4) * size;
		if (!rate)
			return 0;
	}
	return 0;
}

// ---- FLAC ----

static unsigned crc8(const unsigned char *bytes, size_t length)
{
	unsigned crc = 0;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
	}
	return crc;
}

// Bytes of the frame's number, coded as UTF-8 is; 0: it is none.
static size_t number_bytes(unsigned char first)
{
	size_t ones = 0;

	while (ones < 8 && first & 0x80 >> ones)
		ones++;
	return ones == 0 ? 1 : ones == 1 || ones == 8 ? 0 : ones;
}

static uint32_t block_size(unsigned code, const unsigned char **at)
{
	const unsigned char *more = *at;

	if (code == 0)
		return 0;
	if (code == 1)
		return 192;
	if (code <= 5)
		return 576u << (code - 2);
	if (code >= 8)
		return 256u << (code - 8);
	*at += code - 5;
	return (uint32_t)big_endian(more, code - 5) + 1;
}

// 0: the file's own.
static uint32_t frame_rate(unsigned code, const unsigned char **at)
{
	static const uint32_t rates[] = { 0, 88200, 176400, 192000, 8000, 16000, 22050, 24000,
		32000, 44100, 48000, 96000 };
	const unsigned char *more = *at;

	if (code < 12)
		return rates[code];
	*at += code == 12 ? 1 : 2;
	return code == 12 ? more[0] * 1000u
			  : (uint32_t)big_endian(more, 2) * (code == 13 ? 1u : 10u);
}

// All that a decoder could take for a frame, wherever it stands: a header with its checksum.
static void count_frame(struct sg_sound *sound)
{
	const unsigned char *last = sound->last, *at = last + 4;
	size_t number = number_bytes(last[4]);
	uint32_t samples, rate;

	if (last[0] != 0xff || (last[1] & 0xfe) != 0xf8 || !number || (last[2] & 0x0f) == 0x0f)
		return;
	at += number;
	samples = block_size(last[2] >> 4, &at);
	rate = frame_rate(last[2] & 0x0f, &at);
	if (!samples || crc8(last, (size_t)(at - last)) != *at)
		return;
	if (!rate || rate > sound->rate)
		rate = sound->rate;
	sound->decoded_us += (uint64_t)samples * 1000000 / rate + 1;
}

static void take_flac(struct sg_sound *sound, const unsigned char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		memmove(sound->last, sound->last + 1, sizeof(sound->last) - 1);
		sound->last[sizeof(sound->last) - 1] = bytes[i];
		if (sound->last[0] == 0xff)
			count_frame(sound);
		else if (memcmp(sound->last, "fLaC", 4) == 0)
			sound->kind = SG_SOUND_OTHER; // another one within
	}
}

// ---- Opus in Ogg ----

// By the packet's first byte; one of any number of frames is as long as a packet can be.
uint32_t sg_opus_packet_us(unsigned char first)
{
	static const uint32_t silk[] = { 10000, 20000, 40000, 60000 };
	static const uint32_t celt[] = { 2500, 5000, 10000, 20000 };
	unsigned config = first >> 3;
	uint32_t frame = config < 12   ? silk[config & 3]
			 : config < 16 ? silk[config & 1]
				       : celt[config & 3];

	return (first & 3) == 3 ? SG_OPUS_LONGEST_US : (first & 3) ? 2 * frame : frame;
}

// The page's header is whole. Another stream is none of ours.
static void begin_page(struct sg_sound *sound)
{
	uint64_t position = little_endian(sound->page + PAGE_POSITION, 8);
	bool begins = sound->page[PAGE_FLAGS] & PAGE_BEGINS_STREAM;
	uint32_t stream = (uint32_t)little_endian(sound->page + PAGE_STREAM, 4);

	if (begins == sound->begun || (sound->begun && stream != sound->stream))
		sound->kind = SG_SOUND_OTHER;
	sound->begun = true;
	sound->stream = stream;
	if (!(sound->page[PAGE_FLAGS] & PAGE_CONTINUES))
		sound->in_packet = false;
	// All ones: no packet ends on it.
	if (position != UINT64_MAX && position / OPUS_RATE * 1000 + 1000 > sound->told_ms)
		sound->told_ms = position / OPUS_RATE * 1000 + 1000;
	sound->segment = 0;
}

// Up to the next segment that has bytes, or to the end of the page.
static void next_segment(struct sg_sound *sound)
{
	const unsigned char *sizes = sound->page + PAGE_HEADER;

	while (sound->segment < sound->page[PAGE_SEGMENTS]) {
		sound->segment_left = sizes[sound->segment];
		if (sound->segment_left)
			return;
		// A packet without a byte is one that was lost.
		if (!sound->in_packet)
			sound->decoded_us += SG_OPUS_LONGEST_US;
		sound->in_packet = false;
		sound->segment++;
	}
	sound->page_length = 0;
}

static void take_page_byte(struct sg_sound *sound, unsigned char byte)
{
	size_t whole = sound->page_length <= PAGE_SEGMENTS
			       ? PAGE_HEADER
			       : PAGE_HEADER + (size_t)sound->page[PAGE_SEGMENTS];

	// A reader that finds a page broken looks for the next mark: it stands where a page begins,
	// or nowhere.
	sound->last_four = sound->last_four << 8 | byte;
	if ((sound->last_four == PAGE_MARK) != (sound->page_length == 3)) {
		sound->kind = SG_SOUND_OTHER;
		return;
	}
	if (sound->page_length < whole) {
		sound->page[sound->page_length++] = byte;
		if (sound->page_length < PAGE_HEADER ||
			sound->page_length < PAGE_HEADER + (size_t)sound->page[PAGE_SEGMENTS])
			return;
		begin_page(sound);
		next_segment(sound);
		return;
	}
	if (!sound->in_packet)
		sound->decoded_us += sg_opus_packet_us(byte);
	sound->in_packet = true;
	if (--sound->segment_left)
		return;
	sound->in_packet = sound->page[PAGE_HEADER + sound->segment] == 255;
	sound->segment++;
	next_segment(sound);
}

// ---- Bytes ----

static void take(struct sg_sound *sound, const unsigned char *bytes, size_t length)
{
	sound->bytes += length;
	if (sound->kind == SG_SOUND_FLAC)
		take_flac(sound, bytes, length);
	for (size_t i = 0; i < length && sound->kind == SG_SOUND_OPUS; i++)
		take_page_byte(sound, bytes[i]);
	if (sound->kind == SG_SOUND_WEBM)
		sg_sound_take_webm(sound, bytes, length);
	if (sound->kind == SG_SOUND_MP4)
		sg_sound_take_mp4(sound, bytes, length);
}

static void end_head(struct sg_sound *sound)
{
	size_t mark;

	decide(sound);
	mark = sound->kind == SG_SOUND_FLAC ? 4 : 0;
	take(sound, sound->head + mark, sound->head_length - mark);
}

// A tag in front of the sound is passed over; what follows it decides.
static void take_tag(struct sg_sound *sound)
{
	const unsigned char *head = sound->head;

	if (sound->head_length != TAG_BYTES || memcmp(head, "ID3", 3) != 0)
		return;
	for (int i = 6; i < TAG_BYTES; i++)
		sound->skip = sound->skip << 7 | (head[i] & 0x7f);
	sound->head_length = 0;
}

void sg_sound_feed(struct sg_sound *sound, const char *bytes, size_t length)
{
	const unsigned char *at = (const unsigned char *)bytes, *end = at + length;

	while (at < end && sound->kind == SG_SOUND_UNDECIDED) {
		if (sound->skip) {
			size_t left = (size_t)(end - at);
			size_t skipped = sound->skip < left ? (size_t)sound->skip : left;

			at += skipped;
			sound->skip -= skipped;
			continue;
		}
		sound->head[sound->head_length++] = *at++;
		take_tag(sound);
		if (sound->head_length == sizeof(sound->head))
			end_head(sound);
	}
	take(sound, at, (size_t)(end - at));
}

int64_t sg_sound_longest_ms(struct sg_sound *sound)
{
	static const unsigned char none[SG_SOUND_FRAME_BYTES];
	uint64_t rate = 0, longest;

	if (sound->kind == SG_SOUND_UNDECIDED)
		end_head(sound);
	if (sound->kind == SG_SOUND_WAV)
		rate = wav_rate(sound);
	else if (sound->kind == SG_SOUND_MP3)
		rate = MP3_BYTES_A_SECOND;
	if (rate)
		return (int64_t)(sound->bytes * 1000 / rate + 1);
	if (sound->kind == SG_SOUND_MP4)
		return sg_sound_longest_mp4_ms(sound);
	if (sound->kind == SG_SOUND_WEBM && !sound->webm.has_opus)
		return -1;
	if (sound->kind != SG_SOUND_FLAC && sound->kind != SG_SOUND_OPUS &&
		sound->kind != SG_SOUND_WEBM)
		return -1;
	if (sound->kind == SG_SOUND_FLAC)
		take_flac(sound, none, sizeof(none));
	longest = sound->decoded_us / 1000 + 1;
	return (int64_t)(longest > sound->told_ms ? longest : sound->told_ms);
}
