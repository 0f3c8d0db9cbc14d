// SPDX-License-Identifier: Apache-2.0
// Java's files of trusted certificates (cacerts): JKS, and PKCS#12 as Java 18 and later have it.
// Any thread, but for sg_keystore_add, which makes a child.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

#define SG_KEYSTORE_LIMIT   (8u << 20)
#define SG_KEYSTORE_ENTRIES 4096

// The password of every cacerts, which Java does not even need to read one.
#define SG_KEYSTORE_PASSWORD "changeit"

// Is it a file of either kind, by its first bytes?
bool sg_keystore_is(const void *data, size_t length);

// Writes to `out` a JKS with all trusted certificates of `data` (either kind; Java reads a JKS
// where it expects the other) and one more, `certificate` (DER). A PKCS#12 is taken apart by a
// child without rights, since it takes an ASN.1 parser. Returns 0, -EBADMSG: malformed, or with
// entries that are no trusted certificates (keys are never copied), -EACCES: under another
// password, or another -errno.
int sg_keystore_add(struct sg_buf *out, const void *data, size_t length, const void *certificate,
	size_t certificate_length) SG_WUNRES;

// ---- Parts, for tests ----

// The same for a JKS. No child.
int sg_jks_add(struct sg_buf *out, const void *data, size_t length, const void *certificate,
	size_t certificate_length) SG_WUNRES;

// Appends the certificates of a PKCS#12, each as a big-endian length of four bytes and its DER.
// Returns as sg_keystore_add. For the child.
int sg_pkcs12_certificates(struct sg_buf *out, const void *data, size_t length) SG_WUNRES;
