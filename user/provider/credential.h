// SPDX-License-Identifier: Apache-2.0
// The key by which a provider knows whose call it is: where it stands in a request's head, and how
// another takes its place there. Pure; any thread. Heads are untrusted.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "http/h1.h"
#include "provider/provider.h"

#define SG_KEY_BYTES 4096

// One head on its way to the provider, its lines in order: start line, headers, end.
struct sg_credential {
	const struct sg_provider *provider;
	const char *key; // borrowed; printable and without blanks
	bool placed;	 // a line of the head has it by now
};

// Is the request signed with a secret of the agent's own (AWS Signature Version 4, in the header or
// in the query)? No other key can take part in it.
bool sg_credential_is_signed(const struct sg_h1_head *head);

// The start line without what the query says of a key. Returns 0 or -errno of the buffer.
int sg_credential_start_line(const struct sg_credential *credential, const struct sg_h1_head *head,
	struct sg_buf *out) SG_WUNRES;

// Returns 1 when the line was one that tells a key: it is appended with ours, or left out when ours
// is there; 0 when it is any other line, which is left to the caller; or -errno.
int sg_credential_header(struct sg_credential *credential, const struct sg_h1_header *header,
	struct sg_buf *out) SG_WUNRES;

// Adds the line where the agent has sent none. Returns 0 or -errno.
int sg_credential_end(struct sg_credential *credential, struct sg_buf *out) SG_WUNRES;
