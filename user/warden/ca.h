// SPDX-License-Identifier: Apache-2.0
// The CA: a P-256 root whose critical name constraints permit the provider domains only, and the
// leaves that it signs. The key stays in this process and in <directory>/ca.key (0600, root). Main
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_ca;

// Loads <directory>/ca.crt and ca.key, or makes them: when missing, within 30 days of their end, or
// when a host is not permitted by the constraints that are there. `hosts` ends with NULL.
int sg_ca_open(const char *directory, const char *const *hosts, struct sg_ca **ret_ca,
	struct sg_error *error) SG_WUNRES;
struct sg_ca *sg_ca_close(struct sg_ca *ca);

// DER of the root, owned by the CA.
void sg_ca_certificate(const struct sg_ca *ca, const uint8_t **ret_der, size_t *ret_length);

// Is the name within the constraints?
bool sg_ca_permits(const struct sg_ca *ca, const char *host);

// A leaf of 7 days for `host` with the public key (DER SubjectPublicKeyInfo). *ret_der is freed by
// the caller (OPENSSL_free). Returns 0, -EACCES (not within the constraints), -EINVAL (no host name
// or key), or -ENOMEM.
int sg_ca_sign(struct sg_ca *ca, const char *host, const uint8_t *public_key,
	size_t public_key_length, uint8_t **ret_der, size_t *ret_length) SG_WUNRES;
