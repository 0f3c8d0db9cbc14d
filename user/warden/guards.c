// SPDX-License-Identifier: Apache-2.0
#include "warden/guards.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/agents_state.h"

#define KEY	   "guards"
#define CONFIGURED "configured" // in the request: not made by hand

int sg_guards_check(const json_t *value, const char *key, struct sg_error *error)
{
	size_t index;
	json_t *item;

	if (!json_is_array(value))
		return sg_error_set(error, -EINVAL, "%s: must be a list of cgroups", key);
	json_array_foreach((json_t *)value, index, item)
	{
		const char *path = json_string_value(item);

		// The root has this service in it, and the whole host.
		if (!path || *path != '/' || !path[1] || strlen(path) > NAME_MAX ||
			strstr(path, "//") || strstr(path, "/.") || path[strlen(path) - 1] == '/')
			return sg_error_set(error, -EINVAL,
				"%s[%zu]: must be the path of a cgroup below the root, as "
				"\"/docker\" or \"/agents.slice\"",
				key, index);
	}
	return 0;
}

static bool is_listed(const json_t *config, const char *path)
{
	size_t index;
	json_t *item;

	json_array_foreach(json_object_get(config, KEY), index, item)
	{
		if (strcmp(json_string_value(item), path) == 0)
			return true;
	}
	return false;
}

static int make_guard(struct sg_warden *warden, const char *path, struct sg_error *error)
{
	char whole[2 * PATH_MAX];
	SG_CLEANUP_CLOSE int cgroup_fd = -1;
	struct sg_warden_agent *agent;
	json_t *request;
	int r;

	snprintf(whole, sizeof(whole), "%s%s", warden->cgroup_root, path);
	cgroup_fd = sg_cgroup_make(whole, error);
	if (cgroup_fd < 0)
		return cgroup_fd;
	agent = sg_agents_find_group(warden, cgroup_fd);
	if (agent && sg_agent_is_guard(agent) && !agent->refused)
		return 0; // made by hand, by another spelling of its path
	request = json_pack("{s:s+, s:s, s:b, s:b}", "name", "guard-", strrchr(path, '/') + 1,
		"container", path, "guard", 1, CONFIGURED, 1);
	if (!request)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = sg_agents_register(warden, request, cgroup_fd, -1, &agent, error);
	json_decref(request);
	if (r == 0)
		sg_agents_release_agent(warden, agent);
	return r;
}

int sg_guards_make(struct sg_warden *warden, const json_t *config, struct sg_error *error)
{
	size_t index;
	json_t *item;
	int r = 0;

	if (warden->on_demand) // it ends with its last agent, and is no service of the host
		return 0;
	json_array_foreach(json_object_get(config, KEY), index, item)
	{
		const char *path = json_string_value(item);

		if (r == 0 && !sg_agents_find_container(warden, path)) {
			r = make_guard(warden, path, error);
			if (r < 0)
				sg_error_prefix(error, r, KEY "[%zu]: ", index);
		}
	}
	return r;
}

void sg_guards_end_others(struct sg_warden *warden, const json_t *config)
{
	struct sg_warden_agent *agent, *next;
	struct sg_error error;

	for (agent = warden->agents; agent; agent = next) {
		const char *path = json_string_value(json_object_get(agent->request, "container"));

		next = agent->next;
		if (json_is_true(json_object_get(agent->request, CONFIGURED)) && path &&
			!is_listed(config, path) && sg_agents_detach(warden, path, &error) < 0)
			sg_log(SG_LOG_WARN, "guard", "path=%s reason=\"%s\"", path, error.text);
	}
}

bool sg_guards_tend(struct sg_warden *warden)
{
	struct sg_error error = { "" };

	if (warden->on_demand || !json_array_size(json_object_get(warden->config, KEY)))
		return false;
	if (sg_guards_make(warden, warden->config, &error) < 0)
		sg_log(SG_LOG_ERROR, "guard_missing", "reason=\"%s\"", error.text);
	return true;
}
