// SPDX-License-Identifier: Apache-2.0
#include "container/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "trust/bundles.h"
#include "trust/root.h"

#define MOUNTS_LIMIT 160
#define OWN_FOLDER   "/run/spendgate"

// What is to be mounted: found and copied out here, mounted inside.
struct mount {
	int tree_fd; // detached, of the merged file
	char destination[PATH_MAX];
};

struct mounts {
	struct mount *list;
	unsigned count;
};

// By number: before 2.36, glibc has no functions for these calls.
static int open_read_only(const char *source)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						     MOUNT_ATTR_NODEV };
	SG_CLEANUP_CLOSE int fd =
		(int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes,
			      sizeof(attributes)) < 0)
		return -errno;
	return sg_fd_take(&fd);
}

static int collect(void *context, const char *source, const char *destination)
{
	struct mounts *mounts = context;
	struct mount *mount = &mounts->list[mounts->count];
	int fd;

	if (mounts->count == MOUNTS_LIMIT)
		return 0;
	fd = open_read_only(source);
	if (fd < 0)
		return fd;
	mount->tree_fd = fd;
	snprintf(mount->destination, sizeof(mount->destination), "%s", destination);
	mounts->count++;
	return 0;
}

// ---- Inside ----

static bool is_own(const char *destination)
{
	return strncmp(destination, OWN_FOLDER "/", strlen(OWN_FOLDER "/")) == 0;
}

// What the container has put there is not opened, were it a pipe or a device.
static int make_own(const char *destination)
{
	SG_CLEANUP_CLOSE int fd = -1;
	struct stat status;

	if (mkdir(OWN_FOLDER, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(destination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd >= 0)
		return 0;
	return errno == EEXIST && lstat(destination, &status) == 0 && S_ISREG(status.st_mode)
		       ? 0
		       : -EEXIST;
}

// The pid namespace's root may be another than the mount namespace's: the process's own counts.
static int enter(int namespace_fd, int root_fd)
{
	if (setns(namespace_fd, CLONE_NEWNS) < 0 || fchdir(root_fd) < 0 || chroot(".") < 0)
		return -errno;
	return 0;
}

static int mount_all(const struct mounts *mounts, int namespace_fd, int root_fd)
{
	int r = enter(namespace_fd, root_fd);

	for (unsigned i = 0; r == 0 && i < mounts->count; i++) {
		const struct mount *mount = &mounts->list[i];

		if (is_own(mount->destination) && make_own(mount->destination) < 0)
			continue;
		if (syscall(SYS_move_mount, mount->tree_fd, "", AT_FDCWD, mount->destination,
			    MOVE_MOUNT_F_EMPTY_PATH) < 0)
			r = -errno;
	}
	return r;
}

static int mount_in_child(const struct mounts *mounts, int namespace_fd, int root_fd)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(-mount_all(mounts, namespace_fd, root_fd));
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

// ---- Outside ----

static int merge(const struct sg_root *root, const char *run_directory, struct mounts *mounts,
	struct sg_error *error)
{
	struct sg_bundles bundles = {
		.run_directory = run_directory, .root = root, .mount = collect, .context = mounts
	};
	int r = sg_bundles_open(&bundles, error);

	if (r == 0) {
		r = sg_bundles_merge_usual(&bundles);
		if (r == 0)
			r = sg_bundles_mount_own(&bundles);
		if (r < 0)
			sg_error_set(error, r, "certificates in %s/trust: %s", run_directory,
				strerror(-r));
	}
	sg_bundles_close(&bundles);
	return r;
}

static int open_of(pid_t pid, const char *what, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	fd = open(path, flags | O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

// Processes of a cgroup may share our own mounts; the host's are not changed.
static bool is_ours(int namespace_fd)
{
	struct stat own, theirs;

	return stat("/proc/self/ns/mnt", &own) == 0 && fstat(namespace_fd, &theirs) == 0 &&
	       own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev;
}

int sg_mounts_trust(
	pid_t pid, const char *run_directory, unsigned *ret_count, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int namespace_fd = open_of(pid, "ns/mnt", 0);
	SG_CLEANUP_CLOSE int root_fd = open_of(pid, "root", O_DIRECTORY);
	struct sg_root root = { root_fd, NULL };
	struct mounts mounts = { NULL, 0 };
	int r = namespace_fd < 0 ? namespace_fd : root_fd < 0 ? root_fd : 0;

	*ret_count = 0;
	if (r < 0)
		return sg_error_set(
			error, r, "the mounts of process %d: %s", (int)pid, strerror(-r));
	if (is_ours(namespace_fd))
		return 0;
	mounts.list = calloc(MOUNTS_LIMIT, sizeof(*mounts.list));
	if (!mounts.list)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = merge(&root, run_directory, &mounts, error);
	if (r == 0) {
		r = mount_in_child(&mounts, namespace_fd, root_fd);
		if (r < 0)
			sg_error_set(error, r, "certificates can't be mounted into process %d: %s",
				(int)pid, strerror(-r));
		else
			*ret_count = mounts.count;
	}
	for (unsigned i = 0; i < mounts.count; i++)
		close(mounts.list[i].tree_fd);
	free(mounts.list);
	return r;
}
