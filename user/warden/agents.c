// SPDX-License-Identifier: Apache-2.0
// The table of agents, and how they get into it. Each is also a file <run>/agents/ID.json, so that
// a warden that was restarted knows them again (adopt.c); the fence itself (links, maps) is in the
// kernel and needs neither. How they end: reap.c.
#include "warden/agents_state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "redirect/cgroup.h"
#include "warden/definition.h"
#include "warden/endpoints.h"
#include "warden/guards.h"
#include "warden/image.h"

void sg_agent_file(const struct sg_warden *warden, uint32_t id, char *out, size_t size)
{
	snprintf(out, size, "%s/agents/%u.json", warden->run_directory, id);
}

struct sg_warden_agent *sg_agents_find(const struct sg_warden *warden, uint32_t id)
{
	struct sg_warden_agent *agent = warden->agents;

	while (agent && agent->id != id)
		agent = agent->next;
	return agent;
}

struct sg_warden_agent *sg_agent_free(struct sg_warden_agent *agent)
{
	if (agent->events_fd >= 0)
		close(agent->events_fd);
	if (agent->cgroup_fd >= 0)
		close(agent->cgroup_fd);
	json_decref(agent->request);
	json_decref(agent->definition);
	json_decref(agent->next_definition);
	free(agent->cgroup_path);
	free(agent);
	return NULL;
}

bool sg_agent_is_guard(const struct sg_warden_agent *agent)
{
	return json_is_true(json_object_get(agent->definition, "guard"));
}

const char *sg_agent_name(const struct sg_warden_agent *agent)
{
	return json_string_value(json_object_get(agent->definition, "name"));
}

int sg_agents_store(
	const struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	json_t *file = json_pack("{s:s, s:O, s:O*}", "cgroup", agent->cgroup_path, "definition",
		agent->definition, "request", agent->request);
	char *text = file ? json_dumps(file, JSON_COMPACT) : NULL;
	char path[PATH_MAX];
	int r = -ENOMEM;

	if (text) {
		sg_agent_file(warden, agent->id, path, sizeof(path));
		r = sg_fd_replace_file(
			path, text, strlen(text), 0600); // not for after a loss of power
	}
	free(text);
	json_decref(file);
	return r < 0 ? sg_error_set(error, r, "%s/agents: %s", warden->run_directory, strerror(-r))
		     : 0;
}

void sg_agents_free_all(struct sg_warden *warden)
{
	struct sg_warden_agent *agent, *next;

	sg_loop_disarm(&warden->reap);
	sg_loop_disarm(&warden->again);
	for (agent = warden->agents; agent; agent = next) {
		next = agent->next;
		sg_loop_unwatch(warden->loop, &agent->watch);
		sg_agent_free(agent);
	}
	warden->agents = NULL;
}

// ---- Registration ----

