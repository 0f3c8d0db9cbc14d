// SPDX-License-Identifier: Apache-2.0
#include "warden/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"

#define WANTED_DESCRIPTORS 1048576
#define FEW_DESCRIPTORS	   8192

// The unit's CapabilityBoundingSet (tools/install) is this list.
static const unsigned kept[] = {
	CAP_BPF,	     // programs, maps, links
	CAP_NET_ADMIN,	     // of the network kind; sockets in namespaces
	CAP_SYS_ADMIN,	     // attaching to cgroups, entering namespaces, mounting cgroup2 and bpf
	CAP_SYS_PTRACE,	     // namespaces and roots of agents' processes
	CAP_DAC_READ_SEARCH, // the same below directories of others
	CAP_DAC_OVERRIDE,    // the hierarchy's root has mode 0555, for root too
	CAP_CHOWN,	     // ledger and socket go to the enforcer's user
	CAP_FOWNER,	     // their modes
	CAP_SETUID,	     // the enforcer becomes that user
	CAP_SETGID,
	CAP_SETPCAP, // and loses all of these
	CAP_KILL,    // and is ended
};

int sg_privileges_reduce(struct sg_error *error)
{
	int r;

	if (capng_get_caps_process() < 0)
		return sg_error_set(
			error, -EPERM, "the capabilities of this process can't be read");
	for (int capability = 0; capability <= CAP_LAST_CAP; capability++) {
		bool keep = false;

		for (size_t i = 0; i < SG_ARRAY_SIZE(kept); i++)
			keep = keep || kept[i] == (unsigned)capability;
		if (!keep)
			capng_update(CAPNG_DROP,
				CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
					CAPNG_BOUNDING_SET | CAPNG_AMBIENT,
				(unsigned)capability);
	}
	r = capng_apply(CAPNG_SELECT_ALL);
	return r < 0 ? sg_error_set(
			       error, -EPERM, "capabilities can't be dropped (libcap-ng: %d)", r)
		     : 0;
}

void sg_privileges_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= WANTED_DESCRIPTORS)
		return;
	if (limit.rlim_max < WANTED_DESCRIPTORS) {
		const struct rlimit more = { WANTED_DESCRIPTORS, WANTED_DESCRIPTORS };

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return;
	}
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < FEW_DESCRIPTORS)
		sg_log(SG_LOG_WARN, "few_descriptors",
			"limit=%llu reason=\"%s\" remedy=\"raise LimitNOFILE\"",
			(unsigned long long)limit.rlim_cur, strerror(errno));
}
