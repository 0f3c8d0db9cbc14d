// SPDX-License-Identifier: Apache-2.0
// AAC in MP4 (ISO 14496-12, -14, -3): no frame of it has fewer than four bytes, and each has 1,024
// samples at the rate that the file tells. A reader may find its boxes at any place, so they are
// looked for by their names, wherever these stand.
#include <string.h>

#include "provider/sound_parts.h"

#define FRAME_SAMPLES	  1024
#define LEAST_FRAME_BYTES 4 // one channel without a single band

enum box { BOX_NONE, BOX_DESCRIPTION, BOX_DECODER, BOX_MOVIE, BOX_MEDIA };

static enum box box_of(uint32_t name)
{
	switch (name) {
	case 0x73747364: // "stsd"
		return BOX_DESCRIPTION;
	case 0x65736473: // "esds"
		return BOX_DECODER;
	case 0x6d766864: // "mvhd"
		return BOX_MOVIE;
	case 0x6d646864: // "mdhd"
		return BOX_MEDIA;
	default:
		return BOX_NONE;
	}
}

static uint64_t big_endian(const unsigned char *bytes, size_t length)
{
	uint64_t value = 0;

	for (size_t i = 0; i < length; i++)
		value = value << 8 | bytes[i];
	return value;
}

// One entry, of AAC, or of what is seen.
static bool take_description(struct sg_sound_mp4 *mp4)
{
	static const char *const seen[] = { "avc1", "hvc1", "hev1" };
	const unsigned char *box = mp4->kept;

	if (big_endian(box + 4, 4) != 1)
		return false;
	if (memcmp(box + 12, "mp4a", 4) == 0) {
		mp4->tracks++;
		return true;
	}
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		if (memcmp(box + 12, seen[i], 4) == 0)
			return true;
	return false;
}

// Behind a descriptor's tag and size. NULL: it is another one.
static const unsigned char *into(const unsigned char *at, const unsigned char *end, unsigned tag)
{
	if (at >= end || *at++ != tag)
		return NULL;
	for (int i = 0; i < 3 && at < end && (*at & 0x80); i++)
		at++;
	return at < end ? at + 1 : NULL;
}

static bool take_decoder(struct sg_sound_mp4 *mp4)
{
	static const uint32_t rates[] = { 96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050,
		16000, 12000, 11025, 8000, 7350 };
	const unsigned char *end = mp4->kept + mp4->kept_length;
	const unsigned char *at = into(mp4->kept + 4, end, 3);
	unsigned kind, rate;

	// The stream's number and flags, of which none may be set.
	if (!at || end - at < 3 || at[2] != 0)
		return false;
	at = into(at + 3, end, 4);
	if (!at || end - at < 13 || (at[0] != 0x40 && (at[0] < 0x66 || at[0] > 0x68)))
		return false;
	at = into(at + 13, end, 5);
	if (!at || end - at < 2)
		return false;
	kind = at[0] >> 3;
	rate = (at[0] & 7u) << 1 | at[1] >> 7;
	if ((kind < 1 || kind > 5) && kind != 29)
		return false;
	if (rate >= sizeof(rates) / sizeof(rates[0]))
		return false;
	if (!mp4->rate || rates[rate] < mp4->rate)
		mp4->rate = rates[rate];
	mp4->decoders++;
	return true;
}

static void take_times(struct sg_sound *sound)
{
	const unsigned char *box = sound->mp4.kept;
	bool wide = box[0] == 1;
	uint64_t scale = big_endian(box + (wide ? 20 : 12), 4);
	uint64_t ticks = big_endian(box + (wide ? 24 : 16), wide ? 8 : 4);
	uint64_t ms;

	// All ones: it is not known.
	if (!scale || ticks == (wide ? UINT64_MAX : UINT32_MAX))
		return;
	ms = ticks / scale > UINT64_MAX / 2000 ? UINT64_MAX / 2 : (ticks / scale + 1) * 1000;
	if (ms > sound->told_ms)
		sound->told_ms = ms;
}

static void end_box(struct sg_sound *sound)
{
	struct sg_sound_mp4 *mp4 = &sound->mp4;
	bool known = true;

	switch ((enum box)mp4->box) {
	case BOX_DESCRIPTION:
		known = take_description(mp4);
		break;
	case BOX_DECODER:
		known = take_decoder(mp4);
		break;
	case BOX_MOVIE:
	case BOX_MEDIA:
		take_times(sound);
		break;
	case BOX_NONE:
		break;
	}
	if (!known)
		sound->kind = SG_SOUND_OTHER;
	mp4->box = BOX_NONE;
}

static size_t wanted(enum box box)
{
	return box == BOX_DESCRIPTION ? 16 : box == BOX_DECODER ? 48 : 32;
}

void sg_sound_take_mp4(struct sg_sound *sound, const unsigned char *bytes, size_t length)
{
	struct sg_sound_mp4 *mp4 = &sound->mp4;

	for (size_t i = 0; i < length && sound->kind == SG_SOUND_MP4; i++) {
		enum box next;

		mp4->last_four = mp4->last_four << 8 | bytes[i];
		if (mp4->box != BOX_NONE) {
			mp4->kept[mp4->kept_length++] = bytes[i];
			if (mp4->kept_length == wanted((enum box)mp4->box))
				end_box(sound);
		}
		next = box_of(mp4->last_four);
		if (next == BOX_NONE)
			continue;
		// One within another could hide it.
		if (mp4->box != BOX_NONE)
			sound->kind = SG_SOUND_OTHER;
		mp4->box = next;
		mp4->kept_length = 0;
	}
}

int64_t sg_sound_longest_mp4_ms(struct sg_sound *sound)
{
	struct sg_sound_mp4 *mp4 = &sound->mp4;
	uint64_t frames = sound->bytes / LEAST_FRAME_BYTES + 1, longest;

	if (mp4->box == BOX_DECODER)
		end_box(sound); // the file's last
	if (sound->kind != SG_SOUND_MP4 || !mp4->rate || mp4->decoders < mp4->tracks)
		return -1;
	longest = frames * FRAME_SAMPLES * 1000 / mp4->rate + 1;
	return (int64_t)(longest > sound->told_ms ? longest : sound->told_ms);
}
