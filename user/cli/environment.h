// SPDX-License-Identifier: Apache-2.0
// Puts the CA where the usual clients look.
#pragma once

#include "base/attr.h"
#include "base/error.h"

// Sets the variables in this process's environment. A variable that is set already keeps what it
// names: that file is merged with ours into `directory` (made), and the variable points there.
int sg_environment_set(const char *ca_path, const char *bundle_path, const char *directory,
	struct sg_error *error) SG_WUNRES;
