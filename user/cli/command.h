// SPDX-License-Identifier: Apache-2.0
// Runs a command inside a cgroup as the user who invoked sudo, passing signals, terminal and exit
// status through.
#pragma once

#include "base/attr.h"
#include "base/error.h"

// *ret_code is the command's exit status, or 128 + N when signal N ended it.
int sg_command_run(
	char *const *command, int cgroup_fd, int *ret_code, struct sg_error *error) SG_WUNRES;
