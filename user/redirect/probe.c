// SPDX-License-Identifier: Apache-2.0
#include "redirect/redirect.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "redirect/skel.h"

#define BPF_MOUNT "/sys/fs/bpf"

#define OLDEST_MAJOR 6
#define OLDEST_MINOR 1

static int probe_kernel(struct sg_error *error)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (uname(&name) < 0)
		return sg_error_set(error, -errno, "uname: %s", strerror(errno));
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
		(major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR)))
		return 0;
	return sg_error_set(error, -ENOSYS,
		"this is Linux %s: spendgate needs %d.%d or later (Debian 12's kernel will do)",
		name.release, OLDEST_MAJOR, OLDEST_MINOR);
}

int sg_redirect_probe(struct sg_error *error)
{
	int r;

	if (geteuid() != 0)
		return sg_error_set(error, -EPERM,
			"spendgate needs root to attach BPF programs: run it with sudo");
	r = probe_kernel(error);
	if (r < 0)
		return r;
	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return sg_error_set(error, -ENOSYS,
			"/sys/kernel/btf/vmlinux is missing: use a kernel that was built with "
			"CONFIG_DEBUG_INFO_BTF");
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, NULL) != 1 ||
		libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_CGROUP_SOCKOPT, NULL) != 1)
		return sg_error_set(error, -ENOSYS,
			"this kernel refuses cgroup BPF programs: CONFIG_CGROUP_BPF and the "
			"capability CAP_BPF are needed");
	return 0;
}

// The nearest existing folder above a path tells which file system it will be on.
static int filesystem_of(const char *path, long *ret_type)
{
	char parent[PATH_MAX];
	struct statfs status;

	snprintf(parent, sizeof(parent), "%s", path);
	while (statfs(parent, &status) < 0) {
		char *slash = strrchr(parent, '/');

		if (errno != ENOENT || !slash || slash == parent)
			return -errno;
		*slash = 0;
	}
	*ret_type = status.f_type;
	return 0;
}

int sg_redirect_mount_bpffs(const char *pin_directory, struct sg_error *error)
{
	long type = 0;
	int r = filesystem_of(pin_directory, &type);

	if (r == 0 && type == BPF_FS_MAGIC)
		return 0;
	if (strncmp(pin_directory, BPF_MOUNT "/", strlen(BPF_MOUNT) + 1) != 0)
		return sg_error_set(error, -EINVAL,
			"%s is not on a BPF file system: choose a folder below " BPF_MOUNT,
			pin_directory);
	r = sg_fd_make_directories(BPF_MOUNT, 0755);
	if (r == 0 &&
		mount("bpf", BPF_MOUNT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		r = -errno;
	if (r < 0)
		return sg_error_set(error, r,
			"a BPF file system can't be mounted at " BPF_MOUNT ": %s", strerror(-r));
	return 0;
}