static bool is_same_file(int fd, const char *path)
{
	struct stat one, other;

	return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

// A group opened in another mount namespace has a path that means nothing here: it is then below
// our own mount of the hierarchy.
static char *path_of_fd(const struct sg_warden *warden, int fd)
{
	char path[PATH_MAX], below[2 * PATH_MAX];

	if (sg_fd_path(fd, path, sizeof(path)) < 0)
		return NULL;
	if (is_same_file(fd, path))
		return strdup(path);
	snprintf(below, sizeof(below), "%s%s", warden->cgroup_root, path);
	return strdup(is_same_file(fd, below) ? below : path);
}

int sg_agent_start(struct sg_warden *warden, struct sg_warden_agent *agent, int netns_fd,
	struct sg_namespace **ret_namespace, struct sg_error *error)
{
	int r = sg_endpoints_add(warden, agent->definition, error);

	if (r == 0)
		r = sg_namespaces_use(&warden->namespaces, netns_fd, ret_namespace, error);
	if (r == 0)
		agent->netns_cookie = (*ret_namespace)->listener.netns_cookie;
	return r;
}

struct sg_warden_agent *sg_agent_new(
	struct sg_warden *warden, uint32_t id, int cgroup_fd, json_t *definition, json_t *request)
{
	struct sg_warden_agent *agent = calloc(1, sizeof(*agent));
	bool readable;

	if (!agent) {
		json_decref(definition);
		return NULL;
	}
	agent->id = id;
	agent->watch.fd = -1;
	agent->warden = warden;
	agent->events_fd = openat(cgroup_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	readable = agent->events_fd >= 0 || errno == ENOENT; // the group is gone
	agent->cgroup_fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 0);
	agent->cgroup_path = path_of_fd(warden, cgroup_fd);
	agent->definition = definition;
	agent->request = json_incref(request);
	if (!definition || agent->cgroup_fd < 0 || !agent->cgroup_path || !readable)
		return sg_agent_free(agent);
	agent->next = warden->agents;
	warden->agents = agent;
	if (id >= warden->next_agent_id)
		warden->next_agent_id = id + 1;
	return agent;
}

int sg_agent_attach(
	struct sg_warden *warden, const struct sg_warden_agent *agent, struct sg_error *error)
{
	return sg_agent_is_guard(agent) ? sg_redirect_attach_guard(warden->redirect,
						  agent->cgroup_fd, agent->id, error)
					: sg_redirect_attach_agent(warden->redirect,
						  agent->cgroup_fd, agent->id, error);
}

struct sg_warden_agent *sg_agents_find_group(const struct sg_warden *warden, int cgroup_fd)
{
	struct sg_warden_agent *agent = warden->agents;
	uint64_t wanted, id;

	if (sg_cgroup_id(cgroup_fd, &wanted) < 0)
		return NULL;
	while (agent && (sg_cgroup_id(agent->cgroup_fd, &id) < 0 || id != wanted))
		agent = agent->next;
	return agent;
}

struct sg_warden_agent *sg_agents_find_container(
	const struct sg_warden *warden, const char *container)
{
	struct sg_warden_agent *agent = warden->agents;

	while (agent) {
		const char *own =
			json_string_value(json_object_get(agent->definition, "container"));

		if (own && strcmp(own, container) == 0)
			break;
		agent = agent->next;
	}
	return agent;
}

int sg_agents_detach(struct sg_warden *warden, const char *container, struct sg_error *error)
{
	struct sg_warden_agent *agent = sg_agents_find_container(warden, container);

	if (!agent)
		return sg_error_set(error, -ENOENT, "%.80s is no agent", container);
	sg_agent_remove(warden, agent);
	return 0;
}

int sg_agent_introduce(struct sg_warden *warden, const struct sg_warden_agent *agent,
	const struct sg_namespace *namespace, struct sg_error *error)
{
	int r = sg_enforcer_announce(warden, agent, error);

	if (r == 0 && namespace)
		sg_enforcer_tell_listener(warden, namespace);
	return r;
}

// Behind its fence. A guard makes no calls: nobody has to know it but the kernel.
static int finish_registration(struct sg_warden *warden, struct sg_warden_agent *agent,
	int netns_fd, struct sg_error *error)
{
	struct sg_namespace *namespace = NULL;
	int r = agent->adopted ? sg_agent_fence_again(warden, agent, error) : 0;

	if (r == 0 && !sg_agent_is_guard(agent))
		r = sg_agent_start(warden, agent, netns_fd, &namespace, error);
	if (r == 0 && (!sg_agent_is_guard(agent) || warden->enforcer_ready)) // else when it is
		r = sg_agent_introduce(warden, agent, namespace, error);
	return r < 0 ? r : sg_agents_store(warden, agent, error);
}

// Takes the definition, shares the request.
static void ask_anew(struct sg_warden *warden, struct sg_warden_agent *agent, json_t *definition,
	json_t *request)
{
	json_t *before = agent->definition;

	agent->definition = definition;
	sg_endpoints_drop(warden, before);
	json_decref(before);
	json_decref(agent->request);
	agent->request = json_incref(request);
	agent->released = agent->refused = false;
	sg_loop_unwatch(warden->loop, &agent->watch);
}

// Fence first: whatever fails later leaves what runs in the cgroup refused, not open.
static int fence(struct sg_warden *warden, int cgroup_fd, json_t *definition, json_t *request,
	struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	struct sg_warden_agent *agent =
		sg_agent_new(warden, warden->next_agent_id, cgroup_fd, definition, request);
	int r;

	if (!agent) {
		sg_error_set(error, -ENOMEM, "out of memory or descriptors");
		return -ENOMEM;
	}
	r = sg_agent_attach(warden, agent, error);
	if (r < 0)
		sg_agent_remove(warden, agent);
	*ret_agent = agent;
	return r;
}

static void tell_capabilities(const struct sg_warden_agent *agent)
{
	char names[128] = "";
	size_t index, length = 0;
	json_t *item;

	json_array_foreach(json_object_get(agent->request, "capabilities"), index, item)
	{
		const char *name = json_string_value(item);

		if (name && length < sizeof(names))
			length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
				length ? " " : "", name);
	}
	if (length)
		sg_log(SG_LOG_WARN, "agent_unconfined",
			"agent=%s id=%u capabilities=\"%s\" effect=\"with these it can leave its "
			"fence\" remedy=\"start its container without them (--privileged, "
			"--cap-add)\"",
			sg_agent_name(agent), agent->id, names);
}

// `agent`: one of the same group that was refused before, or NULL.
static int register_judged(struct sg_warden *warden, json_t *request, int cgroup_fd, int netns_fd,
	struct sg_warden_agent *agent, struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	json_t *definition;
	int r;

	r = sg_definition_make(warden->config, request, agent ? agent->id : warden->next_agent_id,
		&definition, error);
	if (r < 0)
		return r;
	// A guard makes no calls: nobody has to know it but the kernel.
	r = json_is_true(json_object_get(request, "guard")) ? 0 : sg_enforcer_wait(warden, 10000);
	if (r < 0) {
		json_decref(definition);
		return sg_error_set(
			error, r, "the enforcer has not come up: see the log of spendgated");
	}
	if (agent)
		ask_anew(warden, agent, definition, request);
	else
		r = fence(warden, cgroup_fd, definition, request, &agent, error);
	if (r < 0)
		return r;
	r = finish_registration(warden, agent, netns_fd, error);
	if (r < 0) {
		sg_agent_keep_refused(warden, agent);
		return r;
	}
	sg_log(SG_LOG_INFO, "agent_registered", "agent=%s id=%u cgroup=%s", sg_agent_name(agent),
		agent->id, agent->cgroup_path);
	tell_capabilities(agent);
	*ret_agent = agent;
	return 0;
}

int sg_agents_register(struct sg_warden *warden, const json_t *request, int cgroup_fd, int netns_fd,
	struct sg_warden_agent **ret_agent, struct sg_error *error)
{
	struct sg_warden_agent *agent = sg_agents_find_group(warden, cgroup_fd);
	json_t *judged = NULL;
	int r;

	// Two agents of one group would meter every call twice.
	if (agent && !agent->refused)
		return sg_error_set(error, -EEXIST, "it is agent %s already", sg_agent_name(agent));
	r = sg_image_apply(warden->config, request, &judged, error);
	if (r == 0)
		r = register_judged(warden, judged, cgroup_fd, netns_fd, agent, ret_agent, error);
	json_decref(judged);
	return r;
}
