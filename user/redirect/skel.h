// SPDX-License-Identifier: Apache-2.0
// The only includer of the generated skeleton, and what the files of this module share. Not for
// other modules.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <limits.h>

#include "redirect/redirect.h"
#include "spendgate.skel.h"

struct sg_redirect {
	char pin_directory[PATH_MAX - 256]; // room for names below it
	struct spendgate_bpf *skeleton;
	struct ring_buffer *ring;
	sg_redirect_event_fn on_event; // during sg_redirect_read_events
	void *event_context;
	unsigned events_read; // in this turn
};

// links.c: gives the new programs to every link that is pinned.
int sg_redirect_adopt_links(struct sg_redirect *redirect, struct sg_error *error) SG_WUNRES;

// probe.c: makes sure that a BPF file system is mounted above the directory.
int sg_redirect_mount_bpffs(const char *pin_directory, struct sg_error *error) SG_WUNRES;

// links.c: attaches one hook and pins it there; and detaches one, whose pin stays. Return 0 or
// -errno.
int sg_redirect_attach_hook(struct sg_redirect *redirect, const char *hook, int cgroup_fd,
	const char *directory) SG_WUNRES;
int sg_redirect_detach_hook(
	struct sg_redirect *redirect, const char *directory, const char *hook) SG_WUNRES;

// cut.c: those that drop packets, as far as they are not there.
int sg_redirect_attach_cut_hooks(struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id,
	struct sg_error *error) SG_WUNRES;
