// SPDX-License-Identifier: Apache-2.0
// Merged files in <run directory>/trust/merged, each named after what it is made of, so that it is
// made once for all containers of an image. Any thread, any process.
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

// Where the file made of both parts is (ret_path: PATH_MAX). Returns 1: it is there, and is kept
// for another day; 0: it is not; or -errno.
int sg_merged_find(const char *run_directory, const void *ours, size_t ours_length,
	const void *theirs, size_t theirs_length, char *ret_path) SG_WUNRES;

// Makes it, and removes those that no start has found for a day: containers that still run keep
// what is mounted. Returns 0 or -errno.
int sg_merged_store(
	const char *run_directory, const char *path, const struct sg_buf *text) SG_WUNRES;
