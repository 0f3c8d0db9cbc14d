// SPDX-License-Identifier: Apache-2.0
// The environment variables that tell clients which certificates to trust. Any thread.
#pragma once

#include <stdbool.h>

#define SG_TRUST_VARIABLES 15

// `additive`: the client adds the file to roots of its own, so our CA alone is enough; the others
// read nothing else.
struct sg_trust_variable {
	const char *name;
	bool additive;
};

extern const struct sg_trust_variable sg_trust_variables[SG_TRUST_VARIABLES];
