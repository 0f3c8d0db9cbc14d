// SPDX-License-Identifier: Apache-2.0
// Parameters of a header's value (RFC 9110, 5.6.6), strict: what two parsers could read in two ways
// is refused. Pure; no allocation; one owner; any thread.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "http/h1.h"

struct sg_parameters {
	const char *at, *end;
};

struct sg_parameter {
	struct sg_str name;
	struct sg_str value; // without its quotes, as it was written
	bool escaped;	     // a backslash is in it: readers differ in what it says
};

// Begins to read `text`; *ret_first is what stands before the first semicolon, without blanks.
void sg_parameters_init(
	struct sg_parameters *parameters, struct sg_str text, struct sg_str *ret_first);

// Returns 1 with the next one, 0 at the end, or -EBADMSG: no token or quoted string where one must
// be, blanks around "=", a control character.
int sg_parameters_next(
	struct sg_parameters *parameters, struct sg_parameter *ret_parameter) SG_WUNRES;

bool sg_parameter_is(const struct sg_parameter *parameter, const char *name);

// Is every character one of a token's (RFC 9110, 5.6.2), and is there one?
bool sg_is_token(struct sg_str text);
