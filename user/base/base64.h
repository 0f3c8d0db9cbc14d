// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648, 4). Pure; any thread.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

// Appends what `text` stands for. Backslashes are passed over: JSON may write "\/". Returns 0,
// -EBADMSG (no base64) or -ENOMEM.
int sg_base64_append(struct sg_buf *buf, const char *text, size_t length) SG_WUNRES;
