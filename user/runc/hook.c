// SPDX-License-Identifier: Apache-2.0
#include "runc/runc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fd.h"
#include "daemon/daemon.h"
#include "redirect/cgroup.h"

#define STATE_LIMIT (4u << 20)

// The path of a process in the cgroup v2 hierarchy.
static int cgroup_of(pid_t pid, char *out, size_t size, struct sg_error *error)
{
	char path[64], *text, *line;
	size_t length;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	r = sg_fd_read_file(path, STATE_LIMIT, &text, &length);
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
		r = sg_cgroup_root("/run/spendgate/cgroup", root, sizeof(root), error);
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

static int register_container(pid_t pid, const json_t *request, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int cgroup_fd = open_cgroup(pid, error), netns_fd = -1;
	struct sg_daemon daemon = { -1 };
	json_t *answer = NULL;
	int fds[2], r;

	if (cgroup_fd < 0)
		return cgroup_fd;
	netns_fd = open_network(pid, error);
	if (netns_fd < 0)
		return netns_fd;
	if (sg_daemon_connect(&daemon, error) < 0)
		return sg_error_set(error, -ENOTCONN,
			"no spendgated answers at %s/control.sock: systemctl start spendgated",
			sg_daemon_run_directory());
	fds[0] = cgroup_fd;
	fds[1] = netns_fd;
	r = sg_daemon_ask(&daemon, request, fds, 2, &answer, error);
	json_decref(answer);
	sg_daemon_close(&daemon);
	return r;
}

static int read_state(json_t **ret_state, json_t **ret_request, struct sg_error *error)
{
	json_error_t where;
	const char *bundle;
	char path[PATH_MAX];

	*ret_state = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &where);
	bundle = json_string_value(json_object_get(*ret_state, "bundle"));
	if (!bundle)
		return sg_error_set(error, -EBADMSG,
			"hook: the state of a container is expected on standard input");
	snprintf(path, sizeof(path), "%s/" SG_RUNC_REQUEST, bundle);
	*ret_request = json_load_file(path, 0, &where);
	return *ret_request
		       ? 0
		       : sg_error_set(error, -EBADMSG, "%s:%d: %s", path, where.line, where.text);
}

int sg_runc_hook(struct sg_error *error)
{
	json_t *state = NULL, *request = NULL;
	int r = read_state(&state, &request, error);
	pid_t pid = (pid_t)json_integer_value(json_object_get(state, "pid"));

	if (r == 0 && pid <= 0)
		r = sg_error_set(error, -EBADMSG, "hook: the state names no process");
	if (r == 0)
		r = register_container(pid, request, error);
	json_decref(state);
	json_decref(request);
	return r;
}
