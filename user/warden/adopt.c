// SPDX-License-Identifier: Apache-2.0
// Agents of an earlier warden, by their files <run>/agents/ID.json and their pins.
#include "warden/agents_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/definition.h"
#include "warden/image.h"

#define DEFINITION_LIMIT (4u << 20)

// The namespace of an agent is that of its processes.
static int open_netns(const struct sg_warden_agent *agent)
{
	char path[64];
	int netns_fd;
	pid_t pid;

	if (sg_cgroup_any_process(agent->cgroup_fd, &pid) < 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns_fd = open(path, O_RDONLY | O_CLOEXEC);
	return netns_fd < 0 ? -errno : netns_fd;
}

// By the configuration of now; where it refuses, as it was. *ret_request is a new reference, or
// NULL: there is none, or an earlier version stored it with an image that is refused now.
static json_t *definition_of(
	const struct sg_warden *warden, const json_t *file, uint32_t id, json_t **ret_request)
{
	const json_t *request = json_object_get(file, "request");
	struct sg_error error = { "" };
	json_t *definition;
	int r;

	*ret_request = NULL;
	if (!request)
		return json_incref(json_object_get(file, "definition"));
	r = sg_image_apply(warden->config, request, ret_request, &error);
	if (r == 0)
		r = sg_definition_make(warden->config, *ret_request, id, &definition, &error);
	if (r == 0)
		return definition;
	sg_log(SG_LOG_WARN, "agent_unchanged", "id=%u reason=\"%s\" effect=\"it stays as it was\"",
		id, error.text);
	return json_incref(json_object_get(file, "definition"));
}

static int read_file(
	const struct sg_warden *warden, uint32_t id, json_t **ret_file, struct sg_error *error)
{
	char path[PATH_MAX], *text;
	size_t length;
	int r;

	sg_agent_file(warden, id, path, sizeof(path));
	r = sg_fd_read_file(path, DEFINITION_LIMIT, &text, &length);
	if (r < 0)
		return sg_error_set(error, r, "%s: %s", path, strerror(-r));
	*ret_file = json_loadb(text, length, 0, NULL);
	free(text);
	return 0;
}

// Its cgroup is gone, and with it everything that the pins could fence.
static void forget(struct sg_warden *warden, uint32_t id)
{
	char path[PATH_MAX];

	sg_agent_file(warden, id, path, sizeof(path));
	unlink(path);
	sg_trust_forget(warden, id);
	sg_redirect_detach_agent(warden->redirect, id);
}

static int adopt_agent(
	struct sg_warden *warden, struct sg_warden_agent *agent, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int netns_fd = -1;
	struct sg_namespace *namespace = NULL;
	int r = 0;

	agent->adopted = true;
	if (sg_redirect_is_set_aside(warden->redirect, agent->id))
		r = sg_agent_attach(warden, agent, error);
	if (r == 0 && !sg_agent_is_guard(agent))
		netns_fd = open_netns(agent);
	if (r == 0 && netns_fd >= 0)
		r = sg_agent_start(warden, agent, netns_fd, &namespace, error);
	if (r == 0 && warden->enforcer_ready) {
		r = sg_agent_introduce(warden, agent, namespace, error);
		if (r == -ENOTCONN)
			r = 0; // it has ended: the next one is told, as if none were there
	}
	if (r < 0)
		return r;
	sg_log(SG_LOG_INFO, "agent_adopted", "agent=%s id=%u cgroup=%s", sg_agent_name(agent),
		agent->id, agent->cgroup_path);
	// Nobody comes to release a container.
	if (json_object_get(agent->definition, "container"))
		sg_agents_release_agent(warden, agent);
	return 0;
}

static int adopt_group(struct sg_warden *warden, uint32_t id, const json_t *file, int cgroup_fd,
	struct sg_error *error)
{
	json_t *request, *definition = definition_of(warden, file, id, &request);
	struct sg_warden_agent *agent = sg_agent_new(warden, id, cgroup_fd, definition, request);

	json_decref(request);
	return agent ? adopt_agent(warden, agent, error)
		     : sg_error_set(error, -ENOMEM, "out of memory");
}

static int adopt_file(struct sg_warden *warden, uint32_t id, struct sg_error *error)
{
	SG_CLEANUP_CLOSE int cgroup_fd = -1;
	json_t *file = NULL;
	const char *cgroup;
	int r = read_file(warden, id, &file, error);

	if (r < 0)
		return r;
	cgroup = json_string_value(json_object_get(file, "cgroup"));
	cgroup_fd = cgroup ? open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (cgroup_fd >= 0)
		r = adopt_group(warden, id, file, cgroup_fd, error);
	else if (!cgroup)
		sg_log(SG_LOG_ERROR, "agent_unknown",
			"id=%u reason=\"its file can't be understood\" effect=\"it stays fenced, "
			"and reaches nothing\"",
			id);
	else if (errno == ENOENT)
		forget(warden, id);
	else
		r = sg_error_set(error, -errno, "%s: %s", cgroup, strerror(errno));
	json_decref(file);
	return r;
}

static void detach_unknown(
	void *context, uint32_t agent_id, uint64_t cgroup_id SG_UNUSED, bool alive)
{
	struct sg_warden *warden = context;

	// Its file is lost: it stays fenced, and its id is never given to another.
	if (alive && agent_id >= warden->next_agent_id)
		warden->next_agent_id = agent_id + 1;
	if (!alive && !sg_agents_find(warden, agent_id))
		sg_redirect_detach_agent(warden->redirect, agent_id);
}

int sg_agents_adopt_all(struct sg_warden *warden, struct sg_error *error)
{
	char directory[PATH_MAX];
	struct dirent *entry;
	DIR *entries;
	int r;

	warden->next_agent_id = 1;
	snprintf(directory, sizeof(directory), "%s/agents", warden->run_directory);
	r = sg_fd_make_directories(directory, 0700);
	entries = r == 0 ? opendir(directory) : NULL;
	if (!entries)
		return sg_error_set(error, r < 0 ? r : -errno, "%s: %s", directory,
			strerror(r < 0 ? -r : errno));
	while (r == 0 && (entry = readdir(entries))) {
		uint32_t id = (uint32_t)strtoul(entry->d_name, NULL, 10);

		if (id && strstr(entry->d_name, ".json"))
			r = adopt_file(warden, id, error);
	}
	closedir(entries);
	if (r == 0)
		r = sg_redirect_each_agent(warden->redirect, detach_unknown, warden);
	if (r == 0 && warden->agents)
		sg_agents_reap(warden);
	return r;
}
