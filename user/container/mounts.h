// SPDX-License-Identifier: Apache-2.0
// Trust for what runs already: the files of trust/bundles.h, mounted into the mount namespace of a
// process. One thread; makes a child that enters the namespace.
#pragma once

#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"

// Processes that start after it read the merged files; *ret_count is how many were mounted. A file
// below /run/spendgate that can't be made (read-only root) is left out. Returns 0 or -errno with
// the sentence.
int sg_mounts_trust(pid_t pid, const char *run_directory, unsigned *ret_count,
	struct sg_error *error) SG_WUNRES;
