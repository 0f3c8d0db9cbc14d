// SPDX-License-Identifier: Apache-2.0
// How long a file of sound is at most, from its bytes as they come: what a decoder could make of
// them, whatever the file says of itself, and what it says where that is more. Pure; one owner; any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SG_SOUND_HEAD_BYTES  192
#define SG_SOUND_FRAME_BYTES 16 // of FLAC: the longest header of a frame

enum sg_sound_kind {
	SG_SOUND_UNDECIDED,
	SG_SOUND_OTHER, // nothing bounds it
	SG_SOUND_WAV,
	SG_SOUND_MP3,
	SG_SOUND_FLAC,
	SG_SOUND_OPUS, // in Ogg
};

struct sg_sound {
	enum sg_sound_kind kind;
	uint64_t bytes; // without a tag in front
	uint64_t skip;	// of a tag
	unsigned char head[SG_SOUND_HEAD_BYTES];
	size_t head_length;
	uint64_t decoded_us; // of all frames or packets so far
	uint64_t told_ms;    // by the file
	// FLAC: the last bytes, and its sample rate
	unsigned char last[SG_SOUND_FRAME_BYTES];
	uint32_t rate;
	// Ogg: the page that is being read
	unsigned char page[27 + 255];
	size_t page_length;
	uint32_t last_four;    // bytes
	unsigned segment;      // whose bytes are being read
	unsigned segment_left; // of them
	bool in_packet;	       // its first byte was there
	bool begun;	       // the one stream's first page was there
	uint32_t stream;
};

void sg_sound_init(struct sg_sound *sound);
void sg_sound_feed(struct sg_sound *sound, const char *bytes, size_t length);

// After the last byte, once. -1: nothing bounds it.
int64_t sg_sound_longest_ms(struct sg_sound *sound);
