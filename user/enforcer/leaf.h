// SPDX-License-Identifier: Apache-2.0
// Leaf certificates towards agents: one P-256 key for the process, one certificate a name, signed
// by the warden, cached, and re-made before it expires. Of many names those are forgotten that were
// asked for least recently. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/attr.h"

struct sg_leaves;

// Asks the warden to sign for `host`; the answer comes back through sg_leaves_put.
typedef int (*sg_leaf_sign_fn)(void *context, const char *host);

int sg_leaves_new(sg_leaf_sign_fn sign, void *context, struct sg_leaves **ret_leaves) SG_WUNRES;
struct sg_leaves *sg_leaves_free(struct sg_leaves *leaves);

// DER SubjectPublicKeyInfo of the key; freed by the caller (OPENSSL_free).
int sg_leaves_public_key(
	const struct sg_leaves *leaves, unsigned char **ret_der, size_t *ret_length) SG_WUNRES;

// A counted server context for the name. Returns 0, -EINPROGRESS (asked for; try again when told),
// or -errno of the last failure (asked for again after a second).
int sg_leaves_get(struct sg_leaves *leaves, const char *host, SSL_CTX **ret_context) SG_WUNRES;

// The warden's answer. `der` NULL: it failed with `result`.
int sg_leaves_put(struct sg_leaves *leaves, const char *host, int result, const unsigned char *der,
	size_t length);

// The CA certificate that goes with each leaf. A change forgets every leaf.
int sg_leaves_set_ca(struct sg_leaves *leaves, const unsigned char *der, size_t length);
