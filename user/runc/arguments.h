// SPDX-License-Identifier: Apache-2.0
// The command line of the shim: our own options (--spendgate-*), which come first, and then that of
// an OCI runtime, of which only what we act on is understood. Any thread.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_runc_arguments {
	const char *runtime;	   // the real one: a path, or a name in the usual folders
	const char *run_directory; // NULL: the default
	const char *profile;	   // policy of containers that carry no label of ours; NULL: none
	bool fail_open;		   // spendgated away: start without a limit
	int rest_count;
	char **rest; // what the real runtime gets, after its own name; ends with NULL

	// From `rest`; NULL: not there.
	const char *command;
	const char *id;
	const char *bundle;
	const char *log;
	bool log_is_json;
};

// Points into `argv`. Returns 0 or -EINVAL with the sentence.
int sg_runc_arguments_parse(int argc, char **argv, struct sg_runc_arguments *ret_arguments,
	struct sg_error *error) SG_WUNRES;

// Does the command make a container?
bool sg_runc_arguments_create(const struct sg_runc_arguments *arguments);
