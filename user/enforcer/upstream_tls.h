// SPDX-License-Identifier: Apache-2.0
// TLS towards providers: always verified, by name, against the system's trust or an agent's own CA
// file; sessions resumed.
#pragma once

#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/error.h"

// A client context that trusts `pem` (several certificates may follow each other), or the system's
// store when NULL.
int sg_upstream_context_new(
	const char *pem, SSL_CTX **ret_context, struct sg_error *error) SG_WUNRES;

// Index of the SSL ex_data slot in which a struct sg_pool_origin is found when a session ticket
// arrives.
int sg_upstream_tls_origin_index(void);
