// SPDX-License-Identifier: Apache-2.0
// The pinned maps, as bpf(2) shows them to root.
#include "scene.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "redirect/cgroup.h"

static int open_map(const struct scene *scene, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/maps/%s", scene->pins, name);
	return CHECK_SYS(bpf_obj_get(path));
}

unsigned scene_flow_entries(const struct scene *scene)
{
	int fd = open_map(scene, "flows");
	struct sg_flow_key key, next;
	unsigned count = 0;
	bool more = bpf_map_get_next_key(fd, NULL, &next) == 0;

	for (; more; count++) {
		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
	}
	close(fd);
	return count;
}

// Junk of a namespace that does not exist.
static struct sg_flow_key junk_key(unsigned number)
{
	struct sg_flow_key key = { .netns_cookie = UINT64_MAX };

	memcpy(key.source, &number, sizeof(number));
	return key;
}

void scene_fill_flows(const struct scene *scene)
{
	const struct sg_flow_record record = { .agent_id = 0 };
	int fd = open_map(scene, "flows"), r = 0;

	for (unsigned i = 0; i <= SG_MAX_FLOWS && r == 0; i++) {
		struct sg_flow_key key = junk_key(i);

		r = bpf_map_update_elem(fd, &key, &record, BPF_ANY);
	}
	CHECK(r < 0 && errno == E2BIG);
	close(fd);
}

void scene_empty_flows(const struct scene *scene)
{
	int fd = open_map(scene, "flows");

	for (unsigned i = 0; i <= SG_MAX_FLOWS; i++) {
		struct sg_flow_key key = junk_key(i);

		bpf_map_delete_elem(fd, &key);
	}
	close(fd);
}

void scene_unregister(const struct scene *scene, int cgroup_fd)
{
	struct sg_agent_slot slot = { 0 };
	int fd = open_map(scene, "agents");
	uint64_t cgroup_id;

	CHECK_OK(sg_cgroup_id(cgroup_fd, &cgroup_id));
	CHECK_SYS(bpf_map_update_elem(fd, &cgroup_id, &slot, BPF_ANY));
	close(fd);
}
