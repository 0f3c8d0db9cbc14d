// SPDX-License-Identifier: Apache-2.0
// Looking for bytes at the speed of memory: what every byte of a stream goes through. Pure.
#pragma once

#include <stddef.h>

#include "base/attr.h"

// The first `a` or `b` in [from, end), NULL if none.
const char *sg_find_either(const char *from, const char *end, char a, char b);

// The first place in [from, end) where `word` (2 bytes or more) stands, NULL if none. As memmem,
// but fast where first and last byte of the word are seldom met at its distance.
const char *sg_find_word(const char *from, const char *end, const char *word, size_t length);
