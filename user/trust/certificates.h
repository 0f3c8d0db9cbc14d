// SPDX-License-Identifier: Apache-2.0
// Certificates out of PEM files. Files of agents and containers are read as root, and what is made
// of them can be read by all: so nothing but certificates is ever copied. Any thread.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

// The most that is read of one file, and of certificates that a file may have.
#define SG_CERTIFICATES_LIMIT (4u << 20)

// Appends the certificates of a PEM text, each with its BEGIN and END lines, and no other byte of
// it: no keys, no comments, and no block whose content is not base64. Returns how many there were,
// or -ENOMEM, -ENOBUFS.
int sg_certificates_append(struct sg_buf *out, const char *pem, size_t length) SG_WUNRES;

// The same with a file of at most SG_CERTIFICATES_LIMIT bytes. Returns as above or -errno.
int sg_certificates_append_file(struct sg_buf *out, const char *path) SG_WUNRES;
