// SPDX-License-Identifier: Apache-2.0
// Reads SNI and ALPN from the first bytes of a TLS connection (RFC 8446, 4.1.2; RFC 6066, 3; RFC
// 7301) without consuming them. Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

// A ClientHello may be split over records; more than this is refused.
#define SG_HELLO_MAX_BYTES 65536

struct sg_hello {
	char sni[256]; // lower case, NUL-terminated, "" if none; only letters, digits, '-', '.',
		       // '_'
	bool offers_alpn;
	bool offers_http11; // "http/1.1" among the protocols
	bool offers_h2;
	bool encrypted_hello; // extension 0xfe0d (ECH or its GREASE)
};

// Returns 1 when the hello is complete; 0 when more is needed, with *ret_need = the total number of
// bytes to wait for
// (> length); -EPROTO when these bytes are not a TLS handshake (not malformed: another protocol);
// -EBADMSG malformed (also two SNI names, NUL in the name); -EMSGSIZE over the limit.
int sg_hello_parse(
	const uint8_t *data, size_t length, struct sg_hello *ret_hello, size_t *ret_need) SG_WUNRES;
