// SPDX-License-Identifier: Apache-2.0
// Which headers a request's AWS signature covers: those must not be changed. Pure; any thread.
#pragma once

#include <stdbool.h>

#include "http/h1.h"

// `authorization`: the header's value ("AWS4-HMAC-SHA256 ..., SignedHeaders=accept;host, ...").
bool sg_aws_signs(struct sg_str authorization, const char *name);
