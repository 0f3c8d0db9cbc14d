// SPDX-License-Identifier: Apache-2.0
#include "container/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "daemon/daemon.h"
#include "redirect/cgroup.h"

#define FILE_LIMIT   (4u << 20)
#define DEPTH_LIMIT  12
#define MINIMUM_ID   12 // characters: fewer could be the name of any group
#define MOUNT_OF_OWN "/run/spendgate/cgroup"

void sg_place_close(struct sg_place *place)
{
	sg_fd_closep(&place->cgroup_fd);
	sg_fd_closep(&place->netns_fd);
}

// ---- By process ----

// The path of a process in the cgroup v2 hierarchy.
static int cgroup_of(pid_t pid, char *out, size_t size, struct sg_error *error)
{
	char path[64], *text, *line;
	size_t length;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	r = sg_fd_read_file(path, FILE_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (line) {
		line += *line == '\n' ? 4 : 3;
		line[strcspn(line, "\n")] = 0;
		r = (size_t)snprintf(out, size, "%s", line) < size ? 0 : -ENAMETOOLONG;
	} else {
		r = -ENOENT;
	}
	free(text);
	return r < 0 ? sg_error_set(error, r, "%s: no cgroup v2 there", path) : 0;
}

// A container that shares the runtime's own group (cgroup v1 hosts) can't be told from it.
static int open_cgroup(pid_t pid, struct sg_error *error)
{
	char own[PATH_MAX], theirs[PATH_MAX], root[PATH_MAX], path[2 * PATH_MAX];
	int r = cgroup_of(pid, theirs, sizeof(theirs), error), fd;

	if (r == 0)
		r = cgroup_of(getpid(), own, sizeof(own), error);
	if (r == 0 && (strcmp(theirs, "/") == 0 || strcmp(theirs, own) == 0))
		r = sg_error_set(error, -EOPNOTSUPP,
			"the container has no cgroup v2 of its own (it is in %s): let the engine "
			"use cgroup v2, or give the container no other one's cgroup",
			theirs);
	if (r == 0)
		r = sg_cgroup_root(MOUNT_OF_OWN, root, sizeof(root), error);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s%s", root, theirs);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? sg_error_set(error, -errno, "cgroup %s: %s", path, strerror(errno)) : fd;
}

static int open_network(pid_t pid, struct sg_error *error)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? sg_error_set(error, -errno, "%s: %s", path, strerror(errno)) : fd;
}

int sg_place_of_process(pid_t pid, struct sg_place *ret_place, struct sg_error *error)
{
	struct sg_place place = { open_cgroup(pid, error), -1 };

	if (place.cgroup_fd < 0)
		return place.cgroup_fd;
	place.netns_fd = open_network(pid, error);
	if (place.netns_fd < 0) {
		int r = place.netns_fd;

		sg_place_close(&place);
		return r;
	}
	*ret_place = place;
	return 0;
}

// ---- By name ----

// As engines name the groups of their containers: ID, docker-ID.scope, libpod-ID.scope, ...
static bool is_named_after(const char *group, const char *id)
{
	const char *at = strlen(id) >= MINIMUM_ID ? strstr(group, id) : NULL;

	return at && (at == group || at[-1] == '-') && strncmp(group, "libpod-conmon-", 14) != 0;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as DEPTH_LIMIT
static int search(int directory_fd, const char *id, unsigned depth)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = -ENOENT;
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (found < 0 && entries && depth < DEPTH_LIMIT && (entry = readdir(entries))) {
		SG_CLEANUP_CLOSE int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(directory_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child < 0)
			continue;
		found = is_named_after(entry->d_name, id) ? sg_fd_take(&child)
							  : search(child, id, depth + 1);
	}
	if (entries)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
	return found;
}

// `path`: as it is, or below the hierarchy's root.
static void whole_path(const char *root, const char *path, char *out, size_t size)
{
	snprintf(out, size, "%s%s", strncmp(path, root, strlen(root)) == 0 ? "" : root, path);
}

