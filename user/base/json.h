// SPDX-License-Identifier: Apache-2.0
// JSON that somebody wrote by hand. Any thread.
#pragma once

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

// Loads a file, with jansson's flags. NULL: the sentence names it, and the place where it is no
// JSON.
json_t *sg_json_load(const char *path, size_t flags, struct sg_error *error) SG_WUNRES;
