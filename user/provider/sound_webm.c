// SPDX-License-Identifier: Apache-2.0
// Opus in WebM (Matroska, RFC 9559): its blocks are counted. What is not laid out as the format
// says is none: a reader that looks for the next block behind a broken one would find others.
#include <string.h>

#include "provider/sound_parts.h"

enum {
	ID_HEADER = 0x1a45dfa3,
	ID_SEGMENT = 0x18538067,
	ID_SEEK_HEAD = 0x114d9b74,
	ID_INFO = 0x1549a966,
	ID_SCALE = 0x2ad7b1,
	ID_DURATION = 0x4489,
	ID_TRACKS = 0x1654ae6b,
	ID_TRACK = 0xae,
	ID_CODEC = 0x86,
	ID_ENCODINGS = 0x6d80,
	ID_CLUSTER = 0x1f43b675,
	ID_CLUSTER_TIME = 0xe7,
	ID_BLOCK_GROUP = 0xa0,
	ID_BLOCK = 0xa1,
	ID_SIMPLE_BLOCK = 0xa3,
	ID_CUES = 0x1c53bb6b,
	ID_TAGS = 0x1254c367,
};

#define UNKNOWN_END   UINT64_MAX
#define DEFAULT_SCALE 1000000 // nanoseconds a tick
#define LACING	      0x06

static uint32_t parent_of(const struct sg_sound_webm *webm)
{
	return webm->depth ? webm->stack[webm->depth - 1].id : 0;
}

// Which elements hold others of ours, by the one that they stand in.
static bool is_master(uint32_t parent, uint32_t id)
{
	static const struct {
		uint32_t parent, id;
	} masters[] = { { 0, ID_SEGMENT }, { ID_SEGMENT, ID_INFO }, { ID_SEGMENT, ID_TRACKS },
		{ ID_SEGMENT, ID_CLUSTER }, { ID_TRACKS, ID_TRACK },
		{ ID_CLUSTER, ID_BLOCK_GROUP } };

	for (size_t i = 0; i < sizeof(masters) / sizeof(masters[0]); i++)
		if (masters[i].parent == parent && masters[i].id == id)
			return true;
	return false;
}

// Those of a segment: one of them ends a cluster of which no size is told.
static bool is_top(uint32_t id)
{
	return id == ID_CLUSTER || id == ID_CUES || id == ID_TAGS || id == ID_INFO ||
	       id == ID_TRACKS || id == ID_SEEK_HEAD;
}

static uint64_t number(const struct sg_sound_webm *webm)
{
	uint64_t value = 0;

	for (size_t i = 0; i < webm->kept_length && i < 8; i++)
		value = value << 8 | webm->kept[i];
	return value;
}

static uint64_t ticks_to_ms(const struct sg_sound_webm *webm, double ticks)
{
	double ms = ticks * (double)(webm->scale ? webm->scale : DEFAULT_SCALE) / 1e6;

	return ms > 0 && ms < 1e15 ? (uint64_t)ms + 1 : ms > 0 ? (uint64_t)1e15 : 0;
}

static void take_duration(struct sg_sound *sound)
{
	const struct sg_sound_webm *webm = &sound->webm;
	uint64_t bits = number(webm), ms;
	uint32_t bits32 = (uint32_t)bits;
	double ticks = 0;
	float ticks32;

	if (webm->kept_length == 4) {
		memcpy(&ticks32, &bits32, sizeof(ticks32));
		ticks = (double)ticks32;
	} else {
		memcpy(&ticks, &bits, sizeof(ticks));
	}
	ms = ticks_to_ms(webm, ticks);
	if (ms > sound->told_ms)
		sound->told_ms = ms;
}

// A track number, two bytes of time, flags, then one packet, or several with their sizes in front.
static void take_block(struct sg_sound *sound)
{
	struct sg_sound_webm *webm = &sound->webm;
	const unsigned char *block = webm->kept;
	size_t at = block[0] & 0x80 ? 1 : 2;
	uint64_t ms, packets = 1;
	int16_t after;

	if (webm->kept_length < at + 3 || !(block[0] & 0xc0)) {
		sound->kind = SG_SOUND_OTHER;
		return;
	}
	after = (int16_t)(block[at] << 8 | block[at + 1]);
	ms = ticks_to_ms(webm, (double)webm->cluster_ticks + after) + SG_OPUS_LONGEST_US / 1000;
	if (ms > sound->told_ms)
		sound->told_ms = ms;
	if (block[at + 2] & LACING)
		packets = webm->kept_length > at + 3 ? block[at + 3] + 1u : 256;
	if (packets == 1 && webm->kept_length > at + 3 && !(block[at + 2] & LACING))
		sound->decoded_us += sg_opus_packet_us(block[at + 3]);
	else
		sound->decoded_us += packets * SG_OPUS_LONGEST_US;
}

