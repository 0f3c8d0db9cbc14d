// SPDX-License-Identifier: Apache-2.0
// What the lines of a head mean: target, Host, body framing, Connection. Within http/h1 only. Pure;
// any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "http/h1.h"

// Writes the reason and returns -EBADMSG, so that `return sg_h1_refuse(...)` reads well.
int sg_h1_refuse(const char **ret_reason, const char *reason);

// Fills host, framing, keep_alive and so on from the lines, which are split and syntactically
// right. Returns 0 or -EBADMSG.
int sg_h1_interpret(
	struct sg_h1_head *head, bool request_was_head, const char **ret_reason) SG_WUNRES;
