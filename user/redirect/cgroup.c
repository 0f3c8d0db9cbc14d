// SPDX-License-Identifier: Apache-2.0
#include "redirect/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

// Fields of a line: id parent major:minor root mount-point options... - type source options
// (proc(5)).
static bool parse_mount_line(char *line, char *ret_path, size_t size)
{
	char *separator = strstr(line, " - "), *field = line, *save = NULL;

	if (!separator || strncmp(separator + 3, "cgroup2 ", 8) != 0)
		return false;
	*separator = 0;
	field = strtok_r(line, " ", &save);
	for (int i = 0; field && i < 4; i++)
		field = strtok_r(NULL, " ", &save);
	return field && (size_t)snprintf(ret_path, size, "%s", field) < size;
}

static int find_mount(char *ret_path, size_t size)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	int r = -ENOENT;

	if (!mounts)
		return -errno;
	while (r == -ENOENT && fgets(line, sizeof(line), mounts))
		if (parse_mount_line(line, ret_path, size))
			r = 0;
	fclose(mounts);
	return r;
}

int sg_cgroup_root(
	const char *fallback_directory, char *ret_path, size_t size, struct sg_error *error)
{
	int r = find_mount(ret_path, size);

	if (r == 0)
		return 0;
	r = sg_fd_make_directories(fallback_directory, 0755);
	if (r == 0 && mount("cgroup2", fallback_directory, "cgroup2",
			      MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = -errno;
	if (r < 0)
		return sg_error_set(error, -ENOSYS,
			"no cgroup v2 hierarchy is mounted, and none can be (%s): boot with "
			"systemd.unified_cgroup_hierarchy=1, "
			"or mount -t cgroup2 none /sys/fs/cgroup/unified",
			strerror(-r));
	if ((size_t)snprintf(ret_path, size, "%s", fallback_directory) >= size)
		return sg_error_set(error, -ENAMETOOLONG, "%s: too long", fallback_directory);
	return 0;
}

int sg_cgroup_make(const char *path, struct sg_error *error)
{
	int r = sg_fd_make_directories(path, 0755), fd;

	if (r < 0)
		return sg_error_set(error, r, "cgroup %s: %s", path, strerror(-r));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? sg_error_set(error, -errno, "cgroup %s: %s", path, strerror(errno)) : fd;
}

int sg_cgroup_enter(int cgroup_fd, pid_t pid)
{
	SG_CLEANUP_CLOSE int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return dprintf(fd, "%d", (int)pid) < 0 ? -errno : 0;
}

int sg_cgroup_id(int cgroup_fd, uint64_t *ret_id)
{
	struct stat status;

	if (fstat(cgroup_fd, &status) < 0)
		return -errno;
	*ret_id = status.st_ino;
	return 0;
}

int sg_cgroup_other_process(int cgroup_fd, pid_t but, pid_t *ret_pid)
{
	SG_CLEANUP_CLOSE int fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[64]; // the first few, one a line
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *at = text;

	text[n > 0 ? n : 0] = 0;
	for (char *end; (end = strchr(at, '\n')); at = end + 1) {
		*ret_pid = (pid_t)strtol(at, NULL, 10);
		if (*ret_pid > 0 && *ret_pid != but)
			return 0;
	}
	return -ESRCH;
}

int sg_cgroup_any_process(int cgroup_fd, pid_t *ret_pid)
{
	int r = sg_cgroup_other_process(cgroup_fd, 0, ret_pid);
	// A descriptor of its own: reading a directory moves the offset of all that share it.
	int fd = r < 0 ? openat(cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (r < 0 && entries && (entry = readdir(entries))) {
		SG_CLEANUP_CLOSE int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(cgroup_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = child < 0 ? -ESRCH : sg_cgroup_any_process(child, ret_pid);
	}
	if (entries)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
	return r;
}

static void kill_all(const char *path)
{
	char file[PATH_MAX];
	SG_CLEANUP_CLOSE int fd = -1;

	snprintf(file, sizeof(file), "%s/cgroup.kill", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		return; // rmdir will say that it is busy
}

static int remove_tree(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;

	if (!entries)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(entries))) {
		char child[PATH_MAX];

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) <
			sizeof(child))
			remove_tree(child);
	}
	closedir(entries);
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int sg_cgroup_remove(const char *path)
{
	// The killed need a moment to be gone; there is no event to wait for on a hierarchy without
	// controllers.
	const struct timespec pause = { .tv_nsec = 5000000 };
	int r;

	kill_all(path);
	for (int i = 0; (r = remove_tree(path)) == -EBUSY && i < 400; i++)
		nanosleep(&pause, NULL);
	return r;
}

enum sg_cgroup_state sg_cgroup_look(int events_fd)
{
	char text[256];
	ssize_t n;

	if (events_fd < 0)
		return SG_CGROUP_GONE;
	n = pread(events_fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return errno == ENODEV ? SG_CGROUP_GONE : SG_CGROUP_POPULATED;
	text[n] = 0;
	return strstr(text, "populated 1") ? SG_CGROUP_POPULATED : SG_CGROUP_EMPTY;
}
