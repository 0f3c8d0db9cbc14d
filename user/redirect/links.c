// SPDX-License-Identifier: Apache-2.0
// Links: attached to cgroups, and pinned, so that they stay; adopted by those who come later.
#include "redirect/redirect.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "redirect/pins.h"
#include "redirect/skel.h"

// The order matters: connect hooks last, so that nothing is redirected before sockops can record
// it.
static const char *const agent_hooks[] = { "sg_sockops", "sg_getpeername4", "sg_getpeername6",
	"sg_bind4", "sg_bind6", "sg_sendmsg4", "sg_sendmsg6", "sg_connect4", "sg_connect6" };
#define LAST_AGENT_HOOK agent_hooks[SG_ARRAY_SIZE(agent_hooks) - 1]
static const char *const service_hooks[] = { "sg_getsockopt" };

static struct bpf_program *find_program(const struct sg_redirect *redirect, const char *name)
{
	return bpf_object__find_program_by_name(redirect->skeleton->obj, name);
}

int sg_redirect_attach_hook(
	struct sg_redirect *redirect, const char *hook, int cgroup_fd, const char *directory)
{
	struct bpf_program *program = find_program(redirect, hook);
	struct bpf_link *link;
	char path[PATH_MAX];
	int r;

	if (!program)
		return -ENOENT;
	link = bpf_program__attach_cgroup(program, cgroup_fd);
	if (!link)
		return -errno;
	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	r = bpf_link__pin(link, path);
	bpf_link__destroy(link); // the pin holds it
	return r;
}

typedef int (*link_visit_fn)(struct sg_redirect *redirect, const char *directory, const char *hook);

static int each_link(struct sg_redirect *redirect, const char *directory, link_visit_fn visit)
{
	DIR *entries = opendir(directory);
	struct dirent *entry;
	int r = 0;

	if (!entries)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			r = visit(redirect, directory, entry->d_name);
	closedir(entries);
	return r;
}

int sg_redirect_detach_hook(
	struct sg_redirect *redirect SG_UNUSED, const char *directory, const char *hook)
{
	SG_CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	fd = bpf_obj_get(path);
	return fd < 0 || bpf_link_detach(fd) < 0 ? -errno : 0;
}

// At once: a link whose pin is gone runs on for some milliseconds, and with a second one beside it
// what one redirects is refused by the other.
static void end_links(struct sg_redirect *redirect, const char *directory)
{
	int r = each_link(redirect, directory, sg_redirect_detach_hook);

	if (r < 0)
		sg_log(SG_LOG_DEBUG, "pins", "path=%s reason=\"%s\"", directory, strerror(-r));
	sg_pins_remove(directory);
}

static int attach_all(struct sg_redirect *redirect, const char *const *hooks, size_t count,
	int cgroup_fd, const char *directory, struct sg_error *error)
{
	char parent[PATH_MAX];
	int r;

	snprintf(parent, sizeof(parent), "%s", directory);
	*strrchr(parent, '/') = 0;
	r = sg_fd_make_directories(parent, 0700);
	// The folder must be new: links that are there already fence somebody, and the way back
	// from a failure would remove them.
	if (r == 0 && mkdir(directory, 0700) < 0)
		r = -errno;
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", directory, strerror(-r));
	for (size_t i = 0; i < count; i++) {
		r = sg_redirect_attach_hook(redirect, hooks[i], cgroup_fd, directory);
		if (r < 0) {
			sg_pins_remove(directory);
			return sg_error_set(error, r, "%s can't be attached: %s%s", hooks[i],
				strerror(-r),
				r == -EPERM ? " (an exclusive program sits on this cgroup or "
					      "above: bpftool cgroup tree)"
					    : "");
		}
	}
	return 0;
}

// The cgroup of a pinned link; 0 when there is none, or its cgroup was removed.
static uint64_t pinned_cgroup(const char *directory, const char *hook)
{
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	SG_CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
		return 0;
	return info.cgroup.cgroup_id;
}

