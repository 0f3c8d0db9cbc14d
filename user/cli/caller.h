// SPDX-License-Identifier: Apache-2.0
// Who gives a command, for the audit log. One thread.
#pragma once

#include <stddef.h>

#define SG_CALLER_BYTES 128

// "cli:NAME": whoever called sudo, else who we are.
void sg_caller_describe(char *out, size_t size);
