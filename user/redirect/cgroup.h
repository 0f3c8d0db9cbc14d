// SPDX-License-Identifier: Apache-2.0
// The cgroup v2 hierarchy: where it is mounted, making and removing our own groups. Main thread of
// the caller.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"

// Finds the cgroup v2 mount in /proc/self/mountinfo; mounts one privately (below
// `fallback_directory`) when there is none. Returns 0 with the path, or -errno with the remedy.
int sg_cgroup_root(const char *fallback_directory, char *ret_path, size_t size,
	struct sg_error *error) SG_WUNRES;

// mkdir (parents too) and open. Returns a descriptor (closed by the caller) or -errno.
int sg_cgroup_make(const char *path, struct sg_error *error) SG_WUNRES;

// Moves a process (0: the caller). Returns 0 or -errno.
int sg_cgroup_enter(int cgroup_fd, pid_t pid) SG_WUNRES;

// The kernel's id of a cgroup (its inode). Returns 0 or -errno.
int sg_cgroup_id(int cgroup_fd, uint64_t *ret_id) SG_WUNRES;

// One that runs in the cgroup itself and is not `but`. Returns 0 or -ESRCH.
int sg_cgroup_other_process(int cgroup_fd, pid_t but, pid_t *ret_pid) SG_WUNRES;

// A process of the group, or of one below it. Returns 0 or -ESRCH.
int sg_cgroup_any_process(int cgroup_fd, pid_t *ret_pid) SG_WUNRES;

enum sg_cgroup_state { SG_CGROUP_GONE, SG_CGROUP_EMPTY, SG_CGROUP_POPULATED };

// Whether anything lives in the group or below it, by its cgroup.events (-1: it was gone before
// they could be opened). Gone is what the kernel says is removed: when it can't be asked, somebody
// may live there.
enum sg_cgroup_state sg_cgroup_look(int events_fd);

// Kills what is left in it (cgroup.kill, its own processes only), and removes it with its children.
// Returns 0 or -errno.
int sg_cgroup_remove(const char *path) SG_WUNRES;
