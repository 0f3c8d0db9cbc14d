// SPDX-License-Identifier: Apache-2.0
#pragma once

// Follows an engine, and connects again when it is away. `profile` (NULL: none) holds for
// containers without labels too. Does not return.
int sg_watch(const char *socket_path, const char *profile) __attribute__((noreturn));
