// SPDX-License-Identifier: Apache-2.0
// Values of a policy's keys. Errors begin with the name that is shown for the key. Each returns 0
// or -EINVAL with a sentence, but where it says otherwise.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Dollars as a decimal string or a number; above zero.
int sg_value_money(const json_t *value, const char *shown, int64_t *ret_nanousd,
	struct sg_error *error) SG_WUNRES;

// 1 to 2^53.
int sg_value_count(const json_t *value, const char *shown, int64_t *ret_count,
	struct sg_error *error) SG_WUNRES;

// One of `count` words. Returns its index, or -1.
int sg_value_word(const json_t *value, const char *const *words, size_t count);

// What a word is that is none of them, for the error.
const char *sg_value_shown(const json_t *value);

int sg_value_text(const json_t *value, const char *key, char *out, size_t size,
	struct sg_error *error) SG_WUNRES;
