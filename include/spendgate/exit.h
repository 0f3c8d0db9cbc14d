// SPDX-License-Identifier: Apache-2.0
// Exit codes of spendgate and spendgated (sysexits where they fit). `spendgate run` gives its
// command's own status, 128 + N when signal N ended it.
#ifndef SPENDGATE_EXIT_H
#define SPENDGATE_EXIT_H

enum sg_exit {
	SG_EXIT_OK = 0,
	SG_EXIT_FAILED = 1,
	SG_EXIT_USAGE = 64,	  // bad options or arguments
	SG_EXIT_DATA = 65,	  // bad input file
	SG_EXIT_UNAVAILABLE = 69, // kernel, cgroup v2 or BTF missing; daemon not reachable
	SG_EXIT_INTERNAL = 70,
	SG_EXIT_CANTCREAT = 73, // disk full, directory not writable
	SG_EXIT_NOPERM = 77,	// not root
	SG_EXIT_CONFIG = 78,	// bad configuration file
	SG_EXIT_NOT_EXECUTABLE = 126,
	SG_EXIT_NOT_FOUND = 127,
};

#endif
