// SPDX-License-Identifier: Apache-2.0
#include "tls/hello.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_HEADER	  5
#define RECORD_MAX	  (16384 + 256)
#define HANDSHAKE_RECORD  22
#define CLIENT_HELLO	  1
#define EXTENSION_SNI	  0
#define EXTENSION_ALPN	  16
#define EXTENSION_ECH	  0xfe0d
#define HANDSHAKE_HEADER  4
#define HELLO_FIXED_BYTES 34 // version and random
#define NAME_TYPE_HOST	  0

// What is left to read. `failed` sticks: a reader that asks for more than there is gets zeros and
// finds out at the end.
struct cursor {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static const uint8_t *take(struct cursor *cursor, size_t length)
{
	const uint8_t *at = cursor->at;

	if (cursor->failed || length > cursor->left) {
		cursor->failed = true;
		return NULL;
	}
	cursor->at += length;
	cursor->left -= length;
	return at;
}

static uint32_t take_number(struct cursor *cursor, size_t bytes)
{
	const uint8_t *at = take(cursor, bytes);
	uint32_t value = 0;

	for (size_t i = 0; at && i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

// A block with a length of `bytes` bytes before it.
static struct cursor take_block(struct cursor *cursor, size_t bytes)
{
	size_t length = take_number(cursor, bytes);
	const uint8_t *at = take(cursor, length);

	return (struct cursor){ at, at ? length : 0, at == NULL };
}

static int copy_name(const struct cursor *name, struct sg_hello *hello)
{
	size_t length = name->left;

	if (length && name->at[length - 1] == '.')
		length--; // a fully qualified name is the same host
	if (!length || length >= sizeof(hello->sni))
		return -EBADMSG;
	for (size_t i = 0; i < length; i++) {
		uint8_t c = name->at[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + 32);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
			    c == '_'))
			return -EBADMSG;
		hello->sni[i] = (char)c;
	}
	hello->sni[length] = 0;
	return 0;
}

// RFC 6066, 3: a list of names, at most one of each type.
static int read_sni(struct cursor extension, struct sg_hello *hello)
{
	struct cursor list = take_block(&extension, 2);

	if (list.failed || extension.left || hello->sni[0])
		return -EBADMSG;
	while (list.left) {
		uint32_t type = take_number(&list, 1);
		struct cursor name = take_block(&list, 2);

		if (name.failed ||
			(type == NAME_TYPE_HOST && (hello->sni[0] || copy_name(&name, hello) < 0)))
			return -EBADMSG;
	}
	return list.failed ? -EBADMSG : 0;
}

static int read_alpn(struct cursor extension, struct sg_hello *hello)
{
	struct cursor list = take_block(&extension, 2);

	// RFC 8446, 4.2: no extension comes twice; which of two counts would be the reader's
	// choice.
	if (list.failed || extension.left || hello->offers_alpn)
		return -EBADMSG;
	hello->offers_alpn = true;
	while (list.left) {
		struct cursor name = take_block(&list, 1);

		if (name.failed || !name.left)
			return -EBADMSG;
		if (name.left == 8 && memcmp(name.at, "http/1.1", 8) == 0)
			hello->offers_http11 = true;
		if (name.left == 2 && memcmp(name.at, "h2", 2) == 0)
			hello->offers_h2 = true;
	}
	return 0;
}

static int read_extensions(struct cursor *body, struct sg_hello *hello)
{
	struct cursor extensions;
	int r = 0;

	if (!body->left)
		return 0; // TLS 1.2 allows none
	extensions = take_block(body, 2);
	if (extensions.failed || body->left)
		return -EBADMSG;
	while (r == 0 && extensions.left) {
		uint32_t type = take_number(&extensions, 2);
		struct cursor extension = take_block(&extensions, 2);

		if (extension.failed)
			return -EBADMSG;
		if (type == EXTENSION_SNI)
			r = read_sni(extension, hello);
		else if (type == EXTENSION_ALPN)
			r = read_alpn(extension, hello);
		else if (type == EXTENSION_ECH)
			hello->encrypted_hello = true;
	}
	return r;
}

// RFC 8446, 4.1.2.
static int read_hello(const uint8_t *data, size_t length, struct sg_hello *hello)
{
	struct cursor body = { data, length, false };
	struct cursor session, suites, compression;

	take(&body, HELLO_FIXED_BYTES);
	session = take_block(&body, 1);
	suites = take_block(&body, 2);
	compression = take_block(&body, 1);
	if (session.failed || suites.failed || compression.failed || body.failed)
		return -EBADMSG;
	return read_extensions(&body, hello);
}

// Bytes of the handshake that the record at `at` may hold; the record may not be there whole.
static int check_record(const uint8_t *at, size_t left, size_t *ret_length)
{
	static const uint8_t start[2] = { HANDSHAKE_RECORD, 3 };

	if (memcmp(at, start, left < 2 ? left : 2) != 0)
		return -EPROTO;
	if (left < RECORD_HEADER)
		return 0;
	*ret_length = (size_t)at[3] << 8 | at[4];
	return *ret_length && *ret_length <= RECORD_MAX ? 1 : -EBADMSG;
}

static int wait_for(size_t need, size_t *ret_need)
{
	if (need > SG_HELLO_MAX_BYTES)
		return -EMSGSIZE;
	*ret_need = need;
	return 0;
}

// The handshake message in one piece: in place when it is in one record, else gathered.
static int parse_records(const uint8_t *data, size_t length, uint8_t *gathered,
	struct sg_hello *hello, size_t *ret_need)
{
	size_t offset = 0, have = 0, wanted = 0;

	for (;;) {
		size_t record = 0, part;
		int r = offset < length ? check_record(data + offset, length - offset, &record) : 0;

		if (r < 0)
			return offset ? -EBADMSG : r;
		if (r == 0)
			return wait_for(offset + RECORD_HEADER, ret_need);
		part = length - offset - RECORD_HEADER;
		part = part < record ? part : record;
		if (have + part > SG_HELLO_MAX_BYTES)
			return -EMSGSIZE;
		memcpy(gathered + have, data + offset + RECORD_HEADER, part);
		have += part;
		if (have >= 1 && gathered[0] != CLIENT_HELLO)
			return -EBADMSG;
		if (have >= HANDSHAKE_HEADER)
			wanted = HANDSHAKE_HEADER + ((size_t)gathered[1] << 16 |
							    (size_t)gathered[2] << 8 | gathered[3]);
		if (wanted > SG_HELLO_MAX_BYTES)
			return -EMSGSIZE;
		if (wanted && have >= wanted)
			return read_hello(gathered + HANDSHAKE_HEADER, wanted - HANDSHAKE_HEADER,
				       hello) < 0
				       ? -EBADMSG
				       : 1;
		if (part < record)
			return wait_for(offset + RECORD_HEADER + record, ret_need);
		offset += RECORD_HEADER + record;
	}
}

int sg_hello_parse(const uint8_t *data, size_t length, struct sg_hello *ret_hello, size_t *ret_need)
{
	struct sg_hello hello = { .sni = "" };
	uint8_t *gathered;
	int r;

	if (!length)
		return wait_for(RECORD_HEADER, ret_need);
	gathered = malloc(SG_HELLO_MAX_BYTES);
	if (!gathered)
		return -ENOMEM;
	r = parse_records(data, length, gathered, &hello, ret_need);
	free(gathered);
	if (r == 1)
		*ret_hello = hello;
	return r;
}