bool sg_redirect_fences(const struct sg_redirect *redirect, uint32_t agent_id, int cgroup_fd)
{
	char directory[PATH_MAX], before[PATH_MAX];
	uint64_t cgroup_id;

	if (sg_cgroup_id(cgroup_fd, &cgroup_id) < 0)
		return false;
	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	sg_pins_before_of_agent(redirect, agent_id, before, sizeof(before));
	return pinned_cgroup(directory, LAST_AGENT_HOOK) == cgroup_id ||
	       pinned_cgroup(before, LAST_AGENT_HOOK) == cgroup_id;
}

int sg_redirect_attach_service(struct sg_redirect *redirect, int cgroup_fd, struct sg_error *error)
{
	char directory[PATH_MAX], before[PATH_MAX];
	uint64_t cgroup_id;
	int r = sg_cgroup_id(cgroup_fd, &cgroup_id);

	if (r < 0)
		return sg_error_set(error, r, "the cgroup's id can't be read: %s", strerror(-r));
	snprintf(directory, sizeof(directory), "%s/service", redirect->pin_directory);
	// An earlier warden's has our program in it by now: no moment without.
	if (pinned_cgroup(directory, service_hooks[0]) != cgroup_id) {
		sg_pins_remove(directory);
		r = attach_all(redirect, service_hooks, SG_ARRAY_SIZE(service_hooks), cgroup_fd,
			directory, error);
	}
	if (r == 0) {
		snprintf(before, sizeof(before), "%s/" SG_PINS_BEFORE "/service",
			redirect->pin_directory);
		end_links(redirect, before);
	}
	return r;
}

static int attach_slot(struct sg_redirect *redirect, int cgroup_fd, struct sg_agent_slot slot,
	struct sg_error *error)
{
	char directory[PATH_MAX], before[PATH_MAX];
	bool is_attached = false;
	uint64_t cgroup_id;
	int r = sg_cgroup_id(cgroup_fd, &cgroup_id);

	if (r < 0)
		return sg_error_set(error, r, "the cgroup's id can't be read: %s", strerror(-r));
	sg_pins_of_agent(redirect, slot.agent_id, directory, sizeof(directory));
	// An earlier warden may have been killed on its way from one fence to the other. One of the
	// two is whole: the new one if its last hook is there, then of the other some may be gone.
	if (sg_redirect_is_set_aside(redirect, slot.agent_id)) {
		is_attached = pinned_cgroup(directory, LAST_AGENT_HOOK) == cgroup_id;
		if (!is_attached)
			end_links(redirect, directory);
	}
	if (!is_attached)
		r = attach_all(redirect, agent_hooks, SG_ARRAY_SIZE(agent_hooks), cgroup_fd,
			directory, error);
	if (r < 0)
		return r;
	if (sg_redirect_is_cut(redirect, slot.agent_id))
		slot.flags |= SG_SLOT_CUT;
	// The storage exists since the attach; until now it said agent 0, which is refused
	// everything.
	if (bpf_map_update_elem(
		    bpf_map__fd(redirect->skeleton->maps.agents), &cgroup_id, &slot, BPF_ANY) < 0) {
		r = sg_error_set(error, -errno, "map agents: %s", strerror(errno));
		if (!is_attached)
			sg_pins_remove(directory);
		return r;
	}
	if (slot.flags & SG_SLOT_CUT)
		r = sg_redirect_attach_cut_hooks(redirect, cgroup_fd, slot.agent_id, error);
	if (r < 0)
		return r;
	// The fence of before was there until the new one is.
	sg_pins_before_of_agent(redirect, slot.agent_id, before, sizeof(before));
	end_links(redirect, before);
	return 0;
}

int sg_redirect_attach_agent(
	struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id, struct sg_error *error)
{
	return attach_slot(
		redirect, cgroup_fd, (struct sg_agent_slot){ .agent_id = agent_id }, error);
}

int sg_redirect_attach_guard(
	struct sg_redirect *redirect, int cgroup_fd, uint32_t agent_id, struct sg_error *error)
{
	return attach_slot(redirect, cgroup_fd,
		(struct sg_agent_slot){ .agent_id = agent_id, .flags = SG_SLOT_GUARD }, error);
}

