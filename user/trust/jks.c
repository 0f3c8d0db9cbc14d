// SPDX-License-Identifier: Apache-2.0
// JKS: magic, version, number of entries, entries, and a SHA-1 over the password, a phrase, and all
// of that. Numbers are big-endian, strings have a length of two bytes.
#include "trust/keystore.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/evp.h>

#include "trust/jks.h"

#define MAGIC		 0xfeedfeedu
#define VERSION		 2
#define TRUSTED		 2 // the tag of a trusted certificate; 1 is a private key
#define DATE_BYTES	 8
#define DIGEST_BYTES	 20
#define PHRASE		 "Mighty Aphrodite"
#define CERTIFICATE_TYPE "X.509"

// ---- Reading ----

struct bytes {
	const uint8_t *at;
	size_t left;
};

static bool skip(struct bytes *in, size_t n)
{
	if (n > in->left)
		return false;
	in->at += n;
	in->left -= n;
	return true;
}

static bool read_number(struct bytes *in, unsigned width, uint32_t *ret_value)
{
	const uint8_t *at = in->at;

	if (!skip(in, width))
		return false;
	*ret_value = 0;
	for (unsigned i = 0; i < width; i++)
		*ret_value = *ret_value << 8 | at[i];
	return true;
}

static bool skip_text(struct bytes *in)
{
	uint32_t length;

	return read_number(in, 2, &length) && skip(in, length);
}

// Version 1 says no type of its certificates.
static bool skip_entry(struct bytes *in, uint32_t version)
{
	uint32_t tag, length;

	return read_number(in, 4, &tag) && tag == TRUSTED && skip_text(in) &&
	       skip(in, DATE_BYTES) && (version == 1 || skip_text(in)) &&
	       read_number(in, 4, &length) && skip(in, length);
}

// ---- Writing ----

static int put_number(struct sg_buf *out, unsigned width, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * (width - 1 - i));
	return sg_buf_append(out, bytes, width);
}

static int put_text(struct sg_buf *out, const char *text)
{
	int r = put_number(out, 2, strlen(text));

	return r < 0 ? r : sg_buf_append(out, text, strlen(text));
}

int sg_jks_begin(struct sg_buf *out, uint32_t version, uint32_t count)
{
	int r = put_number(out, 4, MAGIC);

	if (r == 0)
		r = put_number(out, 4, version);
	return r < 0 ? r : put_number(out, 4, count);
}

int sg_jks_put(struct sg_buf *out, uint32_t version, const char *alias, const void *certificate,
	size_t length)
{
	int r = put_number(out, 4, TRUSTED);

	if (r == 0)
		r = put_text(out, alias);
	if (r == 0)
		r = put_number(out, DATE_BYTES, 0);
	if (r == 0 && version > 1)
		r = put_text(out, CERTIFICATE_TYPE);
	if (r == 0)
		r = put_number(out, 4, length);
	return r < 0 ? r : sg_buf_append(out, certificate, length);
}

// The password goes in as UTF-16.
int sg_jks_end(struct sg_buf *out)
{
	static const char password[] = SG_KEYSTORE_PASSWORD;
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1;

	for (size_t i = 0; good && i < strlen(password); i++) {
		const uint8_t wide[2] = { 0, (uint8_t)password[i] };

		good = EVP_DigestUpdate(context, wide, sizeof(wide)) == 1;
	}
	good = good && EVP_DigestUpdate(context, PHRASE, strlen(PHRASE)) == 1 &&
	       EVP_DigestUpdate(context, sg_buf_head(out), sg_buf_length(out)) == 1 &&
	       EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	return good ? sg_buf_append(out, digest, DIGEST_BYTES) : -ENOMEM;
}

int sg_jks_add(struct sg_buf *out, const void *data, size_t length, const void *certificate,
	size_t certificate_length)
{
	struct bytes in = { data, length };
	uint32_t magic, version, count;
	const uint8_t *entries;
	int r;

	if (!read_number(&in, 4, &magic) || magic != MAGIC || !read_number(&in, 4, &version) ||
		version < 1 || version > VERSION || !read_number(&in, 4, &count) ||
		count > SG_KEYSTORE_ENTRIES)
		return -EBADMSG;
	entries = in.at;
	for (uint32_t i = 0; i < count; i++)
		if (!skip_entry(&in, version))
			return -EBADMSG;
	if (in.left != DIGEST_BYTES)
		return -EBADMSG;
	r = sg_jks_begin(out, version, count + 1);
	if (r == 0)
		r = sg_jks_put(out, version, "spendgate", certificate, certificate_length);
	if (r == 0)
		r = sg_buf_append(out, entries, (size_t)(in.at - entries));
	return r < 0 ? r : sg_jks_end(out);
}
