// SPDX-License-Identifier: Apache-2.0
// JSON that somebody else wrote, by hand or for another reader. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

// Parses a document in which no key is there twice. NULL: the sentence names line and column, as
// "place:line:column", or without a place (NULL) as "line, column", for a caller who names it.
json_t *sg_json_parse(
	const char *text, size_t length, const char *place, struct sg_error *error) SG_WUNRES;

// The first key of the object that is not among `known`, whose last is NULL; NULL: there is none.
// Lives as long as the object has it.
const char *sg_json_unknown_key(const json_t *object, const char *const *known);

// Some decoders take a key for the wanted one (ASCII) whatever the case of its letters; Go's folds
// also two letters that are not ASCII. True for the wanted key itself, too.
bool sg_json_same_but_for_case(
	const char *wanted, size_t wanted_length, const char *key, size_t length);

// The object's key that such a decoder takes for `wanted`, which it is not; NULL: there is none.
// Lives as long as the object has it.
const char *sg_json_key_in_other_case(const json_t *object, const char *wanted);

// A string of what somebody else wrote, of up to 1023 bytes where it is no UTF-8: then with a ? in
// the place of each byte that is not ASCII.
json_t *sg_json_text(const char *text);

// Loads a file, with jansson's flags. NULL: the sentence names it, and the place where it is no
// JSON.
json_t *sg_json_load(const char *path, size_t flags, struct sg_error *error) SG_WUNRES;