static int find_cgroup(const char *what, struct sg_error *error)
{
	char root[PATH_MAX], path[2 * PATH_MAX];
	SG_CLEANUP_CLOSE int root_fd = -1;
	int r = sg_cgroup_root(MOUNT_OF_OWN, root, sizeof(root), error), fd;

	if (r < 0)
		return r;
	if (*what != '/') {
		root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = root_fd < 0 ? -errno : search(root_fd, what, 0);
	} else {
		whole_path(root, what, path, sizeof(path));
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	return fd == -ENOENT ? sg_error_set(error, fd, "%s: no cgroup of this name is there", what)
	       : fd < 0	     ? sg_error_set(error, fd, "cgroup %s: %s", what, strerror(-fd))
			     : fd;
}

// Is it the first process of a pid namespace below ours?
static bool is_first(pid_t pid)
{
	char path[64], *text, *line;
	bool first = false;
	size_t length;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (sg_fd_read_file(path, FILE_LIMIT, &text, &length) < 0)
		return false;
	line = strstr(text, "\nNSpid:");
	if (line) {
		line++;
		line[strcspn(line, "\n")] = 0;
		first = strcmp(strrchr(line, '\t'), "\t1") == 0;
	}
	free(text);
	return first;
}

// Namespaces of the first process are the container's; others may have left them.
static int find_process(int cgroup_fd, pid_t *ret_pid)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *list = fd < 0 ? NULL : fdopen(fd, "r");
	pid_t found = 0;
	int pid;

	while (!found && list && fscanf(list, "%d", &pid) == 1)
		if (is_first(pid))
			found = pid;
	if (list)
		fclose(list);
	else if (fd >= 0)
		close(fd);
	*ret_pid = found;
	return found ? 0 : sg_cgroup_any_process(cgroup_fd, ret_pid);
}

int sg_place_find(
	const char *what, struct sg_place *ret_place, pid_t *ret_pid, struct sg_error *error)
{
	struct sg_place place = { find_cgroup(what, error), -1 };
	int r = place.cgroup_fd < 0 ? place.cgroup_fd : 0;

	if (r == 0 && find_process(place.cgroup_fd, ret_pid) < 0)
		r = sg_error_set(error, -ESRCH, "%s: nothing runs there", what);
	if (r == 0) {
		place.netns_fd = open_network(*ret_pid, error);
		r = place.netns_fd < 0 ? place.netns_fd : 0;
	}
	if (r < 0) {
		sg_place_close(&place);
		return r;
	}
	*ret_place = place;
	return 0;
}

int sg_place_make(const char *path, struct sg_place *ret_place, struct sg_error *error)
{
	char root[PATH_MAX], whole[2 * PATH_MAX];
	struct sg_place place = { -1, -1 };
	int r = sg_cgroup_root(MOUNT_OF_OWN, root, sizeof(root), error);

	if (r < 0)
		return r;
	if (*path != '/')
		return sg_error_set(error, -EINVAL, "%s: must be the path of a cgroup", path);
	whole_path(root, path, whole, sizeof(whole));
	place.cgroup_fd = sg_cgroup_make(whole, error);
	if (place.cgroup_fd < 0)
		return place.cgroup_fd;
	place.netns_fd = open_network(getpid(), error);
	if (place.netns_fd < 0) {
		r = place.netns_fd;
		sg_place_close(&place);
		return r;
	}
	*ret_place = place;
	return 0;
}

// ---- Registration ----

int sg_place_register(const struct sg_place *place, const json_t *request, struct sg_error *error)
{
	const int fds[2] = { place->cgroup_fd, place->netns_fd };
	struct sg_daemon daemon = { -1 };
	json_t *answer = NULL;
	int r;

	if (sg_daemon_connect(&daemon, error) < 0)
		return sg_error_set(error, -ENOTCONN,
			"no spendgated answers at %s/control.sock: systemctl start spendgated",
			sg_daemon_run_directory());
	r = sg_daemon_ask(&daemon, request, fds, 2, &answer, error);
	json_decref(answer);
	sg_daemon_close(&daemon);
	return r;
}
