// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 heads and body framing (RFC 9112), strict: what two parsers could read in two ways is
// refused. Pure: no I/O, no allocation but for trailers that are kept, one owner, any thread. Built
// on llhttp.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"

#define SG_H1_MAX_HEADERS    128
#define SG_H1_MAX_HEAD_BYTES 65536

// Never owns: points into the buffer that was parsed.
struct sg_str {
	const char *data;
	size_t length;
};

struct sg_h1_header {
	struct sg_str name;
	struct sg_str value; // without surrounding blanks
	struct sg_str line;  // the whole line with its CRLF
};

enum sg_h1_kind { SG_H1_REQUEST, SG_H1_RESPONSE };

enum sg_h1_framing {
	SG_H1_NO_BODY,
	SG_H1_LENGTH,
	SG_H1_CHUNKED,
	SG_H1_UNTIL_CLOSE, // responses only
};

// A parsed head. All views point into the bytes given to sg_h1_parse_head.
struct sg_h1_head {
	enum sg_h1_kind kind;
	struct sg_str start_line; // with its CRLF
	struct sg_str method;	  // requests
	struct sg_str target;	  // requests; as on the wire
	struct sg_str host;	  // requests: the Host header, without port; empty if none
	uint16_t host_port;	  // 0: none given
	unsigned status;	  // responses
	unsigned minor_version;	  // 0 or 1
	enum sg_h1_framing framing;
	uint64_t content_length; // when framing is SG_H1_LENGTH
	bool keep_alive;	 // what version and Connection say
	bool expect_continue;	 // requests: Expect: 100-continue
	bool upgrade;		 // Connection: upgrade, or method CONNECT
	size_t length;		 // of the whole head in bytes
	size_t header_count;
	struct sg_h1_header headers[SG_H1_MAX_HEADERS];
};

// Parses one complete head at the start of `data`. `request_was_head` matters for responses only
// (HEAD has no body; a CONNECT never gets here). Returns the length of the head (> 0), 0 when more
// bytes are needed, or a negative errno: -EBADMSG (malformed or ambiguous: both lengths, two
// different lengths, obs-fold, bare CR or LF, NUL, bad chunked, Transfer-Encoding other than
// exactly "chunked", blanks before the colon, missing or second Host, ...) or -EMSGSIZE (over the
// limits). `ret_reason` names the fault in a few words for logs. Interim responses (1xx) are heads
// of their own with SG_H1_NO_BODY.
int sg_h1_parse_head(enum sg_h1_kind kind, bool request_was_head, const char *data, size_t length,
	struct sg_h1_head *ret_head, const char **ret_reason) SG_WUNRES;

// First header of that name (case-insensitive), or NULL.
const struct sg_h1_header *sg_h1_find(const struct sg_h1_head *head, const char *name);

// Is there more than one header of that name?
bool sg_h1_is_repeated(const struct sg_h1_head *head, const char *name);

// Path and query of a request's target, also of the absolute form.
struct sg_str sg_h1_target_path(struct sg_str target);

// Is `token` in the comma-separated value (case-insensitive)?
bool sg_h1_has_token(struct sg_str value, const char *token);

// Body framing as a decoder: raw bytes in, payload views out. Chunk extensions and trailers are
// within the raw bytes and are checked (limits too), never interpreted.
enum sg_h1_body_state {
	SG_H1_BODY_DATA,
	SG_H1_BODY_CHUNK_SIZE,
	SG_H1_BODY_CHUNK_EXTENSION,
	SG_H1_BODY_CHUNK_SIZE_LF,
	SG_H1_BODY_CHUNK_CR,
	SG_H1_BODY_CHUNK_LF,
	SG_H1_BODY_TRAILER_START,
	SG_H1_BODY_TRAILER_NAME,
	SG_H1_BODY_TRAILER,
	SG_H1_BODY_TRAILER_LF,
	SG_H1_BODY_END_LF,
	SG_H1_BODY_DONE,
};

struct sg_h1_body {
	enum sg_h1_framing framing;
	enum sg_h1_body_state state;
	uint64_t remaining;	// of the body or of the current chunk
	uint32_t line_bytes;	// of the current size, extension or trailer line
	uint32_t trailer_bytes; // of all trailer lines
	bool size_digits;	// a chunk size has at least one digit
};

void sg_h1_body_init(struct sg_h1_body *body, const struct sg_h1_head *head);

// Takes raw bytes up to and including at most one run of payload. Returns how many raw bytes were
// consumed (> 0 unless the body is done or length is 0) or -EBADMSG; *ret_payload is the payload
// within them (length 0: framing only). Call again with the rest until sg_h1_body_is_done() or the
// input is used up.
ssize_t sg_h1_body_feed(struct sg_h1_body *body, const char *data, size_t length,
	struct sg_str *ret_payload) SG_WUNRES;

static inline bool sg_h1_body_is_done(const struct sg_h1_body *body)
{
	return body->state == SG_H1_BODY_DONE;
}

// Appends to `lines` the lines behind the last chunk, of which `length` bytes end at `end`, where
// the body was fed up to. The blank line that ends them is left out. Returns 0 or -errno.
int sg_h1_keep_trailers(const struct sg_h1_body *body, const char *end, uint32_t length,
	struct sg_buf *lines) SG_WUNRES;