static void end_leaf(struct sg_sound *sound)
{
	struct sg_sound_webm *webm = &sound->webm;
	uint32_t parent = parent_of(webm), id = webm->id;

	if (parent == ID_INFO && id == ID_SCALE) {
		webm->scale = number(webm);
	} else if (parent == ID_INFO && id == ID_DURATION) {
		take_duration(sound);
	} else if (parent == ID_CLUSTER && id == ID_CLUSTER_TIME) {
		webm->cluster_ticks = number(webm);
	} else if ((parent == ID_CLUSTER && id == ID_SIMPLE_BLOCK) ||
		   (parent == ID_BLOCK_GROUP && id == ID_BLOCK)) {
		take_block(sound);
	} else if (parent == ID_TRACK && id == ID_CODEC) {
		// What is seen is none of ours; all that is heard must be Opus.
		bool opus = webm->kept_length == 6 && memcmp(webm->kept, "A_OPUS", 6) == 0;

		if (!opus && (!webm->kept_length || webm->kept[0] != 'V'))
			sound->kind = SG_SOUND_OTHER;
		webm->has_opus = webm->has_opus || opus;
	} else if (parent == ID_TRACK && id == ID_ENCODINGS) {
		sound->kind = SG_SOUND_OTHER;
	}
}

// One header, then one segment, which holds all the rest.
static bool may_stand(const struct sg_sound_webm *webm)
{
	if (webm->id == ID_HEADER)
		return !webm->depth && !webm->seen_header;
	return (webm->id == ID_SEGMENT) == !webm->depth;
}

// The element's size is told: it begins.
static void begin_element(struct sg_sound *sound, bool unknown_size)
{
	struct sg_sound_webm *webm = &sound->webm;
	uint64_t end = unknown_size ? UNKNOWN_END : webm->position + webm->size;
	uint32_t parent;

	if (parent_of(webm) == ID_CLUSTER && webm->stack[webm->depth - 1].end == UNKNOWN_END &&
		is_top(webm->id))
		webm->depth--;
	parent = parent_of(webm);
	if (end < webm->position || !may_stand(webm) ||
		(webm->depth && !unknown_size && end > webm->stack[webm->depth - 1].end)) {
		sound->kind = SG_SOUND_OTHER;
		return;
	}
	webm->seen_header = true;
	if (is_master(parent, webm->id) && webm->depth < SG_WEBM_DEPTH) {
		// Only the two that are written as they come may be of any size.
		if (unknown_size && webm->id != ID_SEGMENT && webm->id != ID_CLUSTER)
			sound->kind = SG_SOUND_OTHER;
		webm->stack[webm->depth].id = webm->id;
		webm->stack[webm->depth++].end = end;
		return;
	}
	if (unknown_size) {
		sound->kind = SG_SOUND_OTHER;
		return;
	}
	webm->left = webm->size;
	webm->kept_length = 0;
	if (!webm->left)
		end_leaf(sound);
}

static void end_masters(struct sg_sound_webm *webm)
{
	while (webm->depth && webm->stack[webm->depth - 1].end == webm->position)
		webm->depth--;
}

// How many bytes a number has, by its first; 0: none that is a number.
static unsigned length_of(unsigned char first)
{
	unsigned length = 1;

	while (length <= 8 && !(first & 0x80 >> (length - 1)))
		length++;
	return length <= 8 ? length : 0;
}

static void take_head_byte(struct sg_sound *sound, unsigned char byte)
{
	struct sg_sound_webm *webm = &sound->webm;

	webm->position++;
	if (!webm->head_left) {
		webm->head_left = length_of(byte);
		if (!webm->head_left || (!webm->in_size && webm->head_left > 4)) {
			sound->kind = SG_SOUND_OTHER;
			return;
		}
		webm->all_ones = true;
		if (webm->in_size) {
			unsigned char mask = (unsigned char)(0xff >> webm->head_left);

			webm->all_ones = (byte & mask) == mask;
			byte &= mask;
			webm->size = 0;
		} else {
			webm->id = 0;
		}
	} else {
		webm->all_ones = webm->all_ones && byte == 0xff;
	}
	if (webm->in_size)
		webm->size = webm->size << 8 | byte;
	else
		webm->id = webm->id << 8 | byte;
	if (--webm->head_left)
		return;
	if (webm->in_size)
		begin_element(sound, webm->all_ones);
	webm->in_size = !webm->in_size;
}

void sg_sound_take_webm(struct sg_sound *sound, const unsigned char *bytes, size_t length)
{
	struct sg_sound_webm *webm = &sound->webm;

	while (length && sound->kind == SG_SOUND_WEBM) {
		size_t piece = webm->left < length ? (size_t)webm->left : length;
		size_t room = sizeof(webm->kept) - webm->kept_length;

		if (!piece) {
			end_masters(webm);
			take_head_byte(sound, *bytes++);
			length--;
			continue;
		}
		memcpy(webm->kept + webm->kept_length, bytes, piece < room ? piece : room);
		webm->kept_length += piece < room ? piece : room;
		webm->left -= piece;
		webm->position += piece;
		bytes += piece;
		length -= piece;
		if (!webm->left)
			end_leaf(sound);
	}
}
