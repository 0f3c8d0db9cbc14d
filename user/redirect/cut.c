// SPDX-License-Identifier: Apache-2.0
// An agent that is cut off. That it is so is told by the pins of the hooks that drop its packets:
// they are in force as long as they are there, and every process of ours may come and go.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "redirect/cgroup.h"
#include "redirect/pins.h"
#include "redirect/skel.h"

static const char *const cut_hooks[] = { "sg_cut_egress", "sg_cut_ingress" };

static bool has_hook(const char *directory, const char *hook)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	return access(path, F_OK) == 0;
}

bool sg_redirect_is_cut(const struct sg_redirect *redirect, uint32_t agent_id)
{
	char directory[PATH_MAX], before[PATH_MAX];

	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	sg_pins_before_of_agent(redirect, agent_id, before, sizeof(before));
	return has_hook(directory, cut_hooks[0]) || has_hook(before, cut_hooks[0]);
}

int sg_redirect_attach_cut_hooks(
	struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id, struct sg_error *error)
{
	char directory[PATH_MAX];
	int r = 0;

	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(cut_hooks); i++)
		if (!has_hook(directory, cut_hooks[i]))
			r = sg_redirect_attach_hook(redirect, cut_hooks[i], cgroup_fd, directory);
	return r < 0 ? sg_error_set(error, r, "its packets can't be dropped: %s", strerror(-r)) : 0;
}

static int set_slot(struct sg_redirect *redirect, int cgroup_fd, struct sg_agent_slot slot,
	struct sg_error *error)
{
	uint64_t cgroup_id;
	int r = sg_cgroup_id(cgroup_fd, &cgroup_id);

	if (r == 0 && bpf_map_update_elem(bpf_map__fd(redirect->skeleton->maps.agents), &cgroup_id,
			      &slot, BPF_EXIST) < 0)
		r = -errno;
	return r < 0 ? sg_error_set(error, r, "map agents: %s", strerror(-r)) : 0;
}

int sg_redirect_cut_agent(
	struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id, struct sg_error *error)
{
	const struct sg_agent_slot slot = { .agent_id = agent_id, .flags = SG_SLOT_CUT };
	int r = set_slot(redirect, cgroup_fd, slot, error);

	return r < 0 ? r : sg_redirect_attach_cut_hooks(redirect, cgroup_fd, agent_id, error);
}

// Detached at once: a link that only loses its pin goes on for some milliseconds.
static void end_hook(struct sg_redirect *redirect, const char *directory, const char *hook)
{
	char path[2 * PATH_MAX];
	int r = sg_redirect_detach_hook(redirect, directory, hook);

	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	if (r == 0 && unlink(path) < 0)
		r = -errno;
	if (r < 0 && r != -ENOENT)
		sg_log(SG_LOG_WARN, "pins", "path=%s reason=\"%s\"", path, strerror(-r));
}

int sg_redirect_mend_agent(
	struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id, struct sg_error *error)
{
	const struct sg_agent_slot slot = { .agent_id = agent_id };
	char directory[PATH_MAX];
	int r = set_slot(redirect, cgroup_fd, slot, error);

	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	// The one that tells comes last.
	for (size_t i = SG_ARRAY_SIZE(cut_hooks); r == 0 && i > 0; i--)
		end_hook(redirect, directory, cut_hooks[i - 1]);
	return r;
}
