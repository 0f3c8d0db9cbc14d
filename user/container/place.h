// SPDX-License-Identifier: Apache-2.0
// Where an agent runs: its cgroup and its network namespace. One thread.
#pragma once

#include <sys/types.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_place {
	int cgroup_fd; // of its directory
	int netns_fd;
};

// Of a process. A process in the caller's own cgroup has none of its own. Returns 0 or -errno with
// the sentence; on success the caller closes it.
int sg_place_of_process(pid_t pid, struct sg_place *ret_place, struct sg_error *error) SG_WUNRES;

// Of a container that runs, by its engine's id, or of the processes of a cgroup, by its path
// (whole, or below the hierarchy's root). *ret_pid is its first process where it can be told, else
// any. Returns as above (-ENOENT: there is no such thing).
int sg_place_find(const char *what, struct sg_place *ret_place, pid_t *ret_pid,
	struct sg_error *error) SG_WUNRES;

// A cgroup by its path, made when it is not there, and the caller's own network namespace. Returns
// as above.
int sg_place_make(const char *path, struct sg_place *ret_place, struct sg_error *error) SG_WUNRES;

void sg_place_close(struct sg_place *place);

// Makes it an agent: hands `request` ("register" of spendgate/control.h) to spendgated. Returns 0,
// -ENOTCONN: no spendgated, -EEXIST: it is one already, or another -errno, with the sentence.
int sg_place_register(
	const struct sg_place *place, const json_t *request, struct sg_error *error) SG_WUNRES;
