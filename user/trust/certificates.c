// SPDX-License-Identifier: Apache-2.0
#include "trust/certificates.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define BEGIN "-----BEGIN "
#define END   "-----END "

// What OpenSSL takes for a certificate.
static const char *const labels[] = { "CERTIFICATE-----", "TRUSTED CERTIFICATE-----",
	"X509 CERTIFICATE-----" };

struct text {
	const char *at;
	const char *end;
};

static bool skip(struct text *text, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0)
		return false;
	text->at += length;
	return true;
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/' || c == '=';
}

static bool is_blank(char c)
{
	return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

// Behind "-----BEGIN ": moves over a whole certificate. A block that is none ends where its content
// is something else, so that a BEGIN within it is found.
static bool skip_certificate(struct text *text)
{
	const char *label = NULL;
	bool content = false;

	for (size_t i = 0; !label && i < SG_ARRAY_SIZE(labels); i++)
		if (skip(text, labels[i]))
			label = labels[i];
	// The label ends its line: what follows it at once is the label of something else.
	if (!label || text->at == text->end || !is_blank(*text->at))
		return false;
	for (; text->at < text->end; text->at++) {
		if (is_base64(*text->at))
			content = true;
		else if (!is_blank(*text->at))
			break;
	}
	return content && skip(text, END) && skip(text, label);
}

int sg_certificates_append(struct sg_buf *out, const char *pem, size_t length)
{
	struct text text = { pem, pem + length };
	int count = 0, r = 0;
	const char *begin;

	while (r == 0 &&
		(begin = memmem(text.at, (size_t)(text.end - text.at), BEGIN, strlen(BEGIN)))) {
		text.at = begin + strlen(BEGIN);
		if (!skip_certificate(&text))
			continue;
		r = sg_buf_append(out, begin, (size_t)(text.at - begin));
		if (r == 0)
			r = sg_buf_append(out, "\n", 1);
		count++;
	}
	return r < 0 ? r : count;
}

int sg_certificates_append_file(struct sg_buf *out, const char *path)
{
	char *data;
	size_t length;
	int r = sg_fd_read_file(path, SG_CERTIFICATES_LIMIT, &data, &length);

	if (r < 0)
		return r;
	r = sg_certificates_append(out, data, length);
	free(data);
	return r;
}
