// SPDX-License-Identifier: Apache-2.0
#include "cli/caller.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void sg_caller_describe(char *out, size_t size)
{
	const char *name = getenv("SUDO_USER");
	const struct passwd *user = getpwuid(getuid());

	snprintf(out, size, "cli:%.100s", name && *name ? name : user ? user->pw_name : "root");
}
