// SPDX-License-Identifier: Apache-2.0
#include "cli/environment.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fd.h"
#include "trust/certificates.h"
#include "trust/variables.h"

// The agent's own file, then our CA.
static int merge(const char *theirs, const char *ca_path, const char *merged_path)
{
	struct sg_buf merged = { 0 };
	int r = sg_certificates_append_file(&merged, theirs);

	if (r >= 0)
		r = sg_certificates_append_file(&merged, ca_path);
	if (r >= 0)
		r = sg_fd_write_file(
			merged_path, sg_buf_head(&merged), sg_buf_length(&merged), 0644);
	sg_buf_release(&merged);
	return r;
}

int sg_environment_set(
	const char *ca_path, const char *bundle_path, const char *directory, struct sg_error *error)
{
	for (size_t i = 0; i < SG_TRUST_VARIABLES; i++) {
		const char *name = sg_trust_variables[i].name, *theirs = getenv(name);
		const char *value = sg_trust_variables[i].additive ? ca_path : bundle_path;
		char merged_path[PATH_MAX];
		int r = 0;

		if (theirs && *theirs) {
			snprintf(merged_path, sizeof(merged_path), "%s/%s.pem", directory, name);
			r = sg_fd_make_directories(directory, 0755);
			if (r == 0)
				r = merge(theirs, ca_path, merged_path);
			if (r < 0)
				return sg_error_set(error, r,
					"%s=%s can't be merged with the spendgate CA: %s", name,
					theirs, strerror(-r));
			value = merged_path;
		}
		if (setenv(name, value, 1) < 0)
			return sg_error_set(error, -ENOMEM, "out of memory");
	}
	return 0;
}
