// SPDX-License-Identifier: Apache-2.0
// Structured log lines on standard error: `2026-11-24T08:30:00.123Z info event=NAME key=value ...`.
// Keys of providers, header values, bodies and URLs with a query are never passed to it. Any
// thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

enum sg_log_level { SG_LOG_ERROR, SG_LOG_WARN, SG_LOG_INFO, SG_LOG_DEBUG };

// Lines above `level` are dropped. Default: SG_LOG_INFO.
void sg_log_set_level(enum sg_log_level level);

// Is a line of this level written? For what is dear to put into words.
bool sg_log_takes(enum sg_log_level level);

// For a field whose text is a stranger's (of at most `length` bytes): as it is where that is one
// word, else in quotation marks that it can't leave. Returns `out`, which has at least 4 bytes.
const char *sg_log_value(const char *text, size_t length, char *out, size_t size);

// `event` is one word; `format` gives "key=value" fields. Control characters are escaped.
void sg_log(enum sg_log_level level, const char *event, const char *format, ...) SG_PRINTF(3, 4);
