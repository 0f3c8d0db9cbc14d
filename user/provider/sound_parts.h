// SPDX-License-Identifier: Apache-2.0
// What the readers of the several formats share. Not for other modules.
#pragma once

#include "provider/sound.h"

#define SG_OPUS_LONGEST_US 120000 // of a packet

// By the packet's first byte.
uint32_t sg_opus_packet_us(unsigned char first);

void sg_sound_take_webm(struct sg_sound *sound, const unsigned char *bytes, size_t length);
void sg_sound_take_mp4(struct sg_sound *sound, const unsigned char *bytes, size_t length);
int64_t sg_sound_longest_mp4_ms(struct sg_sound *sound);
