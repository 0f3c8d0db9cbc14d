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
	SG_SOUND_WEBM, // Opus in WebM
	SG_SOUND_MP4,  // AAC in MP4
};

#define SG_WEBM_DEPTH 4

struct sg_sound_webm {
	uint64_t position, left; // of the element that is read
	uint64_t size, scale, cluster_ticks;
	uint32_t id;
	unsigned head_left; // bytes of an id or a size
	bool in_size, all_ones, seen_header, has_opus;
	unsigned char kept[16];
	size_t kept_length;
	unsigned depth;
	struct {
		uint64_t end;
		uint32_t id;
	} stack[SG_WEBM_DEPTH];
};

struct sg_sound_mp4 {
	uint32_t last_four; // bytes
	uint32_t rate;	    // the slowest
	unsigned tracks, decoders;
	int box; // whose first bytes are kept
	unsigned char kept[48];
	size_t kept_length;
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
	union {
		struct sg_sound_webm webm;
		struct sg_sound_mp4 mp4;
	};
};

void sg_sound_init(struct sg_sound *sound);
void sg_sound_feed(struct sg_sound *sound, const char *bytes, size_t length);

// After the last byte, once. -1: nothing bounds it.
int64_t sg_sound_longest_ms(struct sg_sound *sound);
