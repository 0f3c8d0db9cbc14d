// SPDX-License-Identifier: Apache-2.0
// Watches the directories of the configuration whose files change policies ("compiled",
// "governance") and hands the bytes of those files to the enforcer, which is the one to understand
// them. The loop's thread.
#pragma once

#include "base/attr.h"
#include "base/error.h"

struct sg_files;
struct sg_warden;

// Watches what the configuration names. Nothing there: *ret_files is NULL. A directory that is
// missing is an error.
int sg_files_start(
	struct sg_warden *warden, struct sg_files **ret_files, struct sg_error *error) SG_WUNRES;
struct sg_files *sg_files_stop(struct sg_files *files);

// Reads all files and sends them. `files` may be NULL.
void sg_files_tell_all(struct sg_files *files);