// What the agent left in `flows` would stay for ever: nobody accepts it any more. Costs a walk over
// the map only if there is something.
static void forget_flows(struct sg_redirect *redirect, uint32_t agent_id)
{
	int pending_fd = bpf_map__fd(redirect->skeleton->maps.pending_flows);
	int flows_fd = bpf_map__fd(redirect->skeleton->maps.flows);
	struct sg_flow_key key, next;
	struct sg_flow_record record;
	__s32 pending = 0;
	bool more;

	if (bpf_map_lookup_elem(pending_fd, &agent_id, &pending) < 0)
		return;
	more = pending != 0 && bpf_map_get_next_key(flows_fd, NULL, &key) == 0;
	while (more) {
		// The next one first: from a deleted key the walk would begin anew.
		more = bpf_map_get_next_key(flows_fd, &key, &next) == 0;
		if (bpf_map_lookup_elem(flows_fd, &key, &record) == 0 &&
			record.agent_id == agent_id)
			bpf_map_delete_elem(flows_fd, &key);
		key = next;
	}
	bpf_map_delete_elem(pending_fd, &agent_id);
}

int sg_redirect_detach_agent(struct sg_redirect *redirect, uint32_t agent_id)
{
	char directory[PATH_MAX], before[PATH_MAX];

	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	sg_pins_before_of_agent(redirect, agent_id, before, sizeof(before));
	if (access(directory, F_OK) < 0 && access(before, F_OK) < 0)
		return -errno;
	end_links(redirect, directory);
	end_links(redirect, before);
	forget_flows(redirect, agent_id);
	return 0;
}

// ---- Adoption ----

static int update_link(struct sg_redirect *redirect, const char *directory, const char *hook)
{
	struct bpf_program *program = find_program(redirect, hook);
	SG_CLEANUP_CLOSE int fd = -1;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, hook);
	if (!program)
		return unlink(path) < 0 ? -errno : 0; // a hook of an earlier version
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	// ENOLINK: its cgroup was removed; there is nothing left to watch.
	if (bpf_link_update(fd, bpf_program__fd(program), NULL) < 0 && errno != ENOLINK)
		return -errno;
	return 0;
}

static int adopt_agent(struct sg_redirect *redirect, uint32_t agent_id SG_UNUSED,
	const char *directory, void *context SG_UNUSED)
{
	return each_link(redirect, directory, update_link);
}

int sg_redirect_adopt_links(struct sg_redirect *redirect, struct sg_error *error)
{
	char service[PATH_MAX];
	int r = sg_pins_each_agent(redirect, "agents", adopt_agent, NULL);

	snprintf(service, sizeof(service), "%s/service", redirect->pin_directory);
	if (r == 0)
		r = each_link(redirect, service, update_link);
	if (r < 0)
		return sg_error_set(error, r, "pinned links below %s can't be taken over: %s",
			redirect->pin_directory, strerror(-r));
	return 0;
}

struct visit {
	sg_redirect_visit_fn visit;
	void *context;
};

// By either of its fences: where the new one is half made, that of before is in force.
static int tell_agent(struct sg_redirect *redirect, uint32_t agent_id,
	const char *visited SG_UNUSED, void *context)
{
	const struct visit *visit = context;
	char directory[PATH_MAX], before[PATH_MAX];
	uint64_t cgroup_id;

	sg_pins_of_agent(redirect, agent_id, directory, sizeof(directory));
	sg_pins_before_of_agent(redirect, agent_id, before, sizeof(before));
	cgroup_id = pinned_cgroup(directory, "sg_connect4");
	if (!cgroup_id)
		cgroup_id = pinned_cgroup(before, "sg_connect4");
	visit->visit(visit->context, agent_id, cgroup_id, cgroup_id != 0);
	return 0;
}

int sg_redirect_each_agent(struct sg_redirect *redirect, sg_redirect_visit_fn visit, void *context)
{
	struct visit both = { visit, context };
	int r = sg_pins_each_agent(redirect, "agents", tell_agent, &both);

	return r < 0 ? r
		     : sg_pins_each_agent(redirect, SG_PINS_BEFORE "/agents", tell_agent, &both);
}
